"""The family: from a constant over lines, sparse quadratics and links to what all inputs say of an output.

All outputs at once, on all inputs, before anything is screened or searched. So much every output gets, however
many there are and however little time: what comes of a search is then never worse than least squares.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.baseline.around import links_around
from symtorch.engines.native.baseline.design import Data, tamed
from symtorch.engines.native.baseline.polynomials import (
    Feature,
    Sums,
    lines,
    quadratic_features,
    quadratics,
)
from symtorch.engines.native.baseline.tuning import tuning
from symtorch.engines.native.baseline.writing import Writer, Written
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit, loss_of
from symtorch.engines.native.fitting.losses import SQUARED, Loss
from symtorch.engines.options import SearchOptions
from symtorch.equations import normal
from symtorch.equations.expr import Constant, Variable

logger = logging.getLogger("symtorch.engines.native")

_X0, _X1 = Variable(0), Variable(1)

_QUADRATICS_AT_ONCE = 64
_LINKS_AT_ONCE = 128


@dataclass(frozen=True)
class Sketch:
    """A fitted equation, not yet written down.

    Attributes:
        size: what its complexity will be, about.
        loss: mean squared error as a share of the output's variance.
        write: how to write it down.
    """

    size: float
    loss: float
    write: Callable[[], Written | None]


def baselines(
    X: np.ndarray,
    Y: np.ndarray,
    options: SearchOptions,
    *,
    weights: np.ndarray | None = None,
    loss: Loss = SQUARED,
    seconds: float | None = None,
    seed: int = 0,
) -> list[list[Written]]:
    """Equations by least squares for every output, the simplest first; none where an output doesn't vary.

    Args:
        X: (n, d) inputs, all of them.
        Y: (n, k) outputs.
        options: the search space over all inputs. Where it names no ``maxsize``, equations may be as large as a
            line through all inputs within one function.
        weights: (n,) or None.
        loss: what is minimised. Terms are chosen by squared errors in any case.
        seconds: after which what there is must do; one line for each output there is in any case.
        seed: of the rows that are drawn.

    Returns:
        For each output equations of rising complexity and falling loss, their losses those on the rows used.
    """
    family = _Family(X, Y, options, weights, seconds, seed)
    room = family.writer.most_terms()
    if room < X.shape[1]:
        logger.info("maxsize %d leaves room for %d of %d inputs in a line", family.writer.size, room, X.shape[1])
    if not loss.is_squared:
        family.data = Data.of(family.X, tamed(family.data, family.Y, loss, family.stop), family.weights)
    family.fit()
    if loss.is_squared:
        return family.written()
    return [family.refitted(k, written, loss) for k, written in enumerate(family.written())]


class _Family:
    """The sketches of all outputs as they come."""

    def __init__(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        options: SearchOptions,
        weights: np.ndarray | None,
        seconds: float | None,
        seed: int,
    ) -> None:
        self._started, self._seconds = time.monotonic(), seconds
        self._rng = np.random.default_rng(seed)
        most = tuning().most_rows
        if seconds is not None:
            enough = round(tuning().work * max(seconds, 1.0) / (X.shape[1] * Y.shape[1]))
            most = max(tuning().least_rows, min(most, enough))
        if len(X) > most:
            rows = np.sort(self._rng.choice(len(X), most, replace=False))
            X, Y, weights = X[rows], Y[rows], None if weights is None else weights[rows]
        self.X, self.Y, self.weights = X, Y, weights
        self.data = Data.of(X, Y, weights)
        self.writer = Writer(options, X.shape[1])
        self.sketches: list[list[Sketch]] = [[] for _ in range(Y.shape[1])]

    def _late(self, share: float) -> bool:
        return self._seconds is not None and time.monotonic() - self._started > share * self._seconds

    def stop(self) -> bool:
        return self._late(tuning().fitting)

    # ---- fitting

    def fit(self) -> None:
        singles: list[Feature] = [(i,) for i in range(self.X.shape[1])]
        self._add(lines(self.data, self.writer.most_terms(), self.stop), singles)
        features = self._products(singles)
        if len(features) > len(singles) and not self.stop():
            most = self.writer.most_terms(factors=2)
            for part in self._inexact(_QUADRATICS_AT_ONCE):
                if self.stop():
                    break
                found = quadratics(self.data.outputs(part), self.X, features, most, self.stop)
                self._add(found, features, part)
        for part in self._inexact(_LINKS_AT_ONCE):
            if self.stop():
                break
            level = np.array([self._level(k) for k in part])
            for position, sketch in links_around(self.data.outputs(part), self.writer, level, self._rng, self.stop):
                self.sketches[part[position]].append(Sketch(*sketch))

    def _products(self, singles: list[Feature]) -> list[Feature]:
        """The inputs and the products of two of them that can be written."""
        can = {
            square: self.writer.written(normal.multiply([_X0, _X0 if square else _X1]), 0.0) is not None
            for square in (True, False)
        }
        if not any(can.values()) or self.stop():
            return singles
        features = quadratic_features(self.data, self.X)
        return [f for f in features if len(f) == 1 or can[f[0] == f[1]]]

    def _inexact(self, at_once: int) -> Iterable[np.ndarray]:
        """The outputs that vary and that nothing has explained yet, in groups."""
        varies = self.data.Y.size > 0.0
        open_ = [k for k in range(len(self.sketches)) if varies[k] and self._level(k) > tuning().solved]
        return [np.array(open_[i : i + at_once]) for i in range(0, len(open_), at_once)]

    def _level(self, k: int) -> float:
        return min((sketch.loss for sketch in self.sketches[k]), default=1.0)

    def _add(self, found: Iterable[Sums], features: list[Feature], outputs: np.ndarray | None = None) -> None:
        for sums in found:
            factors = 2 if len(features[-1]) == 2 else 1
            size = self.writer.of_line(sums.chosen.shape[1])
            for i, position in enumerate(sums.outputs):
                k = position if outputs is None else outputs[position]
                chosen = [features[j] for j in sums.chosen[i]]
                more = sum(len(f) - 1 for f in chosen) if factors == 2 else 0
                self.sketches[k].append(
                    Sketch(
                        size + self.writer.factor * more,
                        float(sums.losses[i]),
                        lambda c=chosen, s=sums, i=i, k=k: self.writer.sum(  # type: ignore[misc]
                            c,
                            s.coefficients[i],
                            float(s.constants[i]),
                            self._absolute(k, s.losses[i]),
                            s.losses[i] < tuning().exact,
                        ),
                    )
                )

    def _absolute(self, k: int, share: float) -> float:
        with np.errstate(over="ignore"):
            return float(share * self.data.Y.size[k] * self.data.Y.size[k])

    # ---- writing

    def written(self) -> list[list[Written]]:
        """The equations worth having, written down: of every output the most accurate first, while there is time."""
        waiting = [thinned(sketches)[::-1] for sketches in self.sketches]
        done: list[list[Written]] = []
        for k, size in enumerate(self.data.Y.size):
            constant = self.writer.written(Constant(float(self.data.Y.centre[k])), self._absolute(k, 1.0))
            done.append([constant] if constant is not None and size > 0.0 else [])
        for turn in range(max((len(sketches) for sketches in waiting), default=0)):
            for k, sketches in enumerate(waiting):
                if turn < len(sketches) and (turn == 0 or not self._late(1.0)):
                    equation = sketches[turn].write()
                    if equation is not None:
                        done[k].append(equation)
        return [pareto(equations) for equations in done]

    def refitted(self, k: int, equations: list[Written], loss: Loss) -> list[Written]:
        """The same equations with constants fitted by another loss, while there is time."""
        data = Rows.of(self.X, self.Y[:, k], self.weights)
        out = []
        for equation in equations:
            expr = normal.normalise(equation.tree)
            if self._late(1.0):
                found = loss_of(expr, data, loss)
            else:
                expr, found = fit(expr, data, loss, 12)
            again = self.writer.written(expr, found)
            if again is not None and np.isfinite(found):
                out.append(again)
        return pareto(out)


def thinned(sketches: Iterable[Sketch]) -> list[Sketch]:
    """Of fitted equations those that are worth their size, the simplest first."""
    kept: list[Sketch] = []
    level, last, worth_last = 1.0, None, tuning().worth_last
    for sketch in sorted(sketches, key=lambda s: (s.size, s.loss)):
        if sketch.loss < tuning().worth * level and (level > tuning().solved or not kept):
            kept.append(sketch)
            level = sketch.loss
        elif level > tuning().solved and sketch.loss < worth_last * min(level, np.inf if last is None else last.loss):
            last = sketch
    if last is not None and last.loss < worth_last * level:
        kept.append(last)
    return kept


def pareto(equations: Iterable[Written]) -> list[Written]:
    """Rising complexity, falling loss."""
    kept: list[Written] = []
    for equation in sorted(equations, key=lambda w: (w.complexity, w.loss)):
        if not kept or equation.loss < kept[-1].loss:
            kept.append(equation)
    return kept
