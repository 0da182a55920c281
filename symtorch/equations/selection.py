"""The Pareto front of candidates, and rules that pick one equation from it.

``best``, ``accuracy`` and ``score`` are PySR's, as its manual defines them
(https://ai.damtp.cam.ac.uk/pysr/stable/options/#model-selection).

``law`` is our own and the default. A law seen through errors (noise, or those of a network that has
learned it) shows as a bend: log(loss) falls steeply by complexity until the law is complete, and slowly
afterwards, while longer equations fit the errors. So the rule looks for the sharpest corner of the
front's lower convex hull (the L-curve of regularisation: Hansen 1992, doi 10.1137/1034115). With the
slopes s⁻ before and s⁺ after a corner, both positive and per unit of complexity, it takes the corner
with the greatest

    log(loss of the simplest / loss here) · log(s⁻ / s⁺),    s⁺ at least 0.15.

The first factor is what has been explained so far, the second how much steeper the way here was than
the way on. A slope of 0.15 (an equation seven units longer is e times better) is what fitting a
trained network's errors brings; less doesn't matter, and nothing better is expected beyond the last
equation. Losses below 1e-14 of the simplest one's are all the same: an exact law is the simplest of
those.

More questions to the teacher don't help the choice: between the samples, beyond them and in its
derivatives a network is as far from the law as from an equation that has fitted its errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from symtorch.errors import OptionError

FLAT = 0.15
"""Slope of log(loss) per unit of complexity that counts as flat; also what lies beyond the last equation."""

ROUNDING = 1e-14
"""Loss relative to the simplest equation's at which all is rounding."""


EXACT = 1e-12
"""Share that is left unexplained, of searched rows and of held-out ones, where an equation is the block itself."""

OVERFIT = 1.2
"""How much more a pick may leave unexplained on held-out rows than a simpler equation: what chance brings there."""


def pareto(
    complexities: Sequence[float], losses: Sequence[float], gain: float = 1.0, floor: float = -math.inf
) -> list[int]:
    """Positions of the candidates that are better than everything simpler, the simplest first.

    >>> pareto([5, 1, 3, 3, 9], [0.2, 1.0, 0.5, 0.4, 0.199])
    [1, 3, 0, 4]
    >>> pareto([5, 1, 3, 3, 9], [0.2, 1.0, 0.5, 0.4, 0.199], gain=0.95)
    [1, 3, 0]

    Args:
        complexities: of the candidates, in any order.
        losses: of the same candidates; those that aren't finite are dropped.
        gain: by which factor the loss must fall, at least, for a longer equation to be worth its place:
            1 keeps whatever is better at all; less, where losses differ by chance or rounding.
        floor: loss from which on all is rounding: nothing longer than the first that comes so low is kept.
    """
    kept: list[int] = []
    for i in sorted(range(len(losses)), key=lambda i: (complexities[i], losses[i])):
        if not math.isfinite(losses[i]):
            continue
        if not kept or (losses[i] < gain * losses[kept[-1]] and losses[kept[-1]] > floor):
            kept.append(i)
    return kept


def scores(complexities: Sequence[int], losses: Sequence[float]) -> list[float]:
    """PySR's score: minus the slope of log(loss) by complexity; 0 for the simplest equation."""
    tiny = np.finfo(np.float64).tiny
    log_loss = np.log(np.maximum(np.asarray(losses, dtype=np.float64), tiny))
    out = [0.0]
    for i in range(1, len(log_loss)):
        out.append(float(-(log_loss[i] - log_loss[i - 1]) / (complexities[i] - complexities[i - 1])))
    return out


