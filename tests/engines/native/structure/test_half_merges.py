"""Two inputs that act as one but for a function of one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from structures import OPTIONS, box, evidence_of, law_error, problem_of, wobble

from symtorch.engines.native.structure.decompose import find_laws
from symtorch.engines.native.structure.half_merges import find_half_merges
from symtorch.equations.expr import evaluate
from symtorch.equations.parser import parse

LAWS = [
    ("square(sin(x0*x1/2)/sin(x0/2))", 0, "log", 1.0, 0.0),
    ("log(x0 + 2)*exp(x0/x1)", 0, "log", -1.0, 0.0),
    ("sin(x1) + sqrt(1 + square(x0 - x1))", 1, "identity", -1.0, 1.0),
    ("cos(x0)*(square(x0 + x1) + x2)", 0, "identity", 1.0, 0.0),
]


def teacher(text: str) -> Any:
    expr = parse(text, ["x0", "x1", "x2"])
    return lambda X: evaluate(expr, X)


@pytest.mark.parametrize(("text", "i", "scale", "r", "link"), LAWS)
def test_the_function_of_one_beside_that_of_both_is_found(text: str, i: int, scale: str, r: float, link: float) -> None:
    X = box(3 if "x2" in text else 2)
    found = [(s.i, s.scale.name, s.r, s.link.power) for s in find_half_merges(evidence_of(teacher(text), X))]
    assert (i, scale, r, link) in found


@pytest.mark.parametrize(("text", "i", "scale", "r", "link"), LAWS)
def test_its_parts_put_together_are_the_function(text: str, i: int, scale: str, r: float, link: float) -> None:
    X = box(3 if "x2" in text else 2)
    problem = problem_of(teacher(text), X)
    steps = [s for s in find_half_merges(evidence_of(teacher(text), X)) if (s.i, s.scale.name) == (i, scale)]
    step = next(s for s in steps if (s.r, s.link.power) == (r, link))
    beside, merged = step.parts(problem)
    assert min(len(beside.Z), len(merged.Z)) > 100
    points = np.column_stack([step.together(problem.Z), problem.Z[:, step.rest]])
    a, h = beside.ask(problem.Z[:, [step.i]], 0), merged.ask(points, 0)
    together = a * h if step.link.power == 0 else a + h
    usable = np.isfinite(together)
    assert usable.sum() > 50
    assert np.allclose(together[usable], problem.y[usable], rtol=1e-9)


def test_the_law_of_many_slits_is_found_by_it() -> None:
    law = teacher(LAWS[0][0])
    laws = find_laws(box(2), law, OPTIONS, flat=lambda *_: [])
    assert laws.solved
    assert law_error(laws, law, box(2, seed=9)) < 1e-20


def test_nothing_is_found_where_there_is_none_nor_of_a_teacher_that_errs() -> None:
    assert list(find_half_merges(evidence_of(teacher("exp(x0*x1) + sin(x0)*x1"), box(2)))) == []
    law, error = teacher(LAWS[0][0]), wobble(2, 1e-5)
    assert list(find_half_merges(evidence_of(lambda X: law(X) + error(X), box(2)))) == []


@pytest.mark.parametrize("text", ["x0*x2 + x1/(1 + square(x2))", "sin(x2) + x0*x2 - x1"])
def test_what_two_inputs_do_may_not_depend_on_the_others(text: str) -> None:
    found = find_half_merges(evidence_of(teacher(text), box(3)))
    assert not [s for s in found if {s.i, s.j} == {0, 1} and s.link.power == 1]
