"""Inputs that never meet."""

from __future__ import annotations

from functools import partial

import numpy as np
from structures import box, evidence_of

from symtorch.engines.native.structure.hypotheses import holds
from symtorch.engines.native.structure.never_meet import find_never_meeting
from symtorch.engines.native.structure.separations import judge_pairs, separations


def test_inputs_that_never_meet_are_found_with_all_others_fixed() -> None:
    evidence, exactly = (
        evidence_of(lambda X: np.sin(X[:, 0] * X[:, 1]) + X[:, 1] ** X[:, 2], box(3)),
        partial(holds, bound=1e-12),
    )
    found = [step for step in find_never_meeting(evidence) if exactly(step)]
    assert [(step.i, step.j) for step in found if step.link.power == 1] == [(0, 2)]
    assert separations(evidence, list(judge_pairs(evidence)), exactly) == []
