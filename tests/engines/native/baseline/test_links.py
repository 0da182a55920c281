"""Functions around lines, fitted for many outputs at once."""

from __future__ import annotations

import numpy as np
import pytest

from symtorch.engines.native.baseline import links
from symtorch.engines.native.baseline.links import Fits, Link, Targets

TANH = Link(np.tanh, lambda g, h: 1.0 - g * g, np.arctanh)
SINE = Link(np.sin, lambda g, h: np.cos(h))


def never() -> bool:
    return False


def _targets(k: int = 3, n: int = 300, p: int = 4, root: np.ndarray | None = None) -> tuple[Targets, np.ndarray]:
    rng = np.random.default_rng(0)
    theta = np.column_stack([0.7 * rng.normal(size=(k, p)), 0.3 * rng.normal(size=k), np.ones(k), np.zeros(k)])
    columns = rng.normal(size=(p, n))
    return Targets(columns, np.tanh(theta[:, :-3] @ columns + theta[:, -3:-2]), root), theta


def test_what_can_be_undone_starts_at_the_law() -> None:
    data, theta = _targets()
    start = links.start_through(TANH, data, np.ones(3), np.zeros(3))
    np.testing.assert_allclose(start.theta, theta, rtol=1e-8, atol=1e-8)
    assert (start.loss < 1e-16).all()


def test_rows_where_the_function_is_flat_do_no_harm() -> None:
    data, theta = _targets()
    theta[:, :-3] *= 40.0  # half of the answers are 1 or -1 but for rounding
    data = Targets(data.columns, np.tanh(theta[:, :-3] @ data.columns + theta[:, -3:-2]))
    assert (np.abs(data.Y) == 1.0).mean() > 0.5
    start = links.start_through(TANH, data, np.ones(3), np.zeros(3))
    assert (links.fit(TANH, start, data, 60, never, held=True).loss < 1e-20).all()


def test_normal_equations_are_those_of_finite_differences() -> None:
    root = np.random.default_rng(1).uniform(0.5, 1.5, 300)
    data, theta = _targets(root=root)
    theta = theta + 0.1
    A, g = links._normal_equations(TANH, theta, data, held=False)

    def residuals(k: int, changed: np.ndarray) -> np.ndarray:
        value = changed[-2] * np.tanh(changed[:-3] @ data.columns + changed[-3]) + changed[-1]
        return root * (data.Y[k] - value)

    for k in range(3):
        steps = 1e-6 * np.eye(theta.shape[1])
        J = np.stack([(residuals(k, theta[k] - s) - residuals(k, theta[k] + s)) / 2e-6 for s in steps])
        np.testing.assert_allclose(A[k], J @ J.T, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(g[k], J @ residuals(k, theta[k]), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("held", [True, False])
def test_the_fit_ends_at_the_law_and_holds_what_is_held(held: bool) -> None:
    data, theta = _targets()
    begun = theta + 0.2 * np.random.default_rng(2).normal(size=theta.shape)
    if held:
        begun[:, -2:] = theta[:, -2:]
    fits = links.fit(TANH, Fits(begun, links.loss(TANH, begun, data)), data, 40, never, held)
    assert (fits.loss < 1e-20).all()
    if held:
        np.testing.assert_array_equal(fits.theta[:, -2:], theta[:, -2:])


def test_outputs_with_columns_of_their_own_are_fitted_as_those_that_share_them() -> None:
    data, theta = _targets()
    own = Targets(np.tile(data.columns, (3, 1, 1)), data.Y)
    begun = Fits(theta + 0.1, links.loss(TANH, theta + 0.1, data))
    shared = links.fit(TANH, begun, data, 10, never)
    np.testing.assert_allclose(links.fit(TANH, begun, own, 10, never).theta, shared.theta, rtol=1e-6, atol=1e-12)


def test_a_fit_that_cannot_begin_is_left_out() -> None:
    data, theta = _targets()
    begun = Fits(theta + 0.1, np.array([np.inf, 1.0, 1.0]))
    fits = links.fit(TANH, begun, data, 20, never)
    assert np.isinf(fits.loss[0])
    np.testing.assert_array_equal(fits.theta[0], begun.theta[0])
    assert (fits.loss[1:] < 1e-16).all()


def test_no_step_is_ever_uphill() -> None:
    data, _ = _targets()
    data = Targets(data.columns, np.random.default_rng(4).normal(size=data.Y.shape))
    begun = links.start(SINE, data, [np.eye(3, 4), links.curvature_directions(data)])
    assert (links.fit(SINE, begun, data, 15, never).loss <= begun.loss).all()


def test_an_even_function_is_found_along_the_greatest_curvature() -> None:
    rng = np.random.default_rng(5)
    columns = rng.normal(size=(4, 800))
    w = np.array([1.0, -2.0, 0.5, 0.0])
    direction = links.curvature_directions(Targets(columns, ((w @ columns) ** 2)[None]))[0]
    cosine = direction @ w / np.linalg.norm(direction) / np.linalg.norm(w)
    assert abs(cosine) > 0.98
