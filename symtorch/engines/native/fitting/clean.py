"""Constants that a law doesn't need are taken out, those that are simple numbers become those numbers.

For each constant: does the fit without it (0 in a sum, 1 in a product) lose nothing? If so it goes, the
others are refitted, and the search for more begins again. Then: is it, within what the data can tell,
1, 1/2, pi, ...? Aliases such as ``sqrt(u^2)`` of a positive u, which no identity of the normal form
may remove, are tried against the data in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from symtorch.engines.native.fitting.tuning import FittingTuning
from symtorch.engines.native.forms.choices import jumps_in
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.expr import Call, Constant, Expr
from symtorch.equations.numerals import near
from symtorch.equations.places import at, places, put


@dataclass(frozen=True)
class Judge:
    """What cleaning asks of whoever holds the data.

    Attributes:
        refit: a form -> the same with fitted constants, and its mean loss.
        measure: a form -> its mean loss as it is.
        scale: loss of the best constant.
        n_rows: rows that the loss is over.
    """

    refit: Callable[[Expr], tuple[Expr, float]]
    measure: Callable[[Expr], float]
    scale: float
    n_rows: int

    def as_good(self, found: float, loss: float, slack: float) -> bool:
        """Whether a loss is no worse; below 1e-20 of the scale all is rounding."""
        return found <= max(slack * loss, 1e-20 * self.scale)


def clean(expr: Expr, loss: float, judge: Judge) -> Iterator[tuple[Expr, float]]:
    """Every simpler form that loses nothing, the last one the simplest; (expression, mean loss).

    Args:
        expr: a fitted normal form.
        loss: its mean loss.
    """
    tuning = current(FittingTuning)
    budget = tuning.most_refits
    improved = True
    while improved and budget > 0:
        improved = False
        for simpler in shorter(expr):
            budget -= 1
            tried, found = judge.refit(simpler)
            tried = normal.normalise(tried)
            if judge.as_good(found, loss, tuning.slack):
                expr, loss, improved = tried, found, True
                yield expr, loss
                break
            if budget <= 0:
                break
    snapped, found = snap(expr, loss, judge)
    if snapped != expr:
        yield normal.normalise(snapped), found


def snap(expr: Expr, loss: float, judge: Judge) -> tuple[Expr, float]:
    """Constants replaced by simple numbers one after the other, where the data can't tell the difference.

    Thresholds stay: between two rows the data can't tell anything, and whoever found them knew more.
    """
    for path, node in list(places(expr)):
        if not isinstance(node, Constant) or node.value == -1.0 or is_threshold(expr, path):
            continue
        for value in _simple_numbers(node.value):
            tried = put(expr, path, Constant(value))
            found = judge.measure(tried)
            if judge.as_good(found, loss, 1.0 + 1.0 / judge.n_rows):
                expr, loss = tried, found
                break
    return expr, loss


def is_threshold(expr: Expr, path: tuple[int, ...]) -> bool:
    """Whether the place is in an argument in which a function changes by jumps only."""
    above = ((at(expr, path[:k]), path[k]) for k in range(len(path)))
    return any(isinstance(node, Call) and jumps_in(node.op)[i] for node, i in above)


def _simple_numbers(value: float) -> Iterator[float]:
    """Numbers that ``value`` may stand for, the simplest first."""
    within = current(FittingTuning).snap_within
    yield from (math.copysign(nice, value) for nice in NICE if abs(abs(value) - nice) <= within * nice)
    closely = near(abs(value), current(FittingTuning).snap_closely)
    yield from (math.copysign(numeral.value, value) for numeral in closely)
    # The fewest digits that leave a hundred times less than the last of them is worth.
    for digits in range(1, 9):
        rounded = float(f"{value:.{digits}g}")
        if rounded != value and abs(rounded - value) <= 10.0 ** (-digits - 2) * abs(value):
            yield rounded
            break


def shorter(expr: Expr) -> Iterator[Expr]:
    """The form without one of its constants, without a term that has one, or without an alias."""
    seen = {normal.key(expr)}
    for path, node in places(expr):
        replacements: list[Expr] = []
        if isinstance(node, Call) and node.op is normal.PLUS and isinstance(node.args[1], Constant):
            replacements.append(node.args[0])
        replacements += _without_negligible(node)
        if isinstance(node, Call) and node.op is normal.TIMES and isinstance(node.args[0], Constant):
            value = node.args[0].value
            if value != -1.0:
                replacements += [node.args[1], normal.multiply([normal.NEGATIVE, node.args[1]])]
                if value < 0.0:
                    replacements.reverse()
                replacements.append(Constant(0.0))
        if normal.is_power(node) and normal.is_power(node.args[0]):  # type: ignore[attr-defined]
            inner = node.args[0]  # type: ignore[attr-defined]
            p, q = inner.args[1], node.args[1]  # type: ignore[attr-defined]
            replacements.append(normal.power(inner.args[0], p.value * q.value))
        if isinstance(node, Call) and node.op.name == "abs":
            replacements += [node.args[0], normal.multiply([normal.NEGATIVE, node.args[0]])]
        for replacement in replacements:
            simpler = normal.normalise(put(expr, path, replacement))
            shape = normal.key(simpler)
            if shape not in seen:
                seen.add(shape)
                yield simpler


def _without_negligible(node: Expr) -> Iterator[Expr]:
    """A sum without a bare term beside which another's coefficient is huge: ``x + 1e7*y`` as ``1e7*y``."""
    if not (isinstance(node, Call) and node.op is normal.PLUS):
        return
    constant, found = normal.terms(node)
    if max(abs(c) for c, _ in found) < current(FittingTuning).huge:
        return
    for i, (c, _) in enumerate(found):
        if abs(c) == 1.0:
            others = [normal.multiply([Constant(k), term]) for j, (k, term) in enumerate(found) if j != i]
            yield normal.add([*others, Constant(constant)])


# Halves to tenths, whole numbers to a dozen, and the constants of textbooks.
_FRACTIONS = [float(n) for n in range(1, 13)] + [n / d for d in (2, 3, 4, 5, 8, 10) for n in range(1, 10)]
NICE = sorted({*_FRACTIONS, math.pi, 2 * math.pi, math.pi / 2, math.e, math.sqrt(2.0)})
"""Numbers that a constant is taken to be when it can't be told from them."""
