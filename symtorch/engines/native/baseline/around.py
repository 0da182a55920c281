"""Which functions around a line fit which outputs, with all inputs and with fewer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from symtorch.engines.native.baseline import links
from symtorch.engines.native.baseline.design import Data
from symtorch.engines.native.baseline.links import Fits, Targets
from symtorch.engines.native.baseline.tuning import tuning
from symtorch.engines.native.baseline.writing import NamedLink, Writer, Written, as_sum, rounded
from symtorch.equations import normal
from symtorch.equations.expr import Constant

Array = np.ndarray
Found = tuple[int, tuple[float, float, Callable[[], Written | None]]]
"""Position of the output; size, loss as a share of the variance, and how to write it down."""


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
    columns = np.ascontiguousarray(data.X.values[:, inputs].T)
    every = Targets(columns, np.ascontiguousarray(data.Y.values.T), data.root)
    order = rng.permutation(data.n_rows)
    n_few = max(tuning().few_rows, tuning().rows_per_parameter * (len(inputs) + 3))
    few, many = (every.rows(np.sort(order[:n])) for n in (n_few, tuning().rows))
    line, line_loss = _line(few)
    for named, held, fits in _hopeful(data, writer, few, line, line_loss, stop):
        chosen = np.flatnonzero(fits.loss < tuning().better * line_loss)
        if len(chosen) == 0 or stop():
            continue
        full = links.fit(named.link, fits.take(chosen), many.outputs(chosen), tuning().steps, stop, held)
        losses = links.loss(named.link, full.theta, every.outputs(chosen))
        good = losses < tuning().better * level[chosen]
        if good.any():
            fitted = _Fitted(data, writer, inputs, (few, many, every), named, held, chosen[good])
            yield from fitted.recorded(fitted.outputs, None, full.theta[good], losses[good])
            yield from fitted.sparse(full.take(good), stop)


def _hopeful(
    data: Data, writer: Writer, few: Targets, line: Array, line_loss: Array, stop: Callable[[], bool]
) -> Iterator[tuple[NamedLink, bool, Fits]]:
    """Each link, with a and c held at 1 and 0 and with them free, begun where it may become one of the best."""
    natural = 1.0 / data.Y.size, -data.Y.centre / data.Y.size  # a and c that are 1 and 0 in the outputs' own units
    directions = [line, links.curvature_directions(few)]
    begun: list[tuple[NamedLink, bool, Fits]] = []
    for named in writer.links:
        if stop():
            break
        for held in (True, False) if named.free else (True,):
            tried = links.start_through(named.link, few, *natural) if held else links.start(named.link, few, directions)
            hopeful = tried.loss < tuning().hopeful * line_loss
            begun.append((named, held, Fits(tried.theta, np.where(hopeful, tried.loss, np.inf))))
    # Successive halving: all for some steps, the better ones for more.
    for steps, most in tuning().first_steps:
        if not begun or stop():
            return
        begun = [
            (named, held, links.fit(named.link, fits, few, steps, stop, held))
            for (named, held, _), fits in zip(begun, _best(begun, most), strict=True)
        ]
    for (named, held, _), fits in zip(begun, _best(begun, tuning().followed), strict=True):
        yield named, held, fits


def _best(begun: list[tuple[NamedLink, bool, Fits]], most: int) -> list[Fits]:
    """The same fits, without (their loss infinite) those that are not among the best of their output."""
    losses = np.stack([fits.loss for _, _, fits in begun])
    rank = np.argsort(np.argsort(losses, axis=0, kind="stable"), axis=0)
    return [Fits(fits.theta, np.where(rank[i] < most, fits.loss, np.inf)) for i, (_, _, fits) in enumerate(begun)]


def _inputs(data: Data) -> Array:
    """The inputs that vary; of many those with the largest weights in any output's line."""
    inputs = np.flatnonzero(data.X.size > 0.0)
    if len(inputs) <= tuning().link_inputs:
        return inputs
    weights = np.linalg.lstsq(data.weighted(data.X.values[:, inputs]), data.weighted(data.Y.values), rcond=1e-8)[0]
    return np.sort(inputs[np.argsort(-np.abs(weights).max(axis=1), kind="stable")[: tuning().link_inputs]])


