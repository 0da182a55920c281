"""Constants fitted by Levenberg-Marquardt (Levenberg 1944, Marquardt 1963).

Each step solves ``(J'WJ + lambda diag(J'WJ)) d = J'W r`` for the change d of the constants; lambda is
raised until the loss falls and lowered after every step that succeeded. Losses other than the squared
one enter through the weights W, renewed at every step (:mod:`.losses`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.losses import SQUARED, Loss
from symtorch.engines.native.tape import Tape
from symtorch.equations.expr import Expr

_MAX_RAISES = 6
"""How often lambda is raised within one step before the fit is taken to be at its end."""


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
        return loss.mean(np.broadcast_to(out, (len(rows),)) - rows.y, rows.weights)


def fit(expr: Expr, rows: Rows, loss: Loss = SQUARED, steps: int = 30, enough: float = 0.0) -> tuple[Expr, float]:
    """The expression with its constants fitted, and its mean loss.

    Args:
        expr: a normal form; its constants are the starting point.
        steps: at most so many steps.
        enough: stop once the mean loss is below this.
    """
    with np.errstate(all="ignore"):
        return _fit(Tape(expr), rows, loss, steps, enough)


def _fit(tape: Tape, rows: Rows, loss: Loss, steps: int, enough: float) -> tuple[Expr, float]:
    c = tape.constants
    values = tape.forward(rows.columns, c)
    residuals = rows.y - values[-1]
    best = loss.mean(np.broadcast_to(-residuals, (len(rows),)), rows.weights)
    if not np.isfinite(best) or len(c) == 0:
        return tape.expr, best
    damping, slow = 1e-3, 0
    for _ in range(steps):
        J, r = _weighted(jacobian(tape, values, len(rows)), residuals, rows, loss)
        if not np.isfinite(J).all():
            break
        # In units of each constant's own sensitivity, so that no choice of units spoils the solve.
        size = np.linalg.norm(J, axis=1)
        size[size == 0.0] = 1.0
        J = J / size[:, None]
        A, g = J @ J.T, J @ r
        for _ in range(_MAX_RAISES):
            try:
                step = np.linalg.solve(A + damping * np.eye(len(c)), g) / size
            except np.linalg.LinAlgError:
                damping *= 10.0
                continue
            tried = tape.forward(rows.columns, c + step)
            residuals_tried = rows.y - tried[-1]
            found = loss.mean(-residuals_tried, rows.weights)
            if found < best:
                break
            damping *= 8.0
        else:
            break
        gain = (best - found) / best
        c, values, residuals, best = c + step, tried, residuals_tried, found
        damping = max(damping / 10.0, 1e-12)
        if best <= enough:
            break
        slow = slow + 1 if gain < 1e-4 else 0
        if slow > 2 or gain < 1e-10:
            break
    return tape.rebuild(c), best


def jacobian(tape: Tape, values: Sequence[np.ndarray], n: int) -> np.ndarray:
    """(n_constants, n): derivative of the output by each constant on each row."""
    adjoints = tape.backward(list(values), n)
    return np.stack([np.broadcast_to(adjoints[i], (n,)) for i in tape.constant_nodes])


def _weighted(J: np.ndarray, residuals: np.ndarray, rows: Rows, loss: Loss) -> tuple[np.ndarray, np.ndarray]:
    weights = rows.weights
    if loss.weight is not None:
        own = loss.weight(-residuals)
        weights = own if weights is None else weights * own
    if weights is None:
        return J, residuals
    root = np.sqrt(weights)
    return J * root, residuals * root
