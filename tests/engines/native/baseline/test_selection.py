"""Forward selection through the Gram matrix."""

from __future__ import annotations

import numpy as np
import pytest

from symtorch.engines.native.baseline.design import Scaled
from symtorch.engines.native.baseline.selection import Paths, forward_selection


def _paths(X: np.ndarray, Y: np.ndarray, most: int) -> Paths:
    F, T = Scaled.of(X, None).values, Scaled.of(Y, None).values
    return forward_selection(F.T @ F / len(F), T.T @ F / len(F), most)


def _best_next(F: np.ndarray, y: np.ndarray, chosen: list[int]) -> int:
    """By least squares on every possible set, as slowly as it is plain."""

    def left(columns: list[int]) -> float:
        return float(np.sum((y - F[:, columns] @ np.linalg.lstsq(F[:, columns], y, rcond=None)[0]) ** 2))

    rest = [j for j in range(F.shape[1]) if j not in chosen]
    return min(rest, key=lambda j: left([*chosen, j]))


def test_every_step_takes_the_column_that_lowers_the_error_most() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 6)) @ rng.normal(size=(6, 6))
    Y = X @ rng.normal(size=(6, 3)) + rng.normal(size=(80, 3))
    paths = _paths(X, Y, 4)
    F, T = Scaled.of(X, None).values, Scaled.of(Y, None).values
    for k in range(3):
        chosen: list[int] = []
        for step in range(4):
            chosen.append(_best_next(F, T[:, k], chosen))
            left = T[:, k] - F[:, chosen] @ np.linalg.lstsq(F[:, chosen], T[:, k], rcond=None)[0]
            assert paths.order[k, step] == chosen[-1]
            assert paths.left[k, step + 1] == pytest.approx(np.mean(left**2), rel=1e-9)


def test_many_outputs_are_done_as_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from symtorch.engines.native.baseline import selection

    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(50, 5)), rng.normal(size=(50, 7))
    together = _paths(X, Y, 5)
    monkeypatch.setattr(selection, "_AT_ONCE", 1)
    alone = _paths(X, Y, 5)
    np.testing.assert_array_equal(together.order, alone.order)
    np.testing.assert_allclose(together.left, alone.left, rtol=1e-12)


def test_copies_and_constants_never_join() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 2))
    X = np.column_stack([x, x[:, 0], np.full(60, 3.0), x.sum(axis=1)])
    order = _paths(X, (x @ [1.0, 2.0])[:, None] + rng.normal(size=(60, 1)), 5).order[0]
    assert (order >= 0).sum() == 2
    assert 3 not in order


def test_a_dear_column_must_be_worth_more() -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(200, 20))
    Y = X[:, :3] @ [[3.0], [2.0], [1.0]] + rng.normal(size=(200, 1))
    paths = _paths(X, Y, 20)
    assert paths.lengths(200, np.log(200) + 2 * np.log(20))[0] == 3
    assert paths.lengths(200, 2.0)[0] >= 3
