"""Whether an equation can run in the type of its block: what float64 carries, float32 may not.

``3.6e43*exp(-363*x)`` is an ordinary number in float64 and infinity times zero in float32; ``1e7*exp(1e-3*x) - 1e7``
keeps three digits of seven there. Fits are done in float64, so each equation is run once more in the type in which
it will be used, before it may stand on a front.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symtorch.engines.native.fitting.losses import Loss
from symtorch.engines.native.fitting.tuning import FittingTuning
from symtorch.engines.native.tuning import current
from symtorch.equations.expr import Call, Constant, Expr, Variable, fold, walk

_ABSURD = 1e100
"""No law needs a constant as large as this, or as small as its inverse: columns of extreme size have units."""


def runs(tree: Expr, columns: Sequence[np.ndarray], dtype: np.dtype, own: float, scale: float, loss: Loss) -> bool:
    """Whether an equation has finite values on every row in a type, at every node, and the same as in float64.

    Args:
        tree: in the user's operators: the order of its steps counts.
        columns: (n,) each, the inputs in float64.
        own: its loss, as a share of ``scale``: an equation that is rough anyway may be rough in running.
        scale: mean loss of the best constant.
        loss: that is used.
    """
    constants = [abs(node.value) for node in walk(tree) if isinstance(node, Constant) and node.value != 0.0]
    if not all(1.0 / _ABSURD < value < _ABSURD for value in constants):
        return False
    exact = _values(tree, columns, np.dtype(np.float64))
    if exact is None or dtype == np.float64:
        return exact is not None
    values = _values(tree, columns, dtype) if max(constants, default=0.0) <= float(np.finfo(dtype).max) else None
    if values is None:
        return False
    tuning = current(FittingTuning)
    # Rounding of the answer itself, and some of what comes before it, is in the nature of the type.
    rounding = tuning.rounded * float(np.finfo(dtype).eps) * np.abs(exact)
    with np.errstate(all="ignore"):
        lost = loss.mean(np.maximum(np.abs(values - exact) - rounding, 0.0), exact, None)
    return lost <= max(tuning.lost_running, tuning.lost_share * own) * scale


def finite(tree: Expr, X: np.ndarray, dtype: np.dtype) -> bool:
    """Whether a tree in the user's operators has finite values in a type on every row of X, at every node."""
    return _values(tree, tuple(X.T), dtype) is not None


def _values(tree: Expr, columns: Sequence[np.ndarray], dtype: np.dtype) -> np.ndarray | None:
    """Values in a type, every step rounded to it, as float64; None where a step has one that is not finite."""
    finite = True

    def rule(node: Expr, values: list[Any]) -> Any:
        nonlocal finite
        if isinstance(node, Constant):
            return dtype.type(node.value)
        if isinstance(node, Variable):
            return columns[node.index].astype(dtype)
        assert isinstance(node, Call)
        out = np.asarray(node.op.numpy(*values), dtype=dtype)
        finite = finite and bool(np.isfinite(out).all())
        return out

    with np.errstate(all="ignore"):
        out = np.asarray(fold(tree, rule), dtype=np.float64)
    return np.broadcast_to(out, (len(columns[0]),)) if finite else None
