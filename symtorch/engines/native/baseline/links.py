"""One function around a line, ``a*g(w.x + b) + c``, for many outputs at once.

Where to start: where g can be undone, at the line through ``g^-1(y)``, which is exact for an exact law; else along
the direction of the line through y, which for a symmetric distribution of x is that of w whatever g is (Brillinger
1982), and along that of the greatest curvature (principal Hessian directions, Li 1992,
doi 10.1080/01621459.1992.10476258), which an even g needs. From there Levenberg-Marquardt on all of w, b, a and c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from symtorch.engines.native.baseline.tuning import tuning

Array = np.ndarray

AT_ONCE = 1 << 22
"""Numbers in the Jacobians that are held at once."""
_ENOUGH = 1e-28
_RIDGE = 1e-12


@dataclass(frozen=True)
class Link:
    """A function of one argument.

    Attributes:
        value, slope: h -> g(h), and (g(h), h) -> dg/dh.
        inverse: y -> h, NaN where there is none; None if g can't be undone.
    """

    value: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]
    inverse: Callable[[Array], Array] | None = None


@dataclass(frozen=True)
class Targets:
    """What links are fitted to.

    Attributes:
        columns: (p, n) inputs of unit size, or (k, p, n) where each output has its own.
        Y: (k, n) outputs.
        root: (n,) roots of the weights with mean 1, or None.
    """

    columns: Array
    Y: Array
    root: Array | None = None

    def rows(self, chosen: Array) -> Targets:
        root = None if self.root is None else self.root[chosen]
        return Targets(self.columns[..., chosen], self.Y[:, chosen], root)

    def outputs(self, chosen: Array) -> Targets:
        columns = self.columns if self.columns.ndim == 2 else self.columns[chosen]
        return replace(self, columns=columns, Y=self.Y[chosen])

    def along(self, w: Array) -> Array:
        """(k, n): the lines with the weights (k, p)."""
        return w @ self.columns if self.columns.ndim == 2 else (w[:, None, :] @ self.columns)[:, 0]

    def weighted(self, values: Array) -> Array:
        return values if self.root is None else values * self.root

    def mean(self, values: Array) -> Array:
        """(k,): weighted means over the rows of (k, n)."""
        return values.mean(axis=1) if self.root is None else values @ (self.root**2) / len(self.root)


@dataclass(frozen=True)
class Fits:
    """One link fitted to k outputs.

    Attributes:
        theta: (k, p + 3): weights of the p columns, offset b, factor a, constant c.
        loss: (k,) mean squared error; infinite where there is no fit.
    """

    theta: Array
    loss: Array

    def take(self, which: Array) -> Fits:
        return Fits(self.theta[which], self.loss[which])


def loss(link: Link, theta: Array, data: Targets) -> Array:
    """(k,) mean squared errors, infinite where a row is not finite."""
    with np.errstate(all="ignore"):
        g = link.value(data.along(theta[:, :-3]) + theta[:, -3:-2])
        r = data.Y - theta[:, -2:-1] * g - theta[:, -1:]
        found = data.mean(r * r)
    return np.where(np.isfinite(found), found, np.inf)


# ---- where to start


def start(link: Link, data: Targets, directions: list[Array]) -> Fits:
    """The best of several starting points with a and c other than 1 and 0.

    Args:
        directions: (k, p) each, along which the columns have about unit variance.
    """
    tried = [_along(link, data, direction) for direction in directions]
    if link.inverse is not None:
        low, high = data.Y.min(axis=1), data.Y.max(axis=1)
        spread, middle = np.where(high > low, high - low, 1.0), 0.5 * (low + high)
        for sign in (1.0, -1.0):  # into (-1, 1), and into (0, 1)
            for a, c in (
                (sign * spread * (0.5 + tuning().margin), middle),
                (sign * spread * (1.0 + 2 * tuning().margin), middle - sign * spread * (0.5 + tuning().margin)),
            ):
                tried.append(start_through(link, data, a, c))
    return best_of(tried)


def best_of(tried: list[Fits]) -> Fits:
    """Output by output the fit with the least loss."""
    losses = np.stack([fits.loss for fits in tried])
    best = np.argmin(losses, axis=0)
    rows = np.arange(len(best))
    return Fits(np.stack([fits.theta for fits in tried])[best, rows], losses[best, rows])


def start_through(link: Link, data: Targets, a: Array, c: Array) -> Fits:
    """The line through ``g^-1((y - c) / a)``, for given a and c (k,)."""
    k, p = len(data.Y), data.columns.shape[-2]
    theta = np.zeros((k, p + 3))
    theta[:, -2], theta[:, -1] = a, c
    if link.inverse is None:
        return Fits(theta, np.full(k, np.inf))
    with np.errstate(all="ignore"):
        h = link.inverse((data.Y - c[:, None]) / a[:, None])
    usable = np.isnan(h).mean(axis=1) <= 1.0 - tuning().undone
    sound = np.isfinite(h)
    h0 = np.where(sound, h, 0.0)
    # What is flat there, as tanh at 1, is put at the end of the others; what has no inverse, in their middle.
    # What that spoils, the fit mends.
    middle = (h0.sum(axis=1) / np.maximum(sound.sum(axis=1), 1))[:, None]
    ends = np.where(h > 0.0, h0.max(axis=1)[:, None], h0.min(axis=1)[:, None])
    h = np.where(sound, h, np.where(np.isnan(h), middle, ends))
    F = data.weighted(np.vstack([data.columns, np.ones(data.Y.shape[1])]))
    G = F @ F.T
    G[np.diag_indices_from(G)] += _RIDGE * F.shape[1]
    theta[:, : p + 1] = np.linalg.solve(G, F @ data.weighted(h).T).T
    return Fits(theta, np.where(usable, loss(link, theta, data), np.inf))


def _along(link: Link, data: Targets, directions: Array) -> Fits:
    """The best of several steepnesses and offsets along given directions; a and c by least squares."""
    along = data.along(directions)
    steep, offset = (grid.reshape(-1, 1, 1) for grid in np.meshgrid(tuning().steepness, tuning().offsets))
    with np.errstate(all="ignore"):
        g = link.value(steep * along + offset)  # (grid, k, n)
        square = 1.0 if data.root is None else data.root**2
        free_g = g - np.mean(g * square, axis=2, keepdims=True)
        mean_y = data.mean(data.Y)
        free_y = data.Y - mean_y[:, None]
        variance = np.mean(free_g * free_g * square, axis=2)
        a = np.mean(free_g * (free_y * square), axis=2) / variance
        gain = np.where(np.isfinite(a) & (variance > 1e-24), a * a * variance, -np.inf)
        best = np.argmax(gain, axis=0)
        rows = np.arange(len(best))
        a = a[best, rows]
        c = mean_y - a * np.mean(g * square, axis=2)[best, rows]
    theta = np.column_stack([steep[best, 0] * directions, offset[best, 0], a, c])
    sound = np.isfinite(gain[best, rows])
    theta[~sound] = 0.0
    return Fits(theta, np.where(sound, loss(link, theta, data), np.inf))


def curvature_directions(data: Targets) -> Array:
    """(k, p) directions in which the outputs curve most, by the mean of ``y * x x'``."""
    n = data.Y.shape[1]
    square = np.ones(n) if data.root is None else data.root**2
    G = (data.columns * square) @ data.columns.T / n
    G[np.diag_indices_from(G)] += 1e-6
    half = np.linalg.cholesky(np.linalg.inv(G))  # the columns times this have unit covariance
    white = half.T @ data.columns
    out = np.empty((len(data.Y), len(G)))
    for i, y in enumerate(data.Y):
        values, vectors = np.linalg.eigh((white * ((y - y @ square / n) * square)) @ white.T)
        out[i] = half @ vectors[:, np.argmax(np.abs(values))]
    return out


