"""Laws win more by their numbers than approximations do."""

from __future__ import annotations

import math

import pytest

from symtorch.equations.expr import Expr
from symtorch.equations.parser import parse
from symtorch.equations.worth import decades, stands_alone, stands_out


def trees(*texts: str) -> list[Expr]:
    return [parse(text, ["x0", "x1"]) for text in texts]


STEADY = trees("1.234*x0", "1.234*x0 + 0.123*x1", "1.234*x0 + 0.123*sin(1.23*x1)")
FALLING = [1e-1, 1e-1**1.5, 1e-2]  # half a decade for each number and for the form


@pytest.mark.parametrize("position", [1, 2])
def test_what_buys_accuracy_at_a_steady_price_does_not_stand_out(position: int) -> None:
    assert not stands_out(STEADY, FALLING, position)


def test_what_pays_less_by_half_for_a_decade_stands_out() -> None:
    assert stands_out(STEADY, [*FALLING[:2], 1e-4], 2)
    assert not stands_out(STEADY, [*FALLING[:2], 10.0**-2.9], 2)


def test_numbers_of_two_digits_cost_nothing() -> None:
    assert decades(trees("0.25*x0 + 1.2")[0], 1e-3) == pytest.approx(3.0)
    assert decades(trees("0.251*x0 + 1.23")[0], 1e-3) == pytest.approx(1.0)
    assert stands_out(trees("x0*x1", "0.5*x0*exp(x1)"), [1e-2, 1e-2 / 2], 1)


def test_what_is_undefined_wins_nothing() -> None:
    assert decades(trees("x0")[0], math.inf) == 0.0
    assert decades(trees("x0")[0], 0.0) == pytest.approx(14.0)


def test_alone_stands_only_what_no_longer_equation_pays_less_for() -> None:
    longer = trees("1.23*x0", "x0*x1", "x0*exp(x1)")
    assert stands_alone(longer, [0.5, 1e-3, 5e-4], 2)
    assert not stands_alone(longer, [0.5, 1e-3, 5e-4], 1)
    assert not stands_alone(longer, [0.9, 0.2, 0.19], 1)  # too little in any case


def test_alone_stands_nothing_that_a_simpler_equation_pays_less_for() -> None:
    # What wins more than a digit by each number stands out, but beside one that wins three no law is so dear.
    front = trees("x0*x1", "1.234*x0*exp(x1)", "1.234*x0*exp(x1) + 0.123")
    shares = [1e-3, 4e-4, 3e-4]
    assert stands_out(front, shares, 1)
    assert not stands_alone(front, shares, 1)


def test_two_numbers_that_are_seen_through_three_per_cent_of_error_may_be_those_of_a_law() -> None:
    spring = trees(
        "x0 - x1",
        "x0*(0.76283/(x0*x0 + x1*x1) - 1.0636)",
        "x0*(1.9916/x1 - 1.9941)",
        "x0*(2.0326/(x1 + 0.0083032) - 2.017)",
    )
    shares = [0.634, 0.0541, 1.14e-3, 9.55e-4]
    assert 0.9 < decades(spring[2], shares[2]) < 1.0
    assert stands_alone(spring, shares, 2)
