"""Fitted sums and links as trees in the user's operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from symtorch.engines.native.baseline.links import Link
from symtorch.engines.native.baseline.tuning import tuning
from symtorch.engines.native.fitting.tape import fixed_power
from symtorch.engines.native.forms import inverses
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.options import SearchOptions
from symtorch.equations import normal
from symtorch.equations.expr import Call, Constant, Expr, Variable, depth, walk
from symtorch.equations.operators import OPERATORS, Operator

_DIGITS = 9
"""An exact law's coefficient that has so few digits but for its rounding gets these digits."""


@dataclass(frozen=True)
class Written:
    """A baseline equation.

    Attributes:
        tree: in the user's operators.
        complexity: by the user's measure.
        loss: mean loss over the loss of the best constant.
    """

    tree: Expr
    complexity: int
    loss: float


@dataclass(frozen=True)
class NamedLink:
    """A link, and how it is written.

    Attributes:
        link: the numbers of it.
        build: normal form of h -> normal form of g(h).
        cost: complexity that g adds to its argument.
        homogeneous: ``g(s*h) = s*g(h)`` for positive s, so that a factor may go inside.
        free: whether a factor and a constant around g are worth a fit; False where another link has the same curves.
    """

    link: Link
    build: Callable[[Expr], Expr]
    cost: float
    homogeneous: bool
    free: bool = True


class Writer:
    """Writes sums and links, which may be larger than what is searched for.

    A search goes up to ``maxsize``. Where the user has named none, 30 is no wish of theirs, and a line through
    all inputs within one function may be written out.

    Args:
        options: the search space, over all inputs.
        n_inputs: how many there are.
    """

    def __init__(self, options: SearchOptions, n_inputs: int) -> None:
        costs = options.complexity_of_variables
        self._variable = max(costs) if isinstance(costs, tuple) else costs
        self._options = options
        self.links = _links(Vocabulary(options))
        self.size = options.maxsize
        if "maxsize" not in options.given and options.maxsize == SearchOptions.maxsize:
            terms = min(n_inputs, tuning().most_terms)
            around = max((named.cost for named in self.links), default=0.0) + self.factor_and_constant
            self.size = max(self.size, round(self.of_line(terms) + around))
        self._words = Vocabulary(replace(options, maxsize=self.size))
        plain = [options.operators.get(name) is OPERATORS[name] for name in "+*"]
        self._plain = all(plain) and not (options.constraints or options.nested_constraints)
        self._minus = options.operators.get("-") is OPERATORS["-"]

    # ---- sizes

    def _cost(self, name: str) -> float:
        return self._options.complexity_of_operators.get(name, 1)

    @property
    def factor_and_constant(self) -> float:
        """What ``a*g + c`` costs beyond g."""
        return 2 * self._options.complexity_of_constants + self._cost("+") + self._cost("*")

    @property
    def factor(self) -> float:
        """What one more input in a product costs."""
        return self._variable + self._cost("*")

    def of_line(self, terms: int, factors: int = 1) -> float:
        """Complexity of a sum of so many terms with coefficients, and a constant.

        Args:
            factors: inputs in each term.
        """
        constant = self._options.complexity_of_constants
        term = constant + factors * self.factor + self._cost("+")
        return terms * term + constant

    def most_terms(self, around: float = 0.0, factors: int = 1) -> int:
        """Terms that there is room for, within something of the complexity ``around``."""
        room = self.size - around - self.of_line(0)
        term = self.of_line(1, factors) - self.of_line(0)
        return max(0, min(tuning().most_terms, int(room / term))) if term > 0.0 else tuning().most_terms

    # ---- trees

    def written(self, expr: Expr, loss: float) -> Written | None:
        """A normal form in the user's operators, or None if it breaks a rule or is too large."""
        tree = self._words.legal(expr)
        return None if tree is None else Written(tree, self._options.complexity(tree), loss)

    def sum(
        self, features: Sequence[Sequence[int]], coefficients: np.ndarray, constant: float, loss: float, exact: bool
    ) -> Written | None:
        """``constant + sum of coefficient * product of the feature's inputs``.

        Args:
            exact: nothing but rounding is left, so that coefficients may be rounded too.
        """
        if not (np.isfinite(coefficients).all() and np.isfinite(constant)):
            return None
        if exact:
            coefficients, constant = np.array([rounded(c) for c in coefficients]), rounded(constant)
        pairs = [(float(c), f) for c, f in zip(coefficients, features, strict=True) if c != 0.0]
        if self._plain and self._minus and all(len(f) == 1 for _, f in pairs) and pairs:
            tree = _line(pairs, float(constant))
            if self._options.maxdepth is None or depth(tree) <= self._options.maxdepth:
                complexity = self._options.complexity(tree)
                return Written(tree, complexity, loss) if complexity <= self.size else None
        return self.written(as_sum(pairs, float(constant)), loss)


