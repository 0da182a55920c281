"""Powers of inputs that stand before everything else."""

from __future__ import annotations

import numpy as np
import pytest

from symtorch.engines.native.fitting.powers import Powers
from symtorch.equations.expr import evaluate
from symtorch.equations.normal import normalise
from symtorch.equations.parser import parse

NAMES = [f"x{i}" for i in range(9)]


def found(text: str, noise: float = 0.0, low: float = 1.0, n: int = 1000) -> dict[int, float]:
    """What is taken off a law of the inputs that it names, with noise as a share of its root mean square."""
    d = 1 + max(i for i in range(9) if f"x{i}" in text)
    rng = np.random.default_rng(0)
    X = rng.uniform(low, low + 2.0, (n, d))
    y = evaluate(normalise(parse(text, NAMES)), X)
    y = y + noise * np.sqrt(np.mean(y**2)) * rng.normal(size=n)
    return dict(Powers.before(X, y, join=False).factor)


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
@pytest.mark.parametrize(
    ("text", "exponents"),
    [
        ("x0*x1/((x2 - x3 - 3)^2 + (x4 - x5 - 3)^2)", {0: 1.0, 1: 1.0}),
        ("x0^2*cos(x1)/x2", {0: 2.0, 2: -1.0}),
        ("sqrt(x0)*(x1 + x2)", {0: 0.5}),
    ],
)
def test_powers_are_told_from_the_rest_whatever_that_is(text: str, exponents: dict[int, float], noise: float) -> None:
    assert found(text, noise) == exponents


@pytest.mark.parametrize("text", ["x0*x1 + x2", "exp(x0)*x1^x2", "(x0 - x1)^2", "sin(3*x0*x1)"])
def test_what_is_no_power_is_not_taken_for_one(text: str) -> None:
    assert found(text) == {}


def test_inputs_of_both_signs_few_rows_many_inputs_and_such_as_do_not_vary_say_nothing() -> None:
    assert found("x0*(x1 + x2)", low=-1.0) == {}
    assert found("x0*(x1 + x2)", n=30) == {}
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 3.0, (1000, 13))
    assert Powers.before(X, X[:, 0] * (X[:, 1] + X[:, 2])).is_nothing
    X = np.column_stack([X[:, :2], np.ones(1000)])
    assert Powers.before(X, X[:, 0] * (X[:, 1] + 1.0)).is_nothing


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize(
    ("text", "factor", "products"),
    [
        ("x0*x1*tanh(x1*x2/(x3*x4))", {0: 1.0, 1: 1.0}, [{1: -1.0, 2: -1.0, 3: 1.0, 4: 1.0}]),
        ("(x0*x2 + x1*x3)/(x0 + x1)", {3: 1.0}, [{0: -1.0, 1: 1.0}, {2: -1.0, 3: 1.0}]),
    ],
)
def test_inputs_that_enter_as_a_product_are_joined(
    text: str, factor: dict[int, float], products: list[dict[int, float]], noise: float
) -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 5.0, (1000, 5 if "x4" in text else 4))
    y = evaluate(normalise(parse(text, NAMES)), X)
    powers = Powers.before(X, y + noise * np.sqrt(np.mean(y**2)) * rng.normal(size=1000))
    assert powers.factor == factor
    assert list(powers.products) == products


def test_differences_are_joined_before_powers_are_told() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.uniform(1.0, 2.0, (1000, 1)), rng.uniform([3, 1] * 3, [4, 2] * 3, (1000, 6))])
    y = X[:, 0] / sum((X[:, i] - X[:, i + 1]) ** 2 for i in (1, 3, 5))
    powers = Powers.before(X, y)
    assert powers.sums == ({0: 1.0}, {2: 1.0, 1: -1.0}, {4: 1.0, 3: -1.0}, {6: 1.0, 5: -1.0})
    assert powers.factor == {0: 1.0}


def test_the_product_has_the_values_that_its_form_has() -> None:
    rng = np.random.default_rng(0)
    X = -rng.uniform(1.0, 3.0, (500, 4))
    powers = Powers(({0: 1.0}, {1: 1.0, 2: -1.0}, {3: 1.0}), {0: -1.0}, ({1: 1.0}, {2: 2.0, 0: 1.0}))
    rest = normalise(parse("x0 + 3*x1", NAMES))
    expected = (X[:, 1] - X[:, 2] + 3.0 * X[:, 3] ** 2 * X[:, 0]) / X[:, 0]
    assert np.allclose(powers.values(X) * evaluate(rest, powers.columns(X)), expected)
    assert np.allclose(evaluate(powers.outward(rest), X), expected)
