"""The form of an equation that a textbook would print: the same function, written for people.

Complexity is what a front is sorted by, so each of its equations stands in its shortest form:
``x0*(x0 - 2*x1*cos(x2)) + x1^2`` for the law of cosines, ``(1 - cos(x))/(1 - cos(y))`` for a quotient of squared
sines. What people look for is something else: few symbols, but also few brackets, no bracket in a bracket's term,
no fraction below a fraction's line, one root over a quotient, factors in front of sums, a correction as one to 1.
:func:`textbook` looks among the forms that algebra leads to (:mod:`.rewriting`) for the one that is easiest to read.

Reading is counted as a typesetter sees it: every symbol once, and beside them what makes a formula hard to take in.
Nothing but the look changes: the equation's own tree, its complexity and its constants stay.

>>> from symtorch.equations.expr import to_text
>>> from symtorch.equations.parser import parse
>>> names = ["a", "b", "t"]
>>> [to_text(textbook(parse(text, names)), names, digits=5) for text in ("a*(a - 2*b*cos(t)) + b*b", "a*t - b*t")]
['a^2 + b^2 - 2*a*b*cos(t)', 't*(a - b)']
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from symtorch.equations import rules
from symtorch.equations.expr import Call, Constant, Expr, Variable, evaluate, size, transform, variables, walk
from symtorch.equations.normal import (
    REMEMBERED,
    coefficient,
    factors,
    is_power,
    is_product,
    is_sum,
    multiply,
    normalise,
    terms,
)
from symtorch.equations.numerals import ROUNDING, effort, near, rounded, written
from symtorch.equations.operators import OPERATORS
from symtorch.equations.rewriting import explored

LARGEST = 60
"""Nodes of a normal form up to which forms are looked for; nobody reads longer ones for their form."""

FORMS, PASSES, DETOUR = 150, 4, 3.0
"""Forms that are looked at from each that is easier to read than those before, how often that begins anew, and how
much harder to read one may be that still leads to others."""

# What reading takes, in symbols.
_FUNCTION = 0.5
"""A function's name."""
_KIND = 0.3
"""Of each function that there is, besides."""
_ROOT_SIGN = 0.8
_EXPONENT = 0.3
_HIGH_EXPONENT = 0.4
"""Of 3 and more."""
_SIGN = 0.5
"""Between two terms."""
_BRACKET = 0.5
_BRACKET_IN_TERM = 0.6
"""Of a bracket that is a factor of one term of several, besides."""
_PER_NUMBER = 2.0
"""A number, where a decimal of five digits is 1."""
_ROOT_OF_NUMBER = 0.3
_LINE = 0.6
"""Of a fraction with symbols below its line."""
_NUMBER_BELOW = 0.4
"""The same with a number alone there."""
_LINE_ABOVE = 0.4
"""Of a fraction above another's line, besides."""
_LINE_BELOW = 0.9
"""Of each fraction below another's line, besides."""
_SUM_BELOW = 1.7
"""Of a sum below a line, which can't be taken apart there, besides."""
_ONE = 0.1
"""1 in the place of a numerator."""
_UNIT = 0.5
"""1 as a term."""
_CORRECTED_ONE = -0.25
"""``1 + u*v``, a correction to what is simple."""
_BARE = -0.15
"""A quantity as a term, ``x - u*v``."""
_RATIO_TO_ONE = -0.5
"""``1 + u/v``, besides: it says what is small."""
_DRAWN_AND_LEFT = 1.0
"""A factor before a sum that has it in a term still, as in Horner's scheme."""
_NOT_DRAWN = 0.5
"""A quantity that is a factor of every term of a sum, or a divisor."""
_IN_FUNCTION = 0.2
"""A number before or below the argument of a function."""
_MINUS_FIRST = 0.5

_RULES = (
    *rules.SHORTENING,
    rules.take_out,
    rules.turned_inverse,
    rules.hyperbolic_one,
)
_PLUS, _MINUS, _TIMES, _OVER, _POWER, _NEGATIVE, _ROOT = (
    OPERATORS[n] for n in ("+", "-", "*", "/", "^", "neg", "sqrt")
)


