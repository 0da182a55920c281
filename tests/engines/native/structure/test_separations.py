"""Inputs that act apart."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from structures import Teacher, box, evidence_of

from symtorch.engines.native.structure.hypotheses import holds
from symtorch.engines.native.structure.separations import judge_pairs, separations


@pytest.mark.parametrize(
    ("f", "power", "offset"),
    [
        (lambda X: np.sin(X[:, 0] * X[:, 1]) + X[:, 2] ** 2, 1.0, 0.0),
        (lambda X: np.sin(X[:, 0] * X[:, 1]) * X[:, 2] ** 2, 0.0, 0.0),
        (lambda X: 3.7 + np.sin(X[:, 0] * X[:, 1]) * X[:, 2] ** 2, 0.0, 3.7),
        (lambda X: 1 / (X[:, 0] ** X[:, 1] + np.exp(X[:, 2])), -1.0, 0.0),
        (lambda X: np.sqrt(X[:, 0] ** X[:, 1] + np.exp(X[:, 2])), 2.0, 0.0),
        (lambda X: (X[:, 0] ** X[:, 1] + np.exp(X[:, 2])) ** -0.5, -2.0, 0.0),
    ],
)
def test_groups_that_act_apart_are_found_under_their_link(f: Teacher, power: float, offset: float) -> None:
    evidence = evidence_of(f, box(3))
    found = separations(evidence, list(judge_pairs(evidence)), partial(holds, bound=1e-12))
    best = min(found, key=lambda s: s.residual)
    assert best.groups == ((0, 1), (2,))
    assert best.link.power == power
    assert best.link.offset == pytest.approx(offset, abs=1e-9)
