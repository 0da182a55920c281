"""Two inputs that act as one: ``x0 - x1``, ``x0*x1``, ``x0/x1^2``, ``x0^2 + 3*x1^2``, ``1/x0 + 1/x1``.

All of these are sums ``p(x_i) + r*p(x_j)`` on a suitable scale p (identity, logarithm, square,
inverse), so one test serves: move both inputs along the line on which the sum stays, and see whether
the teacher's answer stays too. The slope r comes from the ratio of the derivatives on that scale and
is refined until the answers along the line agree best.

Tests of symmetry by asking: AI Feynman, arXiv 1905.11481; by gradients: AI Feynman 2.0, arXiv 2006.10782.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.lines import SCALES, Scale, along, branch, ratio
from symtorch.engines.native.structure.problem import Problem, mean_square
from symtorch.engines.native.structure.steps import Step, place
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations.expr import Constant, Expr, Variable, substitute
from symtorch.equations.normal import add, multiply, normalise, power


@dataclass(frozen=True)
class Merge(Step):
    """f depends on inputs i and j through ``u = p(x_i) + r*p(x_j)`` alone (``u = x_i*x_j^r`` on the logarithmic scale).

    Attributes:
        divisor: i or j if that is so only after a division by that input: a component of a central
            force is ``x_i*h(x_i^2 + x_j^2)``.
        residual: mean squared change of the answers along the line, halved, relative to their variance.
        contrast: the same, relative to the change that moving one of the two alone makes.
    """

    i: int
    j: int
    n_inputs: int
    scale: Scale
    r: float
    residual: float
    contrast: float
    divisor: int | None = None

    @property
    def prior(self) -> float:
        return tuning().prior_merge if self.divisor is None else tuning().prior_rescale

    @property
    def mark(self) -> object:
        return "merge", frozenset((self.i, self.j))

    @property
    def rest(self) -> list[int]:
        return [q for q in range(self.n_inputs) if q not in (self.i, self.j)]

    def parts(self, problem: Problem) -> list[Problem]:
        """One function of u and the rest, asked at any two inputs that give this u."""

        def ask(Z: np.ndarray, replica: int) -> np.ndarray:
            full = np.empty((len(Z), problem.n_inputs))
            full[:, self.rest] = Z[:, 1:]
            full[:, self.i], full[:, self.j] = self._with(problem, Z[:, 0], replica)
            answers = problem.ask(full, replica)
            if self.divisor is None:
                return answers
            with np.errstate(all="ignore"):
                return answers / full[:, self.divisor]

        u = self._one(problem.Z[:, self.i], problem.Z[:, self.j])
        return [problem.below(np.column_stack([u, problem.Z[:, self.rest]]), ask)]

    def join(self, solved: Sequence[Expr]) -> Expr:
        xi, xj, p = Variable(self.i), Variable(self.j), self.scale.power
        if p == 0:
            u = multiply([xi, power(xj, self.r)])
        else:
            u = add([power(xi, p), multiply([Constant(self.r), power(xj, p)])])
        inner = normalise(substitute(solved[0], [u, *(Variable(q) for q in self.rest)]))
        return inner if self.divisor is None else multiply([Variable(self.divisor), inner])

    def _one(self, xi: np.ndarray, xj: np.ndarray) -> np.ndarray:
        """u of two inputs. A product has a sign, which the logarithm of its size doesn't know."""
        if self.scale.power == 0:
            return xi * np.sign(xj) ** int(self.r) * np.abs(xj) ** self.r
        return self.scale.forward(xi) + self.r * self.scale.forward(xj)

    def _with(self, problem: Problem, u: np.ndarray, replica: int) -> tuple[np.ndarray, np.ndarray]:
        """Two inputs that give this u; every replica has its place on the line."""
        signs = np.stack([branch(problem, self.i, len(u)), branch(problem, self.j, len(u))])
        if self.scale.power == 0:
            # The sign of u goes to whichever of the two can take it.
            negative = np.sign(u) * signs[0] * signs[1] ** int(self.r) < 0
            first = problem.low[self.i] < 0 < problem.high[self.i] or int(self.r) % 2 == 0
            signs[0 if first else 1] *= np.where(negative, -1.0, 1.0)
            with np.errstate(all="ignore"):
                u = np.log(np.abs(u))
        where = np.full(len(u), place(replica))
        return along(problem, self.i, self.j, self.scale, self.r, u, signs, where)


def find_merges(evidence: Evidence) -> Iterator[Merge]:
    """Every pair of inputs whose derivatives have a fixed ratio on one of the scales, tested."""
    problem, gradient = evidence.problem, evidence.gradient
    for i, j in combinations(range(problem.n_inputs), 2):
        for scale in SCALES.values():
            both = np.stack([problem.low[[i, j]], problem.high[[i, j]]])
            far = np.abs(both).max()
            if scale.name == "inverse" and (np.abs(both).min() < 0.1 * far or (both[0] * both[1] < 0).any()):
                continue
            with np.errstate(all="ignore"):
                slope_i = gradient[i] / scale.slope(problem.Z[:, i])
                slope_j = gradient[j] / scale.slope(problem.Z[:, j])
            r, spread = ratio(slope_j, slope_i)
            if spread <= tuning().steady and _is_slope(r):
                merge = _refined(evidence, i, j, scale, r)
                if merge is not None:
                    yield merge


