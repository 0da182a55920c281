"""Functions that may stand outside all others: for which inner functions an answer would be their value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.equations.expr import Constant, Expr, Variable
from symtorch.equations.normal import add, apply, multiply, power
from symtorch.equations.operators import Operator

_QUARTERS = {"asin": ("acos", np.cos), "acos": ("asin", np.sin)}
"""Functions that are a quarter of a turn less another: which that is, and its inverse."""


@dataclass(frozen=True)
class Outside:
    """An outermost function.

    Attributes:
        forward: answers -> what is inside; not finite where nothing can be.
        written: what is inside -> the answer.
        plain: whether it is none, and the answer is what is inside.
    """

    forward: Callable[[np.ndarray], np.ndarray]
    written: Callable[[Expr], Expr]
    plain: bool = False


def outside(words: Vocabulary, y: np.ndarray) -> Iterator[Outside]:
    """None at all, then a root where the answers have one sign, then every function that has one inverse."""
    yield Outside(lambda y: y, lambda e: e, True)
    known = y[np.isfinite(y)]
    sign = 1.0 if (known > 0).all() else -1.0 if (known < 0).all() else 0.0
    if sign and words.render(power(Variable(0), 0.5)) is not None:
        yield Outside(np.square, lambda e: multiply([Constant(sign), power(e, 0.5)]))
    names = {op.name for op in words.functions}
    for op in words.functions:
        if op.row is None or op.inverse is None or ";" in op.row.inverse:
            continue
        yield Outside(_inverse_of(op), partial(_applied, op))
        other, inverse = _QUARTERS.get(op.name, (op.name, None))
        if inverse is not None and other not in names:
            yield Outside(inverse, partial(_quarter_less, op))


def _inverse_of(op: Operator) -> Callable[[np.ndarray], np.ndarray]:
    inverse = op.inverse
    assert inverse is not None
    return lambda y: inverse(y)[0]


def _applied(op: Operator, inner: Expr) -> Expr:
    return apply(op, [inner])


def _quarter_less(op: Operator, inner: Expr) -> Expr:
    return add([Constant(math.pi / 2), multiply([Constant(-1.0), apply(op, [inner])])])
