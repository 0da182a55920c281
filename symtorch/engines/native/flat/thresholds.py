"""Better thresholds for expressions that have them already, by trying all at once.

With everything else as it is, an expression with the step ``u > t`` has two values on each row, one for either side.
Which rows are on which side depends on t alone, so with the rows sorted by u the losses for all thresholds are two
cumulative sums. In turns with the fit of the other constants that goes downhill all the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.fitting.levenberg_marquardt import Rows
from symtorch.engines.native.fitting.losses import Loss
from symtorch.engines.native.forms.choices import idea
from symtorch.engines.native.forms.numbers import shortest_between
from symtorch.equations import normal
from symtorch.equations.expr import Call, Constant, Expr, evaluate
from symtorch.equations.places import places, put

_ZERO, _ONE = Constant(0.0), Constant(1.0)


@dataclass(frozen=True)
class _Side:
    """A step in an expression.

    Attributes:
        u: what is compared with the threshold.
        above, below: what the node is where u is larger, and where it is not.
        at: a threshold -> the node.
    """

    u: Expr
    above: Expr
    below: Expr
    at: Callable[[float], Expr]


def with_better_thresholds(expr: Expr, rows: Rows, loss: Loss) -> Iterator[Expr]:
    """The expression with one of its thresholds at its best place, for each that can be improved."""
    X = np.column_stack(rows.columns)

    def values(tree: Expr) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.broadcast_to(evaluate(tree, X), len(rows))

    now = loss.mean(values(expr) - rows.y, rows.y, rows.weights)
    for path, node in places(expr):
        side = _side(node)
        if side is None:
            continue
        above, below = (loss.value(values(put(expr, path, form)) - rows.y, rows.y) for form in (side.above, side.below))
        threshold, least = _best(values(side.u), above, below, rows.weights)
        if threshold is not None and least < now:
            yield normal.normalise(put(expr, path, side.at(threshold)))


def _side(node: Expr) -> _Side | None:
    if not isinstance(node, Call):
        return None
    op, meant = node.op, idea(node.op)
    if meant in ("greater", "less"):
        first, second = node.args
        turned = isinstance(first, Constant)  # c > u is 0 where u is larger
        if turned == isinstance(second, Constant):
            return None
        values = (_ONE, _ZERO) if turned == (meant == "less") else (_ZERO, _ONE)
        if turned:
            return _Side(second, *values, lambda t: normal.apply(op, [Constant(t), second]))
        return _Side(first, *values, lambda t: normal.apply(op, [first, Constant(t)]))
    kinds = {
        "cond": lambda: (node.args[1], _ZERO),
        "step": lambda: (_ONE, _ZERO),
        "not": lambda: (_ZERO, _ONE),
        "sign": lambda: (_ONE, normal.NEGATIVE),
    }
    if meant not in kinds:
        return None
    constant, _ = normal.terms(node.args[0])
    u = normal.add([node.args[0], Constant(0.0 - constant)])
    if isinstance(u, Constant):
        return None
    rest = list(node.args[1:])
    return _Side(u, *kinds[meant](), lambda t: normal.apply(op, [normal.add([u, Constant(0.0 - t)]), *rest]))


def _best(
    u: np.ndarray, above: np.ndarray, below: np.ndarray, weights: np.ndarray | None
) -> tuple[float | None, float]:
    """The threshold with the least mean loss, given the losses of each row on either side of it; and that loss."""
    order = np.argsort(u, kind="stable")
    w = np.ones(len(u)) if weights is None else weights[order] / weights.mean()
    high, low, sorted_u = w * above[order], w * below[order], u[order]
    totals = np.cumsum(low)[:-1] + np.cumsum(high[::-1])[::-1][1:]
    totals = np.where((sorted_u[1:] > sorted_u[:-1]) & np.isfinite(totals), totals, np.inf)
    k = int(np.argmin(totals))
    if not np.isfinite(totals[k]):
        return None, np.inf
    return shortest_between(float(sorted_u[k]), float(sorted_u[k + 1])), float(totals[k]) / len(u)
