"""How a law was found is told in functions of the block's own inputs, and every line of it holds."""

from __future__ import annotations

import re

import numpy as np
import pytest
from structures import OPTIONS, Teacher, box

from symtorch import SymbolicModel
from symtorch.engines.native.structure.decompose import find_laws
from symtorch.equations import parse
from symtorch.equations.expr import evaluate
from symtorch.equations.structure import Structure

LAWS: dict[str, tuple[Teacher, int]] = {
    "quotient": (lambda x: x[:, 0] * x[:, 1] / (x[:, 2] ** 2 + 0.1), 3),
    "difference": (lambda x: x[:, 2] * np.exp(-((x[:, 0] - x[:, 1]) ** 2)) + np.sin(x[:, 3]), 4),
    "distance": (lambda x: 1 / np.sqrt((x[:, 0] - x[:, 1]) ** 2 + (x[:, 2] - x[:, 3]) ** 2), 4),
    "product of differences": (lambda x: x[:, 0] * x[:, 1] + np.sin((x[:, 0] - 1) * (x[:, 1] - 1)), 2),
    "apart": (lambda x: x[:, 0] ** 2 + np.exp(x[:, 1]) * x[:, 2], 3),
}


def told(name: str) -> tuple[Structure, int]:
    law, d = LAWS[name]
    X = box(d)
    structure = find_laws(X, law, OPTIONS, names=tuple("abcd"[:d])).structure
    assert structure is not None
    return structure, d


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("quotient", ["f(a, b, c) = g(a*b, c)", "g(a*b, c) = h(a*b)*p(c)"]),
        ("difference", ["f(a, b, c, d) = g(a, b, c) + h(d)", "g(a, b, c) = p(a - b, c)"]),
        ("distance", ["f(a, b, c, d) = g(a - b, c, d)", "g(a - b, c, d) = h(c - d, a - b)"]),
        ("product of differences", ["f(a, b) = a*b + g((a - 1)*(b - 1))"]),
        ("apart", ["f(a, b, c) = g(a) + h(b, c)"]),
    ],
)
def test_identities_are_told_in_functions_of_the_blocks_inputs(name: str, lines: list[str]) -> None:
    structure, _ = told(name)
    texts = [text for _, text, _ in structure.lines()]
    assert texts[: len(lines)] == lines
    assert structure.residual is not None
    assert structure.residual < 1e-20


@pytest.mark.parametrize("name", LAWS)
def test_parts_are_those_in_the_identity_and_the_whole_is_the_law(name: str) -> None:
    structure, d = told(name)
    law, _ = LAWS[name]
    X = box(d, seed=7)
    np.testing.assert_allclose(evaluate(parse(structure.found, "abcd"[:d]), X), law(X), rtol=0.01)

    def check(part: Structure) -> None:
        assert bool(part.parts) <= bool(part.identity)
        for inner in part.parts:
            assert inner.function in part.identity
            check(inner)

    check(structure)


def test_every_function_has_a_name_of_its_own_that_no_input_has() -> None:
    law = SymbolicModel(lambda x: x[:, 0] * np.sin(x[:, 1]) + x[:, 2] ** 2, "law")
    params = {"random_state": 0, "unary_operators": ["sin", "square"]}
    names = ["g", "h", "p"]
    front = law.distill(box(3), output_dim=0, engine="native", sr_params=params, fit_params={"variable_names": names})
    structure = front.evidence.structure
    assert structure is not None
    functions = [re.split(r"[( ]", text)[0] for _, text, _ in structure.lines()]
    assert len(set(functions)) == len(functions) >= 3
    assert not {*functions} & {*names}


def test_nothing_is_told_of_what_was_not_taken_apart() -> None:
    X = box(1)
    assert find_laws(X, lambda x: np.sin(x[:, 0]), OPTIONS, names=("x",)).structure is None
    assert find_laws(box(2), lambda x: x[:, 0] * x[:, 1] ** 2, OPTIONS).structure is None  # nobody wants to know
    block = SymbolicModel(lambda x: x[:, 0] * x[:, 1] ** 2, "data")
    front = block.distill(box(2), output_dim=0, engine="native", ask=False, sr_params={"random_state": 0})
    assert front.evidence.structure is None
