"""Normal forms as people write them, and what reading them takes.

A normal form (:mod:`.normal`) leaves open how it is written: what stands below a line, which number stands in front of
a bracket and which in it, whether a square is one of several factors. Here every node is written in the way that is
easiest to read, counted in symbols: a quantity is one, a function's name a half, and what makes a formula hard to take
in counts besides: brackets, above all those in one term of several, fractions below a line, factors that could have
been drawn out of a sum, or that were and stand in it still. ``1 + u/v`` is easier than it looks: it says what is small.

>>> from symtorch.equations.expr import to_text
>>> from symtorch.equations.normal import normalise
>>> from symtorch.equations.parser import parse
>>> names = ["x", "y", "z"]
>>> for text in ("x^2/(y^2*z^2)", "0.5*x/(1 - y/3)", "x*(x + y) - z", "x^2 + x*y - z"):
...     form = normalise(parse(text, names))
...     print(f"{to_text(written(form).tree, names, digits=5):18} {effort(form):.1f}")
(x/(y*z))^2        4.4
x/(2*(1 - y/3))    6.3
x*(x + y) - z      6.9
x*y + x^2 - z      5.3
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from symtorch.equations import numerals
from symtorch.equations.expr import Call, Constant, Expr, Operator, Variable, walk
from symtorch.equations.normal import REMEMBERED, coefficient, factors, is_power, is_product, is_sum, multiply, terms
from symtorch.equations.operators import OPERATORS

# What reading takes, in symbols. Chosen on the laws at even places of ``benchmarks/feynman.csv``, of which those at
# odd places are told apart in ``benchmarks/textbook.py``.

_FUNCTION = 0.5
"""A function's name."""
_KIND = 0.3
"""Each function that occurs, besides."""
_IN_FUNCTION = 0.2
"""A number before the argument of a function, besides."""
_ROOT = 0.8
_EXPONENT, _HIGH_EXPONENT = 0.3, 0.4
"""2, and 3 or more."""
_SIGN = 0.5
"""Between two terms."""
_MINUS_FIRST = 0.5
_NUMBER = 2.0
"""A number whose :func:`.numerals.effort` is 1; 2 is a fifth of that."""
_ROOT_OF_NUMBER = 0.3
_ONE = 0.1
"""1 above a line."""
_UNIT = 0.5
"""1 as a term, other than below."""
_BRACKET = 0.5
_BRACKET_IN_TERM = 0.6
"""A bracket in one term of several, besides."""
_LINE, _NUMBER_BELOW = 0.6, 0.4
"""A fraction, and one with a number alone below its line."""
_LINE_ABOVE, _LINE_BELOW = 0.4, 0.9
"""A fraction above another's line or below it, besides."""
_SUM_BELOW = 1.7
"""A sum below a line, which can't be taken apart there, besides."""
_DRAWN_AND_LEFT = 1.0
"""A factor of a sum that stands in one of its terms still, as in Horner's scheme, or could be cancelled there."""
_NOT_DRAWN = 0.5
"""A quantity or a number that is a factor of every term of a sum, or divides every one."""
_BARE = -0.15
"""A quantity as a term, ``x - u*v``."""
_CORRECTED_ONE, _RATIO_TO_ONE = -0.25, -0.5
"""``1 + u*v``, a correction to what is simple, and ``1 + u/v``, besides."""

_MOST_SCALES, _MOST_WAYS = 4, 16
"""Numbers that are tried before one bracket, and ways to share a number among the factors of a product."""

_PLUS, _MINUS, _TIMES, _OVER = (OPERATORS[sign] for sign in "+-*/")
_POWER, _NEGATIVE, _SQRT = (OPERATORS[name] for name in ("^", "neg", "sqrt"))


@dataclass(frozen=True)
class Written:
    """A normal form as people write it.

    Attributes:
        bare: the tree, without a leading minus.
        effort: what reading it takes, without the minus.
        minus: whether a minus leads.
        is_sum: whether it needs a bracket as a factor.
        is_product: whether it needs one under a power.
        lines: fractions, but for those in functions and roots.
        brackets: whether a sum is a factor of it, above or below.
        over_one: whether it has a quantity that is not below a line.
    """

    bare: Expr
    effort: float
    minus: bool = False
    is_sum: bool = False
    is_product: bool = False
    lines: int = 0
    brackets: bool = False
    over_one: bool = True

    @property
    def tree(self) -> Expr:
        if not self.minus:
            return self.bare
        return Constant(-self.bare.value) if isinstance(self.bare, Constant) else Call(_NEGATIVE, (self.bare,))

    @property
    def in_full(self) -> float:
        """What reading it takes with its minus."""
        return self.effort + _MINUS_FIRST * self.minus


