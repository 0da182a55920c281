"""Lines in the plane of two inputs on which ``p(x_i) + r*p(x_j)`` stays the same, for a scale p.

``x0 - x1``, ``x0*x1``, ``x0/x1^2``, ``x0^2 + 3*x1^2``, ``1/x0 + 1/x1`` are all such sums, on the scales
identity, logarithm, square and inverse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.structure.problem import Problem, median
from symtorch.engines.native.structure.tuning import tuning


@dataclass(frozen=True)
class Scale:
    """A scale on which inputs are added: its function, its inverse on the branch of a sign, its slope.

    Attributes:
        power: p of ``x^p``; 0 for the logarithm, the limit.
    """

    name: str
    power: float
    forward: Callable[[np.ndarray], np.ndarray]
    backward: Callable[[np.ndarray, np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]


SCALES = {
    s.name: s
    for s in (
        Scale("identity", 1.0, lambda x: x, lambda p, sign: p, np.ones_like),
        Scale("log", 0.0, lambda x: np.log(np.abs(x)), lambda p, sign: sign * np.exp(p), lambda x: 1 / x),
        Scale("square", 2.0, np.square, lambda p, sign: sign * np.sqrt(np.maximum(p, 0.0)), lambda x: 2 * x),
        Scale("inverse", -1.0, lambda x: 1 / x, lambda p, sign: 1 / p, lambda x: -1 / x**2),
    )
}


def span(scale: Scale, low: float, high: float, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The interval on the scale that an input of this range and of this sign can reach; empty if low > high."""
    if scale.name == "identity":
        return np.full(len(sign), low), np.full(len(sign), high)
    if scale.name == "inverse":
        if low <= 0 <= high:
            return np.ones(len(sign)), np.zeros(len(sign))
        return np.full(len(sign), 1 / high), np.full(len(sign), 1 / low)
    least = np.where(sign > 0, max(low, 0.0), max(-high, 0.0))
    most = np.where(sign > 0, high, -low)
    if scale.name == "square":
        return np.where(most > 0, least**2, 1.0), np.where(most > 0, most**2, 0.0)
    least = np.maximum(least, tuning().closest * max(abs(low), abs(high)))
    with np.errstate(all="ignore"):
        return np.log(least), np.where(most > 0, np.log(np.maximum(most, 1e-300)), -np.inf)


def along(
    problem: Problem, i: int, j: int, scale: Scale, r: float, total: np.ndarray, signs: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values of the two inputs with ``p(x_i) + r*p(x_j) = total``, at this place (0 to 1) of the possible ones.

    Args:
        signs: (2, m) signs of the two inputs.

    Returns:
        Two (m,) arrays, NaN where no such values lie in the inputs' ranges.
    """
    pi = span(scale, problem.low[i], problem.high[i], signs[0])
    pj = span(scale, problem.low[j], problem.high[j], signs[1])
    ends = np.sort(np.stack([total - r * pj[0], total - r * pj[1]]), axis=0)
    least, most = np.maximum(pi[0], ends[0]), np.minimum(pi[1], ends[1])
    width = most - least
    slack = 1e-9 * (np.abs(most) + np.abs(least))
    possible = (width >= -slack) & (pi[0] <= pi[1]) & (pj[0] <= pj[1])
    p = np.where(possible, least + place * width, np.nan)
    with np.errstate(all="ignore"):
        return scale.backward(p, signs[0]), scale.backward((total - p) / r, signs[1])


def branch(problem: Problem, i: int, n: int) -> np.ndarray:
    """(n,) the sign of the side of zero on which the input has the wider range."""
    return np.full(n, 1.0 if problem.high[i] >= -problem.low[i] else -1.0)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, float]:
    """Median of the quotient where the denominator is not small, and its relative spread."""
    with np.errstate(all="ignore"):
        usable = np.isfinite(numerator) & (np.abs(denominator) > tuning().small * median(np.abs(denominator)))
        if usable.sum() < tuning().fewest:
            return 0.0, np.inf
        quotient = numerator[usable] / denominator[usable]
    middle = float(np.median(quotient))
    return middle, float(np.median(np.abs(quotient - middle)) / max(abs(middle), 1e-300))
