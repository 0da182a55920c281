"""What a sweep says of all thresholds must be what fitting each one by itself says."""

import numpy as np
import pytest

from symtorch.engines.native.flat.sweeps import best_kink, best_split, explained, hinges, orthonormal, separating

RNG = np.random.default_rng(0)
X = RNG.uniform(-2.0, 2.0, (120, 2))
ROOT = np.sqrt(RNG.uniform(0.5, 1.5, 120))


def left_over(columns: list[np.ndarray], y: np.ndarray) -> float:
    A = np.column_stack(columns)
    return float(np.sum((A @ np.linalg.lstsq(A, y, rcond=None)[0] - y) ** 2))


def gaps(u: np.ndarray) -> list[tuple[float, float]]:
    ordered = np.sort(u)
    return list(zip(ordered[2:-3].tolist(), ordered[3:-2].tolist(), strict=True))


@pytest.mark.parametrize("sides", [["one"], ["one", "x1"]])
def test_the_best_split_is_the_best_of_all_fits(sides: list[str]) -> None:
    u = X[:, 0]
    y = ROOT * (np.sin(3 * u) + (u > 0.4) * X[:, 1])
    columns = {"one": ROOT, "x1": ROOT * X[:, 1]}
    B, common = [columns[name] for name in sides], [ROOT * X[:, 1], ROOT * u]
    found = best_split(u, y, np.column_stack(B), np.column_stack(common))
    assert found is not None
    losses = {gap: left_over([*B, *common, *(b * (u > gap[0]) for b in B)], y) for gap in gaps(u)}
    assert losses[found.low, found.high] == pytest.approx(min(losses.values()), rel=1e-9)
    assert left_over([*B, *common], y) - found.gain == pytest.approx(min(losses.values()), rel=1e-6)


def test_the_best_kink_is_the_best_of_all_fits() -> None:
    u = X[:, 0]
    common = [ROOT, ROOT * u]
    y = ROOT * (np.abs(u - 0.3) + 0.2 * X[:, 1] ** 2)
    Q = orthonormal(np.column_stack(common))
    found = best_kink(u, ROOT, y - Q @ (Q.T @ y), Q)
    assert found is not None
    losses = {low: left_over([*common, ROOT * np.maximum(u - low, 0.0)], y) for low, _ in gaps(u)}
    assert losses[found.low] == pytest.approx(min(losses.values()), rel=1e-9)
    assert left_over(common, y) - found.gain == pytest.approx(min(losses.values()), rel=1e-6)


def test_nothing_is_split_that_does_not_vary() -> None:
    constant = np.ones(120)
    assert best_split(constant, X[:, 1], np.ones((120, 1)), np.empty((120, 0))) is None
    assert best_kink(constant, ROOT, X[:, 1], np.empty((120, 0))) is None


def test_the_planes_of_two_kinks_are_found_together() -> None:
    A = np.column_stack([RNG.uniform(-2.0, 2.0, (500, 2)), np.ones(500)])
    w = np.array([1.5, -1.0, 0.2]), np.array([0.8, 1.0, -0.3])
    y = np.maximum(A @ w[0], 0.0) - 0.7 * np.maximum(A @ w[1], 0.0) + A[:, 0]
    found = hinges(A, np.ones(500), y, A, [np.array([1.0, -1.0, 0.0]), np.array([1.0, 1.0, 0.0])])
    assert found is not None
    planes, left = found
    assert left < 1e-24
    for plane, true in zip(planes, w, strict=True):
        np.testing.assert_allclose(plane / plane[0], true / true[0], atol=1e-9)


def test_a_plane_separates_what_a_plane_can_separate() -> None:
    A = np.column_stack([RNG.normal(size=(400, 3)), np.ones(400)])
    labels = A @ np.array([1.0, -0.5, 0.2, 0.3]) > 0.0
    np.testing.assert_array_equal(A @ separating(A, labels) > 0.0, labels)


def test_columns_that_are_not_needed_get_no_coefficient() -> None:
    A = RNG.normal(size=(100, 5))
    coefficients, left = explained(A, 2.0 * A[:, 1] - A[:, 4])
    np.testing.assert_allclose(coefficients, [0.0, 2.0, 0.0, 0.0, -1.0], atol=1e-12)
    assert left < 1e-24
