"""A smooth function through rows."""

from __future__ import annotations

import numpy as np
import pytest

from symtorch.engines.native.fitting.interpolant import Interpolant
from symtorch.engines.native.fitting.tuning import InterpolantTuning
from symtorch.engines.native.tuning import tuned


def law(X: np.ndarray) -> np.ndarray:
    return X[:, 0] * np.exp(-X[:, 1]) / (1.0 + X[:, 2] ** 2)


def rows(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1.0, 3.0, (n, 3))


@pytest.mark.parametrize(("noise", "worst"), [(0.0, 1e-3), (0.1, 0.6)])
def test_it_is_nearer_to_the_law_than_the_rows_are(noise: float, worst: float) -> None:
    X, fresh = rows(200), rows(300, 1)
    spread = law(X).std()
    y = law(X) + noise * spread * np.random.default_rng(2).normal(size=200)
    smooth = Interpolant.through(X, y)
    missed = np.mean((smooth(fresh) - law(fresh)) ** 2) / spread**2
    assert missed < worst * max(noise**2, 1.0 if noise == 0.0 else 0.0)
    assert smooth.left == pytest.approx(noise**2, rel=0.5, abs=1e-3)


def test_what_ranges_over_decades_is_followed_in_its_logarithm() -> None:
    X, fresh = rows(150), rows(200, 1)
    smooth = Interpolant.through(X, -np.exp(4.0 * X[:, 0]) * X[:, 1])
    truth = -np.exp(4.0 * fresh[:, 0]) * fresh[:, 1]
    assert np.median(np.abs(smooth(fresh) / truth - 1.0)) < 0.01


def test_of_pure_noise_all_is_left() -> None:
    smooth = Interpolant.through(rows(120), np.random.default_rng(3).normal(size=120))
    assert 0.9 < smooth.left < 1.15
    assert smooth.noise > 0.7


def test_inputs_that_do_not_vary_and_equal_rows_do_no_harm() -> None:
    X = np.repeat(rows(60), 2, axis=0)
    X[:, 2] = 7.0
    smooth = Interpolant.through(X, X[:, 0] * X[:, 1])
    assert smooth.left < 1e-3


def test_of_many_rows_a_part_is_taken_by_the_seed() -> None:
    X = rows(150)
    with tuned(InterpolantTuning(rows=100, few_rows=50)):
        first, again, other = (Interpolant.through(X, law(X), seed)(X) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
