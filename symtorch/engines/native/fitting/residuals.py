"""Whether what equations leave is independent noise, or follows from the inputs.

Kernel ridge regression predicts each residual from those around it. Its leave-one-out errors have a closed form
(Golub, Heath and Wahba 1979, doi 10.1080/00401706.1979.10489751). If no width and no ridge predicts any better than the
mean does, nothing smooth is left in the rows that an equation could say. Kernels see any shape, at the price of many
degrees of freedom; an F test of polynomials of the second degree, which have few, sees the slopes and bends that an
equation leaves which is only much like the law.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.fitting.losses import SQUARED, Loss
from symtorch.equations.description import lengths
from symtorch.equations.expr import Expr, evaluate

Array = np.ndarray

CHANCE = 10.0
"""What chance lets the best of these regressions explain of pure noise, times the number of rows: under 7 in 95 of 100
trials with 200 to 500 rows and one to six inputs."""

_ROWS = 600
"""Rows of the test, a random part where there are more: the kernels take a fifth of a second."""
_WIDTHS = (0.5, 1.0, 2.0)
"""Of the kernel, in units of the typical distance of two rows."""
_RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0)
_BENT = 3.1
"""Standard deviations above which an F test sees a polynomial in what is left: noise has one in a thousand."""
_PER_TERM = 5
"""Rows for each term that polynomials need, so that a few that lie far out don't decide."""


@dataclass(frozen=True, eq=False)
class Regressions:
    """Kernel ridge regressions on the same inputs, ready for any number of targets.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(1.0, 3.0, (400, 2))
    >>> noise, on_others = rng.normal(size=400), Regressions.on(X)
    >>> on_others.predictable(noise) < CHANCE / 400 < 0.1 < on_others.predictable(noise + np.sin(3.0 * X[:, 0]))
    True
    >>> on_others.is_noise(noise)
    True

    Attributes:
        rows: (m,) that are looked at.
        kernels: eigenvalues (m,) and eigenvectors (m, m) of the kernel of each width.
        polynomials: (n, q) of mean 0, orthonormal on all rows; q = 0 where rows are few.
    """

    rows: Array
    kernels: tuple[tuple[Array, Array], ...]
    polynomials: Array

    @classmethod
    def on(cls, X: Array, seed: int = 0) -> Regressions:
        """Regressions on inputs (n, n_inputs); the seed is that of the rows that are taken where there are many."""
        rows = np.arange(len(X))
        if len(X) > _ROWS:
            rows = np.random.default_rng(seed).choice(len(X), _ROWS, replace=False)
        spread = X.std(axis=0)
        scaled = (X - X.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
        Z = scaled[rows]
        squares = (Z**2).sum(axis=1)
        near = np.maximum(squares[:, None] + squares - 2.0 * Z @ Z.T, 0.0) / (2.0 * Z.shape[1])
        found = (np.linalg.eigh(np.exp(-near / width**2)) for width in _WIDTHS)
        kernels = tuple((np.maximum(values, 0.0), vectors) for values, vectors in found)
        return cls(rows, kernels, _polynomials(scaled[:, spread > 0.0]))

    def predictable(self, residuals: Array) -> float:
        """The share of the variance of residuals (n,) that those of other rows predict; about 0, or less, for noise."""
        y = residuals[self.rows] - residuals[self.rows].mean()
        total = float(y @ y)
        return max(1.0 - _left(*kernel, y) / total for kernel in self.kernels) if total > 0.0 else 0.0

    def is_noise(self, residuals: Array) -> bool:
        """Whether residuals (n,), finite, can't be told from independent noise."""
        return self.predictable(residuals) <= CHANCE / len(self.rows) and self.bent(residuals) <= _BENT

    def bent(self, residuals: Array) -> float:
        """How sure it is that residuals (n,) hold a polynomial of the inputs, in standard deviations.

        F statistic of the polynomials, brought to a normal distribution (Paulson 1942, doi 10.1214/aoms/1177731608).
        """
        y = residuals - residuals.mean()
        along = self.polynomials.T @ y
        q, left = len(along), len(y) - len(along) - 1
        explained, rest = float(along @ along), float(y @ y - along @ along)
        if q == 0 or rest <= 0.0:
            return 0.0 if q == 0 or explained == 0.0 else np.inf
        root, few, many = float(np.cbrt(explained / q * left / rest)), 2.0 / (9.0 * q), 2.0 / (9.0 * left)
        return float(((1.0 - many) * root - (1.0 - few)) / np.sqrt(many * root**2 + few))


def down_to_noise(
    trees: Sequence[Expr],
    losses: Sequence[float],
    X: Array,
    y: Array,
    regressions: Callable[[], Regressions],
    weights: Array | None = None,
    loss: Loss = SQUARED,
) -> int | None:
    """Position of the equation that says all but noise; None if none of them is seen to.

    It is the one of the shortest description. A longer one must be there, which isn't worth its length: else what is
    left may be a matter of the search.

    Args:
        trees: equations by rising complexity.
        losses: their mean losses on the rows.
        X: (n, n_inputs).
        y: (n,), the targets.
        regressions: on X, for whoever asks of many targets; only called where they are needed.
        weights: (n,), as the inverse of the noise's variance; None for equal ones.
        loss: that is minimised.
    """
    costs = lengths(trees, losses, X.shape[1], len(X))
    best = int(np.argmin(costs)) if costs else 0
    if best >= len(costs) - 1:
        return None
    with np.errstate(all="ignore"):
        residuals = loss.deviance_residuals(evaluate(trees[best], X) - y, y)
    if weights is not None:
        residuals = residuals * np.sqrt(weights)
    return best if np.isfinite(residuals).all() and regressions().is_noise(residuals) else None


def _polynomials(Z: Array) -> Array:
    """Of second degree of scaled inputs (n, d), of the first or none where rows are few, less their means: (n, q)."""
    n, d = Z.shape
    columns: list[Array] = []
    if _PER_TERM * (1 + d) <= n:
        columns += list(Z.T)
    if _PER_TERM * (1 + d + d * (d + 1) // 2) <= n:
        columns += [Z[:, i] * Z[:, j] for i in range(d) for j in range(i + 1)]
    if not columns:
        return np.empty((n, 0))
    terms = np.column_stack(columns)
    vectors, sizes, _ = np.linalg.svd(terms - terms.mean(axis=0), full_matrices=False)
    return np.asarray(vectors[:, sizes > 1e-9 * sizes[0]])


def _left(values: Array, vectors: Array, y: Array) -> float:
    """Sum of squared leave-one-out errors, for the best ridge."""
    squares, along = vectors**2, vectors.T @ y
    errors = []
    for ridge in _RIDGES:
        shrunk = values / (values + ridge)
        errors.append(float(np.sum(((y - vectors @ (shrunk * along)) / (1.0 - squares @ shrunk)) ** 2)))
    return min(errors)
