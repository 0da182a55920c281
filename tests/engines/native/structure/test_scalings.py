"""Scaling laws."""

from __future__ import annotations

import numpy as np
from structures import box, evidence_of

from symtorch.engines.native.structure.scalings import find_rescalings


def test_scaling_laws_are_found_with_their_exponents() -> None:
    found = find_rescalings(evidence_of(lambda X: X[:, 0] ** 2 * np.sin(X[:, 1] / X[:, 0]), box(2)))
    good = [(s.i, s.j, s.s, s.k) for s in found if s.residual < 1e-18]
    assert (0, 1, 1, 2.0) in good
