import contextlib
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import NAMES, trees

from symtorch.equations.definitions import operator
from symtorch.equations.expr import Call, Constant, Expr, Variable, constants, depth, evaluate, to_text
from symtorch.equations.operators import OPERATORS
from symtorch.equations.parser import MAX_DEPTH, MAX_LENGTH, parse
from symtorch.errors import ParseError


@given(trees())
@settings(max_examples=300, deadline=None)
def test_text_comes_back_as_the_same_tree(expr: Expr) -> None:
    # A negated number is read as a negative number; that is the one thing text can't tell apart.
    assert parse(to_text(expr, NAMES), NAMES) == expr


@given(trees())
@settings(max_examples=100, deadline=None)
def test_constants_come_back_to_the_last_bit(expr: Expr) -> None:
    back = constants(parse(to_text(expr, NAMES), NAMES))
    assert [c.hex() for c in back] == [c.hex() for c in constants(expr)]


@given(st.text(alphabet="x0123456789.+-*/^()<>,_ eE\n'\"[]{}:=!&|~@lambdsincopreifthn", max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_text_is_a_tree_or_a_parse_error(text: str) -> None:
    with contextlib.suppress(ParseError):
        assert depth(parse(text, ["x0"])) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "().__class__.__bases__", "x0.__class__", "x0.real", "lambda: x0",
        "[x0 for x0 in x0]", "f'{x0}'", "'a'*9", "x0[0]", "sin(x=x0)", "sin(*x0)", "print(x0)", "eval(x0)", "await x0",
        "x0 // 2", "x0 @ x0", "~x0", "x0 is x0", "x0 == 1", "None", "...", "2j", "", " ", "x0 x0", "x0; x0", "x0 = 1",
        "10**", "sin", "(y := 3)", "sin()", "sin(x0, x0)", "y",
        "Piecewise(x0)", "Piecewise((x0, x0 > 0, 1))", "\0", "\ud800", "x0\n+ x0",
        "1" * 400, "1" * 5000, "1e999", "(" * 50_000, "(" * 5000 + "x0" + ")" * 5000, "[" * 5000, "-" * 50_000 + "x0",
        "x0" + "**x0" * 10_000, "not " * 20_000 + "x0", "sin(" * (MAX_DEPTH + 1) + "x0" + ")" * (MAX_DEPTH + 1),
        "x0" * 1_000_000, "x0" + " + x0" * 20_000, "x0 if x0 else " * 5000 + "x0", "9" * MAX_LENGTH,
    ],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
@pytest.mark.timeout(10)
def test_hostile_text_is_an_error_at_once(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text, ["x0"])
    assert len(str(caught.value)) < 300


def test_a_tower_of_powers_is_read_and_never_computed_exactly() -> None:
    expr = parse("9**9**9**9 + x0", ["x0"])
    assert evaluate(expr, [[1.0]])[0] == math.inf


def test_a_sum_of_many_terms_is_not_nested() -> None:
    text = " + ".join(f"{i}.5*sin(x0)" for i in range(1000))
    expr = parse(text, ["x0"])
    assert depth(expr) > 1000
    assert to_text(expr, ["x0"]) == text


def test_names_win_over_numbers_and_functions() -> None:
    assert parse("E + gamma*gamma(gamma)", ["E", "gamma"]).args[0] == Variable(0)
    assert parse("pi", []) == Constant(math.pi)


def test_names_may_be_greek() -> None:
    micro = "\u00b5"  # Python reads the micro sign as the Greek letter
    assert parse(f"2*{micro}", [micro]) == parse("2*x", ["x"])


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("x0**2", "x0^2"),
        ("-x0^2", "neg(x0^2)"),
        ("Max(1.0, x0, x1)", "max(max(1, x0), x1)"),
        ("arcsin(x0)", "asin(x0)"),
        ("x0 % 2", "mod(x0, 2)"),
        ("0 < x0 <= 1", "logical_and(less(0, x0), less_equal(x0, 1))"),
        ("x0 > 0 and not x1 > 0 or x1", "logical_or(logical_and(greater(x0, 0), logical_not(greater(x1, 0))), x1)"),
        ("x0 if x0 > 0 else -x0", "ifelse(greater(x0, 0), x0, neg(x0))"),
        ("Piecewise((1, x0 > 0), (x1, x0 < -1), (2, True))", "ifelse(x0 > 0, 1, ifelse(x0 < (-1), x1, 2))"),
        ("Piecewise((1, x0 > 0))", None),
        ("Heaviside(x0)", "heaviside(x0)"),
        ("pow(x0, 3) + ln(x1)", "x0^3 + log(x1)"),
    ],
)
def test_other_spellings(text: str, same: Any) -> None:
    names = ["x0", "x1"]
    if same is None:  # undefined where no case holds
        assert math.isnan(evaluate(parse(text, names), [[-1.0, 0.0]])[0])
    else:
        assert parse(text, names) == parse(same, names)


def test_user_operators_are_read() -> None:
    bump = operator("bump(x) = exp(-x^2)")
    assert parse("2*bump(x0)", ["x0"], [bump]) == Call(OPERATORS["*"], (Constant(2.0), Call(bump, (Variable(0),))))
    with pytest.raises(ParseError, match="'bump'"):
        parse("2*bump(x0)", ["x0"])


def test_only_text_is_read() -> None:
    with pytest.raises(ParseError, match="int"):
        parse(3, ["x0"])
