"""Laws of rows alone, by asking a smooth function through them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.structure.rows import laws_of_products, laws_of_rows
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Expr, evaluate

OPTIONS = SearchOptions.from_params({"binary_operators": ["+", "-", "*", "/"], "unary_operators": []})


def centre_of_mass(X: np.ndarray) -> np.ndarray:
    return (X[:, 0] * X[:, 2] + X[:, 1] * X[:, 3]) / (X[:, 0] + X[:, 1])


def test_a_law_comes_out_of_noisy_rows() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 5.0, (300, 4))
    y = centre_of_mass(X) + 0.03 * rng.normal(size=300)
    found = laws_of_rows(X, y, OPTIONS, 0, lambda: False)
    assert min(fit(expr, Rows.of(X, y), steps=30)[1] for expr in found) < 1.05 * 0.03**2


def test_nothing_is_said_of_noise_nor_of_many_inputs_nor_without_time() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 5.0, (60, 13))
    assert laws_of_rows(X[:, :2], rng.normal(size=60), OPTIONS, 0, lambda: False) == []
    assert laws_of_rows(X, X[:, 0], OPTIONS, 0, lambda: False) == []
    assert laws_of_rows(X[:, :2], X[:, 0], OPTIONS, 0, lambda: True) == []


WIDER = SearchOptions.from_params(
    {"binary_operators": ["+", "-", "*", "/"], "unary_operators": ["square", "sqrt", "exp", "cos"], "random_state": 0}
)


def box(n_inputs: int, n: int = 500) -> np.ndarray:
    return np.random.default_rng(0).uniform(1.0, 4.0, (n, n_inputs))


def missed(found: Sequence[Expr], X: np.ndarray, y: np.ndarray) -> float:
    return min((fit(expr, Rows.of(X, y), steps=30)[1] for expr in found), default=np.inf)


def test_a_product_that_is_all_comes_outright() -> None:
    X = box(3)
    y = 0.7 * X[:, 0] ** 2 / X[:, 2] + 0.001 * np.random.default_rng(1).normal(size=500)
    assert missed(laws_of_products(X[:, [0, 2]], y, WIDER, 0, lambda: False), X[:, [0, 2]], y) < 1.05e-6


def test_a_quotient_without_noise_comes_outright() -> None:
    X = box(5)
    y = X[:, 4] * (1.0 - X[:, 0] ** 2) / (1.0 + X[:, 0] * np.cos(X[:, 1] - X[:, 2])) / X[:, 3]
    (law,) = laws_of_products(X, y, WIDER, 0, lambda: True)
    assert np.allclose(evaluate(law, X), y, rtol=1e-9)


def test_what_powers_leave_is_searched_for_over_fewer_inputs() -> None:
    X = box(7)
    y = X[:, 0] * X[:, 1] ** 2 * np.exp(-X[:, 2] * X[:, 3] / (X[:, 4] * X[:, 5])) / X[:, 6]
    y += 0.01 * np.sqrt(np.mean(y**2)) * np.random.default_rng(1).normal(size=500)
    noise = 1e-4 * np.mean(y**2)
    assert missed(laws_of_products(X, y, WIDER, 0, lambda: False), X, y) < 1.1 * noise


def test_an_approximation_in_one_input_is_not_said_to_be_exact() -> None:
    X = box(2)
    u = X[:, 0] / X[:, 1]
    y = np.sin(np.exp(np.sin(u) / (1.0 + u**2))) + np.log(u + 0.3)
    found = laws_of_products(X, y, OPTIONS, 0, lambda: False)
    assert found
    assert missed(found, X, y) > 1e-13 * np.var(y)


def test_of_few_rows_nothing_is_said() -> None:
    X = box(3, 30)
    y = X[:, 0] * np.exp(X[:, 1] * X[:, 2])
    assert laws_of_products(X, y, WIDER, 0, lambda: False) == []
