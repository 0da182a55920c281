"""The last look at a front."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from forms import NAMES, WIDE, points, read

from symtorch.engines.native import NativeEngine, Vocabulary
from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.fitting.levenberg_marquardt import Rows
from symtorch.engines.native.fitting.losses import SQUARED
from symtorch.engines.native.flat.finishing import finish
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations import normal
from symtorch.equations.expr import evaluate, to_text
from symtorch.equations.front import Front

SPACE = {
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["square", "sqrt", "exp", "log", "sin", "cos"],
    "random_state": 0,
}


def archive(y: np.ndarray, X: np.ndarray) -> Archive:
    rows = Rows.of(X, y)
    return Archive(Vocabulary(WIDE), rows, rows, SQUARED, float(y.var()))


def placed(text: str, law: str, tried: bool) -> Archive:
    """An archive of a law's values, with one candidate as it is, as if the search had left it so.

    Args:
        tried: whether the law's shape was fitted before, and in vain.
    """
    X = points(300)
    found = archive(evaluate(read(law), X), X)
    form = normal.normalise(read(text))
    candidate = found._remember(form, None, float(np.mean((evaluate(form, X) - found.rows.y) ** 2)) / found.scale)
    assert candidate is not None
    found._place(candidate)
    if tried:
        found.tried.add(normal.key(normal.normalise(read(law))))
    return found


@pytest.mark.parametrize(
    ("left", "law", "tried"),
    [
        ("sin(3*x1)/(exp(x0) - 0.0019)", "sin(3*x1)/exp(x0)", True),  # a constant too many
        (
            "5 - 20*(x2 - square(x2)) + 0.001",
            "20*square(x2 - 0.5)",
            True,
        ),  # a square to complete, and then one too many
        ("x1*(2 - 2.2/sqrt(x2))", "x1*(2 - 2/x2)", False),  # another exponent
    ],
)
def test_what_is_beside_the_front_is_found(left: str, law: str, tried: bool) -> None:
    found = placed(left, law, tried)
    assert not found.is_exact
    finish(found, lambda: False)
    assert found.is_exact
    words = Vocabulary(WIDE)
    expected = words.render(normal.normalise(read(law)))
    assert expected is not None
    assert found.exact_from <= words.complexity(expected), to_text(found.pareto()[-1].tree, NAMES)


def test_it_stops_when_told_to_and_keeps_the_front() -> None:
    found = placed("sin(3*x1)/(exp(x0) - 0.0019)", "sin(3*x1)/exp(x0)", True)
    before = dict(found.front)
    finish(found, lambda: True)
    assert found.front == before


def search(X: np.ndarray, y: np.ndarray, teacher: Any = None, **params: Any) -> Front:
    options = SearchOptions.from_params({**SPACE, **params})
    return NativeEngine().search(Samples(X, y.reshape(len(X), -1), teacher=teacher), options)[0]


@pytest.mark.parametrize("asked", [True, False])
def test_a_quotient_is_the_pick_where_it_is_shorter(asked: bool) -> None:
    X = np.random.default_rng(0).uniform(-2.0, 2.0, (500, 2))

    def law(X: np.ndarray) -> np.ndarray:
        return 2.5 * np.exp(-X[:, :1]) * np.sin(3.0 * X[:, 1:])

    front = search(X, law(X), law if asked else None)
    assert front.stop_reason == "exact"
    assert front.best.complexity == 13
    assert to_text(front.best.expr, ["x0", "x1"], digits=6) == "2.5*sin(3*x1)/exp(x0)"


def test_a_spring_is_on_the_front_beside_a_network_that_errs() -> None:
    rng = np.random.default_rng(0)
    X = np.c_[rng.uniform(-2.0, 2.0, (600, 2)), np.zeros(600)]
    X[:, 2] = np.hypot(X[:, 0], X[:, 1])
    error = 0.05 * np.cos(X @ rng.normal(size=(3, 5)) + rng.uniform(0.0, 6.0, 5)).sum(axis=1)
    y = X[:, 1] * (2.0 - 2.0 / X[:, 2]) + error
    front = search(X, y, niterations=20)
    seven = min(equation.loss for equation in front if equation.complexity <= 7)
    assert seven <= 1.01 * np.mean(error**2)


@pytest.mark.parametrize("parsimony", [0.05, 0.1])
def test_parsimony_keeps_no_law_off_the_front(parsimony: float) -> None:
    X = np.random.default_rng(0).uniform(-2.0, 2.0, (500, 5))
    front = search(X, X[:, 0] ** 2 + 3.0 * np.sin(X[:, 4]) - 4.0, parsimony=parsimony)
    assert front.best.loss < 1e-20
    small = search(X, X[:, 0] + 0.02 * np.sin(7.0 * X[:, 1]), parsimony=parsimony)
    assert small.best.loss < 1e-20
    assert len(small) > 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_seed_finds_the_law_behind_a_smooth_error(seed: int) -> None:
    rng = np.random.default_rng(100)
    X = rng.uniform(0.0, 1.0, (600, 5))
    W, b, a = 1.5 * rng.normal(size=(5, 20)), rng.uniform(0.0, 6.0, 20), rng.normal(size=20)

    def law(X: np.ndarray) -> np.ndarray:
        waves = 10.0 * np.sin(np.pi * X[:, 0] * X[:, 1])
        return waves + 20.0 * (X[:, 2] - 0.5) ** 2 + 10.0 * X[:, 3] + 5.0 * X[:, 4]

    error = np.cos(X @ W + b) @ a
    size = 0.006 * law(X).std() / error.std()

    def teacher(X: np.ndarray) -> np.ndarray:
        return (law(X) + size * (np.cos(X @ W + b) @ a - error.mean()))[:, None]

    front = search(X, teacher(X), teacher, random_state=seed)
    assert front.best.loss < 2.0 * 0.006**2 * law(X).var()
