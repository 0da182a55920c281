"""Losses as notebooks write them for PySR: one-line Julia functions."""

from typing import Any

import numpy as np
import pytest
import torch
from forms import points, read

from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit, loss_of
from symtorch.engines.native.fitting.losses import SQUARED, parse_loss
from symtorch.equations.expr import constants, evaluate
from symtorch.errors import OptionError

R = np.array([-3.0, -0.5, 0.0, 1e-3, 2.0])
Y = np.array([1.0, -2.0, 0.0, 5.0, 1e6])


@pytest.mark.parametrize(
    "text",
    [
        "loss(prediction, target) = (prediction - target)^2",
        "loss(prediction, target, weight) = weight * (prediction - target)^2",
        "myloss(x, y, w) = abs2(y - x) * w",
        "f(x::Float64, y::Float64) = abs(x - y)^2",
    ],
)
def test_squared_errors_are_recognised(text: str) -> None:
    assert parse_loss(text) is SQUARED


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("loss(x, y) = abs(x - y)", "L1DistLoss()"),
        ("loss(x, y, w) = w * abs(x - y)", "L1DistLoss()"),
        ("loss(x, y) = abs(x - y)^1.5", "LPDistLoss(1.5)"),
        ("loss(x, y) = log(cosh(x - y))", "LogCoshLoss()"),
    ],
)
def test_a_formula_is_the_loss_of_that_name(text: str, named: Any) -> None:
    formula, known = parse_loss(text), parse_loss(named)
    np.testing.assert_allclose(formula.value(R, Y), known.value(R, Y), atol=1e-12)
    away, one = R[np.abs(R) > 0.1], np.ones(3)
    np.testing.assert_allclose(formula.weight(away, one), known.weight(away, one), rtol=1e-5)
    assert np.isfinite(formula.weight(R, Y)).all()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("loss(x, y) = (x - 2*y)^2", "least where prediction and target are equal"),
        ("loss(x, y, w) = (x - y)^2 + w", "weight as a factor"),
        ("loss(x, y) = -abs(x - y)", "least where prediction and target are equal"),
        ("loss(x) = x^2", "1 arguments"),
        ("loss(x, y) = if x > y 1 else 0 end", "can't be read"),
    ],
)
def test_what_is_beyond_says_so(text: str, why: Any) -> None:
    with pytest.raises(OptionError, match=why):
        parse_loss(text)


@pytest.mark.parametrize(
    "text",
    ["L2DistLoss()", "L1DistLoss()", "HuberLoss(0.3)", "LogCoshLoss()", "LPDistLoss{1.5}()", "LogitDistLoss()",
     "QuantileLoss(0.5)", "L2EpsilonInsLoss(0.1)", "L1EpsilonInsLoss(0.1)"],
)  # fmt: skip
def test_losses_fall_and_their_weights_are_their_slopes(text: str) -> None:
    loss = parse_loss(text)
    r = np.array([-2.0, -0.7, -0.25, 0.4, 1.5])
    y = np.ones_like(r)
    slope = (loss.value(r + 1e-6, y) - loss.value(r - 1e-6, y)) / 2e-6
    weight = np.ones_like(r) if loss.weight is None else loss.weight(r, y)
    np.testing.assert_allclose(2.0 * weight * r, slope, rtol=1e-4, atol=1e-6)
    X = points(200)
    y = 2.0 * X[:, 0] + 0.5 + 0.1 * np.random.default_rng(0).normal(size=200)
    start = read("1*x0 + 0.1")
    assert fit(start, Rows.of(X, y), loss)[1] < 0.5 * loss_of(start, Rows.of(X, y), loss)


def test_unknown_loss_names_the_engine_that_knows_it() -> None:
    with pytest.raises(OptionError, match="pysr"):
        parse_loss("MyOwnLoss()")


# ---- functions of torch tensors


def huber(prediction: Any, target: Any) -> Any:
    r = (prediction - target).abs()
    return torch.where(r <= 0.3, 0.5 * r * r, 0.3 * (r - 0.15))


def asymmetric(prediction: Any, target: Any) -> Any:
    """Too much costs four times what too little does."""
    r = prediction - target
    return torch.where(r > 0, 4.0 * r * r, r * r)


@pytest.mark.parametrize("function", [huber, torch.nn.HuberLoss(reduction="none", delta=0.3)])
def test_a_function_gives_what_the_loss_of_that_name_gives(function: Any) -> None:
    own, named = parse_loss(function), parse_loss("HuberLoss(0.3)")
    np.testing.assert_allclose(own.value(R, Y), named.value(R, Y), rtol=1e-12)
    np.testing.assert_allclose(own.weight(R, Y), named.weight(R, Y), rtol=1e-6)
    X = points(200)
    y = 2.0 * X[:, 0] + 0.5 + 0.5 * np.random.default_rng(0).standard_t(2, size=200)
    (tree, loss), (same, expected) = (fit(read("1*x0 + 0.1"), Rows.of(X, y), each) for each in (own, named))
    assert loss == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(constants(tree), constants(same), rtol=1e-5)


