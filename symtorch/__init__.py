"""Symbolic distillation for PyTorch: closed-form equations in the place of neural network parts."""

import importlib
from typing import Any

from symtorch._version import __version__
from symtorch.blocks.finetune import Tuning, finetune
from symtorch.blocks.ranking import Rank, Ranking, rank_blocks
from symtorch.engines.options import SearchOptions
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
from symtorch.legacy import REMOVED_FROM_PACKAGE, warn_of_old_name
from symtorch.local.explain import Explanation, explain
from symtorch.model import SymbolicModel
from symtorch.surrogate.constants import fit_constants
from symtorch.surrogate.encodings import Gated, Projection
from symtorch.wrapping import distill, unwrap, wrap

__all__ = [
    "EngineError",
    "Equation",
    "Explanation",
    "Front",
    "Gated",
    "InputError",
    "NotDistilledError",
    "OptionError",
    "ParseError",
    "Projection",
    "Rank",
    "Ranking",
    "SearchOptions",
    "StateError",
    "SymTorchError",
    "SymbolicModel",
    "Tuning",
    "__version__",
    "distill",
    "explain",
    "finetune",
    "fit_constants",
    "rank_blocks",
    "unwrap",
    "wrap",
]


_LATER = {
    "SymbolicRegressor": "estimator",  # needs scikit-learn
    "SymbolicMLP": "renamed",
}
"""Names that are imported when they are first wanted, and the modules that they are in."""


def __getattr__(name: str) -> Any:
    if name == "SymbolicMLP":
        warn_of_old_name(name, "SymbolicModel", stacklevel=3)
    if name in _LATER:
        return getattr(importlib.import_module(f"symtorch.{_LATER[name]}"), name)
    if name == "plotting":
        return importlib.import_module("symtorch.plotting")
    if name in REMOVED_FROM_PACKAGE:
        raise AttributeError(f"symtorch has no {name!r} any more; use {REMOVED_FROM_PACKAGE[name]}.")
    raise AttributeError(f"module 'symtorch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "SymbolicRegressor", "plotting"})
