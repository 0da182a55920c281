"""Whether what is left is noise."""

from __future__ import annotations

import numpy as np
import pytest

from symtorch.engines.native.fitting.residuals import Regressions, down_to_noise
from symtorch.equations.expr import Expr, evaluate
from symtorch.equations.parser import parse

NAMES = ["x0", "x1", "x2"]


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) inputs and noise of unit variance."""
    rng = np.random.default_rng(seed)
    return rng.uniform(1.0, 3.0, (n, 3)), rng.normal(size=n)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [60, 200])
def test_independent_errors_are_noise_in_any_units(n: int, seed: int) -> None:
    X, noise = rows(n, seed)
    assert Regressions.on(X).is_noise(noise)
    assert Regressions.on(1e6 * X + 5.0).is_noise(1e-9 * noise)


@pytest.mark.parametrize("text", ["(x0 - 2)^2", "0.5*sin(3*x0)", "0.5*(x0 - 2)*(x1 - 2)*x2"])
def test_a_small_part_of_a_law_is_seen_beneath_noise(text: str) -> None:
    X, noise = rows(300)
    part = parse(text, NAMES)
    assert not Regressions.on(X).is_noise(noise + evaluate(part, X))


@pytest.mark.parametrize("seed", range(2))
def test_what_an_equation_like_the_law_leaves_is_seen_among_many_inputs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, noise = rng.uniform(1.0, 3.0, (1000, 6)), rng.normal(size=1000)
    regressions, left = Regressions.on(X), noise + 0.6 * (X[:, 0] - 2.0) * (X[:, 1] - 2.0)
    assert regressions.predictable(left) < 2.0 / 600  # six inputs are too many for kernels
    assert regressions.bent(noise) < 3.0 < regressions.bent(left)
    assert regressions.is_noise(noise)
    assert not regressions.is_noise(left)
    assert regressions.bent(left) == pytest.approx(Regressions.on(1e6 * X + 5.0).bent(1e-9 * left), rel=1e-6)


def test_an_f_test_of_noise_is_normal_with_as_many_terms_as_rows_allow() -> None:
    rng = np.random.default_rng(0)
    for n, inputs in ((60, 1), (60, 4), (200, 3), (30, 6)):  # of second degree, of the first, of second, of none
        regressions = Regressions.on(rng.uniform(size=(n, inputs)))
        sure = [regressions.bent(rng.normal(size=n)) for _ in range(400)]
        if n == 30:
            assert not any(sure)
        else:
            assert abs(np.mean(sure)) < 0.15
            assert 0.9 < np.std(sure) < 1.1


def test_every_slope_is_seen_where_rows_are_too_few_for_products() -> None:
    rng = np.random.default_rng(0)
    X, noise = rng.uniform(size=(100, 12)), rng.normal(size=100)
    regressions = Regressions.on(X)
    assert regressions.polynomials.shape == (100, 12)
    assert min(regressions.bent(noise + 5.0 * X[:, i]) for i in range(12)) > 3.1


def test_products_of_many_inputs_are_not_made() -> None:
    X = np.random.default_rng(0).normal(size=(200, 2000))  # they would take 3 GB
    assert Regressions.on(X).polynomials.shape == (200, 0)


def test_where_many_rows_are_a_part_of_them_is_looked_at() -> None:
    X, noise = rows(1000)
    first, other = (Regressions.on(X, seed) for seed in (1, 2))
    assert first.is_noise(noise)
    assert first.predictable(noise) != other.predictable(noise)


def test_what_does_not_vary_predicts_nothing_and_is_not_predicted() -> None:
    X, noise = rows(100)
    X[:, 1] = 4.0
    assert Regressions.on(X).is_noise(noise)
    assert Regressions.on(X).predictable(np.ones(100)) == 0.0


def test_the_law_is_found_down_to_noise_if_longer_equations_are_there() -> None:
    X, noise = rows(200)
    y = X[:, 0] * X[:, 1] + 0.1 * noise
    trees = [parse(text, NAMES) for text in ("x0", "x0*x1", "x0*x1 + 0.00123*sin(3.21*x2)")]
    losses = [1.5, 0.01, 0.00999]

    def found(trees: list[Expr], losses: list[float]) -> int | None:
        return down_to_noise(trees, losses, X, y, lambda: Regressions.on(X))

    assert found(trees, losses) == 1
    assert found(trees[:2], losses[:2]) is None  # the search may only not have come further
    assert found([trees[0], parse("x0 + x1", NAMES), trees[0]], [1.5, 0.4, 0.4]) is None
    assert found([], []) is None
