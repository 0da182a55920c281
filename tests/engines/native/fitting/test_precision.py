"""Equations run in their block's type before they stand on a front."""

from __future__ import annotations

import numpy as np
import pytest
from forms import read

from symtorch.engines.native import NativeEngine
from symtorch.engines.native.fitting.losses import SQUARED
from symtorch.engines.native.fitting.precision import finite, runs
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.expr import evaluate

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


@pytest.mark.parametrize(
    ("text", "single", "double"),
    [
        ("2.5*sin(3*x0)/exp(x1)", True, True),
        ("3.6e43*exp(-363*x0)", False, True),  # a constant beyond float32
        ("x0/exp(100*x1)", False, True),  # a step beyond float32, though the value is not
        ("1e9*exp(1e-4*x0) - 1e9 - 1e5*x0", False, True),  # nothing but rounding is left
        ("4.1e133*x0", False, False),  # no law has such a constant
        ("1/log(x0/x0)", False, False),
    ],
)
def test_what_runs_in_which_type(text: str, single: bool, double: bool) -> None:
    X = np.random.default_rng(0).uniform(0.5, 2.0, (200, 3))
    tree = read(text)
    y = evaluate(tree, X)
    scale = float(np.var(y[np.isfinite(y)])) if np.isfinite(y).any() else 1.0
    assert [runs(tree, tuple(X.T), dtype, 1e-12, scale, SQUARED) for dtype in (SINGLE, DOUBLE)] == [single, double]


def test_the_answer_of_a_block_in_float32_is_finite_in_float32() -> None:
    """A steep exponential far from zero: in float64 the search likes huge constants."""
    X = np.random.default_rng(0).uniform(0.3, 2.0, (300, 1)).astype(np.float32).astype(np.float64)
    y = np.where(X[:, 0] < 0.5, np.exp(-363.0 * (X[:, 0] - 0.3)), 0.0)
    samples = Samples(X, y[:, None], dtype=SINGLE)
    options = SearchOptions.from_params(
        {"binary_operators": ["+", "-", "*", "/"], "unary_operators": ["exp", "square"], "niterations": 10,
         "random_state": 0}
    )  # fmt: skip
    front = NativeEngine().search(samples, options)[0]
    assert all(finite(equation.expr, X, SINGLE) for equation in front)
