"""Laws found by asking the teacher: take the function apart, solve the pieces, put them together.

Every step of a decomposition is a hypothesis (:mod:`.hypotheses`). At every function on the way the
few most credible ones are followed in turn until one ends in a convincing expression of the function's
own answers (:mod:`.solutions`), so a wrong step costs time and no more. Pieces that show no
structure are matched with laws of one input (:mod:`.one_input`) and go to the flat search.

AI Feynman, arXiv 1905.11481 and 2006.10782. New here: the noise floor that decides what counts as
equal, averages over replicas, and hypotheses that can be taken back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.flat.search import Budget, FlatSearch, Phase
from symtorch.engines.native.forms.simplify import shortest
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.disagreement import disagreement, obeyed
from symtorch.engines.native.structure.finders import finders_for
from symtorch.engines.native.structure.hypotheses import find_steps
from symtorch.engines.native.structure.one_input import one_input_forms
from symtorch.engines.native.structure.problem import Count, Problem, root
from symtorch.engines.native.structure.products import products_of_one
from symtorch.engines.native.structure.quotients import quotients_of_one
from symtorch.engines.native.structure.solutions import (
    Points,
    Solution,
    combinations,
    convincing,
    front_of,
    is_no_approximation,
    known_loss,
    likeliest,
)
from symtorch.engines.native.structure.steps import Finder, Step
from symtorch.engines.native.structure.told import Followed, structure_of
from symtorch.engines.native.structure.tuning import is_formula, tuning
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Constant, Expr, Variable
from symtorch.equations.normal import add, normalise
from symtorch.equations.structure import Structure
from symtorch.errors import AskLimitError

logger = logging.getLogger("symtorch.engines.native.structure")

Enough = Callable[[Sequence[Solution], bool], bool]
"""(front, late) -> whether it ends in a law; late in a search less is asked of one."""
FlatSolver = Callable[[np.ndarray, np.ndarray, float, Enough], Sequence[Expr]]
"""(Z, y, goal, enough) -> normal forms over Z's columns, fitted. It stops once 1 - R² is below the goal, or
once ``enough`` says so of the front."""


@dataclass(frozen=True)
class Laws:
    """What asking one output of a teacher has brought.

    Attributes:
        exprs: normal forms over the samples' columns, the likeliest ones last: the law is at the end.
        solved: whether one of them is a law: exact, or as good as the teacher is for its size.
        loss: 1 - R² of that law on the points that it was fitted to.
        floor: relative squared error of the teacher, as far as the tests of its structure see it.
        error: the same, as far as the steps see it that led to the law; 0 if there were none.
        witnessed: the same, as far as any step sees it that the whole allows; infinite if none testifies.
        rows_asked: rows that the teacher was asked for.
        beyond: a law that can't be written with the options, as a tree; see :mod:`.beyond`.
        structure: how that law was found; None if not by taking the function apart.
    """

    exprs: list[Expr]
    solved: bool
    loss: float
    floor: float
    rows_asked: int
    error: float = 0.0
    witnessed: float = np.inf
    beyond: Expr | None = None
    structure: Structure | None = None


def find_laws(
    X: np.ndarray,
    teacher: Callable[[np.ndarray], np.ndarray],
    options: SearchOptions,
    seed: int = 0,
    stopped: Callable[[], bool] = lambda: False,
    flat: FlatSolver | None = None,
    finders: Sequence[Finder] | None = None,
    most_rows: int | None = None,
    names: Sequence[str] | None = None,
) -> Laws:
    """Laws of one output of a teacher, by decomposition.

    Args:
        X: (n_samples, n_inputs), which says where questions may be asked.
        teacher: (n, n_inputs) -> (n,), float64.
        options: the search space.
        stopped: asked between pieces; True ends the search with what there is.
        flat: solves the pieces; by default :func:`piece_solver`.
        finders: the identities that are tested for; by default all that can be written.
        most_rows: rows that the teacher may be asked for; once they are spent, what there is is the answer.
        names: of the inputs, to tell how the law was found; None not to tell.
    """
    words = Vocabulary(options)
    search = _Decomposition(
        flat or piece_solver(options, seed, stopped), words, seed, stopped, finders or finders_for(words)
    )
    search.count.limit = most_rows
    # Questions at the edge of a law's domain have infinite answers, and tests of those come to nothing.
    with np.errstate(all="ignore"):
        whole = root(X, teacher, search.count, seed)
        front = search.solve(whole)
    floor, solved = search.floor, convincing(front, search.floor)
    # Of an exact teacher nothing but the exact one can be the law.
    laws = [front[-1]] if solved and is_formula(floor) else likeliest(front)
    likely = [law.expr for law in laws[: tuning().shortened]]
    exprs = [c.expr for c in front if c.expr not in likely]
    if laws and not solved and not is_formula(floor) and search.points is not None:
        likely += search.points.plainer(laws[0], words)
    exprs += [shortest(expr, words, X[: tuning().piece_rows]) for expr in reversed(likely)]
    loss, error = (laws[0].loss, _error(laws[0], front)) if laws else (np.inf, 0.0)
    logger.debug("floor %.1e, error %.1e, loss %.1e, solved: %s", floor, error, loss, solved)
    structure = None
    if solved and laws and names is not None:
        structure = structure_of(whole, laws[0].expr, search.followed, words, names)
    return Laws(exprs, solved, loss, floor, search.count.rows, error, search.witnessed, structure=structure)


def _error(law: Solution, front: Sequence[Solution]) -> float:
    """What the steps say of the teacher's error: those that led to the law, else those that say least."""
    return law.error or min((c.error for c in front if c.error > 0), default=0.0)


