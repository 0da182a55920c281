"""Which steps a function allows, given how far its answers can be trusted.

A trained network obeys no identity exactly. How far off it is can be read from the tests themselves:
every residual is in the same units, the squared error of the teacher that would explain what was seen,
so the identities that hold all show about the network's own error, and those that don't show more. The
smallest residual of a test that could have failed is the noise floor; what lies within a factor of it
is a hypothesis to be tried, in the order of the evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from symtorch.engines.native.structure.evidence import Evidence, Swaps
from symtorch.engines.native.structure.finders import FINDERS
from symtorch.engines.native.structure.idle import Drop, find_idle
from symtorch.engines.native.structure.problem import Problem
from symtorch.engines.native.structure.steps import Finder, Step, Tested
from symtorch.engines.native.structure.tuning import is_formula, tuning


@dataclass(frozen=True)
class Findings:
    """Steps that a problem allows, most credible first.

    Attributes:
        floor: relative squared error of the teacher, as far as the tests can tell; infinite if they can't.
        own: the same by tests of this function alone, without what was seen above it.
    """

    steps: list[Step]
    floor: float
    own: float


def find_steps(problem: Problem, hint: float, seed: int, finders: Sequence[Finder] = FINDERS) -> Findings:
    """Test everything on a few rows.

    Args:
        hint: the floor that was found above this problem; infinite at the root.
        finders: what to test for.
    """
    rng = np.random.default_rng(seed)
    few = problem.rows(tuning().test_rows)
    effect = Swaps.ask(few, rng.permutation(len(few.Z)), ()).effect
    dropped = find_idle(effect, hint)
    certain = dropped is not None and is_formula(dropped.residual)
    if dropped is not None and (certain or _is_noise(dropped, few, effect, rng, finders)):
        own = max(dropped.residual, 1e-32)
        return Findings([dropped], min(hint, own), own)
    if problem.n_inputs == 1:
        finders = [finder for finder in finders if finder.alone]
    if not finders or problem.n_inputs > tuning().most_tested_inputs:
        return Findings([], hint, np.inf)
    return _tested(Evidence(few, rng), hint, finders)


def _is_noise(
    dropped: Drop, few: Problem, effect: np.ndarray, rng: np.random.Generator, finders: Sequence[Finder]
) -> bool:
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

    floor = _tested(Evidence(few.below(few.Z[:, chosen], ask), rng), np.inf, finders).floor
    return not dropped.residual > tuning().spread * floor


def _tested(evidence: Evidence, hint: float, finders: Sequence[Finder]) -> Findings:
    """The floor that all tests together show, and the steps that hold at that floor."""
    numbers = tuning()
    tested = [(finder, list(finder.test(evidence))) for finder in finders if not (finder.outright or finder.last)]
    own, floor, found = _holding(evidence, tested, hint)
    if not _is_settled(floor, found):  # else nobody would follow their steps
        tested += [(finder, list(finder.test(evidence))) for finder in finders if finder.last]
        own, floor, found = _holding(evidence, tested, hint)
    if not _is_settled(floor, found):
        whole = [step for finder in finders if finder.outright for step in finder.test(evidence)]
        if whole:  # the teacher is exact, and what else seemed to hold at a higher floor doesn't
            own = min([own, *(step.residual for step in whole)])
            floor = min(floor, own)
            found = [*whole, *(step for step in found if step.residual <= numbers.rounding)]
    found.sort(key=lambda step: _credibility(step, floor), reverse=True)
    return Findings(found, floor, own)


def _holding(
    evidence: Evidence, tested: Sequence[tuple[Finder, list[Any]]], hint: float
) -> tuple[float, float, list[Step]]:
    """The floor that these tests show, alone and with what was seen above, and the steps that hold at that floor."""
    numbers = tuning()
    own = noise_floor(tested)
    floor = min(own, numbers.inherited * hint)
    exact = is_formula(floor)
    bound = numbers.rounding if exact else min(numbers.spread * floor, numbers.worst)
    found: list[Step] = []
    for finder, identities in tested:
        plain = min((step.residual for step in found if step.plain), default=np.inf)
        if finder.last and plain < np.inf:
            identities = [] if exact else [test for test in identities if test.residual < numbers.finer * plain]
        # Where no other identity holds, a common one has to hold far better than any of them: else it is a coincidence.
        limit = numbers.finer * numbers.worst if finder.common and floor > numbers.worst else bound
        found += finder.steps(evidence, identities, partial(holds, bound=limit))
    return own, floor, found


def _is_settled(floor: float, found: Sequence[Step]) -> bool:
    """Whether a step is both exact and plain: no other kind reads as well."""
    return is_formula(floor) and any(step.plain for step in found)


def noise_floor(tested: Sequence[tuple[Finder, Sequence[Any]]]) -> float:
    """The smallest residual of a test that could have failed; infinite if there is none."""
    numbers = tuning()
    telling = [
        test.residual
        for finder, identities in tested
        for test in identities
        if test.contrast <= numbers.telling * numbers.contrast and (not finder.common or is_formula(test.residual))
    ]
    return min(telling, default=np.inf)


def holds(test: Tested, bound: float) -> bool:
    """Whether an identity is violated no more than the teacher's error explains, and clearly less than without it."""
    return test.residual <= bound and test.contrast <= tuning().contrast


def _credibility(step: Step, floor: float) -> float:
    """Decades of evidence that tests have brought (none below the floor), and what the kind is worth in advance."""
    numbers = tuning()
    least = numbers.floor_evidence * floor if floor < np.inf else 0.0
    return step.prior - math.log10(max(step.contrast, least, numbers.least_evidence))