Factors = Sequence[tuple[Expr, float]]
"""Bases in normal form, and their exponents."""

Powers = Sequence[tuple[Written, float]]
"""The same, the bases written."""


def effort(form: Expr) -> float:
    """What reading a normal form takes, in symbols."""
    whole = written(form)
    functions = {node.op.name for node in walk(whole.bare) if isinstance(node, Call) and node.op.precedence is None}
    return whole.in_full + _KIND * len(functions - {_SQRT.name, _NEGATIVE.name})


@lru_cache(maxsize=REMEMBERED)
def written(form: Expr) -> Written:
    """A normal form in the way that is easiest to read."""
    if isinstance(form, Variable):
        return Written(form, 1.0)
    if isinstance(form, Constant):
        above, below = _fraction(abs(form.value))
        tree = _over(Constant(above), Constant(below))
        line = below != 1.0
        cost = max(_number(above, below), _UNIT) + _NUMBER_BELOW * line
        return Written(tree, cost, form.value < 0.0, is_product=line, lines=int(line))
    assert isinstance(form, Call)
    if is_sum(form):
        return _sum(*terms(form))
    if is_product(form) or is_power(form):
        return _product(*factors(form))
    parts = [written(arg) for arg in form.args]
    numbers = sum(abs(coefficient(arg)[0]) != 1.0 for arg in form.args)
    own = _FUNCTION + _IN_FUNCTION * numbers
    return Written(Call(form.op, tuple(part.tree for part in parts)), own + sum(part.in_full for part in parts))


# ---- sums


def _sum(constant: float, found: Sequence[tuple[float, Expr]]) -> Written:
    """Terms that are added first, then those that are taken away."""
    parts = [written(multiply([Constant(c), term])) for c, term in found]
    cost = sum(part.effort + _BRACKET_IN_TERM * part.brackets for part in parts) + _SIGN * (len(parts) - 1)
    if constant == 0.0:
        cost += _BARE * any(c == 1.0 and isinstance(term, Variable) for c, term in found)
        cost += _NOT_DRAWN * _n_shared(found)
    else:
        number = written(Constant(constant))
        cost += _SIGN + (_corrected_one(parts) if constant == 1.0 else number.effort)
        leads = constant > 0.0 and not all(_is_monomial(part.tree) for part in parts)  # 1 - x, but x + 1
        parts = [number, *parts] if leads else [*parts, number]
    plus, minus = [part for part in parts if not part.minus], [part for part in parts if part.minus]
    tree = _chain(_PLUS, [part.bare for part in plus or minus])
    if plus:
        tree = _chain(_MINUS, [tree, *(part.bare for part in minus)])
    return Written(tree, cost, not plus, is_sum=True, lines=sum(part.lines for part in parts))


def _corrected_one(parts: Sequence[Written]) -> float:
    """1 as a term beside others."""
    if not all(part.is_product and part.over_one for part in parts):
        return 0.0
    return _CORRECTED_ONE + _RATIO_TO_ONE * all(part.lines for part in parts)


def _n_shared(found: Sequence[tuple[float, Expr]]) -> int:
    """How many quantities are factors of every term or divide every one; a number that all terms have is one."""
    if len(found) < 2:
        return 0
    powers = [{(base, e > 0.0) for base, e in factors(term)[1] if isinstance(base, Variable)} for _, term in found]
    numbers = {abs(c) for c, _ in found}
    return len(set.intersection(*powers)) + (len(numbers) == 1 and numbers != {1.0})


def _is_monomial(tree: Expr) -> bool:
    """Whether a tree is a product of powers of variables, or a number times that."""
    if isinstance(tree, Call):
        return tree.op in (_TIMES, _POWER) and all(map(_is_monomial, tree.args))
    return True


# ---- products


