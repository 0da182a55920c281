"""Physical dimensions of equations: whether metres are added to seconds somewhere.

Units are text, as PySR's X_units and y_units: ``"m/s^2"``, ``"kg*m^2"``, ``"1"`` for none. Only their dimensions
count, not their sizes. A constant may have any dimension, as in PySR: what multiplies it may have any, too.

>>> from symtorch.equations.parser import parse
>>> units = [dimension("m"), dimension("s")]
>>> is_consistent(parse("x/(2.5*t) + t", ["x", "t"]), units, dimension("s"))
True
>>> is_consistent(parse("x/t + x", ["x", "t"]), units, dimension("m"))
False
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from symtorch.equations.expr import Call, Constant, Expr, Variable, fold, substitute
from symtorch.errors import InputError

Dimension = tuple[Fraction, ...]
"""Exponents of metre, kilogram, second, ampere, kelvin, mole and candela."""

_NONE: Dimension = (Fraction(0),) * 7
_BASE = ("m", "g", "s", "A", "K", "mol", "cd")
_DERIVED = {
    "Hz": "s^-1", "N": "g*m*s^-2", "Pa": "g*m^-1*s^-2", "J": "g*m^2*s^-2", "W": "g*m^2*s^-3", "C": "A*s",
    "V": "g*m^2*s^-3*A^-1", "F": "g^-1*m^-2*s^4*A^2", "Ohm": "g*m^2*s^-3*A^-2", "Ω": "g*m^2*s^-3*A^-2",
    "T": "g*s^-2*A^-1", "Wb": "g*m^2*s^-2*A^-1", "H": "g*m^2*s^-2*A^-2", "L": "m^3", "l": "m^3", "eV": "g*m^2*s^-2",
    "bar": "g*m^-1*s^-2", "min": "s", "h": "s", "hr": "s", "day": "s", "yr": "s", "pc": "m", "ly": "m", "au": "m",
    "rad": "1", "sr": "1", "deg": "1",
}  # fmt: skip
_PREFIXES = ("f", "p", "n", "u", "µ", "μ", "m", "c", "d", "k", "M", "G", "T", "P")
_TOKEN = re.compile(r"\s*([A-Za-zΩµμ]+|\d+(?:\.\d*)?|[*/^()·-])")
_KEEPING = frozenset(("neg", "abs", "relu", "max", "min", "mod", "round", "floor", "ceil", "+", "-"))
_POWERS = {
    "square": Fraction(2),
    "cube": Fraction(3),
    "sqrt": Fraction(1, 2),
    "cbrt": Fraction(1, 3),
    "inv": Fraction(-1),
}
_COMPARING = frozenset(("greater", "less", "greater_equal", "less_equal", "atan2"))


def dimension(unit: str) -> Dimension:
    """The dimension of a unit.

    >>> dimension("km/h") == dimension("m*s^-1") != dimension("m/s^2"), dimension("N") == dimension("kg*m/s^2")
    (True, True)

    Raises:
        InputError: it can't be read.
    """
    if not isinstance(unit, str):
        raise InputError(f"unit {unit!r} is a {type(unit).__name__}; expected text such as 'm/s^2', or '1' for none.")
    tokens, at = [], 0
    text = unit.strip() or "1"
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise InputError(f"unit {unit!r} has {text[at]!r}; expected names of units, *, / and ^, as in 'kg*m/s^2'.")
        tokens.append(match[1])
        at = match.end()
    try:
        return _Reader(tokens).whole()
    except (LookupError, ValueError) as error:
        raise InputError(
            f"unit {unit!r} can't be read ({error}); expected such as 'kg*m/s^2', or '1' for none."
        ) from None


class _Reader:
    """Products and quotients of powers, from the left."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = list(tokens)

    def whole(self) -> Dimension:
        found = self.product()
        if self.tokens:
            raise ValueError(f"{self.tokens[0]!r} is not expected")
        return found

    def product(self) -> Dimension:
        found = self.power()
        while self.tokens and self.tokens[0] in "*/·":
            sign = -1 if self.tokens.pop(0) == "/" else 1
            found = _add(found, self.power(), sign)
        return found

    def power(self) -> Dimension:
        found = self.atom()
        if self.tokens and self.tokens[0] == "^":
            self.tokens.pop(0)
            exponent = self.exponent()
            return tuple(exponent * e for e in found)
        return found

    def exponent(self) -> Fraction:
        token = self.next()
        if token == "(":
            found = self.exponent()
            if self.tokens and self.tokens[0] == "/":
                self.tokens.pop(0)
                found /= self.exponent()
            if self.next() != ")":
                raise ValueError("a bracket is open")
            return found
        return -self.exponent() if token == "-" else Fraction(token)

    def atom(self) -> Dimension:
        token = self.next()
        if token == "(":
            found = self.product()
            if self.next() != ")":
                raise ValueError("a bracket is open")
            return found
        if token[0].isdigit():
            return _NONE
        return _named(token)

    def next(self) -> str:
        if not self.tokens:
            raise ValueError("something is missing at its end")
        return self.tokens.pop(0)


