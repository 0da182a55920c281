"""Derivative data: how far an expression's derivatives by the inputs are off, and constants that heed both.

A row says what the output is and how it changes with each input. Residuals of a derivative are taken times the
spread of its input, so that they are in units of the output, and their mean over the inputs counts as much as
the residual of the value (Sobolev training, Czarnecki et al. 2017, arXiv 1706.04859, has such a sum).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.fitting.levenberg_marquardt import Rows
from symtorch.engines.native.fitting.losses import Loss
from symtorch.engines.native.fitting.tape import Tape
from symtorch.engines.native.fitting.tuning import FittingTuning
from symtorch.engines.native.tuning import current
from symtorch.equations.expr import Expr, Variable

_STEP = float(np.finfo(np.float64).eps) ** (1.0 / 3.0)
"""Relative step of a central difference."""


@dataclass(frozen=True)
class Slopes:
    """Derivatives of one output on some rows.

    Attributes:
        rows: inputs and values.
        by_input: (n_inputs, n), times the spread of the input.
        spread: (n_inputs,), standard deviation of each input on the rows; 0 leaves out what doesn't vary.
    """

    rows: Rows
    by_input: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, y: np.ndarray, gradients: np.ndarray, weights: np.ndarray | None = None) -> Slopes:
        """Of rows X (n, n_inputs), values y (n,) and derivatives (n, n_inputs)."""
        spread = X.std(axis=0)
        return cls(Rows.of(X, y, weights), np.ascontiguousarray(gradients.T) * spread[:, None], spread)

    def residuals(self, tape: Tape, constants: np.ndarray) -> np.ndarray:
        """(1 + n_inputs, n), prediction minus data: of the values, then of the derivatives, as they are weighed."""
        n = len(self.rows)
        with np.errstate(all="ignore"):
            values = tape.forward(self.rows.columns, constants)
            adjoints = tape.backward(values)
            out = np.zeros((1 + len(self.spread), n))
            out[0] = values[-1] - self.rows.y
            out[1:] = -self.by_input
            for node, instruction in enumerate(tape.instructions):
                if isinstance(_node(tape, node), Variable):
                    out[1 + instruction.number] += adjoints[node] * self.spread[instruction.number]
        return out

    def loss(self, tape: Tape, constants: np.ndarray, loss: Loss) -> float:
        """Mean loss of the values and, in the mean over the inputs, of the derivatives."""
        residuals = self.residuals(tape, constants)
        with np.errstate(all="ignore"):
            pairs = zip(self.shares, residuals, strict=True)
            return float(
                sum(share * loss.mean(r, np.zeros_like(r), self.rows.weights) for share, r in pairs if share > 0.0)
            )

    @property
    def shares(self) -> np.ndarray:
        """(1 + n_inputs,), what each row of the residuals counts."""
        varying = self.spread > 0.0
        return np.concatenate([[1.0], varying / max(1, int(varying.sum()))])


def _node(tape: Tape, node: int) -> Expr:
    """What an instruction stands for."""
    expr = tape.expr
    for i in tape.instructions[node].path:
        expr = expr.children[i]
    return expr


def loss_with_slopes(expr: Expr, slopes: Slopes, loss: Loss) -> float:
    """The loss of a normal form as it is, on values and derivatives; infinite where one isn't finite."""
    tape = Tape(expr)
    found = slopes.loss(tape, tape.constants, loss)
    return found if math.isfinite(found) else math.inf


def fit_with_slopes(expr: Expr, slopes: Slopes, loss: Loss, steps: int = 20) -> tuple[Expr, float]:
    """The expression with its constants fitted to values and derivatives, and its loss.

    Levenberg-Marquardt, with the change of all residuals by each constant from central differences.

    Args:
        expr: a normal form; its constants are the starting point.
        steps: at most so many.
    """
    tape, tuning = Tape(expr), current(FittingTuning)
    c = tape.constants
    best = slopes.loss(tape, c, loss)
    if not math.isfinite(best) or not len(c):
        return expr, best if math.isfinite(best) else math.inf
    damping = tuning.damping
    for _ in range(steps):
        r = slopes.residuals(tape, c)
        root = _root_weights(slopes, r, loss)
        J = np.stack([(root * _change(slopes, tape, c, k)).ravel() for k in range(len(c))])
        A, g = J @ J.T, -(J @ (root * r).ravel())
        size = np.sqrt(A.diagonal())
        if not math.isfinite(size.sum()):
            break
        size[size == 0.0] = 1.0
        A, g = A / size / size[:, None], g / size
        for _ in range(tuning.most_raises):
            tried = c + np.linalg.lstsq(A + damping * np.diag(A.diagonal()), g, rcond=None)[0] / size
            found = slopes.loss(tape, tried, loss)
            if found < best:
                break
            damping *= tuning.raised
        else:
            break
        gain, c, best = (best - found) / best, tried, found
        damping /= tuning.lowered
        if gain < tuning.slow:
            break
    return tape.rebuild(c), best


def _change(slopes: Slopes, tape: Tape, c: np.ndarray, k: int) -> np.ndarray:
    """(1 + n_inputs, n), how the residuals change with a constant."""
    step = np.zeros_like(c)
    step[k] = _STEP * max(abs(c[k]), _STEP)
    return (slopes.residuals(tape, c + step) - slopes.residuals(tape, c - step)) / (2.0 * step[k])


def _root_weights(slopes: Slopes, residuals: np.ndarray, loss: Loss) -> np.ndarray:
    """(1 + n_inputs, n), roots of what each residual's square counts."""
    weights = np.ones_like(residuals) if loss.weight is None else loss.weight(residuals, np.zeros_like(residuals))
    if slopes.rows.weights is not None:
        weights = weights * slopes.rows.weights
    return np.sqrt(weights * slopes.shares[:, None])
