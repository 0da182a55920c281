"""The form for people is the same function, easier to read, and the same whoever asks again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from symtorch.equations import Equation, parse
from symtorch.equations.definitions import operator
from symtorch.equations.expr import Call, Constant, Expr, Variable, evaluate, size, to_text
from symtorch.equations.front import Front
from symtorch.equations.normal import normalise
from symtorch.equations.operators import OPERATORS
from symtorch.equations.readable import effort
from symtorch.equations.textbook import LARGEST, signs_of, textbook

NAMES = ("x", "y", "z")
POSITIVE = (1, 1, 1)


def shown(text: str, signs: tuple[int, ...] | None = None) -> str:
    return to_text(textbook(parse(text, NAMES), signs), NAMES, digits=5)


@pytest.mark.parametrize(
    ("found", "form"),
    [
        # polynomials without Horner's brackets, if they are short
        ("sqrt(x*(x - 2*y*cos(z)) + square(y))", "sqrt(x^2 + y^2 - 2*x*y*cos(z))"),
        # factors and numbers before sums, one denominator
        ("x*z - y*z", "z*(x - y)"),
        ("z*(x/y - x/2)", "x*z*(1/y - 1/2)"),
        ("0.5*(x*y^2 + z^2/x)", "(x^2*y^2 + z^2)/(2*x)"),
        ("sqrt(2*(x - y)/z - 1/square(z))", "sqrt(2/z*(x - y - 1/(2*z)))"),
        # no fraction below a fraction's line
        ("z/(1/(x*y) - 1/3)", "x*y*z/(1 - x*y/3)"),
        # a correction as one to 1
        ("x*y/(y - x*z)", "x/(1 - x*z/y)"),
        # half angles in quotients, else the cosine
        ("x*(1 - cos(y*z))/(1 - cos(y))", "x*sin(y*z/2)^2/sin(y/2)^2"),
        ("2*x*(1 - cos(y*z))", "2*x*(1 - cos(y*z))"),
        # functions that are turned about
        ("pi/2 - asin(x/y)", "acos(x/y)"),
        ("x*sqrt(1 - square(tanh(y)))", "x/cosh(y)"),
        # one square of a product, powers, numbers
        ("square(x*y/z)", "(x*y/z)^2"),
        ("square(square(x))*x*sqrt(x)", "x^(11/2)"),
        ("0.0625*x/3.141592653589793", "x/(16*pi)"),
        ("0.3*x", "0.3*x"),
        ("-1*x*y", "-x*y"),
    ],
)  # fmt: skip
def test_each_kind_of_step(found: str, form: str) -> None:
    assert shown(found) == form


def test_roots_are_drawn_where_quantities_are_known_to_be_positive() -> None:
    text = "sqrt(x^2*y + x^2*z)"
    assert shown(text) == "sqrt(x^2*(y + z))"
    assert shown(text, POSITIVE) == "x*sqrt(y + z)"
    assert shown(text, (0, 1, 1)) == "sqrt(x^2*(y + z))"
    assert shown("x*z/sqrt(square(z) - square(y))", POSITIVE) == "x/sqrt(1 - y^2/z^2)"
    assert shown("z*sqrt(x + y)/sqrt(x - y)", POSITIVE) == "z*sqrt((x + y)/(x - y))"
    assert shown("sqrt(x^2)", (-1, 0, 0)) != "x"
    assert shown("y*abs(x)") == "y*abs(x)"


def test_a_form_is_not_defined_elsewhere() -> None:
    assert shown("log(x) + log(y)") == "log(x) + log(y)"  # log(x*y) is defined where both are negative
    assert shown("z*sqrt(x + y)/sqrt(x - y)") == "z*sqrt(x + y)/sqrt(x - y)"
    assert shown("log(x) + log(y)", POSITIVE) == "log(x*y)"


def test_what_cannot_be_compared_stays() -> None:
    nowhere = parse("log(-1 - x^2) + x - x", NAMES)
    assert textbook(nowhere) is nowhere
    long = parse(" + ".join(f"{k}.5*x^{k}*sin({k}*y)" for k in range(1, LARGEST // 3)), NAMES)
    assert textbook(long) is long
    line = parse("x + y", NAMES)
    assert textbook(line) == line


def test_operators_of_other_kinds_are_kept() -> None:
    assert shown("max(x, y)*z - max(x, y)") == "max(x, y)*(z - 1)"
    assert shown("greater(x, 0)*y") == "y*greater(x, 0)"
    swing = operator("swing(u, v) = u*sin(v)")
    own = Call(swing, (Variable(0), Variable(1)))
    assert to_text(textbook(own), NAMES) == "swing(x, y)"


def call(name: str, *args: Expr) -> Expr:
    return Call(OPERATORS[name], args)


LEAVES = st.integers(0, 2).map(Variable) | st.sampled_from([1.0, 2.0, -1.0, 0.5, 3.0, -0.7312]).map(Constant)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(call, st.sampled_from(("neg", "square", "sqrt", "exp", "sin", "cos", "log", "tanh", "abs")), inner)
        | st.builds(call, st.sampled_from("+-*/"), inner, inner)
    ),
    max_leaves=9,
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(TREES, st.sampled_from([None, POSITIVE, (1, 0, -1)]))
def test_the_form_has_the_same_values_and_reads_no_worse(tree: Expr, signs: tuple[int, ...] | None) -> None:
    form = textbook(tree, signs)
    rng = np.random.default_rng(7)
    X = rng.uniform(0.2, 2.5, (200, 3))
    X *= (
        rng.choice((-1.0, 1.0), X.shape)
        if signs is None
        else np.where(np.array(signs) == 0, rng.choice((-1.0, 1.0), X.shape), signs)
    )
    expected, found = evaluate(tree, X), evaluate(form, X)
    sure = np.isfinite(expected) & (np.abs(expected) < 1e12)
    assume(sure.sum() > 20)
    size_of = np.abs(expected[sure])
    assert np.allclose(found[sure], expected[sure], rtol=1e-6, atol=1e-6 * np.median(size_of))
    if form is not tree:
        assert effort(normalise(form)) <= effort(normalise(tree)) + 1e-9
    assert size(form) <= 3 * size(tree) + 8


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TREES)
def test_the_form_of_a_form_reads_no_better(tree: Expr) -> None:
    form = textbook(tree)
    again = textbook(form)
    assert effort(normalise(again)) >= effort(normalise(form)) - 1e-9


def test_signs_of_columns() -> None:
    assert signs_of(np.array([[1.0, -1.0, 1.0, 0.0], [0.0, -2.0, -1.0, 0.0]])) == (1, -1, 0, 1)


def test_an_equation_keeps_what_it_is_and_shows_its_form() -> None:
    expr = parse("sqrt(x*(x - 2*y*cos(z)) + square(y))", NAMES)
    eq = Equation(expr, NAMES, 14, 0.0)
    assert eq.textbook == "sqrt(x^2 + y^2 - 2*x*y*cos(z))"
    assert str(eq) == "sqrt(x*(x - 2*y*cos(z)) + square(y))"
    assert parse(eq.text, NAMES) == eq.expr == expr
    assert eq.latex() == r"\sqrt{x^{2} + y^{2} - 2 x y \cos \left( z \right)}"
    assert eq._repr_html_().count("<msup>") == 2


def test_a_front_knows_the_signs_of_its_rows() -> None:
    front = Front((Equation(parse("sqrt(x^2*y + x^2*z)", NAMES), NAMES, 11, 0.0),))
    assert front.best.textbook == "sqrt(x^2*(y + z))"
    assert front.with_signs(POSITIVE).best.textbook == "x*sqrt(y + z)"
    assert front.with_signs(POSITIVE) == front  # a front is its equations
