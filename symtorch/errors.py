"""The errors that symtorch raises.

Each is also a ``ValueError`` or a ``RuntimeError``, so code that catches those keeps working. Every
message says what came, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class SymTorchError(Exception):
    """Base of every error that symtorch raises on purpose."""


class InputError(SymTorchError, ValueError):
    """An argument, an option or captured data that can't be used as it is."""


class OptionError(InputError):
    """A search option that is unknown, of the wrong type, impossible, or beyond the chosen engine."""


class ParseError(InputError):
    """Text that is not an equation of the known operators."""


class NotDistilledError(SymTorchError, RuntimeError):
    """Equations were asked for that do not exist (yet)."""


class NotSetUpError(SymTorchError, RuntimeError):
    """A step was taken before the one that it needs."""


class EngineError(SymTorchError, RuntimeError):
    """A search engine is not available on this machine, or failed while it ran.

    Attributes:
        fronts: where it failed for some outputs only, the fronts of the others, and None for those.
    """

    def __init__(self, *args: object, fronts: Sequence[Any] = ()) -> None:
        super().__init__(*args)
        self.fronts = list(fronts)


class StateError(SymTorchError, ValueError):
    """Saved state that is damaged, hostile, or from a later version."""


class UndefinedError(SymTorchError, ArithmeticError):
    """An equation is undefined on rows that it was called with."""


class CompilerError(SymTorchError, RuntimeError):
    """There is no C compiler, or it failed."""
