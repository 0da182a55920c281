"""Thresholds by sweeping: for every place where a step or a kink could be, what it would explain.

With the rows sorted by u, the columns ``1[u > t]`` and ``max(u - t, 0)`` of one threshold follow from those
of the next by adding a row, so cumulative sums give their products with everything else for all n
thresholds at once, O(n log n) for a direction u and O(n q) for q columns that are there already. It is the
update with which multivariate adaptive regression splines choose their knots (Friedman 1991, doi
10.1214/aos/1176347963).

A line on one side and another one on the other side of an unknown plane are found by turns: the plane is
where the two meet, the lines are fitted to either side of it (hinging hyperplanes, Breiman 1993, doi
10.1109/18.256506).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.forms.numbers import shortest_between

Array = np.ndarray

_FEWEST = 3
"""Rows that must lie on either side of a threshold."""
_TURNS = 30
_PENALTIES = (1.0, 1e2, 1e4, 1e6)
_SOLVED = 2000
"""Thresholds times columns for which the least-squares problem of a split is solved."""
_NOTHING = 1e-9
"""Share of a column's square that must be left beside the others, for it to be a new one."""


@dataclass(frozen=True)
class Threshold:
    """One place on a direction.

    Attributes:
        low, high: neighbouring values of the direction; the threshold is between them.
        gain: squares that the new column explains.
    """

    low: float
    high: float
    gain: float

    @property
    def value(self) -> float:
        """The shortest number in between."""
        return shortest_between(self.low, self.high)


def best_kink(u: Array, root: Array, residual: Array, Q: Array) -> Threshold | None:
    """Where a kink ``max(u - t, 0)`` explains most of the residual.

    Args:
        u: (n,) the direction.
        root: (n,) square roots of the rows' weights; all else is in units of their inverse.
        residual: (n,) what is left, orthogonal to Q.
        Q: (n, q) orthonormal columns that are there already.
    """
    order, places = _places(u)
    if len(places) == 0:
        return None
    width = float(u.std())
    v = ((u - u.mean()) / width)[order]
    plain = np.column_stack([residual, Q])[order] * root[order, None]
    square = root[order] ** 2
    m = plain.shape[1]
    sums = _above(np.column_stack([plain, v[:, None] * plain, square, v * square, v * v * square]), places)
    t = v[places]
    product = sums[:, m : 2 * m] - t[:, None] * sums[:, :m]
    full = sums[:, -1] - 2.0 * t * sums[:, -2] + t * t * sums[:, -3]
    new = full - (product[:, 1:] ** 2).sum(axis=1)
    gains = np.where(new > _NOTHING * full, product[:, 0] ** 2 / np.maximum(new, 1e-300), 0.0)
    return _threshold(u[order], places, gains)


