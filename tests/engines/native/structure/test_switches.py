"""Borders as steps: what is left without one, what is on either side, and how that is put together again."""

import numpy as np
import pytest

from symtorch.engines.native.forms.choices import Choices
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.finders import FINDERS, finders_for
from symtorch.engines.native.structure.problem import Count, Problem, root
from symtorch.engines.native.structure.steps import Step
from symtorch.engines.native.structure.switches import Sides, TakenOff, switch_finder
from symtorch.engines.options import SearchOptions
from symtorch.equations import normal
from symtorch.equations.expr import evaluate
from symtorch.equations.parser import parse

NAMES = ["x0", "x1"]
X = np.random.default_rng(0).uniform(-2.0, 2.0, (400, 2))


def words(binary: list[str], unary: list[str]) -> Vocabulary:
    return Vocabulary(
        SearchOptions.from_params({"binary_operators": ["+", "-", "*", *binary], "unary_operators": unary})
    )


def steps(law: str, *operators: str) -> tuple[Problem, list[Step]]:
    tree = parse(law, NAMES)
    problem = root(X, lambda Z: evaluate(tree, Z), Count(), 0)
    finder = switch_finder(Choices(words(list(operators), ["abs"])))
    return problem, list(finder.test(Evidence(problem, np.random.default_rng(0))))


@pytest.mark.parametrize(
    ("law", "rest"),
    [
        ("2*max(x0 - 0.5*x1, 0) + x0*x1", "x0*x1"),
        ("x1 - 3*max(x0 + 1, 0)", "x1"),
        ("2*greater(x0, 0.3) + x1*x1*x1", "x1*x1*x1"),
    ],
)
def test_without_its_border_a_function_is_what_is_left(law: str, rest: str) -> None:
    problem, found = steps(law, "max", "cond")
    step = next(s for s in found if isinstance(s, TakenOff))
    (part,) = step.parts(problem)
    np.testing.assert_allclose(part.y, evaluate(parse(rest, NAMES), part.Z), atol=1e-7)
    joined = step.join([normal.normalise(parse(rest, NAMES))])
    np.testing.assert_allclose(evaluate(joined, X), evaluate(parse(law, NAMES), X), atol=1e-6)


@pytest.mark.parametrize(
    ("law", "above", "below"),
    [
        ("ifelse(x0 - 0.3, x1*x1*x1, x0*x1)", "x1*x1*x1", "x0*x1"),
        ("ifelse(x0 + x1 - 0.3, x0*x1, 2)", "x0*x1", "2"),
    ],
)
def test_either_side_is_a_function_of_its_own(law: str, above: str, below: str) -> None:
    problem, found = steps(law, "cond", "max")
    step = next(s for s in found if isinstance(s, Sides))
    forms = [normal.normalise(parse(text, NAMES)) for text in (above, below)]
    for part, form in zip(step.parts(problem), forms, strict=True):
        assert len(part.Z) > 50
        np.testing.assert_allclose(part.y, np.broadcast_to(evaluate(form, part.Z), len(part.Z)), atol=1e-12)
    np.testing.assert_allclose(evaluate(step.join(forms), X), evaluate(parse(law, NAMES), X), atol=1e-9)


def test_a_side_is_not_asked_beyond_its_border() -> None:
    problem, found = steps("ifelse(x0 - 0.3, x1*x1*x1, x0*x1)", "cond")
    above = next(s for s in found if isinstance(s, Sides)).parts(problem)[0]
    assert np.isnan(above.ask(np.array([[0.2, 0.0], [-1.0, 1.0]]), 0)).all()


def test_borders_are_looked_for_only_where_they_can_be_written() -> None:
    assert finders_for(words([], ["sin"]))[:-2] == FINDERS  # the last two know what can be written
    assert len(finders_for(words(["cond"], []))) == len(FINDERS) + 3
    _, found = steps("greater(x0, 0.3)", "max")
    assert found == []
