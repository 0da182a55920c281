"""Quotients of polynomials and of waves, found outright."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from structures import OPTIONS, box, evidence_of, law_error, wobble

from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.decompose import find_laws
from symtorch.engines.native.structure.quotients import quotient_finder, quotients_of_one
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import evaluate
from symtorch.equations.parser import parse

WORDS = Vocabulary(OPTIONS)


def teacher(text: str, d: int) -> Any:
    expr = parse(text, [f"x{i}" for i in range(d)])
    return lambda X: evaluate(expr, X)


def words(binary: list[str], unary: list[str]) -> Vocabulary:
    space = {"binary_operators": binary, "unary_operators": unary, "complexity_of_operators": {}}
    return Vocabulary(SearchOptions.from_params(space))


@pytest.mark.parametrize(
    ("text", "d"),
    [
        ("(x0*x1 + 2*x1*x2 - 1)/(square(x0) + x1*x2 + 9)", 3),
        ("x0^3*x1 - 2*x0*x2*x3 + 0.7*x1^2*x3^2 + x2 - 3*x0*x3 + 1", 4),
        ("x0*(1 - square(x1))/(4 + x1*cos(x2 - x3))", 4),
        ("(sin(x0 - 2*x1)*square(x2) + 3*sin(x0))/(3 - cos(2*x0 - 2*x1))", 3),
        ("sqrt(x0*x1 + square(x1) + x2)", 3),
        ("exp((x0 - x1*x2)/(x1 + x2))", 3),
        ("log(x0*x1 + x2 + 2)", 3),
    ],
)
def test_a_quotient_is_found_outright(text: str, d: int) -> None:
    law, fresh = teacher(text, d), box(d, seed=9)
    (found,) = quotient_finder(WORDS).test(evidence_of(law, box(d)))
    assert found.residual < 1e-20
    error = evaluate(found.expr, fresh) - law(fresh)
    assert np.mean(error**2) < 1e-20 * law(fresh).var()


def test_it_has_no_more_terms_than_the_law() -> None:
    (found,) = quotient_finder(WORDS).test(evidence_of(teacher("(x0*x2 + x1*x3)/(x0 + x1)", 4), box(4)))
    tree = WORDS.render(found.expr)
    assert tree is not None
    assert WORDS.complexity(tree) == 11


@pytest.mark.parametrize(
    "text",
    [
        "(x0^4 - 2*x0^3 + x0 + 3)/(x0^4 + 1.5*x0^2 + 2)",
        "(231*x0^6 - 315*x0^4 + 105*x0^2 - 5)/16",
        "(sin(x0) + 2)/(cos(2*x0) + 3)",
        "sqrt(x0^3 + x0)",
    ],
)
def test_a_quotient_of_one_input_is_found(text: str) -> None:
    X, fresh = box(1, -1.0 if "sqrt" not in text else 0.5), box(1, 0.6, seed=9)
    law = teacher(text, 1)
    (found,) = quotients_of_one(X[:, 0], law(X), WORDS)
    assert np.mean((evaluate(found, fresh) - law(fresh)) ** 2) < 1e-20 * law(fresh).var()


@pytest.mark.parametrize(
    "text", ["exp(x0)", "sin(1.3*x0)", "exp(sin(x0))", "x0*log(x0 + 1)", "sqrt(x0) + x0", "exp(0.4*x0^2)*x0"]
)
def test_other_functions_are_no_quotients_however_close_one_of_high_degree_comes(text: str) -> None:
    for low, high in ((0.2, 1.2), (1.0, 3.0), (0.1, 6.0)):
        X = box(1, low, high)
        found = quotients_of_one(X[:, 0], teacher(text, 1)(X), words(["+", "-", "*", "/"], ["square"]))
        assert found == []


def test_nothing_is_found_of_a_teacher_that_errs() -> None:
    law, error = teacher("(x0*x1 - 1)/(square(x0) + x1)", 2), wobble(2, 1e-4)
    assert list(quotient_finder(WORDS).test(evidence_of(lambda X: law(X) + error(X), box(2)))) == []
    X = box(1)
    y = 1 / (X[:, 0] ** 2 + 1) + 1e-4 * wobble(1, 1.0)(X)
    assert quotients_of_one(X[:, 0], y, WORDS) == []


def test_what_cannot_be_written_is_not_looked_for() -> None:
    wave = teacher("(sin(x0) + x2)/(cos(x0 - x1) + 2)", 3)
    assert list(quotient_finder(words(["+", "-", "*", "/"], [])).test(evidence_of(wave, box(3)))) == []
    root = teacher("sqrt(x0*x1 + square(x1))", 2)
    assert list(quotient_finder(words(["+", "-", "*", "/"], ["square"])).test(evidence_of(root, box(2)))) == []


def test_waves_are_written_by_the_one_of_sine_and_cosine_that_is_allowed() -> None:
    law, fresh = teacher("(sin(x0) + x2)/(cos(x0 - x1) + 2)", 3), box(3, seed=9)
    for name in ("sin", "cos"):
        own = words(["+", "-", "*", "/"], [name])
        (found,) = quotient_finder(own).test(evidence_of(law, box(3)))
        assert own.render(found.expr) is not None
        assert np.mean((evaluate(found.expr, fresh) - law(fresh)) ** 2) < 1e-20


def test_an_angle_less_a_quarter_is_written_by_the_arc_that_is_allowed() -> None:
    law = teacher("acos((x2*cos(x0) - x1)/(x2 - x1*cos(x0)))", 3)
    X = box(3) * [0.9, 1.0, 1.0] + [0.0, 0.0, 3.0]
    for name in ("asin", "acos"):
        own = words(["+", "-", "*", "/"], ["cos", name])
        (found,) = quotient_finder(own).test(evidence_of(law, X))
        assert own.render(found.expr) is not None
        assert np.mean((evaluate(found.expr, X) - law(X)) ** 2) < 1e-20


def test_an_exact_law_overrules_a_look_alike_within_a_noise_floor() -> None:
    """A product with an offset comes so near that it would pass for the law of a teacher that errs a little."""
    law, X = teacher("(x0*x1 + 2*x1*x2 - 1)/(square(x0) + x1*x2 + 9)", 3), box(3, -2.0, 2.0)
    laws = find_laws(X, law, OPTIONS, flat=lambda *_: [])
    assert laws.solved
    assert law_error(laws, law, box(3, -2.0, 2.0, seed=9)) < 1e-20
