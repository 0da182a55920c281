"""Constants that are likelier simple numbers than what noise has made of them.

Behind noise a fit gives 0.4972 where the law has 1/2. Two hypotheses about such a constant c with standard error s: it
is some number, of any size within four decades; or it is one of the numbers of textbooks, the likelier the quicker it
is to read. By Bayes' rule the second is twelve times as likely where

    (v - c)^2/(2*s^2) + cost(v) < -log(sqrt(2*pi)*s/(|c|*log(1e4)))

with ``cost(v)`` twice the bits of v (:mod:`symtorch.equations.numerals`), in nats, the logarithm of what makes these
priors add up to one, and log(12). So at most one in twelve numbers without a meaning is taken for one with it. A
constant whose standard error is 0.3 % of it is 1/2 if that is two of them away at most, and 3/2 in no case.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from symtorch.engines.native.fitting.clean import is_threshold
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.equations.expr import Constant, Expr, Variable, substitute
from symtorch.equations.normal import NEGATIVE
from symtorch.equations.numerals import near
from symtorch.equations.places import places, put
from symtorch.equations.uncertainty import StandardErrors, is_exact

_WHOLE = 12
"""Largest whole number that is taken for simple."""
_PRIORS = 1.45
"""Logarithm of the sum of 4^-bits over whole numbers to :data:`_WHOLE` and the 1,400 numerals."""
_ODDS = math.log(12.0)
"""How much likelier a simple number must be."""
_DECADES = math.log(1e4)
"""Sizes that a constant of no meaning may have."""
_FAR = 4.0
"""Standard errors beyond which no number is looked at."""


def with_plain_numbers(expr: Expr, loss: float, rows: Rows, steps: int) -> tuple[Expr, float]:
    """The expression with constants put to simple numbers where those are likelier, the others fitted again.

    >>> from symtorch.equations.expr import constants
    >>> from symtorch.equations.parser import parse
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(1.0, 3.0, 1000)
    >>> rows = Rows.of(x[:, None], 0.5 * x**2 + 0.617 + 0.1 * rng.normal(size=1000))
    >>> fitted, loss = fit(parse("0.4*x^2 + 0.7", ["x"]), rows)
    >>> constants(fitted)[0] == 0.5, constants(with_plain_numbers(fitted, loss, rows, 10)[0])[0] == 0.5
    (False, True)

    Args:
        expr: fitted by least squares.
        loss: its mean squared error.
        rows: that it was fitted to.
        steps: of each fit, at most.

    Returns:
        the expression and its mean squared error; the same where no number is likelier.
    """
    errors = StandardErrors(np.column_stack(rows.columns), rows.weights)
    refused: set[tuple[tuple[int, ...], float]] = set()
    while True:
        tried = [move for move in _moves(expr, errors.of(expr, rows.y)) if move[1:3] not in refused]
        if not tried:
            return expr, loss
        _, path, number, worth = min(tried)
        moved, found = _fitted(put(expr, path, Constant(number)), rows, steps)
        if found < loss * math.exp(2.0 * worth / len(rows)):
            expr, loss = moved, found
        else:
            refused.add((path, number))


def _moves(expr: Expr, errors: Sequence[float | None]) -> Iterator[tuple[float, tuple[int, ...], float, float]]:
    """What constants may be: minus the gain, place, number, and what it may cost in residuals; in nats."""
    for (path, constant), error in zip(_constants(expr), errors, strict=True):
        value = abs(constant)
        if error is None or not 0.0 < error < value or is_threshold(expr, path):
            continue
        any_number = -math.log(math.sqrt(2.0 * math.pi) * error / (value * _DECADES))
        for number, bits in _numbers(value, _FAR * error / value):
            worth = any_number - bits * math.log(4.0) - _PRIORS - _ODDS
            off = 0.5 * ((number - value) / error) ** 2
            if off < worth:
                yield off - worth, path, math.copysign(number, constant), worth


def _constants(expr: Expr) -> Iterator[tuple[tuple[int, ...], float]]:
    """All constants with their paths, in the order of :func:`symtorch.equations.expr.walk`."""
    stack: list[tuple[tuple[int, ...], Expr]] = [((), expr)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, Constant):
            yield path, node.value
        stack.extend([((*path, i), child) for i, child in enumerate(node.children)][::-1])


def _numbers(value: float, within: float) -> Iterator[tuple[float, float]]:
    """Simple numbers within a relative distance of a positive one, with their bits."""
    whole = round(value)
    if 1 <= whole <= _WHOLE and abs(whole - value) <= within * value:
        yield float(whole), math.log2(whole)
    yield from ((numeral.value, numeral.bits) for numeral in near(value, within))


def _fitted(expr: Expr, rows: Rows, steps: int) -> tuple[Expr, float]:
    """Fitted again but for the constants that are simple numbers, which stand as inputs meanwhile."""
    n, held = len(rows.columns), expr
    numbers: list[Constant] = []
    for path, node in places(expr):
        if isinstance(node, Constant) and node != NEGATIVE and is_exact(node.value):
            held = put(held, path, Variable(n + len(numbers)))
            numbers.append(node)
    columns = (*rows.columns, *(np.full(len(rows), number.value) for number in numbers))
    found, loss = fit(held, replace(rows, columns=columns), steps=steps)
    return substitute(found, [*map(Variable, range(n)), *numbers]), loss
