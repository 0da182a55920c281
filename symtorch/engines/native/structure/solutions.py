"""Solutions of one problem, and which of them are likely to be laws.

Where the teacher errs, accuracy alone always prefers a longer expression. What tells the law is the
shape of the front: log(loss) falls steeply by complexity until the law is complete; what comes later
fits the teacher's error, which has no short form, so it falls slowly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.fitting.archive import EXACT
from symtorch.engines.native.fitting.clean import shorter
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.forms.normal import is_power, key, normalise, parity
from symtorch.engines.native.forms.places import places, put
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.tuning import is_formula, tuning
from symtorch.equations.expr import Call, Expr, constants, size, walk
from symtorch.equations.selection import bends, pareto


@dataclass(frozen=True)
class Solution:
    """A normal form that solves a problem.

    Attributes:
        cost: complexity in the user's operators.
        loss: 1 - R².
        error: what the steps that it came by say of the teacher's relative squared error, whatever the expression
            (:mod:`.disagreement`); 0 if nothing is known.
    """

    expr: Expr
    cost: float
    loss: float
    error: float = 0.0


@dataclass(frozen=True, eq=False)
class Points:
    """Where a problem is fitted: points, answers, and the answers' relative squared error."""

    Z: np.ndarray
    y: np.ndarray
    noise: float

    def fitted(self, exprs: Sequence[Expr], words: Vocabulary, exact: bool, error: float = 0.0) -> list[Solution]:
        """The front of these expressions with their constants fitted; of a noisy teacher with what they are
        with fewer constants."""
        rows, variance = Rows.of(self.Z, self.y), float(np.var(self.y))

        def solution(expr: Expr, steps: int) -> Solution | None:
            found, loss = fit(expr, rows, steps=steps, enough=1e-26 * variance)
            if not np.isfinite(loss):
                return None
            found = normalise(found)
            tree = words.render(found)
            cost = words.cost(tree) if tree is not None else 2.0 * size(found)
            return Solution(found, cost, loss / variance, error)

        made = [c for expr in exprs if (c := solution(expr, 30)) is not None]
        if not exact:
            for c in likeliest(front_of(made), 2):
                made += pruned(c, lambda expr: solution(expr, 12))
        return front_of(made)


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
    return law.loss <= min(numbers.most_noise, limit) and gain <= slow


def is_no_approximation(law: Solution) -> bool:
    """Whether a form is so exact for its few numbers that nothing is approximated but a guard: ``sqrt(r^2 + 1e-12)``.

    A good approximation of a smooth function wins about a digit, two decades of the loss, by each of its numbers.
    Signs and exponents are not counted: those of a form are not fitted.
    """
    exponents = [node.args[1].value for node in walk(law.expr) if is_power(node)]  # type: ignore[attr-defined]
    n_numbers = sum(abs(c) != 1.0 for c in constants(law.expr)) - sum(abs(e) != 1.0 for e in exponents)
    return law.loss < min(EXACT, 10.0 ** (-tuning().decades * n_numbers))


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


def likeliest(front: Sequence[Solution], most: int = 3) -> list[Solution]:
    """The solutions at the sharpest bends of a front, the sharpest first, and the most accurate one."""
    if not front:
        return []
    # With nothing at all the loss is the constant's, 1, so the first equation can be a law too.
    corners = bends([0.0, *(c.cost for c in front)], [1.0, *(c.loss for c in front)])
    chosen = [front[position - 1] for _, position in corners[:most]]
    best = min(front, key=lambda c: c.loss)
    return chosen if best in chosen else [*chosen, best]


def combinations(solved: Sequence[Sequence[Solution]]) -> list[list[Solution]]:
    """Choices of one solution per piece: all if there are few, else the likeliest with one changed at a time."""
    if math.prod(len(part) for part in solved) <= tuning().combinations:
        return [list(choice) for choice in itertools.product(*solved)]
    first = [part[0] for part in solved]
    out = [first, [min(part, key=lambda c: c.loss) for part in solved]]
    for k, part in enumerate(solved):
        out += [[*first[:k], other, *first[k + 1 :]] for other in part[1:]]
    return out
