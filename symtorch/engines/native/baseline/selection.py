"""Forward selection for many outputs at once, through one Gram matrix.

Orthogonal least squares (Chen, Billings and Luo 1989, doi 10.1080/00207178908953472): of all columns the one
that lowers the squared error most joins, and what it shares with the others is projected out of them. How many
are enough is decided by a price: by Mallows's Cp for what is to predict well, by description length for what is to be
short, where a term must pay for the bits of its coefficient and of its choice among p (extended Bayesian information
criterion, Chen and Chen 2008, doi 10.1093/biomet/asn034).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray

_DEPENDENT = 1e-9
"""A column of which a smaller share than this is left is a combination of those already chosen."""

ROUNDING = 1e-14
"""Share of the variance under which what is left of an output can't be told from rounding here."""

_AT_ONCE = 1 << 23
"""Numbers of working memory for the outputs that are done together."""


@dataclass(frozen=True)
class Paths:
    """The order in which columns join, output by output.

    Attributes:
        order: (k, m) columns; -1 once there is none left to choose.
        left: (k, m + 1) share of the variance that is left with none, one, two, ... of them.
    """

    order: Array
    left: Array

    def lengths(self, n: int, price: float) -> Array:
        """(k,): how many columns are worth their price.

        Args:
            n: rows.
            price: of a column: 2 for the best prediction (Mallows), log(n) + 2 log(p) for the shortest description.
        """
        sizes = np.arange(self.left.shape[1])
        return np.argmin(n * np.log(np.maximum(self.left, ROUNDING)) + sizes * price, axis=1)


def forward_selection(G: Array, C: Array, most: int) -> Paths:
    """The columns that explain each output best, one after the other.

    Args:
        G: (p, p) mean products of the columns, which have unit mean square or are 0.
        C: (k, p) mean products of the outputs, of unit mean square, with the columns.
        most: columns to choose, at most.
    """
    k, p = C.shape
    most = min(most, p)
    at_once = max(1, _AT_ONCE // max(1, most * p))
    orders, lefts = [], []
    for first in range(0, k, at_once):
        order, left = _select(G, C[first : first + at_once], most)
        orders.append(order)
        lefts.append(left)
    return Paths(np.concatenate(orders), np.concatenate(lefts))


def _select(G: Array, C: Array, most: int) -> tuple[Array, Array]:
    k, p = C.shape
    rows = np.arange(k)
    free = np.tile(np.diagonal(G), (k, 1))  # what is left of each column
    C = C.copy()
    basis = np.zeros((k, most, p))  # of the directions chosen so far, their products with every column
    order = np.full((k, most), -1)
    left = np.ones((k, most + 1))
    open_ = free > 0.5  # each column joins once, and those that don't vary never
    for step in range(most):
        open_ &= free > _DEPENDENT
        gains = np.where(open_, C * C / np.where(open_, free, 1.0), -1.0)
        chosen = np.argmax(gains, axis=1)
        gain = gains[rows, chosen]
        sound = gain > 0.0
        order[:, step] = np.where(sound, chosen, -1)
        left[:, step + 1] = np.maximum(left[:, step] - np.where(sound, gain, 0.0), 0.0)
        if not sound.any():
            left[:, step + 1 :] = left[:, step + 1, None]
            break
        before = basis[:, :step]
        direction = G[chosen] - np.einsum("ks,ksp->kp", before[rows, :, chosen], before)
        unit = sound / np.sqrt(np.where(sound, free[rows, chosen], 1.0))
        direction *= unit[:, None]
        basis[:, step] = direction
        C -= direction * (C[rows, chosen] * unit)[:, None]
        free -= direction * direction
        open_[rows, chosen] = False
    return order, left
