"""One form for all equations that differ in the order of terms and factors and the placing of signs only.

Two searches of the same data may write one law in many ways: ``m*(c - v)/2`` and ``-0.5*(v - c)*m``. Their
canonical forms are equal. Constants don't count: a form is a skeleton, and holds their values beside it.

>>> from symtorch.equations.parser import parse
>>> names = ["m", "c", "v"]
>>> one, other = canonical(parse("-m*(v - c)/2", names)), canonical(parse("0.73*(c - v)*m", names))
>>> one == other, one.numbers, other.numbers
(True, (0.5,), (0.73,))
>>> canonical(parse("m*c - m*v", names)) == canonical(parse("m*(c - v)", names))
False
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from symtorch.equations.expr import Call, Constant, Expr, Variable, fold, to_text
from symtorch.equations.operators import parity

_POWERS = {"square": 2.0, "cube": 3.0, "sqrt": 0.5, "inv": -1.0}
_NUMBER = "#"


@dataclass(frozen=True, order=True)
class Form:
    """A flat sum, a flat product, a power, a function, a variable or a number.

    Attributes:
        kind: "+", "*", "^" and the exponent where that belongs to the shape, the function's name, the
            variable's, or "#" for a number.
        parts: terms or factors, sorted; arguments in their order.
        value: of a number; forms are equal whatever it is.
    """

    kind: str
    parts: tuple[Form, ...] = ()
    value: float = field(default=0.0, compare=False)

    @property
    def numbers(self) -> tuple[float, ...]:
        """The constants, in an order that is the same for equal forms."""
        own = (self.value,) if self.kind == _NUMBER else ()
        return own + tuple(number for part in self.parts for number in part.numbers)


Product = tuple[float, dict[Form, float]]
"""A number, and exponents by base."""


def canonical(expr: Expr) -> Form:
    """The form of a tree: sums and products flat and sorted, numbers of a product joined, signs in front.

    A quotient is a product with negative exponents; a power of a product is a product of powers; equal factors
    are one power. A sum that is a factor has a positive first term, and so has the argument of an even or odd
    function; ``exp(-u)`` is ``1/exp(u)``. Nothing is multiplied out, factored, collected or put over one
    denominator.
    """
    return _form(_product(expr))


def skeleton(expr: Expr, names: Sequence[str]) -> str:
    """The equation for people with ``c`` for each constant, but for signs and exponents.

    >>> from symtorch.equations.parser import parse
    >>> skeleton(parse("2.5*cos(x) + (-1)*0.3*x^2", ["x"]), ["x"])
    'c*cos(x) - c*x^2'

    Args:
        names: name of each input column.
    """
    constant = Variable(len(names))

    def rule(node: Expr, parts: list[Expr]) -> Expr:
        if isinstance(node, Constant):
            return node if node.value == -1.0 else constant
        if not isinstance(node, Call):
            return node
        if node.op.name == "^" and isinstance(node.args[1], Constant) and _is_shape(node.args[1].value):
            return Call(node.op, (parts[0], node.args[1]))
        return Call(node.op, tuple(parts))

    return to_text(fold(expr, rule), [*names, "c"], digits=5)


def _is_shape(exponent: float) -> bool:
    """Whether an exponent is part of the shape, and not a constant."""
    return (12.0 * exponent).is_integer()


def _form(product: Product) -> Form:
    value, powers = product
    parts = sorted((_power(base, e) for base, e in powers.items() if e != 0.0), key=_key)
    if value == -1.0 and parts:
        parts = [Form("-1"), *parts]
    elif value != 1.0 or not parts:
        parts = [Form(_NUMBER, (), value), *parts]
    return parts[0] if len(parts) == 1 else Form("*", tuple(parts))


def _key(form: Form) -> tuple[Form, tuple[float, ...]]:
    """For sorting: terms of one shape go by their numbers."""
    return form, form.numbers


def _power(base: Form, exponent: float) -> Form:
    if exponent == 1.0:
        return base
    if _is_shape(exponent):
        return Form(f"^{exponent:g}", (base,))
    return Form("^", (base, Form(_NUMBER, (), exponent)))


def _product(expr: Expr) -> Product:
    if isinstance(expr, Constant):
        return expr.value, {}
    if isinstance(expr, Variable):
        return 1.0, {Form(f"x{expr.index}"): 1.0}
    assert isinstance(expr, Call)
    name, args = expr.op.name, expr.args
    if name in ("*", "/"):
        return _times(_product(args[0]), _raised(_product(args[1]), 1.0 if name == "*" else -1.0))
    if name == "neg":
        return _times((-1.0, {}), _product(args[0]))
    if name in _POWERS:
        return _raised(_product(args[0]), _POWERS[name])
    if name == "^":
        value, powers = _product(args[1])
        if not powers:
            return _raised(_product(args[0]), value)
    if name in ("+", "-"):
        return _sum(_terms(expr, 1.0))
    return _function(expr)


def _times(a: Product, b: Product) -> Product:
    powers = dict(a[1])
    for base, exponent in b[1].items():
        powers[base] = powers.get(base, 0.0) + exponent
    return a[0] * b[0], powers


def _raised(product: Product, exponent: float) -> Product:
    value, powers = product
    broken = exponent % 1.0 != 0.0
    # A root of what is negative as a whole is not one of its factors; of nothing there is no inverse.
    if (value < 0.0 and broken) or (value == 0.0 and exponent < 0.0):
        return 1.0, {_form(product): exponent}
    return value**exponent, {base: e * exponent for base, e in powers.items()}


def _terms(expr: Expr, sign: float) -> list[Product]:
    if isinstance(expr, Call) and expr.op.name in ("+", "-"):
        return _terms(expr.args[0], sign) + _terms(expr.args[1], sign if expr.op.name == "+" else -sign)
    if isinstance(expr, Call) and expr.op.name == "neg":
        return _terms(expr.args[0], -sign)
    return [_times((sign, {}), _product(expr))]


def _sum(terms: Iterable[Product]) -> Product:
    """A sum as a product of a sign and a sum, the first term of which is positive."""
    terms = list(terms)
    constant = sum(value for value, powers in terms if not powers)
    parts = [(value, powers) for value, powers in terms if powers]
    if not parts:
        return constant, {}
    first = min(parts, key=lambda part: _key(_form((abs(part[0]), part[1]))))
    sign = 1.0 if first[0] > 0.0 else -1.0
    parts += [(constant, {})] if constant else []
    forms = sorted((_form((sign * value, powers)) for value, powers in parts), key=_key)
    return sign, {Form("+", tuple(forms)): 1.0}


def _function(expr: Call) -> Product:
    args = [_product(arg) for arg in expr.args]
    sign = 1.0
    if len(args) == 1 and args[0][0] < 0.0:
        value, powers = args[0]
        symmetry = parity(expr.op)
        if expr.op.name == "exp":
            return 1.0, {Form("exp", (_form((-value, powers)),)): -1.0}
        if symmetry:
            args, sign = [(-value, powers)], float(symmetry)
    return sign, {Form(expr.op.name, tuple(map(_form, args))): 1.0}
