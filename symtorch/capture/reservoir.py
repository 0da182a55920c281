"""Which rows of a stream are kept, and where they lie meanwhile."""

from __future__ import annotations

import numpy as np
import torch

_FIRST_ROWS = 10_000
_ROWS_AT_ONCE = 1024


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

    def fill(self, n: int) -> bool:
        """Whether the next n rows fill free slots, all of them in their order; if so they have been seen."""
        if self.n_seen + n > self.capacity:
            return False
        self.n_seen += n
        return True

    def draw(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions among the next n rows to keep, rising, and the slot that each of them goes to."""
        number = np.arange(self.n_seen, self.n_seen + n)
        n_free = min(max(self.capacity - self.n_seen, 0), n)
        slots = np.concatenate([number[:n_free], self._up_to(number[n_free:])]) if n_free else self._up_to(number)
        self.n_seen += n
        kept = np.flatnonzero(slots < self.capacity)
        # Of several rows for one slot the last stays.
        _, last = np.unique(slots[kept][::-1], return_index=True)
        if len(last) < len(kept):
            kept = np.sort(kept[len(kept) - 1 - last])
        return kept, slots[kept]

    def _up_to(self, highest: np.ndarray) -> np.ndarray:
        """For each of these a number drawn from 0 to it, as NumPy's generator draws them, some ten times faster.

        By the high half of a product with a random word (Lemire, ACM TOMACS 29, 2019). Words whose low half is
        too small would favour some numbers and are drawn again.
        """
        if len(highest) and highest[-1] >= 2**32 - 1:
            return self._rng.integers(0, highest, endpoint=True)
        bounds = highest.astype(np.uint64) + np.uint64(1)
        words = self._next_words(len(bounds))
        products = words * bounds
        doubtful = (products & np.uint64(0xFFFFFFFF)) < bounds
        while doubtful.any():  # for one word in 2**32 / bound
            first = int(np.argmax(doubtful))
            bound = int(bounds[first])
            if int(products[first]) & 0xFFFFFFFF >= (2**32 - bound) % bound:
                doubtful[first] = False
                continue
            words = np.concatenate([words[:first], words[first + 1 :], self._next_words(1)])
            products = words * bounds
            doubtful[first:] = (products[first:] & np.uint64(0xFFFFFFFF)) < bounds[first:]
        return (products >> np.uint64(32)).astype(np.int64)

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

    def put(self, slots: np.ndarray, rows: torch.Tensor) -> None:
        """Write rows (n, width) to slots (n,)."""
        self._make_room(int(slots.max()) + 1, rows)
        self._rows.index_copy_(0, torch.from_numpy(slots), rows.to(self._rows.dtype))

    def read(self, slots: np.ndarray) -> np.ndarray:
        """Rows (n, width) at these slots (n,), float64."""
        found = torch.empty(len(slots), self.width, dtype=torch.float64, device="cpu")
        order = torch.from_numpy(slots)
        for start in range(0, len(slots), _ROWS_AT_ONCE):  # what lies between takes no memory of its size
            part = slice(start, start + _ROWS_AT_ONCE)
            found[part] = self._rows.index_select(0, order[part])
        return found.numpy()

    def _make_room(self, n: int, like: torch.Tensor) -> None:
        old = self._rows
        dtype = old.dtype if like.dtype == old.dtype else torch.float64  # which holds what either of them holds
        if len(old) >= n and dtype == old.dtype:
            return
        size = max(n, len(old)) if len(old) >= n else min(max(n, 2 * len(old), _FIRST_ROWS), self._capacity)
        self._rows = torch.empty(size, like.shape[-1], dtype=dtype if len(old) else like.dtype, device="cpu")
        if len(old):
            self._rows[: len(old)] = old