def find_divided_merges(evidence: Evidence) -> Iterator[Merge]:
    """Pairs that act as a sum or a sum of squares once the answers are divided by one of the two."""
    problem, gradient = evidence.problem, evidence.gradient
    for divisor, other in permutations(range(problem.n_inputs), 2):
        i, j = min(divisor, other), max(divisor, other)
        with np.errstate(all="ignore"):
            quotient = problem.y / problem.Z[:, divisor]
        for scale in (SCALES["identity"], SCALES["square"]):
            with np.errstate(all="ignore"):  # of f/x_n the derivatives are (f_n - f/x_n)/x_n and f_m/x_n
                slope_i, slope_j = (
                    (gradient[m] - (quotient if m == divisor else 0.0)) / scale.slope(problem.Z[:, m]) for m in (i, j)
                )
            r, spread = ratio(slope_j, slope_i)
            if spread < tuning().steady_divided and _is_slope(r):
                merge = _refined(evidence, i, j, scale, r, divisor)
                if merge is not None:
                    yield merge


def _is_slope(r: float) -> bool:
    return 1 / tuning().largest_slope < abs(r) < tuning().largest_slope


def _refined(evidence: Evidence, i: int, j: int, scale: Scale, r: float, divisor: int | None = None) -> Merge | None:
    """The pair with its slope snapped to an integer where that does as well, else refined."""
    if scale.name == "log" and abs(r) < 0.75:  # x0*sqrt(x1) is better had as x1*x0^2
        i, j, r = j, i, 1 / r
    moves = _Moves(evidence, i, j, scale, divisor)
    snapped = float(np.sign(r) * max(1, round(abs(r))))
    if abs(r / snapped - 1) > tuning().snap or abs(snapped) > 4:
        snapped = 0.0
    if scale.name == "log":
        return moves.finding(snapped) if snapped else None
    if abs(snapped) != 1:
        snapped = 0.0
    nice = moves.finding(snapped) if snapped else None
    if nice is not None and nice.residual < 1e-16:
        return nice
    free = moves.finding(moves.best(r))
    return nice if nice is not None and nice.residual <= tuning().as_good * free.residual else free


class _Moves:
    """Moves along ``p(x_i) + r*p(x_j)``, to the same places for every r."""

    def __init__(self, evidence: Evidence, i: int, j: int, scale: Scale, divisor: int | None) -> None:
        self.problem = problem = evidence.problem
        self.i, self.j, self.scale, self.divisor = i, j, scale, divisor
        self.place = evidence.rng.uniform(0.02, 0.98, len(problem.Z))
        self.signs = np.sign(problem.Z[:, [i, j]].T)
        with np.errstate(all="ignore"):
            self.p, self.q = scale.forward(problem.Z[:, i]), scale.forward(problem.Z[:, j])

    def move(self, r: float) -> tuple[np.ndarray, np.ndarray]:
        return along(self.problem, self.i, self.j, self.scale, r, self.p + r * self.q, self.signs, self.place)

    def change(self, xi: np.ndarray | None, xj: np.ndarray | None) -> np.ndarray:
        """Change of the answers (or of their quotient by the divisor, times the divisor) by moving one or both.

        An answer that counts f times as much here as there errs f times as much: such changes are made
        comparable with a change of two answers that count alike.
        """
        Z = self.problem.Z.copy()
        if xi is not None:
            Z[:, self.i] = xi
        if xj is not None:
            Z[:, self.j] = xj
        answers = self.problem.ask(Z, 0)
        if self.divisor is None:
            return answers - self.problem.y
        with np.errstate(all="ignore"):
            factor = self.problem.Z[:, self.divisor] / Z[:, self.divisor]
            return (answers * factor - self.problem.y) / np.sqrt((1 + factor**2) / 2)

    def best(self, r: float) -> float:
        """Gauss-Newton on r for the smallest change along the line."""
        change = self.change(*self.move(r))
        for _ in range(4):
            slope = (self.change(*self.move(r * (1 + 1e-4))) - change) / (1e-4 * r)
            usable = np.isfinite(slope) & np.isfinite(change)
            if usable.sum() < tuning().fewest:
                break
            cut = np.quantile(np.abs(change[usable]), 1 - tuning().dropped)
            usable &= np.abs(np.nan_to_num(change, nan=np.inf)) <= cut
            step = -(slope[usable] @ change[usable]) / max(slope[usable] @ slope[usable], 1e-300)
            trial = r + float(np.clip(step, -0.3 * abs(r), 0.3 * abs(r)))
            new = self.change(*self.move(trial))
            if not mean_square(new) < mean_square(change):
                break
            r, change = trial, new
        return r

    def finding(self, r: float) -> Merge:
        xi, xj = self.move(r)
        change = mean_square(self.change(xi, xj)) / 2
        alone = min(mean_square(self.change(xi, None)), mean_square(self.change(None, xj)))
        contrast = change / max(alone, 1e-300) if np.isfinite(alone) else np.inf
        residual = change / self.problem.scale
        return Merge(self.i, self.j, self.problem.n_inputs, self.scale, r, residual, contrast, self.divisor)
