"""Which functions around a line fit which outputs, with all inputs and with fewer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from symtorch.engines.native.baseline import links
from symtorch.engines.native.baseline.design import Data
from symtorch.engines.native.baseline.links import Fits, Targets
from symtorch.engines.native.baseline.polynomials import EXACT, LADDER, NOTHING
from symtorch.engines.native.baseline.writing import NamedLink, Writer, Written, as_sum, rounded
from symtorch.engines.native.forms import normal
from symtorch.equations.expr import Constant

Array = np.ndarray
Found = tuple[int, tuple[float, float, Callable[[], Written | None]]]
"""Position of the output; size, loss as a share of the variance, and how to write it down."""

_FEW_ROWS = 256
_ROWS_PER_PARAMETER = 6
_ROWS = 4096
"""Rows of the fit that counts."""
_MOST_INPUTS = 128
"""Of more inputs those with the largest weights in a line are taken."""
_HOPEFUL = 1.5
"""A start is followed if its loss is less than so many times the line's."""
_BETTER = 0.95
"""A link counts if it leaves less than this share of what the line leaves."""
_FOLLOWED = 2
"""Links that are followed to the end for each output."""
_FIRST_STEPS = ((6, 99), (12, 5))
"""Steps of the first fits, and how many links go so far for each output."""
_STEPS, _SPARSE_STEPS, _LAST_STEPS = 30, 8, 4


def links_around(
    data: Data, writer: Writer, level: Array, rng: np.random.Generator, stop: Callable[[], bool]
) -> Iterator[Found]:
    """Every link that explains an output better than sums do.

    Args:
        level: (k,) share of the variance that sums leave.
        rng: draws the rows of the first fits.
    """
    inputs = _inputs(data)
    if len(inputs) == 0 or not writer.links:
        return
    n, p = data.n_rows, len(inputs)
    all_rows = Targets(
        np.ascontiguousarray(data.X.values[:, inputs].T), np.ascontiguousarray(data.Y.values.T), data.root
    )
    order = rng.permutation(n)
    few = all_rows.rows(np.sort(order[: max(_FEW_ROWS, _ROWS_PER_PARAMETER * (p + 3))]))
    rows = all_rows if n <= _ROWS else all_rows.rows(np.sort(order[:_ROWS]))
    natural = 1.0 / data.Y.size, -data.Y.centre / data.Y.size  # a and c that are 1 and 0 in the outputs' own units
    line, line_loss = _line(few)
    directions = [line, links.curvature_directions(few)]
    begun: list[tuple[NamedLink, bool, Fits]] = []
    for named in writer.links:
        if stop():
            break
        for held in (True, False):
            tried = links.start_through(named.link, few, *natural) if held else links.start(named.link, few, directions)
            begun.append(
                (named, held, Fits(tried.theta, np.where(tried.loss < _HOPEFUL * line_loss, tried.loss, np.inf)))
            )
    # Successive halving: all for some steps, the better ones for more.
    for steps, most in _FIRST_STEPS:
        if not begun or stop():
            return
        begun = [
            (named, held, links.fit(named.link, fits, few, steps, stop, held))
            for (named, held, _), fits in zip(begun, _best(begun, most), strict=True)
        ]
    for (named, held, _), fits in zip(begun, _best(begun, _FOLLOWED), strict=True):
        chosen = np.flatnonzero(fits.loss < _BETTER * line_loss)
        if len(chosen) == 0 or stop():
            continue
        part = rows.outputs(chosen)
        full = links.fit(named.link, fits.take(chosen), part, _STEPS, stop, held)
        true = links.loss(named.link, full.theta, all_rows.outputs(chosen))
        good = true < _BETTER * level[chosen]
        chosen, full, true = chosen[good], full.take(good), true[good]
        if len(chosen):
            yield from _recorded(data, writer, named, held, inputs, chosen, None, full.theta, true)
            yield from _sparse(data, writer, named, held, inputs, chosen, full, few, rows, all_rows, stop)


def _best(begun: list[tuple[NamedLink, bool, Fits]], most: int) -> list[Fits]:
    """The same fits, without (their loss infinite) those that are not among the best of their output."""
    losses = np.stack([fits.loss for _, _, fits in begun])
    rank = np.argsort(np.argsort(losses, axis=0, kind="stable"), axis=0)
    return [Fits(fits.theta, np.where(rank[i] < most, fits.loss, np.inf)) for i, (_, _, fits) in enumerate(begun)]


def _inputs(data: Data) -> Array:
    """The inputs that vary; of many those with the largest weights in any output's line."""
    inputs = np.flatnonzero(data.X.size > 0.0)
    if len(inputs) <= _MOST_INPUTS:
        return inputs
    weights = np.linalg.lstsq(data.weighted(data.X.values[:, inputs]), data.weighted(data.Y.values), rcond=1e-8)[0]
    return np.sort(inputs[np.argsort(-np.abs(weights).max(axis=1), kind="stable")[:_MOST_INPUTS]])


