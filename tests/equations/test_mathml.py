"""Formulas as MathML say what the trees say."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symtorch.equations import parse
from symtorch.equations.definitions import operator
from symtorch.equations.expr import Call, Constant, Expr, Variable, evaluate
from symtorch.equations.mathml import mathml
from symtorch.equations.operators import OPERATORS

NAMES = ("x0", "x1", "theta", "d_age_b")
FENCES = {"(": "{}", "[": "(1.0*({}))", "|": "np.abs{}", "⌊": "np.floor{}", "⌈": "np.ceil{}"}
SIGNS = {"−": "-", "⋅": "*", "\N{FUNCTION APPLICATION}": "", "∧": ")&(", "∨": ")|(", "≥": ">=", "≤": "<="}
WORDS = {"θ": "theta", "∞": "np.inf", "e": "np.e", **{f: f"np.{f}" for f in ("sin", "cos", "log", "tanh")}}


def elements(page: str) -> ET.Element:
    """The page as XML, which it has to be well-formed for."""
    return ET.fromstring(f"<div>{page}</div>")


def read(node: ET.Element) -> str:
    """What somebody would type in Python who sees it: there are no groups but those that can be seen."""
    parts = [read(child) for child in node]
    match node.tag:
        case "mn":
            return node.text or ""
        case "mi":
            return WORDS.get(node.text or "", node.text or "")
        case "mo":
            return SIGNS.get(node.text or "", node.text or "")
        case "mspace":
            return "*"
        case "mfrac":
            return f"(({parts[0]})/({parts[1]}))"
        case "msup":
            return f"{parts[0]}**({parts[1]})"
        case "msqrt":
            return f"np.sqrt({parts[0]})"
        case "mroot":
            return f"np.cbrt({parts[0]})"
        case "msub":
            return f"{parts[0]}{parts[1]}" if parts[1].isdigit() else f"{parts[0]}_{parts[1]}"
        case "mrow" if len(node) > 1 and node[0].get("fence") and node[0].text == "{":
            (value, condition), (other, _) = ((read(row[0]), read(row[1])) for row in node[1])
            return f"np.where({condition}, {value}, {other}) ends_here"
        case "mrow" if len(node) and node[0].get("fence"):
            return FENCES[node[0].text or ""].format(f"({''.join(parts[1:-1])})")
    return "".join(parts)


def value(page: str, X: np.ndarray) -> Any:
    text = re.sub(r" ends_here *(?=[),]|$)", "", read(elements(page)))
    assert "ends_here" not in text, "what follows cases could belong to the last one"
    text = re.sub(r"(?<![\w.])(\d[\d.]*)", r"np.float64(\1)", text)  # which may be divided by zero
    scope = {"np": np, "max": np.maximum, "mod": np.mod, **dict(zip(NAMES, X.T, strict=True))}
    with np.errstate(all="ignore"):
        return np.broadcast_to(eval(text, scope), (len(X),))


def call(name: str, *args: Expr) -> Expr:
    return Call(OPERATORS[name], args)


UNARY = ("neg", "square", "cube", "inv", "sqrt", "cbrt", "abs", "exp", "exp2", "sin", "log", "tanh", "floor", "ceil")
BINARY = ("+", "-", "*", "/", "^", "max", "mod", "greater", "less", "greater_equal", "less_equal", "cond",
          "logical_and", "logical_or")  # fmt: skip
NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 2.0, -2.5, 0.125, 1e-9, -3e12, math.inf])
LEAVES = st.integers(0, 3).map(Variable) | NUMBERS.map(Constant)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(call, st.sampled_from(UNARY), inner)
        | st.builds(call, st.sampled_from(BINARY), inner, inner)
        | st.builds(call, st.sampled_from(("fma", "ifelse")), inner, inner, inner)
    ),
    max_leaves=12,
)
X = np.random.default_rng(0).normal(size=(7, 4))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(TREES)
def test_what_is_read_from_a_formula_is_its_value(tree: Expr) -> None:
    page = mathml(tree, NAMES, digits=17)
    with np.errstate(all="ignore"):
        expected = evaluate(tree, X)
        found = value(page, X)
        # A root of something negative, and an infinity less itself, may differ by the order of rounding.
        sure = np.isfinite(expected) & (np.abs(expected) < 1e100)
        assert np.allclose(found[sure], expected[sure], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x0 + -2*x1", "x0-2*x1"),
        ("(x0 + x1)*x0", "(x0+x1)*x0"),
        ("-x0^2", "-x0**(2)"),
        ("(-x0)^2", "(-x0)**(2)"),
        ("x0 - (x1 - x0)", "x0-(x1-x0)"),
        ("-2*x0/x1", "-((2*x0)/(x1))"),
        ("x0*2.5", "2.5*x0"),
        ("2*3", "2*3"),
        ("exp(-x0)", "np.e**(-x0)"),
        ("1.25e-7*x0", "1.25*10**(-7)*x0"),
        ("x0*(x1 > 0.5)", "x0*(1.0*((x1>0.5)))"),
        ("log2(x0)", "np.log2(x0)"),
    ],
)
def test_it_is_written_as_people_write(text: str, expected: str) -> None:
    assert read(elements(mathml(parse(text, NAMES), NAMES))) == expected


def test_every_operator_is_written_well_formed() -> None:
    for op in OPERATORS.values():
        node = Call(op, tuple(Variable(i) for i in range(op.arity)))
        elements(mathml(call("*", node, node), NAMES))


def test_lines_can_break_between_the_terms_of_a_sum() -> None:
    page = mathml(parse("+".join(f"{i}.5*sin(x0)" for i in range(15)) + "- x1", NAMES), NAMES)
    assert [child.tag for child in elements(page)] == ["math"] * 16
    assert page.count("</math> <math ") == 15


def test_a_sum_of_a_thousand_terms_is_no_thousand_calls() -> None:
    sums: Expr = Variable(0)
    for _ in range(2999):
        sums = call("+", sums, Variable(0))
    assert mathml(call("sin", sums), NAMES).count("<mi>x</mi>") == 3000


def test_names_from_outside_are_text() -> None:
    own = operator("bump(x) = x^2")
    page = mathml(Call(own, (Variable(0),)), ["<script>"])
    assert "<script>" not in page
    (math,) = elements(page)
    assert [e.text for e in math.iter("mi")] == ["bump", "<script>"]


def test_indices_and_greek_letters() -> None:
    names = ["x_12", "Omega", "lambda", "d_age_b", "a_rather_long_name", "é2"]
    read_ = [read(elements(mathml(Variable(i), names))) for i in range(len(names))]
    assert read_ == ["x12", "Ω", "λ", "d_age_b", "a_rather_long_name", "é2"]
