"""LaTeX of equations, which is made of their MathML."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symtorch.equations import parse
from symtorch.equations.expr import Call, Constant, Expr, Variable
from symtorch.equations.latex import latex
from symtorch.equations.operators import OPERATORS

NAMES = ["x0", "theta_1", "Lambda", "a_max", "mass"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x0/theta_1", r"\frac{x_{0}}{\theta_{1}}"),
        ("Lambda*a_max^2 - mass", r"\Lambda {a_{\mathrm{max}}}^{2} - \mathrm{mass}"),
        ("sin(x0)^2*log10(x0)", r"\sin^{2} \left( x_{0} \right) \log_{10} \left( x_{0} \right)"),
        ("acos(x0)", r"\arccos \left( x_{0} \right)"),
        ("exp(-x0^2/2)", r"e^{- \frac{x_{0}^{2}}{2}}"),
        ("(x0 + Lambda)^3", r"\left( x_{0} + \Lambda \right)^{3}"),
        ("sqrt(x0)*cbrt(Lambda)", r"\sqrt{x_{0}} \sqrt[3]{\Lambda}"),
        ("abs(x0) + floor(Lambda)", r"\left| x_{0} \right| + \left\lfloor \Lambda \right\rfloor"),
        ("0.07957747154594767*x0", r"\frac{1}{4 \pi} x_{0}"),
        ("1.5e-9*x0", r"1.5 \cdot 10^{- 9} x_{0}"),
        ("erf(x0)", r"\mathrm{erf} \left( x_{0} \right)"),
        ("max(x0, Lambda)", r"\max \left( x_{0} , \Lambda \right)"),
        ("greater_equal(x0, 1)*Lambda", r"\left[ x_{0} \geq 1 \right] \Lambda"),
        ("ifelse(x0, 1, Lambda)", r"\begin{cases} 1 & \text{if }x_{0} > 0 \\ \Lambda & \text{otherwise} \end{cases}"),
    ],
)
def test_what_is_written(text: str, expected: str) -> None:
    assert latex(parse(text, NAMES), NAMES) == expected


def test_constants_are_rounded() -> None:
    assert latex(parse("0.73125*x0", NAMES), NAMES, 3) == "0.731 x_{0}"


def call(name: str, *args: Expr) -> Expr:
    return Call(OPERATORS[name], args)


LEAVES = st.integers(0, 4).map(Variable) | st.sampled_from([0.0, -2.5, 1e-9, math.pi, math.inf, math.nan]).map(Constant)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(call, st.sampled_from([op.name for op in OPERATORS.values() if op.arity == 1]), inner)
        | st.builds(call, st.sampled_from([op.name for op in OPERATORS.values() if op.arity == 2]), inner, inner)
        | st.builds(call, st.sampled_from([op.name for op in OPERATORS.values() if op.arity == 3]), inner, inner, inner)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(TREES)
def test_every_brace_and_fence_is_closed(tree: Expr) -> None:
    text = latex(tree, NAMES)
    depth = 0
    for char in text.replace(r"\{", "").replace(r"\}", ""):
        depth += (char == "{") - (char == "}")
        assert depth >= 0
    assert depth == 0
    assert text.count(r"\left") == text.count(r"\right")
    assert text.isascii()
