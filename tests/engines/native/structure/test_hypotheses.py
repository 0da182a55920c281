"""Which steps a function allows, and how exact it is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from structures import OPTIONS, box, law_error, problem_of, wobble

from symtorch.engines.native.structure.decompose import find_laws
from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.hypotheses import find_steps
from symtorch.engines.native.structure.idle import Drop
from symtorch.engines.native.structure.merges import Merge
from symtorch.engines.native.structure.rank_two import RankTwo
from symtorch.engines.native.structure.separations import Split, judge_pairs, separations
from symtorch.engines.native.structure.steps import Finder


@pytest.mark.parametrize("size", [1e-3, 1e-2])
def test_the_noise_floor_is_of_the_size_of_the_teachers_error_and_finds_the_same_structure(size: float) -> None:
    X, error = box(3), wobble(3, size)

    def law(X: np.ndarray) -> np.ndarray:
        return np.sin(X[:, 0] - X[:, 1]) * X[:, 2]

    relative = size**2 / law(X).var()
    findings = find_steps(problem_of(lambda X: law(X) + error(X), X), np.inf, 0)
    # The floor is what the most favourable test sees, so mostly less than the whole error.
    assert 0.01 * relative < findings.floor < 5 * relative
    kinds = {(type(s), getattr(s, "r", None)) for s in findings.steps}
    assert (Merge, -1.0) in kinds
    assert any(isinstance(s, Split) and s.groups == ((0, 1), (2,)) for s in findings.steps)


def test_an_exact_teacher_has_a_floor_of_rounding() -> None:
    assert find_steps(problem_of(lambda X: X[:, 0] * np.exp(X[:, 1]), box(2)), np.inf, 0).floor < 1e-20


def test_inputs_without_effect_are_dropped_also_by_a_teacher_that_errs() -> None:
    error = wobble(5, 1e-2)
    problem = problem_of(lambda X: X[:, 1] * np.exp(X[:, 3]) + error(X), box(5))
    (step,) = find_steps(problem, np.inf, 0).steps
    assert isinstance(step, Drop)
    assert step.inputs == (0, 2, 4)


def test_a_weak_input_of_an_exact_teacher_is_kept() -> None:
    def law(X: np.ndarray) -> np.ndarray:
        return X[:, 0] ** 2 + 1e-2 * np.sin(X[:, 1])

    assert law_error(find_laws(box(2), law, OPTIONS), law, box(2, seed=9)) < 1e-20


def test_rank_two_has_its_turn_beside_a_sum_that_holds_much_less_well() -> None:
    X, error = box(2, 0.5, 8.0), wobble(2, 0.005)

    def teacher(X: np.ndarray) -> np.ndarray:
        return X[:, 0] * (4 - X[:, 0] - X[:, 1] / (1 + X[:, 0])) + error(X)

    steps = find_steps(problem_of(teacher, X), np.inf, 0).steps
    plain = min(step.residual for step in steps if step.plain)
    finer = [step.residual for step in steps if isinstance(step, RankTwo)]
    assert finer
    assert max(finer) < plain / 10


def test_where_no_identity_holds_a_common_one_that_holds_far_better_is_followed_and_makes_no_law_alone() -> None:
    """``x0*A(x1) + B(x1)`` behind an error of which no other test tells the size."""
    X, error = np.random.default_rng(0).uniform([0.8, 0.7], [1.5, 3.0], (500, 2)), wobble(2, 3e-3)

    def teacher(X: np.ndarray) -> np.ndarray:
        return 8 * X[:, 0] / (3 * X[:, 1] - 1) - 3 / X[:, 1] ** 2 + error(X)

    findings = find_steps(problem_of(teacher, X), np.inf, 0)
    assert findings.floor > 3e-3
    assert any(isinstance(step, RankTwo) and step.i == 0 and step.known is not None for step in findings.steps)
    assert not find_laws(X, teacher, OPTIONS, flat=lambda *_: []).solved


@pytest.mark.parametrize("size", [0.0, 1e-3])
def test_what_nobody_would_follow_is_not_tested_for(size: float) -> None:
    """An exact sum has its plain step; where a teacher errs, another kind may hold far better than one that holds."""
    asked = []

    def last(evidence: Evidence) -> Iterator[Split]:
        asked.append(evidence)
        return iter(())

    error = wobble(3, size)
    problem = problem_of(lambda X: X[:, 0] * np.exp(X[:, 1]) + np.sin(X[:, 2]) + error(X), box(3))
    steps = find_steps(problem, np.inf, 0, (Finder(judge_pairs, separations), Finder(last, last=True))).steps
    assert any(step.plain for step in steps)
    assert bool(asked) == (size > 0.0)
