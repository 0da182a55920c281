"""What is written in the user's operators."""

from __future__ import annotations

import numpy as np
import pytest
from forms import NAMES, SPACES, assert_same_values, read, trees
from hypothesis import given, settings

from symtorch.engines.native import Vocabulary
from symtorch.engines.options import SearchOptions
from symtorch.equations import normal
from symtorch.equations.expr import Expr, constants, to_text


@pytest.mark.parametrize("options", SPACES, ids=lambda o: ",".join(o.operators))
@settings(max_examples=60, deadline=None, derandomize=True)
@given(tree=trees)
def test_what_is_written_means_the_same_in_any_operators(options: SearchOptions, tree: Expr) -> None:
    form = normal.normalise(tree)
    written = Vocabulary(options).render(form)
    if written is not None and all(np.isfinite(c) and 1e-6 < abs(c) < 1e6 for c in constants(form)):
        assert options.violation(written) is None or "maxsize" in str(options.violation(written))
        assert_same_values(form, written)


QUOTIENTS = {"binary_operators": ["+", "-", "*", "/"], "unary_operators": ["square", "exp", "sin"]}


@pytest.mark.parametrize(
    ("params", "text", "written"),
    [
        ({}, "x0/x1", "x0*inv(x1)"),
        ({}, "x0^2", "x0*x0"),
        ({"unary_operators": ["square"]}, "x0*x0", "square(x0)"),
        ({"binary_operators": ["+", "*", "^"]}, "x0*x0*x0", "x0^3"),
        (QUOTIENTS, "2.5*exp(-x0)*sin(3*x1)", "2.5*sin(3*x1)/exp(x0)"),
        (QUOTIENTS, "x0*exp(-x1*x2/x0)", "x0/exp(x1*x2/x0)"),
        (QUOTIENTS, "x0*exp(-0.3*x1)", "x0*exp(-0.3*x1)"),
        (QUOTIENTS, "2*x1*(1 - 1/x2)", "x1*(2 - 2/x2)"),
        (QUOTIENTS, "-(x0 - x1)*x2", "x2*(x1 - x0)"),
        (QUOTIENTS, "x0*x2^5", "x0*square(square(x2))*x2"),
        (QUOTIENTS, "x0^2*x1^2", "square(x0*x1)"),
        (QUOTIENTS, "3*x0/(x1^2*x2^2)", "3*x0/square(x1*x2)"),
        (QUOTIENTS, "x0^4*x1^2/x2^2", "square(x1*square(x0)/x2)"),
        ({}, "x0*x0*x1*x1", "x0*x0*x1*x1"),
        (QUOTIENTS, "-3e40*exp(-300*x0)", "-1*exp(93.20201600842994 - 300*x0)"),
        ({"binary_operators": ["/"], "unary_operators": []}, "x0*x1", "x1/(1/x0)"),
        ({"binary_operators": ["+", "-"], "unary_operators": []}, "x0*x1", None),
        ({"binary_operators": ["+", "*"], "unary_operators": []}, "sqrt(x0)", None),
    ],
)
def test_the_cheapest_writing_is_taken(params: dict, text: str, written: str | None) -> None:
    tree = Vocabulary(SearchOptions.from_params(params)).render(normal.normalise(read(text)))
    assert (None if tree is None else to_text(tree, NAMES)) == written


def test_a_coefficient_too_large_for_the_inside_of_a_power_stays_outside() -> None:
    words = Vocabulary(SearchOptions.from_params({"binary_operators": ["+", "*", "^"], "unary_operators": []}))
    written = words.render(read("1e10*(x0 + 1.5)^0.01"))
    assert written is not None
    assert to_text(written, NAMES) == "10000000000*(x0 + 1.5)^0.01"