def signs_of(X: np.ndarray) -> tuple[int, ...]:
    """The sign of each column of X (n_samples, n_inputs): 1, -1, or 0 where it has both.

    >>> signs_of(np.array([[1.0, -2.0, 3.0], [0.0, -1.0, -3.0]]))
    (1, -1, 0)
    """
    return tuple(np.where((X >= 0.0).all(axis=0), 1, np.where((X <= 0.0).all(axis=0), -1, 0)).tolist())


@lru_cache(maxsize=1024)
def textbook(expr: Expr, signs: tuple[int, ...] | None = None) -> Expr:
    """The form of an expression that is easiest to read; it has the same values.

    Args:
        expr: any tree.
        signs: of each input, where a form must have the same values: 1, -1, or 0 for either; None for all either.

    Returns:
        A tree in any operators, each with its own complexity; the expression itself where it is too long, or no form
        could be compared with it.
    """
    start = normalise(transform(expr, _rounded))
    if size(start) > LARGEST:
        return expr
    X = _points(expr, signs)
    values = evaluate(expr, X)
    if np.isfinite(values).sum() < _FEWEST:
        return expr
    best = expr
    for _ in range(PASSES):
        found = _easiest(start, X, values)
        if found is None:
            return best
        form, best = found
        if form == start:
            return best
        start = form
    return best


def _easiest(start: Expr, X: np.ndarray, values: np.ndarray) -> tuple[Expr, Expr] | None:
    """The form with these values that is easiest to read of those a few steps away, and how it is written."""
    written: dict[Expr, Expr] = {}

    def price(form: Expr) -> float:
        tree = _write(form).tree
        if tree in written:
            return math.inf  # another normal form of what is written alike
        written[tree] = form
        return reading(form)

    met = explored(start, price, _RULES, FORMS, DETOUR)
    for tree, form in sorted(written.items(), key=lambda item: met.get(item[1], math.inf)):
        if _same(evaluate(tree, X), values):
            return form, tree
    return None


def reading(form: Expr) -> float:
    """What reading a normal form takes, in symbols."""
    written = _write(form)
    functions = {node.op.name for node in walk(written.tree) if isinstance(node, Call) and node.op.precedence is None}
    return written.cost + _MINUS_FIRST * written.minus + _KIND * len(functions)


_FEWEST = 8
"""Points at which an expression must be defined for forms to be compared with it."""
_POINTS = 48
_SAME = 1e-9


