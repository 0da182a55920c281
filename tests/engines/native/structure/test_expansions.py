"""Several terms in known functions of one input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from structures import OPTIONS, box, evidence_of, law_error, wobble

from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.decompose import find_laws
from symtorch.engines.native.structure.expansions import expansion_finder
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import evaluate, to_text
from symtorch.equations.parser import parse

WORDS = Vocabulary(OPTIONS)


def teacher(text: str, d: int = 2) -> Any:
    expr = parse(text, [f"x{i}" for i in range(d)])
    return lambda X: evaluate(expr, X)


@pytest.mark.parametrize(
    ("text", "i", "members"),
    [
        ("exp(0.6*x0) + cube(x1) + sin(2*x0)*x1", 0, {"1", "exp(0.6*x)", "sin(2*x)"}),
        ("exp(0.6*x0) + cube(x1) + sin(2*x0)*x1", 1, {"1", "x", "x^3"}),
        ("log(x0 + 1)*x1 + exp(x1)/(square(x0) + 2)", 0, {"log(x + 1)", "(x^2 + 2)^(-1)"}),
        ("sqrt(x0 + 2)*x1 + exp(-1.3*x0)*square(x1) + x0", 0, {"(x + 2)^0.5", "exp(-1.3*x)", "x"}),
    ],
)
def test_the_functions_of_an_input_are_found_by_the_space_that_they_span(text: str, i: int, members: set[str]) -> None:
    found = {step.i: step for step in expansion_finder(WORDS).test(evidence_of(teacher(text), box(2)))}
    assert {to_text(expr, ["x"]) for expr in found[i].members} == members
    assert found[i].residual < 1e-24


def test_a_wave_with_a_phase_is_one_function() -> None:
    steps = expansion_finder(WORDS).test(evidence_of(teacher("sin(2*x0 + 0.7)*x1 + square(x0)*exp(x1)"), box(2)))
    (found,) = [step for step in steps if step.i == 0]
    X = box(1)
    wave = next(evaluate(expr, X) for expr in found.members if "sin" in to_text(expr, ["x"]))
    assert abs(np.corrcoef(wave, np.sin(2 * X[:, 0] + 0.7))[0, 1]) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "d"),
    [
        ("exp(0.6*x0) + cube(x1) + sin(2*x0)*x1/(square(x1) + 1)", 2),
        ("x0*exp(0.5*x1) + sin(1.5*x0)*x2 + log(x1 + 3)*sqrt(x2 + 3)", 3),
    ],
)
def test_the_law_is_found_by_them(text: str, d: int) -> None:
    laws = find_laws(box(d, -2.0, 2.0), teacher(text, d), OPTIONS, flat=lambda *_: [])
    assert laws.solved
    assert law_error(laws, teacher(text, d), box(d, -2.0, 2.0, seed=9)) < 1e-20


def test_functions_of_no_low_rank_have_none() -> None:
    for text in ("exp(x0*x1)", "log(1 + x0*x1)", "sqrt(square(x0) + x1)"):
        assert list(expansion_finder(WORDS).test(evidence_of(teacher(text), box(2)))) == []


def test_nothing_is_found_of_a_teacher_that_errs() -> None:
    law, error = teacher("exp(0.6*x0) + cube(x1) + sin(2*x0)*x1"), wobble(2, 1e-5)
    assert list(expansion_finder(WORDS).test(evidence_of(lambda X: law(X) + error(X), box(2)))) == []


def test_functions_that_cannot_be_written_are_not_among_them() -> None:
    few = Vocabulary(SearchOptions.from_params({"binary_operators": ["+", "*"], "unary_operators": ["sin"]}))
    steps = expansion_finder(few).test(evidence_of(teacher("exp(0.6*x0)*x1 + sin(2*x0)"), box(2)))
    assert [step.i for step in steps] == [1]
