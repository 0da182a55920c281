"""Functions that can be undone: what their argument must be for their value to be a given one.

Used twice: a target ``y = g(h)`` is turned into a target for h (:mod:`.contexts`), and a target for a
tree into one for a place inside it (semantic back-propagation, :mod:`.refine`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.equations import normal
from symtorch.equations.expr import Call, Constant, Expr, Variable
from symtorch.equations.operators import Operator, parity

Array = np.ndarray


@dataclass(frozen=True)
class Wrap:
    """An outermost function g of one argument, ``y = g(h)``.

    Attributes:
        inverse: y -> h, NaN where there is none.
        slope: ``(y, h) -> |dy/dh|``.
        build: tree of h -> tree of g(h).
        cost: complexity that g adds.
        positive: g has no negative values.
        bounded: the inverse grows so fast that large targets are hopeless.
    """

    name: str
    inverse: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]
    build: Callable[[Expr], Expr]
    cost: float = 0.0
    positive: bool = False
    bounded: bool = False


def _power_wrap(e: float) -> Wrap:
    positive = e != -1.0
    # Even powers have two inverses; the positive one is taken, negative arguments come from the sign of phi.
    return Wrap(
        f"^{e:g}",
        (lambda y: 1.0 / y) if e == -1.0 else (lambda y: np.where(y > 0.0, np.abs(y) ** (1.0 / e), np.nan)),
        lambda y, h: np.abs(e * y / h),
        lambda h: normal.power(h, e),
        positive=positive,
    )


def _function_wrap(op: Operator) -> Wrap | None:
    """The function of the table as an outermost one; None where it has no inverse, or several in one period."""
    if op.row is None or op.inverse is None or ";" in op.row.inverse:
        return None
    inverse = op.inverse
    return Wrap(
        op.name,
        lambda y: inverse(y)[0],
        lambda y, h: _slope(op, y, h),
        lambda h: normal.apply(op, [h]),
        positive=op.row.positive,
        bounded=op.row.flattens,
    )


def _slope(op: Operator, value: Array, argument: Array) -> Array:
    """``|d value/d argument|`` of a function of one argument that has an inverse."""
    assert op.partials is not None
    with np.errstate(all="ignore"):
        return np.abs(op.partials(value, argument)[0])


IDENTITY = Wrap("id", lambda y: y, lambda y, h: np.ones_like(y), lambda h: h)
_POWERS = (-1.0, 0.5, -0.5, -1.5, -2.0, 2.0)


def wraps(words: Vocabulary) -> list[Wrap]:
    """The outermost functions that the user's operators can write, the identity first."""
    functions = (_function_wrap(op) for op in words.functions)
    found = [IDENTITY, *(_power_wrap(e) for e in _POWERS), *(wrap for wrap in functions if wrap is not None)]
    out = []
    x = Variable(0)
    for wrap in found:
        written = words.render(wrap.build(x))
        if written is not None:
            cost = words.cost(written) - words.cost(x)
            out.append(Wrap(wrap.name, wrap.inverse, wrap.slope, wrap.build, cost, wrap.positive, wrap.bounded))
    return out


def undo(node: Call, step: int, wanted: Array, present: Array) -> tuple[Array, Array] | None:
    """What argument ``step`` must be for the node to have the value ``wanted``, and ``|d node/d arg|``.

    Of several solutions the one nearest to the ``present`` argument is taken. None where the function
    can't be undone.
    """
    if normal.is_power(node):
        exponent = node.args[1]
        assert isinstance(exponent, Constant)
        e = exponent.value
        root = np.abs(wanted) ** (1.0 / e)
        if e.is_integer() and e % 2 == 1.0:
            argument = np.sign(wanted) * root
        else:
            argument = np.where(wanted > 0.0, root, np.nan)
            if e.is_integer():
                argument = np.where(present < 0.0, -argument, argument)
        return argument, np.abs(e * wanted / argument)
    op = node.op
    if op.row is None or op.inverse is None:
        return None
    solutions = op.inverse(wanted)
    if parity(op) == 1 and len(solutions) == 1:
        solutions = (solutions[0], -solutions[0])
    if op.row.period:
        solutions = tuple(a + op.row.period * np.round((present - a) / op.row.period) for a in solutions)
    argument = solutions[0]
    for other in solutions[1:]:
        argument = np.where(np.abs(argument - present) < np.abs(other - present), argument, other)
    return argument, _slope(op, wanted, argument)
