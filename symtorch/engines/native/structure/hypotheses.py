"""Which steps a function allows, given how far its answers can be trusted.

A trained network obeys no identity exactly. How far off it is can be read from the tests themselves:
every residual is in the same units, the squared error of the teacher that would explain what was seen,
so the identities that hold all show about the network's own error, and those that don't show more. The
smallest residual of a test that could have failed is the noise floor; what lies within a factor of it
is a hypothesis to be tried, in the order of the evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.structure.candidates import EXACT, WORST
from symtorch.engines.native.structure.pairs import find_divided_pairs, find_pairs, find_scalings, gradients
from symtorch.engines.native.structure.problem import Problem
from symtorch.engines.native.structure.rank_two import RankTwo, find_rank_twos
from symtorch.engines.native.structure.separations import Separation, Swaps, find_gaps, find_separations, links
from symtorch.engines.native.structure.steps import Drop, Merge, Part, Rescale, Split, Step

TEST_ROWS = 240
FACTOR = 30.0
"""What may lie above the floor and still be the floor: errors differ from place to place."""
MOST_INPUTS = 16
"""A function of more inputs than this, idle ones left out, isn't tested pair by pair."""
CONTRAST = 0.05
"""An identity must hold this much better than the effect that it could have missed."""
RANK_CONTRAST = 2e-3
"""The same for functions of rank two: many smooth functions come near to that."""

# How much evidence (decades of contrast) a kind is worth in advance: pieces apart are the easiest to
# solve and the easiest to read, pieces that share inputs the hardest.
_PREFERENCE = {
    "sum": 2.0,
    "product": 1.5,
    "merge": 1.5,
    "rescale": 0.5,
    "power": 0.0,
    "line": 0.0,
    "rank": -1.0,
    "divided": -1.25,
    "gap": -1.5,
}


@dataclass(frozen=True)
class Findings:
    """Steps that a problem allows, most credible first.

    Attributes:
        floor: relative squared error of the teacher, as far as the tests can tell; infinite if they can't.
    """

    steps: list[Step]
    floor: float


def find_steps(problem: Problem, hint: float, seed: int) -> Findings:
    """Test everything on a few rows.

    Args:
        hint: the floor that was found above this problem; infinite at the root.
    """
    rng = np.random.default_rng(seed)
    few = problem.rows(TEST_ROWS)
    swaps = Swaps.ask(few, rng, ())
    dropped = _idle(swaps.effect, hint)
    certain = dropped is not None and dropped.residual < EXACT
    if dropped is not None and (certain or _is_noise(dropped, few, swaps.effect, rng)):
        return Findings([dropped], min(hint, max(dropped.residual, 1e-32)))
    if problem.n_inputs == 1 or problem.n_inputs > MOST_INPUTS:
        return Findings([], hint)
    return _tested(few, hint, rng)


def _is_noise(dropped: Drop, few: Problem, effect: np.ndarray, rng: np.random.Generator) -> bool:
    """Whether what the idle inputs do is of the size that other tests show as the teacher's error.

    If it is far more, the inputs are weak, not idle. The inputs asked about are the strongest ones and
    the strongest of the idle.
    """
    order = np.argsort(effect)[::-1]
    idle = [int(i) for i in order if i in dropped.inputs][:1]
    strong = [int(i) for i in order if i not in dropped.inputs]
    chosen = sorted(strong[: 5 - len(idle)] + idle)

    def ask(Z: np.ndarray, replica: int) -> np.ndarray:
        full = few.Z[np.arange(len(Z)) % len(few.Z)].copy()
        full[:, chosen] = Z
        return few.ask(full, replica)

    floor = _tested(few.below(few.Z[:, chosen], ask), np.inf, rng).floor
    return not dropped.residual > FACTOR * floor


def _tested(few: Problem, hint: float, rng: np.random.Generator) -> Findings:
    swaps = Swaps.ask(few, rng)
    gradient = gradients(few)
    d = few.n_inputs
    merges: list[Step] = [Merge(pair, d) for pair in find_pairs(few, gradient, rng)]
    merges += [Merge(pair, d) for pair in find_divided_pairs(few, gradient, rng)]
    rescales: list[Step] = [Rescale(s, d) for s in find_scalings(few, gradient, rng)]
    judged = [swaps.judged(link, *pair) for link in links(swaps) for pair in swaps.two]
    # Many smooth functions come near to rank two, so unless it is exact it says nothing about the floor.
    ranks = list(find_rank_twos(few, WORST, RANK_CONTRAST, rng))
    judged += [(rank.residual, rank.contrast) for rank in ranks if rank.residual < EXACT]
    seen = [(step.residual, step.contrast) for step in (*merges, *rescales)] + judged
    floor = min([r for r, c in seen if c <= CONTRAST / 2], default=np.inf)
    floor = min(floor, hint * 3.0)
    tolerance = 1e-12 if floor < EXACT else min(FACTOR * floor, WORST)
    found: list[Step] = [s for s in (*merges, *rescales) if s.residual <= tolerance and s.contrast <= CONTRAST]
    separations = find_separations(swaps, tolerance, CONTRAST)
    found += [Split(s) for s in _plainest(separations)]
    if not any(len(s.groups) > 1 and s.link.power in (0, 1) for s in separations):
        found += [Part(gap, d) for gap in find_gaps(swaps, tolerance, CONTRAST)]
        # Where no other identity holds, nothing says how exact this one would have to be.
        found += [rank for rank in ranks if rank.residual <= (tolerance if floor <= WORST else 1e-12)]
    found.sort(key=lambda step: _rank(step, floor))
    return Findings(found, floor)


def _idle(effect: np.ndarray, hint: float) -> Drop | None:
    """The inputs that do nothing: below the widest gap in the effects, and small enough to be noise."""
    order = np.argsort(effect)
    size = np.maximum(effect[order], 1e-30)
    # Swapping an idle input compares two errors of the teacher, whose squares add.
    limit = 2 * WORST if not hint < np.inf else 2 * FACTOR * max(hint, 1e-16)
    gaps = [size[k + 1] / size[k] for k in range(len(size) - 1) if size[k] < limit]
    if not gaps:
        if len(size) == 1 and size[0] < limit * 1e-3:
            return Drop((0,), 1, float(size[0]) / 2)
        return None
    k = int(np.argmax(gaps))
    if gaps[k] < 5:
        return None
    return Drop(tuple(sorted(int(i) for i in order[: k + 1])), len(effect), float(size[k]) / 2)


def _plainest(separations: list[Separation]) -> list[Separation]:
    """Without those that another link explains as finely: x*y is no power of a sum of logarithms."""
    kept: list[Separation] = []
    for s in separations:
        better = [k for k in kept if k.groups == s.groups and k.residual <= 3 * s.residual + 1e-18]
        if not better:
            kept.append(s)
    return kept


def _rank(step: Step, floor: float) -> float:
    evidence = math.log10(max(step.contrast, 10 * floor if floor < np.inf else 0.0, 1e-9))
    match step:
        case Split(separation=s) if s.link.power == 1:
            kind = "sum"
        case Split(separation=s) if s.link.power == 0:
            kind = "product" if s.link.offset == 0 else "rescale"
        case Split():
            kind = "power"
        case Merge(pair=pair):
            kind = "merge" if pair.divisor is None else "rescale"
        case Rescale():
            kind = "rescale"
        case RankTwo():
            kind = "line" if step.known is not None else "divided" if step.divisor else "rank"
        case _:
            kind = "gap"
    return evidence - _PREFERENCE[kind]