def test_an_asymmetric_loss_is_minimised() -> None:
    X = points(400)
    y = np.random.default_rng(0).normal(size=400)
    tree, _ = fit(read("0.1"), Rows.of(X, y), parse_loss(asymmetric), steps=100)
    (found,) = constants(tree)
    too_much, too_little = np.maximum(found - y, 0.0), np.maximum(y - found, 0.0)
    assert 4.0 * too_much.sum() == pytest.approx(too_little.sum(), rel=1e-3)


def test_squared_errors_are_recognised_in_a_function_and_weights_stay_finite_at_kinks() -> None:
    assert parse_loss(lambda p, t: (p - t) ** 2) is SQUARED
    weight = parse_loss(lambda p, t: (p - t).abs()).weight(np.array([-1.0, 0.0, 1e-300]), np.zeros(3))
    assert weight[0] == 0.5
    assert np.isfinite(weight).all()


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (torch.nn.functional.mse_loss, r"shape \(\) for 192 rows.*reduction='none'"),
        (lambda p, t: (p - t).abs()[:, None], r"shape \(192, 1\)"),
        (lambda p, t: np.zeros(192), "returns a ndarray"),
        (lambda p, t: 0.5, "returns a float"),
        (lambda p, t: (p - t - 1.0) ** 2, "not least where"),
        (lambda p, t: -((p - t) ** 2), "not least where"),
        (lambda p, t: torch.log(-(p**2) - t**2), "not finite"),
        (lambda p, t: (p - t) ** 2 / (p - t).var(), "other rows"),
        (lambda p, t: ((p - t).detach()) ** 2, "can't be differentiated"),
        (lambda p, t: ((p - t) ** 2).float(), "torch.float32"),
        (lambda p: p, "raises TypeError"),
    ],
)
def test_a_function_that_is_no_loss_says_why(function: Any, why: Any) -> None:
    with pytest.raises(OptionError, match=why):
        parse_loss(function)


# ---- losses of prediction and target apart


def poisson(prediction: Any, target: Any) -> Any:
    return prediction - target * torch.log(prediction)


def relative(prediction: Any, target: Any) -> Any:
    return (prediction / target - 1.0) ** 2


def of_ratio(prediction: Any, target: Any) -> Any:
    return torch.log(torch.cosh(torch.log(prediction / target)))


APART = [
    poisson,
    relative,
    of_ratio,
    lambda p, t: torch.nn.functional.poisson_nll_loss(p, t, log_input=False, reduction="none"),
    "loss(p, t) = (p/t - 1)^2",
    "loss(p, t) = p - t*log(p)",
]


@pytest.mark.parametrize("function", APART)
def test_a_loss_of_both_falls_to_nothing_and_its_weights_are_its_slopes(function: Any) -> None:
    loss = parse_loss(function)
    y = np.array([0.3, 1.0, 4.0, 70.0, 2.0])
    r = np.array([-0.2, 3.0, -1.0, 20.0, 1e-3])
    assert not loss.of_residual
    np.testing.assert_allclose(loss.value(np.zeros(5), y), 0.0, atol=1e-12)
    assert (loss.value(r, y) > 0.0).all()
    h = 1e-5 * np.abs(r)
    slope = (loss.value(r + h, y) - loss.value(r - h, y)) / (2.0 * h)
    np.testing.assert_allclose(2.0 * loss.weight(r, y) * r, slope, rtol=1e-4)
    np.testing.assert_allclose(loss.deviance_residuals(r, y), np.sign(r) * np.sqrt(loss.value(r, y)))
    assert np.isfinite(loss.weight(np.zeros(5), y)).all()


def test_what_is_not_known_where_both_are_nothing_is_taken_from_beside() -> None:
    np.testing.assert_allclose(parse_loss(poisson).value(np.array([0.0, 2.0]), np.zeros(2))[1], 2.0, atol=1e-8)


def test_a_poisson_fit_is_the_likeliest_one() -> None:
    X = points(2000)
    y = np.random.default_rng(0).poisson(np.exp(0.5 * X[:, 0] + 1.0)).astype(float)
    tree, _ = fit(read("exp(0.1*x0 + 0.2)"), Rows.of(X, y), parse_loss(poisson), steps=100)
    rates = evaluate(tree, X)
    assert np.sum(rates - y) == pytest.approx(0.0, abs=1e-3 * y.sum())  # the score of the offset
    assert np.sum((rates - y) * X[:, 0]) == pytest.approx(0.0, abs=1e-3 * y.sum())
