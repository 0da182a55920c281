"""Powers of inputs that stand before everything else."""

from __future__ import annotations

import numpy as np
import pytest

from symtorch.engines.native.fitting.powers import Powers
from symtorch.engines.native.forms.normal import normalise
from symtorch.equations.expr import evaluate
from symtorch.equations.parser import parse

NAMES = [f"x{i}" for i in range(9)]


def found(text: str, noise: float = 0.0, low: float = 1.0, n: int = 1000) -> dict[int, float]:
    """What is taken off a law of the inputs that it names, with noise as a share of its root mean square."""
    d = 1 + max(i for i in range(9) if f"x{i}" in text)
    rng = np.random.default_rng(0)
    X = rng.uniform(low, low + 2.0, (n, d))
    y = evaluate(normalise(parse(text, NAMES)), X)
    y = y + noise * np.sqrt(np.mean(y**2)) * rng.normal(size=n)
    return dict(Powers.before(X, y).exponents)


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
    assert Powers.before(X, X[:, 0] * (X[:, 1] + X[:, 2])).exponents == {}
    X = np.column_stack([X[:, :2], np.ones(1000)])
    assert Powers.before(X, X[:, 0] * (X[:, 1] + 1.0)).exponents == {}


def test_the_product_has_the_values_that_its_form_has() -> None:
    X = -np.random.default_rng(0).uniform(1.0, 3.0, (500, 3))
    powers = Powers.before(X, X[:, 0] * (X[:, 1] + X[:, 2]))
    assert powers.exponents == {0: 1.0}
    times = powers.times(normalise(parse("x1 + x2", NAMES)))
    assert np.allclose(powers.values(X) * (X[:, 1] + X[:, 2]), evaluate(times, X))
