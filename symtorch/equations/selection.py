"""The Pareto front of candidates, and rules that pick one equation from it.

``best``, ``accuracy`` and ``score`` are PySR's, as its manual defines them
(https://ai.damtp.cam.ac.uk/pysr/stable/options/#model-selection).

``law`` is our own and the default. A law seen through errors (noise, or those of a network that has
learned it) shows as a bend: log(loss) falls steeply by complexity until the law is complete, and slowly
afterwards, while longer equations fit the errors. So the rule looks for the sharpest corner of the
front's lower convex hull (the L-curve of regularisation: Hansen 1992, doi 10.1137/1034115). With the
slopes s⁻ before and s⁺ after a corner, both positive and per unit of extent, it takes the corner
with the greatest

    log(loss of the simplest / loss here) · log(s⁻ / s⁺),    s⁺ at least 0.15.

The first factor is what has been explained so far, the second how much steeper the way here was than
the way on. A slope of 0.15 (an equation seven units longer is e times better) is what fitting a
trained network's errors brings; less doesn't matter, and nothing better is expected beyond the last
equation. Losses below 1e-14 of the simplest one's are all the same: an exact law is the simplest of
those.

The extent of an equation (:func:`symtorch.equations.description.extent`) is that of its tree, where a constant counts
twice: it can be fitted to the errors. What the user has operators cost says which equations are searched for, and
nothing of how soon errors are fitted: a sine at a price of three in the place of a straight line is one node more.

Blocks without a law have fronts with corners too. Where held-out rows show that a corner leaves much that
longer equations explain, the pick is an approximation near the end of the front: :func:`approximation`.

Of rows with independent noise more is known: what an equation gains by chance. Where the engine has seen that nothing
but such noise is left, the equation of the shortest description (:mod:`.description`) takes the corner's place.

More questions to the teacher don't help the choice: between the samples, beyond them and in its
derivatives a network is as far from the law as from an equation that has fitted its errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from symtorch.errors import OptionError

FLAT = 0.15
"""Slope of log(loss) per unit of extent that counts as flat; also what lies beyond the last equation."""

ROUNDING = 1e-14
"""Loss relative to the simplest equation's at which all is rounding."""


EXACT = 1e-12
"""Share of the variance that rounding leaves unexplained, where the block computes in float32."""

OVERFIT = 1.2
"""How much more a pick may leave unexplained on held-out rows than a simpler equation: what chance brings there."""


MUCH = 0.1
"""Share that a pick leaves unexplained on held-out rows from which on it may be the corner of a front without a law.
A law leaves so much only where the rest is noise, and then longer equations leave as much."""

FAR = 0.8
"""The least unexplained share of any equation, relative to that of such a pick, under which the pick is no law:
held-out rows make less difference by chance."""

FAR_FROM_LINE = 0.95
"""The same for the line of least squares, which has fewer ways to be better by chance."""

NEAR = 0.95
"""What such a pick explains instead, relative to the most that any equation does."""

NEARLY = 2.0
"""Within this factor the error of a block is seen in most cases, so that a law may lose as many times more."""

MISSED = 4.0
"""So many times more than seemed possible no law loses, however badly the block's error was seen: of 45 laws behind
networks of ``benchmarks/networks.py`` the worst lost 3.2 times that."""


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


