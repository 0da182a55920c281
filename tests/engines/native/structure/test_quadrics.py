"""Two inputs that meet in a quadratic and in a function of another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from structures import OPTIONS, box, evidence_of, law_error, problem_of, wobble

from symtorch.engines.native.structure.decompose import find_laws
from symtorch.engines.native.structure.quadrics import find_quadrics
from symtorch.equations.expr import evaluate
from symtorch.equations.parser import parse


def teacher(text: str) -> Any:
    expr = parse(text, ["x0", "x1"])
    return lambda X: evaluate(expr, X)


LAWS = [
    "1.35*x0*x1 + 5.5*sin((x0 - 1)*(x1 - 1))",
    "exp(-1*(x0*x1 - x0 + 2*x1)) + 0.5*x0*x1 + square(x1)",
    "sqrt(1 + square(x0 - 0.5) + 2*square(x1 + 0.3)) - x0*x1",
    "cos(x0 + 0.3*x1) + x0*x1 - square(x0)",
    "sin((x0 - 1)*(x1 + 2))",
    "exp(-1*square(x0 + x1) - x0)",
]


@pytest.mark.parametrize("text", LAWS)
def test_both_quadratics_are_found(text: str) -> None:
    X = box(2, -1.0, 1.5)
    problem = problem_of(teacher(text), X)
    (found,) = find_quadrics(evidence_of(teacher(text), X))
    assert found.residual < 1e-18
    (part,) = found.parts(problem)
    # On one curve Q = z the rest has one value, whichever point is asked.
    first, second = part.ask(part.Z, 0), part.ask(part.Z, 1)
    both = np.isfinite(first) & np.isfinite(second)
    assert both.mean() > 0.9
    assert np.abs(first - second)[both].max() < 1e-6 * problem.y.std()


def test_the_law_is_put_together_in_the_form_of_a_product() -> None:
    (found,) = find_quadrics(evidence_of(teacher(LAWS[0]), box(2, -3.0, 3.0)))
    h = parse("5.5*sin(x0)", ["x0"])
    X = box(2, -3.0, 3.0, seed=9)
    assert np.allclose(evaluate(found.join([h]), X), teacher(LAWS[0])(X), atol=1e-9)


@pytest.mark.parametrize("text", LAWS[:4])
def test_the_law_is_found_by_them(text: str) -> None:
    laws = find_laws(box(2, -1.0, 1.5), teacher(text), OPTIONS, flat=lambda *_: [])
    assert laws.solved
    assert law_error(laws, teacher(text), box(2, -1.0, 1.5, seed=9)) < 1e-20


def test_nothing_is_found_where_there_is_none_or_where_many_would_do() -> None:
    for text in ("exp(x0)*sin(x1) + cos(x0*x1)", "sin(x0*x1*x1)", "x0*x1 + 2*square(x0)"):
        assert list(find_quadrics(evidence_of(teacher(text), box(2)))) == []


def test_nothing_is_found_of_a_teacher_that_errs_nor_of_three_inputs() -> None:
    error = wobble(2, 1e-4)
    assert list(find_quadrics(evidence_of(lambda X: teacher(LAWS[0])(X) + error(X), box(2)))) == []
    assert list(find_quadrics(evidence_of(lambda X: X.prod(axis=1), box(3)))) == []
