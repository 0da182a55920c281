"""Constants fitted by Levenberg-Marquardt (Levenberg 1944, Marquardt 1963).

Each step solves ``(J'WJ + lambda diag(J'WJ)) d = J'W r`` for the change d of the constants; lambda is
raised until the loss falls and lowered after every step that succeeded. Losses other than the squared
one enter through the weights W, renewed at every step (:mod:`.losses`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from symtorch.engines.native.fitting.losses import SQUARED, Loss
from symtorch.engines.native.fitting.tape import Tape
from symtorch.engines.native.fitting.tuning import FittingTuning
from symtorch.engines.native.tuning import current
from symtorch.equations.expr import Expr

_LEAST_DAMPING = 1e-12
"""Lambda is a Gauss-Newton step's rounding below this."""
_NO_GAIN = 1e-10
"""Relative gain at which a fit is at its end, even if the last steps were fast."""


@dataclass(frozen=True)
class Rows:
    """Rows that candidates are fitted to.

    Attributes:
        columns: the inputs, one contiguous array each.
        y: (n,) the targets.
        weights: (n,) with mean 1, or None.
    """

    columns: tuple[np.ndarray, ...]
    y: np.ndarray
    weights: np.ndarray | None = None

    @classmethod
    def of(cls, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> Rows:
        if weights is not None:
            weights = weights / weights.mean()
        return cls(tuple(np.ascontiguousarray(column) for column in X.T), np.ascontiguousarray(y), weights)

    def __len__(self) -> int:
        return len(self.y)


def loss_of(expr: Expr, rows: Rows, loss: Loss = SQUARED) -> float:
    """Mean loss of an expression as it is; infinite where it isn't finite on every row."""
    tape = Tape(expr)
    with np.errstate(all="ignore"):
        out = tape.forward(rows.columns, tape.constants)[-1]
        return loss.mean(np.broadcast_to(out, (len(rows),)) - rows.y, rows.y, rows.weights)


def fit(expr: Expr, rows: Rows, loss: Loss = SQUARED, steps: int = 30, enough: float = 0.0) -> tuple[Expr, float]:
    """The expression with its constants fitted, and its mean loss.

    Args:
        expr: a normal form; its constants are the starting point.
        steps: at most so many steps.
        enough: stop once the mean loss is below this.
    """
    with np.errstate(all="ignore"):
        fitting = _Fitting(Tape(expr), rows, loss)
        fitting.descend(steps, enough)
        return fitting.found, fitting.best


def fit_if_promising(expr: Expr, rows: Rows, loss: Loss, first: int, steps: int, hopeless: float) -> tuple[Expr, float]:
    """:func:`fit`, unless the first steps leave more than is hopeless: then the loss is infinite.

    Args:
        first: so many steps show what a form is good for.
        steps: at most so many in all.
        hopeless: mean loss.
    """
    with np.errstate(all="ignore"):
        fitting = _Fitting(Tape(expr), rows, loss)
        fitting.descend(first, 0.0)
        if fitting.best > hopeless:
            return expr, math.inf
        fitting.descend(steps - first, 0.0)
        return fitting.found, fitting.best


class _Fitting:
    """Constants under way, and the mean loss that they have."""

    def __init__(self, tape: Tape, rows: Rows, loss: Loss) -> None:
        self._tape, self._rows, self._loss = tape, rows, loss
        self._constants = tape.constants
        self._values = tape.forward(rows.columns, tape.constants)
        self._residuals = rows.y - self._values[-1]
        self.best = loss.mean(-self._residuals, rows.y, rows.weights)

    @property
    def found(self) -> Expr:
        return self._tape.expr if self._constants is self._tape.constants else self._tape.rebuild(self._constants)

    def descend(self, steps: int, enough: float) -> None:
        """At most so many steps, fewer where they bring little or once the mean loss is below ``enough``."""
        tape, rows, loss = self._tape, self._rows, self._loss
        c, values, residuals, best = self._constants, self._values, self._residuals, self.best
        if not math.isfinite(best) or len(c) == 0:
            return
        tuning = current(FittingTuning)
        damping, slow = tuning.damping, 0
        J = np.empty((len(c), len(rows)))
        for _ in range(steps):
            _jacobian(tape, values, J)
            r = _weighted(J, residuals, rows, loss)
            A = J @ J.T
            # In units of each constant's own sensitivity, so that no choice of units spoils the solve.
            size = np.sqrt(A.diagonal())
            if not math.isfinite(size.sum()):
                break
            size[size == 0.0] = 1.0
            A /= size
            A /= size[:, None]
            g = (J @ r) / size
            on_diagonal = A.reshape(-1)[:: len(c) + 1]  # a view
            diagonal = on_diagonal.copy()
            for _ in range(tuning.most_raises):
                on_diagonal[:] = diagonal + damping
                try:
                    step = np.linalg.solve(A, g) / size
                except np.linalg.LinAlgError:
                    damping *= tuning.raised
                    continue
                tried = tape.forward(rows.columns, c + step, values)
                residuals_tried = rows.y - tried[-1]
                found = loss.mean(-residuals_tried, rows.y, rows.weights)
                if found < best:
                    break
                damping *= tuning.raised
            else:
                break
            gain = (best - found) / best
            c, values, residuals, best = c + step, tried, residuals_tried, found
            damping = max(damping / tuning.lowered, _LEAST_DAMPING)
            if best <= enough:
                break
            slow = slow + 1 if gain < tuning.slow else 0
            if slow > tuning.most_slow or gain < _NO_GAIN:
                break
        self._constants, self._values, self._residuals, self.best = c, values, residuals, best


def _jacobian(tape: Tape, values: list[Any], J: np.ndarray) -> None:
    """Fill J, (n_constants, n), with the derivative of the output by each constant on each row."""
    adjoints = tape.backward(values, constants_only=True)
    for row, node in zip(J, tape.constant_nodes, strict=True):
        row[:] = adjoints[node]


def _weighted(J: np.ndarray, residuals: np.ndarray, rows: Rows, loss: Loss) -> np.ndarray:
    """The residuals in units of their weights' inverse roots; so is J, in place."""
    weights = rows.weights
    if loss.weight is not None:
        own = loss.weight(-residuals, rows.y)
        weights = own if weights is None else weights * own
    if weights is None:
        return residuals
    root = np.sqrt(weights)
    J *= root
    return residuals * root
