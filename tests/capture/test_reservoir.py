"""Reservoir and Store: which rows are kept, in which slot; numbers as NumPy draws them."""

from typing import Any

import numpy as np
import pytest
import torch

from symtorch.capture.reservoir import Reservoir, Store


def drawn_by_numpy(rng: np.random.Generator, capacity: int, n_seen: int, n: int) -> dict[int, int]:
    """{slot: position}, row after row, as the algorithm is printed."""
    held = {}
    for position in range(n):
        number = n_seen + position
        slot = number if number < capacity else int(rng.integers(0, number, endpoint=True))
        if slot < capacity:
            held[slot] = position
    return held


@pytest.mark.parametrize("capacity", [1, 7, 100])
def test_rows_are_drawn_as_the_algorithm_draws_them_one_by_one(capacity: Any) -> None:
    reservoir, rng, n_seen = Reservoir(capacity, 3), np.random.default_rng(3), 0
    for n in (5, 0, 3, 200, 1, 50, 1000):
        kept, slots = reservoir.draw(n)
        assert (np.diff(kept) > 0).all()
        assert dict(zip(slots.tolist(), kept.tolist(), strict=True)) == drawn_by_numpy(rng, capacity, n_seen, n)
        n_seen += n
    assert reservoir.n_seen == n_seen


@pytest.mark.parametrize("first", [2**20, 2**31 + 5, 3 * 2**30, 2**32 - 5_000, 2**33])
def test_large_numbers_are_drawn_as_numpy_draws_them(first: Any) -> None:
    """Beyond 2**31 every other word or so must be drawn again."""
    capacity = 2**32 - 1 if first < 2**32 - 5_000 else 2**31
    reservoir = Reservoir(capacity, 0)
    reservoir.n_seen = first
    kept, slots = reservoir._late(first, 4_000)
    drawn = np.random.default_rng(0).integers(0, np.arange(first, first + 4_000), endpoint=True)
    np.testing.assert_array_equal(kept, np.flatnonzero(drawn < capacity))
    np.testing.assert_array_equal(slots, drawn[drawn < capacity])


def test_what_fits_is_kept_without_drawing() -> None:
    reservoir = Reservoir(10, 0)
    assert reservoir.fill(4)
    assert reservoir.fill(6)
    assert not reservoir.fill(1)
    assert reservoir.n_seen == 10


def test_a_store_grows_and_takes_whatever_type_comes() -> None:
    store = Store(50_000)
    large = torch.arange(40_000).unsqueeze(-1) + 2**40
    store.fill(0, torch.Size([4]), torch.ones(4, 1, dtype=torch.bfloat16))
    store.fill(4, torch.Size([2, 3]), torch.tensor([[0.1]], dtype=torch.float32))
    store.put(torch.arange(9_000, 49_000), large, 49_000)
    found = store.read(np.array([0, 4, 9, 9_000, 48_999]))
    np.testing.assert_array_equal(found[:, 0], [1, np.float32(0.1), np.float32(0.1), 2**40, 2**40 + 39_999])
    assert found.dtype == np.float64
