"""Least squares for every output: lines, sparse quadratics, one function around a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from symtorch.engines.native.baseline.family import baselines
from symtorch.engines.native.baseline.writing import Written
from symtorch.engines.native.fitting.losses import parse_loss
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import evaluate, to_text, variables

WIDE = {
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["square", "exp", "log", "sqrt", "sin", "tanh", "relu"],
    "complexity_of_operators": {},
}


def _options(**params: object) -> SearchOptions:
    return SearchOptions.from_params({**WIDE, **params})


def _left(X: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean squared error of a line through all columns, by NumPy."""
    root = np.ones(len(y)) if weights is None else np.sqrt(weights / weights.mean())
    A = np.column_stack([X, np.ones(len(X))]) * root[:, None]
    return float(np.mean((root * y - A @ np.linalg.lstsq(A, root * y, rcond=None)[0]) ** 2))


def _text(found: Written, n: int) -> str:
    return to_text(found.tree, [f"x{i}" for i in range(n)], digits=6)


def _check(found: list[Written], X: np.ndarray, y: np.ndarray, options: SearchOptions) -> None:
    """That they are a front, in the user's operators, with the losses that their trees have."""
    complexities, losses = [w.complexity for w in found], [w.loss for w in found]
    assert complexities == sorted(set(complexities))
    assert losses == sorted(losses, reverse=True)
    for w in found:
        assert options.complexity(w.tree) == w.complexity
        residual = evaluate(w.tree, X) - y
        assert np.mean(residual**2) == pytest.approx(w.loss, rel=1e-6, abs=1e-18 * np.mean(y**2) + 1e-300)


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (lambda X: 2 * X[:, 0] - 3 * X[:, 2] + 1, "2*x0 + 1 - 3*x2"),
        (lambda X: X[:, 0] * X[:, 1] + X[:, 2] ** 2, "x0*x1 + square(x2)"),
        (lambda X: np.tanh(X[:, 0] - 0.5 * X[:, 1]), "tanh(x0 - 0.5*x1)"),
        (lambda X: 2 * np.sin(X[:, 0] - 2 * X[:, 1] + 0.5) + 1, "2*sin(x0 + 0.5 - 2*x1) + 1"),
        (lambda X: np.maximum(X[:, 0] - 0.5 * X[:, 1] - 0.9 * X[:, 2], 0), "relu(x0 - 0.5*x1 - 0.9*x2)"),
        (lambda X: np.log(X[:, 0] + 0.5 * X[:, 1]), "log(x0 + 0.5*x1)"),
        (lambda X: 1 / (X[:, 0] + 0.5 * X[:, 1]), "1/(x0 + 0.5*x1)"),
        (lambda X: np.sqrt(X[:, 0] + 0.5 * X[:, 1] + 1), "sqrt(x0 + 0.5*x1 + 1)"),
        (lambda X: (X[:, 0] + 0.3 * X[:, 2] - 0.4) ** 2, "square(x0 + 0.3*x2 - 0.4)"),
    ],
)
def test_exact_laws_come_out_exactly(law: Any, expected: str) -> None:
    X = np.random.default_rng(0).uniform(0.5, 2.0, (600, 3))
    found = baselines(X, law(X)[:, None], _options())[0]
    assert _text(found[-1], 3) == expected
    assert found[-1].loss < 1e-20
    _check(found, X, law(X), _options())


def test_a_layer_of_tanh_is_found_as_such() -> None:
    rng = np.random.default_rng(1)
    X, W = rng.normal(size=(500, 24)), rng.uniform(-0.2, 0.2, (24, 12))
    Y = np.tanh(X @ W + rng.uniform(-0.2, 0.2, 12))
    for k, found in enumerate(baselines(X, Y, _options())):
        assert found[-1].tree.op.name == "tanh"
        assert found[-1].loss < 1e-20
        assert found[-1].complexity <= 4 * 24 + 6
        _check(found, X, Y[:, k], _options())


def test_maxsize_is_law_where_the_user_names_it() -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(300, 20))
    y = X @ rng.normal(size=20)
    wide, narrow = (baselines(X, y[:, None], _options(**given))[0] for given in ({}, {"maxsize": 30}))
    assert wide[-1].loss < 1e-20
    assert wide[-1].complexity > 60
    assert max(w.complexity for w in narrow) <= 30
    assert len(variables(narrow[-1].tree)) == 7  # as many as there is room for


def test_never_worse_than_numpy_in_the_same_terms() -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 12)) @ rng.normal(size=(12, 12))
    Y = np.sin(X[:, :5]) + rng.normal(size=(400, 5))
    for y, found in zip(Y.T, baselines(X, Y, _options(unary_operators=[], binary_operators=["+", "*"])), strict=True):
        for w in found:
            used = list(variables(w.tree))
            if to_text(w.tree, [f"x{i}" for i in range(12)]).count("x") == len(used):  # a line
                assert w.loss <= _left(X[:, used], y) * (1 + 1e-9)
        assert found[-1].loss <= 1.03 * _left(X, y)


def test_a_sparse_law_in_noise_is_no_longer_than_it_is() -> None:
    rng = np.random.default_rng(4)
    X = rng.normal(size=(500, 40))
    y = 3 * X[:, 3] - 2 * X[:, 17] * X[:, 5] + X[:, 8] ** 2 + 0.1 * rng.normal(size=500)
    found = baselines(X, y[:, None], _options(unary_operators=["square"]))[0]
    assert set(variables(found[-1].tree)) == {3, 5, 8, 17}
    assert found[-1].loss < 0.0105


