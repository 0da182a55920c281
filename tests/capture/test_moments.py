"""Moments that are summed up while rows stream by are those of all rows, whatever their type and mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from symtorch.capture import capture
from symtorch.capture.moments import HalvesSums, Moments, Sums, parts_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5000, 6)) @ RNG.normal(size=(6, 6)) + 3
Y = X[:, :2] ** 2 + RNG.normal(size=(5000, 2))


def equal(one: Moments, other: Moments, rtol: float) -> None:
    assert one.n == other.n
    for name in ("mean_x", "mean_y", "xx", "xy", "yy"):
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max(), err_msg=name)


def summed(x: torch.Tensor, y: torch.Tensor, *sizes: int) -> Moments:
    sums = Sums()
    for a, b in zip(x.split(sizes or len(x)), y.split(sizes or len(y)), strict=True):
        sums.add(a, b)
    found = sums.moments()
    assert found is not None
    return found


@pytest.mark.parametrize("sizes", [(), (5000,), (1, 4999), (0, 2500, 0, 2500)])
def test_they_are_those_of_all_rows_however_these_come(sizes: Any) -> None:
    equal(summed(torch.from_numpy(X), torch.from_numpy(Y), *sizes), Moments.of(X, Y), 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_of_few_digits_are_multiplied_in_float32(dtype: torch.dtype) -> None:
    x, y = torch.from_numpy(X).to(dtype), torch.from_numpy(Y).to(dtype)
    equal(summed(x, y, 2500, 2500), Moments.of(x.double().numpy(), y.double().numpy()), 1e-5)


def test_a_large_mean_costs_no_digits() -> None:
    x, y = torch.from_numpy(X + 1e4).float(), torch.from_numpy(Y - 1e4).float()
    equal(summed(x, y, 1000, 4000), Moments.of(x.double().numpy(), y.double().numpy()), 1e-5)


def test_parts_add_up() -> None:
    whole, one = Moments.of(X, Y), Moments.of(X[:1], Y[:1])
    equal(Moments.of(X[:700], Y[:700]) + Moments.of(X[700:], Y[700:]), whole, 1e-12)
    equal(one + Moments.of(X[1:], Y[1:]), whole, 1e-12)


def test_rows_that_are_not_finite_are_left_out() -> None:
    x, y = torch.from_numpy(X).clone(), torch.from_numpy(Y).clone()
    x[0, 0], y[7, 1] = float("nan"), float("inf")
    kept = np.delete(np.arange(len(X)), [0, 7])
    equal(summed(x, y, 100, 4900), Moments.of(X[kept], Y[kept]), 1e-12)


def test_autocast_does_not_round_them() -> None:
    x, y = torch.from_numpy(X).float(), torch.from_numpy(Y).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = summed(x, y)
    equal(found, Moments.of(x.double().numpy(), y.double().numpy()), 1e-5)


def test_a_row_belongs_to_its_part_by_its_number_alone() -> None:
    numbers = np.arange(100_000)
    parts = parts_of(numbers, 0.2, seed=3)
    np.testing.assert_array_equal(parts[500:600], parts_of(numbers[500:600], 0.2, seed=3))
    shares = np.bincount(parts) / len(parts)
    np.testing.assert_allclose(shares, [0.2, 0.4, 0.4], atol=0.01)
    assert (parts != parts_of(numbers, 0.2, seed=4)).mean() > 0.5
    assert (parts_of(numbers, 0.0, seed=3) > 0).all()
    # Rows of a larger share contain those of a smaller one, so that these stay held out.
    assert set(np.flatnonzero(parts == 0)) < set(np.flatnonzero(parts_of(numbers, 0.3, seed=3) == 0))


def test_halves_are_of_the_rows_that_are_not_held_out() -> None:
    sums = HalvesSums(0.25, seed=1)
    for first in range(0, 5000, 640):
        sums.add(first, torch.from_numpy(X[first : first + 640]), torch.from_numpy(Y[first : first + 640]))
    halves, parts = sums.halves(), parts_of(np.arange(5000), 0.25, seed=1)
    assert halves is not None
    equal(halves.first, Moments.of(X[parts == 1], Y[parts == 1]), 1e-12)
    equal(halves.whole, Moments.of(X[parts > 0], Y[parts > 0]), 1e-12)
    assert HalvesSums(0.25, seed=1).halves() is None


class TwoArguments(nn.Module):
    def forward(self, a: Any, b: Any) -> Any:
        return torch.cat([a * b, a.relu_()], -1)  # overwrites an input


def test_capture_sums_up_all_rows_while_it_keeps_a_few() -> None:
    a, b = torch.randn(20, 50, 3), torch.randn(20, 50, 1)
    batches = [(x.clone(), y) for x, y in zip(a, b, strict=True)]
    block = TwoArguments()
    captured = capture({"block": block}, batches, max_rows=40, moments=0.0, seed=2)["block"]
    assert captured.n_rows == 40
    assert captured.halves is not None
    x = torch.cat([a, b], -1).reshape(1000, 4).double().numpy()
    y = torch.cat([a * b, a.relu()], -1).reshape(1000, 6).double().numpy()
    equal(captured.halves.whole, Moments.of(x, y), 1e-5)
    plain = capture({"block": block}, [(x.clone(), y) for x, y in zip(a, b, strict=True)], max_rows=40, seed=2)["block"]
    np.testing.assert_array_equal(plain.X, captured.X)  # and the rows are the same ones
    assert plain.halves is None
