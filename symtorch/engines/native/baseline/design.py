"""Rows and targets in units in which least squares is well posed: centred and of unit size.

Everything is for all outputs at once: they share the columns, so that one Gram matrix serves a thousand of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from symtorch.engines.native.baseline.tuning import tuning
from symtorch.engines.native.fitting.losses import Loss

Array = np.ndarray

_CONSTANT = 1e-12
"""A column whose spread is a smaller share of its largest value than this is rounding: it has no say."""


@dataclass(frozen=True)
class Scaled:
    """Columns as ``(values - centre) / size``.

    Attributes:
        values: (n, p), columns with a (weighted) mean of 0 and mean square of 1; those that don't vary are 0.
        centre, size: (p,), in which a column that doesn't vary has size 0.
    """

    values: Array
    centre: Array
    size: Array

    @classmethod
    def of(cls, values: Array, weights: Array | None) -> Scaled:
        """The columns of ``values`` (n, p), averaged with ``weights`` (n,), or None for equal ones."""
        with np.errstate(all="ignore"):
            largest = np.abs(values).max(axis=0, initial=0.0)
            sound = (largest > 0.0) & np.isfinite(largest)
            unit = np.where(sound, largest, 1.0)
            shares = np.where(sound, values, 0.0) / unit  # squares of 1e200 would overflow
            centre = np.average(shares, axis=0, weights=weights)
            free = shares - centre
            size = np.sqrt(np.average(free * free, axis=0, weights=weights))
            varies = sound & (size > _CONSTANT) & np.isfinite(size * unit)
            free = np.where(varies, free / np.where(varies, size, 1.0), 0.0)
        return cls(free, centre * unit, np.where(varies, size * unit, 0.0))


@dataclass(frozen=True)
class Data:
    """What is fitted: the inputs X (n, d) and the outputs Y (n, k), both scaled.

    Attributes:
        root: (n,) roots of the weights with mean 1, or None.
    """

    X: Scaled
    Y: Scaled
    root: Array | None

    @classmethod
    def of(cls, X: Array, Y: Array, weights: Array | None = None) -> Data:
        if weights is not None:
            weights = weights / weights.mean()
        return cls(Scaled.of(X, weights), Scaled.of(Y, weights), None if weights is None else np.sqrt(weights))

    def outputs(self, chosen: Array) -> Data:
        """The same inputs with these outputs."""
        Y = Scaled(self.Y.values[:, chosen], self.Y.centre[chosen], self.Y.size[chosen])
        return replace(self, Y=Y)

    @property
    def n_rows(self) -> int:
        return len(self.X.values)

    def weighted(self, columns: Array) -> Array:
        """Columns (n, p) in units of the rows' weights."""
        return columns if self.root is None else columns * self.root[:, None]


def tamed(data: Data, Y: Array, loss: Loss, stop: Callable[[], bool]) -> Array:
    """The outputs (n, k) with what is an outlier by this loss brought near: squared errors then do in its place.

    A line is fitted by reweighting (Holland and Welsch 1977); a residual that the loss weighs less than most is
    taken to be as much smaller (the pseudo-values of Huber 1981, section 7.8).
    """
    out = Y.copy()
    F = np.column_stack([data.X.values, np.ones(data.n_rows)])
    own = np.ones(data.n_rows) if data.root is None else data.root
    assert loss.weight is not None
    for k, y in enumerate(Y.T):
        if stop():
            break
        weights, residual = np.ones(len(y)), y
        # What a target does to the weight by itself is no matter of outliers.
        usual = 1.0 if loss.of_residual else loss.weight(np.zeros_like(y), y)
        for _ in range(tuning().tamed):
            root = own * np.sqrt(weights)
            residual = y - F @ np.linalg.lstsq(F * root[:, None], y * root, rcond=1e-10)[0]
            with np.errstate(all="ignore"):
                weights = loss.weight(-residual, y) / usual
            middle = np.median(weights)
            if not (np.isfinite(weights).all() and middle > 0.0):
                break
            weights = np.minimum(weights / middle, 10.0)
        if np.isfinite(weights).all():
            out[:, k] = y - residual * (1.0 - np.minimum(weights, 1.0))
    return out
