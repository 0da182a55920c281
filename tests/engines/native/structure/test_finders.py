"""A new identity is one finder: a test, a step, and an entry in the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from structures import OPTIONS, box, law_error

from symtorch.engines.native.structure.decompose import find_laws
from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.finders import FINDERS
from symtorch.engines.native.structure.problem import Problem, mean_square
from symtorch.engines.native.structure.steps import Finder, Step
from symtorch.equations.expr import Expr, Variable, substitute
from symtorch.equations.normal import add, power


@dataclass(frozen=True)
class SumOfCubes(Step):
    """A function of two inputs that knows only ``x0^3 + x1^3``: no identity of the library."""

    residual: float
    contrast: float

    @property
    def prior(self) -> float:
        return 1.0

    def parts(self, problem: Problem) -> list[Problem]:
        def ask(Z: np.ndarray, replica: int) -> np.ndarray:
            return problem.ask(np.cbrt(Z * [0.5, 0.5]), replica)

        return [problem.below((problem.Z**3).sum(axis=1, keepdims=True), ask)]

    def join(self, solved: Sequence[Expr]) -> Expr:
        return substitute(solved[0], [add([power(Variable(i), 3.0) for i in (0, 1)])])


def find_sums_of_cubes(evidence: Evidence) -> Iterator[SumOfCubes]:
    problem = evidence.problem
    if problem.n_inputs == 2:
        moved = np.repeat(np.cbrt((problem.Z**3).mean(axis=1, keepdims=True)), 2, axis=1)
        residual = mean_square(problem.ask(moved, 0) - problem.y) / 2 / problem.scale
        yield SumOfCubes(residual, residual / evidence.swaps.effect.min())


def test_a_finder_of_ones_own_is_used_by_the_search() -> None:
    def law(X: np.ndarray) -> np.ndarray:
        return np.sin(0.2 * (X[:, 0] ** 3 + X[:, 1] ** 3))

    X, fresh = box(2), box(2, seed=9)
    without = find_laws(X, law, OPTIONS, flat=lambda *_: [])
    assert not without.solved
    laws = find_laws(X, law, OPTIONS, flat=lambda *_: [], finders=(*FINDERS, Finder(find_sums_of_cubes)))
    assert laws.solved
    assert law_error(laws, law, fresh) < 1e-20


def test_every_finder_tests_a_function_without_structure_and_finds_no_step() -> None:
    """Where nothing holds, no finder fails, none yields a step that holds, and residuals are above rounding."""

    def unstructured(X: np.ndarray) -> np.ndarray:
        return np.sin(X[:, 0] * X[:, 1] ** 2 + np.exp(0.3 * X[:, 2] * X[:, 0])) + np.cos(X.prod(axis=1))

    evidence = Evidence(Problem(box(3), lambda Z, _: unstructured(Z)), np.random.default_rng(0))
    for finder in FINDERS:
        tested = list(finder.test(evidence))
        assert all(test.residual > 1e-6 for test in tested)
        assert list(finder.steps(evidence, tested, lambda test: test.residual < 1e-6)) == []
