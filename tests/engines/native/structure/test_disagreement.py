"""What a step sees of a teacher's error, whatever the expressions of its parts."""

from __future__ import annotations

import numpy as np
import pytest
from structures import box, problem_of, wobble

from symtorch.engines.native.structure.disagreement import Disagreement, disagreement
from symtorch.engines.native.structure.hypotheses import find_steps
from symtorch.engines.native.structure.idle import Drop
from symtorch.engines.native.structure.never_meet import NeverMeet
from symtorch.engines.native.structure.outright import Outright
from symtorch.engines.native.structure.rank_two import RankTwo
from symtorch.engines.native.structure.steps import Step
from symtorch.equations.expr import Variable, evaluate
from symtorch.equations.parser import parse

LAWS = (
    "sin(x0 - x1)*x2",
    "x0/(square(x0) + square(x1) + 1)",
    "square(x0)*sin(x1/x0)",
    "1/(x0*x0 + exp(x1))",
    "3 + sin(x0)*exp(x1)",
    "sqrt(x0)*exp(x1)*x2",
    "sin(x0*x1) + sqrt(x1*x2 + x2)",
)


def first_step(text: str, size: float) -> tuple[float, float]:
    """What the first step sees of an error of this size, and the error itself, relative to the answers' variance."""
    d = 1 + max(i for i in range(3) if f"x{i}" in text)
    X, law = box(d), parse(text, [f"x{i}" for i in range(d)])
    error = wobble(d, size * float(evaluate(law, X).std()))
    problem = problem_of(lambda X: evaluate(law, X) + error(X), X)
    steps: list[Step] = [s for s in find_steps(problem, np.inf, 0).steps if not isinstance(s, NeverMeet | RankTwo)]
    step = steps[0] if steps else find_steps(problem, np.inf, 0).steps[0]
    return disagreement(step, problem, step.parts(problem)).error, float(np.mean(error(X) ** 2) / problem.y.var())


@pytest.mark.parametrize("text", LAWS)
def test_a_step_sees_the_better_part_of_the_error(text: str) -> None:
    seen, error = first_step(text, 1e-2)
    assert 0.1 * error < seen < 8 * error


@pytest.mark.parametrize("text", LAWS)
def test_what_is_seen_grows_with_the_square_of_the_error(text: str) -> None:
    small, large = first_step(text, 3e-4)[0], first_step(text, 3e-3)[0]
    assert 30 < large / small < 300


def test_an_error_of_a_part_counts_as_much_as_the_part_does() -> None:
    X = box(2)
    problem = problem_of(lambda X: np.sin(X[:, 0]) + 0.1 * X[:, 1] + wobble(2, 1e-3)(X), X)
    step = find_steps(problem, np.inf, 0).steps[0]
    found = disagreement(step, problem, step.parts(problem))
    share = np.array([np.sin(X[:, 0]).var(), (0.1 * X[:, 1]).var()]) / problem.y.var()
    np.testing.assert_allclose(found.weights, share, rtol=0.05)
    tiny = 0.1 * found.error
    assert found.with_parts([tiny, 0.0]) == pytest.approx(found.error + tiny * found.weights[0])
    assert found.with_parts([1.0, 1.0]) == pytest.approx(2 * found.error)


def test_a_wrong_step_below_idle_inputs_is_the_only_one_that_counts_in_full() -> None:
    assert Disagreement(1e-5, (1.0,), sees_most=False).with_parts([1e-3]) == pytest.approx(1.01e-3)
    assert Disagreement(1e-5, (1.0,), sees_most=True).with_parts([1e-3]) == pytest.approx(2e-5)


def test_a_part_without_inputs_predicts_nothing() -> None:
    X = box(1)
    problem = problem_of(lambda X: 3 + wobble(1, 1e-3)(X), X)
    step = Drop((0,), 1, residual=1e-4)
    assert disagreement(step, problem, step.parts(problem)).error == 0.0


def test_a_step_that_is_the_whole_expression_predicts_nothing() -> None:
    problem = problem_of(wobble(1, 1e-3), box(1))
    step = Outright(Variable(0), 1.0, residual=1e-4)
    assert disagreement(step, problem, step.parts(problem)) == Disagreement(0.0, (), step.sees_most)
