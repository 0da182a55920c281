"""The errors that symtorch raises.

Each is also a ``ValueError`` or a ``RuntimeError``, so code that catches those keeps working. Every
message says what came, what was expected and what to do.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

LONGEST_MESSAGE = 900
"""Characters of a message: it is to be read, also where a user's model has hundreds of parts."""


def listed(values: Iterable[Any], most: int = 12) -> str:
    """Values for a message: neighbouring numbers as ranges, and of many the first.

    >>> listed([0, 1, 2, 3, 7, 9, 10])
    '0-3, 7, 9, 10'
    >>> listed(f"layer{i}" for i in range(100))
    "'layer0', 'layer1', 'layer2', 'layer3', 'layer4', ... (95 more)"
    """
    values = list(values)
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        texts, counts = _ranges(values)
    else:
        texts, counts = [repr(value) for value in values], [1] * len(values)
    if len(texts) <= most and sum(map(len, texts)) <= LONGEST_MESSAGE // 2:
        return ", ".join(texts)
    few = [text if len(text) <= 60 else text[:57] + "..." for text in texts[:5]]
    return f"{', '.join(few)}, ... ({sum(counts[5:])} more)"


def _ranges(values: Sequence[int]) -> tuple[list[str], list[int]]:
    """Rising neighbours, three and more of them, as one text; and how many each text stands for."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    texts: list[str] = []
    counts: list[int] = []
    for run in runs:
        written = [f"{run[0]}-{run[-1]}"] if len(run) > 2 else [str(value) for value in run]
        texts += written
        counts += [len(run)] if len(run) > 2 else [1] * len(run)
    return texts, counts


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn where the user's own code called into this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "symtorch":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


class SymTorchError(Exception):
    """Base of every error that symtorch raises on purpose.

    A message that is longer than anybody reads loses its middle.
    """

    def __init__(self, *args: object) -> None:
        if args and isinstance(args[0], str) and len(args[0]) > LONGEST_MESSAGE:
            text = args[0]
            args = (f"{text[: LONGEST_MESSAGE - 310]} [...] {text[-300:]}", *args[1:])
        super().__init__(*args)


class InputError(SymTorchError, ValueError):
    """An argument, an option or captured data that can't be used as it is."""


class OptionError(InputError):
    """A search option that is unknown, of the wrong type, impossible, or beyond the chosen engine."""


class ParseError(InputError):
    """Text that is not an equation of the known operators."""


class NotDistilledError(SymTorchError, RuntimeError, ValueError):
    """Equations were asked for that do not exist (yet). A ValueError too, which some methods raised in 1.0."""


class NotSetUpError(SymTorchError, RuntimeError):
    """A step was taken before the one that it needs."""


class ReleasedError(SymTorchError, RuntimeError):
    """A block is wanted whose weights were released, for its equations stand in its place for good."""


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


class AskLimitError(SymTorchError, RuntimeError):
    """A block was to be asked for more rows than the user allows (``distill(..., ask=...)``)."""


class PoorFitWarning(UserWarning):
    """Equations stand in a block's place that explain little of what it does."""


class NotAFunctionWarning(UserWarning):
    """A block's output for a row depends on more than the row, so no equation of the row can be the block."""
