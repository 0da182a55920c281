"""What is around a point: SLIME's neighbours, new points and weights, by its formulas."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from linear_engine import LinearEngine

from symtorch import InputError, SymbolicModel
from symtorch.local.neighbourhood import Neighbourhood, distances

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)) * [1, 10, 0.1]


def around(**params: Any) -> Neighbourhood:
    return Neighbourhood.from_params({"x": [0.0, 1.0, 0.0], **params})


def test_neighbours_variance_and_weights_are_the_published_ones() -> None:
    place = around(J_nn=7)
    near = place.near(X)
    by_hand = sorted(range(60), key=lambda i: float(np.sum((X[i] - place.x) ** 2)))[:7]
    assert near.tolist() == by_hand
    var = place.variance(X[near])
    np.testing.assert_allclose(var, X[near].var(axis=0, ddof=1) / 2)
    new = place.draw(20_000, var, np.random.default_rng(0))
    np.testing.assert_allclose(new.mean(axis=0), place.x, atol=4 * np.sqrt(var.max() / 20_000))
    np.testing.assert_allclose(new.var(axis=0), var, rtol=0.05)
    weights = place.weights(new, var)
    assert weights[0] == pytest.approx(np.exp(-sum((new[0, j] - place.x[j]) ** 2 / var[j] for j in range(3))))


def test_a_column_that_does_not_vary_and_a_variance_given() -> None:
    flat = X.copy()
    flat[:, 1] = 1
    place = around()
    assert place.variance(flat[place.near(flat)])[1] == 1e-8
    assert around(var=0.5).variance(X).tolist() == [0.5] * 3
    assert around(var=[1, 2, 3]).variance(X).tolist() == [1, 2, 3]
    assert around(x=torch.zeros(1, 3)).x.shape == (3,)


@pytest.mark.parametrize("metric", ["euclidean", "l2", "manhattan", "cityblock", "chebyshev", "cosine", "canberra"])
def test_metrics_are_scikit_learns(metric: str) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    _, expected = neighbors.NearestNeighbors(n_neighbors=5, metric=metric).fit(X).kneighbors([[0.1, 1, 0]])
    assert around(x=[0.1, 1, 0], nn_metric=metric, J_nn=5).near(X).tolist() == expected[0].tolist()


def test_a_metric_may_be_a_function() -> None:
    place = around(nn_metric=lambda a, b: abs(a[1] - b[1]), J_nn=3)
    assert place.near(X).tolist() == np.argsort(np.abs(X[:, 1] - 1))[:3].tolist()
    with pytest.raises(InputError, match="'far' is not known"):
        distances(X[0], X, "far")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"num_synthetic": 0}, "num_synthetic is 0"),
        ({"J_nn": 0}, "J_nn is 0"),
        ({"J_nn": 2.5}, "J_nn is 2.5"),
        ({"real_weighting": 0}, "real_weighting"),
        ({"var": -1}, "var is -1"),
        ({"x": [0, np.nan]}, "x must hold finite"),
        ({"j_nn": 3}, "'j_nn'.* not known"),
    ],
)
def test_parameters_that_can_not_be_used(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        around(**params)


def test_what_only_the_data_shows() -> None:
    with pytest.raises(ValueError, match="J_nn is 60 with 60 rows"):
        around(J_nn=60).near(X)
    with pytest.raises(InputError, match=r"x has shape \(2,\); the block has 3 inputs"):
        around(x=[0, 1]).near(X)
    with pytest.raises(InputError, match="J_nn is 1"):
        around(J_nn=1).variance(X[:1])


# ---- within distill


def local(X: np.ndarray) -> np.ndarray:
    return X[:, 0] ** 2 + X[:, 1] / 10


def test_slime_searches_around_the_point_and_keeps_its_findings_apart(engine: LinearEngine) -> None:
    block = SymbolicModel(local, "local")
    block.distill(X, engine=engine)
    x = np.array([1.0, 5.0, 0.0])
    slime_params = {"x": x, "var": [1e-4, 1, 1e-4], "real_weighting": 1e-6}
    front = block.distill(X, output_dim=0, SLIME=True, slime_params=slime_params, engine=engine)
    samples = engine.searches[-1]
    assert samples.n_samples == 110
    assert (samples.weights[:10] == 1e-6).all()
    np.testing.assert_allclose(samples.Y[:, 0], local(samples.X))
    # Around x0 = 1 the square has slope 2.
    slope = np.diff(front.best.predict(np.array([[1.0, 5, 0], [1.01, 5, 0]])))[0] / 0.01
    assert slope == pytest.approx(2, abs=0.2)
    assert block.slime_fronts == {0: front}
    assert block.fronts[0] is not front
    point = x[None]
    block.switch_to_symbolic()
    everywhere = block(point)
    block.switch_to_symbolic(SLIME=True)
    assert abs(block(point)[0] - local(point)[0]) < abs(everywhere[0] - local(point)[0])
    assert block.get_symbolic_function(SLIME=True)(point)[0] == pytest.approx(block(point)[0])


def test_slime_with_a_parent_and_transforms(engine: LinearEngine) -> None:
    torch.manual_seed(0)
    inner = SymbolicModel(torch.nn.Linear(2, 1), "inner")
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), inner)
    fronts = inner.distill(
        torch.randn(50, 3),
        parent_model=model,
        SLIME=True,
        slime_params={"x": np.zeros(2)},
        variable_transforms=[lambda x: x[:, 0] + x[:, 1], "x0 - x1"],
        engine=engine,
    )
    assert fronts[0].best.loss < 1e-10
    assert fronts[0].best.r2 == pytest.approx(1)


def test_slime_twice_weighs_the_second_time_too(engine: LinearEngine) -> None:
    block = SymbolicModel(torch.nn.Linear(3, 1))
    data = torch.randn(50, 3)
    for _ in range(2):
        block.distill(data, SLIME=True, slime_params={"x": [0.0, 0, 0]}, engine=engine)
    assert engine.searches[1].weights is not None
    np.testing.assert_array_equal(engine.searches[0].weights, engine.searches[1].weights)


def test_slime_without_a_point_is_a_search_on_all_of_the_data(
    engine: LinearEngine, caplog: pytest.LogCaptureFixture
) -> None:
    block = SymbolicModel(torch.nn.Linear(3, 1))
    with caplog.at_level(logging.WARNING, logger="symtorch"):
        block.distill(torch.randn(50, 3), SLIME=True, slime_params={"real_weighting": 2.0}, engine=engine)
    assert "no effect" in caplog.text
    assert list(block.slime_fronts) == [0]
    assert engine.searches[0].weights is None


def test_slime_says_what_it_can_not_do(engine: LinearEngine) -> None:
    class Mixing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - x.mean(0)

    data = torch.randn(50, 3)
    with pytest.raises(InputError, match="can't be asked at new points"):
        SymbolicModel(Mixing()).distill(data, SLIME=True, slime_params={"x": [0.0, 0, 0]}, engine=engine)
    block = SymbolicModel(torch.nn.Linear(3, 1))
    with pytest.raises(InputError, match="SLIME weighs the rows"):
        block.distill(
            data, SLIME=True, slime_params={"x": [0.0, 0, 0]}, fit_params={"weights": np.ones(50)}, engine=engine
        )
    with pytest.raises(RuntimeError, match="SLIME=True"):
        block.switch_to_symbolic(SLIME=True)
