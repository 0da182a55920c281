"""Which of the user's operators add, multiply and raise to powers, and the ways they give of writing a power."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from symtorch.engines.native.forms.tuning import FormsTuning
from symtorch.engines.native.tuning import current
from symtorch.equations.expr import Call, Constant, Expr, Variable
from symtorch.equations.normal import POWER, is_power, meaning, normalise
from symtorch.equations.operators import OPERATORS, Operator

_ONE = Constant(1.0)
_A, _B = Variable(0), Variable(1)
_IDEAS = {
    normalise(Call(OPERATORS[sign], args)): name
    for name, sign, args in (
        ("plus", "+", (_A, _B)),
        ("minus", "-", (_A, _B)),
        ("times", "*", (_A, _B)),
        ("divide", "/", (_A, _B)),
        ("negate", "neg", (_A,)),
    )
}

Way = Callable[[Expr], Expr]
"""A way of writing a power: the written base -> the written power."""


@dataclass(frozen=True)
class Arithmetic:
    """The user's operators by what they mean to the search; the first of those that mean the same, or None.

    Attributes:
        plus, minus, times, divide, negate: for ``a + b``, ``a - b``, ``a*b``, ``a/b`` and ``-a``.
        caret: for ``a^b``.
        powers: by the exponent e, an operator for ``a^e``.
        rest: every other operator.
    """

    plus: Operator | None = None
    minus: Operator | None = None
    times: Operator | None = None
    divide: Operator | None = None
    negate: Operator | None = None
    caret: Operator | None = None
    powers: dict[float, Operator] = field(default_factory=dict)
    rest: tuple[Operator, ...] = ()

    @classmethod
    def of(cls, operators: Iterable[Operator]) -> Arithmetic:
        named: dict[str, Operator] = {}
        powers: dict[float, Operator] = {}
        rest: list[Operator] = []
        for op in operators:
            known = meaning(op)
            idea = None if known is None else normalise(known)
            if idea in _IDEAS:
                named.setdefault(_IDEAS[idea], op)
            elif idea is not None and is_power(idea):
                exponent = idea.args[1]  # type: ignore[attr-defined]
                powers.setdefault(exponent.value, op)
            elif op is POWER:
                named["caret"] = op
            else:
                rest.append(op)
        return cls(**named, powers=powers, rest=tuple(rest))

    def ways_to_raise(self, exponent: float, depth: int | None = None) -> Iterator[Way]:
        """Every way of writing ``u^exponent``, by operators that are put into one another at most so deep."""
        depth = current(FormsTuning).power_depth if depth is None else depth
        if exponent == 1.0:
            yield lambda base: base
            return
        if exponent in self.powers:
            yield _calls(self.powers[exponent], lambda base: base)
        if self.caret is not None:
            caret = self.caret
            yield lambda base: Call(caret, (base, Constant(exponent)))
        if depth > 0:
            yield from self._composed(exponent, depth - 1)
            if exponent == -1.0 and self.divide is not None:
                yield _one_over(self.divide, lambda base: base)
            if self.times is not None and 1.0 < exponent <= current(FormsTuning).longest_product:
                yield from self._multiplied(self.times, exponent, depth - 1)
            if exponent < 0.0 and exponent != -1.0:
                yield from self._inverted(exponent, depth - 1)

    def _composed(self, exponent: float, depth: int) -> Iterator[Way]:
        """``u^e = (u^(e/p))^p`` with an operator for the outer power p."""
        for outer, op in self.powers.items():
            inner = exponent / outer
            # (u^inner)^outer is u^exponent for any u only if outer is whole or u^inner isn't even.
            real = outer.is_integer() or not (inner.is_integer() and inner % 2 == 0)
            if inner not in (1.0, exponent) and real and _nearer_to_one(inner, exponent):
                for way in self.ways_to_raise(inner, depth):
                    yield _calls(op, way)

    def _multiplied(self, times: Operator, exponent: float, depth: int) -> Iterator[Way]:
        """``u^e = u^(e-p) * u^p``: p one, about half of e, or a half where e is a whole number and a half."""
        for part in sorted({1.0, float(math.floor(exponent / 2.0)), 0.5}):
            if 0.0 < part <= exponent - part and (part != 0.5 or (2.0 * exponent) % 2.0 == 1.0):
                rest = list(self.ways_to_raise(exponent - part, depth))
                for right in self.ways_to_raise(part, depth):
                    for left in rest:
                        yield _product(times, left, right)

    def _inverted(self, exponent: float, depth: int) -> Iterator[Way]:
        """``u^e = 1/u^(-e)``, by an operator for the inverse or by a division."""
        for outside in self.ways_to_raise(-1.0, 0):
            for inside in self.ways_to_raise(-exponent, depth):
                yield _after(outside, inside)
        if self.divide is not None:
            for inside in self.ways_to_raise(-exponent, depth):
                yield _one_over(self.divide, inside)


def _nearer_to_one(inner: float, exponent: float) -> bool:
    """Whether a power is simpler to write than another, so that going from one to the other ends."""
    return abs(inner) < abs(exponent) or (abs(inner) == abs(exponent) and inner > 0) or abs(exponent) < 1.0


# Functions, not lambdas in the loops above: each must keep the operator and the way that it was made with.


def _calls(op: Operator, way: Way) -> Way:
    return lambda base: Call(op, (way(base),))


def _product(times: Operator, left: Way, right: Way) -> Way:
    return lambda base: Call(times, (left(base), right(base)))


def _after(outer: Way, inner: Way) -> Way:
    return lambda base: outer(inner(base))


def _one_over(divide: Operator, way: Way) -> Way:
    return lambda base: Call(divide, (_ONE, way(base)))
