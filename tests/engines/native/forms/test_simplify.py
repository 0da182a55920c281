"""The shortest form: known cases, the same values, the user's operators."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symtorch.engines.native.forms.simplify import RULES, shortest
from symtorch.engines.native.forms.tuning import FormsTuning
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.tuning import tuned
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Constant, Expr, Variable, evaluate, to_text
from symtorch.equations.normal import add, apply, multiply, normalise, power
from symtorch.equations.operators import OPERATORS
from symtorch.equations.parser import parse
from symtorch.equations.rewriting import rewritten, same_values

NAMES = [f"x{i}" for i in range(5)]
RICH = SearchOptions.from_params(
    {
        "binary_operators": ["+", "-", "*", "/"],
        "unary_operators": ["square", "cube", "sqrt", "exp", "log", "sin", "cos", "tanh"],
        "complexity_of_operators": {},
    }
)
QUOTIENTS = SearchOptions.from_params({"binary_operators": ["+", "-", "*", "/"], "unary_operators": ["square"]})
X = np.random.default_rng(0).uniform(1.0, 2.0, (200, 5))
X[:, 1] *= 0.4


@pytest.mark.parametrize(
    ("ugly", "complexity"),
    [
        ("x0*x3*sqrt((square(x1) + square(x2))/square(x3) + 1)", 11),  # x0*sqrt(x1² + x2² + x3²)
        ("x0*x1/(((square(x2) + square(x3))/square(x4) + 1)*square(x4))", 12),
        ("x2*((x3/x2 - 1)/(x0/x1 + 1) + 1)", 11),  # (x0*x2 + x1*x3)/(x0 + x1)
        ("x2/((x2/(x0*x1) + 1)*x1)", 7),  # x2/(x2/x0 + x1)
        ("x0*(x1/x0 + 2*sqrt(x1/x0)*cos(x2) + 1)", 13),
        ("1.3164*exp(-0.4*x0)*(cos(3*x1) - 0.5463*sin(3*x1))", 13),  # one wave
        ("2*exp(-0.3*x0)*cos(x1)*sin(x1)", 9),  # sin of the double angle
        ("-1*(x0*log(x3/x4))", 6),
        ("x0*(1 - 2/(exp(2*x1) + 1))", 4),  # tanh
        ("x0*(0.5/tanh(0.5*x1*x2) - 0.5)", 8),  # x0/(exp(x1*x2) - 1)
        ("x0*(tanh(0.5*x1) + 1)", 10),  # 2*x0/(exp(-x1) + 1)
        ("log(x0) + log(x1) - log(x2)", 6),
        ("x0*x1 + x0*x2 + x0*x3", 7),
        ("x1*(square(x0/x1 - 0.25) + 0.9375)/x0 + 0.5*cos(2*x2)", 11),  # x0/x1 + x1/x0 - sin²(x2)
        ("exp(log(x0) - 2*log(x1) + 0.5*log(x2))", 7),  # x0*sqrt(x2)/x1²
        ("(x0 + x1)*(x0 - x1) + square(x1)", 2),
        ("log(x0 + 1/x0) + log(square(x0) + x0)", 9),  # log((x0 + 1)*(x0² + 1))
        ("x0*square(square(x0) + x0 + 1) - square(square(x0) + x0)", 12),  # x0⁵ + x0⁴ + x0³ + x0² + x0
        ("square(x0) + x0*cos(x1) + 0.125*cos(2*x1) + 0.125", 7),  # (x0 + cos(x1)/2)²
        ("square(sin(x0)) + square(cos(x0)) + x1", 3),
        (f"x0*(x1*sin(x2 + {math.pi / 2}) + 1)", 8),  # x0*(x1*cos(x2) + 1)
        (f"cos(x2 + {math.pi / 2}) + sin(x1 - {math.pi}) + cos(x0 - {math.pi})", 10),
    ],
)
def test_ugly_forms_become_short_ones(ugly: str, complexity: int) -> None:
    expr, words = normalise(parse(ugly, NAMES)), Vocabulary(RICH)
    short = shortest(expr, words, X)
    tree = words.legal(short)
    assert tree is not None
    assert RICH.complexity(tree) <= complexity
    assert same_values(evaluate(tree, X), evaluate(parse(ugly, NAMES), X))


def test_terms_of_different_inputs_do_not_stand_in_each_others_way() -> None:
    """All forms of them together are too many to be looked at; those of each are few."""
    words = Vocabulary(RICH)
    parts = ["x0*sqrt(square(x3)/square(x0) + 1)", "1.7*x1/((x1/x2 + 1)*x2)", "0.5*exp(-0.3*x4)*cos(x4)*sin(x4)"]
    alone = [shortest(normalise(parse(part, NAMES)), words, X, 8) for part in parts]
    whole = normalise(parse(" + ".join(parts), NAMES))
    assert shortest(whole, words, X, 8) == add(alone) != whole


@pytest.mark.parametrize(
    ("ugly", "short"),
    [
        ("1.26*x0/(square(x2) + 1.7) + 1.26*x1*x3 - 0.5*x4", "1.26*(x0/(square(x2) + 1.7) + x1*x3) - 0.5*x4"),
        ("log(x0) + log(x1) + x2", "log(x0*x1) + x2"),
        ("x0 - x1*sin(x2) + 0.5*cos(2*x3) - 0.5", "x0 - x1*sin(x2) - square(sin(x3))"),
    ],
)
def test_what_terms_of_different_inputs_have_in_common_is_seen(ugly: str, short: str) -> None:
    """A coefficient, a logarithm, the constant, a sign."""
    words = Vocabulary(RICH)
    tree = words.legal(shortest(normalise(parse(ugly, NAMES)), words, X))
    assert tree is not None
    assert RICH.complexity(tree) <= RICH.complexity(parse(short, NAMES))


def test_a_short_form_stays_as_it_is() -> None:
    expr = normalise(parse("x0*exp(x1)", NAMES))
    assert shortest(expr, Vocabulary(RICH), X) == expr


def test_costs_are_the_users() -> None:
    """Where a sine is dear, two of one angle are joined; where products are dear, a factor is taken out."""
    dear = SearchOptions.from_params({"binary_operators": ["+", "*"], "complexity_of_operators": {"*": 5}})
    words = Vocabulary(dear)
    expr = normalise(parse("x0*x1 + x0*x2", NAMES))
    tree = words.render(shortest(expr, words, X))
    assert tree is not None
    assert dear.complexity(tree) == 5 + 1 + 3


def test_only_what_the_user_allows_is_written() -> None:
    few = SearchOptions.from_params({"binary_operators": ["+", "*"], "unary_operators": ["inv(x) = 1/x", "exp"]})
    words = Vocabulary(few)
    tree = words.legal(shortest(normalise(parse("x2/((x2/(x0*x1) + 1)*x1)", NAMES)), words, X))
    assert tree is not None
    assert few.violation(tree) is None


def test_a_rule_that_holds_for_one_sign_only_is_judged_by_the_samples() -> None:
    """log(x0^2) = 2*log(x0) for positive x0 alone, x0/sqrt(x0^2) = 1 likewise."""
    mixed = np.random.default_rng(1).uniform(-2.0, 2.0, (200, 5))
    for text in ("x0*sqrt(1 + square(x1)/square(x0))", "log(square(x0)) + log(square(x1))"):
        expr = normalise(parse(text, NAMES))
        short = shortest(expr, Vocabulary(RICH), mixed)
        assert same_values(evaluate(short, mixed), evaluate(expr, mixed))


def test_same_values_minds_where_a_form_is_undefined() -> None:
    assert same_values(np.array([1.0, np.nan]), np.array([1.0, np.inf]))
    assert not same_values(np.array([1.0, 2.0]), np.array([1.0, np.nan]))
    assert not same_values(np.array([1.0, 2.0001]), np.array([1.0, 2.0]))


def expressions() -> st.SearchStrategy[Expr]:
    leaves = st.one_of(
        st.builds(Variable, st.integers(0, 2)),
        st.builds(Constant, st.sampled_from([-2.0, -0.5, 0.7, 1.0, 3.0])),
    )

    def grow(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        pair = st.tuples(inner, inner).map(list)
        return st.one_of(
            pair.map(add),
            pair.map(multiply),
            st.builds(power, inner, st.sampled_from([-1.0, 2.0, 0.5, -0.5])),
            st.builds(
                lambda name, e: apply(OPERATORS[name], [e]), st.sampled_from(["sin", "cos", "exp", "log"]), inner
            ),
        )

    return st.recursive(leaves, grow, max_leaves=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(expressions())
def test_every_rewritten_form_has_the_same_values_where_all_is_positive(expr: Expr) -> None:
    """Each rule is an identity where both forms are defined; shortest() checks the rest on the samples."""
    expr = normalise(expr)
    values = evaluate(expr, X[:40])
    for count, form in enumerate(rewritten(expr, RULES)):
        if count > 40:
            break
        found = evaluate(form, X[:40])
        both = np.isfinite(values) & np.isfinite(found) & (np.abs(values) < 1e8)
        if not both.any():
            continue
        with tuned(FormsTuning(forms=1)):
            short = shortest(form, Vocabulary(RICH), X[:40])
        assert same_values(evaluate(short, X[:40]), found)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(expressions())
def test_the_shortest_form_is_the_same_law_and_no_longer(expr: Expr) -> None:
    expr, words = normalise(expr), Vocabulary(RICH)
    tree = words.legal(expr)
    with tuned(FormsTuning(forms=60)):
        short = shortest(expr, words, X)
    assert same_values(evaluate(short, X), evaluate(expr, X)) or not np.isfinite(evaluate(expr, X)).all()
    if tree is not None:
        written = words.legal(short)
        assert written is not None
        assert RICH.complexity(written) <= RICH.complexity(tree)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5 - 20*(x2 - x2^2)", "20*square(x2 - 0.5)"),
        ("x0*(x0 + 2*x1) + x1^2", "square(x0 + x1)"),
        ("4*x0^4 + 4*x0^2*x1 + x1^2 + x2", "square(2*square(x0) + x1) + x2"),
        ("x0^2/x1^2 + 2*x0/x1 + 1", "square((x0 + x1)/x1)"),
    ],
)
def test_squares_are_completed(text: str, expected: str) -> None:
    words = Vocabulary(QUOTIENTS)
    short = words.render(shortest(normalise(parse(text, NAMES)), words, X))
    assert short is not None
    assert to_text(short, NAMES, digits=6) == expected


def test_every_rule_is_reached() -> None:
    texts = {
        "multiply_out": "x0*(x1 + x2)",
        "gather": "(x0 - x1)^2 + 2*x0*x1",
        "absorb": "x0*sqrt(x1 + x2)",
        "extract": "x0*x1 + x0*x2",
        "complete_square": "2*x0^2 + 3*x0*x1 + x1^2",
        "common_power": "sqrt(x0)*sqrt(x1)",
        "flip": "-1*x0*(x1 - x2)",
        "join_logs": "log(x0) + log(x1)",
        "exp_of_logs": "exp(2*log(x0) + x1)",
        "one_wave": "sin(x0) + 2*cos(x0)",
        "half_angle": "x1 + cos(2*x0)",
        "quarter_turns": f"sin(x0 + {math.pi / 2})",
        "into_condition": "x1*cond(x0 - 0.3, 1)",
        "hyperbolic": "1 - 2/(exp(x0) + 1)",
        "exponential": "1 - tanh(x0)",
    }
    assert {rule.__name__ for rule in RULES} == set(texts)
    for rule in RULES:
        assert list(rule(normalise(parse(texts[rule.__name__], NAMES)))), rule.__name__


def test_a_factor_goes_into_a_condition() -> None:
    words = Vocabulary(SearchOptions.from_params({"binary_operators": ["+", "*", "cond"], "unary_operators": []}))
    X = np.random.default_rng(0).uniform(-2.0, 2.0, (50, 2))
    expr = normalise(parse("x1*cond(x0 - 0.3, 1)", ["x0", "x1"]))
    assert words.render(shortest(expr, words, X)) == parse("cond(x0 + (-0.3), x1)", ["x0", "x1"])
