"""How well data determine the constants of an equation: standard errors by linear propagation.

At the constants c of a least-squares fit with residuals r and Jacobian J (of the equation by its constants) the
covariance of the constants is ``s^2 (J'WJ)^-1`` with ``s^2 = r'Wr/(n - p)`` (Seber & Wild 1989, Nonlinear
Regression, section 2.1.2): residuals are taken as independent, with variances in inverse proportion to the
weights. Two things are added to it. What rounding in float64 can do to the targets, all rows at once, since of
an exact fit nothing else is left; and the square of the Gauss-Newton step that would go to the least squares,
for constants that were rounded, trained or left before the end of a fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symtorch.equations.expr import Call, Constant, Expr, Variable, constants, fold
from symtorch.equations.lines import line_of
from symtorch.equations.numerals import have_numerals
from symtorch.errors import InputError

_ROUNDING = float(np.finfo(np.float64).eps)
_NUMBERS = (1.0, math.pi, math.e, math.sqrt(2.0))
_LARGEST, _DENOMINATORS = 1000, range(1, 13)
_UNITS = np.outer(1.0 / np.array(_NUMBERS), np.array(_DENOMINATORS)).ravel()


@dataclass(frozen=True, repr=False)
class Estimate:
    """One constant of an equation, and how far off it may be.

    >>> Estimate(1.97423, 0.0031), Estimate(2.0), Estimate(-1.53e-10, 2e-12), Estimate(0.3, math.inf)
    (1.974 ± 0.003, 2, (-1.530 ± 0.020)e-10, 0.3 (undetermined))

    Attributes:
        value: as it stands in the equation.
        standard_error: one standard deviation; infinite where the data leave it open, since other constants can
            make up for it; NaN where no derivative says how the equation depends on it; None for a number that
            is taken as exact (:func:`is_exact`), or where no errors were computed.
    """

    value: float
    standard_error: float | None = None

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        error = self.standard_error
        if error is None:
            return f"{self.value:.6g}"
        if not math.isfinite(error):
            return f"{self.value:.6g} ({'undetermined' if error > 0 else 'error unknown'})"
        return _with_error(self.value, error)

    __repr__ = __str__


def _with_error(value: float, error: float) -> str:
    """Value and error, both to the error's first digit; to its second where the first is 1 or 2."""
    if error == 0.0:
        return f"{value!r} ± 0"
    # One digit would round such an error by up to a third.
    last = math.floor(math.log10(error)) - (1 if f"{error:e}"[0] in "12" else 0)
    power = math.floor(math.log10(max(abs(value), error)))
    if last > 0 or power < -4:
        digits = max(0, power - last)
        return f"({value / 10.0**power:.{digits}f} ± {error / 10.0**power:.{digits}f})e{power:+03d}"
    return f"{value:.{-last}f} ± {error:.{-last}f}"


def is_exact(value: float) -> bool:
    """Whether a constant is a simple number, which no fit comes upon but by decision.

    Those are fractions with denominators up to 12 and numerators up to 1,000, of 1, pi, e and the root of 2, and
    those that are written as such (:mod:`.numerals`): exponents and factors that belong to the form of a law, and
    constants that a search has rounded to them.

    >>> [is_exact(value) for value in (-1.0, 2 / 3, math.pi / 2, 3 / (8 * math.pi), 1.974)]
    [True, True, True, True, False]
    """
    return bool(_are_exact([value])[0])


def _are_exact(values: Sequence[float]) -> np.ndarray:
    """:func:`is_exact` of many, as booleans."""
    with np.errstate(all="ignore"):
        ratios = np.abs(np.asarray(values, dtype=np.float64))[:, None] * _UNITS
        found = (ratios <= _LARGEST) & (np.abs(ratios - np.round(ratios)) <= 2 * _ROUNDING * ratios)
    return found.any(axis=1) | have_numerals(np.abs(values), 2 * _ROUNDING)


