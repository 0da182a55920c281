"""The operator table: what each operator is called and how each world computes it.

Every converter (parsing, evaluation, torch, SymPy, export, the engines) reads this table and nothing
else, so an operator is added in one place: a row of :mod:`symtorch.equations.table`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from symtorch.equations.expr import Operator
from symtorch.equations.table import ALIASES, ROWS, Row

__all__ = ["ALIASES", "OPERATORS", "Operator"]


OPERATORS: dict[str, Operator] = {}
"""Every operator by PySR's name."""

_ARGUMENTS = ("x", "y", "z")


def _torch_special(name: str) -> Callable[[Any], Any]:
    """A special function over arrays, by torch: NumPy has none, and SciPy would have to be imported."""

    def call(x: Any) -> Any:
        result = getattr(torch.special, name)(torch.as_tensor(np.asarray(x, dtype=np.float64), device="cpu"))
        return result.numpy() if np.ndim(x) else np.float64(result)

    return call


def _gamma(x: Any) -> Any:
    x = np.asarray(x, dtype=np.float64)
    sign = np.where((x < 0) & (np.floor(x) % 2 == 1), -1.0, 1.0)
    return np.where((x <= 0) & (x == np.floor(x)), np.nan, sign * np.exp(_torch_special("gammaln")(x)))


_NUMPY_SCOPE: dict[str, Any] = {
    "np": np,
    "erf": _torch_special("erf"),
    "erfc": _torch_special("erfc"),
    "digamma": _torch_special("digamma"),
    "gamma": _gamma,
}


@cache
def _sympy_scope() -> dict[str, Any]:
    import sympy

    from symtorch.equations import sympy_words

    words = (sympy_words.condition, sympy_words.half_to_even, sympy_words.indicator, sympy_words.power)
    return {"sympy": sympy, **{word.__name__: word for word in words}}


def _function(text: str, arguments: Sequence[str], scope: dict[str, Any]) -> Callable[..., Any]:
    """What a text of the table means: a function by its name, or an expression in the arguments."""
    if not text.replace(".", "").replace("_", "").isalnum():
        text = f"lambda {', '.join(arguments)}: {text}"
    return eval(text, scope)


def _from_row(row: Row) -> Operator:
    arguments = _ARGUMENTS[: row.arity]

    def in_sympy(*args: Any) -> Any:  # SymPy is imported when an equation is first shown
        return _function(row.sympy, arguments, _sympy_scope())(*args)

    partials = None
    if row.partials:
        partials = _function(f"({row.partials.replace(';', ',')},)", ("v", *arguments), _NUMPY_SCOPE)
    return Operator(
        row.name,
        row.arity,
        _function(row.numpy, arguments, _NUMPY_SCOPE),
        _function(row.torch, arguments, {"torch": torch}),
        in_sympy,
        partials,
        row.precedence,
        row=row,
    )


OPERATORS.update((row.name, _from_row(row)) for row in ROWS)
