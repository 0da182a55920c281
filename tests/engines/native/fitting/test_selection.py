"""Forward selection."""

from __future__ import annotations

import numpy as np
import pytest

from symtorch.engines.native.fitting.selection import forward_selection


@pytest.fixture
def columns() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(60, 8))


def test_each_column_is_the_one_that_lowers_the_residual_most(columns: np.ndarray) -> None:
    target = np.random.default_rng(1).normal(size=60)

    def left(chosen: list[int]) -> float:
        return float(np.linalg.lstsq(columns[:, chosen], target, rcond=None)[1][0])

    selected = list(forward_selection(columns, target, 5))
    assert [len(chosen) for chosen in selected] == [1, 2, 3, 4, 5]
    for before, after in zip([[], *selected], selected, strict=False):
        assert after[:-1] == before
        others = [[*before, j] for j in range(8) if j not in before]
        assert left(after) == pytest.approx(min(left(other) for other in others), rel=1e-9)


def test_a_column_that_the_chosen_ones_say_already_is_never_taken(columns: np.ndarray) -> None:
    twice = np.column_stack([columns, columns[:, 0] + columns[:, 1], np.zeros(60)])
    target = columns @ np.arange(8.0) + np.random.default_rng(2).normal(size=60)
    *_, last = forward_selection(twice, target, 10)
    assert len(last) == 8
    assert 9 not in last


@pytest.mark.parametrize("limit", ["least_of_left", "least_of_all"])
def test_it_ends_with_what_explains_too_little(columns: np.ndarray, limit: str) -> None:
    target = 10.0 * columns[:, 3] + columns[:, 5]
    assert list(forward_selection(columns, target, 8, least_of_all=1e-9)) == [[3], [3, 5]]
    found = list(forward_selection(columns, target, 8, **{limit: 0.05}))
    assert found[0] == [3]
    assert (len(found) == 1) == (limit == "least_of_all")  # of what is left then, the small one is all