def standard_errors(
    expr: Expr, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float | None, ...]:
    """Standard errors of the constants of an equation, in the order of :func:`symtorch.equations.expr.walk`.

    >>> from symtorch.equations.parser import parse
    >>> x = np.linspace(0, 3, 100)
    >>> y = 1.974 * x**2 + 0.1 * np.random.default_rng(0).normal(size=100)
    >>> a = float(x**2 @ y / (x**4).sum())
    >>> [Estimate(a, error) for error in standard_errors(parse(f"{a}*x^2", ["x"]), x[:, None], y)[:1]]
    [1.9755 ± 0.0024]

    Args:
        expr: the equation, over the columns of X, its constants fitted by least squares.
        X: (n, n_inputs).
        y: (n,), what it was fitted to.
        weights: (n,), not negative; None for equal ones.

    Returns:
        for each constant its error, as :class:`Estimate` has it.

    Raises:
        InputError: X, y and the weights are not of equally many rows.
    """
    return StandardErrors(X, weights).of(expr, y)


class StandardErrors:
    """Standard errors of many equations that were fitted to the same rows; see :func:`standard_errors`.

    Of lines the derivatives are columns of the rows, whatever their constants: what takes longest is done once.
    """

    def __init__(self, X: np.ndarray, weights: np.ndarray | None = None) -> None:
        self._X = np.asarray(X, dtype=np.float64)
        self._weights = None if weights is None else np.asarray(weights, dtype=np.float64)
        self._lines: dict[tuple[int, ...], _Directions | None] = {}  # by what the constants stand before
        self._spent = 0  # on lines, in squared columns
        self._basis: _Factors | None = None  # Q and R of all columns, a one last

    def of(self, expr: Expr, y: np.ndarray) -> tuple[float | None, ...]:
        """Those of the constants of one equation, fitted to y (n,)."""
        X, y, w = self._X, np.asarray(y, dtype=np.float64), self._weights
        if X.ndim != 2 or y.shape != X.shape[:1] or (w is not None and w.shape != y.shape):
            shapes = f"X {X.shape}, y {y.shape}" + ("" if w is None else f" and weights {w.shape}")
            raise InputError(f"{shapes} do not fit together; expected (n, n_inputs), (n,) and weights (n,).")
        values = constants(expr)
        free = np.flatnonzero(~_are_exact(values)).tolist()
        if not free:
            return (None,) * len(values)
        root = None
        if w is not None:
            X, y, w = X[w > 0.0], y[w > 0.0], w[w > 0.0]
            root = np.sqrt(w / w.mean()) if len(w) else w
        line = line_of(expr)
        if line is None:
            found, slopes = _with_slopes(expr, X, free)
            directions = _directions(*_factors(_weighed(np.stack([slopes[k] for k in free], axis=1), root)))
        else:
            free.sort(key=lambda k: line.places[k])
            found, key = line.predict(X), tuple(line.places[k] for k in free)
            if key not in self._lines:  # but for signs, which make no difference to an error
                self._lines[key] = _directions(*self._factors_of(key, X, root))
            directions = self._lines[key]
        r = y - found if root is None else (y - found) * root
        errors = dict(zip(free, _errors(directions, r, y, len(free)), strict=True))
        floor = [_ROUNDING * abs(value) for value in values]
        return tuple(max(errors[k], floor[k]) if k in errors else None for k in range(len(values)))

    def _factors_of(self, columns: tuple[int, ...], X: np.ndarray, root: np.ndarray | None) -> _Factors:
        """Of these columns, -1 for a one: from those of all columns, once that is worth it."""
        self._spent += len(columns) ** 2
        if self._basis is None and self._spent > 2 * (X.shape[1] + 1) ** 2:
            self._basis = _factors(_weighed(np.column_stack([X, np.ones(len(X))]), root))
        if self._basis is not None:
            Q, R = self._basis
            return Q, None if R is None else R[:, columns]
        return _factors(_weighed(np.where(np.array(columns) < 0, 1.0, X[:, columns]), root))


def _weighed(J: np.ndarray, root: np.ndarray | None) -> np.ndarray:
    return J if root is None else J * root[:, None]


_Factors = tuple[np.ndarray, np.ndarray | None]
"""Q (n, m) and R (m, p) of a matrix (n, p); no R where it has values that are not finite."""


def _factors(J: np.ndarray) -> _Factors:
    if not np.isfinite(J).all():
        return np.empty((len(J), 0)), None
    # In units of each column's size, so that their squares do not overflow.
    size = np.abs(J).max(axis=0, initial=0.0)
    Q, R = np.linalg.qr(J / np.where(size > 0.0, size, 1.0))
    return Q, R * size


