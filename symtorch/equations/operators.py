"""The operators that there are, made from the rows of :mod:`symtorch.equations.table`.

Every converter (parsing, evaluation, torch, SymPy, export) and every search reads these and nothing
else, so an operator is added in one place, as one row. A row of the library's own stands in that table;
a program that brings its own gives it to :func:`add`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch

from symtorch.equations.expr import Operator
from symtorch.equations.table import ROWS, Row
from symtorch.errors import OptionError

__all__ = ["ALIASES", "OPERATORS", "Operator"]


OPERATORS: dict[str, Operator] = {}
"""Every operator by PySR's name, in the order of the table."""

ALIASES: dict[str, str] = {}
"""Other spellings (SymPy's, NumPy's, PySR's older ones) and the operators that they are read as."""

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


def from_row(row: Row) -> Operator:
    """The operator that a row describes."""
    arguments = _ARGUMENTS[: row.arity]

    def in_sympy(*args: Any) -> Any:  # SymPy is imported when an equation is first shown
        return _function(row.sympy, arguments, _sympy_scope())(*args)

    def several(texts: str, names: Sequence[str]) -> Callable[..., Any] | None:
        return _function(f"({texts.replace(';', ',')},)", names, _NUMPY_SCOPE) if texts else None

    return Operator(
        row.name,
        row.arity,
        _function(row.numpy, arguments, _NUMPY_SCOPE),
        _function(row.torch, arguments, {"torch": torch}),
        in_sympy,
        several(row.partials, ("v", *arguments)),
        several(row.inverse, ("v",)),
        row.precedence,
        row=row,
    )


def add(row: Row) -> Operator:
    """Make an operator known everywhere: to equations as text, torch, SymPy, exports and searches.

    >>> from symtorch.equations.table import Row
    >>> sec = Row("sec", 1, "1 / torch.cos(x)", "1 / np.cos(x)", "1 / cos(x)", "1 / sympy.cos(x)", parity=1)
    >>> float(add(sec).numpy(np.float64(0.0)))
    1.0
    >>> remove("sec")

    Args:
        row: all that there is to be known of it; its texts are run, so they must be your own.

    Returns:
        the operator, which is then in ``OPERATORS`` too.

    Raises:
        OptionError: the name or an alias is taken, or one of the texts can't be run.
    """
    taken = [name for name in (row.name, *row.aliases) if name in OPERATORS or name in ALIASES]
    if taken:
        raise OptionError(f"there is an operator {taken[0]!r} already; give {row.name!r} another name.")
    if row.inverse and not row.partials:
        raise OptionError(f"operator {row.name!r} has an inverse, which is of use with its partials only; add them.")
    try:
        op = from_row(row)
        with np.errstate(all="ignore"):
            op.numpy(*(np.linspace(0.2, 0.8, 3),) * row.arity)
            op.torch(*(torch.linspace(0.2, 0.8, 3, device="cpu"),) * row.arity)
    except Exception as error:
        raise OptionError(f"a text of operator {row.name!r} can't be run: {type(error).__name__}: {error}") from error
    OPERATORS[row.name] = op
    ALIASES.update(dict.fromkeys(row.aliases, row.name))
    return op


def remove(name: str) -> None:
    """Forget an operator that :func:`add` has added; equations that hold it stay as they are.

    Raises:
        OptionError: it is one of the library's own, or there is none of that name.
    """
    if name not in OPERATORS or OPERATORS[name].row in ROWS:
        raise OptionError(f"operator {name!r} has not been added, so it can't be removed.")
    row = OPERATORS.pop(name).row
    for alias in row.aliases if row is not None else ():
        del ALIASES[alias]


@lru_cache(maxsize=256)
def parity(op: Operator) -> int:
    """1 for an even function of one argument, -1 for an odd one, 0 for neither; a user's own is tried out."""
    if op.row is not None:
        return op.row.parity
    x = np.random.default_rng(0).uniform(0.1, 0.9, 16)
    with np.errstate(all="ignore"):
        forth, back = op.numpy(x), op.numpy(-x)
    if np.allclose(forth, back, rtol=1e-12):
        return 1
    return -1 if np.allclose(forth, -np.asarray(back), rtol=1e-12) else 0


for _row in ROWS:
    OPERATORS[_row.name] = from_row(_row)
    ALIASES.update(dict.fromkeys(_row.aliases, _row.name))
