"""One input told apart from all others."""

from __future__ import annotations

import numpy as np
import pytest
from structures import box, evidence_of, wobble

from symtorch.engines.native.structure.rank_two import find_rank_twos
from symtorch.equations.expr import evaluate
from symtorch.equations.parser import parse


@pytest.mark.parametrize(
    ("text", "i", "divisor", "known"),
    [
        ("x0*exp(x1) + sin(x1)", 0, 0.0, 1.0),
        ("square(x0)*sin(x1) + exp(x1)", 0, 0.0, 2.0),
        ("exp(x1) + sin(x0)*log(x1)", 0, 0.0, None),
        ("x0*log(x1) + sin(x0)*exp(x1)", 0, 1.0, None),
    ],
)
def test_an_input_told_apart_is_found_with_its_function(text: str, i: int, divisor: float, known: float | None) -> None:
    evidence = evidence_of(lambda X: evaluate(parse(text, ["x0", "x1"]), X), box(2))
    found = [r for r in find_rank_twos(evidence) if r.i == i and r.residual < 1e-20]
    assert (divisor, known) in [(r.divisor, r.known) for r in found]


def test_functions_of_higher_rank_are_told_from_rank_two() -> None:
    for f in (lambda X: np.exp(X[:, 0] * X[:, 1]), lambda X: 1 / X.sum(axis=1), lambda X: np.log(1 + X.prod(axis=1))):
        assert [r for r in find_rank_twos(evidence_of(f, box(2))) if r.residual < 1e-12] == []


def test_rank_two_of_a_teacher_that_errs_is_found_at_its_noise_floor() -> None:
    error, X = wobble(3, 1e-3), box(3)

    def law(X: np.ndarray) -> np.ndarray:
        return X[:, 0] * np.exp(X[:, 1] - X[:, 2]) + np.sin(X[:, 1] - X[:, 2])

    found = [
        r for r in find_rank_twos(evidence_of(lambda X: law(X) + error(X), X)) if r.residual < 100 * 1e-6 / law(X).var()
    ]
    assert (0, 0.0, 1.0) in [(r.i, r.divisor, r.known) for r in found]
