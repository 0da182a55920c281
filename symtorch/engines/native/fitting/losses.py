"""Elementwise losses under the names of Julia's LossFunctions.jl, as PySR takes them, and as Python functions.

A loss is minimised by iteratively reweighted least squares: near a residual r the loss rho(r) is
approximated by ``weight(r) * r^2 + const`` with ``weight(r) = rho'(r)/(2r)`` (Holland & Welsch 1977),
so that one least-squares fitter serves them all. That holds for every loss of a row that is least where prediction
and target are equal: of their difference, of their ratio, or a deviance, of which rho is another for each target.
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

Elementwise = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Loss:
    """A loss of prediction and target that is least where they are equal, and 0 there.

    Attributes:
        value: residuals ``prediction - target``, and targets -> loss of each.
        weight: the same -> weights of the squared residuals that have the same slope; None for 1.
        of_residual: whether it depends on the residual alone, whatever the target.
    """

    value: Elementwise
    weight: Elementwise | None = None
    of_residual: bool = True

    @property
    def is_squared(self) -> bool:
        return self.weight is None

    def deviance_residuals(self, residuals: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Residuals of which the squares are the losses (Pierce and Schafer 1986, doi 10.2307/2289071): of the law's
        own loss they are about alike on every row, whatever the target."""
        if self.is_squared:
            return residuals
        return np.sign(residuals) * np.sqrt(self.value(residuals, targets))

    def mean(self, residuals: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> float:
        """Weighted mean loss; infinite where one is not finite."""
        if self.is_squared and weights is None:
            total = float(residuals @ residuals) / len(residuals)
            return total if math.isfinite(total) else math.inf
        losses = self.value(residuals, targets)
        total = float(losses.mean()) if weights is None else float(weights @ losses / weights.sum())
        return total if math.isfinite(total) else math.inf


def _of_residual(value: Callable[[np.ndarray], np.ndarray], weight: Callable[[np.ndarray], np.ndarray]) -> Loss:
    return Loss(lambda r, _: value(r), lambda r, _: weight(r))


_TINY = 1e-12


def _huber(d: float) -> Loss:
    return _of_residual(
        lambda r: np.where(np.abs(r) <= d, 0.5 * r * r, d * (np.abs(r) - 0.5 * d)),
        lambda r: 0.5 * np.minimum(1.0, d / np.maximum(np.abs(r), _TINY)),
    )


def _lp(p: float) -> Loss:
    return _of_residual(lambda r: np.abs(r) ** p, lambda r: 0.5 * p * np.maximum(np.abs(r), 1e-9) ** (p - 2.0))


def _quantile(tau: float) -> Loss:
    # LossFunctions.jl's argument is target - prediction.
    def value(r: np.ndarray) -> np.ndarray:
        return np.where(r <= 0.0, -tau * r, (1.0 - tau) * r)

    return _of_residual(value, lambda r: 0.5 * value(r) / np.maximum(r * r, 1e-18))


def _epsilon(eps: float, p: float) -> Loss:
    def weight(r: np.ndarray) -> np.ndarray:
        over = np.maximum(np.abs(r) - eps, 0.0)
        slope = np.where(over > 0.0, p * over ** (p - 1.0), 0.0)
        return 0.5 * slope / np.maximum(np.abs(r), _TINY)

    return _of_residual(lambda r: np.maximum(np.abs(r) - eps, 0.0) ** p, weight)


SQUARED = Loss(lambda r, _: np.square(r))

_LOSSES: dict[str, tuple[Callable[..., Loss], int]] = {
    "L2DistLoss": (lambda: SQUARED, 0),
    "L1DistLoss": (lambda: _lp(1.0), 0),
    "LPDistLoss": (_lp, 1),
    "HuberLoss": (_huber, 1),
    "LogCoshLoss": (
        lambda: _of_residual(
            lambda r: np.logaddexp(r, -r) - np.log(2.0),
            lambda r: np.where(np.abs(r) < 1e-6, 0.5, 0.5 * np.tanh(r) / np.where(r == 0.0, 1.0, r)),
        ),
        0,
    ),
    "LogitDistLoss": (
        lambda: _of_residual(
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

    What a row loses where prediction and target are equal is taken away, so that an exact law loses nothing:
    ``prediction - target*log(prediction)`` becomes the Poisson deviance, but for its factor.

    >>> residuals, targets = np.array([-2.0, 1.0]), np.array([4.0, 1.0])
    >>> parse_loss("HuberLoss(0.1)").value(residuals, targets)
    array([0.195, 0.095])
    >>> parse_loss("loss(prediction, target) = abs(prediction/target - 1)").value(residuals, targets)
    array([0.5, 1. ])
    >>> parse_loss(lambda prediction, target: (prediction - target) ** 4).weight(np.array([0.5]), np.array([1.0]))
    array([0.5])

    Raises:
        OptionError: it is none of the known ones, and no formula or function that is least where both are equal.
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
        f'their number in brackets where they take one ("HuberLoss(0.5)"), and formulas over prediction and target '
        f'("loss(x, y) = abs(x - y)^1.5"); engine="pysr" takes any Julia function.'
    )


_Refuse = Callable[[str], OptionError]
_OfBoth = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of predictions (n,) and targets (n,): the loss of each, or its slope."""


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
        with np.errstate(all="ignore"):
            return evaluate(expr, np.stack(columns[: len(names)], axis=1))

    def slope(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        h = 1e-4 * np.maximum(np.abs(prediction - target), 1e-6)
        return (loss(prediction + h, target) - loss(prediction - h, target)) / (2.0 * h)

    p, t = _probes()
    if len(names) == 3 and not np.allclose(loss(p, t, 2.0), 2 * loss(p, t), equal_nan=True):
        raise refuse("does not have its weight as a factor")
    return _loss(loss, slope, 1e-6, refuse)


def _function(function: Callable[[Any, Any], Any]) -> Loss:
    """A loss as a Python function of predictions and targets, tensors (n,) of float64, to the loss of each, (n,).

    Its weights are its slopes by autograd.
    """
    name = getattr(function, "__name__", type(function).__name__)

    def refuse(why: str) -> OptionError:
        return OptionError(
            f"elementwise_loss {name!r} {why}; expected function(prediction, target) on tensors (n,), of torch "
            f"operations, to the loss of each row, (n,), least where prediction and target are equal."
        )

    def loss(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return function(_tensor(prediction), _tensor(target)).numpy()

    def slope(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        with torch.enable_grad():
            at = _tensor(prediction).requires_grad_()
            (found,) = torch.autograd.grad(function(at, _tensor(target)).sum(), at)
        return found.numpy()

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
    if not np.allclose(loss(p[:5], t[:5]), rho.detach().numpy()[:5], rtol=1e-6, atol=1e-12, equal_nan=True):
        raise refuse("makes the loss of a row depend on other rows")
    try:
        slope(p, t)
    except RuntimeError as error:
        raise refuse(f"can't be differentiated ({error})") from error
    return _loss(loss, slope, _NEAREST, refuse)


_NEAREST = 1e-9
"""Residuals nearer to 0 than this, or this share of the target, are weighed as such ones: slope/(2r) is 0/0 at 0,
and without bound near a kink."""


def _loss(loss: _OfBoth, slope: _OfBoth, nearest: float, refuse: _Refuse) -> Loss:
    """A loss by its values and its slopes by the prediction, if it is one."""
    p, t = _probes()
    with np.errstate(all="ignore"):
        rho, least = loss(p, t), _least(loss, t)
        known = np.isfinite(rho) & np.isfinite(least)
        if not known.any():
            raise refuse("is not finite for any prediction and target")
        p, t, rho, least = p[known], t[known], rho[known], least[known]
        if not (rho >= least - 1e-6 * np.abs(least)).all() or not (rho > least).any():
            raise refuse("is not least where prediction and target are equal")
        if not np.isfinite(slope(p, t)).all():
            raise refuse("has a derivative that is not finite")
        alone = known.all() and np.allclose(loss(p - t, np.zeros_like(t)), rho, rtol=1e-6, atol=1e-12)
    if alone and np.allclose(rho, (p - t) ** 2):
        return SQUARED

    def of(r: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residuals and targets, (n,) each; where only their difference counts no digit of it is lost to the target."""
        flat = np.asarray(r, dtype=np.float64).reshape(-1)
        return flat, np.zeros_like(flat) if alone else np.broadcast_to(y, np.shape(r)).reshape(-1)

    def value(r: np.ndarray, y: np.ndarray) -> np.ndarray:
        flat, targets = of(r, y)
        with np.errstate(all="ignore"):
            lost = loss(targets + flat, targets) - _least(loss, targets)
        return np.reshape(np.maximum(lost, 0.0), np.shape(r))

    def weight(r: np.ndarray, y: np.ndarray) -> np.ndarray:
        flat, targets = of(r, y)
        near = nearest * np.maximum(np.abs(targets), 1.0)
        away = np.where(np.abs(flat) < near, np.where(flat < 0.0, -near, near), flat)
        with np.errstate(all="ignore"):
            return np.reshape(np.maximum(slope(targets + away, targets) / (2.0 * away), 0.0), np.shape(r))

    return Loss(value, weight, alone)


def _least(loss: _OfBoth, targets: np.ndarray) -> np.ndarray:
    """The loss of predictions that are right; beside them where it is not known there, as of ``p - t*log(p)`` for 0."""
    least = loss(targets, targets)
    open_ = ~np.isfinite(least)
    if open_.any():
        t = targets[open_]
        sides = np.stack([loss(t + side * _NEAREST * np.maximum(np.abs(t), 1.0), t) for side in (-1.0, 1.0)])
        least = least.copy()
        least[open_] = np.where(np.isfinite(sides), sides, np.inf).min(axis=0)
    return least


def _probes() -> np.ndarray:
    """Predictions and targets (2, 192) of several sizes that a loss is tried on: of any sign, positive, and shares."""
    of_any = np.random.default_rng(0).normal(size=(2, 64)) * np.logspace(-2, 2, 64)
    return np.concatenate([of_any, np.abs(of_any), np.abs(of_any) / (1.0 + np.abs(of_any))], axis=1)


def _tensor(r: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(r, dtype=np.float64).reshape(-1))