def _points(expr: Expr, signs: tuple[int, ...] | None) -> np.ndarray:
    """Points at which forms are compared, of some sizes and of the signs that there are."""
    rng = np.random.default_rng(0)
    n = max(variables(expr), default=-1) + 1
    X = np.concatenate([rng.uniform(0.3, largest, (_POINTS, n)) for largest in (3.0, 3.0, 0.95)])
    either = rng.choice((-1.0, 1.0), X.shape)
    either[: _POINTS // 2] = 1.0  # roots of products of many inputs are seldom defined
    known = np.zeros(n) if signs is None or len(signs) < n else np.array(signs[:n], dtype=np.float64)
    return np.asarray(X * np.where(known == 0.0, either, known))


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether values agree but for rounding, defined in the same places."""
    finite = np.isfinite(b)
    if not np.array_equal(np.isfinite(a), finite):
        return False
    sizes = np.abs(b[finite])
    return bool((np.abs(a[finite] - b[finite]) <= _SAME * (sizes + np.median(sizes))).all())


def _rounded(node: Expr) -> Expr:
    return Constant(rounded(node.value)) if isinstance(node, Constant) else node


# ---- writing a normal form, and what reading it takes


@dataclass(frozen=True)
class _Written:
    """A normal form as people write it.

    Attributes:
        tree: of its size, without a leading minus.
        cost: what reading it takes.
        minus: whether a minus leads.
        is_sum: whether it needs a bracket as a factor.
        is_product: whether it needs one under a power.
        lines: fractions, but for those in functions and roots.
        brackets: whether a factor of it is a bracket.
        quantity: whether it has symbols above a line, if there is one.
    """

    bare: Expr
    cost: float
    minus: bool = False
    is_sum: bool = False
    is_product: bool = False
    lines: int = 0
    brackets: bool = False
    quantity: bool = True

    @property
    def tree(self) -> Expr:
        if not self.minus:
            return self.bare
        return Constant(-self.bare.value) if isinstance(self.bare, Constant) else _minus(self.bare)


def _minus(tree: Expr) -> Expr:
    """``-a*b/c`` with the minus before the first factor."""
    return Call(_NEGATIVE, (tree,))


@lru_cache(maxsize=REMEMBERED)
def _write(node: Expr) -> _Written:
    if isinstance(node, Variable):
        return _Written(node, 1.0)
    if isinstance(node, Constant):
        above, below = _fraction(abs(node.value))
        tree = Constant(above) if below == 1.0 else Call(_OVER, (Constant(above), Constant(below)))
        return _Written(
            tree, max(_number(above, below), _UNIT), node.value < 0.0, is_product=below != 1.0, lines=int(below != 1.0)
        )
    assert isinstance(node, Call)
    if is_sum(node):
        return _sum(*terms(node))
    if is_product(node) or is_power(node):
        return _product(*factors(node))
    parts = [_write(arg) for arg in node.args]
    scaled = sum(_IN_FUNCTION * (_scale_of(arg) != 1.0) for arg in node.args)
    return _Written(
        Call(node.op, tuple(part.tree for part in parts)),
        _FUNCTION + scaled + sum(p.cost + _MINUS_FIRST * p.minus for p in parts),
    )


def _scale_of(arg: Expr) -> float:
    return abs(coefficient(arg)[0])


def _sum(constant: float, found: Sequence[tuple[float, Expr]]) -> _Written:
    """Terms that are added first, then those that are taken away."""
    parts = [_write(multiply([Constant(c), term])) for c, term in found]
    costs = [part.cost + (_BRACKET_IN_TERM if part.brackets else 0.0) for part in parts]
    cost = sum(costs) + _SIGN * (len(parts) - 1)
    if constant == 0.0:
        cost += _BARE * any(c == 1.0 and isinstance(term, Variable) for c, term in found)
        cost += _NOT_DRAWN * (_n_shared([term for _, term in found]) + _has_common_number(found))
    else:
        number = _write(Constant(constant))
        corrected = constant == 1.0 and all(part.is_product and part.quantity for part in parts)
        cost += _SIGN + (_CORRECTED_ONE if corrected else 0.0 if constant == 1.0 else number.cost)
        cost += _RATIO_TO_ONE * (corrected and all(part.lines for part in parts))
        first = constant > 0.0 and any(part.minus or part.lines or not _is_polynomial(part.bare) for part in parts)
        parts = [number, *parts] if first else [*parts, number]
    plus, minus = [p for p in parts if not p.minus], [p for p in parts if p.minus]
    lines = sum(part.lines for part in parts)
    if not plus:
        tree = minus[0].bare
        for part in minus[1:]:
            tree = Call(_PLUS, (tree, part.bare))
        return _Written(tree, cost, True, is_sum=True, lines=lines)
    tree = plus[0].bare
    for op, group in ((_PLUS, plus[1:]), (_MINUS, minus)):
        for part in group:
            tree = Call(op, (tree, part.bare))
    return _Written(tree, cost, is_sum=True, lines=lines)


def _n_shared(found: Sequence[Expr]) -> int:
    """How many variables are factors of every term, or divide every term."""
    powers = [{(base, e > 0.0) for base, e in factors(term)[1] if isinstance(base, Variable)} for term in found]
    return len(set.intersection(*powers)) if len(powers) > 1 else 0


def _has_common_number(found: Sequence[tuple[float, Expr]]) -> bool:
    sizes = {abs(c) for c, _ in found}
    return len(found) > 1 and len(sizes) == 1 and sizes != {1.0}


def _is_left(found: Factors) -> bool:
    """Whether a factor stands in a sum beside it, too."""
    drawn = {base for base, e in found if e > 0.0 and not is_sum(base)}
    for total in (base for base, e in found if e > 0.0 and is_sum(base)):
        inside = [power for _, term in terms(total)[1] for power in factors(term)[1] if power[0] in drawn]
        if {base for base, e in inside if e > 0.0} ^ {base for base, e in inside if e < 0.0}:
            return True
    return False


def _is_polynomial(tree: Expr) -> bool:
    """Whether it is a product of powers of variables."""
    if isinstance(tree, Call):
        return tree.op.name in "*^" and all(map(_is_polynomial, tree.args))
    return True


Factors = list[tuple[Expr, float]]


def _product(c: float, found: Factors) -> _Written:
    """The cheapest of the ways to share a number among the sums of a product."""
    if len(found) == 1 and found[0][1] == 1.0 and is_sum(found[0][0]) and abs(c) == 1.0:
        part = _write(found[0][0])
        if c > 0.0:
            return part
    ways = [_quotient(rounded(value), parts) for value, parts in _shared(c, found)]
    best = min(ways, key=lambda way: way.cost + _MINUS_FIRST * way.minus)
    return replace(best, cost=best.cost + _DRAWN_AND_LEFT) if _is_left(found) else best


def _shared(c: float, found: Factors) -> Iterator[tuple[float, list[tuple[_Written, float]]]]:
    """A number, and the factors as they are written, with exponents: the number of the whole, or some of it, in sums."""
    choices: list[list[tuple[float, _Written, float]]] = []
    for base, exponent in found:
        if not is_sum(base):
            choices.append([(1.0, _write(base), exponent)])
            continue
        constant, addends = terms(base)
        scales = dict.fromkeys([1.0, *(abs(a) for a, _ in addends), *([abs(constant)] if constant else [])])
        odd = exponent % 2.0 == 1.0
        ways = []
        for scale in list(scales)[:4]:
            for sign in (-1.0, 1.0) if c < 0.0 and odd else (1.0, -1.0) if exponent.is_integer() else (1.0,):
                s = sign * scale
                part = _sum(constant / s, [(a / s, term) for a, term in addends])
                if not part.minus:
                    ways.append((s**exponent, part, exponent))
                    break
        choices.append(ways or [(1.0, _write(base), exponent)])
    for k, (base, exponent) in enumerate(found):
        if c not in (1.0, -1.0) and abs(exponent) == 0.5:
            rest = [(_write(b), e) for i, (b, e) in enumerate(found) if i != k]
            inside = _write(multiply([Constant(rounded(abs(c) ** (1.0 / exponent))), base]))
            yield math.copysign(1.0, c), [*rest, (inside, exponent)]
    for choice in itertools.islice(itertools.product(*choices), 16):
        yield c * math.prod(scale for scale, _, _ in choice), [(part, exponent) for _, part, exponent in choice]


def _quotient(c: float, parts: list[tuple[_Written, float]]) -> _Written:
    """``c*a*b/(d*e)``, the factors of three and more even powers in one bracket if that is easier to read."""
    minus = c < 0.0
    plain = _arranged(abs(c), parts)
    even = [(part, e / 2.0) for part, e in parts if e % 2.0 == 0.0]
    if len(even) >= 3:
        below = all(e < 0.0 for _, e in even)
        inner = _arranged(1.0, [(part, -e) for part, e in even] if below else even)
        rest = [(part, e) for part, e in parts if e % 2.0 != 0.0]
        ways = [plain, _arranged(abs(c), [*rest, (inner, -2.0 if below else 2.0)])]
        if not rest and c != 1.0:
            ways.append(_arranged(1.0, [(_arranged(rounded(math.sqrt(abs(c))), even), 2.0)]))
        plain = min(ways, key=lambda way: way.cost)
    return _Written(
        plain.bare, plain.cost, minus, plain.is_sum, plain.is_product, plain.lines, plain.brackets, plain.quantity
    )


def _arranged(c: float, parts: list[tuple[_Written, float]]) -> _Written:
    above_number, below_number = _fraction(c)
    above = [(part, e) for part, e in parts if e > 0.0]
    below = [(part, -e) for part, e in parts if e < 0.0]
    above.sort(key=lambda item: _rank(item[0].bare))
    below.sort(key=lambda item: _rank(item[0].bare))
    alone = {
        id(side[0][0])
        for side, number in ((above, above_number), (below, below_number))
        if len(side) == 1 and side[0][1] == 1.0 and number == 1.0
    }
    cost = _number(above_number, below_number, bool(below))
    lines = 0
    brackets = False
    for side in (above, below):
        for part, e in side:
            needs_bracket = (part.is_sum and e != 0.5) or (e not in (1.0, 0.5) and part.is_product)
            free = e == 1.0 and id(part) in alone
            cost += part.cost + _raising(e) + _BRACKET * (needs_bracket and not free) + _MINUS_FIRST * part.minus
            brackets = brackets or (part.is_sum and e != 0.5)
            if side is below:
                two_roots = e == 0.5 and any(power == 0.5 for _, power in above)  # that could be one
                cost += _SUM_BELOW * (part.is_sum and (e != 0.5 or two_roots))
                cost += _LINE_BELOW * (part.lines if e != 0.5 else part.is_product and part.lines > 0)
            elif free and (below or below_number != 1.0):
                cost += _LINE_ABOVE * part.lines
            lines += part.lines * (e != 0.5)
    if below:
        cost += _LINE
        lines += 1
    numerator = _times(above_number, [_raised(part, e) for part, e in above])
    denominator = _times(below_number, [_raised(part, e) for part, e in below])
    tall = (
        len(above) > 0
        and not alone & {id(above[-1][0])}
        and above[-1][0].is_sum
        and above[-1][0].lines
        and above[-1][1] != 0.5
        and bool(below or below_number != 1.0)
    )
    cost += _ONE * (bool(below) and above_number == 1.0 and len(above) == tall)
    if tall:  # a fraction before a bracket
        front = Call(_OVER, (_times(above_number, [_raised(part, e) for part, e in above[:-1]]), denominator))
        tree: Expr = Call(_TIMES, (front, _raised(*above[-1])))
    else:
        tree = numerator if denominator == Constant(1.0) else Call(_OVER, (numerator, denominator))
    single = len(parts) == 1 and above_number == below_number == 1.0 and bool(above)
    is_plain = single and parts[0][1] in (1.0, 0.5)
    return _Written(
        tree,
        cost,
        is_sum=is_plain and parts[0][0].is_sum and parts[0][1] == 1.0,
        is_product=not is_plain or (parts[0][0].is_product and parts[0][1] == 1.0),
        lines=lines,
        brackets=brackets,
        quantity=bool(above),
    )


def _rank(tree: Expr) -> int:
    """Of factors in their order: quantities, functions and powers, sums."""
    if isinstance(tree, Variable):
        return 0
    assert isinstance(tree, Call)
    return 2 if tree.op in (_PLUS, _MINUS) else 1


def _raising(exponent: float) -> float:
    if exponent == 1.0:
        return 0.0
    if not exponent.is_integer():
        return _ROOT_SIGN
    return _EXPONENT if exponent < 3.0 else _HIGH_EXPONENT


def _raised(part: _Written, exponent: float) -> Expr:
    if exponent == 1.0:
        return part.tree
    if exponent == 0.5:
        return Call(_ROOT, (part.tree,))
    return Call(_POWER, (part.tree, Constant(exponent)))


def _times(number: float, trees: list[Expr]) -> Expr:
    parts = [Constant(number), *trees] if number != 1.0 or not trees else trees
    tree = parts[0]
    for part in parts[1:]:
        tree = Call(_TIMES, (tree, part))
    return tree


# ---- numbers


@lru_cache(maxsize=REMEMBERED)
def _fraction(value: float) -> tuple[float, float]:
    """Numerator and denominator of a positive number as it is written, the denominator 1 for a decimal."""
    if value.is_integer() or not math.isfinite(value):
        return value, 1.0
    numeral = next(near(value, ROUNDING), None)
    if numeral is None or not numeral.is_quotient:
        return value, 1.0
    if written(value) is None and numeral.below not in _HALVES:
        return value, 1.0  # 0.3
    unit = numeral.value * numeral.below / numeral.above
    if not numeral.unit:
        return float(numeral.above), float(numeral.below)
    return (
        (float(numeral.above), numeral.below / unit)
        if numeral.inverse
        else (numeral.above * unit, float(numeral.below))
    )


_HALVES = (2, 4, 8, 16, 32, 64)
"""Denominators of fractions that are short decimals too."""


def _number(above: float, below: float, line: bool = False) -> float:
    """What reading a coefficient takes."""
    cost = _PER_NUMBER * (effort(above) + effort(below))
    cost += _ROOT_OF_NUMBER * any(_is_root(value) for value in (above, below))
    return cost + _NUMBER_BELOW * (below != 1.0 and not line)


def _is_root(value: float) -> bool:
    numeral = None if value.is_integer() else written(value)
    return numeral is not None and numeral.unit.startswith("sqrt")
