import math

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import NAMES, trees

from symtorch.equations.expr import Expr, evaluate, to_text
from symtorch.equations.operators import OPERATORS
from symtorch.equations.parser import parse
from symtorch.equations.sympy_bridge import from_sympy, to_sympy
from symtorch.equations.table import ROWS, Row
from symtorch.errors import ParseError

X = np.random.default_rng(0).uniform(0.2, 2.5, size=(20, 3))
x0, mass, x2 = sympy.symbols("x0 mass x2", real=True)
TAME = tuple("+ - * / ^ neg inv square cube sqrt abs exp log sin cos tanh max min ifelse greater logical_and".split())


@given(trees(TAME, numbers=st.integers(-8, 8).map(lambda n: n / 2), max_leaves=7))
@settings(max_examples=80, deadline=None)
def test_there_and_back_is_the_same_function(expr: Expr) -> None:
    before = evaluate(expr, X)
    # SymPy simplifies with exact numbers: compare where rounding in between can't matter.
    if not np.isfinite(before).all() or (np.abs(before) > 1e6).any():
        return
    try:
        back = from_sympy(to_sympy(expr, NAMES), NAMES)
    except ParseError:
        assert any(text in str(to_sympy(expr, NAMES)) for text in ("nan", "zoo", "oo", "I"))
        return
    after = evaluate(back, X)
    np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_operator_comes_back(row: Row) -> None:
    symbols = (x0, mass, x2)[: row.arity]
    args = (Variable for Variable in X.T[: row.arity])
    expr = from_sympy(OPERATORS[row.name].sympy(*symbols), NAMES)
    with np.errstate(all="ignore"):
        expected = OPERATORS[row.name].numpy(*args)
    np.testing.assert_allclose(evaluate(expr, X), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (sympy.exp(2) * x0, "x0*exp(2)"),
        (sympy.Max(1.0, x0), "max(1, x0)"),
        (-x0 + mass, "mass - x0"),
        (-(x0**2), "neg(x0^2)"),
        (x0 / (mass * x2), "x0/(mass*x2)"),
        (1 / x0**2, "x0^(-2)"),
        (sympy.sqrt(x0) / 3, "0.3333333333333333*sqrt(x0)"),
        (sympy.Heaviside(x0), "heaviside(x0)"),
        (sympy.Piecewise((x0, x0 > 1), (mass, True)), "ifelse(greater(x0, 1), x0, mass)"),
        (sympy.Piecewise((x0, (x0 > 1) & (mass > 0)), (2, True)), None),
        (sympy.Mod(x0, 2), "mod(x0, 2)"),
        (sympy.cot(x0), "inv(tan(x0))"),
        (sympy.pi * x0, "3.141592653589793*x0"),
        (sympy.Rational(1, 3), "0.3333333333333333"),
        (sympy.Float("1e-3") * sympy.E, None),
    ],
)
def test_sympy_expressions_become_trees(expr: Expr, text: str) -> None:
    tree = from_sympy(expr, NAMES)
    if text is not None:
        assert to_text(tree, NAMES) == text
    values = [float(expr.subs(dict(zip((x0, mass, x2), row, strict=True)))) for row in X]
    np.testing.assert_allclose(evaluate(tree, X), values, rtol=1e-12)


@pytest.mark.parametrize(
    "expr",
    [sympy.I * x0, sympy.zoo, sympy.LambertW(x0), sympy.Symbol("other"), sympy.Heaviside(x0, 1), "x0 + 1", object()],
)
def test_what_no_tree_can_hold_is_an_error(expr: Expr) -> None:
    with pytest.raises(ParseError):
        from_sympy(expr, NAMES)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text",
    [
        "9^9^9^9",
        "gamma(1e9)",
        "floor(exp(exp(50)))",
        "exp2(exp2(exp2(9)))",
        "mod(exp(9^9), 3)",
        "greater(9^9^9, 9^9^8)",
    ],
)
def test_numbers_beyond_float64_never_reach_exact_arithmetic(text: str) -> None:
    value = evaluate(parse(text, NAMES), X)[0]
    shown = to_sympy(parse(f"x0 + {text}", NAMES), NAMES).subs(x0, 1.0)
    assert shown in (sympy.oo, sympy.nan) or math.isclose(float(shown), 1 + value)


def test_constants_without_a_real_value_are_nan() -> None:
    assert to_sympy(parse("sqrt(-2)*sin(1)", NAMES), NAMES) is sympy.nan
    assert to_sympy(parse("sin(1) + exp(2)", NAMES), NAMES) == sympy.sin(1) + sympy.exp(2)


def test_whole_numbers_are_integers() -> None:
    assert to_sympy(parse("2.0*x0 + 0.5", NAMES), NAMES) == 2 * x0 + sympy.Float(0.5)