def _line(data: Targets) -> tuple[Array, Array]:
    """(k, p) weights of the outputs' lines, scaled to unit variance along them, and (k,) what these leave."""
    F = data.weighted(np.vstack([data.columns, np.ones(data.Y.shape[1])]))
    y = data.weighted(data.Y)
    theta = np.linalg.lstsq(F.T, y.T, rcond=1e-10)[0]
    left = np.mean((y.T - F.T @ theta) ** 2, axis=0)
    w = theta[:-1].T
    spread = np.std(data.along(w), axis=1)
    return w / np.where(spread > 0.0, spread, 1.0)[:, None], np.maximum(left, 1e-28)


@dataclass(frozen=True)
class _Fitted:
    """A link that explains some outputs.

    Attributes:
        data, writer: what is fitted, and how it is written.
        inputs: (p,) the inputs that there are weights for.
        rows: few, many and all of them.
        named, held: the link, and whether a and c are 1 and 0.
        outputs: which.
    """

    data: Data
    writer: Writer
    inputs: Array
    rows: tuple[Targets, Targets, Targets]
    named: NamedLink
    held: bool
    outputs: Array

    @property
    def _around(self) -> float:
        """Complexity of what is around the line."""
        return self.named.cost + (0.0 if self.held else self.writer.factor_and_constant)

    def sparse(self, full: Fits, stop: Callable[[], bool]) -> Iterator[Found]:
        """The same link around the inputs with the largest weights only."""
        few, many, every = self.rows
        link, p = self.named.link, len(self.inputs)
        order = np.argsort(-np.abs(full.theta[:, :-3]), axis=1, kind="stable")
        at_once = max(1, links.AT_ONCE // (p * few.Y.shape[1]))
        for size in sorted({*tuning().ladder, self.writer.most_terms(self._around)} - {0}):
            for first in range(0, len(self.outputs) if size < p else 0, at_once):
                if stop():
                    return
                part = slice(first, first + at_once)
                outputs, kept = self.outputs[part], np.sort(order[part, :size], axis=1)
                weights = np.take_along_axis(full.theta[part, :-3], kept, axis=1)
                fits = Fits(np.hstack([weights, full.theta[part, -3:]]), full.loss[part])
                for rows, steps in ((few, tuning().sparse_steps), (many, tuning().last_steps)):
                    own = Targets(rows.columns[kept], rows.Y[outputs], rows.root)
                    fits = links.fit(link, fits, own, steps, stop, self.held)
                own = Targets(every.columns[kept], every.Y[outputs], every.root)
                yield from self.recorded(outputs, kept, fits.theta, links.loss(link, fits.theta, own))

    def recorded(self, outputs: Array, kept: Array | None, theta: Array, losses: Array) -> Iterator[Found]:
        """What was fitted, if there is room for it.

        Args:
            kept: (k, m) positions of the inputs that have weights; None for all.
        """
        size = self.writer.of_line(theta.shape[1] - 3) + self._around
        if size > self.writer.size:
            return
        for row, k in enumerate(outputs):
            if np.isfinite(losses[row]):
                columns = self.inputs if kept is None else self.inputs[kept[row]]
                write = partial(self._written, int(k), columns, theta[row], float(losses[row]))
                yield int(k), (size, float(losses[row]), write)

    def _written(self, k: int, columns: Array, theta: Array, share: float) -> Written | None:
        """The link in the units of the inputs and the output."""
        X, Y = self.data.X, self.data.Y
        w = theta[:-3] / X.size[columns]
        parts = w * X.centre[columns]
        b = theta[-3] - parts.sum()
        a, c = 1.0, 0.0
        if not self.held:
            a, c = theta[-2] * Y.size[k], Y.centre[k] + theta[-1] * Y.size[k]
            if self.named.homogeneous and a != 0.0:
                w, b, parts, a = w * abs(a), b * abs(a), parts * abs(a), math.copysign(1.0, a)
        if share < tuning().exact:
            nothing = tuning().nothing
            b = 0.0 if abs(b) < nothing * (np.abs(parts).sum() + 1.0) else rounded(b)
            c = 0.0 if abs(c) < nothing * (abs(Y.centre[k]) + Y.size[k]) else rounded(c)
            w, a = np.array([rounded(value) for value in w]), rounded(a)
        line = as_sum(
            [(float(value), (int(i),)) for value, i in zip(w, columns, strict=True) if value != 0.0], float(b)
        )
        with np.errstate(over="ignore"):
            loss = float(share * Y.size[k] * Y.size[k])
        out = normal.multiply([Constant(float(a)), self.named.build(line)])
        return self.writer.written(normal.add([out, Constant(float(c))]), loss)
