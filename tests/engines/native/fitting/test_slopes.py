"""Constants and judgement by values and derivatives."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from symtorch.engines.native import NativeEngine
from symtorch.engines.native.fitting.losses import SQUARED, parse_loss
from symtorch.engines.native.fitting.slopes import Slopes, fit_with_slopes, loss_with_slopes
from symtorch.engines.native.fitting.tape import Tape
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.expr import Expr, constants
from symtorch.equations.normal import normalise
from symtorch.equations.parser import parse

NAMES = ["x0", "x1"]
X = np.random.default_rng(0).uniform(0.5, 2.0, (80, 2))
NOISE = np.random.default_rng(1).normal(size=80)


def law(a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Values and derivatives of a*x1*sin(b*x0)."""
    wave, slope = np.sin(b * X[:, 0]), np.cos(b * X[:, 0])
    return a * X[:, 1] * wave, np.stack([a * b * X[:, 1] * slope, a * wave], axis=1)


def form(text: str) -> Expr:
    return normalise(parse(text, NAMES))


@pytest.mark.parametrize(
    "text", ["1.7*x1*sin(1.3*x0)", "x0^2.5/x1 + exp(x0*x1)", "sqrt(x0 + 2*x1)*log(x1 + 1) - x0", "3"]
)
def test_derivatives_are_those_of_the_expression(text: str) -> None:
    expr, h = form(text), 1e-6
    slopes = Slopes.of(X, np.zeros(80), np.zeros((80, 2)))
    tape = Tape(expr)
    found = slopes.residuals(tape, tape.constants)

    def at(j: int, step: float) -> np.ndarray:
        moved = X.copy()
        moved[:, j] += step
        return Slopes.of(moved, np.zeros(80), np.zeros((80, 2))).residuals(tape, tape.constants)[0]

    for j in range(2):
        assert found[1 + j] == pytest.approx(slopes.spread[j] * (at(j, h) - at(j, -h)) / (2 * h), rel=1e-5, abs=1e-8)


def test_constants_are_fitted_to_both() -> None:
    y, g = law(1.7, 1.3)
    slopes = Slopes.of(X, y + 0.3 * NOISE, g)
    expr, loss = fit_with_slopes(form("1.5*x1*sin(1.2*x0)"), slopes, SQUARED)
    alone, _ = fit_with_slopes(form("1.5*x1*sin(1.2*x0)"), replace(slopes, spread=np.zeros(2)), SQUARED)
    truth = np.array(constants(form("1.7*x1*sin(1.3*x0)")))
    off, off_alone = (np.abs(np.array(constants(e)) - truth).max() for e in (expr, alone))
    assert off < off_alone
    assert loss == pytest.approx(loss_with_slopes(expr, slopes, SQUARED))
    worse = [loss_with_slopes(form(text), slopes, SQUARED) for text in ("1.6*x1*sin(1.3*x0)", "1.7*x1*sin(1.25*x0)")]
    assert loss < min(worse)


def test_exact_data_leave_rounding() -> None:
    slopes = Slopes.of(X, *law(1.7, 1.3))
    expr, loss = fit_with_slopes(form("1.5*x1*sin(1.2*x0)"), slopes, SQUARED)
    assert loss < 1e-20
    assert sorted(constants(expr)) == pytest.approx([1.3, 1.7])


def test_weights_and_other_losses_are_heeded() -> None:
    y, g = law(1.7, 1.3)
    weights = np.where(np.arange(80) < 40, 1.0, 0.0)
    off = y + np.where(weights > 0.0, 0.0, 5.0)
    assert fit_with_slopes(form("1.5*x1*sin(1.2*x0)"), Slopes.of(X, off, g, weights), SQUARED)[1] < 1e-20
    outliers = y + np.where(np.arange(80) % 16 == 0, 5.0, 0.0)
    slopes = Slopes.of(X, outliers, g)
    robust, _ = fit_with_slopes(form("1.5*x1*sin(1.2*x0)"), slopes, parse_loss("HuberLoss(0.01)"), 60)
    assert sorted(constants(robust)) == pytest.approx([1.3, 1.7], abs=0.01)


def test_what_is_undefined_has_no_finite_loss() -> None:
    slopes = Slopes.of(X, *law(1.7, 1.3))
    assert loss_with_slopes(form("log(x0 - 9)"), slopes, SQUARED) == math.inf
    assert fit_with_slopes(form("2*log(x0 - 9)"), slopes, SQUARED)[1] == math.inf


def test_an_input_that_does_not_vary_has_no_say() -> None:
    fixed = X.copy()
    fixed[:, 1] = 1.0
    y, g = 2.0 * fixed[:, 0], np.stack([np.full(80, 2.0), np.full(80, 99.0)], axis=1)
    assert loss_with_slopes(form("2*x0"), Slopes.of(fixed, y, g), SQUARED) < 1e-28


PARAMS = {
    "binary_operators": ["+", "*"],
    "unary_operators": ["sin"],
    "niterations": 5,
    "maxsize": 12,
    "random_state": 0,
}


def test_a_search_is_judged_by_both() -> None:
    y, g = law(1.7, 1.3)
    options = SearchOptions.from_params(PARAMS)
    samples = Samples(X, (y + 0.3 * NOISE)[:, None], gradients=g)
    (plain,) = NativeEngine().search(replace(samples, gradients=None), options)
    (front,) = NativeEngine().search(samples, options)
    slopes = Slopes.of(X, samples.Y[:, 0], g)
    for equation in front:
        assert equation.loss == pytest.approx(loss_with_slopes(normalise(equation.expr), slopes, SQUARED))
    # For its complexity none is worse by both than what the values alone have brought, but for what least squares
    # must be better by to be shown.
    for equation in plain:
        level = min(eq.loss for eq in front if eq.complexity <= equation.complexity)
        assert level <= loss_with_slopes(normalise(equation.expr), slopes, SQUARED) / 0.99
    losses = [eq.loss for eq in front]
    assert losses == sorted(losses, reverse=True)


def test_units_of_the_search_make_no_difference() -> None:
    y, g = law(1.7, 1.3)
    scale_x, scale_y = np.array([2.0**60, 2.0**-70]), 2.0**80
    options = SearchOptions.from_params(PARAMS | {"timeout_in_seconds": None})
    (front,) = NativeEngine().search(Samples(X, y[:, None], gradients=g), options)
    far = Samples(X * scale_x, scale_y * y[:, None], gradients=scale_y * g / scale_x)
    (same,) = NativeEngine().search(far, options)
    assert same.best.predict(far.X) == pytest.approx(scale_y * front.best.predict(X), rel=1e-6)
