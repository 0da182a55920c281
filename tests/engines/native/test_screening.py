"""Outputs and the inputs that matter to them."""

from __future__ import annotations

import numpy as np
import pytest

from symtorch.engines.native.screening import group
from symtorch.engines.samples import Samples


def test_outputs_of_other_inputs_are_grouped_apart() -> None:
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (500, 40))
    Y = np.column_stack([X[:, 0] * X[:, 1], X[:, 0] + X[:, 2], np.exp(X[:, 30]) * X[:, 31]])
    groups = group(Samples(X, Y), range(3), 3, 0)
    assert [g.outputs for g in groups] == [(0, 1), (2,)]
    assert [g.columns for g in groups] == [(0, 1, 2), (30, 31)]


@pytest.mark.parametrize("asked", [True, False])
def test_when_time_is_up_outputs_not_yet_looked_at_are_in_no_group(asked: bool) -> None:
    X = np.random.default_rng(0).normal(size=(200, 14))

    def teacher(X: np.ndarray) -> np.ndarray:
        return X[:, :6]

    samples = Samples(X, teacher(X), teacher=teacher if asked else None)
    looks = iter(range(100))
    groups = group(samples, range(6), None, 0, lambda: next(looks) >= 4)
    assert sorted(k for g in groups for k in g.outputs) == ([] if asked else [0, 1, 2, 3])
