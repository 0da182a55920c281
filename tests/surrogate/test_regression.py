"""Linear maps from moments are those that the rows themselves say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression

from symtorch.capture.moments import Halves, Moments
from symtorch.surrogate.regression import Partialled, Regression, principal

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4000, 12)) @ RNG.normal(size=(12, 12)) + 5
TRUTH = RNG.normal(size=(12, 3)) @ RNG.normal(size=(3, 9))
Y = X @ TRUTH + 0.5 * RNG.normal(size=(4000, 9)) - 2


def regression(x: np.ndarray, y: np.ndarray) -> Regression:
    return Regression(Halves(Moments.of(x[::2], y[::2]), Moments.of(x[1::2], y[1::2])))


@pytest.mark.parametrize("rank", [1, 2, 3, 9])
def test_no_map_of_the_rank_fits_better(rank: Any) -> None:
    best = regression(X, Y).reduced_rank
    x, y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    full = np.linalg.lstsq(x, y, rcond=None)[0]
    directions = np.linalg.svd(x @ full, full_matrices=False)[2][:rank]
    expected = x @ full @ directions.T @ directions + Y.mean(axis=0)
    np.testing.assert_allclose(best.predict(X, rank), expected, atol=1e-3 * Y.std())
    residual = Y - best.predict(X, rank)
    np.testing.assert_allclose(best.residual(regression(X, Y).moments, rank), np.cov(residual.T, bias=True), atol=1e-3)


def test_coordinates_have_unit_variance() -> None:
    for_x = regression(X, Y)
    for reduce in (for_x.reduced_rank.reduce, for_x.principal_inputs(5), for_x.partial_least_squares(5)):
        np.testing.assert_allclose((X @ reduce).std(axis=0), 1.0, rtol=1e-6)
        np.testing.assert_allclose(for_x.back(reduce) @ reduce, np.eye(reduce.shape[1]), atol=1e-8)


@pytest.mark.parametrize("n", [1, 3, 6])
def test_partial_least_squares_spans_what_scikit_learns_does(n: Any) -> None:
    # SIMPLS and NIPALS agree exactly on one output, and on the first component of several.
    y = Y[:, :1]
    theirs = PLSRegression(n, scale=False, tol=1e-12, max_iter=10_000).fit(X, y).predict(X)
    z = (X - X.mean(axis=0)) @ regression(X, y).partial_least_squares(n)
    ours = z @ np.linalg.lstsq(z, y - y.mean(axis=0), rcond=None)[0] + y.mean(axis=0)
    np.testing.assert_allclose(ours.ravel(), theirs.ravel(), atol=1e-6 * y.std())
    np.testing.assert_allclose(np.corrcoef(z.T) if n > 1 else 1.0, np.eye(n) if n > 1 else 1.0, atol=1e-6)


def test_partial_least_squares_of_several_outputs_takes_the_largest_covariance_first() -> None:
    x, y = X - X.mean(axis=0), Y - Y.mean(axis=0)
    weights = regression(X, Y).partial_least_squares(4)
    leading = np.linalg.svd(x.T @ y)[0][:, 0]
    assert abs(weights[:, 0] @ leading) / np.linalg.norm(weights[:, 0]) == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(np.corrcoef((x @ weights).T), np.eye(4), atol=1e-6)


def test_principal_inputs_are_those_of_the_singular_value_decomposition() -> None:
    directions = regression(X, Y).principal_inputs(3)
    expected = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[2][:3].T
    cosines = np.einsum("ij,ij->j", directions, expected) / np.linalg.norm(directions, axis=0)
    np.testing.assert_allclose(np.abs(cosines), 1.0, atol=1e-8)


def test_principal_directions_are_as_long_as_what_lies_along_them() -> None:
    lift = principal(np.diag([4.0, 9.0, 1e-12]), 3, negligible=1e-9)
    np.testing.assert_allclose(np.abs(lift), [[0, 3, 0], [2, 0, 0]])


def test_it_shrinks_where_there_are_hardly_more_rows_than_inputs() -> None:
    rng = np.random.default_rng(1)
    x, new = rng.normal(size=(60, 40)), rng.normal(size=(2000, 40))
    w = rng.normal(size=(40, 5)) / 6
    y, truth = x @ w + rng.normal(size=(60, 5)), new @ w
    fit = regression(x, y)
    assert fit.shrinkage > 1e-2
    plain = np.linalg.lstsq(x - x.mean(axis=0), y - y.mean(axis=0), rcond=None)[0]
    error = ((fit.reduced_rank.predict(new) - truth) ** 2).mean()
    assert error < 0.7 * (((new - x.mean(axis=0)) @ plain + y.mean(axis=0) - truth) ** 2).mean()


def test_it_does_not_where_there_are_many() -> None:
    assert regression(X, Y).shrinkage < 1e-3


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_of_an_input_do_not_matter(scale: Any) -> None:
    units = np.where(np.arange(12) % 3, 1.0, scale)
    ours = regression(X * units, Y).reduced_rank.predict(X * units)
    np.testing.assert_allclose(ours, regression(X, Y).reduced_rank.predict(X), atol=1e-3 * Y.std())


def test_inputs_that_do_not_vary_or_come_twice_do_no_harm() -> None:
    x = np.column_stack([X, X[:, 0], np.full(len(X), 7.0)])
    best = regression(x, Y).reduced_rank
    np.testing.assert_allclose(best.predict(x), regression(X, Y).reduced_rank.predict(X), atol=1e-2 * Y.std())
    assert np.isfinite(best.reduce).all()


def test_outputs_that_do_not_vary_have_no_linear_part() -> None:
    best = regression(X, np.ones((4000, 2))).reduced_rank
    assert best.rank == 0
    np.testing.assert_allclose(best.predict(X[:3]), 1.0)


def test_columns_beside_the_inputs_are_fitted_jointly() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(2000, 5)) + 1
    h = np.tanh(x @ rng.normal(size=(5, 2))) * (x @ rng.normal(size=(5, 2)))
    y = x @ rng.normal(size=(5, 4)) + h @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(2000, 4)) + 3
    columns = np.concatenate([x, h], axis=1)
    halves = Halves(Moments.of(columns[::2], y[::2]), Moments.of(columns[1::2], y[1::2]))
    found = Partialled(halves, 5)
    best = found.reduced_rank
    answer = best.predict(x) + (h - found.mean_terms) @ found.weights(best.rank)
    design = np.column_stack([np.ones(len(x)), columns])
    expected = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(answer, expected, atol=2e-3)
    np.testing.assert_allclose(((x - best.mean_x) @ best.reduce).std(axis=0), 1, rtol=1e-6)
    # Of a lower rank no weights of the columns do better.
    low = best.predict(x, 2) + (h - found.mean_terms) @ found.weights(2)
    left = y - low
    np.testing.assert_allclose((h - h.mean(axis=0)).T @ left / len(x), 0, atol=1e-3)
    assert np.trace(best.residual(found.moments, 2)) == pytest.approx((left**2).mean(axis=0).sum(), rel=1e-6)
    plain = Regression(halves.of_inputs(5)).reduced_rank
    np.testing.assert_array_equal(found.plain.reduced_rank.reduce, plain.reduce)
