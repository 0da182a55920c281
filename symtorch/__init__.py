"""Symbolic distillation for PyTorch: closed-form equations in the place of neural network parts."""

from typing import Any

from symtorch._version import __version__
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
from symtorch.legacy import warn_of_old_name
from symtorch.local.explain import Explanation, explain
from symtorch.model import SymbolicModel
from symtorch.surrogate.constants import fit_constants
from symtorch.surrogate.encodings import Projection
from symtorch.wrapping import distill, unwrap, wrap

__all__ = [
    "EngineError",
    "Equation",
    "Explanation",
    "Front",
    "InputError",
    "NotDistilledError",
    "OptionError",
    "ParseError",
    "Projection",
    "SearchOptions",
    "StateError",
    "SymTorchError",
    "SymbolicModel",
    "__version__",
    "distill",
    "explain",
    "fit_constants",
    "unwrap",
    "wrap",
]


def __getattr__(name: str) -> Any:
    """Names that are made when they are first wanted: what they need takes long to import, or they are old."""
    if name == "SymbolicRegressor":  # scikit-learn comes with it, and only then
        from symtorch.estimator import SymbolicRegressor

        return SymbolicRegressor
    if name == "plotting":  # matplotlib
        from symtorch.local import plotting

        return plotting
    if name == "SymbolicMLP":
        warn_of_old_name(name, "SymbolicModel", stacklevel=3)
        return SymbolicModel
    raise AttributeError(f"module 'symtorch' has no attribute {name!r}")
