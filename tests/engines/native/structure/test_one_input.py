"""Functions of one input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from structures import OPTIONS, box, wobble

from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.one_input import one_input_forms
from symtorch.equations.expr import evaluate
from symtorch.equations.parser import parse

WORDS = Vocabulary(replace(OPTIONS, unary_operators=(*OPTIONS.unary_operators, "tanh")))


@pytest.mark.parametrize(
    "text",
    [
        "2.5*x0",
        "0.7/x0",
        "3*sqrt(x0) + 1",
        "1/(square(x0) + 0.3)",
        "exp(-0.7*x0) + 2",
        "sin(3.1*x0 + 0.4)",
        "log(x0)",
        "sin(1.9*x0) + 0.4*x0",
        "1/(square(x0) + 1.3) - 0.4*x0",
        "exp(-0.7*square(x0)) + x0",
        "x0*exp(-x0) + 1",
        "19.9*square(x0) - 20.1*x0 + 4.9",
        "0.7*cube(x0) - 2*x0 + 1",
        "3/x0 + 1.5*x0 - 2",
        "1.2*sin(2.9*x0) + 0.7*sin(4.4*x0)",
    ],
)
def test_common_functions_of_one_input_are_among_the_forms(text: str) -> None:
    X = box(1)
    y = evaluate(parse(text, ["x0"]), X)
    losses = [fit(form, Rows.of(X, y))[1] for form in one_input_forms(X[:, 0], y, WORDS)]
    assert min(losses) < 1e-20 * y.var()


@pytest.mark.parametrize(
    "text",
    [
        "3*tanh(0.8*x0) - 0.2",
        "2*(1/tanh(1.7*x0) - 1/(1.7*x0))",
        "0.6/(exp(1.3*x0) - 1)",
        "x0/(exp(2.1*x0) - 1)",
        "1/(exp(1.4/x0) - 1)",
        "square(1 - exp(-1.3*(x0 - 0.9)))",
    ],
)
def test_curves_that_an_exponential_bends_or_ends_are_among_the_forms(text: str) -> None:
    X = box(1, 0.2, 5.0)
    y = evaluate(parse(text, ["x0"]), X)
    losses = [fit(form, Rows.of(X, y))[1] for form in one_input_forms(X[:, 0], y, WORDS)]
    assert min(losses) < 1e-20 * y.var()


@pytest.mark.parametrize(
    "text", ["8*x0/(exp(8*x0) - 1)", "square(1 - exp(-1.3*(x0 - 0.9)))", "1/tanh(6*x0) - 1/(6*x0)"]
)
def test_a_small_error_does_not_hide_a_function_that_vanishes_somewhere(text: str) -> None:
    """On the scale of the inverse, where such functions are lines, all would be error where they are small."""
    X = box(1)
    law = evaluate(parse(text, ["x0"]), X)
    y = law + wobble(1, 3e-3 * float(law.std()))(X)
    fitted = [fit(form, Rows.of(X, y)) for form in one_input_forms(X[:, 0], y, WORDS)]
    assert min(np.mean((evaluate(expr, X) - law) ** 2) for expr, _ in fitted) < np.mean((y - law) ** 2)
