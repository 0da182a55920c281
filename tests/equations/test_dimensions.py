"""Dimensions of units and of equations."""

from __future__ import annotations

from typing import Any

import pytest

from symtorch.equations import parse
from symtorch.equations.definitions import operator
from symtorch.equations.dimensions import dimension, is_consistent
from symtorch.errors import InputError

NAMES = ["x", "t", "m", "n"]
INPUTS = [dimension(unit) for unit in ("m", "s", "kg", "1")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("km/h", "m*s^-1"),
        ("N", "kg*m/s^2"),
        ("J", "N*m"),
        ("W", "V*A"),
        ("Pa", "N/m^2"),
        ("1", ""),
        ("rad", "1"),
        ("m^(1/2)", "(m)^0.5"),
        ("kg*(m/s)^2", "J"),
        ("C/mol", "mmol^-1*A*s"),
        ("µm", "ly"),
    ],
)
def test_units_of_one_dimension(one: str, other: str) -> None:
    assert dimension(one) == dimension(other)


def test_units_of_other_dimensions() -> None:
    assert len({dimension(unit) for unit in ("m", "s", "kg", "m/s", "m/s^2", "m^2", "K", "cd", "T", "1")}) == 10


@pytest.mark.parametrize("bad", ["furlong", "m/", "m^", "m s", "(m", "m)", "m^x", "m**2", "€", 3, None])
def test_what_is_no_unit_is_refused(bad: Any) -> None:
    with pytest.raises(InputError, match="unit"):
        dimension(bad)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("x/t", "m/s"),
        ("m*x^2/t^2", "J"),
        ("sqrt(x)*sqrt(x)", "m"),
        ("x + 2.5*t", "m"),  # a constant may be a speed
        ("3.1", "kg"),
        ("sin(2*x)", "1"),
        ("sin(n)*x", "m"),
        ("max(x, 2)", "m"),
        ("square(x)/cube(t)", "m^2/s^3"),
        ("abs(-1*x)", "m"),
        ("inv(t)", "Hz"),
        ("cond(t, x)", "m"),
        ("greater(x, 3*t)", "1"),
        ("n^n", "1"),
        ("x^1.5/x^0.5", "m"),
    ],
)
def test_right_equations(text: str, unit: str) -> None:
    assert is_consistent(parse(text, NAMES), INPUTS, dimension(unit))
    assert is_consistent(parse(text, NAMES), INPUTS)


@pytest.mark.parametrize(
    "text", ["x + t", "sin(x)", "exp(x/t)", "x^n", "max(x, t)", "greater(x, t)", "x - x*x", "x + n"]
)
def test_wrong_equations(text: str) -> None:
    assert not is_consistent(parse(text, NAMES), INPUTS)


def test_the_output_must_have_its_own() -> None:
    assert not is_consistent(parse("x/t", NAMES), INPUTS, dimension("m"))


def test_operators_of_the_users_own_are_looked_into() -> None:
    mean = operator("mean(a, b) = (a + b)/2")
    assert is_consistent(parse("mean(x, 3)", NAMES, [mean]), INPUTS, dimension("m"))
    assert not is_consistent(parse("mean(x, t)", NAMES, [mean]), INPUTS)