def _line(data: Targets) -> tuple[Array, Array]:
    """(k, p) weights of the outputs' lines, scaled to unit variance along them, and (k,) what these leave."""
    F = data.weighted(np.vstack([data.columns, np.ones(data.Y.shape[1])]))
    y = data.weighted(data.Y)
    theta = np.linalg.lstsq(F.T, y.T, rcond=1e-10)[0]
    left = np.mean((y.T - F.T @ theta) ** 2, axis=0)
    w = theta[:-1].T
    spread = np.std(data.along(w), axis=1)
    return w / np.where(spread > 0.0, spread, 1.0)[:, None], np.maximum(left, 1e-28)


def _sparse(
    data: Data,
    writer: Writer,
    named: NamedLink,
    held: bool,
    inputs: Array,
    outputs: Array,
    full: Fits,
    few: Targets,
    rows: Targets,
    all_rows: Targets,
    stop: Callable[[], bool],
) -> Iterator[Found]:
    """The same link around the inputs with the largest weights only."""
    order = np.argsort(-np.abs(full.theta[:, :-3]), axis=1, kind="stable")
    p = len(inputs)
    at_once = max(1, links.AT_ONCE // (p * few.Y.shape[1]))
    for size in sorted({*LADDER, writer.most_terms(_around(writer, named, held))}):
        if size >= p or size == 0:
            continue
        for first in range(0, len(outputs), at_once):
            if stop():
                return
            part = slice(first, first + at_once)
            kept = np.sort(order[part, :size], axis=1)
            theta = np.hstack([np.take_along_axis(full.theta[part, :-3], kept, axis=1), full.theta[part, -3:]])
            fits = Fits(theta, full.loss[part])
            for data_, steps in ((few, _SPARSE_STEPS), (rows, _LAST_STEPS)):
                own = Targets(data_.columns[kept], data_.Y[outputs[part]], data_.root)
                fits = links.fit(named.link, fits, own, steps, stop, held)
            own = Targets(all_rows.columns[kept], all_rows.Y[outputs[part]], all_rows.root)
            losses = links.loss(named.link, fits.theta, own)
            yield from _recorded(data, writer, named, held, inputs, outputs[part], kept, fits.theta, losses)


def _around(writer: Writer, named: NamedLink, held: bool) -> float:
    return named.cost + (0.0 if held else writer.factor_and_constant)


def _recorded(
    data: Data,
    writer: Writer,
    named: NamedLink,
    held: bool,
    inputs: Array,
    outputs: Array,
    kept: Array | None,
    theta: Array,
    losses: Array,
) -> Iterator[Found]:
    size = writer.of_line(theta.shape[1] - 3) + _around(writer, named, held)
    if size > writer.size:
        return
    for row, k in enumerate(outputs):
        if np.isfinite(losses[row]):
            columns = inputs if kept is None else inputs[kept[row]]

            def write(row: int = row, k: int = int(k), columns: Array = columns) -> Written | None:
                return _written(data, writer, named, held, k, columns, theta[row], float(losses[row]))

            yield int(k), (size, float(losses[row]), write)


def _written(
    data: Data, writer: Writer, named: NamedLink, held: bool, k: int, columns: Array, theta: Array, share: float
) -> Written | None:
    """The link in the units of the inputs and the output."""
    exact = share < EXACT
    w = theta[:-3] / data.X.size[columns]
    parts = w * data.X.centre[columns]
    b = theta[-3] - parts.sum()
    a, c = 1.0, 0.0
    if not held:
        a, c = theta[-2] * data.Y.size[k], data.Y.centre[k] + theta[-1] * data.Y.size[k]
        if named.homogeneous and a != 0.0:
            w, b, parts, a = w * abs(a), b * abs(a), parts * abs(a), math.copysign(1.0, a)
    if exact:
        b = 0.0 if abs(b) < NOTHING * (np.abs(parts).sum() + 1.0) else rounded(b)
        c = 0.0 if abs(c) < NOTHING * abs(data.Y.centre[k]) + NOTHING * data.Y.size[k] else rounded(c)
        w, a = np.array([rounded(value) for value in w]), rounded(a)
    line = as_sum([(float(value), (int(i),)) for value, i in zip(w, columns, strict=True) if value != 0.0], float(b))
    with np.errstate(over="ignore"):
        loss = float(share * data.Y.size[k] * data.Y.size[k])
    out = normal.multiply([Constant(float(a)), named.build(line)])
    return writer.written(normal.add([out, Constant(float(c))]), loss)