def test_weights_count() -> None:
    rng = np.random.default_rng(5)
    X, weights = rng.normal(size=(200, 3)), rng.uniform(0.0, 2.0, 200)
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=200)
    found = baselines(X, y[:, None], _options(unary_operators=[], binary_operators=["+", "*"]), weights=weights)[0]
    lines = [w for w in found if len(variables(w.tree)) == 3 and w.complexity == 13]
    assert lines[0].loss == pytest.approx(_left(X, y, weights), rel=1e-9)


def test_rows_of_no_weight_have_no_say() -> None:
    rng = np.random.default_rng(6)
    X = rng.normal(size=(100, 2))
    y = np.where(np.arange(100) < 50, X @ [1.0, 2.0], 1e6)
    found = baselines(X, y[:, None], _options(), weights=(np.arange(100) < 50) * 1.0)[0]
    assert _text(found[-1], 2) == "x0 + 2*x1"


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_units_do_not_matter(scale: float) -> None:
    rng = np.random.default_rng(7)
    X = rng.normal(size=(100, 4)) * [1e-8, 1.0, 1e8, 1.0]
    y = scale * (X @ [1e8, 2.0, 3e-8, 0.0] + 5.0)
    found = baselines(X, y[:, None], _options(unary_operators=["tanh"]))[0]
    assert found[-1].loss < 1e-24 * np.var(y)
    assert variables(found[-1].tree) == [0, 1, 2]


def test_constant_and_repeated_columns_are_harmless() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(100, 2))
    X = np.column_stack([x, np.full(100, 7.0), x[:, 0], np.zeros(100)])
    Y = np.column_stack([x @ [1.0, 2.0], np.tanh(x @ [1.0, -1.0]), np.full(100, 3.0)])
    found = baselines(X, Y, _options())
    assert found[0][-1].loss < 1e-24
    assert found[1][-1].loss < 1e-24
    assert found[2] == []


def test_fewer_rows_than_inputs_fit_no_noise() -> None:
    rng = np.random.default_rng(9)
    X, fresh = rng.normal(size=(20, 50)), rng.normal(size=(1000, 50))
    found = baselines(X, (X[:, 3] + 0.01 * rng.normal(size=20))[:, None], _options())[0]
    assert np.mean((evaluate(found[-1].tree, fresh) - fresh[:, 3]) ** 2) < 0.5


@pytest.mark.parametrize("text", ["L1DistLoss()", "HuberLoss(0.1)"])
def test_other_losses_are_what_is_minimised(text: str) -> None:
    rng = np.random.default_rng(10)
    X = rng.normal(size=(300, 3))
    y = X @ [1.0, -2.0, 0.5] + np.where(rng.uniform(size=300) < 0.1, 50.0, 0.01 * rng.normal(size=300))
    loss = parse_loss(text)
    found = baselines(X, y[:, None], _options(), loss=loss)[0]
    best = found[-1]
    assert best.loss == pytest.approx(loss.mean(evaluate(best.tree, X) - y, y, None), rel=1e-9)
    robust = min(np.median(np.abs(evaluate(w.tree, X) - y)) for w in found)
    assert robust < 0.02


@pytest.mark.parametrize(
    "params",
    [
        {"binary_operators": ["-", "*"], "unary_operators": []},
        {"binary_operators": ["+", "/"], "unary_operators": ["exp"]},
        {"binary_operators": ["+"], "unary_operators": ["sin"]},
        {"maxdepth": 4},
        {"constraints": {"tanh": 9}},
        {"complexity_of_variables": [2, 1, 3], "complexity_of_constants": 2},
        {"maxsize": 1},
    ],
)
def test_every_equation_keeps_the_rules(params: dict[str, object]) -> None:
    rng = np.random.default_rng(11)
    X = rng.normal(size=(200, 3))
    Y = np.column_stack([X @ [1.0, -2.0, 0.5] + 1, np.tanh(X @ [0.3, 0.2, 0.1]), X[:, 0] * X[:, 1]])
    options = _options(**params)
    for y, found in zip(Y.T, baselines(X, Y, options), strict=True):
        _check(found, X, y, options)
        assert [options.violation(w.tree) for w in found] == [None] * len(found)


def test_no_time_still_brings_a_line_for_each() -> None:
    rng = np.random.default_rng(12)
    X = rng.normal(size=(300, 16))
    Y = np.tanh(X @ rng.normal(size=(16, 40)) / 4)
    for y, found in zip(Y.T, baselines(X, Y, _options(), seconds=0.0), strict=True):
        assert found[-1].loss <= 1.05 * _left(X, y)


def test_the_same_seed_brings_the_same() -> None:
    rng = np.random.default_rng(13)
    X = rng.normal(size=(500, 5))
    Y = np.tanh(X @ rng.normal(size=(5, 3))) + 0.1 * rng.normal(size=(500, 3))
    assert baselines(X, Y, _options(), seed=3) == baselines(X, Y, _options(), seed=3)


@pytest.mark.parametrize("activation", [np.tanh, lambda h: 1 / (1 + np.exp(-h)), lambda h: 3 * np.tanh(h) - 1])
@pytest.mark.parametrize("inverse", ["inv(x) = 1/x", "/"])
def test_layers_that_saturate_are_written_by_exp(activation: Any, inverse: str) -> None:
    rng = np.random.default_rng(3)
    X, W = rng.normal(size=(500, 12)), rng.uniform(-0.3, 0.3, (12, 4))
    Y = activation(X @ W + rng.uniform(-0.2, 0.2, 4))
    binary, unary = (["+", "*", "/"], ["exp"]) if inverse == "/" else (["+", "*"], [inverse, "exp"])
    options = SearchOptions.from_params({"binary_operators": binary, "unary_operators": unary})
    for k, found in enumerate(baselines(X, Y, options)):
        assert found[-1].loss < 1e-20
        _check(found, X, Y[:, k], options)
