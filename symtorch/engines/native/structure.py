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
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from symtorch.engines.native.fit import Rows, fit
from symtorch.engines.native.normal import normalise
from symtorch.engines.native.structure_find import EXACT, FACTOR, find_steps
from symtorch.engines.native.structure_problem import Count, Problem, root
from symtorch.engines.native.structure_shapes import one_input_forms
from symtorch.engines.native.structure_steps import Step
from symtorch.engines.native.vocabulary import Vocabulary
from symtorch.equations.expr import Constant, Expr, Variable, size
from symtorch.options import SearchOptions

logger = logging.getLogger("symtorch.engines.native.structure")

FlatSolver = Callable[[np.ndarray, np.ndarray, float, Callable[[Sequence["Candidate"]], bool]], Sequence[Expr]]
"""(X, y, goal, enough) -> expressions over X's columns, fitted; stops once 1 - R² is below the goal, or
once ``enough`` says so of the front."""

REPLICAS = 8
"""Answers that a piece of a noisy teacher is the mean of."""
PIECE_ROWS = 400
WIDTHS = (3, 2, 2, 1)
"""Hypotheses that are followed at each depth."""
PIECES = 10
"""Pieces that the flat search is given, at most; plans end when they are used up."""
COMBINATIONS = 24
MOST_INPUTS = 3
"""Functions of so many inputs go to the flat search even where nothing is known of their structure."""
MOST_NOISE = 1e-2
"""Relative loss above which nothing is taken for a law."""
SLOW = 0.2
"""Fall of log(loss) per unit of complexity that fitting a teacher's error brings, at most."""


@dataclass(frozen=True)
class Candidate:
    """A normal form that solves a problem, its complexity in the user's operators, its loss as 1 - R²."""

    expr: Expr
    cost: float
    loss: float


@dataclass(frozen=True, eq=False)
class Points:
    """Where a problem is fitted: points, answers, and the answers' relative squared error."""

    Z: np.ndarray
    y: np.ndarray
    noise: float


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
        logger.debug("%sd=%d floor %.1e %s", "  " * problem.depth, problem.n_inputs, floor, findings.steps[:4])
        points = self._points(problem, floor)
        if points is None:
            return []
        found: list[Candidate] = []
        width = WIDTHS[min(problem.depth, len(WIDTHS) - 1)]
        steps = [step for step in findings.steps if self._can_write(step, problem)]
        for step in _diverse(steps)[:width]:
            found = pareto(found + self._follow(step, problem, floor, points))
            if convincing(found, floor) or self.pieces_left <= 0:
                return found
        if problem.n_inputs <= MOST_INPUTS or problem.depth > 0:
            found = pareto(found + self._ask_flat(points, floor))
        return found

    def _follow(self, step: Step, problem: Problem, floor: float, points: Points) -> list[Candidate]:
        solved = []
        for part in step.parts(problem):
            if np.isfinite(part.y).mean() < 0.5:
                return []
            answers = self.solve(part, floor)
            if not answers:
                return []
            solved.append(likeliest(answers, floor))
        joined = [normalise(step.join([part.expr for part in chosen])) for chosen in _combinations(solved)]
        return self._fitted(joined, points)

    def _points(self, problem: Problem, floor: float) -> Points | None:
        few = problem.rows(PIECE_ROWS)
        points = Points(*few.averaged(1 if floor < EXACT else REPLICAS))
        return points if len(points.y) >= 20 and np.var(points.y) > 0 else None

    def _ask_flat(self, points: Points, floor: float) -> list[Candidate]:
        goal = 1e-20 if floor < EXACT else max(2 * points.noise, 0.3 * floor, 1e-10)
        found: list[Candidate] = []
        if points.Z.shape[1] == 1:
            found = self._fitted(one_input_forms(points.Z[:, 0], points.y, self.vocabulary), points)
            if found and found[-1].loss <= goal:
                return found
        self.pieces_left -= 1
        exprs = self.flat(points.Z, points.y, max(goal, 1e-13), lambda front: convincing(front, floor))
        return pareto(found + self._fitted([normalise(expr) for expr in exprs], points))

    def _fitted(self, exprs: Sequence[Expr], points: Points) -> list[Candidate]:
        rows, variance = Rows.of(points.Z, points.y), float(np.var(points.y))
        found = []
        for expr in exprs:
            fitted, loss = fit(expr, rows, enough=1e-26 * variance)
            tree = self.vocabulary.render(fitted)
            if np.isfinite(loss):
                cost = self.vocabulary.cost(tree) if tree is not None else 2.0 * size(fitted)
                found.append(Candidate(fitted, cost, loss / variance))
        return pareto(found)

    def _scales(self) -> tuple[str, ...]:
        return ("identity", "log", "square", "inverse")

    def _can_write(self, step: Step, problem: Problem) -> bool:
        stand_ins = [_sum_of_inputs(part.n_inputs) for part in step.parts(problem)]
        return self.vocabulary.render(normalise(step.join(stand_ins))) is not None


