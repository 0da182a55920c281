"""Inputs that never meet: ``f = A(all but j) + B(all but i)``, or a product of two such functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.links import Link, telling
from symtorch.engines.native.structure.problem import Problem
from symtorch.engines.native.structure.steps import Step, held, reference
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations.expr import Expr, Variable, substitute
from symtorch.equations.normal import add, multiply


@dataclass(frozen=True)
class NeverMeet(Step):
    """i and j act apart if all other inputs are held fixed, in a sum or in a product."""

    i: int
    j: int
    n_inputs: int
    link: Link
    residual: float
    contrast: float

    @property
    def prior(self) -> float:
        return tuning().prior_never_meet

    def _columns(self) -> tuple[list[int], list[int]]:
        return [q for q in range(self.n_inputs) if q != self.j], [q for q in range(self.n_inputs) if q != self.i]

    def parts(self, problem: Problem) -> list[Problem]:
        without_j, without_i = self._columns()
        product = self.link.power == 0
        # The split isn't unique, so all replicas hold i and j at the same place.
        row = telling(problem, self.link, 1.0) if product else reference(problem, 0)

        def first(Z: np.ndarray, replica: int) -> np.ndarray:
            return problem.ask(held(without_j, Z, row), replica)

        def second(Z: np.ndarray, replica: int) -> np.ndarray:
            full = held(without_i, Z, row)
            both = full.copy()
            both[:, self.j] = row[self.j]
            a, b = problem.ask(full, replica), problem.ask(both, replica)
            with np.errstate(all="ignore"):
                return a / b if product else a - b

        return [problem.below(problem.Z[:, without_j], first), problem.below(problem.Z[:, without_i], second)]

    def join(self, solved: Sequence[Expr]) -> Expr:
        placed = [substitute(e, [Variable(q) for q in kept]) for e, kept in zip(solved, self._columns(), strict=True)]
        return multiply(placed) if self.link.power == 0 else add(placed)


def find_never_meeting(evidence: Evidence) -> Iterator[NeverMeet]:
    """Every pair of inputs, judged in a sum and in a product."""
    swaps = evidence.swaps
    for link in (Link(1.0), Link(0.0)):
        for i, j in swaps.two:
            yield NeverMeet(i, j, evidence.problem.n_inputs, link, *swaps.judged(link, i, j))