def _named(name: str) -> Dimension:
    """A unit by its name, with a prefix or without."""
    for own in (name, *(name[len(p) :] for p in _PREFIXES if name.startswith(p))):
        if own in _BASE:
            return tuple(Fraction(int(base == own)) for base in _BASE)
        if own in _DERIVED:
            return dimension(_DERIVED[own])
    raise LookupError(f"there is no unit {name!r}")


def _add(a: Dimension, b: Dimension, sign: int) -> Dimension:
    return tuple(x + sign * y for x, y in zip(a, b, strict=True))


class _InconsistentError(Exception):
    """Unlike things were added, or something with a unit went into a function."""


_Found = Dimension | None
"""The dimension of a part; None where a constant gives it any."""


def is_consistent(expr: Expr, inputs: Sequence[Dimension], output: Dimension | None = None) -> bool:
    """Whether an equation is right in its dimensions.

    Args:
        inputs: dimension of each variable.
        output: what its value must have; None for anything.
    """

    def rule(node: Expr, parts: list[_Found]) -> _Found:
        if isinstance(node, Constant):
            return None
        if isinstance(node, Variable):
            return inputs[node.index]
        assert isinstance(node, Call)
        return _of_call(node, parts)

    try:
        found = fold(expr, rule)
    except _InconsistentError:
        return False
    return found is None or output is None or found == output


def _of_call(node: Call, parts: list[_Found]) -> _Found:
    name = node.op.name
    if name in ("*", "/"):
        a, b = parts
        return None if a is None or b is None else _add(a, b, 1 if name == "*" else -1)
    if name in _POWERS:
        return _scaled(parts[0], _POWERS[name])
    if name == "^" and isinstance(node.args[1], Constant):
        return _scaled(parts[0], Fraction(node.args[1].value).limit_denominator(60))
    if name in _KEEPING:
        return _alike(parts)
    if name in _COMPARING:
        _alike(parts)
        return _NONE
    if name in ("cond", "ifelse"):
        return _alike(parts[1:])
    if name == "sign":
        return _NONE
    if node.op.body is not None:  # one that the user defined: what it says, with its arguments put in
        return _of_body(node, parts)
    if any(part not in (None, _NONE) for part in parts):
        raise _InconsistentError
    return _NONE


def _of_body(node: Call, parts: list[_Found]) -> _Found:
    """The user's own operator, an argument of any dimension as a constant."""
    assert node.op.body is not None
    stand_ins: list[Expr] = [Constant(1.0) if part is None else Variable(i) for i, part in enumerate(parts)]

    def rule(inner: Expr, found: list[_Found]) -> _Found:
        if isinstance(inner, Variable):
            return parts[inner.index]
        return None if isinstance(inner, Constant) else _of_call(inner, found)  # type: ignore[arg-type]

    return fold(substitute(node.op.body, stand_ins), rule)


def _alike(parts: Sequence[_Found]) -> _Found:
    known = {part for part in parts if part is not None}
    if len(known) > 1:
        raise _InconsistentError
    return next(iter(known), None)


def _scaled(part: _Found, exponent: Fraction) -> _Found:
    return None if part is None else tuple(exponent * e for e in part)
