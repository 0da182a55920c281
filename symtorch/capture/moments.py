"""First and second moments of a block's inputs and outputs, summed up while the rows stream by.

However many rows there are, the memory is that of a few matrices of the block's width. Batches are multiplied in
float32 where they are (float64 rows in float64), and summed up in float64 about a point near the mean, so that
large means cost no digits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from symtorch.capture.massive import Massive, MassiveRows

_ROWS_AT_ONCE = 4096
"""Rows multiplied at once: more would round more in float32, fewer take longer."""

_FIRST_ROWS = 8192
"""Rows, or four times the inputs if that is more, that decide on features and on what is massive."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of n rows of x (n, d_x) and y (n, d_y), float64.

    Attributes:
        n: number of rows.
        mean_x: (d_x,).
        mean_y: (d_y,).
        xx: (d_x, d_x), sum of the products of deviations from the mean.
        xy: (d_x, d_y), likewise.
        yy: (d_y, d_y), likewise.
    """

    n: int
    mean_x: np.ndarray
    mean_y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> Moments:
        """Of rows that are all there.

        >>> Moments.of(np.array([[1.0], [3.0]]), np.array([[0.0], [4.0]])).xy
        array([[4.]])
        """
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        x, y = x - mean_x, y - mean_y
        return cls(len(x), mean_x, mean_y, x.T @ x, x.T @ y, y.T @ y)

    def of_inputs(self, n: int) -> Moments:
        """Those of the first n inputs alone."""
        return Moments(self.n, self.mean_x[:n], self.mean_y, self.xx[:n, :n], self.xy[:n], self.yy)

    def __add__(self, other: Moments) -> Moments:
        """Of both one's rows; Chan, Golub and LeVeque, The American Statistician 37 (1983)."""
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        dx, dy = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        share, weight = other.n / n, self.n * other.n / n
        return Moments(
            n,
            self.mean_x + share * dx,
            self.mean_y + share * dy,
            self.xx + other.xx + weight * np.outer(dx, dx),
            self.xy + other.xy + weight * np.outer(dx, dy),
            self.yy + other.yy + weight * np.outer(dy, dy),
        )


class Sums:
    """Moments as they grow, on the device of the rows."""

    def __init__(self) -> None:
        self._about: tuple[Tensor, Tensor] | None = None
        self._sums: list[Tensor] = []  # of 1, x, y, xx, xy, yy

    @torch.no_grad()
    def add(self, x: Tensor, y: Tensor) -> None:
        """Take rows x (n, d_x) and y (n, d_y); those with values that aren't finite are left out."""
        if not len(x):
            return
        with _exact_products(x.device.type):
            for start in range(0, len(x), _ROWS_AT_ONCE):
                part = slice(start, start + _ROWS_AT_ONCE)
                self._add(_working(x[part]), _working(y[part]))

    def _add(self, x: Tensor, y: Tensor) -> None:
        finite = (torch.isfinite(x).all(dim=1) & torch.isfinite(y).all(dim=1)).unsqueeze(1)
        if self._about is None:
            n = finite.sum().clamp(min=1)
            self._about = (torch.where(finite, x, 0).sum(0) / n, torch.where(finite, y, 0).sum(0) / n)
        about_x, about_y = self._about
        x, y = torch.where(finite, x - about_x.to(x), 0), torch.where(finite, y - about_y.to(y), 0)
        y = y.to(torch.promote_types(x.dtype, y.dtype))
        x = x.to(y.dtype)
        new = [finite.sum(), x.sum(0), y.sum(0), x.T @ x, x.T @ y, y.T @ y]
        if not self._sums:
            self._sums = [_in_float64(sum_) for sum_ in new]
        else:
            for total, sum_ in zip(self._sums, new, strict=True):
                total.add_(_in_float64(sum_))

    def moments(self) -> Moments | None:
        """What the sums say; None where there was no row."""
        if self._about is None:
            return None
        count, x, y, xx, xy, yy = (sum_.cpu().numpy() for sum_ in self._sums)
        about_x, about_y = (about.cpu().double().numpy() for about in self._about)
        n = max(int(count), 1)
        return Moments(
            int(count),
            about_x + x / n,
            about_y + y / n,
            xx - np.outer(x, x) / n,
            xy - np.outer(x, y) / n,
            yy - np.outer(y, y) / n,
        )


@dataclass(frozen=True, eq=False)
class Halves:
    """Moments of the two halves of the rows that aren't held out, so that the one can judge what the other says.

    Attributes:
        first: of the one half.
        second: of the other.
        features: what gave the columns after the block's own inputs; None for no such columns.
        massive: rows of massive outputs, which the moments leave out; None for none.
    """

    first: Moments
    second: Moments
    features: Features | None = None
    massive: MassiveRows | None = None

    @property
    def whole(self) -> Moments:
        """Of both."""
        return self.first + self.second

    def of_inputs(self, n: int) -> Halves:
        """Those of the first n inputs alone."""
        return Halves(self.first.of_inputs(n), self.second.of_inputs(n))


