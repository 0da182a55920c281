"""Steps and kinks must mean the same in whichever operators they are written."""

from typing import Any

import numpy as np
import pytest

from symtorch.engines.native.forms.choices import Choices, idea
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.options import SearchOptions
from symtorch.equations import normal
from symtorch.equations.definitions import operator
from symtorch.equations.expr import evaluate, to_text
from symtorch.equations.parser import parse

NAMES = ["x0", "x1", "x2"]
X = np.random.default_rng(0).uniform(-2.0, 2.0, (400, 3))
STEPS = ["greater", "less", "cond", "sign", "heaviside", "logical_not"]
KINKS = ["relu", "abs", "max", "min"]


def choices(*names: str, given: str = "+ - *") -> Choices:
    ops = [operator(name) for name in names]
    return Choices(
        Vocabulary(
            SearchOptions.from_params(
                {
                    "binary_operators": [*given.split(), *(op.name for op in ops if op.arity == 2)],
                    "unary_operators": [op.name for op in ops if op.arity == 1],
                }
            )
        )
    )


def form(text: str) -> Any:
    return normal.normalise(parse(text, NAMES))


def values(text: str) -> np.ndarray:
    return evaluate(parse(text, NAMES), X)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("u", ["x0 - 0.3", "0.3 - x0", "x0 - x1", "1.5*x0 - x1 + 0.2", "-2*x1 - 0.4"])
@pytest.mark.parametrize(("f", "g"), [("1", "0"), ("2.5", "0"), ("x1 + 2", "x2*x1"), ("0", "x2")])
def test_a_choice_is_written_with_any_step(name: str, u: str, f: str, g: str) -> None:
    words = choices(name)
    written = words.choice(form(u), form(f), form(g))
    assert written is not None
    assert words.words.legal(written) is not None
    expected = np.where(values(u) > 0.0, values(f), values(g))
    np.testing.assert_allclose(np.broadcast_to(evaluate(written, X), 400), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*STEPS, *KINKS])
@pytest.mark.parametrize("v", ["x0 - 0.3", "x0 - x1", "1.5*x0 - x1 + 0.2", "0.4 - 2*x1", "x0*x1 - x2"])
@pytest.mark.parametrize("plus", ["0", "x1", "x1 + x2 - 0.5", "x2*x1 + 0.3*x0 - x1 + 2 + x0*x2"])
def test_every_way_of_writing_a_positive_part_has_its_values(name: str, v: str, plus: str) -> None:
    words = choices(name)
    ways = words.positive_part(form(v), form(plus), most=100)
    assert ways
    expected = np.maximum(values(v), 0.0) + values(plus)
    for way in ways:
        np.testing.assert_allclose(evaluate(way, X), expected, rtol=1e-12, atol=1e-12, err_msg=to_text(way, NAMES))


@pytest.mark.parametrize("name", [*STEPS, *KINKS])
def test_the_larger_and_the_smaller_of_two(name: str) -> None:
    words = choices(name)
    larger, smaller = (pick(form("2*x0"), form("x1 + 1")) for pick in (words.larger, words.smaller))
    assert larger is not None
    assert smaller is not None
    np.testing.assert_allclose(evaluate(larger, X), np.maximum(2 * X[:, 0], X[:, 1] + 1), atol=1e-12)
    np.testing.assert_allclose(evaluate(smaller, X), np.minimum(2 * X[:, 0], X[:, 1] + 1), atol=1e-12)


@pytest.mark.parametrize(
    ("names", "u", "f", "expected"),
    [
        (["greater"], "x0 - 0.3", "1", "greater(x0, 0.3)"),
        (["less"], "x0 - 0.3", "1", "less(0.3, x0)"),
        (["greater"], "0.6 - 2*x0", "1", "greater(0.3, x0)"),
        (["greater"], "x0 - x1", "1", "greater(x0, x1)"),
        (["cond"], "x0 - 5.84", "1", "cond(x0 - 5.84, 1)"),
        (["cond"], "2*x0 - 1", "x1", "cond(x0 - 0.5, x1)"),
        (["greater", "cond"], "x0 - 0.3", "x1", "x1*greater(x0, 0.3)"),
    ],
)
def test_the_cheapest_way_is_taken(names: list[str], u: str, f: str, expected: str) -> None:
    words = choices(*names)
    written = words.gate(form(u), form(f))
    assert to_text(words.words.render(written), NAMES) == expected


@pytest.mark.parametrize(
    ("name", "v", "plus", "expected"),
    [
        ("max", "x0 - x1", "x1", "max(x0, x1)"),
        ("min", "x0 - x1", "-1*x0", "-1*min(x0, x1)"),
        ("abs", "2*x0 - 2*x1", "x1 - x0", "abs(x0 - x1)"),
        ("relu", "1.5*x0 - x1 + 0.2", "0", "relu(1.5*x0 + 0.2 - x1)"),
    ],
)
def test_what_cancels_is_put_in(name: str, v: str, plus: str, expected: str) -> None:
    words = choices(name)
    assert to_text(words.words.render(words.positive_part(form(v), form(plus))[0]), NAMES) == expected


def test_operators_are_known_by_what_they_do() -> None:
    assert idea(operator("theta(x) = greater(x, 0)")) == "step"
    assert idea(operator("when(x, y) = y*greater(x, 0)")) == "cond"
    assert idea(operator("sin")) is None
    assert idea(operator("greater_equal")) == "greater"


def test_without_such_operators_nothing_can_be_written() -> None:
    words = choices()
    assert not words.steps
    assert not words.kinks
    assert words.gate(form("x0 - 0.3"), form("1")) is None
    assert words.positive_part(form("x0 - 0.3")) == []
    assert choices("abs").kinks
    assert not choices("abs").steps
