"""Elementwise losses under the names of Julia's LossFunctions.jl, as PySR takes them, and as Python functions.

A loss is minimised by iteratively reweighted least squares: near a residual r the loss rho(r) is
approximated by ``weight(r) * r^2 + const`` with ``weight(r) = rho'(r)/(2r)`` (Holland & Welsch 1977),
so that one least-squares fitter serves them all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symtorch.equations.expr import evaluate
from symtorch.equations.parser import parse
from symtorch.errors import OptionError, ParseError

Elementwise = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Loss:
    """A loss of the residual ``prediction - target``.

    Attributes:
        value: residuals -> loss of each.
        weight: residuals -> weights of the squared residuals that have the same slope; None for 1.
    """

    value: Elementwise
    weight: Elementwise | None = None

    @property
    def is_squared(self) -> bool:
        return self.weight is None

    def mean(self, residuals: np.ndarray, weights: np.ndarray | None) -> float:
        """Weighted mean loss; infinite where a residual is not finite."""
        if self.is_squared and weights is None:
            total = float(residuals @ residuals) / len(residuals)
            return total if math.isfinite(total) else math.inf
        losses = self.value(residuals)
        total = float(losses.mean()) if weights is None else float(weights @ losses / weights.sum())
        return total if math.isfinite(total) else math.inf


_TINY = 1e-12


def _huber(d: float) -> Loss:
    return Loss(
        lambda r: np.where(np.abs(r) <= d, 0.5 * r * r, d * (np.abs(r) - 0.5 * d)),
        lambda r: 0.5 * np.minimum(1.0, d / np.maximum(np.abs(r), _TINY)),
    )


def _lp(p: float) -> Loss:
    return Loss(lambda r: np.abs(r) ** p, lambda r: 0.5 * p * np.maximum(np.abs(r), 1e-9) ** (p - 2.0))


def _quantile(tau: float) -> Loss:
    # LossFunctions.jl's argument is target - prediction.
    def value(r: np.ndarray) -> np.ndarray:
        return np.where(r <= 0.0, -tau * r, (1.0 - tau) * r)

    return Loss(value, lambda r: 0.5 * value(r) / np.maximum(r * r, 1e-18))


def _epsilon(eps: float, p: float) -> Loss:
    def weight(r: np.ndarray) -> np.ndarray:
        over = np.maximum(np.abs(r) - eps, 0.0)
        slope = np.where(over > 0.0, p * over ** (p - 1.0), 0.0)
        return 0.5 * slope / np.maximum(np.abs(r), _TINY)

    return Loss(lambda r: np.maximum(np.abs(r) - eps, 0.0) ** p, weight)


SQUARED = Loss(np.square)

_LOSSES: dict[str, tuple[Callable[..., Loss], int]] = {
    "L2DistLoss": (lambda: SQUARED, 0),
    "L1DistLoss": (lambda: _lp(1.0), 0),
    "LPDistLoss": (_lp, 1),
    "HuberLoss": (_huber, 1),
    "LogCoshLoss": (
        lambda: Loss(
            lambda r: np.logaddexp(r, -r) - np.log(2.0),
            lambda r: np.where(np.abs(r) < 1e-6, 0.5, 0.5 * np.tanh(r) / np.where(r == 0.0, 1.0, r)),
        ),
        0,
    ),
    "LogitDistLoss": (
        lambda: Loss(
            lambda r: 2.0 * np.logaddexp(0.0, r) - r - np.log(4.0),
            lambda r: np.where(np.abs(r) < 1e-6, 0.25, 0.5 * np.tanh(r / 2.0) / np.where(r == 0.0, 1.0, r)),
        ),
        0,
    ),
    "L1EpsilonInsLoss": (lambda eps: _epsilon(eps, 1.0), 1),
    "EpsilonInsLoss": (lambda eps: _epsilon(eps, 1.0), 1),
    "L2EpsilonInsLoss": (lambda eps: _epsilon(eps, 2.0), 1),
    "QuantileLoss": (_quantile, 1),
}

_DEFINED = re.compile(r"^\s*(?:function\s+)?\w+\s*\(([^()]*)\)\s*=\s*(.+?)\s*$")
_CALLED = re.compile(r"^\s*(\w+)\s*(?:\{\s*([^{}]*?)\s*\})?\s*(?:\(\s*([^()]*?)\s*\))?\s*$")


def parse_loss(text: str | Callable[[Any, Any], Any] | None) -> Loss:
    """The loss that PySR's ``elementwise_loss`` names, or that a function of prediction and target is.

    >>> parse_loss("HuberLoss(0.1)").value(np.array([0.05, 1.0]))
    array([0.00125, 0.095  ])
    >>> parse_loss("loss(prediction, target, weight) = weight * abs(prediction - target)").value(np.array([-2.0]))
    array([2.])
    >>> parse_loss(lambda prediction, target: (prediction - target) ** 4).weight(np.array([0.5]))
    array([0.5])

    Raises:
        OptionError: it is none of the known ones, and no formula or function of the residual.
    """
    if text is None:
        return SQUARED
    if not isinstance(text, str):
        return _function(text)
    if defined := _DEFINED.match(text):
        return _formula(text, [name.split("::")[0].strip() for name in defined.group(1).split(",")], defined.group(2))
    match = _CALLED.match(text)
    if match and match.group(1) in _LOSSES:
        make, n_parameters = _LOSSES[match.group(1)]
        given = [part for group in match.group(2, 3) if group for part in group.split(",")]
        try:
            numbers = [float(part) for part in given]
        except ValueError:
            numbers = []
        if match.group(1) == "HuberLoss" and not given:
            numbers = [1.0]
        if len(numbers) == n_parameters:
            return make(*numbers)
    raise OptionError(
        f"elementwise_loss {text!r} is beyond the native engine, which knows {', '.join(_LOSSES)}, with "
        f'their number in brackets where they take one ("HuberLoss(0.5)"), and formulas over prediction - target '
        f'("loss(x, y) = abs(x - y)^1.5"); engine="pysr" takes any Julia function.'
    )


def _formula(text: str, names: list[str], body: str) -> Loss:
    """A loss written as a one-line Julia function ``f(prediction, target[, weight]) = ...``.

    The weight must be a factor: it is the samples' own, which every loss is weighed by.
    """

    def refuse(why: str) -> OptionError:
        return OptionError(f'elementwise_loss {text!r} {why}; engine="pysr" takes any Julia function.')

    if len(names) not in (2, 3):
        raise refuse(f"has {len(names)} arguments, expected prediction and target, or also the weight")
    try:
        expr = parse(body.replace("abs2(", "square("), names)
    except ParseError as error:
        raise refuse(f"can't be read by the native engine ({error})") from None

    def loss(prediction: np.ndarray, target: np.ndarray, weight: float = 1.0) -> np.ndarray:
        columns = [prediction, target, np.full(len(target), weight)]
        return evaluate(expr, np.stack(columns[: len(names)], axis=1))

    def value(r: np.ndarray) -> np.ndarray:
        flat = np.asarray(r, dtype=np.float64).reshape(-1)
        return loss(flat, np.zeros_like(flat)).reshape(np.shape(r))

    p, t = _probes()
    rho = value(p - t)
    if not np.allclose(loss(p, t), rho, rtol=1e-6, atol=1e-12) or not (rho >= value(np.zeros(1))).all():
        raise refuse("is no loss of prediction - target alone that is least at zero")
    if len(names) == 3 and not np.allclose(loss(p, t, 2.0), 2 * rho):
        raise refuse("does not have its weight as a factor")
    if np.allclose(rho, (p - t) ** 2):
        return SQUARED

    def weight(r: np.ndarray) -> np.ndarray:
        h = 1e-4 * np.maximum(np.abs(r), 1e-6)
        away = np.where(np.abs(r) < 1e-6, 1e-6, r)
        return np.maximum((value(away + h) - value(away - h)) / (4 * h * away), 0.0)

    return Loss(value, weight)


def _probes() -> np.ndarray:
    """Predictions and targets (2, 64) of several sizes that a loss is tried on."""
    return np.random.default_rng(0).normal(size=(2, 64)) * np.logspace(-2, 2, 64)


_NEAREST = 1e-9
"""Residuals nearer to 0 are weighed as this one: slope/(2r) is 0/0 at 0, and without bound near a kink."""


def _function(function: Callable[[Any, Any], Any]) -> Loss:
    """A loss as a Python function of predictions and targets, tensors (n,) of float64, to the loss of each, (n,).

    Its weights are its slopes by autograd.
    """
    name = getattr(function, "__name__", type(function).__name__)

    def refuse(why: str) -> OptionError:
        return OptionError(
            f"elementwise_loss {name!r} {why}; expected function(prediction, target) on tensors (n,), of torch "
            f"operations, to the loss of each row, (n,): a function of prediction - target that is least where they "
            f"are equal."
        )

    def value(r: np.ndarray) -> np.ndarray:
        flat = _tensor(r)
        with torch.no_grad():
            return function(flat, torch.zeros_like(flat)).numpy().reshape(np.shape(r))

    def weight(r: np.ndarray) -> np.ndarray:
        away = _tensor(np.where(np.abs(r) < _NEAREST, np.where(r < 0.0, -_NEAREST, _NEAREST), r))
        slope = _slope(function, away)
        return (slope / (2.0 * away)).clamp(min=0.0).numpy().reshape(np.shape(r))

    p, t = _probes()
    prediction, target = _tensor(p), _tensor(t)
    try:
        rho = function(prediction, target)
    except Exception as error:
        raise refuse(f"raises {type(error).__name__} ({error})") from error
    if not isinstance(rho, Tensor):
        raise refuse(f"returns a {type(rho).__name__}")
    if rho.shape != prediction.shape:
        hint = ", one number for all rows (reduction='none' keeps them apart)" if rho.numel() == 1 else ""
        raise refuse(f"returns shape {tuple(rho.shape)} for {len(p)} rows{hint}")
    if rho.dtype != torch.float64 or rho.device.type != "cpu":
        raise refuse(f"returns {rho.dtype} on {rho.device} for float64 on the CPU")
    rho = rho.detach()
    if not bool(rho.isfinite().all()):
        raise refuse("is not finite for some finite prediction and target")
    if not torch.allclose(function(prediction[:5], target[:5]).detach(), rho[:5], rtol=1e-6, atol=1e-12):
        raise refuse("makes the loss of a row depend on other rows")
    if not np.allclose(value(p - t), rho.numpy(), rtol=1e-6, atol=1e-12):
        raise refuse("is no function of prediction - target alone (weights of rows are given as fit_params['weights'])")
    if not (rho.numpy() >= value(np.zeros(1))).all():
        raise refuse("is not least where prediction and target are equal")
    try:
        slope = _slope(function, prediction - target)
    except RuntimeError as error:
        raise refuse(f"can't be differentiated ({error})") from error
    if not bool(slope.isfinite().all()):
        raise refuse("has a derivative that is not finite")
    return SQUARED if np.allclose(rho.numpy(), (p - t) ** 2) else Loss(value, weight)


def _tensor(r: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(r, dtype=np.float64).reshape(-1))


def _slope(function: Callable[[Any, Any], Any], residuals: Tensor) -> Tensor:
    """Derivative of the loss of each residual (n,) by the residual."""
    with torch.enable_grad():
        prediction = residuals.clone().requires_grad_()
        total = function(prediction, torch.zeros_like(prediction)).sum()
        (slope,) = torch.autograd.grad(total, prediction)
    return slope