def _product(c: float, found: Factors) -> Written:
    """The easiest of the ways to share a number among the factors."""
    if c == 1.0 and len(found) == 1 and found[0][1] == 1.0:
        return written(found[0][0])
    ways = (_quotient(numerals.rounded(value), powers) for value, powers in _shared(c, found))
    best = min(ways, key=lambda way: way.in_full)
    return replace(best, effort=best.effort + _DRAWN_AND_LEFT) if _is_left(found) else best


def _is_left(found: Factors) -> bool:
    """Whether a factor stands in a term of a sum beside it, above in all such terms or below in all."""
    drawn = {base for base, e in found if e > 0.0 and not is_sum(base)}
    for total in (base for base, e in found if e > 0.0 and is_sum(base)):
        inside = [power for _, term in terms(total)[1] for power in factors(term)[1] if power[0] in drawn]
        if {base for base, e in inside if e > 0.0} ^ {base for base, e in inside if e < 0.0}:
            return True
    return False


def _shared(c: float, found: Factors) -> Iterator[tuple[float, Powers]]:
    """A number and powers: what the number leaves to sums among the bases, or to what stands under a root."""
    for k, (base, exponent) in enumerate(found):
        if abs(c) != 1.0 and abs(exponent) == 0.5:
            inside = written(multiply([Constant(numerals.rounded(abs(c) ** (1.0 / exponent))), base]))
            others = [(written(b), e) for i, (b, e) in enumerate(found) if i != k]
            yield math.copysign(1.0, c), [*others, (inside, exponent)]
    choices = [_scaled(base, exponent, c < 0.0) for base, exponent in found]
    for choice in itertools.islice(itertools.product(*choices), _MOST_WAYS):
        powers = [(part, exponent) for (_, part), (_, exponent) in zip(choice, found, strict=True)]
        yield c * math.prod(scale for scale, _ in choice), powers


def _scaled(base: Expr, exponent: float, minus: bool) -> list[tuple[float, Written]]:
    """A base in several ways, with the numbers that ``base^exponent`` leaves: a sum with another number before it.

    Args:
        minus: whether there is a minus for a sum to take.
    """
    ways: list[tuple[float, Written]] = []
    if is_sum(base):
        constant, addends = terms(base)
        sizes = dict.fromkeys([1.0, *(abs(a) for a, _ in addends), abs(constant) or 1.0])
        signs = (1.0,) if exponent % 1.0 else (-1.0, 1.0) if minus and exponent % 2.0 else (1.0, -1.0)
        for size in list(sizes)[:_MOST_SCALES]:
            sums = ((s, _sum(constant / s, [(a / s, term) for a, term in addends])) for s in (size * q for q in signs))
            ways += [(s**exponent, part) for s, part in sums if not part.minus][:1]
    return ways or [(1.0, written(base))]


def _quotient(c: float, powers: Powers) -> Written:
    """``c*a*b/(d*e)``; of three and more squares one of a product, ``(a*b/c)^2``, if that is easier to read."""
    ways = [_arranged(abs(c), powers)]
    even = [(part, e / 2.0) for part, e in powers if e % 2.0 == 0.0]
    if len(even) >= 3:
        others = [(part, e) for part, e in powers if e % 2.0 != 0.0]
        sign = -1.0 if all(e < 0.0 for _, e in even) else 1.0
        inner = _arranged(1.0, [(part, sign * e) for part, e in even])
        ways.append(_arranged(abs(c), [*others, (inner, 2.0 * sign)]))
        if not others and abs(c) != 1.0:
            ways.append(_arranged(1.0, [(_arranged(numerals.rounded(math.sqrt(abs(c))), even), 2.0)]))
    return replace(min(ways, key=lambda way: way.effort), minus=c < 0.0)