def select(extents: Sequence[int], losses: Sequence[float], scores: Sequence[float], rule: str) -> int:
    """Index of the equation that the rule picks.

    Args:
        extents: of the equations, which come by rising complexity.
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
    if rule == "law" and (corners := bends(extents, loss.tolist())):
        return corners[0][1]
    if rule in ("best", "law"):
        # The highest score among those whose loss is at most 1.5 times the smallest.
        near = loss <= 1.5 * loss.min()
        return int(np.argmax(np.where(near, score, -np.inf)))
    raise OptionError(f"model_selection {rule!r} is not known; expected 'law', 'best', 'accuracy' or 'score'.")


def heeding(
    extents: Sequence[int],
    losses: Sequence[float],
    scores: Sequence[float],
    r2: Sequence[float | None],
    reach: float = math.inf,
    lengths: Sequence[float] | None = None,
) -> int:
    """Index of the equation that the rule ``law`` picks where more is known than complexities and losses.

    Where noise is seen, the pick is the equation of the shortest description instead of a corner.

    If the pick of the rule is worse on held-out rows than simpler ones, or undefined there, the rule picks from the
    others. If it leaves something and another equation leaves nothing but rounding, that one is the pick, however long:
    nobody needs an approximation of what is there. If it loses more than a law would and another corner doesn't, the
    sharpest of those corners is the pick; where there is none, the sharpest of those that lose not much more. A pick
    that loses so much that it can be no law gives way to the sharpest of the corners that lose about as little as any.

    >>> heeding([1, 5, 9], [1.0, 0.9, 0.01], [0.0, 0.03, 1.1], [0.0, 0.08, -3.0])
    1

    Args:
        extents: of the equations, which come by rising complexity.
        losses: of the same equations.
        scores: PySR's, of the same equations.
        r2: on held-out rows; None where undefined, or for all where there are no such rows.
        reach: what the law loses, at most, where that is known.
        lengths: of the equations' descriptions, where what is left is noise; see :mod:`.description`.
    """
    pick = select(extents, losses, scores, "law")
    least, admitted = math.inf, []
    for i, value in enumerate(r2):
        if value is not None and math.isfinite(value):
            left = 1.0 - value
            if left <= OVERFIT * least + ROUNDING:
                admitted.append(i)
            least = min(least, left)
    admitted = admitted or list(range(len(losses)))
    if lengths is not None:
        return min(admitted, key=lambda i: lengths[i])
    if pick not in admitted:
        cost = [extents[i] for i in admitted]
        loss, score = ([values[i] for i in admitted] for values in (losses, scores))
        pick = admitted[select(cost, loss, score, "law")]
    if losses[pick] > EXACT * losses[0] and (
        exact := [i for i in admitted if losses[i] <= EXACT * losses[0] and r2[i] is not None]
    ):
        rounding = max(10.0 * min(losses[i] for i in exact), ROUNDING * losses[0])
        return next(i for i in exact if losses[i] <= rounding)
    if losses[pick] > reach:
        corners = [i for _, i in bends(extents, losses) if i in admitted]
        limits = [reach, NEARLY * reach]
        if losses[pick] > MISSED * reach:
            limits.append(NEARLY * min((losses[i] for i in corners), default=0.0))
        near = [i for limit in limits for i in corners if losses[i] <= limit]
        pick = next(iter(near), pick)
    return pick


def approximation(pick: int, r2: Sequence[float | None], line: float = -math.inf) -> int:
    """Index of the equation to use where a pick is seen to be no law; else of the pick.

    Where the pick leaves much unexplained that others explain, its corner is one of chance. What is wanted then is an
    approximation: the simplest equation that explains nearly as much as any, and no less than a line.

    >>> approximation(1, [0.0, 0.4, 0.6, 0.75, 0.76])
    3
    >>> approximation(1, [0.0, 0.95, 0.96, 0.99, 0.999])
    1

    Args:
        pick: index of an equation.
        r2: on held-out rows, of equations of rising complexity; None where undefined.
        line: the same of the best line through the inputs; minus infinity where there is none.
    """
    known = [value for value in r2 if value is not None and math.isfinite(value)]
    if not known or not leaves_much(r2[pick]):
        return pick
    value = r2[pick]
    left = math.inf if value is None else 1.0 - value
    best = max(known)
    if 1.0 - best >= FAR * left and 1.0 - line >= FAR_FROM_LINE * left:
        return pick
    enough = min(best, max(NEAR * best, line))
    return next(i for i, value in enumerate(r2) if value is not None and value >= enough)


def no_worse_than_a_line(
    pick: int, losses: Sequence[float], n_constants: Sequence[int], is_line: Sequence[bool], n_rows: int
) -> int:
    """Index of the line through the inputs that is better than a pick by more than chance; else of the pick.

    For rows alone, of which none are held out or noise is most. Of rows with many weak effects every short equation
    misses most, and least squares finds them. By how much k constants more lower n*log(loss) where they fit nothing but
    noise is chi-squared with k degrees of freedom (Wilks 1938, doi 10.1214/aoms/1177732360); what lies more than three
    standard deviations above that is no chance. Of the lines the shortest is taken that the best beats by no more.

    >>> no_worse_than_a_line(0, [0.7, 0.6, 0.5, 0.499], [2, 3, 7, 8], [False, True, True, True], 300)
    2
    >>> no_worse_than_a_line(0, [0.51, 0.6, 0.5, 0.499], [2, 3, 7, 8], [False, True, True, True], 300)
    0

    Args:
        pick: index of an equation.
        losses: mean squared errors of the equations.
        n_constants: how many each has.
        is_line: whether it is a sum of inputs.
        n_rows: that the losses are over.
    """
    lines = [i for i, value in enumerate(is_line) if value and math.isfinite(losses[i])]
    if not lines:
        return pick
    best = min(lines, key=lambda i: losses[i])

    def is_beaten(i: int) -> bool:
        if not losses[i] > losses[best] or not losses[best] > 0.0:
            return False
        more = max(1, n_constants[best] - n_constants[i])
        return n_rows * math.log(losses[i] / losses[best]) > more + 3.0 * math.sqrt(2.0 * more)

    return next(i for i in lines if not is_beaten(i)) if is_beaten(pick) else pick


def leaves_much(r2: float | None) -> bool:
    """Whether an equation of this R² on held-out rows may be no law, though the front has a corner there."""
    return r2 is None or not 1.0 - r2 <= MUCH


def bends(extents: Sequence[float], losses: Sequence[float]) -> list[tuple[float, int]]:
    """The corners of a front, the sharpest first, by the measure of the rule ``law``.

    >>> bends([1, 3, 7, 9, 13], [1.0, 0.8, 1e-4, 9e-5, 7e-5])[0][1]
    2

    Args:
        extents: in any order; of equal ones the one of the least loss counts.
        losses: of the same equations; they need not fall everywhere.

    Returns:
        (sharpness, position) of every corner; empty if the front has none.
    """
    order = sorted(range(len(extents)), key=lambda i: extents[i])
    loss = np.asarray([losses[i] for i in order], dtype=np.float64)
    known = np.isfinite(loss)
    if not known.any() or not loss[known][0] > 0.0:
        return []
    loss = np.where(known, loss, loss[known][0])  # a simplest equation that was trained since has no loss of a search
    with np.errstate(over="ignore"):  # a loss may be any number that a file holds
        depth = -np.log(np.maximum(loss / loss[0], ROUNDING))

    def slope(i: int, j: int) -> float:
        return float((depth[j] - depth[i]) / (extents[order[j]] - extents[order[i]]))

    hull = [0]
    for i in range(1, len(depth)):
        if depth[i] <= depth[hull[-1]]:
            continue  # no better than rounding
        if extents[order[i]] == extents[order[hull[-1]]]:  # a dearer one, or the user's own beside one that was found
            hull.pop()
        while len(hull) > 1 and slope(hull[-2], hull[-1]) <= slope(hull[-1], i):
            hull.pop()
        hull.append(i)
    found = []
    for before, here, after in zip(hull, hull[1:], [*hull[2:], None], strict=False):
        on = FLAT if after is None else max(slope(here, after), FLAT)
        sharpness = float(depth[here]) * float(np.log(slope(before, here) / on))
        if sharpness > 0.0:
            found.append((sharpness, order[here]))
    return sorted(found, key=lambda item: -item[0])