@dataclass(frozen=True, eq=False)
class _Directions:
    """What p constants do to an equation's values on n rows, in orthogonal directions.

    Attributes:
        moved: (q,), positions of the constants that do anything.
        size: (q,), what each of them does; the others are in units of it.
        rows: (n, m), orthogonal columns that span what they do.
        onto: (k, m), what takes these to steps in the k directions that are known.
        inverse: (q, k), what takes those to the constants.
        open: (q,), how much of each constant is in directions that aren't known.
    """

    moved: np.ndarray
    size: np.ndarray
    rows: np.ndarray
    onto: np.ndarray
    inverse: np.ndarray
    open: np.ndarray


def _directions(Q: np.ndarray, R: np.ndarray | None) -> _Directions | None:
    """Of the factors of derivatives (n, p); None where some are not finite."""
    if R is None:
        return None
    largest = np.abs(R).max(axis=0, initial=0.0)
    moved = np.flatnonzero(largest > 0.0)
    # In units of each constant's own sensitivity, so that no choice of units makes a direction look singular.
    size = largest[moved] * np.linalg.norm(R[:, moved] / largest[moved], axis=0)
    units = R[:, moved] / size
    regular = _inverted(units, len(Q))
    if regular is not None:
        return _Directions(moved, size, Q, *regular, np.zeros(len(moved)))
    U, S, V = np.linalg.svd(units, full_matrices=False)
    known = len(Q) * _ROUNDING * S.max(initial=0.0) < S
    open_ = np.abs(V[~known]).max(axis=0, initial=0.0)
    return _Directions(moved, size, Q, U.T[known], V[known].T / S[known], open_)


def _inverted(A: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray] | None:
    """``onto`` and ``inverse`` of a matrix all of whose directions are known, in an eighth of the time."""
    if not 0 < A.shape[1] <= A.shape[0]:
        return None
    onto, R = np.linalg.qr(A)
    try:
        inverse = np.linalg.inv(R)
    except np.linalg.LinAlgError:
        return None
    # The norms' product is more than the ratio of the largest to the smallest singular value.
    condition = np.linalg.norm(A) * np.linalg.norm(inverse)
    return (onto.T, inverse) if n * _ROUNDING * condition < 1.0 else None


def _errors(directions: _Directions | None, r: np.ndarray, y: np.ndarray, p: int) -> list[float]:
    """Standard errors of p constants where r (n,) is left of y (n,)."""
    n = len(r)
    if directions is None or not np.isfinite(r).all():
        return [math.nan] * p
    if n <= p:
        return [math.inf] * p
    step = directions.inverse @ (directions.onto @ (directions.rows.T @ r))
    variance = float(r @ r) / (n - p) + _ROUNDING**2 * float(y @ y)
    squared = variance * (directions.inverse**2).sum(axis=1) + step**2
    open_ = directions.open > math.sqrt(_ROUNDING)
    out = [math.nan] * p
    for k, error, undetermined in zip(directions.moved, np.sqrt(squared) / directions.size, open_, strict=True):
        out[k] = math.inf if undetermined else float(error)
    return out


def _with_slopes(expr: Expr, X: np.ndarray, free: Sequence[int]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """The equation's values on the rows (n,), and its derivatives by these constants, forward with the values.

    Args:
        free: positions of the constants in the order of ``walk``, which is that of the leaves here too.
    """
    wanted, position = set(free), iter(range(len(constants(expr))))

    def rule(node: Expr, parts: list[tuple[Any, dict[int, Any]]]) -> tuple[Any, dict[int, Any]]:
        if isinstance(node, Constant):
            k = next(position)
            return np.float64(node.value), ({k: 1.0} if k in wanted else {})
        if isinstance(node, Variable):
            return X[:, node.index], {}
        assert isinstance(node, Call)
        value = node.op.numpy(*[part for part, _ in parts])
        slopes: dict[int, Any] = {}
        if any(inner for _, inner in parts):
            partials = _partials(node, value, [part for part, _ in parts])
            for partial, (_, inner) in zip(partials, parts, strict=True):
                slopes |= {k: partial * slope for k, slope in inner.items()}
        return value, slopes

    with np.errstate(all="ignore"):
        value, slopes = fold(expr, rule)
    return np.broadcast_to(value, len(X)), {k: np.broadcast_to(slope, len(X)) for k, slope in slopes.items()}


def _partials(node: Call, value: Any, args: list[Any]) -> Sequence[Any]:
    """Zeros for an operator that changes by jumps only: where it jumps no derivative says."""
    return (0.0,) * len(args) if node.op.partials is None else node.op.partials(value, *args)
