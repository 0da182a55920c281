"""Two inputs that act as one."""

from __future__ import annotations

import numpy as np
import pytest
from structures import Teacher, box, evidence_of, problem_of, wobble

from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.merges import find_divided_merges, find_merges
from symtorch.engines.native.structure.problem import mean_square


@pytest.mark.parametrize(
    ("f", "scale", "r"),
    [
        (lambda X: np.sin(X[:, 0] - X[:, 1]) * X[:, 2], "identity", -1.0),
        (lambda X: np.exp(0.3 * (X[:, 0] + 0.37 * X[:, 1])) + X[:, 2], "identity", 0.37),
        (lambda X: np.sin(X[:, 0] * X[:, 1]) * X[:, 2], "log", 1.0),
        (lambda X: np.cos(X[:, 0] / X[:, 1] ** 2) + X[:, 2], "log", -2.0),
        (lambda X: np.sqrt(X[:, 0] ** 2 + 2.5 * X[:, 1] ** 2) * X[:, 2], "square", 2.5),
        (lambda X: np.sin(1 / X[:, 0] + 1 / X[:, 1]) * X[:, 2], "inverse", 1.0),
    ],
)
def test_two_inputs_that_act_as_one_are_found_with_their_slope(f: Teacher, scale: str, r: float) -> None:
    found = [p for p in find_merges(evidence_of(f, box(3))) if p.residual < 1e-18 and (p.i, p.j) == (0, 1)]
    assert [p.scale.name for p in found] == [scale]
    assert found[0].r == pytest.approx(r, rel=1e-8)
    assert found[0].contrast < 1e-15


def test_inputs_that_act_apart_are_no_pair() -> None:
    found = find_merges(evidence_of(lambda X: np.sin(X[:, 0]) * X[:, 1] + np.exp(X[:, 0]), box(2)))
    assert all(p.residual > 1e-4 for p in found)


def test_products_of_inputs_of_either_sign_are_found() -> None:
    found = find_merges(evidence_of(lambda X: np.sin(X[:, 0] * X[:, 1]), box(2, -2.0, 2.0)))
    assert any(p.scale.name == "log" and p.r == 1.0 and p.residual < 1e-18 for p in found)


def test_a_component_of_a_central_force_is_found_after_a_division() -> None:
    def force(X: np.ndarray) -> np.ndarray:
        return X[:, 0] / (X[:, 0] ** 2 + X[:, 1] ** 2 + 0.1) ** 1.5

    found = [p for p in find_divided_merges(evidence_of(force, box(2, -2.0, 2.0))) if p.residual < 1e-18]
    assert [(p.divisor, p.scale.name, p.r) for p in found] == [(0, "square", 1.0)]


def test_the_mean_over_replicas_is_nearer_to_the_law_than_one_answer() -> None:
    error, X = wobble(2, 2e-2), box(2)
    problem = problem_of(lambda X: np.sin(X[:, 0] - X[:, 1]) + error(X), X)
    merge = min(find_merges(Evidence(problem, np.random.default_rng(0))), key=lambda p: p.residual)
    (part,) = merge.parts(problem)
    Z, mean, spread = part.averaged(16)
    one = part.ask(Z, 0)
    truth = np.sin(Z[:, 0])
    assert mean_square(mean - truth) < 0.7 * mean_square(one - truth)
    assert 0 < spread < 1e-2
