"""Rules that pick one equation from a Pareto front.

``best``, ``accuracy`` and ``score`` are PySR's, as its manual defines them
(https://ai.damtp.cam.ac.uk/pysr/stable/options/#model-selection). ``law`` is our own and the default:
where the data come from a law seen through small errors (a trained network's), the loss falls steeply
until the law is complete and slowly afterwards, while longer equations fit the errors. It looks for
that bend, on the lower convex hull of log(loss) over complexity (the L-curve of regularisation:
Hansen, doi 10.1137/1034115): with the hull's slopes s⁻ before and s⁺ after a corner, it picks the
corner with the greatest

    log(loss of the simplest / loss) · log(s⁻ / s⁺),    s⁺ at least 0.15.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from symtorch.errors import OptionError

if TYPE_CHECKING:
    from symtorch.equations.front import Equation


def scores(complexities: Sequence[int], losses: Sequence[float]) -> list[float]:
    """PySR's score: minus the slope of log(loss) by complexity; 0 for the simplest equation."""
    tiny = np.finfo(np.float64).tiny
    log_loss = np.log(np.maximum(np.asarray(losses, dtype=np.float64), tiny))
    out = [0.0]
    for i in range(1, len(log_loss)):
        out.append(float(-(log_loss[i] - log_loss[i - 1]) / (complexities[i] - complexities[i - 1])))
    return out


def select(equations: Sequence[Equation], rule: str) -> int:
    """Index of the equation that the rule picks; the equations are ordered by complexity."""
    losses = np.array([eq.loss for eq in equations])
    if rule == "accuracy":
        return int(np.argmin(losses))
    score = np.array([eq.score for eq in equations])
    if rule == "score":
        return int(np.argmax(score))
    if rule == "law":
        law = _bend([eq.complexity for eq in equations], losses)
        if law is not None:
            return law
    if rule in ("best", "law"):
        # The highest score among those whose loss is at most 1.5 times the smallest.
        near = losses <= 1.5 * losses.min()
        return int(np.argmax(np.where(near, score, -np.inf)))
    raise OptionError(f"model_selection {rule!r} is not known; expected 'law', 'best', 'accuracy' or 'score'.")


_FLAT = 0.15
"""Slope of log(loss) per unit of complexity that counts as flat; also what lies beyond the last equation."""

_ROUNDING = 1e-14
"""Loss relative to the simplest equation's at which all is rounding."""


def _bend(complexities: Sequence[int], losses: np.ndarray) -> int | None:
    """Position of the sharpest bend of the front, or None if it has none."""
    depth = -np.log(np.maximum(losses / losses[0], _ROUNDING)) if losses[0] > 0.0 else np.zeros(len(losses))
    hull = [0]
    for i in range(1, len(depth)):
        if depth[i] <= depth[hull[-1]]:
            continue  # no better than rounding
        while len(hull) > 1 and _slope(complexities, depth, hull[-2], hull[-1]) <= _slope(
            complexities, depth, hull[-1], i
        ):
            hull.pop()
        hull.append(i)
    best, found = 0.0, None
    for before, here, after in zip(hull, hull[1:], [*hull[2:], None], strict=False):
        steep = _slope(complexities, depth, before, here)
        flat = _FLAT if after is None else max(_slope(complexities, depth, here, after), _FLAT)
        bend = depth[here] * float(np.log(steep / flat))
        if bend > best:
            best, found = bend, here
    return found


def _slope(complexities: Sequence[int], depth: np.ndarray, i: int, j: int) -> float:
    return float((depth[j] - depth[i]) / (complexities[j] - complexities[i]))
