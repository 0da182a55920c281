"""Which function of one variable an output looks like: a*f(b*x + c) + d.

The affine fit is pykan's (Liu et al. 2024, arXiv:2404.19756, section 2.5.1): a grid over b and c that
zooms in, and for each of its points the least-squares a and d, which only takes a correlation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.equations.expr import Call, Constant, Expr, Variable, evaluate, to_text
from symtorch.equations.operators import OPERATORS
from symtorch.equations.r2 import r2
from symtorch.errors import InputError


def forms() -> tuple[str, ...]:
    """Functions that are tried, the simpler first. A straight line is "neg"; a cosine is a sine that is moved."""
    return tuple(name for name, op in OPERATORS.items() if op.row is not None and op.row.suggested)


FORMS = forms()
"""Those of the library."""

_GRID = 31
_ZOOMS = 6
_MAX_ROWS = 200


@dataclass(frozen=True)
class Suggestion:
    """One form, fitted.

    Attributes:
        r2: R² over the rows.
        function: name of f.
        variable: index of the variable x.
        expr: the tree of a*f(b*x + c) + d.
        text: the same, with five digits.
    """

    r2: float
    function: str
    variable: int
    expr: Expr
    text: str

    def __str__(self) -> str:
        return f"R² {self.r2:.6f}  {self.text}"


def suggest(
    X: np.ndarray, y: np.ndarray, names: Sequence[str], functions: Sequence[str] | None = None, top: int | None = 5
) -> list[Suggestion]:
    """The forms a*f(b*x + c) + d that fit best, over all variables and functions.

    >>> x = np.linspace(-2, 2, 200)
    >>> suggest(x[:, None], 3 * np.tanh(1.5 * x - 0.5) + 1, ["x"])[0].function
    'tanh'

    Args:
        X: (n_samples, n_inputs).
        y: (n_samples,).
        names: name of each variable.
        functions: names of operators with one argument, the simpler first; None for :func:`forms`.
        top: how many to return; None for all.

    Raises:
        InputError: shapes that don't fit, or a function that is not one of one argument.
    """
    X, y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if X.ndim != 2 or y.shape != (len(X),) or len(names) != X.shape[1]:
        raise InputError(f"X has shape {X.shape}, y {y.shape}, and there are {len(names)} names; they don't fit.")
    functions = forms() if functions is None else functions
    for name in functions:
        if name not in OPERATORS or OPERATORS[name].arity != 1:
            raise InputError(f"function {name!r} is not an operator of one argument.")
    rows = np.unique(np.linspace(0, len(X) - 1, min(len(X), _MAX_ROWS)).astype(int))
    found = []
    for j in range(X.shape[1]):
        for name in functions:
            fitted = _fit(X[rows, j], y[rows], name)
            if fitted is None:
                continue
            expr = _tree(name, j, *fitted)
            explained = r2(y, evaluate(expr, X))
            if np.isfinite(explained):
                found.append(Suggestion(explained, name, j, expr, to_text(expr, names, digits=5)))
    found.sort(key=lambda s: (-round(s.r2, 6), list(functions).index(s.function)))  # of equals, the simpler
    return found[:top]


def _fit(x: np.ndarray, y: np.ndarray, name: str) -> tuple[float, float, float, float] | None:
    """a, b, c and d of the best fit; None where f has no finite values on the data."""
    middle, scale = float(np.mean(x)), float(np.std(x))
    if scale == 0:
        return None
    z, f = (x - middle) / scale, OPERATORS[name].numpy
    slopes, shifts = np.linspace(-6, 6, _GRID), np.linspace(-6, 6, _GRID)
    best = (-np.inf, 0.0, 0.0)
    with np.errstate(all="ignore"):
        for _ in range(_ZOOMS):
            b, c = (grid.ravel() for grid in np.meshgrid(slopes, shifts))
            fit = _squared_correlation(f(b[:, None] * z + c[:, None]), y)
            k = int(np.argmax(fit))
            if fit[k] > best[0]:
                best = (float(fit[k]), float(b[k]), float(c[k]))
            if best[0] == -np.inf:
                return None
            width_b, width_c = (0.15 * (grid[-1] - grid[0]) for grid in (slopes, shifts))
            slopes = np.linspace(best[1] - width_b, best[1] + width_b, _GRID)
            shifts = np.linspace(best[2] - width_c, best[2] + width_c, _GRID)
        _, b1, c1 = best
        values = f(b1 * z + c1)
    spread = float(np.mean((values - values.mean()) ** 2))
    a = float(np.mean((values - values.mean()) * (y - y.mean()))) / spread
    return a, b1 / scale, c1 - b1 * middle / scale, float(y.mean() - a * values.mean())


def _squared_correlation(values: np.ndarray, y: np.ndarray) -> np.ndarray:
    """R² of the best a*v + d, for each row of values (n_fits, n_samples); -inf where v is undefined."""
    usable = np.isfinite(values).all(axis=1) & (np.abs(values) < 1e100).all(axis=1)
    centred = np.where(usable[:, None], values, 0.0)
    size = np.abs(centred).max(axis=1, keepdims=True)
    centred = centred - centred.mean(axis=1, keepdims=True)
    power = (centred**2).sum(axis=1)
    target = y - y.mean()
    flat = power <= (1e-12 * size[:, 0]) ** 2 * len(y)
    fit = (centred @ target) ** 2 / (power * (target @ target))
    return np.where(usable & ~flat & np.isfinite(fit), fit, -np.inf)


def _tree(name: str, variable: int, a: float, b: float, c: float, d: float) -> Expr:
    times, plus = OPERATORS["*"], OPERATORS["+"]
    inner = Call(plus, (Call(times, (Constant(b), Variable(variable))), Constant(c)))
    return Call(plus, (Call(times, (Constant(a), Call(OPERATORS[name], (inner,)))), Constant(d)))
