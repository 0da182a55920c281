"""The flat search as a whole."""

from __future__ import annotations

import numpy as np
from forms import WIDE, points

from symtorch.engines.native import Budget, Vocabulary, search_flat


def test_flat_search_alone() -> None:
    X = points(300)
    Y = np.column_stack([X[:, 0] * X[:, 1], np.sin(X[:, 2]) + X[:, 0]])
    archives = search_flat(X, Y, Vocabulary(WIDE), Budget(rounds=1), seed=0)
    assert [a.is_exact for a in archives] == [True, True]
