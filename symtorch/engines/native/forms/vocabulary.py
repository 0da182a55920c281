"""From the search's normal form to the user's operators: what can be written, how, and at which cost.

The search thinks in sums, products, powers and functions (:mod:`.normal`). The user allows a set of
operators and says what each costs. :class:`Vocabulary` holds for each idea every way that there is of
writing it in these operators, and :meth:`Vocabulary.render` takes the cheapest: a quotient becomes
``x/y``, ``x*inv(y)`` or ``x*y^(-1)``, a square ``square(x)``, ``x^2`` or ``x*x``. What can't be written
has no rendering and is never proposed.

>>> from symtorch.equations.expr import to_text
>>> from symtorch.equations.parser import parse
>>> words = Vocabulary(SearchOptions.from_params({}))
>>> tree = words.render(normalise(parse("3*x^2/y - sin(x)", ["x", "y"])))
>>> to_text(tree, ["x", "y"])
'3*(x*x)*inv(y) + (-1*sin(x))'
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from symtorch.engines.native.forms.normal import (
    NEGATIVE,
    POWER,
    coefficient,
    factors,
    is_power,
    is_product,
    is_sum,
    meaning,
    normalise,
    terms,
)
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Call, Constant, Expr, Variable, variables, walk
from symtorch.equations.operators import OPERATORS, Operator

_A, _B = Variable(0), Variable(1)
_SUM, _DIFFERENCE, _PRODUCT, _QUOTIENT, _NEGATION = (
    normalise(Call(OPERATORS[name], (_A, _B) if name != "neg" else (_A,))) for name in ("+", "-", "*", "/", "neg")
)

_REMEMBERED = 1 << 16
"""Trees whose rendering and cost are kept: candidates share most of their subtrees."""


class Vocabulary:
    """The user's operators, sorted by what they mean to the search.

    Attributes:
        options: the search space.
        functions: operators of one argument that are no sum, product or power.
        binaries: operators of two arguments that are no sum, product or power; ``^`` with an exponent
            that varies is one of them.
        others: operators of three and more arguments.
    """

    def __init__(self, options: SearchOptions) -> None:
        self.options = options
        self._plus: Operator | None = None
        self._minus: Operator | None = None
        self._times: Operator | None = None
        self._divide: Operator | None = None
        self._negate: Operator | None = None
        self._power: Operator | None = None
        self._powers: dict[float, Operator] = {}
        self.functions: list[Operator] = []
        self.binaries: list[Operator] = []
        self.others: list[Operator] = []
        for op in options.operators.values():
            self._sort_in(op)
        self._plans: dict[float, list[Callable[[Expr], Expr]]] = {}
        self._costs: dict[Expr, float] = {}
        self._deep = _Renderer(self, True, False)

    def _sort_in(self, op: Operator) -> None:
        idea = meaning(op)
        idea = None if idea is None else normalise(idea)
        if idea == _SUM:
            self._plus = self._plus or op
        elif idea == _DIFFERENCE:
            self._minus = self._minus or op
        elif idea == _PRODUCT:
            self._times = self._times or op
        elif idea == _QUOTIENT:
            self._divide = self._divide or op
        elif idea == _NEGATION:
            self._negate = self._negate or op
        elif idea is not None and is_power(idea):
            exponent = idea.args[1]  # type: ignore[attr-defined]
            self._powers.setdefault(exponent.value, op)
        elif op is POWER:
            self._power = op
            self.binaries.append(op)
        else:
            (self.functions, self.binaries, self.others)[min(op.arity, 3) - 1].append(op)

    # ---- cost

    def cost(self, expr: Expr) -> float:
        """Complexity of a tree in the user's operators, before rounding."""
        if not isinstance(expr, Call):
            return self.options.complexity_of(expr)
        known = self._costs.get(expr)
        if known is None:
            known = self.options.complexity_of(expr) + sum(self.cost(arg) for arg in expr.args)
            if len(self._costs) > _REMEMBERED:
                self._costs.clear()
            self._costs[expr] = known
        return known

    def complexity(self, tree: Expr) -> int:
        """Complexity of a tree by the user's measure; the same as the options', remembered."""
        cost = self.cost(tree)
        # Which way a half is rounded depends on the order of adding, so the options decide.
        return round(cost) if abs(cost - math.floor(cost) - 0.5) > 1e-6 else self.options.complexity(tree)

    def legal(self, expr: Expr) -> Expr | None:
        """The cheapest tree in the user's operators that equals ``expr`` and keeps every rule, or None."""
        tree = self.render(expr)
        if tree is None or not _is_finite(tree):
            return None
        options = self.options
        limits = options.constraints or options.nested_constraints or options.maxdepth
        if not limits:  # nothing but the size can be wrong with what was written in the allowed operators
            return tree if self.complexity(tree) <= options.maxsize else None
        if options.violation(tree) is None:
            return tree
        for deep, backwards in ((False, False), (True, True), (False, True)):
            tree = _Renderer(self, deep, backwards).render(expr)
            if tree is not None and options.violation(tree) is None:
                return tree
        return None

    def render(self, expr: Expr) -> Expr | None:
        """The cheapest tree in the user's operators that equals the normal form, or None.

        Only the operators are looked at here; :meth:`legal` minds sizes and constraints too.
        """
        return self._deep.render(expr)

    def powers_of(self, exponent: float) -> list[Callable[[Expr], Expr]]:
        """Every way of writing ``base^exponent``, as functions of the written base."""
        if exponent not in self._plans:
            self._plans[exponent] = self._plan(exponent, 3)
        return self._plans[exponent]

    def _plan(self, exponent: float, levels: int) -> list[Callable[[Expr], Expr]]:
        if exponent == 1.0:
            return [lambda base: base]
        plans: list[Callable[[Expr], Expr]] = []
        if exponent in self._powers:
            plans.append(_compose(self._powers[exponent], lambda base: base))
        if self._power is not None:
            caret = self._power
            plans.append(lambda base: Call(caret, (base, Constant(exponent))))
        if levels == 0:
            return plans
        for outer, op in self._powers.items():
            inner = exponent / outer
            # (u^inner)^outer is u^exponent for any u only if outer is whole or u^inner isn't even.
            real = outer.is_integer() or not (inner.is_integer() and inner % 2 == 0)
            if inner != exponent and inner != 1.0 and real and _simpler(inner, exponent):
                plans += [_compose(op, plan) for plan in self._plan(inner, levels - 1)]
        if exponent == -1.0 and self._divide is not None:
            divide = self._divide
            plans.append(lambda base: Call(divide, (Constant(1.0), base)))
        if self._times is not None and exponent > 1.0 and exponent <= 6.0:
            times = self._times
            for part in {1.0, math.floor(exponent / 2.0) * 1.0, 0.5}:
                if 0.0 < part < exponent and (part != 0.5 or (2.0 * exponent) % 2.0 == 1.0):
                    rest = self._plan(exponent - part, levels - 1) if part <= exponent - part else []
                    for left in self._plan(part, levels - 1):
                        plans += [_both(times, right, left) for right in rest]
        if exponent < -1.0 or -1.0 < exponent < 0.0:
            plans += [
                _after(outside, inside)
                for outside in self._plan(-1.0, 0)
                for inside in self._plan(-exponent, levels - 1)
            ]
            if self._divide is not None:
                divide = self._divide
                plans += [_under(divide, inside) for inside in self._plan(-exponent, levels - 1)]
        return plans


