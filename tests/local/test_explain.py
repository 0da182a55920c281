"""Local explanations: what they are told about the model, and that it is so."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from linear_engine import LinearEngine
from torch import nn

import symtorch
from symtorch import InputError
from symtorch.equations import parse
from symtorch.equations.expr import evaluate
from symtorch.local.explain import Explanation, explain
from symtorch.local.frame import Frame, identifiers
from symtorch.local.polynomials import MAX_PAIRED, polynomial, sparse_polynomials
from symtorch.local.search import path_attributions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3)) * [1, 10, 0.1] + [0, 50, 0]


def law(rows: np.ndarray) -> np.ndarray:
    return rows[:, 0] ** 2 + rows[:, 0] * rows[:, 1] / 10 + 3


@pytest.fixture
def explanation(engine: LinearEngine) -> Explanation:
    return explain(law, X, [1.0, 60.0, 0.0], engine=engine)


# ---- what comes back


def test_the_equation_and_its_figures(explanation: Explanation) -> None:
    assert explanation.equation.variable_names == ("d_x0", "d_x1", "d_x2")
    assert explanation.r2 == pytest.approx(1)
    assert explanation.r2_held_out == pytest.approx(1)
    assert explanation.prediction == pytest.approx(explanation.model_prediction) == pytest.approx(10)
    rows = X[:20]
    np.testing.assert_allclose(explanation.predict(rows), law(rows), rtol=1e-6)
    assert all(eq.r2 is not None for eq in explanation.front)
    assert "R²: 1.0000 on the sample" in str(explanation)


def test_the_equation_in_the_inputs_themselves_is_the_same(explanation: Explanation) -> None:
    tree = parse(explanation.text, ["x0", "x1", "x2"])
    np.testing.assert_allclose(evaluate(tree, X), explanation.predict(X), rtol=1e-3)


def test_attributions_add_up(explanation: Explanation) -> None:
    assert set(explanation.attributions) == {"x0", "x1", "x2"}
    total = explanation.base_value + sum(explanation.attributions.values())
    assert total == pytest.approx(explanation.prediction, abs=1e-9)
    assert explanation.attribution_error < 1e-9
    assert explanation.attributions["x2"] == pytest.approx(0, abs=1e-6)


def test_attributions_of_a_product_by_hand() -> None:
    # f = x*y from (0, 0) to (2, 3): each gets half of 6.
    shares = path_attributions(parse("x*y", ["x", "y"]), np.zeros(2), np.array([2.0, 3.0]))
    np.testing.assert_allclose(shares, [3, 3])
    shares = path_attributions(parse("exp(x) + 2*y", ["x", "y"]), np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    np.testing.assert_allclose(shares, [math.e - 1, 2])
    np.testing.assert_array_equal(path_attributions(parse("3", ["x"]), np.zeros(1), np.ones(1)), [0])


def test_a_base_point_of_the_users(engine: LinearEngine) -> None:
    explanation = explain(law, X, [1.0, 60.0, 0.0], base=[0.0, 60.0, 0.0], engine=engine)
    assert explanation.base_value == pytest.approx(3)
    assert explanation.attributions["x0"] == pytest.approx(7)
    assert explanation.attributions["x1"] == pytest.approx(0, abs=1e-9)


def test_the_seed_decides(engine: LinearEngine) -> None:
    first, again, other = (explain(law, X, X[0], engine=engine, seed=s, n_synthetic=50) for s in (0, 0, 1))
    assert str(first) == str(again)
    assert first.r2_held_out == again.r2_held_out
    assert str(first) != str(other)


def test_a_real_search_finds_a_step() -> None:
    def step(rows: np.ndarray) -> np.ndarray:
        return np.tanh(4 * (rows[:, 0] - rows[:, 1]))

    data = RNG.normal(size=(300, 2))
    explanation = explain(step, data, [0.1, 0.0], var=0.25, sr_params={"niterations": 20})
    assert explanation.r2_held_out > 0.99
    assert explanation.front.engine == "native"


def test_without_an_engine_polynomials_do() -> None:
    explanation = explain(law, X, [1.0, 60.0, 0.0], engine=None)
    assert explanation.r2_held_out == pytest.approx(1)
    assert explanation.front.engine == "polynomials"


# ---- models


def test_class_probabilities_explain_the_most_likely_class(engine: LinearEngine) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    target = (X[:, 0] > 0).astype(int) + (X[:, 1] > 55)
    model = linear_model.LogisticRegression(max_iter=10_000).fit(X, target).predict_proba
    x = X[3]
    explanation = explain(model, X, x, engine=engine)
    assert explanation.output == int(model(x[None])[0].argmax())
    assert explanation.model_prediction == pytest.approx(model(x[None])[0].max())
    odds = explain(model, X, x, output=1, logit=True, engine=engine)
    p = model(x[None])[0, 1]
    assert odds.model_prediction == pytest.approx(np.log(p / (1 - p)))


def test_a_module_is_left_as_it_was(engine: LinearEngine) -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(), nn.Tanh(), nn.Linear(8, 1)).train()
    torch.manual_seed(1)
    explanation = explain(net, torch.from_numpy(X).float(), X[0], engine=engine)
    assert net.training
    expected = net.eval()(torch.tensor(X[:1]).float()).item()
    assert explanation.model_prediction == pytest.approx(expected, rel=1e-5)


def test_a_data_frame_and_what_was_fitted_on_it(engine: LinearEngine) -> None:
    pandas = pytest.importorskip("pandas")
    linear_model = pytest.importorskip("sklearn.linear_model")
    frame = pandas.DataFrame(X, columns=["mean area", "2nd", "mean-area"])
    model = linear_model.LinearRegression().fit(frame, law(X))
    explanation = explain(model.predict, frame, frame.iloc[0], engine=engine)
    assert explanation.names == ("mean area", "2nd", "mean-area")
    assert explanation.equation.variable_names == ("d_mean_area", "d_x_2nd", "d_mean_area_2")
    assert explanation.r2_held_out == pytest.approx(1)


def test_a_flat_model_is_a_constant(engine: LinearEngine) -> None:
    explanation = explain(lambda rows: np.full(len(rows), 2.5), X, X[0], engine=engine)
    assert explanation.prediction == 2.5
    assert explanation.r2 == explanation.r2_held_out == 1
    assert not any(explanation.attributions.values())
    assert not engine.searches


# ---- categories


def test_categories_are_the_same_or_another(engine: LinearEngine) -> None:
    data = np.column_stack([RNG.normal(size=300), RNG.integers(0, 3, size=300)])

    def model(rows: np.ndarray) -> np.ndarray:
        assert set(rows[:, 1]) <= {0, 1, 2}
        return rows[:, 0] + 5 * (rows[:, 1] == 2)

    explanation = explain(model, data, [0.5, 2.0], categorical=["kind"], names=["size", "kind"], engine=engine)
    assert explanation.equation.variable_names == ("d_size", "kind_is_2")
    assert explanation.r2_held_out == pytest.approx(1)
    assert explanation.prediction == pytest.approx(5.5)
    other = explain(model, data, [0.5, 2.0], categorical=[1], names=["size", "kind"], base=[0.5, 0.0], engine=engine)
    assert other.attributions == pytest.approx({"size": 0, "kind": 5}, abs=1e-6)


def test_neighbours_are_near_in_standard_deviations() -> None:
    point = np.array([0.0, 50.0, 0.0])
    around = Frame.make(X, point, ["a", "b", "c"], ()).neighbourhood(X, {"J_nn": 7}, kernel_width=2.0)
    near = around.near(X)
    assert near.tolist() == np.argsort(np.linalg.norm((X - point) / X.std(axis=0), axis=1))[:7].tolist()
    var = around.variance(X[near])
    np.testing.assert_allclose(var, X[near].var(axis=0, ddof=1) / 2)
    rows = around.draw(10_000, var, np.random.default_rng(0))
    np.testing.assert_allclose(rows.var(axis=0), var, rtol=0.1)
    np.testing.assert_allclose(around.weights(rows, var), np.exp(-((rows - point) ** 2 / var).sum(axis=1) / 4))


def test_another_category_is_at_distance_one_and_drawn_as_often_as_it_is_in_the_data() -> None:
    rng = np.random.default_rng(3)
    data = np.column_stack([rng.normal(size=400), rng.choice([0.0, 1, 2], p=[0.6, 0.2, 0.2], size=400)])
    point = np.array([0.0, 2.0])
    around = Frame.make(data, point, ["size", "kind"], ["kind"]).neighbourhood(data, {"J_nn": 40})
    near = data[around.near(data)]
    distance = np.hypot(data[:, 0] / data[:, 0].std(), data[:, 1] != 2)
    np.testing.assert_array_equal(near, data[np.argsort(distance, kind="stable")[:40]])
    var = around.variance(near)
    rows = around.draw(10_000, var, np.random.default_rng(0))
    # Half keep the point's category, half take one of the data's.
    expected = [np.mean(data[:, 1] == kind) / 2 + (kind == 2) / 2 for kind in (0, 1, 2)]
    np.testing.assert_allclose([np.mean(rows[:, 1] == kind) for kind in (0, 1, 2)], expected, atol=0.02)
    d2 = rows[:, 0] ** 2 / var[0] + (rows[:, 1] != 2)
    np.testing.assert_allclose(around.weights(rows, var), np.exp(-d2 / 2))


def test_names_become_identifiers() -> None:
    assert identifiers(["mean area", "mean-area", "2nd", "°C", "a"]) == ["mean_area", "mean_area_2", "x_2nd", "C", "a"]


# ---- polynomials


def test_a_sparse_polynomial_is_found_term_by_term() -> None:
    # All products are candidates: columns are not more than those whose products are tried.
    rows = np.random.default_rng(0).normal(size=(500, MAX_PAIRED)) * np.logspace(-3, 3, MAX_PAIRED)
    y = 2 + 3 * rows[:, 4] / rows[:, 4].std() - rows[:, 2] * rows[:, 9] / (rows[:, 2].std() * rows[:, 9].std())
    fits = sparse_polynomials(rows, y, np.ones(500))
    terms, coefficients = fits[2]
    assert set(terms) == {(4,), (2, 9)}
    np.testing.assert_allclose(evaluate(polynomial(terms, coefficients), rows), y, atol=1e-8)
    assert len(fits) == 3  # nothing is left to explain


def test_weights_decide_what_is_fitted() -> None:
    rows = RNG.normal(size=(200, 1))
    y = np.where(rows[:, 0] > 0, rows[:, 0], 7.0)
    terms, coefficients = sparse_polynomials(rows, y, (rows[:, 0] > 0) * 1.0, degree=1)[-1]
    assert terms == ((0,),)
    np.testing.assert_allclose(coefficients, [0, 1], atol=1e-9)


@pytest.mark.parametrize("max_terms", [0, 12, 20])
def test_as_many_terms_as_are_asked_for(max_terms: int) -> None:
    rows = np.random.default_rng(2).normal(size=(300, 20))
    factors = np.arange(1.0, 21.0)
    explanation = explain(lambda X: X @ factors, rows, np.zeros(20), engine=None, max_terms=max_terms)
    used = sum(value != 0 for value in path_attributions(explanation.equation.expr, np.zeros(20), np.ones(20)))
    assert used == max_terms
    if max_terms == 20:
        assert explanation.r2_held_out == pytest.approx(1)
        np.testing.assert_allclose(list(explanation.attributions.values()), -factors * explanation.base, atol=1e-8)
    else:
        assert explanation.r2_held_out < 0.99


# ---- mistakes


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"x": [1.0, 2.0]}, r"x has shape \(2,\); expected 3"),
        ({"output": 1}, "output 1 is out of range; the model has outputs 0..0"),
        ({"logit": True}, "logit=True explains a probability"),
        ({"categorical": ["x9"]}, "categorical column 'x9' does not exist"),
        ({"names": ["a", "b"]}, "expected 3 different ones"),
        ({"kernel_width": 0}, "kernel_width is 0"),
        ({"max_terms": -1}, "max_terms is -1"),
        ({"max_terms": 2.0}, "max_terms is 2.0"),
        ({"n_neighbors": 200}, "J_nn is 200 with 200 rows"),
        ({"n_neighbors": 1}, "n_neighbors is 1"),
        ({"var": 0}, "var is 0"),
        ({"var": [1.0, 2.0]}, "var has 2 numbers; expected one, or one for each of the 3 inputs"),
        ({"base": [0.0]}, "base has shape"),
        ({"model": lambda rows: rows[:5, 0]}, "returned shape"),
        ({"model": lambda rows: rows[:, :2] * 10}, "say which: output=0"),
        ({"model": lambda rows: np.full(len(rows), "yes")}, "predict_proba"),
        ({"sr_params": {"maxsice": 3}}, "'maxsice' is not known"),
    ],
)
def test_mistakes_are_named(kwargs: dict[str, Any], message: str, engine: LinearEngine) -> None:
    with pytest.raises(InputError, match=message):
        explain(**{"model": law, "data": X, "x": X[0], "engine": engine} | kwargs)


# ---- figures


def test_plots(explanation: Explanation) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from symtorch.local.plotting import plot_profile

    ax = explanation.plot(n_inputs=2)
    assert next(label.get_text() for label in ax.get_yticklabels()) == "2 others"
    assert len(ax.patches) == 2
    ax = plot_profile(explanation, law, "x0")
    model, equation = (line.get_ydata() for line in ax.lines[:2])
    np.testing.assert_allclose(model, equation, rtol=1e-5)
    plt.close("all")


def test_explain_is_a_name_of_the_package() -> None:
    assert symtorch.explain is explain
