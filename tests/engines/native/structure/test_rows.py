"""Laws of rows alone, by asking a smooth function through them."""

from __future__ import annotations

import numpy as np

from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.structure.rows import laws_of_rows
from symtorch.engines.options import SearchOptions

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
