"""Laws found by asking the teacher: take the function apart, solve the pieces, put them together.

Every step of a decomposition is a hypothesis (:mod:`.structure_find`). At every function on the way the
few most credible ones are followed in turn until one ends in an expression that fits the function's
own answers as well as the teacher's noise lets it, so a wrong step costs time and no more. Pieces that
show no structure go to the flat search, which is told the noise of the piece.

AI Feynman, arXiv 1905.11481 and 2006.10782. New here: the noise floor that decides what counts as
equal, averages over replicas, and hypotheses that can be taken back.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from symtorch.engines.native.fit import Rows, fit
from symtorch.engines.native.normal import normalise
from symtorch.engines.native.structure_find import EXACT, FACTOR, find_steps
from symtorch.engines.native.structure_problem import Count, Problem, root
from symtorch.engines.native.structure_steps import Step
from symtorch.engines.native.vocabulary import Vocabulary
from symtorch.equations.expr import Constant, Expr, Variable
from symtorch.options import SearchOptions

logger = logging.getLogger("symtorch.engines.native.structure")

FlatSolver = Callable[[np.ndarray, np.ndarray, float], Sequence[Expr]]
"""(X, y, goal) -> expressions over X's columns, fitted; stops once 1 - R² is below the goal."""

REPLICAS = 8
"""Answers that a piece of a noisy teacher is the mean of."""
PIECE_ROWS = 400
WIDTHS = (3, 2, 2, 1)
"""Hypotheses that are followed at each depth."""
PIECES = 10
"""Pieces that the flat search is given, at most; plans end when they are used up."""
COMBINATIONS = 24


@dataclass(frozen=True)
class Candidate:
    """A normal form that solves a problem, its complexity in the user's operators, its loss as 1 - R²."""

    expr: Expr
    cost: float
    loss: float


@dataclass
class Search:
    """One teacher's decomposition: what is fixed, and what is used up on the way."""

    flat: FlatSolver
    vocabulary: Vocabulary
    seed: int
    stopped: Callable[[], bool] = lambda: False
    pieces_left: int = PIECES
    count: Count = field(default_factory=Count)

    def solve(self, problem: Problem, hint: float = np.inf) -> list[Candidate]:
        """Expressions for a problem, a small front of them by cost and loss; empty if there are none."""
        if self.stopped():
            return []
        if not problem.scale > 1e-28 * float(np.nanmean(problem.y**2) + 1e-300):
            return [Candidate(Constant(float(np.nanmean(problem.y))), 1.0, 0.0)]
        findings = find_steps(problem, self._scales(), hint, self.seed)
        floor = findings.floor
        goal = self._goal(floor)
        logger.debug("%sd=%d floor %.1e %s", "  " * problem.depth, problem.n_inputs, floor, findings.steps[:4])
        points = self._points(problem, floor)
        if points is None:
            return []
        found: list[Candidate] = []
        width = WIDTHS[min(problem.depth, len(WIDTHS) - 1)]
        steps = [step for step in findings.steps if self._can_write(step, problem)]
        for step in _diverse(steps)[:width]:
            found = self._pareto(found + self._follow(step, problem, floor, points))
            if found and found[-1].loss <= goal:
                return found
            if self.pieces_left <= 0:
                return found
        if not found or found[-1].loss > goal:
            found = self._pareto(found + self._ask_flat(points, floor, goal))
        return found

    def _follow(self, step: Step, problem: Problem, floor: float, points: tuple[np.ndarray, np.ndarray, float]) -> list[Candidate]:
        solved = []
        for part in step.parts(problem):
            if np.isfinite(part.y).mean() < 0.5:
                return []
            answers = self.solve(part, floor)
            if not answers:
                return []
            solved.append(answers)
        combinations = sorted(itertools.product(*solved), key=lambda c: sum(part.cost for part in c))
        joined = [normalise(step.join([part.expr for part in c])) for c in combinations[-COMBINATIONS:]]
        return self._fitted(joined, points)

    def _points(self, problem: Problem, floor: float) -> tuple[np.ndarray, np.ndarray, float] | None:
        few = problem.rows(PIECE_ROWS)
        Z, y, noise = few.averaged(1 if floor < EXACT else REPLICAS)
        return (Z, y, noise) if len(y) >= 20 and np.var(y) > 0 else None

    def _ask_flat(self, points: tuple[np.ndarray, np.ndarray, float], floor: float, goal: float) -> list[Candidate]:
        self.pieces_left -= 1
        Z, y, noise = points
        exprs = [normalise(expr) for expr in self.flat(Z, y, goal if floor < EXACT else max(noise, 1e-9))]
        return self._fitted(exprs, points)

    def _fitted(self, exprs: Sequence[Expr], points: tuple[np.ndarray, np.ndarray, float]) -> list[Candidate]:
        Z, y, _ = points
        rows, variance = Rows.of(Z, y), float(np.var(y))
        found = []
        for expr in exprs:
            fitted, loss = fit(expr, rows, enough=1e-26 * variance)
            tree = self.vocabulary.render(fitted)
            if np.isfinite(loss):
                cost = self.vocabulary.cost(tree) if tree is not None else 2.0 * sum(1 for _ in str(fitted))
                found.append(Candidate(fitted, cost, loss / variance))
        return self._pareto(found)

    @staticmethod
    def _pareto(found: Sequence[Candidate]) -> list[Candidate]:
        """By rising cost and falling loss, the last few of them."""
        kept: list[Candidate] = []
        for c in sorted(found, key=lambda c: (c.cost, c.loss)):
            if not kept or c.loss < 0.9 * kept[-1].loss:
                kept.append(c)
            if kept[-1].loss < 1e-18:
                break
        return kept[-5:]

    def _goal(self, floor: float) -> float:
        return 1e-10 if floor < EXACT else FACTOR / 6 * min(floor, 1e-3)

    def _scales(self) -> tuple[str, ...]:
        return ("identity", "log", "square", "inverse")

    def _can_write(self, step: Step, problem: Problem) -> bool:
        stand_ins = [_sum_of_inputs(part.n_inputs) for part in step.parts(problem)]
        return self.vocabulary.render(normalise(step.join(stand_ins))) is not None


def _sum_of_inputs(n: int) -> Expr:
    from symtorch.engines.native.normal import add

    return add([Variable(i) for i in range(n)])


def _diverse(steps: Sequence[Step]) -> list[Step]:
    """Every step once; of the merges and rescalings of one pair of inputs only the most credible."""
    seen: set[object] = set()
    out = []
    for step in steps:
        pair = getattr(step, "pair", None) or getattr(step, "scaling", None)
        mark = (type(step), frozenset((pair.i, pair.j))) if pair is not None else step
        if mark not in seen:
            seen.add(mark)
            out.append(step)
    return out


def solve(
    X: np.ndarray,
    teacher: Callable[[np.ndarray], np.ndarray],
    options: SearchOptions,
    flat: FlatSolver,
    seed: int = 0,
    stopped: Callable[[], bool] = lambda: False,
) -> list[Expr]:
    """Expressions for one output of a teacher, in normal form.

    Args:
        X: (n_samples, n_inputs), the region that questions are asked in.
        teacher: (n, n_inputs) -> (n,).
        flat: solves the pieces.
        stopped: asked between pieces; True ends the search with what there is.
    """
    search = Search(flat, Vocabulary(options), seed, stopped)
    problem = root(X, teacher, search.count, seed)
    found = search.solve(problem)
    logger.debug("%d rows asked, %d pieces", search.count.rows, PIECES - search.pieces_left)
    return [c.expr for c in found]