def _simpler(inner: float, exponent: float) -> bool:
    return abs(inner) < abs(exponent) or (abs(inner) == abs(exponent) and inner > 0) or abs(exponent) < 1.0


def _compose(op: Operator, plan: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
    return lambda base: Call(op, (plan(base),))


def _both(times: Operator, first: Callable[[Expr], Expr], second: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
    return lambda base: Call(times, (first(base), second(base)))


def _after(outer: Callable[[Expr], Expr], inner: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
    return lambda base: outer(inner(base))


def _under(divide: Operator, inner: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
    return lambda base: Call(divide, (Constant(1.0), inner(base)))


def _is_finite(expr: Expr) -> bool:
    return all(math.isfinite(node.value) for node in walk(expr) if isinstance(node, Constant))


class _Renderer:
    """One rendering: chains either deep, ``((a + b) + c) + d``, or flat, ``(a + b) + (c + d)``."""

    def __init__(self, words: Vocabulary, deep: bool, backwards: bool) -> None:
        self.words = words
        self.deep = deep
        self.backwards = backwards
        self._known: dict[Expr, Expr | None] = {}

    def render(self, expr: Expr) -> Expr | None:
        if not isinstance(expr, Call):
            return expr
        if expr not in self._known:
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            self._known[expr] = self._render(expr)
        return self._known[expr]

    def _render(self, expr: Call) -> Expr | None:
        if is_sum(expr):
            return self._sum(expr)
        if is_product(expr) or is_power(expr):
            return self._product(expr)
        args = [self.render(arg) for arg in expr.args]
        if self.words.options.operators.get(expr.op.name) != expr.op or None in args:
            return None
        return Call(expr.op, tuple(arg for arg in args if arg is not None))

    def _cheapest(self, trees: Iterable[Expr | None]) -> Expr | None:
        found = [tree for tree in trees if tree is not None]
        return min(found, key=self.words.cost) if found else None

    def _chain(self, op: Operator | None, parts: list[Expr]) -> Expr | None:
        if len(parts) == 1:
            return parts[0]
        if op is None:
            return None
        if self.backwards:
            parts = parts[::-1]
        if self.deep:
            out = parts[0]
            for part in parts[1:]:
                out = Call(op, (out, part))
            return out
        while len(parts) > 1:
            pairs = [Call(op, (a, b)) for a, b in zip(parts[::2], parts[1::2], strict=False)]
            parts = pairs + parts[len(parts) - len(parts) % 2 :]
        return parts[0]

    def _sum(self, expr: Expr) -> Expr | None:
        words = self.words
        constant, found = terms(expr)
        found.sort(key=lambda item: item[0] < 0.0)
        plus: list[Expr] = []
        minus: list[Expr] = []
        for c, term in found:
            if c < 0.0 and words._minus is not None:
                tree, into = self._scaled(-c, term), minus
            else:
                tree, into = self._scaled(c, term), plus
            if tree is None:
                return None
            into.append(tree)
        if constant != 0.0:
            if constant < 0.0 and words._minus is not None and plus:
                minus.append(Constant(-constant))
            elif plus or not minus:
                plus.append(Constant(constant))
            else:
                plus.insert(0, Constant(constant))
        if not plus and words._minus is not None:  # every term is negative: 0 - a - b, or -(a + b)
            first = self._scaled(-1.0, terms(expr)[1][0][1]) if found[0][0] == -1.0 else None
            scaled = self._scaled(*found[0])
            lead = self._cheapest([first, scaled])
            if lead is None:
                return None
            plus, minus = [lead], minus[1:]
        if words._plus is None and len(plus) > 1 and words._minus is not None:
            # Without "+", a + b is a - (-1)*b.
            negated = [self._negated(part) for part in plus[1:]]
            if None in negated:
                return None
            minus, plus = minus + [part for part in negated if part is not None], plus[:1]
        total = self._chain(words._plus, plus)
        if total is None or not minus:
            return total
        assert words._minus is not None
        if self.deep or len(minus) == 1 or words._plus is None:
            for part in minus:
                total = Call(words._minus, (total, part))
            return total
        taken = self._chain(words._plus, minus)
        return None if taken is None else Call(words._minus, (total, taken))

    def _negated(self, tree: Expr) -> Expr | None:
        words = self.words
        if isinstance(tree, Constant):
            return Constant(-tree.value)
        ways = []
        if words._negate is not None:
            ways.append(Call(words._negate, (tree,)))
        if words._times is not None:
            ways.append(Call(words._times, (NEGATIVE, tree)))
        if words._minus is not None:
            ways.append(Call(words._minus, (Constant(0.0), tree)))
        if words._divide is not None:
            ways.append(Call(words._divide, (tree, NEGATIVE)))
        return self._cheapest(ways)

    def _scaled(self, c: float, term: Expr) -> Expr | None:
        """A coefficient times a term that has none."""
        inner, rest = coefficient(term)
        return self._factors(c * inner, factors(rest)[1] if not is_sum(rest) else [(rest, 1.0)])

    def _product(self, expr: Expr) -> Expr | None:
        return self._factors(*factors(expr))

    def _factors(self, c: float, found: list[tuple[Expr, float]]) -> Expr | None:
        """``c * prod(base^exponent)``: as one product, as a quotient, or as a product with 1/(...)."""
        words = self.words
        over: list[Expr] = []  # base^|e| of positive exponents
        direct: list[Expr | None] = []  # base^e of negative exponents, written directly
        under: list[Expr | None] = []  # base^|e| of negative exponents
        for base, exponent in found:
            tree = self.render(base)
            if tree is None:
                return None
            raised = self._raised(tree, abs(exponent))
            if exponent > 0.0:
                if raised is None:
                    return None
                over.append(raised)
            else:
                under.append(raised)
                direct.append(self._raised(tree, exponent))
        over.sort(key=lambda tree: (not isinstance(tree, Variable), variables(tree)[:1], words.cost(tree)))
        ways: list[Expr | None] = []
        if None not in direct:
            ways.append(self._times(c, over + [tree for tree in direct if tree is not None]))
        if under and None not in under:
            below = self._times(1.0, [tree for tree in under if tree is not None])
            if below is not None:
                inverse = self._raised(below, -1.0)
                if inverse is not None:
                    ways.append(self._times(c, [*over, inverse]))
                if words._divide is not None:
                    above = self._times(c, over) if over else Constant(c)
                    if above is not None:
                        ways.append(Call(words._divide, (above, below)))
        return self._cheapest(ways)

    def _raised(self, tree: Expr, exponent: float) -> Expr | None:
        return self._cheapest(plan(tree) for plan in self.words.powers_of(exponent))

    def _times(self, c: float, parts: list[Expr]) -> Expr | None:
        words = self.words
        if not parts:
            return Constant(c)
        if c == -1.0:
            rest = self._times(1.0, parts)
            return None if rest is None else self._negated(rest)
        whole = parts if c == 1.0 else [Constant(c), *parts]
        if len(whole) == 1 or words._times is not None:
            return self._chain(words._times, whole)
        if words._divide is None:
            if c == round(c) and 1.0 < c <= 4.0 and words._plus is not None and len(parts) == 1:
                return self._chain(words._plus, parts * round(c))
            return None
        out = whole[-1]  # without "*", a*b is b/(1/a)
        for part in whole[:-1]:
            inverse = Constant(1.0 / part.value) if isinstance(part, Constant) else self._raised(part, -1.0)
            if inverse is None:
                return None
            out = Call(words._divide, (out, inverse))
        return out
