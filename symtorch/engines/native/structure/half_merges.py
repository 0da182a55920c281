"""Two inputs that act as one but for a function of one of them: ``f = A(x_i)*h(u)`` or ``f = A(x_i) + h(u)``.

Here u is ``x_i*x_j``, ``x_i/x_j``, ``x_i + x_j`` or ``x_i - x_j``, and h may depend on the other inputs, too. At two
values of x_i and two of u, each with other inputs of its own, the answers obey ``f(a, u)*f(b, w) = f(a, w)*f(b, u)``,
or the same with sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np

from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.lines import SCALES, Scale
from symtorch.engines.native.structure.links import Link
from symtorch.engines.native.structure.problem import Problem, mean_square
from symtorch.engines.native.structure.steps import Step
from symtorch.engines.native.structure.tuning import is_formula, tuning
from symtorch.equations.expr import Constant, Expr, Variable, substitute
from symtorch.equations.normal import add, multiply, normalise, power

_TRIED = [(SCALES[name], r) for name in ("log", "identity") for r in (1.0, -1.0)]
_MOST_INPUTS = 6
"""Of more inputs there are too many pairs."""
_FEW = 60
"""Rows that a pair is tested on at first."""
_SPREAD = 9
"""Values of x_i of which the one is held that leaves most of the u within the ranges."""


@dataclass(frozen=True)
class HalfMerge(Step):
    """A function of x_i beside one of ``u = p(x_i) + r*p(x_j)`` and the other inputs, in a product or in a sum.

    Attributes:
        scale, r: p and r; ``u = x_i*x_j^r`` on the logarithmic scale.
    """

    i: int
    j: int
    n_inputs: int
    scale: Scale
    r: float
    link: Link
    residual: float = np.inf
    contrast: float = np.inf

    @property
    def prior(self) -> float:
        return tuning().prior_half_merge

    @property
    def mark(self) -> object:
        return "half merge", self.i, self.j, self.link

    @property
    def rest(self) -> list[int]:
        return [q for q in range(self.n_inputs) if q not in (self.i, self.j)]

    def together(self, Z: np.ndarray) -> np.ndarray:
        """u on rows of the problem."""
        xi, xj = Z[:, self.i], Z[:, self.j]
        return np.asarray(xi * xj**self.r if self.scale.power == 0 else xi + self.r * xj)

    def placed(self, problem: Problem, xi: np.ndarray, u: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Rows with these x_i, u and other inputs; NaN where x_j would be out of its range."""
        with np.errstate(all="ignore"):
            xj = (u / xi) ** self.r if self.scale.power == 0 else (u - xi) * self.r
        inside = (xj >= problem.low[self.j]) & (xj <= problem.high[self.j])
        full = np.empty((len(u), self.n_inputs))
        full[:, self.rest], full[:, self.i], full[:, self.j] = rest, xi, np.where(inside, xj, np.nan)
        return full

    def parts(self, problem: Problem) -> list[Problem]:
        """A, that is one at a value of x_i, and h, each on the points that can be asked from one place."""
        u, rest = self.together(problem.Z), problem.Z[:, self.rest]
        held = self._held(problem, u, rest)
        centre = float(np.median(u[self._usable(problem, np.full(len(u), held), u, rest)]))
        row = np.median(rest, axis=0)

        def beside(Z: np.ndarray, replica: int) -> np.ndarray:
            at = np.full(len(Z), centre), np.tile(row, (len(Z), 1))
            here = problem.ask(self.placed(problem, Z[:, 0], *at), replica)
            there = problem.ask(self.placed(problem, np.array([held]), at[0][:1], at[1][:1]), replica)
            return here / there if self.link.power == 0 else here - there

        def merged(Z: np.ndarray, replica: int) -> np.ndarray:
            return problem.ask(self.placed(problem, np.full(len(Z), held), Z[:, 0], Z[:, 1:]), replica)

        own = self._usable(problem, problem.Z[:, self.i], np.full(len(u), centre), np.tile(row, (len(u), 1)))
        joint = self._usable(problem, np.full(len(u), held), u, rest)
        return [
            problem.below(problem.Z[own][:, [self.i]], beside),
            problem.below(np.column_stack([u, rest])[joint], merged),
        ]

    def join(self, solved: Sequence[Expr]) -> Expr:
        xi, xj = Variable(self.i), Variable(self.j)
        u = multiply([xi, power(xj, self.r)]) if self.scale.power == 0 else add([xi, multiply([Constant(self.r), xj])])
        inner = normalise(substitute(solved[1], [u, *(Variable(q) for q in self.rest)]))
        both = [normalise(substitute(solved[0], [xi])), inner]
        return multiply(both) if self.link.power == 0 else add(both)

    def _usable(self, problem: Problem, xi: np.ndarray, u: np.ndarray, rest: np.ndarray) -> np.ndarray:
        return np.isfinite(self.placed(problem, xi, u, rest)).all(axis=1)

    def _held(self, problem: Problem, u: np.ndarray, rest: np.ndarray) -> float:
        tried = np.quantile(problem.Z[:, self.i], np.linspace(0.05, 0.95, _SPREAD))
        counts = [self._usable(problem, np.full(len(u), value), u, rest).sum() for value in tried]
        return float(tried[int(np.argmax(counts))])


def find_half_merges(evidence: Evidence) -> Iterator[HalfMerge]:
    """Every ordered pair of inputs of which it is so exactly."""
    problem, d = evidence.problem, evidence.problem.n_inputs
    if d > _MOST_INPUTS:
        return
    for (i, j), (scale, r) in product(permutations(range(d), 2), _TRIED):
        if scale.power == 0 and (problem.low[[i, j]] <= 0).any():
            continue
        steps = [HalfMerge(i, j, d, scale, r, link) for link in (Link(0.0), Link(1.0))]
        for rows in (problem.rows(_FEW), problem):  # most pairs need no more than a few rows
            steps = [step for step in _judged(steps, rows, evidence.rng) if is_formula(step.residual)]
            if not steps:
                break
        yield from (step for step in steps if step.contrast <= tuning().rounding)


def _judged(steps: Sequence[HalfMerge], problem: Problem, rng: np.random.Generator) -> Iterator[HalfMerge]:
    """Steps that differ in their links, tested; without those of which too few rows can be asked."""
    Z, i, rest = problem.Z, steps[0].i, steps[0].rest
    moved = Z[rng.permutation(len(Z))]
    moved[:, i] = Z[:, i]
    b, here, there = Z[rng.permutation(len(Z)), i], (steps[0].together(Z), Z), (steps[0].together(moved), moved)
    # With u the other inputs change too: where they are held, what is linear in x_i and x_j passes for a sum.
    rows = [
        steps[0].placed(problem, xi, u, others[:, rest])
        for xi, (u, others) in ((Z[:, i], there), (b, here), (b, there))
    ]
    usable = np.isfinite(np.stack(rows)).all(axis=(0, 2))
    if usable.sum() < min(tuning().fewest, len(Z) // 6):
        return
    f, (fw, fb, fbw) = problem.y[usable], (problem.ask(row[usable], 0) for row in rows)
    effect = min(mean_square(f - fw), mean_square(f - fb)) / problem.scale
    for step in steps:
        residual = mean_square(step.link.violation(f, fw, fb, fbw)) / problem.scale
        yield replace(step, residual=residual, contrast=residual / max(effect, 1e-300))
