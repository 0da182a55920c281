"""Which rows of a stream are kept, and where they lie meanwhile."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import torch

_FIRST_ROWS = 10_000
_ROWS_AT_ONCE = 1024
_ROWS_AHEAD = 16_384
_FEW = 128


def last_of_each(slots: np.ndarray) -> np.ndarray | None:
    """Positions of the last row for each slot, rising, where several rows are for one slot; else None."""
    if len(slots) <= 1 or (len(slots) <= _FEW and len(set(slots.tolist())) == len(slots)):
        return None
    order = np.arange(len(slots))
    writer = np.empty(int(slots.max(initial=-1)) + 1, dtype=np.int64)
    writer[slots] = order  # the last of equal indices is what stays
    last = writer[slots] == order
    return None if last.all() else np.flatnonzero(last)


def room(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """An empty tensor on the host. NumPy asks for large pages, which are some five times faster to write first."""
    try:
        kind = torch.empty(0, dtype=dtype, device="cpu").numpy().dtype
    except TypeError:  # a type that NumPy does not have
        return torch.empty(shape, dtype=dtype, device="cpu")
    return torch.from_numpy(np.empty(shape, dtype=kind))


class Reservoir:
    """Which rows of a stream to keep, so that every row seen so far is kept with equal probability.

    Vitter's algorithm R (ACM TOMS 11, 1985), for many rows at a time: the first rows fill the slots, and row
    number i later on goes to slot j, drawn from 0..i, if there is one.
    """

    def __init__(self, capacity: int, seed: int) -> None:
        self.capacity = capacity
        self.n_seen = 0
        self._rng = np.random.default_rng(seed)
        self._words = np.empty(0, dtype="<u4")
        self._end = 0  # rows up to this number are drawn: numbers of those that are kept, and their slots
        self._kept = self._slots = np.empty(0, dtype=np.int64)
        self._numbers: list[int] = []  # those in _kept
        self._next = 0  # position in these of the first that was not asked for yet

    @property
    def is_full(self) -> bool:
        """Whether there is no free slot; once there is none, there never is one."""
        return self.n_seen >= self.capacity

    def fill(self, n: int) -> bool:
        """Whether the next n rows fill free slots, all of them in their order; if so they have been seen."""
        if self.n_seen + n > self.capacity:
            return False
        self.n_seen += n
        return True

    def draw(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions among the next n rows to keep, rising, and the slot that each of them goes to."""
        first = self.n_seen
        self.n_seen += n
        n_free = 0 if first >= self.capacity else min(self.capacity - first, n)
        kept, slots = self._drawn(first + n_free, first + n)
        if n_free:
            kept = np.concatenate([np.arange(first, first + n_free), kept])
            slots = np.concatenate([np.arange(first, first + n_free), slots])
        last = last_of_each(slots)
        return (kept - first, slots) if last is None else (kept[last] - first, slots[last])

    def _drawn(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Which rows from number ``first``, where the last ones ended, up to ``end`` draw a slot that there is.

        Returns those rows and their slots. Drawn for many rows ahead, which costs hardly more than for a few.
        """
        if end > self._end and end > first:
            start = max(first, self._end)
            n = max(end - start, _ROWS_AHEAD)
            kept, slots = self._late(start, n)
            self._kept = np.concatenate([self._kept[self._next :], start + kept])
            self._slots = np.concatenate([self._slots[self._next :], slots])
            self._numbers, self._next, self._end = self._kept.tolist(), 0, start + n
        low, self._next = self._next, bisect_left(self._numbers, end, self._next)
        return self._kept[low : self._next], self._slots[low : self._next]

    def _late(self, first: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Which of the n rows from number ``first`` on draw a slot that there is, and that slot.

        The numbers are those that NumPy's ``integers(0, number, endpoint=True)`` draws, some ten times faster:
        by the high half of a product with a random word (Lemire, ACM TOMACS 29, 2019).
        """
        if first + n >= 2**32:  # more than a word can tell
            drawn = self._rng.integers(0, np.arange(first, first + n), endpoint=True)
            kept = np.flatnonzero(drawn < self.capacity)
            return kept, drawn[kept]
        bounds = np.arange(first + 1, first + n + 1, dtype=np.uint64)
        products = self._next_words(n) * bounds
        if n and int(products.astype(np.uint32).min()) < first + n:
            products = self._fair(products, bounds)
        kept = np.flatnonzero(products < np.uint64(min(self.capacity, 2**32 - 1) << 32))
        return kept, (products[kept] >> np.uint64(32)).astype(np.int64)

    def _fair(self, products: np.ndarray, bounds: np.ndarray) -> np.ndarray:
        """The products after new draws for those that would favour some numbers: whose low half is too small."""
        start = 0
        while True:
            unfair = (products[start:] & np.uint64(0xFFFFFFFF)) < (np.uint64(2**32) - bounds[start:]) % bounds[start:]
            if not unfair.any():
                return products
            start += int(np.argmax(unfair))
            words = products[start + 1 :] // bounds[start + 1 :]
            products[start:] = np.concatenate([words, self._next_words(1)]) * bounds[start:]

    def _next_words(self, n: int) -> np.ndarray:
        """(n,): random numbers of 32 bits, the low half of each word of the generator before the high half."""
        missing = n - len(self._words)
        if missing > 0:
            new = self._rng.bit_generator.random_raw(max((missing + 1) // 2, 512))
            self._words = np.concatenate([self._words, new.astype("<u8").view("<u4")])
        words, self._words = self._words[:n], self._words[n:]
        return words.astype(np.uint64)


class Store:
    """Rows of one tensor by slot, on the host, in the type in which they come.

    Args:
        capacity: how many slots there are.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._rows = torch.empty(0, 0)

    @property
    def width(self) -> int:
        """Numbers in a row; 0 as long as there is none."""
        return self._rows.shape[1]

    def fill(self, first: int, leading: torch.Size, rows: torch.Tensor) -> None:
        """Write rows, whose shape broadcasts to (*leading, width), to the slots from ``first`` on, in order."""
        n, width = leading.numel(), rows.shape[-1]
        self._make_room(first + n, rows)
        self._rows[first : first + n].view(*leading, width).copy_(rows)

    def copy(self, first: int, n: int) -> torch.Tensor:
        """(n, width): what is in the slots from ``first`` on."""
        return self._rows[first : first + n].clone()

    def put(self, slots: torch.Tensor, rows: torch.Tensor, n_slots: int) -> None:
        """Write rows (n, width) to slots (n,), int64, which are among the first ``n_slots``."""
        self._make_room(n_slots, rows)
        self._rows.index_copy_(0, slots, rows if rows.dtype == self._rows.dtype else rows.to(self._rows.dtype))

    def read(self, slots: np.ndarray) -> np.ndarray:
        """Rows (n, width) at these slots (n,), float64."""
        found = room((len(slots), self.width), torch.float64)
        order = torch.from_numpy(slots)
        for start in range(0, len(slots), _ROWS_AT_ONCE):  # what lies between takes no memory of its size
            part = slice(start, start + _ROWS_AT_ONCE)
            found[part] = self._rows.index_select(0, order[part])
        return found.numpy()

    def _make_room(self, n: int, like: torch.Tensor) -> None:
        old = self._rows
        n_old = old.shape[0]
        if n_old >= n and like.dtype == old.dtype:
            return
        dtype = like.dtype if n_old == 0 or like.dtype == old.dtype else torch.float64  # which holds both
        size = n_old if n_old >= n else min(max(n, 2 * n_old, _FIRST_ROWS), self._capacity)
        if (size, dtype) != (n_old, old.dtype):
            self._rows = room((size, like.shape[-1]), dtype)
            if n_old:
                self._rows[:n_old] = old
