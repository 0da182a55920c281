"""Forward selection: which few of many columns explain a target."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def forward_selection(
    columns: np.ndarray,
    target: np.ndarray,
    most: int,
    *,
    least_of_left: float = 0.0,
    least_of_all: float = 0.0,
    independent: float = 1e-6,
) -> Iterator[list[int]]:
    """Positions of one column, of two, ..., each time with the one that explains most of what is left.

    Orthogonal least squares (Chen, Billings and Luo 1989, doi 10.1080/00207178908953472): what a chosen
    column explains is projected out of the target and of the other columns, whose gain is then
    ``(q.r)^2/|q|^2`` for a column q and the rest r of the target.

    >>> import numpy as np
    >>> A = np.random.default_rng(0).normal(size=(50, 4))
    >>> list(forward_selection(A, 3 * A[:, 2] - A[:, 1], 4, least_of_all=1e-9))
    [[2], [2, 1]]

    Args:
        columns: (n_rows, n_columns), finite, without what a constant explains if there is one.
        target: (n_rows,), likewise.
        most: columns at most.
        least_of_left: share of what is left of the target's square that a column must explain.
        least_of_all: the same of the whole target's square.
        independent: a column of which less than this is left, by its norm, is one of those chosen, and rounding.
    """
    free, left = columns.copy(), target.copy()
    size = np.sqrt((columns**2).sum(axis=0))
    chosen: list[int] = []
    for _ in range(min(most, columns.shape[1])):
        norm = np.sqrt((free**2).sum(axis=0))
        gain = np.where(norm > independent * size, (left @ free) ** 2 / np.maximum(norm, 1e-150) ** 2, 0.0)
        best = int(gain.argmax())
        if not gain[best] > max(least_of_left * (left @ left), least_of_all * (target @ target), 0.0):
            return
        chosen.append(best)
        direction = free[:, best] / norm[best]
        left = left - direction * (direction @ left)
        free = free - np.outer(direction, direction @ free)
        yield list(chosen)
