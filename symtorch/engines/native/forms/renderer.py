"""One way of writing normal forms in the user's operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from symtorch.engines.native.forms.arithmetic import Arithmetic, Way
from symtorch.engines.native.forms.tuning import FormsTuning
from symtorch.engines.native.tuning import current
from symtorch.equations.expr import Call, Constant, Expr, Variable, variables
from symtorch.equations.normal import (
    EXP,
    NEGATIVE,
    REMEMBERED,
    add,
    coefficient,
    factors,
    is_power,
    is_product,
    is_sum,
    multiply,
    terms,
)
from symtorch.equations.operators import Operator

_Factors = list[tuple[Expr, float]]
"""Bases, in normal form or written, and their exponents."""

_NEW = object()
"""In the place of what has not been rendered yet; None is what can't be."""

_JOINED = (2.0, 3.0)
"""Powers that several factors are raised to as one."""

_HUGE = 1e15
"""Coefficients of exponentials beyond this, or below its inverse, are written in the exponent."""


class Renderer:
    """Writes normal forms: of every sum, product and power the cheapest way there is.

    Args:
        arithmetic: the operators by meaning.
        operators: all that may be used, by name.
        cost: of a written tree.
        ways_to_raise: an exponent -> the ways of writing such a power.
        deep: chains are written ``((a + b) + c) + d``, else ``(a + b) + (c + d)``.
        backwards: chains begin with their last part.
        ties: coefficients are tried inside sums also where that saves nothing, for a ``cost`` that minds more.
    """

    def __init__(
        self,
        arithmetic: Arithmetic,
        operators: Mapping[str, Operator],
        cost: Callable[[Expr], float],
        ways_to_raise: Callable[[float], list[Way]],
        deep: bool = True,
        backwards: bool = False,
        ties: bool = False,
    ) -> None:
        self.arithmetic, self.operators, self.cost, self.ways_to_raise = arithmetic, operators, cost, ways_to_raise
        self.deep, self.backwards, self.ties = deep, backwards, ties
        self._known: dict[Expr, Expr | None] = {}

    def render(self, expr: Expr) -> Expr | None:
        """The cheapest tree that equals a normal form, or None if it can't be written."""
        if not isinstance(expr, Call):
            return expr
        known = self._known.get(expr, _NEW)
        if known is _NEW:
            if len(self._known) > REMEMBERED:
                self._known.clear()
            known = self._known[expr] = self._render(expr)
        return known  # type: ignore[return-value]

    def _render(self, expr: Call) -> Expr | None:
        if is_sum(expr):
            return self._sum(expr)
        if is_product(expr) or is_power(expr):
            return self._factors(*factors(expr))
        if expr.op is EXP:
            return self._exponential(expr)
        return self._function(expr)

    def _function(self, expr: Call) -> Expr | None:
        if self.operators.get(expr.op.name) != expr.op:
            return None
        args = self._all(self.render(arg) for arg in expr.args)
        return None if args is None else Call(expr.op, tuple(args))

    def _all(self, trees: Iterable[Expr | None]) -> list[Expr] | None:
        """The trees, or None if one of them can't be written."""
        found = []
        for tree in trees:
            if tree is None:
                return None
            found.append(tree)
        return found

    def _cheapest(self, trees: Iterable[Expr | None]) -> Expr | None:
        found = [tree for tree in trees if tree is not None]
        return min(found, key=self.cost, default=None) if len(found) != 1 else found[0]

    def _chain(self, op: Operator | None, parts: list[Expr]) -> Expr | None:
        """``a op b op c op ...``."""
        if len(parts) == 1:
            return parts[0]
        if op is None:
            return None
        if self.backwards:
            parts = parts[::-1]
        if self.deep:
            return _one_after_the_other(op, parts[0], parts[1:])
        while len(parts) > 1:
            pairs = [Call(op, (a, b)) for a, b in zip(parts[::2], parts[1::2], strict=False)]
            parts = pairs + parts[len(parts) - len(parts) % 2 :]
        return parts[0]

    # ---- sums

    def _sum(self, expr: Expr) -> Expr | None:
        """``(a + b + ...) - c - d - ...``: what has a negative coefficient is taken away, if anything can be."""
        plus, minus = self.arithmetic.plus, self.arithmetic.minus
        constant, found = terms(expr)
        found.sort(key=lambda item: item[0] < 0.0)
        n_added = len(found) if minus is None else len(found) - sum(c < 0.0 for c, _ in found)
        positive, negative = found[:n_added], found[n_added:]
        if not positive and constant == 0.0:  # every term is taken away, so one must lead with its sign
            positive, negative = negative[:1], negative[1:]
        added = self._all(self._scaled(c, term) for c, term in positive)
        taken = self._all(self._scaled(-c, term) for c, term in negative)
        if added is None or taken is None:
            return None
        if constant < 0.0 and minus is not None and added:
            taken.append(Constant(-constant))
        elif constant != 0.0:
            added.append(Constant(constant))
        if plus is None and minus is not None:  # a + b is a - (-b)
            more = self._all(self._negated(tree) for tree in added[1:])
            if more is None:
                return None
            added, taken = added[:1], taken + more
        total = self._chain(plus, added)
        if total is None or minus is None or not taken:
            return total
        if self.deep or plus is None:
            return _one_after_the_other(minus, total, taken)
        together = self._chain(plus, taken)
        return None if together is None else Call(minus, (total, together))

    def _negated(self, tree: Expr) -> Expr | None:
        ops = self.arithmetic
        if isinstance(tree, Constant):
            return Constant(-tree.value)
        ways = (
            (ops.negate, (tree,)),
            (ops.times, (NEGATIVE, tree)),
            (ops.minus, (Constant(0.0), tree)),
            (ops.divide, (tree, NEGATIVE)),
        )
        return self._cheapest(Call(op, args) for op, args in ways if op is not None)

    # ---- products

    def _exponential(self, expr: Call) -> Expr | None:
        """``exp(u)``, or ``1/exp(-u)`` where that is cheaper."""
        if not _mostly_minus(expr.args[0]):
            return self._function(expr)
        turned = self._function(_turned(expr))
        return self._cheapest([self._function(expr), None if turned is None else self._raised(turned, -1.0)])

    def _scaled(self, c: float, term: Expr) -> Expr | None:
        """A coefficient times a term that has none."""
        inner, rest = coefficient(term)
        return self._factors(c * inner, factors(rest)[1] if not is_sum(rest) else [(rest, 1.0)])

    def _factors(self, c: float, found: _Factors) -> Expr | None:
        """``c * prod(base^exponent)``, the coefficient outside or in a sum, ``exp(-u)`` above or ``exp(u)`` below."""
        ways = list(self._arranged(c, found))
        return self._quotient(*ways[0]) if len(ways) == 1 else self._cheapest(self._quotient(*way) for way in ways)

    def _arranged(self, c: float, found: _Factors) -> Iterator[tuple[float, _Factors]]:
        """Ways of sharing out a product among its factors that may be the cheapest; the values are the same."""
        c, found = _moderate(c, found)
        yield c, found
        turned = [self._cheaper_below(base) for base, _ in found]
        if any(base is not before for base, (before, _) in zip(turned, found, strict=True)):
            yield c, [(b, e if b is base else -e) for b, (base, e) in zip(turned, found, strict=True)]
        if c == 1.0:
            return
        for k, (base, exponent) in enumerate(found):
            if is_sum(base) and (c > 0.0 or exponent % 2.0 == 1.0):
                inside = math.copysign(_power(abs(c), 1.0 / exponent), c)
                constant, addends = terms(base)
                if math.isfinite(inside) and inside != 0.0 and (c == -1.0 or _saved(inside, addends) >= 1 - self.ties):
                    parts = [multiply([Constant(inside * a), term]) for a, term in addends]
                    yield 1.0, [*found[:k], (add([*parts, Constant(inside * constant)]), exponent), *found[k + 1 :]]

    def _cheaper_below(self, base: Expr) -> Expr:
        """``exp(-u)`` for ``exp(u)`` where that is cheaper to write, else the base as it is."""
        if not (isinstance(base, Call) and base.op is EXP and _mostly_minus(base.args[0])):
            return base
        here, turned = self._function(base), self._function(_turned(base))
        if here is None or turned is None:
            return base
        return _turned(base) if self.cost(turned) < self.cost(here) else base

    def _quotient(self, c: float, found: _Factors) -> Expr | None:
        """A product of powers of normal forms."""
        bases = self._all(self.render(base) for base, _ in found)
        if bases is None:
            return None
        return self._of_powers(c, list(zip(bases, (exponent for _, exponent in found), strict=True)))

    def _of_powers(self, c: float, powers: _Factors) -> Expr | None:
        """``c * prod(base^exponent)`` of written bases, ``x^2/y^2`` as ``(x/y)^2`` where that is cheaper."""
        together = (self._together(powers, power) for power in _JOINED)
        ways = [powers, *(way for way in together if way is not None)]
        return self._cheapest(self._apart(c, way) for way in ways)

    def _together(self, powers: _Factors, exponent: float) -> _Factors | None:
        """The same with all that is in such a power written as one; None where that is no more than one factor."""
        those = [(base, e / exponent) for base, e in powers if e % exponent == 0.0]
        if len(those) < 2:
            return None
        below = all(e < 0.0 for _, e in those)
        inner = self._of_powers(1.0, [(base, -e) for base, e in those] if below else those)
        if inner is None:
            return None
        rest = [(base, e) for base, e in powers if e % exponent != 0.0]
        return [*rest, (inner, -exponent if below else exponent)]

    def _apart(self, c: float, powers: _Factors) -> Expr | None:
        """The same, every power by itself."""
        over = self._all(self._raised(base, e) for base, e in powers if e > 0.0)
        if over is None:
            return None
        if len(over) > 1:
            over.sort(key=lambda tree: (not isinstance(tree, Variable), variables(tree)[:1], self.cost(tree)))
        inverse = self._all(self._raised(base, e) for base, e in powers if e <= 0.0)
        under = self._all(self._raised(base, -e) for base, e in powers if e <= 0.0)
        ways = [] if inverse is None else [self._times(c, over + inverse)]
        below = self._times(1.0, under) if under else None
        if below is not None:
            one_over = self._raised(below, -1.0)
            if one_over is not None:
                ways.append(self._times(c, [*over, one_over]))
            above = self._times(c, over)
            if self.arithmetic.divide is not None and above is not None:
                ways.append(Call(self.arithmetic.divide, (above, below)))
        return self._cheapest(ways)

    def _raised(self, tree: Expr, exponent: float) -> Expr | None:
        return self._cheapest(way(tree) for way in self.ways_to_raise(exponent))

    def _times(self, c: float, parts: list[Expr]) -> Expr | None:
        """``c*a*b*...``."""
        ops = self.arithmetic
        if not parts:
            return Constant(c)
        if c == -1.0:
            rest = self._times(1.0, parts)
            return None if rest is None else self._negated(rest)
        if ops.times is not None and self.deep:  # x*(y*y) reads x*y*y
            parts = [piece for part in parts for piece in _pieces(ops.times, part)]
        whole = parts if c == 1.0 else [Constant(c), *parts]
        if len(whole) == 1 or ops.times is not None:
            return self._chain(ops.times, whole)
        if ops.divide is not None:
            return self._divided(ops.divide, whole)
        repeats = 1.0 < c <= current(FormsTuning).most_repeats and c == round(c)
        return self._chain(ops.plus, parts * round(c)) if repeats and ops.plus and len(parts) == 1 else None

    def _divided(self, divide: Operator, parts: list[Expr]) -> Expr | None:
        """``a*b`` without an operator that multiplies: ``b/(1/a)``."""
        inverses = self._all(
            Constant(1.0 / part.value) if isinstance(part, Constant) else self._raised(part, -1.0)
            for part in parts[:-1]
        )
        return None if inverses is None else _one_after_the_other(divide, parts[-1], inverses)


