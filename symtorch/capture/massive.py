"""Massive activations: rows, one in hundreds, whose outputs are many times as large as all others.

Language models have them at the first token, always nearly the same vector (Sun et al., COLM 2024). Moments that
hold such rows are moments of these rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

FACTOR = 50.0
"""Times the median norm of the outputs beyond which an output is massive."""

MOST = 0.02
"""Share of the first rows of which outputs can be massive; more of them are no exception."""

GAP = 4.0
"""Times the largest of the other outputs that a massive one has at least; without such a gap it is the end of a long
tail, and no exception."""

LATER = 20.0
"""Times the largest of the first outputs beyond which a later one is massive, where the first ones had none."""

_KEPT = 512
"""Massive rows that are kept."""


@dataclass(frozen=True, eq=False)
class MassiveRows:
    """Rows with massive outputs.

    Attributes:
        limit: norm of an output beyond which it counts as massive.
        median: norm of the outputs, of the first rows.
        n: how many there were.
        numbers: (m,), of those kept, among all rows seen.
        x: (m, d_x), their inputs.
        y: (m, d_y), their outputs.
    """

    limit: float
    median: float
    n: int
    numbers: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def among(self, y: np.ndarray) -> np.ndarray:
        """(n,): which of these outputs (n, d_y) are massive."""
        massive: np.ndarray = np.linalg.norm(y, axis=1) > self.limit
        return massive

    @property
    def where(self) -> str:
        """Which rows they are, in words."""
        shown = ", ".join(map(str, self.numbers[:6].tolist())) + (", ..." if self.n > 6 else "")
        length = math.gcd(*self.numbers.tolist())
        first = f", the first of every {length} rows at most" if len(self.numbers) > 2 and length > 8 else ""
        return f"{self.n} rows ({shown}{first})"

    def __str__(self) -> str:
        norm = np.linalg.norm(self.y, axis=1).mean()
        return f"outputs of norm {norm:.3g} where the median is {self.median:.3g} at {self.where}"


class Massive:
    """Tells massive outputs from others, and keeps them.

    Args:
        limit: norm of an output beyond which it is massive.
        median: norm of the outputs.
    """

    def __init__(self, limit: float, median: float) -> None:
        self._limit = limit
        self._median = median
        self._n = 0
        self._rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    @classmethod
    def of(cls, y: Tensor) -> Massive:
        """By the first outputs (n, d_y); where many are large, or large ones come near to others, none is massive."""
        norms = y.float().norm(dim=1)
        norms = norms[torch.isfinite(norms)]
        median = float(norms.median()) if len(norms) else 0.0
        if not median:
            return cls(math.inf, median)
        large = norms > FACTOR * median
        if not large.any():  # beyond all that was seen
            return cls(max(FACTOR * median, LATER * float(norms.max())), median)
        least, most = float(norms[large].min()), float(norms[~large].max())
        apart = least >= GAP * most and float(large.float().mean()) <= MOST
        return cls(math.sqrt(least * most) if apart else math.inf, median)

    def rows_in(self, y: Tensor) -> Tensor:
        """(n,): which of these outputs (n, d_y) are massive."""
        norms = y.float().norm(dim=1)
        return (norms > self._limit) & torch.isfinite(norms)

    def take(self, numbers: np.ndarray, x: Tensor, y: Tensor) -> None:
        """Keep massive rows, as far as there is room."""
        self._n += len(numbers)
        room = _KEPT - sum(len(rows[0]) for rows in self._rows)
        if room > 0:
            inputs, outputs = (rows[:room].double().cpu().numpy() for rows in (x, y))
            self._rows.append((numbers[:room], inputs, outputs))

    def found(self) -> MassiveRows | None:
        """Those that there were; None for none."""
        if not self._rows:
            return None
        numbers, x, y = (np.concatenate([rows[k] for rows in self._rows]) for k in range(3))
        return MassiveRows(self._limit, self._median, self._n, numbers, x, y)
