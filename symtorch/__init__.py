"""Symbolic distillation for PyTorch: closed-form equations in the place of neural network parts."""

from typing import Any

from symtorch.equations import Equation, Front
from symtorch.errors import (
    EngineError,
    InputError,
    NotDistilledError,
    OptionError,
    ParseError,
    StateError,
    SymTorchError,
)
from symtorch.local import Explanation, explain
from symtorch.model import SymbolicModel, distill
from symtorch.options import SearchOptions
from symtorch.wrapping import unwrap, wrap

__version__ = "2.0.0.dev0"

__all__ = [
    "EngineError",
    "Equation",
    "Explanation",
    "Front",
    "InputError",
    "NotDistilledError",
    "OptionError",
    "ParseError",
    "SearchOptions",
    "StateError",
    "SymTorchError",
    "SymbolicModel",
    "distill",
    "explain",
    "unwrap",
    "wrap",
]


def __getattr__(name: str) -> Any:
    from symtorch import legacy

    return legacy.__getattr__(name)