# ---- the fit


def fit(link: Link, fits: Fits, data: Targets, steps: int, stop: Callable[[], bool], held: bool = False) -> Fits:
    """The links fitted by Levenberg-Marquardt, all outputs side by side.

    Args:
        steps: tried at most, successful or not.
        held: a and c stay as they are.
    """
    k, p = fits.theta.shape
    at_once = max(1, AT_ONCE // (p * data.Y.shape[1]))
    theta, found = fits.theta.copy(), fits.loss.copy()
    for first in range(0, k, at_once):
        if stop():
            break
        chosen = np.flatnonzero(np.isfinite(fits.loss[first : first + at_once])) + first
        if len(chosen):
            part = data if len(chosen) == k else data.outputs(chosen)
            theta[chosen], found[chosen] = _fit(link, theta[chosen], part, steps, stop, held)
    return Fits(theta, found)


def _fit(
    link: Link, theta: Array, data: Targets, steps: int, stop: Callable[[], bool], held: bool
) -> tuple[Array, Array]:
    best = loss(link, theta, data)
    damping = np.full(len(theta), 1e-3)
    slow = np.zeros(len(theta), dtype=int)
    open_ = np.isfinite(best) & (best > _ENOUGH)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            here = np.flatnonzero(open_)
            if len(here) == 0 or stop():
                break
            part = data if len(here) == len(theta) else data.outputs(here)
            A, g = _normal_equations(link, theta[here], part, held)
            tried = theta[here] + _solved(A, g, damping[here])
            found = loss(link, tried, part)
            better = found < best[here]
            progress = better & (found < (1.0 - 1e-4) * best[here])
            theta[here[better]], best[here[better]] = tried[better], found[better]
            damping[here] = np.where(better, np.maximum(damping[here] / 10.0, 1e-12), damping[here] * 8.0)
            slow[here] = np.where(progress, 0, slow[here] + 1)
            open_[here] = (slow[here] < tuning().slow) & (best[here] > _ENOUGH)
    return theta, best


def _normal_equations(link: Link, theta: Array, data: Targets, held: bool) -> tuple[Array, Array]:
    """(k, p, p) and (k, p): J'J and J'r."""
    k, p = theta.shape
    h = data.along(theta[:, :-3]) + theta[:, -3:-2]
    g = link.value(h)
    slope = data.weighted(theta[:, -2:-1] * link.slope(g, h))
    J = np.empty((k, p, data.Y.shape[1]))
    np.multiply(slope[:, None, :], data.columns, out=J[:, :-3])
    J[:, -3], J[:, -2], J[:, -1] = slope, data.weighted(g), data.weighted(np.ones_like(g))
    if held:
        J[:, -2:] = 0.0
    r = data.weighted(data.Y - theta[:, -2:-1] * g - theta[:, -1:])
    return J @ J.transpose(0, 2, 1), (J @ r[:, :, None])[:, :, 0]


def _solved(A: Array, g: Array, damping: Array) -> Array:
    """The steps of the parameters; 0 for those without effect, and where the equations can't be solved."""
    diagonal = np.diagonal(A, axis1=1, axis2=2)
    size = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    sound = np.isfinite(A).all(axis=(1, 2)) & np.isfinite(g).all(axis=1)
    A = np.where(sound[:, None, None], A / size[:, :, None] / size[:, None, :], 0.0)
    index = np.arange(A.shape[1])
    A[:, index, index] = 1.0 + damping[:, None]  # also of a parameter without effect, whose row is 0
    return np.linalg.solve(A, np.where(sound[:, None], g / size, 0.0)[:, :, None])[:, :, 0] / size
