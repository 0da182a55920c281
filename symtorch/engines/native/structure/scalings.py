"""Scaling laws: ``f(a*x_i, a^s*x_j) = a^k f``, that is, ``f = x_i^k * h(x_j/x_i^s)``.

It is the move along the line of :mod:`.merges` on the logarithmic scale, with an answer that grows by a known factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.lines import SCALES, along, branch
from symtorch.engines.native.structure.problem import Problem, mean_square
from symtorch.engines.native.structure.steps import Step, place
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations.expr import Expr, Variable, substitute
from symtorch.equations.normal import multiply, normalise, power


@dataclass(frozen=True)
class Rescale(Step):
    """``f = x_i^k * h(x_j/x_i^s, others)``; residual and contrast as for a :class:`.Merge`."""

    i: int
    j: int
    n_inputs: int
    s: int
    k: float
    residual: float
    contrast: float

    @property
    def prior(self) -> float:
        return tuning().prior_rescale

    @property
    def mark(self) -> object:
        return "rescale", frozenset((self.i, self.j))

    @property
    def rest(self) -> list[int]:
        return [q for q in range(self.n_inputs) if q not in (self.i, self.j)]

    def parts(self, problem: Problem) -> list[Problem]:
        i, j, s, k, rest = self.i, self.j, self.s, self.k, self.rest
        u = problem.Z[:, j] / problem.Z[:, i] ** s

        def ask(Z: np.ndarray, replica: int) -> np.ndarray:
            side = branch(problem, i, len(Z))
            signs = np.stack([np.sign(Z[:, 0]) * side**s, side])
            with np.errstate(all="ignore"):
                total = np.log(np.abs(Z[:, 0]))
            full = np.empty((len(Z), problem.n_inputs))
            full[:, rest] = Z[:, 1:]
            where = np.full(len(Z), place(replica))
            full[:, j], full[:, i] = along(problem, j, i, SCALES["log"], -s, total, signs, where)
            with np.errstate(all="ignore"):
                return problem.ask(full, replica) / np.abs(full[:, i]) ** k

        return [problem.below(np.column_stack([u, problem.Z[:, rest]]), ask)]

    def join(self, solved: Sequence[Expr]) -> Expr:
        xi, xj = Variable(self.i), Variable(self.j)
        u = multiply([xj, power(xi, float(-self.s))])
        inner = normalise(substitute(solved[0], [u, *(Variable(q) for q in self.rest)]))
        return multiply([power(xi, self.k), inner])


def find_rescalings(evidence: Evidence) -> Iterator[Rescale]:
    """Every ordered pair of inputs that the function scales with, tested.

    Euler's identity says which: ``x_i f_i + s x_j f_j = k f``.
    """
    problem, gradient, snap = evidence.problem, evidence.gradient, tuning().snap_exponent
    Z, y = problem.Z, problem.y
    for i in range(problem.n_inputs):
        if problem.low[i] <= 0 <= problem.high[i]:
            continue
        for j in range(problem.n_inputs):
            if j == i:
                continue
            columns = np.stack([Z[:, i] * gradient[i], Z[:, j] * gradient[j], y], axis=1)
            columns = columns[np.isfinite(columns).all(axis=1)]
            if len(columns) < tuning().fewest:
                continue
            (a, b), *_ = np.linalg.lstsq(columns[:, :2], columns[:, 2], rcond=None)
            if abs(a) < 0.2 or abs(b) < 1e-3 * abs(a):
                continue
            k, s = round(2 / a) / 2, round(b / a)
            if k == 0 or s == 0 or abs(k) > 4 or abs(s) > 3 or abs(1 / a - k) > snap or abs(b / a - s) > snap:
                continue
            yield _tested(evidence, Rescale(i, j, problem.n_inputs, s, k, np.inf, np.inf))


def _tested(evidence: Evidence, found: Rescale) -> Rescale:
    """The step with its residual: f(a x_i, a^s x_j)/a^k against f, for factors that stay in range."""
    i, j, s, k = found.i, found.j, found.s, found.k
    log, problem = SCALES["log"], evidence.problem
    Z, y = problem.Z, problem.y
    place = evidence.rng.uniform(0.02, 0.98, len(Z))
    signs = np.sign(Z[:, [i, j]].T)
    with np.errstate(all="ignore"):
        total = log.forward(Z[:, j]) - s * log.forward(Z[:, i])
        xj, xi = along(problem, j, i, log, -s, total, signs[::-1], place)
        factor = np.abs(xi / Z[:, i]) ** k
    moved, alone = Z.copy(), Z.copy()
    moved[:, i], moved[:, j] = xi, xj
    alone[:, i] = xi
    # An answer of size f/factor errs by 1/factor of the teacher's error: count what explains the change.
    change = mean_square((problem.ask(moved, 0) / factor - y) / np.sqrt((1 + factor**-2) / 2)) / 2
    effect = min(mean_square(problem.ask(moved, 0) - y), mean_square(problem.ask(alone, 0) / factor - y))
    contrast = change / max(effect, 1e-300) if np.isfinite(effect) else np.inf
    return replace(found, residual=change / problem.scale, contrast=contrast)
