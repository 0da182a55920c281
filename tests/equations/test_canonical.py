"""Forms that drop order and signs: what is equal, what isn't, and where the constants go."""

from __future__ import annotations

import pytest

from symtorch.equations import parse
from symtorch.equations.canonical import canonical, skeleton

NAMES = ["x", "y", "z"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x*(y - z)/2", "-0.5*(z - y)*x"),
        ("x*x*y", "y*x^2"),
        ("x/(y/z)", "x*z/y"),
        ("(x*y)^2", "square(x)*square(y)"),
        ("sqrt(x*y)", "sqrt(y)*sqrt(x)"),
        ("x + (y + z)", "(z + x) + y"),
        ("x - (y - z)", "z + x - y"),
        ("cos(y - x)", "cos(x - y)"),
        ("sin(y - x)", "-1*sin(x - y)"),
        ("x/exp(y)", "x*exp(-1*y)"),
        ("square(x - y)", "square(y - x)"),
        ("neg(x)*y", "x*(-1*y)"),
        ("1/x", "inv(x)"),
        ("2*x + 3", "5.1 + x*0.2"),
    ],
)
def test_order_signs_and_values_of_constants_make_no_difference(one: str, other: str) -> None:
    assert canonical(parse(one, NAMES)) == canonical(parse(other, NAMES))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x*y + x*z", "x*(y + z)"),
        ("x/y + 1", "(x + y)/y"),
        ("x^2", "x^3"),
        ("sin(x)", "cos(x)"),
        ("x*y", "2*x*y"),
        ("x - y", "x + y"),
        ("x/y", "y/x"),
        ("sqrt(-1*x)", "sqrt(x)"),
    ],
)
def test_other_equations_have_other_forms(one: str, other: str) -> None:
    assert canonical(parse(one, NAMES)) != canonical(parse(other, NAMES))


def test_numbers_come_in_the_same_order_whatever_the_order_of_the_terms() -> None:
    one = canonical(parse("2*sin(3*x) + 5*y/(z + 7)", NAMES))
    other = canonical(parse("5.1*y/(7.1 + z) + 2.1*sin(x*3.1)", NAMES))
    assert one == other
    assert sorted(one.numbers) == [2.0, 3.0, 5.0, 7.0]
    assert other.numbers == pytest.approx([number + 0.1 for number in one.numbers])


def test_terms_of_one_shape_go_by_their_numbers() -> None:
    one, other = (canonical(parse(text, NAMES)) for text in ("2*sin(3*x) + 4*sin(5*x)", "4*sin(5*x) + 2*sin(3*x)"))
    assert one == other
    assert one.numbers == other.numbers


def test_constants_alone_and_powers_of_nothing() -> None:
    assert canonical(parse("2*3 + 1", NAMES)).numbers == (7.0,)
    assert canonical(parse("x/0", NAMES)) != canonical(parse("x", NAMES))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2.5*cos(3*x) + x^2 - 7", "c*cos(c*x) + x^2 - c"),
        ("-1*x*y^0.5", "-x*y^0.5"),
        ("x^1.2345", "x^c"),
        ("3", "c"),
    ],
)
def test_a_skeleton_has_c_for_each_constant(text: str, shown: str) -> None:
    assert skeleton(parse(text, NAMES), NAMES) == shown
