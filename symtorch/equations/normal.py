"""A form of an expression to do algebra in: sums, products, powers with a fixed exponent, functions.

However a formula is written, here it has one shape: differences are sums with negative terms,
quotients are products with negative powers, ``sqrt``, ``square`` and ``inv`` are powers. Like terms
and like factors are collected, and constants that could be moved into one another are moved, so that
no two constants of a tree do the same work: ``2*(3 + x)`` becomes ``6 + 2*x``, ``exp(1 + x)`` becomes
``e*exp(x)``, ``3/(2 + 4*x)`` becomes ``0.75/(0.5 + x)``. That gives duplicates the same key and keeps
the least-squares problems well posed. Products are never multiplied out.

:mod:`symtorch.engines.native.forms.vocabulary` turns a normal form into the user's operators.

>>> from symtorch.equations.parser import parse
>>> from symtorch.equations.expr import to_text
>>> to_text(normalise(parse("3/(2 + 4*x) - sqrt(9*y)", ["x", "y"])), ["x", "y"])
'0.75*(x + 0.5)^(-1) + (-3*y^0.5)'
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from symtorch.equations.expr import Call, Constant, Expr, Variable
from symtorch.equations.operators import OPERATORS, Operator, parity

PLUS, TIMES, POWER = OPERATORS["+"], OPERATORS["*"], OPERATORS["^"]
EXP, LOG = OPERATORS["exp"], OPERATORS["log"]
NEGATIVE = Constant(-1.0)
_WAVES = (OPERATORS["sin"], OPERATORS["cos"])

REMEMBERED = 1 << 16
"""Trees whose normal form and shape are kept: candidates share most of their subtrees."""

_MULTIPLIED_OUT = 12
"""Terms above which a product of sums is not multiplied out."""

_A, _B = Variable(0), Variable(1)
_MEANINGS: dict[str, Expr] = {
    "+": Call(PLUS, (_A, _B)),
    "*": Call(TIMES, (_A, _B)),
    "-": Call(PLUS, (_A, Call(TIMES, (NEGATIVE, _B)))),
    "/": Call(TIMES, (_A, Call(POWER, (_B, NEGATIVE)))),
    "neg": Call(TIMES, (NEGATIVE, _A)),
}


@lru_cache(maxsize=256)
def meaning(op: Operator) -> Expr | None:
    """What an operator is in terms of sums, products and powers of its arguments; None for a function.

    A user's own ``div(x, y) = x/y`` or ``half(x) = x^0.5`` is recognised by its body.
    """
    if op.row is not None and op.row.power is not None:
        return Call(POWER, (_A, Constant(op.row.power)))
    if op.body is None:
        return _MEANINGS.get(op.name)
    body = normalise(op.body)
    if isinstance(body, Call) and body.op is POWER and body.args[0] == _A and isinstance(body.args[1], Constant):
        return body
    return body if body in (*_NORMAL_MEANINGS(), Call(TIMES, (NEGATIVE, _A))) else None


@lru_cache(maxsize=1)
def _NORMAL_MEANINGS() -> tuple[Expr, ...]:
    return tuple(normalise(_MEANINGS[name]) for name in "+-*/")


@lru_cache(maxsize=REMEMBERED)
def normalise(expr: Expr) -> Expr:
    """The normal form of any expression; it has the same values wherever the original is defined."""
    if not isinstance(expr, Call):
        return expr
    args = [normalise(arg) for arg in expr.args]
    if expr.op is PLUS:
        return add(args)
    if expr.op is TIMES:
        return multiply(args)
    if expr.op is POWER and isinstance(args[1], Constant):
        return power(args[0], args[1].value)
    known = meaning(expr.op)
    if known is not None:
        return _instantiate(known, args)
    return apply(expr.op, args)


def _instantiate(template: Expr, args: list[Expr]) -> Expr:
    if isinstance(template, Variable):
        return args[template.index]
    if isinstance(template, Constant):
        return template
    assert isinstance(template, Call)
    parts = [_instantiate(arg, args) for arg in template.args]
    if template.op is PLUS:
        return add(parts)
    if template.op is TIMES:
        return multiply(parts)
    exponent = parts[1]
    assert isinstance(exponent, Constant)
    return power(parts[0], exponent.value)


# ---- taking apart


def is_sum(expr: Expr) -> bool:
    return isinstance(expr, Call) and expr.op is PLUS


def is_product(expr: Expr) -> bool:
    return isinstance(expr, Call) and expr.op is TIMES


def is_power(expr: Expr) -> bool:
    """Whether the node is a power with a constant exponent."""
    return isinstance(expr, Call) and expr.op is POWER and isinstance(expr.args[1], Constant)


def coefficient(expr: Expr) -> tuple[float, Expr]:
    """``(c, rest)`` of a normal ``c*rest``; ``(1, expr)`` where there is no coefficient."""
    if isinstance(expr, Call) and expr.op is TIMES and isinstance(expr.args[0], Constant):
        return expr.args[0].value, expr.args[1]
    return 1.0, expr


def terms(expr: Expr) -> tuple[float, list[tuple[float, Expr]]]:
    """Constant and ``(coefficient, term)`` of a normal form read as a sum."""
    constant, found, stack = 0.0, [], [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Constant):
            constant += node.value
        elif isinstance(node, Call) and node.op is PLUS:
            stack.extend(reversed(node.args))
        else:
            found.append(coefficient(node))
    return constant, found


def factors(expr: Expr) -> tuple[float, list[tuple[Expr, float]]]:
    """Coefficient and ``(base, exponent)`` of a normal form read as a product."""
    value, found, stack = 1.0, [], [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Constant):
            value *= node.value
        elif isinstance(node, Call) and node.op is TIMES:
            stack.extend(reversed(node.args))
        elif is_power(node):
            assert isinstance(node, Call)
            assert isinstance(node.args[1], Constant)
            found.append((node.args[0], node.args[1].value))
        else:
            found.append((node, 1.0))
    return value, found


# ---- putting together; arguments are normal forms, so is the result


def add(parts: Iterable[Expr]) -> Expr:
    """Normal form of a sum."""
    constant = 0.0
    collected: dict[Expr, float] = {}
    stack = list(parts)[::-1]
    while stack:
        value, found = terms(stack.pop())
        constant += value
        for c, term in found:
            if is_sum(term) and abs(c) == 1.0:  # a bracket that only a sign held together
                stack.append(multiply([Constant(c), term]))
            else:
                collected[term] = collected.get(term, 0.0) + c
    scaled = [_scaled(c, term) for term, c in _in_order(collected) if c != 0.0]
    if constant != 0.0 or not scaled:
        scaled.append(Constant(constant))
    return _chain(PLUS, scaled)


def multiply(parts: Iterable[Expr]) -> Expr:
    """Normal form of a product."""
    value = 1.0
    powers: dict[Expr, float] = {}
    exponents: list[Expr] = []
    for part in parts:
        c, found = factors(part)
        value *= c
        for base, exponent in found:
            if isinstance(base, Call) and base.op is EXP and exponent == 1.0:
                exponents.append(base.args[0])
            else:
                powers[base] = powers.get(base, 0.0) + exponent
    if exponents:  # exp(u)*exp(v) = exp(u + v), and a constant in u + v is a factor
        argument = add(exponents)
        constant, _ = terms(argument)
        if 0.0 < abs(constant) < 300.0:
            argument = add([argument, Constant(-constant)])
            value *= math.exp(constant)
        c, inner = coefficient(argument)
        if isinstance(inner, Call) and inner.op is LOG and nice_exponent(c):
            powers[inner.args[0]] = powers.get(inner.args[0], 0.0) + c
        elif not (isinstance(argument, Constant) and argument.value == 0.0):
            powers[Call(EXP, (argument,))] = 1.0
    return _product(value, {base: e for base, e in powers.items() if e != 0.0})


def power(base: Expr, exponent: float) -> Expr:
    """Normal form of a power with a fixed exponent."""
    if exponent == 1.0:
        return base
    if exponent == 0.0:
        return Constant(1.0)
    if isinstance(base, Constant):
        return Constant(_real_power(base.value, exponent))
    if isinstance(base, Call) and base.op is EXP:
        return multiply([Call(EXP, (multiply([Constant(exponent), base.args[0]]),))])
    integer = float(exponent).is_integer()
    value, found = factors(base)
    if len(found) == 1 and value == 1.0:
        inner, p = found[0]
        # (u^p)^q = u^(pq) for integer q; else only if u^p > 0 means u > 0, so not for even p.
        if integer or not (p.is_integer() and p % 2 == 0):
            return _product(1.0, {inner: p * exponent})
        return _product(1.0, {base: exponent})
    if integer:
        return multiply([Constant(_real_power(value, exponent)), *(power(b, e * exponent) for b, e in found)])
    outside = abs(value)
    rest = _product(math.copysign(1.0, value), dict(found))
    if len(found) == 1 and value > 0.0:
        return multiply([Constant(_real_power(outside, exponent)), power(rest, exponent)])
    return _product(_real_power(outside, exponent), {rest: exponent})


def apply(op: Operator, args: list[Expr]) -> Expr:
    """Normal form of a function of normal forms."""
    if all(isinstance(arg, Constant) for arg in args):
        with np.errstate(all="ignore"):
            return Constant(float(op.numpy(*(np.float64(arg.value) for arg in args if isinstance(arg, Constant)))))
    if op is EXP:
        return multiply([Call(EXP, tuple(args))])
    if op is LOG:
        value, rest = coefficient(args[0])
        if isinstance(rest, Call) and rest.op is EXP and value > 0.0:
            return add([Constant(math.log(value)), rest.args[0]])
        if value > 0.0 and value != 1.0:
            return add([Constant(math.log(value)), Call(LOG, (rest,))])
    if op in _WAVES:
        constant, _ = terms(args[0])
        if abs(constant) > 2.0 * math.pi and math.isfinite(constant):  # whole turns say nothing
            args = [add([args[0], Constant(-2.0 * math.pi * round(constant / (2.0 * math.pi)))])]
    if op.arity == 1 and parity(op) == 1 and _leads_negative(args[0]):
        args = [multiply([NEGATIVE, args[0]])]
    return Call(op, tuple(args))


def _product(value: float, powers: dict[Expr, float]) -> Expr:
    """A product of distinct factors, constants moved out of its sums."""
    if value == 0.0 or not powers:
        return Constant(value)
    if len(powers) == 1:
        ((base, exponent),) = powers.items()
        if is_sum(base) and exponent == 1.0:
            return _scaled_sum(value, base)
    built: list[Expr] = []
    for base, exponent in _in_order(powers):
        if is_sum(base):
            scale = _common_scale(base, exponent)
            if scale != 1.0:
                base = multiply([Constant(1.0 / scale), base])
                value *= _real_power(scale, exponent)
        elif value < 0.0 and exponent % 2.0 == 1.0 and _is_odd_of_negative(base):
            # -f(-u) = f(u): never longer, mostly shorter.
            assert isinstance(base, Call)
            base, value = Call(base.op, (multiply([NEGATIVE, base.args[0]]),)), -value
        built.append(base if exponent == 1.0 else Call(POWER, (base, Constant(exponent))))
    return _scaled(value, _chain(TIMES, built))


def _in_order(parts: dict[Expr, float]) -> list[tuple[Expr, float]]:
    """Terms or factors by their shapes."""
    items = list(parts.items())
    if len(items) > 1:  # most often there is one, whose shape nobody need know
        items.sort(key=lambda item: key(item[0]))
    return items


def _is_odd_of_negative(expr: Expr) -> bool:
    if not isinstance(expr, Call) or expr.op.arity != 1 or expr.op is EXP:
        return False
    return parity(expr.op) == -1 and _leads_negative(expr.args[0])


def _scaled_sum(value: float, total: Expr) -> Expr:
    """``value*(a + b + ...)``, multiplied in where that needs no more constants than it saves."""
    if value == 1.0:
        return total
    constant, found = terms(total)
    bare = sum(abs(c) == 1.0 for c, _ in found)
    if value != -1.0 and bare > 1:
        return Call(TIMES, (Constant(value), total))
    parts = [_scaled(value * c, term) for c, term in found]
    return _chain(PLUS, [*parts, Constant(value * constant)] if constant else parts)


def _common_scale(total: Expr, exponent: float) -> float:
    """A coefficient that can leave the sum: every term has one, and the power of it is real."""
    _, found = terms(total)
    if any(abs(c) == 1.0 for c, _ in found):
        return 1.0
    scale = found[0][0]
    if not exponent.is_integer():
        scale = abs(scale)
    return scale if 1e-100 < abs(scale) < 1e100 else 1.0


def _scaled(value: float, term: Expr) -> Expr:
    if value == 1.0:
        return term
    inner, rest = coefficient(term)
    value *= inner
    return rest if value == 1.0 else Call(TIMES, (Constant(value), rest))


def _chain(op: Operator, parts: list[Expr]) -> Expr:
    out = parts[0]
    for part in parts[1:]:
        out = Call(op, (out, part))
    return out


def _real_power(value: float, exponent: float) -> float:
    try:
        result = value**exponent
    except (OverflowError, ZeroDivisionError):
        return math.inf
    return result if isinstance(result, float) else math.nan


def _leads_negative(expr: Expr) -> bool:
    _, found = terms(expr)
    return bool(found) and found[0][0] < 0.0


def multiplied_out(expr: Expr) -> Expr:
    """The form with products and small whole powers of sums as sums, so that like terms meet."""
    if not isinstance(expr, Call):
        return expr
    if is_product(expr) or is_power(expr):
        return _product_out(*factors(expr))
    if not is_sum(expr):
        return apply(expr.op, [multiplied_out(arg) for arg in expr.args])
    parts: list[Expr] = []
    for addend in _addends(expr):
        c, term = coefficient(addend)
        parts += [multiply([Constant(c), inner]) for inner in _addends(multiplied_out(term))]
    return add(parts)


def _product_out(value: float, found: list[tuple[Expr, float]]) -> Expr:
    kept: list[Expr] = [Constant(value)]
    sums: list[Expr] = []
    for base, exponent in found:
        base = multiplied_out(base)
        if is_sum(base) and exponent in (1.0, 2.0, 3.0):
            sums += [base] * int(exponent)
        else:
            kept.append(power(base, exponent))
    choices = [_addends(base) for base in sums]
    if math.prod(len(addends) for addends in choices) > _MULTIPLIED_OUT:
        return multiply([*kept, *sums])
    return add([multiply([*kept, *choice]) for choice in itertools.product(*choices)])


def _addends(expr: Expr) -> list[Expr]:
    constant, found = terms(expr)
    return [multiply([Constant(c), term]) for c, term in found] + [Constant(constant)] * (constant != 0.0)


# ---- telling apart


def nice_exponent(exponent: float) -> bool:
    """Whether an exponent is part of the shape (2, -1/2, 1/3, ...) and not a constant to be fitted."""
    return abs(exponent) <= 12.0 and abs(6.0 * exponent - round(6.0 * exponent)) < 1e-9


@lru_cache(maxsize=REMEMBERED)
def key(expr: Expr) -> str:
    """The shape of a normal form as text: equal for trees that differ in their constants only."""
    if isinstance(expr, Constant):
        return "c"
    if isinstance(expr, Variable):
        return f"x{expr.index}"
    assert isinstance(expr, Call)
    if is_power(expr):
        exponent = expr.args[1]
        assert isinstance(exponent, Constant)
        return (
            f"p{exponent.value:g}({key(expr.args[0])})" if nice_exponent(exponent.value) else f"p({key(expr.args[0])})"
        )
    if expr.op is TIMES and expr.args[0] == NEGATIVE:
        return f"n({key(expr.args[1])})"
    return f"{expr.op.name}({','.join(key(arg) for arg in expr.args)})"
