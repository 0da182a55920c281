"""Inputs without effect: ``f(x) = g(x without them)``. Looked for before all else: every test is cheaper after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.structure.problem import Problem
from symtorch.engines.native.structure.steps import Step, reference
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations.expr import Expr, Variable, substitute


@dataclass(frozen=True)
class Drop(Step):
    """Inputs without effect."""

    inputs: tuple[int, ...]
    n_inputs: int
    residual: float
    contrast: float = 0.0

    @property
    def prior(self) -> float:
        return 0.0  # followed alone

    @property
    def sees_most(self) -> bool:
        return False  # of the error only what depends on the idle inputs

    @property
    def kept(self) -> list[int]:
        return [i for i in range(self.n_inputs) if i not in self.inputs]

    def parts(self, problem: Problem) -> list[Problem]:
        kept = self.kept

        def ask(Z: np.ndarray, replica: int) -> np.ndarray:
            if replica == 0:  # each row keeps company with a sample, so that inputs that move together stay together
                full = problem.Z[np.arange(len(Z)) % len(problem.Z)].copy()
            else:
                full = np.tile(reference(problem, replica), (len(Z), 1))
            full[:, kept] = Z
            return problem.ask(full, replica)

        return [problem.below(problem.Z[:, kept], ask)]

    def join(self, solved: Sequence[Expr]) -> Expr:
        return substitute(solved[0], [Variable(i) for i in self.kept])


def find_idle(effect: np.ndarray, hint: float) -> Drop | None:
    """The inputs that do nothing: below the widest gap in the effects, and small enough to be noise.

    Args:
        effect: (d,) what swapping each input changes; see :class:`.Swaps`.
        hint: the floor of the function that this one is a part of; infinite at the root.
    """
    numbers = tuning()
    order = np.argsort(effect)
    size = np.maximum(effect[order], 1e-30)
    # Swapping an idle input compares two errors of the teacher, whose squares add.
    limit = 2 * numbers.worst if not hint < np.inf else 2 * numbers.spread * max(hint, 1e-16)
    gaps = [size[k + 1] / size[k] for k in range(len(size) - 1) if size[k] < limit]
    if not gaps:
        if len(size) == 1 and size[0] < limit * numbers.idle_alone:
            return Drop((0,), 1, float(size[0]) / 2)
        return None
    k = int(np.argmax(gaps))
    if gaps[k] < numbers.idle_gap:
        return None
    return Drop(tuple(sorted(int(i) for i in order[: k + 1])), len(effect), float(size[k]) / 2)
