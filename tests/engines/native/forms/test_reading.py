"""Of the forms that cost the same, the one that people read."""

from __future__ import annotations

import math

import numpy as np
import pytest

from symtorch.engines.native.forms.reading import arranged, clutter, most_readable
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import evaluate, to_text
from symtorch.equations.normal import normalise
from symtorch.equations.parser import parse
from symtorch.equations.rewriting import same_values

NAMES = [f"x{i}" for i in range(5)]
SPACE = {
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["square", "sqrt", "exp", "log", "sin", "cos"],
    "complexity_of_operators": {},
    "maxsize": 50,
}
WORDS = Vocabulary(SearchOptions.from_params(SPACE))
X = np.random.default_rng(0).uniform(1.0, 2.0, (200, 5))
X[:, 2] += 2.0


def read(text: str, words: Vocabulary = WORDS) -> str:
    found = most_readable(normalise(parse(text, NAMES)), words, X)
    assert found is not None
    return to_text(found[1], NAMES, digits=5)


@pytest.mark.parametrize(
    ("plain", "textbook"),
    [
        ("x0*exp(x1) - x0", "x0*(exp(x1) - 1)"),
        ("x0*x2/sqrt(square(x2)/square(x1) - 1)", "x0*x1/sqrt(1 - square(x1/x2))"),
        (f"{1 / (4 * math.pi)}*x0/(x1*square(x2))", "x0/(4*pi*x1*square(x2))"),
        (f"{1 / (2 * math.pi)}*x0*x1", "x0*x1/(2*pi)"),
        (f"{3 / (8 * math.pi)}*x0/x1", "3/(8*pi)*x0/x1"),
        (f"{1 / 3}*x0", "x0/3"),
        ("0.5*x0*square(x1)", "0.5*x0*square(x1)"),
        ("0.5*x0/(x1 + 1)", "x0/(2*(x1 + 1))"),
        ("sqrt(2)*sqrt(x0*x1 + 0.5)", "sqrt(2*x0*x1 + 1)"),
        ("0.9999999999999999*x0 - 1.0000000000000002", "x0 - 1"),
        ("-1*x0*x1*cos(x2)", "-x0*x1*cos(x2)"),
        ("x1*square(x2)*x2/sqrt(square(x2) - square(x1))", "x1*square(x2)/sqrt(1 - square(x1/x2))"),
        (f"{1 / (2 * math.pi)}*x0*x1/(exp(x0*x1) - 1)", "x0*x1/(2*pi*(exp(x0*x1) - 1))"),
        ("(2*x0 + 3*x1)/(x1 - x0/3)", "27/(3 - x0/x1) - 6"),
    ],
)
def test_the_textbook_form_is_found(plain: str, textbook: str) -> None:
    assert read(plain) == textbook


@pytest.mark.parametrize("text", ["x0*exp(x1) - x0", "x0*x2/sqrt(square(x2)/square(x1) - 1)", "0.0795774715*x0/x1"])
def test_it_costs_no_more_and_is_the_same_function(text: str) -> None:
    expr = normalise(parse(text, NAMES))
    found, own = most_readable(expr, WORDS, X), WORDS.legal(expr)
    assert found is not None
    assert own is not None
    assert WORDS.complexity(found[1]) <= WORDS.complexity(own)
    assert WORDS.options.violation(found[1]) is None
    assert same_values(evaluate(found[1], X), evaluate(expr, X))


def test_only_the_users_operators_are_written() -> None:
    words = Vocabulary(SearchOptions.from_params({"binary_operators": ["+", "*"], "unary_operators": ["inv"]}))
    assert read(f"{1 / (2 * math.pi)}*x0*x1", words) == "1/(2*pi)*x0*x1"
    dear = Vocabulary(SearchOptions.from_params(SPACE | {"complexity_of_operators": {"/": 3}}))
    assert read(f"{1 / 3}*x0", dear) == "1/3*x0"
    assert most_readable(normalise(parse("tanh(x0)", NAMES)), words, X) is None


def test_a_number_goes_where_it_reads_better_or_stays() -> None:
    for text in ("0.5*x0", "0.73*x0/x1", f"{2 / 3}*x0/x1", "-1*x0/x1", "3*x0/x1"):
        tree = parse(text, NAMES)
        assert arranged(tree, WORDS) == tree


def test_clutter_counts_what_people_stumble_over() -> None:
    for better, worse in (
        ("x0*(x1 + x2)", "x0*x1 + x0*x2"),
        ("1 - x0", "-1*x0 + 1"),
        ("x0/(x1*x2)", "x0/x1/x2"),
        ("x0*x1", "abs(x0)*x1"),
        ("x0*x1/x2", "x0/(x2/x1)"),
        ("2*x0", "2.0371826*x0"),
    ):
        assert clutter(parse(better, NAMES)) < clutter(parse(worse, NAMES)), (better, worse)