def _arranged(c: float, powers: Powers) -> Written:
    """A positive number and powers above and below one line."""
    number, divisor = _fraction(c)
    above = sorted(((part, e) for part, e in powers if e > 0.0), key=_rank)
    below = sorted(((part, -e) for part, e in powers if e < 0.0), key=_rank)
    has_line = bool(below) or divisor != 1.0
    cost = _number(number, divisor) + (_LINE if below else _NUMBER_BELOW if has_line else 0.0)
    cost += _side(above, number) + _side(below, divisor)
    for part, e in below:
        if e != 0.5:
            cost += _SUM_BELOW * part.is_sum + _LINE_BELOW * part.lines
        elif any(exponent == 0.5 for _, exponent in above):  # it could be one root
            cost += _SUM_BELOW * part.is_sum
        if e == 0.5:  # it could be turned over
            cost += _LINE_BELOW * (part.is_product and part.lines > 0)
    # A bracket with fractions in it stands behind a fraction, not above its line; alone it does stand there.
    tall = bool(above) and has_line and above[-1][0].is_sum and above[-1][0].lines > 0 and above[-1][1] != 0.5
    alone = tall and _is_alone(above, number)
    cost += _LINE_ABOVE * (above[-1][0].lines if alone else 0)
    behind = above[-1:] if tall and not alone else []
    before = above[: len(above) - len(behind)]
    cost += _ONE * (bool(below) and number == 1.0 and not before)
    tree = _over(_times(number, before), _times(divisor, below))
    tree = _chain(_TIMES, [tree, *(_raised(part, e) for part, e in behind)])
    base = above[0][0] if len(powers) == len(above) == 1 and c == 1.0 else None  # a power alone
    plain, rooted = base is not None and above[0][1] == 1.0, base is not None and above[0][1] == 0.5
    return Written(
        tree,
        cost,
        is_sum=plain and base is not None and base.is_sum,
        is_product=base.is_product if plain and base is not None else not rooted,
        lines=sum(part.lines for part, e in powers if abs(e) != 0.5) + bool(below),
        brackets=any(part.is_sum and abs(e) != 0.5 for part, e in powers),
        over_one=bool(above),
    )


def _side(powers: Powers, number: float) -> float:
    """What reading powers above a line or below it takes."""
    cost = 0.0
    for part, e in powers:
        exponent = 0.0 if e == 1.0 else _ROOT if e % 1.0 else _EXPONENT if e < 3.0 else _HIGH_EXPONENT
        bracket = (part.is_sum and e != 0.5) or (part.is_product and e not in (1.0, 0.5))
        cost += part.in_full + exponent + _BRACKET * (bracket and not _is_alone(powers, number))
    return cost


def _is_alone(powers: Powers, number: float) -> bool:
    """Whether nothing but one base, without an exponent, stands on a side of a line."""
    return len(powers) == 1 and number == 1.0 and powers[0][1] == 1.0


def _rank(power: tuple[Written, float]) -> int:
    """For the order of factors: quantities, then functions and powers, then sums."""
    part, _ = power
    return 0 if isinstance(part.bare, Variable) else 2 if part.is_sum else 1


def _raised(part: Written, exponent: float) -> Expr:
    if exponent == 1.0:
        return part.tree
    if exponent == 0.5:
        return Call(_SQRT, (part.tree,))
    above, below = _fraction(exponent)
    return Call(_POWER, (part.tree, _over(Constant(above), Constant(below))))


def _times(number: float, powers: Powers) -> Expr:
    parts = [_raised(part, e) for part, e in powers]
    return _chain(_TIMES, [Constant(number), *parts] if number != 1.0 or not parts else parts)


def _over(above: Expr, below: Expr) -> Expr:
    return above if below == Constant(1.0) else Call(_OVER, (above, below))


def _chain(op: Operator, parts: Sequence[Expr]) -> Expr:
    tree = parts[0]
    for part in parts[1:]:
        tree = Call(op, (tree, part))
    return tree


# ---- numbers

_HALVES = (2, 4, 8, 16, 32, 64)
"""Denominators of fractions that are short decimals too, and are read as fractions."""


@lru_cache(maxsize=REMEMBERED)
def _fraction(value: float) -> tuple[float, float]:
    """Numerator and denominator of a positive number as it is written, the denominator 1 for a decimal."""
    if value.is_integer() or not math.isfinite(value):
        return value, 1.0
    found = next(numerals.near(value, numerals.ROUNDING), None)
    if found is None or not found.is_quotient or (numerals.written(value) is None and found.below not in _HALVES):
        return value, 1.0
    above, below = float(found.above), float(found.below)
    if not found.unit:
        return above, below
    unit = value * below / above
    return (above, below / unit) if found.inverse else (above * unit, below)


def _number(above: float, below: float) -> float:
    """What reading a coefficient takes."""
    roots = any(_is_root(value) for value in (above, below))
    return _NUMBER * (numerals.effort(above) + numerals.effort(below)) + _ROOT_OF_NUMBER * roots


def _is_root(value: float) -> bool:
    found = None if value.is_integer() else numerals.written(value)
    return found is not None and found.unit.startswith("sqrt")
