"""Search spaces, points and random trees for the tests of the native engine's parts."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np

from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Call, Constant, Expr, Variable, evaluate
from symtorch.equations.operators import OPERATORS
from symtorch.equations.parser import parse

NAMES = ["x0", "x1", "x2"]
WIDE = SearchOptions.from_params(
    {
        "binary_operators": ["+", "-", "*", "/"],
        "unary_operators": ["square", "sqrt", "exp", "log", "sin", "cos"],
        "maxsize": 60,
    }
)
SPACES = [
    SearchOptions.from_params({"maxsize": 200}),
    SearchOptions.from_params({"binary_operators": ["+", "-", "*", "/"], "unary_operators": ["exp", "sin", "sqrt"],
                               "maxsize": 200}),
    SearchOptions.from_params({"binary_operators": ["+", "*", "^"], "unary_operators": ["exp", "sin"], "maxsize": 200}),
    SearchOptions.from_params({"binary_operators": ["-", "div(a, b) = a/b"], "maxsize": 200,
                               "unary_operators": ["exp", "sin", "rs(a) = 1/sqrt(a)", "sq(a) = a*a"]}),
]  # fmt: skip


def points(n: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.3, 1.7, (n, 3))


def read(text: str) -> Expr:
    return parse(text, NAMES)


_leaves = st.integers(0, 2).map(Variable) | st.sampled_from([-2.0, -1.0, 0.5, 1.0, 2.0, 3.0]).map(Constant)


def _grown(children: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    binary = st.tuples(st.sampled_from("+-*/"), children, children)
    unary = st.tuples(st.sampled_from(["exp", "sin", "cos", "square", "sqrt", "inv", "neg", "log"]), children)
    return (
        binary.map(lambda t: Call(OPERATORS[t[0]], t[1:]))
        | unary.map(lambda t: Call(OPERATORS[t[0]], t[1:]))
        | st.tuples(children, st.sampled_from([-2.0, -0.5, 0.5, 1.5, 2.0, 3.0])).map(
            lambda t: Call(OPERATORS["^"], (t[0], Constant(t[1])))
        )
    )


trees = st.recursive(_leaves, _grown, max_leaves=8)


def assert_same_values(a: Expr, b: Expr) -> None:
    """Equal wherever the first is defined and no term is so large that rounding decides."""
    X = points()
    left, right = evaluate(a, X), evaluate(b, X)
    sound = np.isfinite(left) & (np.abs(left) < 1e6) & (np.abs(left) > 1e-6) & (np.abs(right) < 1e12)
    np.testing.assert_allclose(right[sound], left[sound], rtol=1e-5)
