"""Whether what an equation leaves of a network's answers looks like the network's error, or like more law.

What a network errs by turns up and down many times over the range of its inputs: it was fitted to all that is smoother
than that. So no quadratic says much of it. Behind forty-four networks that have learned laws of
``benchmarks/networks.py`` and their like (ReLU, tanh, GELU, SiLU, errors 1e-5 to 1e-2) the best one leaves at least
0.85 of what the law leaves, and mostly all; of what a sum leaves of ``x0*(4 - x0 - x1/(1 + x0))`` it leaves 0.19. This
is evidence of the teacher's error that does not come from the identity by which an equation was found, so it
contradicts one that holds only nearly.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

_ROWS_PER_TERM = 8
"""Rows for each coefficient, at least: with fewer the share that is left is a matter of chance."""


class Quadratics:
    """Quadratics of the inputs on fixed points.

    >>> rng = np.random.default_rng(0)
    >>> Z = rng.uniform(-2.0, 2.0, (400, 2))
    >>> quadratics = Quadratics(Z)
    >>> quadratics.leave(Z[:, 0] * Z[:, 1] + 0.1 * rng.normal(size=400)) < 0.02
    True
    >>> quadratics.leave(np.sin(9.0 * Z[:, 0] + 7.0 * Z[:, 1])) > 0.9
    True

    Args:
        Z: (n, n_inputs).
    """

    def __init__(self, Z: np.ndarray) -> None:
        self._basis: np.ndarray | None = None
        low, width = Z.min(axis=0), np.ptp(Z, axis=0)
        columns = list(((Z - low) / np.where(width > 0.0, width, 1.0) - 0.5).T)
        if len(columns) > 1:
            terms = [np.ones(len(Z)), *columns]
            terms += [a * b for a, b in combinations_with_replacement(columns, 2)]
            if _ROWS_PER_TERM * len(terms) <= len(Z):
                self._basis = np.linalg.qr(np.stack(terms, axis=1)).Q

    def leave(self, residuals: np.ndarray) -> float:
        """The share of the squares of residuals (n,) that the best quadratic leaves; about 1 where it says nothing.

        It is 1 as well where nobody can tell: of one input, where the error of a network may be as smooth as that, of
        too few rows, and of residuals that are not finite.
        """
        total = float(residuals @ residuals)
        if self._basis is None or not 0.0 < total < np.inf:
            return 1.0
        n, terms = self._basis.shape
        return (total - float(np.sum((residuals @ self._basis) ** 2))) / total * n / (n - terms)
