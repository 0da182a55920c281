"""Lines and sparse quadratics: sums of inputs, squares and products, from one term to all that are worth it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from symtorch.engines.native.baseline.design import Data, Scaled
from symtorch.engines.native.baseline.selection import ROUNDING, forward_selection
from symtorch.engines.native.baseline.tuning import tuning

Array = np.ndarray
Feature = tuple[int, ...]
"""Inputs whose product it is: ``(2,)`` is x2, ``(0, 0)`` x0 squared."""

_AT_ONCE = 1 << 22
_REFINED = 2
"""Rounds of iterative refinement, which undo what the Gram matrix squares (Björck 1967)."""


@dataclass(frozen=True)
class Sums:
    """Sums of equally many terms for some outputs.

    Attributes:
        outputs: (k,) which.
        chosen: (k, m) numbers of the features.
        coefficients: (k, m) in the features' and outputs' own units.
        constants: (k,).
        losses: (k,) mean squared errors as shares of the outputs' variance.
    """

    outputs: Array
    chosen: Array
    coefficients: Array
    constants: Array
    losses: Array


def lines(data: Data, most: int, stop: Callable[[], bool]) -> Iterator[Sums]:
    """Lines through the inputs that explain each output best, from one input to as many as predict better.

    The longest is that which Mallows's Cp prefers: as the most accurate equation of a front it is to predict
    well, whereas a description must pay for itself.

    Args:
        most: terms at most.
    """
    yield from _sums(data, data.X, most, 2.0, stop)


def quadratics(data: Data, X: Array, features: list[Feature], most: int, stop: Callable[[], bool]) -> Iterator[Sums]:
    """Sums of inputs, squares and products, as long as each further term is worth its description."""
    scaled = Scaled.of(values_of(features, X), None if data.root is None else data.root**2)
    price = np.log(data.n_rows) + 2.0 * np.log(max(len(features), 2))
    yield from _sums(data, scaled, most, price, stop)


def _sums(data: Data, scaled: Scaled, most: int, price: float, stop: Callable[[], bool]) -> Iterator[Sums]:
    F, Y = data.weighted(scaled.values), data.weighted(data.Y.values)
    n = len(F)
    G, C = F.T @ F / n, Y.T @ F / n
    # With nearly as many terms as rows any noise is fitted.
    most = min(most, F.shape[1], max(1, n // 3))
    paths = forward_selection(G, C, most)
    lengths = paths.lengths(n, price)
    # First what explains most, for every output and whatever the time: that much there must be.
    for size in np.unique(lengths[lengths > 0]):
        outputs = np.flatnonzero(lengths == size)
        yield _fitted(data, scaled, F, Y, G, outputs, paths.order[outputs, :size])
    level = np.ones(len(C))
    for size in tuning().ladder:
        if stop() or size >= most:
            return
        left = np.maximum(paths.left[:, size], ROUNDING)
        outputs = np.flatnonzero((size < lengths) & (left < tuning().worth * level))
        if len(outputs):
            level[outputs] = left[outputs]
            yield _fitted(data, scaled, F, Y, G, outputs, paths.order[outputs, :size])


def _fitted(data: Data, scaled: Scaled, F: Array, Y: Array, G: Array, outputs: Array, chosen: Array) -> Sums:
    """Least squares on the chosen columns: by the Gram matrix, refined by the residuals on the rows."""
    k, size = chosen.shape
    losses, fitted = np.empty(k), np.empty((k, size))
    at_once = max(1, min(_AT_ONCE // len(F), _AT_ONCE // size**2))
    for first in range(0, k, at_once):
        part = slice(first, first + at_once)
        columns, y = chosen[part], Y[:, outputs[part]]
        A = G[columns[:, :, None], columns[:, None, :]]
        rows = np.arange(len(columns))[:, None]
        b, wide, residual = np.zeros(columns.shape), np.zeros((len(columns), F.shape[1])), y
        for _ in range(1 + _REFINED):
            right = (residual.T @ F / len(F))[rows, columns]
            more = b + np.linalg.solve(A, right[:, :, None])[:, :, 0]
            wide[rows, columns] = more
            tried = y - F @ wide.T
            worse = np.einsum("nk,nk->k", tried, tried) > np.einsum("nk,nk->k", residual, residual)
            if worse.all():
                break
            b, residual = np.where(worse[:, None], b, more), np.where(worse, residual, tried)
        fitted[part] = b
        losses[part] = np.einsum("nk,nk->k", residual, residual) / len(F)
    fitted[(losses < tuning().exact)[:, None] & (np.abs(fitted) < tuning().nothing)] = 0.0
    with np.errstate(all="ignore"):
        coefficients = fitted * data.Y.size[outputs, None] / scaled.size[chosen]
        constants = data.Y.centre[outputs] - np.einsum("km,km->k", coefficients, scaled.centre[chosen])
        parts = np.abs(data.Y.centre[outputs]) + np.einsum(
            "km,km->k", np.abs(coefficients), np.abs(scaled.centre[chosen])
        )
    constants[np.abs(constants) < tuning().nothing * parts] = 0.0
    return Sums(outputs, chosen, coefficients, constants, losses)


# ---- which squares and products


def values_of(features: list[Feature], X: Array) -> Array:
    """(n, p) values of the features."""
    out = np.empty((len(X), len(features)))
    with np.errstate(all="ignore"):
        for column, feature in zip(out.T, features, strict=True):
            np.prod(X[:, feature], axis=1, out=column)
    return out


def quadratic_features(data: Data, X: Array) -> list[Feature]:
    """The inputs, and of their squares and products all or those that say most about any of the outputs."""
    d = X.shape[1]
    single: list[Feature] = [(i,) for i in range(d)]
    if d * (d + 3) // 2 <= tuning().features:
        return single + list(combinations_with_replacement(range(d), 2))
    n = min(data.n_rows, tuning().screened_rows)
    Z, Y = data.weighted(data.X.values)[:n], data.weighted(data.Y.values)[:n]
    # What lines leave is what products are to explain.
    Y = Y - Z @ np.linalg.lstsq(Z, Y, rcond=1e-8)[0]
    Y /= np.maximum(Y.std(axis=0), 1e-300)
    inputs = _inputs_to_multiply(Z, Y)
    pairs = list(combinations_with_replacement(inputs.tolist(), 2))
    scores = np.empty(len(pairs))
    for i, first in enumerate(inputs):
        start = i * len(inputs) - i * (i - 1) // 2
        products = Z[:, [first]] * Z[:, inputs[i:]]
        products -= products.mean(axis=0)
        products /= np.maximum(products.std(axis=0), 1e-300)
        scores[start : start + len(inputs) - i] = np.abs(Y.T @ products).max(axis=0)
    best = np.argsort(-scores, kind="stable")[: tuning().features - min(d, tuning().features // 2)]
    return single + [pairs[i] for i in sorted(best)]


def _inputs_to_multiply(Z: Array, Y: Array) -> Array:
    """As many inputs as there is time for, those first that y or its square depends on."""
    n, d = Z.shape
    most = max(8, int(np.sqrt(2.0 * tuning().screened_work / (n * Y.shape[1]))))
    if d <= most:
        return np.arange(d)
    square = Y * Y - np.mean(Y * Y, axis=0)
    score = np.maximum(np.abs(Z.T @ Y).max(axis=1), np.abs(Z.T @ square).max(axis=1) / 2.0)
    score = np.maximum(score, np.abs((Z * Z - 1.0).T @ Y).max(axis=1))
    return np.sort(np.argsort(-score, kind="stable")[:most])
