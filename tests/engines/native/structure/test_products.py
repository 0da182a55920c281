"""Products of functions of one input."""

from __future__ import annotations

import numpy as np
import pytest
from structures import OPTIONS, box

from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.products import products_of_one
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import evaluate, to_text
from symtorch.equations.parser import parse


@pytest.mark.parametrize(
    "text",
    [
        "x0^3*exp(-0.7*x0)*cos(1.3*x0)*log(x0 + 2)",
        "x0^2*exp(0.3*x0)*sin(2.1*x0)*sqrt(x0 + 1)",
        "-2*x0*sin(1.7*x0)*(x0 + 0.8)^(-1)",
        "1.7*x0/(exp(0.6*x0) - 1)",
        "x0^2*sin(1.4*x0)/(exp(1.3*x0) + 1)",
        "0.3*exp(-0.5*x0)*cos(2.3*x0)/(x0^2 + 1.5)",
    ],
)
def test_products_are_among_the_forms(text: str) -> None:
    X = box(1, 0.3, 5.0)
    y = evaluate(parse(text, ["x0"]), X)
    losses = [fit(form, Rows.of(X, y), steps=60)[1] for form in products_of_one(X[:, 0], y, Vocabulary(OPTIONS))]
    assert min(losses) < 1e-20 * y.var()


def test_only_what_can_be_written_is_used() -> None:
    X = box(1, 0.3, 5.0)
    y = evaluate(parse("x0^2*sin(2.3*x0)/(x0 + 1)", ["x0"]), X)
    few = SearchOptions.from_params({"binary_operators": ["+", "*", "/"], "unary_operators": ["sin"]})
    texts = [to_text(form, ["x"]) for form in products_of_one(X[:, 0], y, Vocabulary(few))]
    assert texts
    assert not any(name in text for text in texts for name in ("exp", "cos", "log", "^0.5"))


def test_answers_that_are_zero_almost_everywhere_have_none() -> None:
    X = box(1)
    y = np.where(np.arange(len(X)) < 5, X[:, 0], 0.0)
    assert products_of_one(X[:, 0], y, Vocabulary(OPTIONS)) == []