def _turned(expr: Call) -> Call:
    """``exp(-u)`` for ``exp(u)``."""
    return Call(EXP, (multiply([NEGATIVE, expr.args[0]]),))


def _moderate(c: float, found: _Factors) -> tuple[float, _Factors]:
    """``exp(u + log(c))`` for ``c*exp(u)`` where c is huge or tiny: as long, and no step of it is out of range."""
    if 1.0 / _HUGE <= abs(c) <= _HUGE or c == 0.0 or not math.isfinite(c):
        return c, found
    for k, (base, exponent) in enumerate(found):
        if isinstance(base, Call) and base.op is EXP and exponent == 1.0:
            within = Call(EXP, (add([base.args[0], Constant(math.log(abs(c)))]),))
            return math.copysign(1.0, c), [*found[:k], (within, 1.0), *found[k + 1 :]]
    return c, found


def _mostly_minus(expr: Expr) -> bool:
    """Whether most terms of an argument have no coefficient but a sign, which costs where there is nothing else."""
    _, found = terms(expr)
    return 2 * sum(c < 0.0 for c, _ in found) > len(found) and any(c == -1.0 for c, _ in found)


def _saved(inside: float, addends: list[tuple[float, Expr]]) -> int:
    """Coefficients fewer if the terms of a sum take one from outside."""
    lost = sum(abs(a) == 1.0 and any(e > 0.0 for _, e in factors(term)[1]) for a, term in addends)
    return 1 + sum(abs(inside * a) == 1.0 for a, _ in addends) - lost


def _pieces(times: Operator, tree: Expr) -> list[Expr]:
    """What a written product multiplies."""
    if isinstance(tree, Call) and tree.op is times:
        return [*_pieces(times, tree.args[0]), *_pieces(times, tree.args[1])]
    return [tree]


def _one_after_the_other(op: Operator, first: Expr, others: list[Expr]) -> Expr:
    out = first
    for part in others:
        out = Call(op, (out, part))
    return out


def _power(base: float, exponent: float) -> float:
    """``base**exponent`` of a positive number, infinite where that is too large for one."""
    try:
        return base**exponent
    except OverflowError:
        return math.inf
