"""What is asked of a function once and serves several finders: derivatives, and answers with inputs swapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from symtorch.engines.native.structure.links import Link
from symtorch.engines.native.structure.problem import Problem, mean_square
from symtorch.engines.native.structure.tuning import tuning


class Evidence:
    """A function on the rows that it is tested on, and what was asked of it; each part is asked for when first used.

    Args:
        problem: the function on these rows.
        rng: of the moves of all finders, one after the other.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator) -> None:
        self.problem = problem
        self.rng = rng
        self._partner = rng.permutation(len(problem.Z))

    @cached_property
    def gradient(self) -> np.ndarray:
        """(d, m) central difference quotients."""
        return gradients(self.problem)

    @cached_property
    def swaps(self) -> Swaps:
        """Answers with every input, and every pair of inputs, swapped."""
        return Swaps.ask(self.problem, self._partner)


@dataclass(frozen=True, eq=False)
class Swaps:
    """Answers with one input, or two, swapped for those of another row.

    Attributes:
        one: (d, m) answers.
        two: answers by pair (i, j), i < j.
        effect: (d,) mean squared change by swapping one input, relative to the variance of the answers.
    """

    problem: Problem
    one: np.ndarray
    two: dict[tuple[int, int], np.ndarray]
    effect: np.ndarray

    @classmethod
    def ask(cls, problem: Problem, partner: np.ndarray, pairs: Sequence[tuple[int, int]] | None = None) -> Swaps:
        """Swap every input, and these pairs of inputs, for those of the partner rows; all pairs for None."""
        Z, d = problem.Z, problem.n_inputs
        pairs = list(combinations(range(d), 2)) if pairs is None else pairs
        other = Z[partner]

        def swapped(*columns: int) -> np.ndarray:
            moved = Z.copy()
            moved[:, columns] = other[:, columns]
            return problem.ask(moved, 0)

        one = np.stack([swapped(i) for i in range(d)])
        two = {(i, j): swapped(i, j) for i, j in pairs}
        effect = np.array([mean_square(f - problem.y) for f in one]) / problem.scale
        return cls(problem, one, two, effect)

    def judged(self, link: Link, i: int, j: int) -> tuple[float, float]:
        """Residual and contrast of one pair under a link."""
        i, j = min(i, j), max(i, j)
        violation = link.violation(self.problem.y, self.one[i], self.one[j], self.two[i, j])
        residual = mean_square(violation) / self.problem.scale
        return residual, residual / max(min(self.effect[i], self.effect[j]), 1e-300)


def gradients(problem: Problem) -> np.ndarray:
    """(d, m) central difference quotients."""
    out = np.empty((problem.n_inputs, len(problem.Z)))
    for i in range(problem.n_inputs):
        h = tuning().difference * (problem.high[i] - problem.low[i])
        forth, back = problem.Z.copy(), problem.Z.copy()
        forth[:, i] += h
        back[:, i] -= h
        out[i] = (problem.ask(forth, 0) - problem.ask(back, 0)) / (2 * h)
    return out