def best_split(u: Array, y: Array, B: Array, common: Array) -> Threshold | None:
    """Where ``1[u > t]*B`` explains most: other coefficients of the columns B on either side.

    Args:
        u: (n,) the direction.
        y: (n,) the target.
        B: (n, p) columns with a coefficient for each side; only a constant for a step.
        common: (n, q) columns with one coefficient.
    """
    p = B.shape[1]
    order, places = _places(u, max(_FEWEST, 2 * p))
    if len(places) == 0:
        return None
    Q = orthonormal(np.column_stack([B, common]))
    residual = (y - Q @ (Q.T @ y))[order]
    B = B[order] / np.maximum(np.linalg.norm(B, axis=0), 1e-300)
    pairs = np.einsum("ni,nj->nij", B, np.column_stack([B, Q[order], residual])).reshape(len(u), -1)

    def gains(places: Array) -> Array:
        sums = pairs[places + 1].reshape(len(places), p, -1)
        gram = sums[:, :, :p] - sums[:, :, p:-1] @ np.swapaxes(sums[:, :, p:-1], 1, 2)
        # The columns of one side can be all but dependent on the others: what rounding leaves of them is none.
        values, vectors = np.linalg.eigh(gram)
        along = np.einsum("kij,ki->kj", vectors, sums[:, :, -1])
        size = np.trace(sums[:, :, :p], axis1=1, axis2=2)[:, None]
        return np.where(values > _NOTHING * size, along**2 / np.maximum(values, 1e-300), 0.0).sum(axis=1)

    pairs = np.cumsum(pairs[::-1], axis=0)[::-1]
    step = max(1, len(places) * p // _SOLVED)
    if step > 1:  # first every so many, then all around the best of them
        k = step * int(np.argmax(gains(places[::step])))
        places = places[max(0, k - step) : k + step + 1]
    return _threshold(u[order], places, gains(places))


def hinges(A: Array, root: Array, y: Array, common: Array, planes: Sequence[Array]) -> tuple[list[Array], float] | None:
    """Planes at which lines turn into others: ``y = common*c + sum of k_i*max(A.w_i, 0)``, all by turns.

    Args:
        A: (n, d + 1) the inputs and a constant.
        root: (n,) square roots of the rows' weights.
        y: (n,) the target, times these.
        common: (n, q) columns beside the kinks, times these; A's should be among them.
        planes: (d + 1,) coefficients w of each to begin with; their scale has no meaning.

    Returns:
        every w, and the mean square that is left, at the best turn; None if a plane leaves the data.
    """
    best, found, weighted = np.inf, None, A * root[:, None]
    for _ in range(_TURNS):
        sides = [A @ w > 0.0 for w in planes]
        if not all(_FEWEST <= side.sum() <= len(A) - _FEWEST for side in sides):
            break
        both = np.column_stack([common, *(root * np.maximum(A @ w, 0.0) for w in planes)])
        solution, *_ = np.linalg.lstsq(both, y, rcond=None)
        left = float(np.mean((both @ solution - y) ** 2))
        if found is not None and not left < best * (1.0 - 1e-6):
            break
        best, found = left, list(planes)
        columns = np.column_stack([common, *(weighted * side[:, None] for side in sides)])
        solution, *_ = np.linalg.lstsq(columns, y, rcond=None)
        planes = list(solution[common.shape[1] :].reshape(len(planes), -1))
    return None if found is None else (found, best)


def separating(A: Array, labels: Array) -> Array:
    """Coefficients w of a plane with ``A.w > 0`` where the label is true, if there is one.

    A support vector machine with squared slacks, by Newton's method in the primal (Chapelle 2007, doi
    10.1162/neco.2007.19.5.1155); its margin is as good as wide where a plane separates the rows.

    Args:
        A: (n, d + 1) the inputs, about standardised, and a constant.
        labels: (n,) booleans.
    """
    M = A * np.where(labels, 1.0, -1.0)[:, None]
    w = np.zeros(A.shape[1])
    for penalty in _PENALTIES:
        ridge = np.diag([*[1.0] * (A.shape[1] - 1), 1e-3]) / penalty

        def objective(w: Array, ridge: Array = ridge) -> float:
            return float(w @ ridge @ w + (np.maximum(1.0 - M @ w, 0.0) ** 2).sum())

        for _ in range(_TURNS):
            inside = M[M @ w < 1.0]
            step = np.linalg.solve(inside.T @ inside + ridge, inside.sum(axis=0)) - w
            size = 1.0
            while size > 1e-6 and objective(w + size * step) > objective(w):
                size *= 0.5
            w = w + size * step
            if np.abs(step).max() < 1e-9 * np.abs(w).max():
                break
    return w


def orthonormal(columns: Array) -> Array:
    """Orthonormal columns with the same span; fewer where those depend on each other."""
    size = np.linalg.norm(columns, axis=0)
    left, singular, _ = np.linalg.svd(columns[:, size > 0.0] / size[size > 0.0], full_matrices=False)
    return left[:, singular > 1e-9 * singular[0]] if len(singular) else columns[:, :0]


def explained(A: Array, y: Array, drop: float = 1e-10) -> tuple[Array, float]:
    """Least squares with the columns that it needs.

    The column that is missed least is left out as long as the mean square left over stays below what it was
    or ``drop`` of the mean square of y.

    Returns:
        the coefficients, 0 for columns left out, and the mean square that is left.
    """
    size = np.maximum(np.linalg.norm(A, axis=0), 1e-300)
    used = list(range(A.shape[1]))
    solution, left = _solved(A / size, used, y)
    allowed = 1.02 * left + drop * float(np.mean(y * y))
    while len(used) > 1:
        tried = [(_solved(A / size, [j for j in used if j != i], y)[1], i) for i in used]
        least, i = min(tried)
        if least > allowed:
            break
        used.remove(i)
    solution, left = _solved(A / size, used, y)
    out = np.zeros(A.shape[1])
    out[used] = solution / size[used]
    return out, left


def _solved(A: Array, used: list[int], y: Array) -> tuple[Array, float]:
    solution, *_ = np.linalg.lstsq(A[:, used], y, rcond=None)
    return solution, float(np.mean((A[:, used] @ solution - y) ** 2))


def _places(u: Array, fewest: int = _FEWEST) -> tuple[Array, Array]:
    """The order by u, and the positions in it after which a threshold may lie."""
    order = np.argsort(u, kind="stable")
    sorted_u = u[order]
    places = np.flatnonzero(sorted_u[1:] > sorted_u[:-1])
    return order, places[(places >= fewest - 1) & (places < len(u) - fewest)]


def _above(columns: Array, places: Array) -> Array:
    """(k, m) sums of sorted columns over the rows above each place."""
    total = np.cumsum(columns[::-1], axis=0)[::-1]
    return total[places + 1]


def _threshold(u: Array, places: Array, gains: Array) -> Threshold | None:
    k = int(np.argmax(gains))
    if not gains[k] > 0.0:
        return None
    return Threshold(float(u[places[k]]), float(u[places[k] + 1]), float(gains[k]))
