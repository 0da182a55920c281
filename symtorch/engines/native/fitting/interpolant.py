"""A smooth function through rows, as a stand-in for a teacher where there are rows alone.

A Gaussian process with a width of its own for every input (Rasmussen and Williams 2006, chapter 5), widths and noise
by maximum marginal likelihood. It takes off most of the noise: a function that a few dozen degrees of freedom describe
keeps their share of it only, 3 to 10 % with a thousand rows. AI Feynman (arXiv 1905.11481) uses a network so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from symtorch.engines.native.fitting.tuning import InterpolantTuning
from symtorch.engines.native.tuning import current

Array = np.ndarray

_ROUNDING = 1e-9
"""Least noise, as a share of the variance: with less the kernel matrix can't be inverted in float64."""

_LEAST_WEIGHT = 1e-3
"""Rows that count less, on average 1, are taken to count so much: of what they say little is left in any case."""

_RANGE = (-14.0, 8.0)
"""Logarithms of widths, scale and noise, in units of what varies, stay within these."""


@dataclass(frozen=True, eq=False)
class Interpolant:
    """A smooth function of rows; call it with (n, n_inputs) for (n,).

    Attributes:
        predict: rows -> values.
        left: share of the targets' variance that is left when each is predicted from the others.
        noise: share of it that was taken for noise.
    """

    predict: Callable[[Array], Array]
    left: float
    noise: float

    def __call__(self, X: Array) -> Array:
        return self.predict(X)

    @classmethod
    def through(cls, X: Array, y: Array, seed: int = 0, weights: Array | None = None) -> Interpolant:
        """The smooth function that predicts rows best from the others: of the targets, or of their logarithms.

        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(1.0, 3.0, (300, 2))
        >>> truth = X[:, 0] * np.exp(-X[:, 1])
        >>> smooth = Interpolant.through(X, truth + 0.05 * rng.normal(size=300))
        >>> bool(np.mean((smooth(X) - truth) ** 2) < 0.1 * 0.05**2)
        True

        Args:
            X: (n, n_inputs).
            y: (n,), finite, not all the same.
            seed: of the rows that are taken where there are many.
            weights: (n,), positive, as the inverse of the noise's variance; None for equal ones.
        """
        order = np.random.default_rng(seed).permutation(len(X))[: current(InterpolantTuning).rows]
        X, y = X[order], y[order]
        w = np.ones(len(y)) if weights is None else weights[order] / weights[order].mean()
        found = [_through(X, y, w)]
        sign = np.sign(y[0])
        if (sign * y > 0.0).all() and np.ptp(np.log(sign * y)) > 0.0:
            found.append(_through(X, np.log(sign * y), np.ones(len(y)), np.exp, sign))
        total = float(np.mean(w * (y - np.average(y, weights=w)) ** 2))
        smooth = [Interpolant(f, float(np.mean(w * (out - y) ** 2)) / total, noise) for f, out, noise in found]
        return min(smooth, key=lambda s: s.left)


def _through(
    X: Array, t: Array, weights: Array, link: Callable[[Array], Array] = lambda v: v, factor: float = 1.0
) -> tuple[Callable[[Array], Array], Array, float]:
    """The smooth function through t, behind a link; its leave-one-out predictions, and the share of noise in t."""
    centre, size = X.mean(axis=0), X.std(axis=0)
    size = np.where(size > 0.0, size, 1.0)
    mean, spread = float(t.mean()), float(t.std())
    Z, z = (X - centre) / size, (t - mean) / spread
    few = current(InterpolantTuning).few_rows
    spreads = 1.0 / np.maximum(weights, _LEAST_WEIGHT)
    theta = _likeliest(Z[:few], z[:few], spreads[:few])
    widths, scale, noise = np.exp(-theta[:-2]), np.exp(theta[-2]), max(float(np.exp(theta[-1])), _ROUNDING)
    A = Z * widths
    inverse = np.linalg.inv(scale * np.exp(-0.5 * _squares(A, A)) + noise * np.diag(spreads))
    along = inverse @ z

    def outward(values: Array) -> Array:
        with np.errstate(over="ignore"):
            return factor * link(mean + spread * values)

    def predict(Q: Array) -> Array:
        return outward(scale * np.exp(-0.5 * _squares((Q - centre) / size * widths, A)) @ along)

    return predict, outward(z - along / inverse.diagonal()), noise


def _squares(P: Array, Q: Array) -> Array:
    """Squared distances (len(P), len(Q)) of rows."""
    return np.maximum((P**2).sum(axis=1)[:, None] + (Q**2).sum(axis=1) - 2.0 * P @ Q.T, 0.0)


def _likeliest(Z: Array, z: Array, spreads: Array) -> Array:
    """Logarithms of the widths, the scale and the noise of the greatest marginal likelihood (n_inputs + 2,)."""
    d = Z.shape[1]
    apart = np.stack([(column[:, None] - column) ** 2 for column in Z.T])
    start = [np.log(1.5 * np.sqrt(d))] * d + [np.log(4.0), np.log(0.05)]
    theta = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    steps = current(InterpolantTuning).steps
    search = torch.optim.LBFGS([theta], max_iter=steps, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        value, slope = _unlikely(apart, z, spreads, np.clip(theta.detach().numpy(), *_RANGE))
        theta.grad = torch.from_numpy(slope)
        return torch.tensor(value, dtype=torch.float64)

    search.step(closure)
    return np.clip(theta.detach().numpy(), *_RANGE)


def _unlikely(apart: Array, z: Array, spreads: Array, theta: Array) -> tuple[float, Array]:
    """Minus the logarithm of the marginal likelihood, without its constant, and its gradient.

    Args:
        apart: (n_inputs, n, n) squared differences of the rows.
        spreads: (n,) by which the noise's variance is multiplied on each row.
    """
    weights = np.exp(-2.0 * theta[:-2])
    smooth = np.exp(theta[-2]) * np.exp(-0.5 * np.tensordot(weights, apart, 1))
    noise = float(np.exp(theta[-1])) + _ROUNDING
    kernel = smooth + noise * np.diag(spreads)
    try:
        root = np.linalg.cholesky(kernel)
    except np.linalg.LinAlgError:  # rounding; the line search turns back
        return 1e10, np.zeros_like(theta)
    inverse = np.linalg.inv(kernel)
    along = inverse @ z
    change = inverse - np.outer(along, along)
    by_kernel = change * smooth
    of_widths = 0.5 * np.tensordot(apart, by_kernel, 2) * weights
    slope = np.concatenate([of_widths, [0.5 * by_kernel.sum(), 0.5 * noise * float(change.diagonal() @ spreads)]])
    return 0.5 * float(z @ along) + float(np.log(root.diagonal()).sum()), slope