def piece_solver(options: SearchOptions, seed: int, stopped: Callable[[], bool] = lambda: False) -> FlatSolver:
    """The flat search as a solver of pieces: one round, and no rules that only the whole law must keep."""
    costs = options.complexity_of_variables
    words = Vocabulary(
        replace(
            options,
            complexity_of_variables=float(np.mean(costs)) if isinstance(costs, tuple) else costs,
            constraints={},
            nested_constraints={},
            maxdepth=None,
            parsimony=0.0,
        )
    )

    def solve(Z: np.ndarray, y: np.ndarray, goal: float, enough: Enough) -> list[Expr]:
        def is_law(output: int, archive: Archive, phase: Phase) -> bool:
            if stopped():
                return True
            front = [Solution(c.expr, c.complexity, c.loss) for c in archive.pareto()]
            return phase >= Phase.FITTED and enough(front, phase > Phase.FITTED)

        budget = Budget(rounds=1, goal=goal * float(np.var(y)))
        search = FlatSearch(Z, y[:, None], words, budget, seed=seed)
        archive = search.run(is_law)[0]
        if search.stop_reason == "interrupted":
            raise KeyboardInterrupt
        return [candidate.expr for candidate in archive.pareto()]

    return solve


@dataclass
class _Decomposition:
    """One teacher's decomposition: what is fixed, and what is used up on the way.

    Attributes:
        behind: relative squared error of a teacher that obeys some identities whatever it has learned, as a network
            of a difference does: what is seen where these are used up. 0 as long as nothing is known of that.
        told: what functions behind exact identities say of that error, by tests of their own.
    """

    flat: FlatSolver
    words: Vocabulary
    seed: int
    stopped: Callable[[], bool]
    finders: Sequence[Finder]
    floor: float = np.inf
    behind: float = 0.0
    told: list[float] = field(default_factory=list)
    witnessed: float = np.inf
    pieces_left: int = field(default_factory=lambda: tuning().pieces)
    count: Count = field(default_factory=Count)
    points: Points | None = None
    followed: dict[Problem, list[Followed]] = field(default_factory=dict)

    def solve(self, problem: Problem, hint: float = np.inf) -> list[Solution]:
        """Expressions for a problem, a front of them by cost and loss; empty if there are none."""
        found: list[Solution] = []
        with suppress(AskLimitError):  # no more questions: what has been found is kept, at every level
            self._solve(problem, hint, found)
            if problem.depth == 0 and self.told and not convincing(found, self.floor):
                self.behind = max(self.told)
                self.pieces_left = max(self.pieces_left, tuning().further)
                self._solve(problem, hint, found)
        return found

    def _solve(self, problem: Problem, hint: float, found: list[Solution]) -> None:
        """Put what solves the problem into ``found``, which is a front whenever a question may fail."""
        if self.stopped():
            return
        level = max(1e-28 * float(np.nanmean(problem.y**2)), problem.blur**2, 1e-290)
        if problem.n_inputs == 0 or problem.scale <= level:  # what is left of a piece without inputs is its error
            found[:] = [Solution(Constant(float(np.nanmean(problem.y))), 1.0, 0.0)]
            return
        findings = find_steps(problem, hint, self.seed, self.finders)
        floor = findings.floor
        hint = floor
        if floor < tuning().rounding:
            if self.behind > 0.0:
                floor, hint = self.behind, np.inf
            elif problem.depth > 0 and not findings.steps and findings.own >= tuning().rounding:
                # Now that it is no formula, inputs may be idle, and what two idle ones do to each other tells nothing.
                own = find_steps(problem, np.inf, self.seed, self.finders).own
                self.told += [own] if own <= tuning().worst else []
        self.floor = floor if problem.depth == 0 else self.floor
        logger.debug("%sd=%d floor %.1e %s", "  " * problem.depth, problem.n_inputs, floor, findings.steps[:4])
        points = self._points(problem, floor)
        if points is None:
            return
        widths = tuning().widths
        # Where no test tells the error, the steps are coincidences as a rule: the best one is enough.
        width = widths[min(problem.depth, len(widths) - 1)] if floor <= tuning().worst or problem.depth else 1
        steps = [step for step in _diverse(findings.steps) if self._can_write(step, problem)]
        if problem.depth == 0 and not is_formula(floor):
            self.witnessed = self._witnessed(steps, problem)
            if floor <= tuning().worst:
                # Tests of what nearly holds see its own fault. An identity that holds better knows the teacher better.
                floor = self.floor = min(floor, self.witnessed)
            points = self.points = replace(points, known=known_loss(self.witnessed))
        for step in steps[:width]:
            found[:] = front_of(found + self._follow(step, problem, floor, hint, points))
            if self.pieces_left <= 0 or (convincing(found, floor) and self._can_be_written(found)):
                return
            if not is_formula(floor) and convincing(found, floor, np.inf):
                # A law, if the teacher is worse than it seemed.
                self.pieces_left = min(self.pieces_left, tuning().further)
        # At the root the flat search on the samples follows anyway; it needn't be done twice.
        plausible = not is_formula(floor) and convincing(found, floor, np.inf)
        if problem.depth > 0 or (problem.n_inputs <= tuning().most_flat_inputs and not plausible):
            found[:] = front_of(found + self._undivided(points, floor))

    def _follow(self, step: Step, problem: Problem, floor: float, hint: float, points: Points) -> list[Solution]:
        solved, parts = [], step.parts(problem)
        if is_formula(floor):  # all rows would be asked for, and no more than these are used
            parts = [part.rows(tuning().piece_rows) for part in parts]
        if problem.depth == 0 and np.isfinite(hint):
            hint = min(hint, self.witnessed)
        for part in parts:
            if np.isfinite(part.y).mean() < tuning().answered:
                return []
            answers = self.solve(part, hint)
            if not answers:
                return []
            solved.append(answers)
        likely = combinations([likeliest(answers) for answers in solved], tuning().combinations)

        def joined(choices: Sequence[Sequence[Solution]]) -> list[Expr]:
            return [normalise(step.join([part.expr for part in chosen])) for chosen in choices]

        if is_formula(floor):
            return self._noted(problem, step, parts, likely[0], points.fitted(joined(likely), self.words, True))
        errors = [chosen.error for chosen in likely[0]]
        error = disagreement(step, problem, parts).with_parts(errors)
        if problem.depth == 0:
            error = min(error, tuning().testified * self.witnessed)
        found = points.fitted(joined(likely), self.words, False, error)
        if problem.depth == 0 and not convincing(found, floor):
            # What a piece errs may be little in the whole, so its law need not be at a bend of its own front.
            others = [c for c in combinations(solved, tuning().all_combinations) if c not in likely]
            found = front_of(found + points.fitted(joined(others), self.words, False, error))
        return self._noted(problem, step, parts, likely[0], found)

    def _noted(
        self,
        problem: Problem,
        step: Step,
        parts: Sequence[Problem],
        likeliest: Sequence[Solution],
        joined: list[Solution],
    ) -> list[Solution]:
        """What has come of a step, which is kept in mind."""
        chosen = [part.expr for part in likeliest]
        self.followed.setdefault(problem, []).append(Followed(step, parts, chosen, joined))
        return joined

    def _witnessed(self, steps: Sequence[Step], problem: Problem) -> float:
        """The least that a step of the whole sees of the teacher's error: what a wrong one sees is its own."""
        testify = [step for step in steps if step.testifies and not (self.behind > 0.0 and obeyed(step))]
        testify = testify[: tuning().witnesses]
        seen = [disagreement(step, problem, step.parts(problem)).error for step in testify]
        return min((error for error in seen if error > 0), default=np.inf)

    def _undivided(self, points: Points, floor: float) -> list[Solution]:
        exact, numbers = is_formula(floor), tuning()
        goal = (
            numbers.exact_goal if exact else max(numbers.goal_noise * points.noise, numbers.goal_floor * floor, 1e-10)
        )
        found: list[Solution] = []
        if points.Z.shape[1] == 1:
            found = points.fitted(one_input_forms(points.Z[:, 0], points.y, self.words), self.words, exact)
            for forms in (quotients_of_one, products_of_one) if exact or floor > numbers.worst else ():
                if not (found and (found[-1].loss <= numbers.exact_goal or (exact and is_no_approximation(found[-1])))):
                    more = forms(points.Z[:, 0], points.y, self.words)
                    found = front_of(found + points.fitted(more, self.words, exact))
            if found and (found[-1].loss <= goal or (exact and is_no_approximation(found[-1]))):
                return found
        if self.pieces_left <= 0:
            return found
        self.pieces_left -= 1
        level = max(points.noise, numbers.level_floor * floor)

        def enough(front: Sequence[Solution], late: bool) -> bool:
            return convincing(front, level, np.inf if late and not exact else numbers.visible_piece * level)

        exprs = self.flat(points.Z, points.y, max(goal, 1e-13), enough)
        found = front_of(found + points.fitted(exprs, self.words, exact))
        n_inputs = points.Z.shape[1]
        if n_inputs > 1 and not convincing(found, floor):
            # As dear as the flat search of the whole, and other plans mostly end at the same piece.
            self.pieces_left -= numbers.price_per_input * n_inputs
        return found

    def _points(self, problem: Problem, floor: float) -> Points | None:
        replicas = 1 if is_formula(floor) else tuning().replicas
        points = Points(*problem.rows(tuning().piece_rows).averaged(replicas))
        return points if len(points.y) >= tuning().fewest and np.var(points.y) > 0 else None

    def _can_be_written(self, found: Sequence[Solution]) -> bool:
        """Whether a law is short enough for the whole; a longer one may have a shorter form by another step."""
        return any(law.cost <= self.words.options.maxsize for law in likeliest(found))

    def _can_write(self, step: Step, problem: Problem) -> bool:
        """Whether the user's operators can put solutions of the parts together."""
        stand_ins = [add([Variable(i) for i in range(part.n_inputs)]) for part in step.parts(problem)]
        return self.words.render(normalise(step.join(stand_ins))) is not None


def _diverse(steps: Sequence[Step]) -> list[Step]:
    """Of the steps with one mark only the first, the most credible."""
    chosen: dict[object, Step] = {}
    for step in steps:
        chosen.setdefault(step.mark, step)
    return list(chosen.values())