def select(complexities: Sequence[int], losses: Sequence[float], scores: Sequence[float], rule: str) -> int:
    """Index of the equation that the rule picks.

    Args:
        complexities: of the equations, rising.
        losses: of the same equations.
        scores: PySR's, of the same equations; see :func:`scores`.
        rule: "law", "best", "accuracy" or "score".

    Raises:
        OptionError: there is no such rule.
    """
    loss, score = np.asarray(losses, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if rule == "accuracy":
        return int(np.argmin(loss))
    if rule == "score":
        return int(np.argmax(score))
    if rule == "law" and (corners := bends(complexities, loss.tolist())):
        return corners[0][1]
    if rule in ("best", "law"):
        # The highest score among those whose loss is at most 1.5 times the smallest.
        near = loss <= 1.5 * loss.min()
        return int(np.argmax(np.where(near, score, -np.inf)))
    raise OptionError(f"model_selection {rule!r} is not known; expected 'law', 'best', 'accuracy' or 'score'.")


def heeding(
    complexities: Sequence[int],
    losses: Sequence[float],
    scores: Sequence[float],
    r2: Sequence[float | None],
    reach: float = math.inf,
) -> int:
    """Index of the equation that the rule ``law`` picks where more is known than complexities and losses.

    An equation that is exact is the law, however long: the way to one of hundreds of terms is never steep. Else,
    if the pick of the rule is worse on held-out rows than simpler ones, or undefined there, the rule picks from the
    others. If it loses more than a law would and another corner doesn't, the sharpest of those corners is the pick.

    >>> heeding([1, 5, 9], [1.0, 0.9, 0.01], [0.0, 0.03, 1.1], [0.0, 0.08, -3.0])
    1

    Args:
        complexities: of the equations, rising.
        losses: of the same equations.
        scores: PySR's, of the same equations.
        r2: on held-out rows; None where undefined, or for all where there are no such rows.
        reach: what the law loses, at most, where that is known.
    """
    pick = select(complexities, losses, scores, "law")
    least, admitted = math.inf, []
    for i, value in enumerate(r2):
        if value is not None and math.isfinite(value):
            left = 1.0 - value
            if left <= OVERFIT * least + ROUNDING:
                admitted.append(i)
            least = min(least, left)
    admitted = admitted or list(range(len(losses)))
    exact = [i for i in admitted if losses[i] <= EXACT * losses[0] and (r2[i] or 0.0) >= 1.0 - EXACT]
    if exact and pick not in exact:
        return exact[0]
    if pick not in admitted:
        cost = [complexities[i] for i in admitted]
        loss, score = ([values[i] for i in admitted] for values in (losses, scores))
        pick = admitted[select(cost, loss, score, "law")]
    if losses[pick] > reach:
        corners = (i for _, i in bends(complexities, losses) if losses[i] <= reach and i in admitted)
        pick = next(corners, pick)
    return pick


def bends(complexities: Sequence[float], losses: Sequence[float]) -> list[tuple[float, int]]:
    """The corners of a front, the sharpest first, by the measure of the rule ``law``.

    >>> bends([1, 3, 7, 9, 13], [1.0, 0.8, 1e-4, 9e-5, 7e-5])[0][1]
    2

    Args:
        complexities: rising; of equal ones the one of the least loss counts.
        losses: of the same equations; they need not fall everywhere.

    Returns:
        (sharpness, position) of every corner; empty if the front has none.
    """
    loss = np.asarray(losses, dtype=np.float64)
    known = np.isfinite(loss)
    if not known.any() or not loss[known][0] > 0.0:
        return []
    loss = np.where(known, loss, loss[known][0])  # a simplest equation that was trained since has no loss of a search
    depth = -np.log(np.maximum(loss / loss[0], ROUNDING))

    def slope(i: int, j: int) -> float:
        return float((depth[j] - depth[i]) / (complexities[j] - complexities[i]))

    hull = [0]
    for i in range(1, len(depth)):
        if depth[i] <= depth[hull[-1]]:
            continue  # no better than rounding
        if complexities[i] == complexities[hull[-1]]:  # the user's own beside one that was found
            hull.pop()
        while len(hull) > 1 and slope(hull[-2], hull[-1]) <= slope(hull[-1], i):
            hull.pop()
        hull.append(i)
    found = []
    for before, here, after in zip(hull, hull[1:], [*hull[2:], None], strict=False):
        on = FLAT if after is None else max(slope(here, after), FLAT)
        sharpness = float(depth[here]) * float(np.log(slope(before, here) / on))
        if sharpness > 0.0:
            found.append((sharpness, here))
    return sorted(found, key=lambda item: -item[0])
