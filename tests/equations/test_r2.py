"""R² has one definition, with weights, and says what is to be said where the formula divides by zero."""

import math

import numpy as np
import pytest

from symtorch.equations.r2 import r2, unexplained

rng = np.random.default_rng(0)
Y, F, W = rng.normal(size=50), rng.normal(size=50), rng.integers(0, 4, size=50).astype(float)


def test_it_is_the_formula() -> None:
    assert r2(Y, F) == pytest.approx(1 - np.sum((Y - F) ** 2) / np.sum((Y - Y.mean()) ** 2))
    assert r2(Y, np.full(50, Y.mean())) == pytest.approx(0, abs=1e-12)
    assert r2(Y, Y) == 1


def test_a_weight_counts_a_row_as_often() -> None:
    repeated = np.repeat(np.arange(50), W.astype(int))
    assert r2(Y, F, W) == pytest.approx(r2(Y[repeated], F[repeated]))
    assert r2(Y, F, np.ones(50)) == pytest.approx(r2(Y, F))


def test_what_is_left_keeps_its_digits() -> None:
    assert unexplained(Y, Y + 1e-12) == pytest.approx(1e-24 / Y.var(), rel=1e-2)
    assert unexplained(Y, F, W) == pytest.approx(1 - r2(Y, F, W))


def test_an_output_that_does_not_vary_is_met_or_not() -> None:
    for y in (np.full(9, 0.1), np.zeros(9), np.full(9, 1e9) + 1e-7 * np.arange(9)):
        assert r2(y, y) == 1
        assert math.isnan(r2(y, y + 1))
    assert r2(1 + 1e-9 * Y, np.full(50, 1.0)) < 0.1  # it varies, little as it is


def test_predictions_that_are_not_finite_explain_nothing() -> None:
    for bad in (math.nan, math.inf, 1e200):
        assert r2(Y, np.where(np.arange(50) == 7, bad, Y)) == -math.inf
    assert math.isnan(r2(Y[:0], Y[:0]))
