"""How much of an output an equation explains: R², the one definition that all of symtorch uses."""

from __future__ import annotations

import math

import numpy as np

_FLAT = 1e-24
"""An output whose mean squared deviation is below this share of its largest square varies by rounding only."""


def unexplained(actual: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The share of an output's variance that a prediction leaves unexplained: 1 - R².

        sum_i w_i (y_i - f_i)^2 / sum_i w_i (y_i - m)^2,   m = sum_i w_i y_i / sum_i w_i

    It keeps its digits where R² is 1 within rounding.

    >>> unexplained(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 2.0 + 1e-10])) < 1e-20
    True

    Args:
        actual: y (n_rows,).
        predicted: f (n_rows,).
        weights: w (n_rows,), not negative; None for equal ones.

    Returns:
        at least 0; infinite for predictions that are not finite. Of an output that does not vary beyond
        rounding, 0 for a prediction that is exact within rounding, and else NaN; NaN for no rows too.
    """
    if len(actual) == 0:
        return math.nan
    with np.errstate(all="ignore"):
        error = float(np.average((predicted - actual) ** 2, weights=weights))
    total = float(np.average((actual - np.average(actual, weights=weights)) ** 2, weights=weights))
    rounding = _FLAT * float((actual**2).max())
    if total <= rounding:
        return 0.0 if error <= rounding else math.nan
    return error / total if math.isfinite(error) else math.inf


def r2(actual: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Weighted R² = 1 - :func:`unexplained`, at most 1; minus infinity for predictions that are not finite.

    >>> r2(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0, 5.0]))
    0.19999999999999996
    >>> r2(np.array([0.0, 1.0, 7.0]), np.array([0.0, 1.0, -7.0]), weights=np.array([1.0, 1.0, 0.0]))
    1.0

    Args:
        actual: (n_rows,).
        predicted: (n_rows,).
        weights: (n_rows,), not negative; None for equal ones.
    """
    return 1.0 - unexplained(actual, predicted, weights)
