"""Where a function jumps or bends, to the last digit; and no borders where it is smooth."""

from collections.abc import Callable

import numpy as np
import pytest

from symtorch.engines.native.structure.borders import Border, find_borders
from symtorch.engines.native.structure.problem import Count, root

Law = Callable[[np.ndarray], np.ndarray]


def borders(law: Law, seed: int = 0, d: int = 3) -> list[Border]:
    X = np.random.default_rng(seed).uniform(-2.0, 2.0, (400, d))
    return find_borders(root(X, law, Count(), seed), np.random.default_rng(seed))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("threshold", [0.3, -1.0, 0.123456789012345])
def test_the_threshold_of_a_step_is_exact(threshold: float, seed: int) -> None:
    (border,) = borders(lambda X: 1.0 * (X[:, 0] > threshold), seed)
    assert border.kind == "jump"
    assert border.normal == (1.0, 0.0, 0.0)
    assert border.offset == threshold
    assert border.size == 1.0
    assert border.steady


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_teacher_in_low_precision_has_a_short_threshold(dtype: type) -> None:
    (border,) = borders(lambda X: np.where(X[:, 1].astype(dtype) > dtype(0.3), 2.0, -1.0))
    assert border.offset == 0.3
    assert border.size == 3.0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planes_of_kinks_in_any_direction(seed: int) -> None:
    def law(X: np.ndarray) -> np.ndarray:
        units = np.maximum(1.5 * X[:, 0] - X[:, 1] + 0.2, 0.0) - 0.7 * np.maximum(X[:, 0] + 0.8 * X[:, 2] - 0.3, 0.0)
        return units + np.sin(X[:, 1])

    # On a line that meets both the stronger one is seen; the other one shows once that is taken off.
    known = {(1.0, -0.666667, 0.0): (-0.2 / 1.5, 1.5), (1.0, 0.0, 0.8): (0.3, -0.7)}
    found = borders(law, seed)
    assert found
    for border in found:
        offset, size = known[tuple(np.round(border.normal, 6))]
        assert border.kind == "kink"
        assert border.steady
        assert border.offset == pytest.approx(offset, abs=1e-8)
        assert border.size == pytest.approx(size, rel=1e-6)


def test_a_jump_of_changing_height_is_not_steady() -> None:
    (border,) = borders(lambda X: np.where(X[:, 0] > 0.3, X[:, 1], 0.0))
    assert (border.kind, border.offset, border.steady) == ("jump", 0.3, False)


@pytest.mark.parametrize(
    "law",
    [
        lambda X: np.exp(-(X[:, 0] ** 2)) * np.sin(3 * X[:, 1]),
        lambda X: 1.0 / (X[:, 0] ** 2 + 0.001) + X[:, 1],
        lambda X: np.tanh(50.0 * X[:, 0]) + X[:, 1],
        lambda X: np.logaddexp(0.0, 40.0 * X[:, 0] - X[:, 1]),
        lambda X: np.full(len(X), 3.0),
        lambda X: np.where(X[:, 0] > 5.0, 1.0, X[:, 1]),
    ],
)
def test_smooth_functions_have_no_borders(law: Law) -> None:
    assert borders(law) == []


def test_curved_borders_are_no_planes() -> None:
    assert borders(lambda X: np.maximum(X[:, 0] * X[:, 1], X[:, 2])) == []