class Features(Protocol):
    """Columns made of a block's inputs (n, d_x), whose moments are wanted beside those of the inputs: (n, k)."""

    def __call__(self, x: Tensor) -> Tensor: ...


Choose = Callable[[Tensor, Tensor], Features]
"""What decides on features by the first rows that come by: inputs (n, d_x) and outputs (n, d_y)."""


class HalvesSums:
    """The moments of both halves as they grow.

    The first rows wait until there are enough of them to say what a massive output is, and which features to take.

    Args:
        held_out: share of the rows that is left out, to judge by later.
        seed: of the drawing of rows.
        choose: decides on features, whose columns come after those of the inputs; None for none.
    """

    def __init__(self, held_out: float, seed: int, choose: Choose | None = None) -> None:
        self._how = held_out, seed
        self._sums = Sums(), Sums()
        self._choose = choose
        self._features: Features | None = None
        self._massive: Massive | None = None
        self._waiting: list[tuple[int, Tensor, Tensor]] | None = []

    def add(self, first: int, x: Tensor, y: Tensor) -> None:
        """Take rows x (n, d_x) and y (n, d_y), of which the first one has this number among all rows seen."""
        if self._waiting is None:
            self._add(first, x, y.to(x.device))
            return
        self._waiting.append((first, x, y.to(x.device).clone()))
        if sum(len(x) for _, x, _ in self._waiting) >= max(_FIRST_ROWS, 4 * x.shape[1]):
            self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Decide on what the first rows say, and take them."""
        waiting, self._waiting = self._waiting or [], None
        if not waiting:
            return
        x, y = torch.cat([x for _, x, _ in waiting]), torch.cat([y for _, _, y in waiting])
        self._massive = Massive.of(y)
        if self._choose is not None:
            numbers = np.concatenate([np.arange(first, first + len(x)) for first, x, _ in waiting])
            fitted = torch.from_numpy(parts_of(numbers, *self._how) > 0).to(x.device)
            kept = fitted & ~self._massive.rows_in(y) & torch.isfinite(x).all(dim=1) & torch.isfinite(y).all(dim=1)
            self._features = self._choose(x[kept], y[kept])
        for first, x, y in waiting:
            self._add(first, x, y)

    def _add(self, first: int, x: Tensor, y: Tensor) -> None:
        numbers = np.arange(first, first + len(x))
        part = parts_of(numbers, *self._how)
        assert self._massive is not None
        massive = self._massive.rows_in(y).cpu().numpy()
        if massive.any():
            at = torch.from_numpy(np.flatnonzero(massive)).to(x.device)
            self._massive.take(numbers[massive], x.index_select(0, at), y.index_select(0, at))
            part = np.where(massive, 0, part)
        if self._features is not None:
            x = torch.cat([x, self._features(x).to(x.dtype)], dim=1)
        for k, sums in enumerate(self._sums, start=1):
            positions = torch.from_numpy(np.flatnonzero(part == k)).to(x.device)
            sums.add(x.index_select(0, positions), y.index_select(0, positions))

    def halves(self) -> Halves | None:
        """What the sums say; None where one of the halves has no row."""
        if self._waiting is not None:
            self._start()
        first, second = (sums.moments() for sums in self._sums)
        if first is None or second is None or not (first.n and second.n):
            return None
        return Halves(first, second, self._features, None if self._massive is None else self._massive.found())


def parts_of(numbers: np.ndarray, held_out: float, seed: int) -> np.ndarray:
    """Which part each row belongs to, by its number alone: 0 held out, 1 and 2 the halves of the others.

    A row's number is mixed by the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

    Args:
        numbers: (n,) of the rows among all rows seen.
        held_out: share of the rows that is held out.
        seed: another one draws other rows.

    Returns:
        (n,) of 0, 1, 2.
    """
    start = np.uint64(seed * 0xD1B54A32D192ED03 % 2**64)
    with np.errstate(over="ignore"):
        mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + start
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    drawn = (mixed >> np.uint64(11)).astype(np.float64) / 2**53
    return np.where(drawn < held_out, 0, 1 + (mixed & np.uint64(1)).astype(np.int64))


def _working(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _in_float64(sum_: Tensor) -> Tensor:
    """On the device, where that knows float64 (Apple's do not)."""
    return (sum_.cpu() if sum_.device.type == "mps" else sum_).double()


@contextlib.contextmanager
def _exact_products(device: str) -> Iterator[None]:
    """No autocast and no TF32 within it, however the model runs."""
    before: Any = torch.get_float32_matmul_precision()
    rounded = torch.is_autocast_enabled(device)
    if before != "highest":
        torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device, enabled=False) if rounded else contextlib.nullcontext():
            yield
    finally:
        if before != "highest":
            torch.set_float32_matmul_precision(before)
