"""Whether what equations leave is independent noise, or follows from the inputs.

Kernel ridge regression predicts each residual from those around it. Its leave-one-out errors have a closed form
(Golub, Heath and Wahba 1979, doi 10.1080/00401706.1979.10489751). If no width and no ridge predicts any better than the
mean does, nothing smooth is left in the rows that an equation could say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symtorch.equations.description import lengths
from symtorch.equations.expr import Expr, evaluate

Array = np.ndarray

CHANCE = 10.0
"""What chance lets the best of these regressions explain of pure noise, times the number of rows: under 7 in 95 of 100
trials with 200 to 500 rows and one to six inputs."""

_ROWS = 600
"""Rows of the test, a random part where there are more: it takes a fifth of a second."""
_WIDTHS = (0.5, 1.0, 2.0)
"""Of the kernel, in units of the typical distance of two rows."""
_RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0)


def predictable(X: Array, residuals: Array, seed: int = 0) -> float:
    """The share of the residuals' variance that residuals of other rows predict; about 0, or less, for noise.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(1.0, 3.0, (400, 2))
    >>> noise = rng.normal(size=400)
    >>> predictable(X, noise) < CHANCE / 400 < 0.1 < predictable(X, noise + np.sin(3.0 * X[:, 0]))
    True

    Args:
        X: (n, n_inputs).
        residuals: (n,), finite.
        seed: of the rows that are taken where there are many.
    """
    if len(X) > _ROWS:
        rows = np.random.default_rng(seed).choice(len(X), _ROWS, replace=False)
        X, residuals = X[rows], residuals[rows]
    spread = X.std(axis=0)
    Z = (X - X.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    squares = (Z**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2.0 * Z @ Z.T, 0.0)
    y = residuals - residuals.mean()
    total = float(y @ y)
    if not total > 0.0:
        return 0.0
    return max(1.0 - _left(np.exp(-distances / (2.0 * w**2 * Z.shape[1])), y) / total for w in _WIDTHS)


def is_noise(X: Array, residuals: Array, seed: int = 0) -> bool:
    """Whether residuals can't be told from independent noise; see :func:`predictable`."""
    return predictable(X, residuals, seed) <= CHANCE / min(len(X), _ROWS)


def down_to_noise(trees: Sequence[Expr], losses: Sequence[float], X: Array, y: Array) -> int | None:
    """Position of the equation that says all but noise; None if none of them is seen to.

    It is the one of the shortest description. A longer one must be there, which isn't worth its length: else what is
    left may be a matter of the search.

    Args:
        trees: equations by rising complexity.
        losses: their mean squared errors on the rows.
        X: (n, n_inputs).
        y: (n,), the targets.
    """
    costs = lengths(trees, losses, X.shape[1], len(X))
    best = int(np.argmin(costs)) if costs else 0
    if best >= len(costs) - 1:
        return None
    with np.errstate(all="ignore"):
        residuals = y - evaluate(trees[best], X)
    return best if np.isfinite(residuals).all() and is_noise(X, residuals) else None


def _left(kernel: Array, y: Array) -> float:
    """Sum of squared leave-one-out errors, for the best ridge."""
    values, vectors = np.linalg.eigh(kernel)
    squares, along = vectors**2, vectors.T @ y
    errors = []
    for ridge in _RIDGES:
        shrunk = np.maximum(values, 0.0) / (np.maximum(values, 0.0) + ridge)
        errors.append(float(np.sum(((y - vectors @ (shrunk * along)) / (1.0 - squares @ shrunk)) ** 2)))
    return min(errors)
