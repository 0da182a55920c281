"""Numbers as textbooks write them: what is recognised, and what is left as it is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from symtorch.equations import parse
from symtorch.equations.expr import evaluate, to_text
from symtorch.equations.numerals import _table, effort, near, rounded, written
from symtorch.equations.sympy_bridge import latex


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 3, "1/3"),
        (math.pi / 2, "pi/2"),
        (2 * math.pi, "2*pi"),
        (1 / (4 * math.pi), "1/(4*pi)"),
        (3 / (8 * math.pi), "3/(8*pi)"),
        (4 * math.pi / 3, "4*pi/3"),
        (1 / math.sqrt(2 * math.pi), "1/sqrt(2*pi)"),
        (math.sqrt(2), "sqrt(2)"),
        (1 / math.sqrt(2), "1/sqrt(2)"),
        (math.e, "E"),
        (math.pi / 180, "pi/180"),
        (1 / 720, "1/720"),
        (math.pi**2 / 6, "pi^2/6"),
    ],
)
def test_a_number_of_textbooks_is_recognised(value: float, text: str) -> None:
    for off in (1.0, 1.0 + 4e-16, 1.0 - 4e-16):
        numeral = written(value * off)
        assert numeral is not None
        assert numeral.text == text
    assert to_text(parse(repr(value), []), [], digits=5) == text


@pytest.mark.parametrize("value", [0.5, 1.5, 3.0, 0.0625, 0.0, 0.7312, math.pi * (1 + 1e-13), math.inf, math.nan])
def test_other_numbers_are_decimals(value: float) -> None:
    assert written(value) is None


def test_every_numeral_reads_back_as_its_value() -> None:
    numerals = _table()[0]
    assert len(numerals) > 1000
    for numeral in numerals:
        assert evaluate(parse(numeral.text, []), np.zeros((1, 0)))[0] == pytest.approx(numeral.value, rel=1e-14)
        assert float(numeral.sympy()) == pytest.approx(numeral.value, rel=1e-14)


def test_numerals_lie_so_thin_that_none_is_met_by_chance() -> None:
    logs = np.log([numeral.value for numeral in _table()[0]])
    most = max(np.count_nonzero(np.abs(logs - at) < 0.5) for at in np.arange(-6.0, 6.0, 0.25))
    assert most * 2e-6 < 1e-3  # a constant within 1e-6 of one of them: one in a thousand, at most


def test_the_quickest_to_read_comes_first() -> None:
    assert next(near(0.70710678, 1e-6)).text == "1/sqrt(2)"
    assert list(near(0.7312, 1e-6)) == []


def test_rounding_is_taken_back() -> None:
    assert rounded(0.9999999999999999) == 1.0
    assert rounded(-1.5707963267948963) == -math.pi / 2
    assert rounded(0.1234567891234) == 0.1234567891234


def test_what_is_longer_takes_more_effort() -> None:
    values = [1.0, 2.0, 0.5, 0.25, 4 * math.pi, 1 / (4 * math.pi), 0.73, 0.7312, 0.731251831]
    efforts = [effort(value) for value in values]
    assert efforts[0] == 0.0
    assert efforts[-1] == max(efforts) <= 1.0
    assert effort(2.0) < effort(0.5) < effort(0.731251831)
    assert effort(4 * math.pi) < effort(1 / (4 * math.pi)) < effort(0.7312)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-1*(x*y)/z", "-x*y/z"),
        ("x*(y*z)", "x*y*z"),
        ("x + (y - z)", "x + y - z"),
        ("x - (y + z)", "x - (y + z)"),
        ("x/(y*z)", "x/(y*z)"),
        ("-1*(x + y)", "-(x + y)"),
        ("(-1*x)^2", "(-x)^2"),
        ("y - (-1)*x", "y + x"),
        ("-1*(-2*x)", "2*x"),
        ("y*(-1*x)", "y*(-x)"),
        (f"x^{1 / 3}", "x^(1/3)"),
        (f"x/({2 / 3}*y)", "x/(2/3*y)"),
        (f"y + {-1 / 3}*x", "y - 1/3*x"),
        (f"y/{1 / (4 * math.pi)}", "y/(1/(4*pi))"),
        (f"sin({-math.pi / 2}*x)", "sin(-pi/2*x)"),
    ],
)
def test_people_read_signs_and_numbers_as_in_a_book(text: str, shown: str) -> None:
    names, X = ["x", "y", "z"], np.random.default_rng(0).uniform(0.5, 2.0, (20, 3))
    expr = parse(text, names)
    assert to_text(expr, names, digits=5) == shown
    assert evaluate(parse(shown, names), X) == pytest.approx(evaluate(expr, X), rel=1e-12)


def test_latex_has_fractions_and_pi() -> None:
    expr = parse(f"{1 / (4 * math.pi)}*x/y + {1 / 3}*x^2 - {math.sqrt(2)}*y + 0.73125183*x", ["x", "y"])
    text = latex(expr, ["x", "y"], 4)
    assert r"4 \pi y" in text
    assert r"\frac{x^{2}}{3}" in text
    assert r"\sqrt{2}" in text
    assert "0.7313" in text
