"""Candidates for the answer of one problem, and which of them are likely to be laws.

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

from symtorch.engines.native.fitting.clean import shorter
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.forms.normal import key, normalise, parity
from symtorch.engines.native.forms.places import places, put
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.equations.expr import Call, Expr, size
from symtorch.equations.selection import bends

EXACT = 1e-14
"""A teacher whose relative squared error is below this is a formula; what is left is rounding."""
WORST = 3e-3
"""A teacher whose relative squared error is above this shows no structure that could be trusted: either it is
as bad as that, or it obeys none of the identities that were tested, and nothing is known of its error."""
MOST_NOISE = 3e-2
"""Relative loss above which nothing is taken for a law."""
VISIBLE = 60.0
"""A network's error may exceed what tests of structure see of it by this factor: an error that keeps the
structure doesn't show."""
SLOW = 0.2
"""Fall of log(loss) per unit of complexity that fitting a teacher's error brings, at most."""
COMBINATIONS = 24


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

    def fitted(self, exprs: Sequence[Expr], words: Vocabulary, exact: bool) -> list[Candidate]:
        """The front of these expressions with their constants fitted; of a noisy teacher with what they are
        with fewer constants."""
        rows, variance = Rows.of(self.Z, self.y), float(np.var(self.y))

        def candidate(expr: Expr, steps: int) -> Candidate | None:
            found, loss = fit(expr, rows, steps=steps, enough=1e-26 * variance)
            if not np.isfinite(loss):
                return None
            found = normalise(found)
            tree = words.render(found)
            return Candidate(found, words.cost(tree) if tree is not None else 2.0 * size(found), loss / variance)

        made = [c for expr in exprs if (c := candidate(expr, 30)) is not None]
        if not exact:
            for c in likeliest(pareto(made), 2):
                made += pruned(c, lambda expr: candidate(expr, 12))
        return pareto(made)


def pruned(candidate: Candidate, refit: Callable[[Expr], Candidate | None]) -> Iterator[Candidate]:
    """The candidate without one constant or odd function, without two, ...: each time what is missed least."""
    limit = 20 * candidate.loss + 1e-20
    seen = {key(candidate.expr)}
    while True:
        tried = []
        for expr in (*shorter(candidate.expr), *linearised(candidate.expr)):
            shape = key(expr)
            if shape not in seen:
                seen.add(shape)
                found = refit(expr)
                if found is not None and found.loss <= limit:
                    tried.append(found)
        if not tried:
            return
        yield from tried
        candidate = min(tried, key=lambda c: c.loss)


def linearised(expr: Expr) -> Iterator[Expr]:
    """The form with one odd function left out: of a small enough argument, ``sin(u)`` is u."""
    for path, node in places(expr):
        if isinstance(node, Call) and node.op.arity == 1 and parity(node.op) == -1:
            yield normalise(put(expr, path, node.args[0]))


def pareto(found: Sequence[Candidate]) -> list[Candidate]:
    """By rising cost and falling loss; nothing beyond the first exact one."""
    kept: list[Candidate] = []
    for c in sorted(found, key=lambda c: (c.cost, c.loss)):
        if not kept or c.loss < 0.95 * kept[-1].loss:
            kept.append(c)
        if kept[-1].loss < 1e-18:
            break
    return kept


def convincing(front: Sequence[Candidate], floor: float, factor: float = VISIBLE) -> bool:
    """Whether the front ends in a law: nothing that costs more is better by more than its cost allows.

    Args:
        floor: relative squared error of the teacher, as far as it shows.
        factor: how far above the floor the law's loss may be.
    """
    if not front or floor > WORST:
        return False
    if floor < EXACT:  # what is close, but not as close as the teacher is exact, is no law
        return front[-1].loss < min(1e-13, max(1e3 * floor, 1e-20))
    law = likeliest(front)[0]
    best = min(front, key=lambda c: c.loss)
    gain = math.log(max(law.loss, 1e-300) / max(best.loss, 1e-300))
    return law.loss <= min(MOST_NOISE, factor * floor) and gain <= 0.7 + SLOW * (best.cost - law.cost)


def likeliest(front: Sequence[Candidate], most: int = 3) -> list[Candidate]:
    """The candidates at the sharpest bends of a front, the sharpest first, and the most accurate one."""
    if not front:
        return []
    # With nothing at all the loss is the constant's, 1, so the first equation can be a law too.
    corners = bends([0.0, *(c.cost for c in front)], [1.0, *(c.loss for c in front)])
    chosen = [front[position - 1] for _, position in corners[:most]]
    best = min(front, key=lambda c: c.loss)
    return chosen if best in chosen else [*chosen, best]


def combinations(solved: Sequence[Sequence[Candidate]]) -> list[list[Candidate]]:
    """Choices of one candidate per piece: all if there are few, else the likeliest with one changed at a time."""
    if math.prod(len(part) for part in solved) <= COMBINATIONS:
        return [list(choice) for choice in itertools.product(*solved)]
    first = [part[0] for part in solved]
    out = [first, [min(part, key=lambda c: c.loss) for part in solved]]
    for k, part in enumerate(solved):
        out += [[*first[:k], other, *first[k + 1 :]] for other in part[1:]]
    return out
