"""Functions that can be undone: what their argument must be for their value to be a given one.

Used twice: a target ``y = g(h)`` is turned into a target for h (:mod:`.contexts`), and a target for a
tree into one for a place inside it (semantic back-propagation, :mod:`.refine`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.forms import normal
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.equations.expr import Call, Constant, Expr, Variable

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


_FUNCTIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array], bool, bool]] = {
    # name: inverse, slope, positive, bounded
    "exp": (lambda y: np.log(np.where(y > 0.0, y, np.nan)), lambda y, h: np.abs(y), True, False),
    "log": (lambda y: np.exp(np.clip(y, -20.0, 20.0)), lambda y, h: 1.0 / h, False, True),
    "tanh": (lambda y: np.arctanh(np.clip(y, -0.999999, 0.999999)), lambda y, h: 1.0 - y * y, False, True),
    "sinh": (np.arcsinh, lambda y, h: np.cosh(h), False, False),
    "cosh": (lambda y: np.arccosh(y), lambda y, h: np.abs(np.sinh(h)), True, False),
    "tan": (np.arctan, lambda y, h: 1.0 + y * y, False, False),
    "asin": (np.sin, lambda y, h: 1.0 / np.abs(np.cos(y)), False, True),
    "acos": (np.cos, lambda y, h: 1.0 / np.abs(np.sin(y)), False, True),
    "atan": (np.tan, lambda y, h: np.cos(y) ** 2, False, True),
    "asinh": (np.sinh, lambda y, h: 1.0 / np.cosh(y), False, True),
    "sigmoid": (lambda y: np.log(y / (1.0 - y)), lambda y, h: y * (1.0 - y), True, True),
    "log10": (lambda y: 10.0 ** np.clip(y, -9, 9), lambda y, h: 1.0 / (h * np.log(10.0)), False, True),
    "log2": (lambda y: 2.0 ** np.clip(y, -30, 30), lambda y, h: 1.0 / (h * np.log(2.0)), False, True),
    "log1p": (lambda y: np.expm1(np.clip(y, -20, 20)), lambda y, h: 1.0 / (1.0 + h), False, True),
    "cbrt": (lambda y: y**3, lambda y, h: 1.0 / (3.0 * y * y), False, False),
}

IDENTITY = Wrap("id", lambda y: y, lambda y, h: np.ones_like(y), lambda h: h)
_POWERS = (-1.0, 0.5, -0.5, -1.5, -2.0, 2.0)


def wraps(words: Vocabulary) -> list[Wrap]:
    """The outermost functions that the user's operators can write, the identity first."""
    found = [IDENTITY, *(_power_wrap(e) for e in _POWERS)]
    for op in words.functions:
        if op.name in _FUNCTIONS and op.body is None:
            inverse, slope, positive, bounded = _FUNCTIONS[op.name]
            found.append(
                Wrap(op.name, inverse, slope, lambda h, op=op: normal.apply(op, [h]), 0.0, positive, bounded)  # type: ignore[misc]
            )
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
    name = node.op.name
    if name in ("sin", "cos"):
        first = np.arcsin(wanted) if name == "sin" else np.arccos(wanted)
        second = np.pi - first if name == "sin" else -first
        near = [a + 2.0 * np.pi * np.round((present - a) / (2.0 * np.pi)) for a in (first, second)]
        nearer = np.abs(near[0] - present) < np.abs(near[1] - present)
        return np.where(nearer, near[0], near[1]), np.sqrt(1.0 - wanted * wanted)
    if name in _FUNCTIONS and node.op.body is None and node.op.arity == 1:
        inverse, slope, _, _ = _FUNCTIONS[name]
        argument = inverse(wanted)
        if normal.parity(node.op) == 1:
            argument = np.where(present < 0.0, -argument, argument)
        return argument, np.abs(slope(wanted, argument))
    return None
