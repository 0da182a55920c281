"""From the search's normal form to the user's operators: what can be written, how, and at which cost.

The search thinks in sums, products, powers and functions (:mod:`.normal`). The user allows a set of
operators and says what each costs. :class:`Vocabulary` holds for each idea every way that there is of
writing it in these operators, and :meth:`Vocabulary.render` takes the cheapest: a quotient becomes
``x/y``, ``x*inv(y)`` or ``x*y^(-1)``, a square ``square(x)``, ``x^2`` or ``x*x``. What can't be written
has no rendering and is never proposed.

>>> from symtorch.equations.expr import to_text
>>> from symtorch.equations.normal import normalise
>>> from symtorch.equations.parser import parse
>>> words = Vocabulary(SearchOptions.from_params({}))
>>> tree = words.render(normalise(parse("3*x^2/y - sin(x)", ["x", "y"])))
>>> to_text(tree, ["x", "y"])
'3*x*x*inv(y) + (-1*sin(x))'
"""

from __future__ import annotations

import math

from symtorch.engines.native.forms.arithmetic import Arithmetic, Way
from symtorch.engines.native.forms.renderer import Renderer
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Call, Constant, Expr, Variable, walk
from symtorch.equations.normal import REMEMBERED
from symtorch.equations.operators import Operator


class Vocabulary:
    """The user's operators, sorted by what they mean to the search.

    Attributes:
        options: the search space.
        arithmetic: operators that are a sum, a product or a power.
        functions: operators of one argument that are none of these.
        binaries: operators of two arguments that are none of these; ``^`` with an exponent that varies is
            one of them.
    """

    def __init__(self, options: SearchOptions) -> None:
        self.options = options
        self.arithmetic = Arithmetic.of(options.operators.values())
        caret = self.arithmetic.caret
        own = [op for op in options.operators.values() if op in self.arithmetic.rest or op is caret]
        self.functions: list[Operator] = [op for op in own if op.arity == 1]
        self.binaries: list[Operator] = [op for op in own if op.arity == 2]
        self._costs: dict[Expr, float] = {}
        self._ways: dict[float, list[Way]] = {}
        self._usual = self._renderer(deep=True, backwards=False)

    # ---- cost

    def cost(self, expr: Expr) -> float:
        """Complexity of a tree in the user's operators, before rounding."""
        if not isinstance(expr, Call):
            return self.options.complexity_of(expr)
        known = self._costs.get(expr)
        if known is None:
            known = self.options.complexity_of(expr) + sum(self.cost(arg) for arg in expr.args)
            if len(self._costs) > REMEMBERED:
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
            tree = self._renderer(deep, backwards).render(expr)
            if tree is not None and options.violation(tree) is None:
                return tree
        return None

    def render(self, expr: Expr) -> Expr | None:
        """The cheapest tree in the user's operators that equals the normal form, or None.

        Only the operators are looked at here; :meth:`legal` minds sizes and constraints too.
        """
        return self._usual.render(expr)

    def ways_to_raise(self, exponent: float) -> list[Way]:
        """The ways of writing ``base^exponent`` that are the cheapest for some base."""
        if exponent not in self._ways:
            ways = list(self.arithmetic.ways_to_raise(exponent))
            prices = [self.price(way(Variable(0))) for way in ways]
            self._ways[exponent] = [
                way for way, price in zip(ways, prices, strict=True) if not any(_dearer(price, p) for p in prices)
            ]
        return self._ways[exponent]

    def price(self, written: Expr) -> tuple[float, int]:
        """What a tree over ``Variable(0)`` and others costs beyond them, and how often it has the first.

        >>> words = Vocabulary(SearchOptions.from_params({}))
        >>> from symtorch.equations.normal import normalise
        >>> from symtorch.equations.parser import parse
        >>> words.price(words.render(normalise(parse("3*x^2", ["x"]))))
        (3, 2)
        """
        leaves = [node for node in walk(written) if isinstance(node, Variable)]
        cost = self.cost(written) - sum(self.cost(leaf) for leaf in leaves)
        return cost, sum(leaf.index == 0 for leaf in leaves)

    def _renderer(self, deep: bool, backwards: bool) -> Renderer:
        return Renderer(self.arithmetic, self.options.operators, self.cost, self.ways_to_raise, deep, backwards)


def _dearer(price: tuple[float, int], other: tuple[float, int]) -> bool:
    """Whether something of this price is dearer than the other, whatever it is made of."""
    return price[0] >= other[0] and price[1] >= other[1] and price != other


def _is_finite(expr: Expr) -> bool:
    return all(math.isfinite(node.value) for node in walk(expr) if isinstance(node, Constant))
