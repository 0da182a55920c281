"""Steps there and back."""

from __future__ import annotations

import numpy as np
import pytest
from structures import box, problem_of

from symtorch.engines.native.structure.half_merges import HalfMerge
from symtorch.engines.native.structure.hypotheses import find_steps
from symtorch.engines.native.structure.merges import Merge
from symtorch.engines.native.structure.never_meet import NeverMeet
from symtorch.engines.native.structure.rank_two import RankTwo
from symtorch.engines.native.structure.scalings import Rescale
from symtorch.engines.native.structure.separations import Split
from symtorch.engines.native.structure.steps import Step
from symtorch.equations.definitions import operator
from symtorch.equations.expr import Call, Expr, Variable, evaluate, transform
from symtorch.equations.parser import parse


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("sin(x0 - x1)*x2", (Merge, Split)),
        ("x0/(square(x0) + square(x1) + 1)", (Merge,)),
        ("square(x0)*sin(x1/x0)", (Rescale,)),
        ("1/(x0*x0 + exp(x1))", (Split,)),
        ("3 + sin(x0)*exp(x1)", (Split,)),
        ("sin(x0) + exp(x1)", (Split,)),
        ("sin(x0*x1) + sqrt(x1*x2 + x2)", (NeverMeet,)),
        ("x0*exp(x1) + sin(x1)", (RankTwo,)),
        ("x0/(square(x1) + 1) - 2*x1/(square(x0) + 3)", (RankTwo,)),
    ],
)
def test_joined_parts_are_the_function_again(text: str, names: tuple[type, ...]) -> None:
    """The parts' own answers, put together by the step's formula, are the teacher's answers."""
    d = 1 + max(int(c) for c in text[1:] if c in "012" and f"x{c}" in text)
    X = box(d)
    expr = parse(text, [f"x{i}" for i in range(d)])
    problem = problem_of(lambda X: evaluate(expr, X), X)
    steps = find_steps(problem, np.inf, 0).steps
    assert {type(s) for s in steps} >= set(names)
    for step in steps:
        parts = step.parts(problem)
        if isinstance(step, HalfMerge):  # its parts have fewer points; see its own tests
            continue
        stand_ins: list[Expr] = []
        columns: list[np.ndarray] = []
        for part in parts:
            stand_ins.append(Variable(d + len(columns)))
            columns.append(part.ask(part.Z, 0))
        joined = _with_stand_ins(step, stand_ins)
        values = evaluate(joined, np.column_stack([problem.Z, *columns]))
        if not isinstance(step, Split):
            np.testing.assert_allclose(values, problem.y, rtol=1e-9)
        # Parts of a product are known up to a factor, those of a sum up to a shift: the joint fit finds them.
        elif (link := step.link).power == 0:
            ratio = (values - link.offset) / (problem.y - link.offset)
            np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
        else:
            shift = values**link.power - problem.y**link.power
            np.testing.assert_allclose(shift, shift[0], rtol=1e-9)


def _with_stand_ins(step: Step, stand_ins: list[Expr]) -> Expr:
    """The step's formula with columns of answers in the place of the parts' expressions."""
    marks = [operator(f"part{k}(x) = exp(x) + {k}") for k in range(len(stand_ins))]
    swapped = dict(zip(marks, stand_ins, strict=True))
    joined = step.join([Call(mark, (Variable(0),)) for mark in marks])
    return transform(joined, lambda node: swapped.get(node.op, node) if isinstance(node, Call) else node)