def pareto(found: Sequence[Candidate]) -> list[Candidate]:
    """By rising cost and falling loss; nothing beyond the first exact one."""
    kept: list[Candidate] = []
    for c in sorted(found, key=lambda c: (c.cost, c.loss)):
        if not kept or c.loss < 0.95 * kept[-1].loss:
            kept.append(c)
        if kept[-1].loss < 1e-18:
            break
    return kept


def convincing(front: Sequence[Candidate], floor: float) -> bool:
    """Whether the front ends in a law: nothing that costs more is better by more than its cost allows."""
    if not front:
        return False
    if floor < EXACT:
        return front[-1].loss < 1e-13
    law = likeliest(front, floor)[0]
    best = min(front, key=lambda c: c.loss)
    gain = math.log(max(law.loss, 1e-300) / max(best.loss, 1e-300))
    return law.loss <= MOST_NOISE and gain <= 0.7 + SLOW * (best.cost - law.cost)


def likeliest(front: Sequence[Candidate], floor: float, most: int = 3) -> list[Candidate]:
    """The candidates at the sharpest bends of a front, the sharpest first, and the most accurate one.

    On the convex hull of log(loss) by cost, the law is where a steep fall ends: what comes later fits
    the teacher's error, which has no short form, so it falls slowly.
    """
    least = 1e-18 if floor < EXACT else 1e-3 * floor
    hull = [(0.0, 0.0, None)]
    for c in front:
        point = (c.cost, math.log(max(c.loss, least)), c)
        while len(hull) > 1 and _slope(hull[-2], point) <= _slope(hull[-2], hull[-1]):
            hull.pop()
        if point[1] < hull[-1][1]:
            hull.append(point)
    bends = []
    for k in range(1, len(hull)):
        after = _slope(hull[k], hull[k + 1]) if k + 1 < len(hull) else 0.0
        bends.append((after - _slope(hull[k - 1], hull[k]), hull[k][2]))
    bends.sort(key=lambda item: -item[0])
    chosen = [c for _, c in bends[:most]]
    best = min(front, key=lambda c: c.loss)
    return chosen if best in chosen else [*chosen, best]


def _slope(a: tuple, b: tuple) -> float:
    return (b[1] - a[1]) / max(b[0] - a[0], 1e-9)


def _combinations(solved: Sequence[Sequence[Candidate]]) -> list[list[Candidate]]:
    """The likeliest of every piece, each of the others in its place, and all pairs of pieces at their second best."""
    first = [part[0] for part in solved]
    out = [first, [min(part, key=lambda c: c.loss) for part in solved]]
    for k, part in enumerate(solved):
        out += [[*first[:k], other, *first[k + 1 :]] for other in part[1:]]
    if math.prod(len(part) for part in solved) <= COMBINATIONS:
        out = [list(c) for c in itertools.product(*solved)]
    return out


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