def as_sum(pairs: Sequence[tuple[float, Sequence[int]]], constant: float) -> Expr:
    """The normal form of a constant and products of inputs with coefficients."""
    parts = [normal.multiply([Constant(c), *(Variable(i) for i in feature)]) for c, feature in pairs]
    return normal.add([*parts, Constant(constant)])


def _line(pairs: Sequence[tuple[float, Sequence[int]]], constant: float) -> Expr:
    """What a vocabulary with ``+``, ``-`` and ``*`` makes of a line, for a thousand outputs in a second.

    The sums are balanced, so that the tree is not as deep as it is long.
    """
    plus: list[Expr] = []
    minus: list[Expr] = []
    for c, (i,) in sorted(pairs, key=lambda pair: pair[1][0]):
        tree: Expr = Variable(i)
        if abs(c) != 1.0:
            tree = Call(OPERATORS["*"], (Constant(abs(c)), tree))
        (plus if c > 0.0 else minus).append(tree)
    if constant > 0.0 or not plus:
        plus.append(Constant(constant))
    elif constant < 0.0:
        minus.append(Constant(-constant))
    total = _balanced(OPERATORS["+"], plus)
    return Call(OPERATORS["-"], (total, _balanced(OPERATORS["+"], minus))) if minus else total


def _balanced(op: Operator, parts: list[Expr]) -> Expr:
    while len(parts) > 1:
        pairs: list[Expr] = [Call(op, (a, b)) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + parts[len(parts) - len(parts) % 2 :]
    return parts[0]


def rounded(value: float) -> float:
    """A coefficient of an exact law without its rounding errors, if it is a number of few digits."""
    short = float(f"{value:.{_DIGITS}g}")
    return short if abs(value - short) <= 1e-11 * abs(value) else float(value)


# ---- the functions that there are

_POWERS = (-1.0, 0.5, 2.0, 3.0, -2.0, -0.5)


def _links(words: Vocabulary) -> list[NamedLink]:
    """Every function of one argument that the user's operators can write and that has a slope."""
    x = Variable(0)
    undone = {wrap.name: wrap.inverse for wrap in inverses.wraps(words)}
    found = []
    for op in words.functions:
        if op.partials is None:
            continue
        partials = op.partials
        link = Link(op.numpy, lambda g, h, partials=partials: partials(g, h)[0], undone.get(op.name))  # type: ignore[misc]
        found.append(_named(link, lambda h, op=op: normal.apply(op, [h]), words.cost(Call(op, (x,))) - words.cost(x)))  # type: ignore[misc]
    for e in _POWERS:
        tree = words.render(normal.power(x, e))
        # A power that is written as a product would write the line out twice.
        if tree is None or sum(node == x for node in walk(tree)) > 1:
            continue
        link = Link(
            lambda h, e=e: fixed_power(h, e),  # type: ignore[misc]
            lambda g, h, e=e: e * fixed_power(h, e - 1.0),  # type: ignore[misc]
            undone.get(f"^{e:g}"),
        )
        found.append(_named(link, lambda h, e=e: normal.power(h, e), words.cost(tree) - words.cost(x)))  # type: ignore[misc]
    return [*found, *_saturating(words)]


def _saturating(words: Vocabulary) -> list[NamedLink]:
    """The curves of layers that saturate, by exp, where there is no operator for them."""
    exp = next((op for op in words.functions if op is OPERATORS["exp"]), None)
    if exp is None or {"tanh", "sigmoid"} & {op.name for op in words.functions}:
        return []
    one = Constant(1.0)

    def falling(h: Expr) -> Expr:
        return normal.power(normal.add([normal.apply(exp, [h]), one]), -1.0)

    def tanh(h: Expr) -> Expr:
        twice = normal.multiplied_out(normal.multiply([Constant(2.0), h]))
        return normal.add([one, normal.multiply([Constant(-2.0), falling(twice)])])

    def logistic(h: np.ndarray) -> np.ndarray:
        return 0.5 - 0.5 * np.tanh(0.5 * h)

    links = (
        (Link(logistic, lambda g, h: g * (g - 1.0), lambda y: np.log((1.0 - y) / y)), falling, True),
        (Link(np.tanh, lambda g, h: 1.0 - g * g, np.arctanh), tanh, False),
    )
    x, found = Variable(0), []
    for link, build, free in links:
        tree = words.render(build(x))
        if tree is not None:
            found.append(NamedLink(link, build, words.cost(tree) - words.cost(x), False, free))
    return found


def _named(link: Link, build: Callable[[Expr], Expr], cost: float) -> NamedLink:
    h = np.linspace(-2.0, 2.0, 9)
    with np.errstate(all="ignore"):
        homogeneous = np.allclose(link.value(3.0 * h), 3.0 * link.value(h), rtol=1e-12, atol=0.0)
    return NamedLink(link, build, cost, bool(homogeneous))
