"""What was searched for and what least squares found, on one front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from symtorch.engines.native.baseline.writing import Written
from symtorch.engines.native.fitting.losses import SQUARED
from symtorch.engines.native.fitting.residuals import Regressions
from symtorch.engines.native.outcome import front_of, with_noise
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.expr import Expr
from symtorch.equations.front import Front
from symtorch.equations.parser import parse

X = np.random.default_rng(0).normal(size=(100, 2))
SAMPLES = Samples(X, (X[:, 0] + X[:, 1])[:, None])


def _front(found: list[Expr], baseline: list[Written]) -> Front:
    options = SearchOptions.from_params({"binary_operators": ["+", "*"], "unary_operators": []})
    return front_of(SAMPLES, options, SQUARED, 0, found, baseline, engine="e", reason="r", seconds=1.0)


def _read(text: str) -> Expr:
    return parse(text, ["x0", "x1"])


def test_an_exact_law_is_not_replaced_by_one_that_is_nearer_by_rounding() -> None:
    law = _read("x0 + x1")
    baseline = [Written(_read("1.0000000000000002*x0 + x1"), 5, 0.0), Written(_read("3.5"), 1, 2.0)]
    assert [e.expr for e in _front([law], baseline)][-1] == law


def test_least_squares_fills_what_the_search_has_left_open() -> None:
    baseline = [Written(_read("3.5"), 1, 14.0), Written(_read("0.9*x0 + x1"), 5, 0.01)]
    front = _front([_read("x0")], baseline)
    assert [str(e) for e in front] == ["x0", "0.9*x0 + x1"]
    assert [e.loss for e in front][-1] == 0.01


def test_large_equations_of_least_squares_stay() -> None:
    large = _read(" + ".join(f"{0.01 * i}*x0" for i in range(1, 40)))
    front = _front([], [Written(_read("3.5"), 1, 14.0), Written(large, 155, 0.01)])
    assert front[-1].complexity == 155


def test_something_comes_where_nothing_was_found() -> None:
    assert len(_front([], [])) >= 1


def test_noise_is_seen_in_rows_alone_where_an_equation_leaves_nothing_else() -> None:
    rng = np.random.default_rng(1)
    noisy = replace(SAMPLES, Y=SAMPLES.Y + 0.1 * rng.normal(size=SAMPLES.Y.shape))
    options = SearchOptions.from_params({"binary_operators": ["+", "*"], "unary_operators": []})
    found = [_read(text) for text in ("x0", "x0 + x1", "x0 + x1 + 0.00123*x0*x0*x1")]
    front = front_of(noisy, options, SQUARED, 0, found, [], engine="e", reason="budget", seconds=1.0)
    assert len(front) == 3

    def on_rows() -> Regressions:
        return Regressions.on(noisy.X)

    assert with_noise(front, noisy, 0, on_rows).evidence.noise == front[1].loss / noisy.variance(0)
    assert with_noise(front, noisy, 0, on_rows).best_index == 1
    short = replace(front, equations=front.equations[:2])  # the longest may be so for lack of time
    assert with_noise(short, noisy, 0, on_rows) == short
    asked = replace(noisy, teacher=lambda Z: Z[:, :1])
    assert with_noise(front, asked, 0, on_rows) == front
    weighed = replace(noisy, weights=rng.uniform(size=100))
    assert with_noise(front, weighed, 0, on_rows) == front
    assert with_noise(replace(front, stop_reason="exact"), noisy, 0, on_rows).evidence.noise is None
