"""Solutions of one problem, and which of them are likely to be laws.

Where the teacher errs, accuracy alone always prefers a longer expression. What tells the law is the
shape of the front: log(loss) falls steeply by complexity until the law is complete; what comes later
fits the teacher's error, which has no short form, so it falls slowly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from symtorch.engines.native.fitting.archive import EXACT
from symtorch.engines.native.fitting.clean import Judge, shorter, snap
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.remainder import Quadratics
from symtorch.engines.native.structure.tuning import is_formula, tuning
from symtorch.equations.expr import Call, Constant, Expr, constants, evaluate, size, walk
from symtorch.equations.normal import is_power, key, multiplied_out, multiply, normalise, parity, terms
from symtorch.equations.places import places, put
from symtorch.equations.selection import bends, pareto


@dataclass(frozen=True)
class Solution:
    """A normal form that solves a problem.

    Attributes:
        cost: complexity in the user's operators.
        loss: 1 - R².
        error: what the steps that it came by say of the teacher's relative squared error, whatever the expression
            (:mod:`.disagreement`); 0 if nothing is known.
        rough: share of the loss that no quadratic explains (:mod:`.remainder`); 1 if nobody looked.
    """

    expr: Expr
    cost: float
    loss: float
    error: float = 0.0
    rough: float = 1.0


@dataclass(frozen=True, eq=False)
class Points:
    """Where a problem is fitted: points, answers, and the answers' relative squared error.

    Attributes:
        known: loss up to which the teacher's error is known to explain it, and nobody looks whether what is left is
            smooth; infinite for a piece, whose error is smoother than the teacher's.
    """

    Z: np.ndarray
    y: np.ndarray
    noise: float
    known: float = np.inf

    @cached_property
    def _quadratics(self) -> Quadratics:
        return Quadratics(self.Z)

    def fitted(self, exprs: Sequence[Expr], words: Vocabulary, exact: bool, error: float = 0.0) -> list[Solution]:
        """The front of these expressions with their constants fitted; of a noisy teacher with what they are
        with fewer constants."""
        made = [c for expr in exprs if (c := self._solution(expr, words, exact, error, 30)) is not None]
        if not exact:
            for c in likeliest(front_of(made), 2):
                made += pruned(c, lambda expr: self._solution(expr, words, exact, error, 12))
        return front_of(made)

    def plainer(self, law: Solution, words: Vocabulary) -> list[Expr]:
        """A law of a noisy teacher multiplied out, then with fewer and simpler constants that make little difference.

        ``a - (x - b)^2`` has no constant that can go, but is ``c*x - x^2`` with one that can.
        """
        out = multiplied_out(law.expr)
        if key(out) == key(law.expr):
            return []
        found = pruned(replace(law, expr=out), lambda expr: self._solution(expr, words, False, law.error, 12))
        near = [c for c in found if c.loss <= tuning().plainer * law.loss]
        judge = Judge(lambda expr: (expr, np.inf), self._loss, 1.0, round(1.0 / (tuning().plainer - 1.0)))
        least = sorted(near, key=lambda c: (len(constants(c.expr)), c.loss))[:2]
        return [c.expr for c in least] + [normalise(snap(c.expr, c.loss, judge)[0]) for c in least]

    def _loss(self, expr: Expr) -> float:
        return float(np.mean((evaluate(expr, self.Z) - self.y) ** 2)) / self._rows[1]

    def _sized(self, expr: Expr) -> Expr:
        """A product with the size with which it is a law: of factors that were asked for apart each has its own."""
        constant, found = terms(expr)
        if constant != 0.0 or len(found) != 1:
            return expr
        values = evaluate(expr, self.Z)
        size = float(values @ self.y) / max(float(values @ values), 1e-300)
        if not np.isfinite(size) or not np.mean((size * values - self.y) ** 2) < EXACT * self._rows[1]:
            return expr
        return multiply([Constant(size), expr])

    @cached_property
    def _rows(self) -> tuple[Rows, float]:
        return Rows.of(self.Z, self.y), float(np.var(self.y))

    def _solution(self, expr: Expr, words: Vocabulary, exact: bool, error: float, steps: int) -> Solution | None:
        rows, variance = self._rows
        found, loss = fit(self._sized(expr) if exact else expr, rows, steps=steps, enough=1e-26 * variance)
        if not np.isfinite(loss):
            return None
        found = normalise(found)
        tree = words.render(found)
        cost = words.cost(tree) if tree is not None else 2.0 * size(found)
        looked_at = not exact and loss / variance > self.known
        rough = self._quadratics.leave(evaluate(found, self.Z) - self.y) if looked_at else 1.0
        return Solution(found, cost, loss / variance, error, rough)


def pruned(found: Solution, refit: Callable[[Expr], Solution | None]) -> Iterator[Solution]:
    """The solution without one constant or odd function, without two, ...: each time what is missed least."""
    limit = tuning().pruned * found.loss + 1e-20
    seen = {key(found.expr)}
    while True:
        tried = []
        for expr in (*shorter(found.expr), *linearised(found.expr)):
            shape = key(expr)
            if shape not in seen:
                seen.add(shape)
                less = refit(expr)
                if less is not None and less.loss <= limit:
                    tried.append(less)
        if not tried:
            return
        yield from tried
        found = min(tried, key=lambda c: c.loss)


def linearised(expr: Expr) -> Iterator[Expr]:
    """The form with one odd function left out: of a small enough argument, ``sin(u)`` is u."""
    for path, node in places(expr):
        if isinstance(node, Call) and node.op.arity == 1 and parity(node.op) == -1:
            yield normalise(put(expr, path, node.args[0]))


def front_of(found: Sequence[Solution]) -> list[Solution]:
    """By rising cost and falling loss; nothing beyond the first exact one."""
    chosen = pareto([c.cost for c in found], [c.loss for c in found], tuning().better, 1e-18)
    return [found[position] for position in chosen]


def convincing(front: Sequence[Solution], floor: float, limit: float | None = None) -> bool:
    """Whether the front ends in a law: nothing that costs more is better by more than its cost allows.

    Args:
        floor: relative squared error of the teacher, as far as tests show it.
        limit: the largest loss of the law; by default what the teacher's error explains, as far as it is known.
    """
    numbers = tuning()
    if not front or floor > numbers.worst:
        return False
    if is_formula(floor):  # what is close, but not as close as the teacher is exact, is no law
        law = front[-1]
        return law.loss < min(EXACT, max(1e3 * floor, 1e-20)) or is_no_approximation(law)
    law = likeliest(front)[0]
    limit = explained(law.error, floor) if limit is None else limit
    best = min(front, key=lambda c: c.loss)
    gain = math.log(max(law.loss, 1e-300) / max(best.loss, 1e-300))
    slow = numbers.slow_start + numbers.slow * (best.cost - law.cost)
    return law.loss <= min(numbers.most_noise, limit) and gain <= slow and law.rough >= numbers.rough


def is_no_approximation(law: Solution) -> bool:
    """Whether a form is so exact for its few numbers that nothing is approximated but a guard: ``sqrt(r^2 + 1e-12)``.

    A good approximation of a smooth function wins about a digit, two decades of the loss, by each of its numbers.
    """
    return law.loss < min(EXACT, 10.0 ** (-tuning().decades * n_fitted(law.expr)))


def n_fitted(expr: Expr) -> int:
    """How many numbers of a normal form are fitted: signs and exponents are not."""
    exponents = [node.args[1].value for node in walk(expr) if is_power(node)]  # type: ignore[attr-defined]
    return sum(abs(c) != 1.0 for c in constants(expr)) - sum(abs(e) != 1.0 for e in exponents)


def explained(error: float, floor: float, late: bool = False) -> float:
    """The largest loss of a law that the teacher's error explains.

    Both witnesses must say so: what the steps see may be their own mistake where one of them is wrong, and
    what the tests see is a share of the error that differs from law to law.

    Args:
        error: of the teacher, as the steps see it that led to the law; 0 if there were none. They see most of it.
        floor: the same as the tests see it: a share that falls with the number of inputs.
        late: whether the flat search on the samples has been tried, and nothing better was found.
    """
    numbers = tuning()
    by_tests = (numbers.visible_late if late else numbers.visible) * floor
    if not error > 0:
        return by_tests
    return max(min((numbers.seen_late if late else numbers.seen) * error, by_tests), floor)


def known_loss(witnessed: float) -> float:
    """The loss of a law that is explained by the error that steps of the whole testify; 0 where none does."""
    return tuning().seen * tuning().testified * witnessed if witnessed < np.inf else 0.0


def likeliest(front: Sequence[Solution], most: int = 3) -> list[Solution]:
    """The solutions at the sharpest bends of a front, the sharpest first, and the most accurate one."""
    if not front:
        return []
    # With nothing at all the loss is the constant's, 1, so the first equation can be a law too.
    corners = bends([0.0, *(c.cost for c in front)], [1.0, *(c.loss for c in front)])
    chosen = [front[position - 1] for _, position in corners[:most]]
    best = min(front, key=lambda c: c.loss)
    return chosen if best in chosen else [*chosen, best]


def combinations(solved: Sequence[Sequence[Solution]], most: int) -> list[list[Solution]]:
    """Choices of one solution per piece: all if there are few, else the likeliest with one changed at a time."""
    if math.prod(len(part) for part in solved) <= most:
        return [list(choice) for choice in itertools.product(*solved)]
    first = [part[0] for part in solved]
    out = [first, [min(part, key=lambda c: c.loss) for part in solved]]
    for k, part in enumerate(solved):
        out += [[*first[:k], other, *first[k + 1 :]] for other in part[1:]]
    return out
