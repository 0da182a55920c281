"""Massive outputs: told from the others by their size, left out of moments, and kept."""

from __future__ import annotations

import numpy as np
import torch

from symtorch.capture.massive import Massive
from symtorch.capture.moments import HalvesSums, Moments

RNG = np.random.default_rng(0)
X, Y = (torch.from_numpy(RNG.normal(size=(3000, d)).astype(np.float32)) for d in (5, 4))


def with_massive(every: int = 100) -> torch.Tensor:
    y = Y.clone()
    y[::every] = 500 * torch.tensor([1.0, -1.0, 0.5, 2.0])
    return y


def summed(x: torch.Tensor, y: torch.Tensor, length: int = 100) -> HalvesSums:
    sums = HalvesSums(0.2, seed=0)
    for first in range(0, len(x), length):
        sums.add(first, x[first : first + length], y[first : first + length])
    return sums


def test_they_are_left_out_of_moments_and_kept() -> None:
    y = with_massive()
    found = summed(X, y).halves()
    assert found is not None
    assert found.massive is not None
    assert found.massive.n == 30
    np.testing.assert_array_equal(found.massive.numbers, np.arange(0, 3000, 100))
    np.testing.assert_allclose(found.massive.y, y[::100], rtol=1e-6)
    np.testing.assert_allclose(found.massive.x, X[::100], rtol=1e-6)
    assert found.whole.yy[0, 0] / found.whole.n < 2
    np.testing.assert_array_equal(found.massive.among(y.numpy()), np.arange(3000) % 100 == 0)
    assert "30 rows (0, 100, 200, 300, 400, 500, ..., the first of every 100 rows at most)" in str(found.massive)


def test_rows_that_come_after_the_first_are_judged_too() -> None:
    n = 12_000
    x, y = torch.randn(n, 2), torch.randn(n, 3)
    y[10_000] = 1e4
    found = summed(x, y, 1000).halves()
    assert found is not None
    assert found.massive is not None
    assert found.massive.numbers.tolist() == [10_000]


def test_without_any_nothing_changes() -> None:
    found = summed(X, Y).halves()
    assert found is not None
    assert found.massive is None
    both = found.whole
    assert both.n < 3000  # a part is held out
    assert both.n == found.first.n + found.second.n


def test_large_outputs_of_many_rows_are_no_exception() -> None:
    y = with_massive(every=20)
    found = summed(X, y).halves()
    assert found is not None
    assert found.massive is None


def test_the_end_of_a_long_tail_is_no_exception() -> None:
    y = torch.from_numpy(np.exp(3 * np.random.default_rng(1).normal(size=(9000, 1))))
    assert float(y.max() / y.median()) > 1000
    assert not Massive.of(y).rows_in(y).any()


def test_outputs_that_are_all_zero_or_not_finite() -> None:
    assert not Massive.of(torch.zeros(10, 2)).rows_in(torch.ones(3, 2)).any()
    assert not Massive.of(torch.full((10, 2), float("nan"))).rows_in(torch.full((3, 2), float("inf"))).any()


def test_features_are_decided_by_the_first_rows_and_have_moments_of_all() -> None:
    seen = []

    def choose(x: torch.Tensor, y: torch.Tensor) -> object:
        seen.append(len(x))
        return lambda x: x[:, :2] ** 2

    sums = HalvesSums(0.0, 0, choose)
    x, y = torch.randn(20_000, 3), torch.randn(20_000, 2)
    for first in range(0, 20_000, 2000):
        sums.add(first, x[first : first + 2000], y[first : first + 2000])
    found = sums.halves()
    assert found is not None
    assert seen == [10_000]
    expected = Moments.of(torch.cat([x, x[:, :2] ** 2], dim=1).numpy(), y.numpy())
    np.testing.assert_allclose(found.whole.xx, expected.xx, rtol=1e-4, atol=2)
    np.testing.assert_allclose(found.of_inputs(3).whole.xy, expected.xy[:3], rtol=1e-4, atol=1)
