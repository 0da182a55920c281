"""Rules of algebra: from one form of an expression to others, of which some hold for some signs only.

A rule takes a node in normal form (:mod:`.normal`) and yields other forms of it, not necessarily normal. Whoever
applies one compares values before the new form is believed.

>>> from symtorch.equations.expr import to_text
>>> from symtorch.equations.parser import parse
>>> node = normal.normalise(parse("x*y + x*z", ["x", "y", "z"]))
>>> [to_text(form, ["x", "y", "z"]) for form in extract(node)]
['(y + z)*x']
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from symtorch.equations import normal
from symtorch.equations.expr import Call, Constant, Expr
from symtorch.equations.normal import (
    LOG,
    add,
    apply,
    factors,
    is_power,
    is_product,
    is_sum,
    multiply,
    power,
    terms,
)
from symtorch.equations.operators import OPERATORS

SAME = 1e-9
"""Values that differ by no more than this, relative to their size, are the same."""

_SIN, _COS, _ASIN, _ACOS, _COSH, _TANH = (OPERATORS[name] for name in ("sin", "cos", "asin", "acos", "cosh", "tanh"))
Rule = Callable[[Expr], Iterator[Expr]]


def multiply_out(node: Expr) -> Iterator[Expr]:
    """``c*a*(b + d) -> c*a*b + c*a*d``, also for ``(b + d)^2``."""
    if not (is_product(node) or is_power(node)):
        return
    c, found = factors(node)
    for k, (base, exponent) in enumerate(found):
        if is_sum(base) and exponent in (1.0, 2.0):
            rest = [Constant(c), *(power(b, e) for i, (b, e) in enumerate(found) if i != k)]
            rest += [base] if exponent == 2.0 else []
            yield add([multiply([*rest, term]) for term in _summands(base)])


def gather(node: Expr) -> Iterator[Expr]:
    """A sum with what is in it multiplied out, so that like terms meet: ``(a - b)^2 + 2*a*b -> a^2 + b^2``."""
    if is_sum(node) and any(is_sum(base) for _, term in terms(node)[1] for base, _ in factors(term)[1]):
        yield normal.multiplied_out(node)


def absorb(node: Expr) -> Iterator[Expr]:
    """``f^e * (a + b)^p -> (a*f^(e/p) + b*f^(e/p))^p``: a factor goes into a sum, whatever the power."""
    if not is_product(node):
        return
    c, found = factors(node)
    for k, (base, p) in enumerate(found):
        if not is_sum(base):
            continue
        for i, (f, e) in enumerate(found):
            if i == k:
                continue
            inner = add([multiply([term, power(f, e / p)]) for term in _summands(base)])
            rest = [power(b, q) for j, (b, q) in enumerate(found) if j not in (i, k)]
            yield multiply([Constant(c), *rest, power(inner, p)])
        # A coefficient too: 0.5*(2*a + 1)^p.
        if c != 1.0 and (c > 0 or p % 2 == 1.0):
            inward = math.copysign(abs(c) ** (1 / p), c)
            inner_terms = [multiply([Constant(inward), term]) for term in _summands(base)]
            rest = [power(b, q) for j, (b, q) in enumerate(found) if j != k]
            yield multiply([*rest, power(add(inner_terms), p)])


def extract(node: Expr) -> Iterator[Expr]:
    """``a*b + a*c -> a*(b + c)``, for factors that several terms share; also out of one term over another."""
    if not is_sum(node):
        return
    summands = _summands(node)
    shared: dict[Expr, list[tuple[int, float]]] = {}
    for k, term in enumerate(summands):
        for base, exponent in factors(term)[1]:
            shared.setdefault(base, []).append((k, exponent))
    for base, where in shared.items():
        exponents = {e for _, e in where}
        for e in exponents:
            if len(where) >= 2 or e < 0:
                take = list(range(len(summands)))
                if len(where) >= 2:
                    take = [k for k, q in where if (q >= e > 0) or (q <= e < 0)]
                if len(take) < 2:
                    continue
                inner = add([multiply([summands[k], power(base, -e)]) for k in take])
                yield add([*(t for k, t in enumerate(summands) if k not in take), multiply([power(base, e), inner])])
        if any(e < 0 for e in exponents):  # everything over one denominator
            e = min(exponents)
            inner = add([multiply([term, power(base, -e)]) for term in summands])
            yield multiply([power(base, e), inner])


def complete_square(node: Expr) -> Iterator[Expr]:
    """``a*u^2 + b*u*v + c*v^2 -> a*(u + b/(2a)*v)^2 + (c - b^2/(4a))*v^2``, v a one above all."""
    if not is_sum(node):
        return
    constant, found = terms(node)
    for i, (a, square) in enumerate(found):
        _, bases = factors(square)
        if any(e % 2.0 != 0.0 for _, e in bases):
            continue
        root = multiply([power(b, e / 2.0) for b, e in bases])
        for j, (b, cross) in enumerate(found):
            if j == i or not set(factors(root)[1]) <= set(factors(cross)[1]):
                continue
            v = multiply([cross, power(root, -1.0)])
            other = power(v, 2.0)
            k = next((k for k, (_, term) in enumerate(found) if term == other and k not in (i, j)), None)
            if k is None and v != Constant(1.0):
                continue
            c = constant if k is None else found[k][0]
            left = _difference(c, b * b / (4.0 * a))
            whole = power(add([root, multiply([Constant(b / (2.0 * a)), v])]), 2.0)
            rest = [multiply([Constant(c), t]) for m, (c, t) in enumerate(found) if m not in (i, j, k)]
            offset = 0.0 if k is None else constant
            yield add([*rest, multiply([Constant(a), whole]), multiply([Constant(left), other]), Constant(offset)])


def common_power(node: Expr) -> Iterator[Expr]:
    """``a^p * b^q -> (a * b^(q/p))^p`` for broken p, and back."""
    if is_product(node) or is_power(node):
        c, found = factors(node)
        for k, (base, p) in enumerate(found):
            rest = [power(b, q) for j, (b, q) in enumerate(found) if j != k]
            if is_product(base) or is_power(base):
                inner_c, inner = factors(base)
                if inner_c > 0:
                    pieces = [power(b, e * p) for b, e in inner]
                    yield Call(normal.TIMES, (multiply([Constant(c * inner_c**p), *rest]), multiply(pieces)))
            if float(p).is_integer() and abs(p) != 1.0:
                continue
            for i, (b, q) in enumerate(found):
                if i != k and (not float(q).is_integer() or (p != q and (2 * q).is_integer() and abs(p) < 1)):
                    others = [power(x, y) for j, (x, y) in enumerate(found) if j not in (i, k)]
                    joined = power(multiply([base, power(b, q / p)]), p)
                    yield multiply([Constant(c), *others, joined])


def flip(node: Expr) -> Iterator[Expr]:
    """``-c*(a - b) -> c*(b - a)``, and ``-log(u) -> log(1/u)``."""
    if not is_product(node):
        return
    c, found = factors(node)
    for k, (base, p) in enumerate(found):
        rest = [power(b, q) for j, (b, q) in enumerate(found) if j != k]
        if c < 0 and is_sum(base) and p % 2 == 1.0:
            flipped = add([multiply([normal.NEGATIVE, term]) for term in _summands(base)])
            yield multiply([Constant(-c), *rest, power(flipped, p)])
        if isinstance(base, Call) and base.op == LOG and p == 1.0:
            if c < 0:
                yield multiply([Constant(-c), *rest, apply(LOG, [power(base.args[0], -1.0)])])
            if c != 1.0 and normal.nice_exponent(c) and c > 0 and not rest:
                yield apply(LOG, [power(base.args[0], c)])


def join_logs(node: Expr) -> Iterator[Expr]:
    """``log(u) + c*log(v) + d -> log(e^d*u*v^c)``."""
    if not is_sum(node):
        return
    constant, found = terms(node)
    logs = [(c, t) for c, t in found if isinstance(t, Call) and t.op == LOG and normal.nice_exponent(c)]
    if not logs or (len(logs) == 1 and (constant == 0.0 or abs(constant) > 50)):
        return
    rest = [multiply([Constant(c), t]) for c, t in found if (c, t) not in logs]
    joined = multiply([power(t.children[0], c) for c, t in logs])
    if len(logs) > 1:
        yield add([*rest, Constant(constant), apply(LOG, [joined])])
    if constant and abs(constant) < 50:
        yield add([*rest, Call(LOG, (multiply([Constant(math.exp(constant)), joined]),))])


def exp_of_logs(node: Expr) -> Iterator[Expr]:
    """``exp(c*log(u) + v) -> u^c*exp(v)``."""
    if not (isinstance(node, Call) and node.op == normal.EXP):
        return
    constant, found = terms(node.args[0])
    logs = [(c, t) for c, t in found if isinstance(t, Call) and t.op == LOG and normal.nice_exponent(c)]
    if logs:
        rest = [multiply([Constant(c), t]) for c, t in found if (c, t) not in logs]
        outside = [power(t.children[0], round(6.0 * c) / 6.0) for c, t in logs]
        yield multiply([*outside, apply(normal.EXP, [add([*rest, Constant(constant)])])])


def one_wave(node: Expr) -> Iterator[Expr]:
    """``a*sin(u) + b*cos(u) -> r*sin(u + d)`` and ``sin(u)*cos(u) -> sin(2*u)/2``."""
    if is_sum(node):
        constant, found = terms(node)
        waves: dict[Expr, dict[str, tuple[int, float]]] = {}
        for k, (c, term) in enumerate(found):
            if isinstance(term, Call) and term.op in (_SIN, _COS):
                waves.setdefault(term.args[0], {})[term.op.name] = (k, c)
        for u, pair in waves.items():
            if len(pair) == 2:
                (i, sine), (j, cosine) = pair["sin"], pair["cos"]
                rest = [multiply([Constant(c), t]) for k, (c, t) in enumerate(found) if k not in (i, j)]
                for op, phase in ((_SIN, math.atan2(cosine, sine)), (_COS, math.atan2(-sine, cosine))):
                    wave = multiply([Constant(math.hypot(sine, cosine)), Call(op, (add([u, Constant(phase)]),))])
                    yield add([*rest, wave, Constant(constant)])
    if is_product(node):
        c, factored = factors(node)
        sines = {b.args[0]: (k, e) for k, (b, e) in enumerate(factored) if isinstance(b, Call) and b.op == _SIN}
        for k, (b, e) in enumerate(factored):
            if isinstance(b, Call) and b.op == _COS and b.args[0] in sines:
                i, q = sines[b.args[0]]
                rest = [power(x, y) for j, (x, y) in enumerate(factored) if j not in (i, k)]
                if q == e:
                    double = power(apply(_SIN, [multiply([Constant(2.0), b.args[0]])]), e)
                    yield multiply([Constant(c * 0.5**e), *rest, double])
                elif q == -e and abs(e) == 1.0:
                    yield multiply([Constant(c), *rest, power(apply(OPERATORS["tan"], [b.args[0]]), q)])


def half_angle(node: Expr) -> Iterator[Expr]:
    """``a*cos(2*u) + b -> 2*a*cos(u)^2 + (b - a)``, the same with a sine, and ``a*cos(u)^2 + b*sin(u)^2``."""
    if not is_sum(node):
        return
    constant, found = terms(node)
    for k, (c, term) in enumerate(found):
        rest = [multiply([Constant(a), t]) for j, (a, t) in enumerate(found) if j != k]
        if isinstance(term, Call) and term.op == _COS:
            half = multiply([Constant(0.5), term.args[0]])
            for op, sign in ((_COS, 1.0), (_SIN, -1.0)):
                square = multiply([Constant(2.0 * sign * c), power(apply(op, [half]), 2.0)])
                yield add([*rest, square, Constant(_difference(constant, sign * c))])
        if is_power(term) and term.children[1] == Constant(2.0):
            wave = term.children[0]
            if isinstance(wave, Call) and wave.op in (_SIN, _COS):
                other = apply(_COS if wave.op == _SIN else _SIN, list(wave.args))
                yield add([*rest, Constant(_difference(constant, -c)), multiply([Constant(-c), power(other, 2.0)])])


def quarter_turns(node: Expr) -> Iterator[Expr]:
    """``sin(u + pi/2) -> cos(u)``, and so on for every quarter of a turn."""
    if not (isinstance(node, Call) and node.op in (_SIN, _COS)):
        return
    constant, _ = terms(node.args[0])
    quarters = round(constant / (0.5 * math.pi)) if math.isfinite(constant) else 0
    if quarters and abs(constant - quarters * 0.5 * math.pi) <= SAME:
        turned = (quarters + (node.op == _COS)) % 4  # a cosine is a sine a quarter of a turn on
        wave = apply(_COS if turned % 2 else _SIN, [add([node.args[0], Constant(-constant)])])
        yield multiply([Constant(-1.0 if turned >= 2 else 1.0), wave])


def hyperbolic(node: Expr) -> Iterator[Expr]:
    """``1 - 2/(exp(2*u) + 1) -> tanh(u)``, up to a factor."""
    if not is_sum(node):
        return
    constant, found = terms(node)
    for k, (c, term) in enumerate(found):
        if not (is_power(term) and is_sum(term.children[0]) and term.children[1] == Constant(-1.0)):
            continue
        offset, inner = terms(term.children[0])
        if len(inner) == 1 and offset > 0 and inner[0][0] == 1.0:
            wave = inner[0][1]
            balanced = math.isclose(c, -2 * constant * offset, rel_tol=1e-6)
            if isinstance(wave, Call) and wave.op == normal.EXP and balanced:
                # c0 - 2 c0 b/(exp(v) + b) = c0 tanh((v - log b)/2)
                angle = multiply([Constant(0.5), add([wave.args[0], Constant(-math.log(offset))])])
                rest = [multiply([Constant(a), t]) for j, (a, t) in enumerate(found) if j != k]
                yield add([*rest, multiply([Constant(constant), apply(_TANH, [angle])])])


def exponential(node: Expr) -> Iterator[Expr]:
    """``tanh(u) - 1 -> -2/(exp(2*u) + 1)`` and ``1/tanh(u) - 1 -> 2/(exp(2*u) - 1)``, up to a factor and u's sign."""
    if not is_sum(node):
        return
    constant, found = terms(node)
    for k, (c, term) in enumerate(found):
        base, p = factors(term)[1][0]
        if not (isinstance(base, Call) and base.op == _TANH and term == power(base, p) and abs(p) == 1.0):
            continue
        if abs(constant) == 0.0 or not math.isclose(abs(c), abs(constant), rel_tol=SAME):
            continue
        sign = -math.copysign(1.0, c * constant)  # tanh(u) + 1 is -(tanh(-u) - 1)
        wave = apply(normal.EXP, [multiply([Constant(2.0 * sign), base.args[0]])])
        rest = [multiply([Constant(a), t]) for j, (a, t) in enumerate(found) if j != k]
        yield add([*rest, multiply([Constant(-2.0 * p * sign * c), power(add([wave, Constant(p)]), -1.0)])])


def _summands(total: Expr) -> list[Expr]:
    """The terms of a sum with their coefficients, the constant last."""
    constant, found = terms(total)
    parts = [multiply([Constant(c), term]) for c, term in found]
    return [*parts, Constant(constant)] if constant else parts


def _difference(a: float, b: float) -> float:
    """``a - b``, 0 where that is what rounding leaves."""
    return 0.0 if abs(a - b) <= SAME * abs(a) else a - b


def hyperbolic_one(node: Expr) -> Iterator[Expr]:
    """``a - a*tanh(u)^2 -> a/cosh(u)^2``."""
    if not is_sum(node):
        return
    constant, found = terms(node)
    for k, (c, term) in enumerate(found):
        base, p = factors(term)[1][0]
        if isinstance(base, Call) and base.op == _TANH and p == 2.0 and term == power(base, p):
            rest = [multiply([Constant(a), t]) for j, (a, t) in enumerate(found) if j != k]
            bell = multiply([Constant(-c), power(apply(_COSH, list(base.args)), -2.0)])
            yield add([*rest, bell, Constant(_difference(constant, -c))])


def turned_inverse(node: Expr) -> Iterator[Expr]:
    """``pi/2 - asin(u) -> acos(u)`` and back, ``pi - acos(u) -> acos(-u)``."""
    if not is_sum(node):
        return
    constant, found = terms(node)
    for k, (c, term) in enumerate(found):
        if not (isinstance(term, Call) and term.op in (_ASIN, _ACOS)):
            continue
        rest = [multiply([Constant(a), t]) for j, (a, t) in enumerate(found) if j != k]
        other = _ACOS if term.op == _ASIN else _ASIN
        left = _difference(constant, -c * math.pi / 2.0)
        yield add([*rest, multiply([Constant(-c), apply(other, list(term.args))]), Constant(left)])
        if term.op == _ACOS:
            left = _difference(constant, -c * math.pi)
            turned = apply(_ACOS, [multiply([normal.NEGATIVE, term.args[0]])])
            yield add([*rest, multiply([Constant(-c), turned]), Constant(left)])


def take_out(node: Expr) -> Iterator[Expr]:
    """``a + b -> a*(1 + b/a)``: the others as a correction to one term."""
    if not is_sum(node):
        return
    summands = _summands(node)
    for k, term in enumerate(summands):
        if not isinstance(term, Constant):
            inverse = power(term, -1.0)
            others = [multiply([other, inverse]) for j, other in enumerate(summands) if j != k]
            yield multiply([term, add([Constant(1.0), *others])])


def divide_out(node: Expr) -> Iterator[Expr]:
    """``(a*u + b)/(c*u + d) -> b/d + (a - b*c/d)*u/(c*u + d)``: one term of a numerator leaves it."""
    if not is_product(node):
        return
    c, found = factors(node)
    for i, (below, p) in enumerate(found):
        for j, (above, q) in enumerate(found):
            if p != -1.0 or q != 1.0 or not (is_sum(above) and is_sum(below)):
                continue
            rest = [Constant(c), *(power(b, e) for k, (b, e) in enumerate(found) if k not in (i, j))]
            (constant, upper), (lower_constant, lower) = terms(above), terms(below)
            known = {term: a for a, term in lower}
            shares = [a / known[term] for a, term in upper if term in known]
            shares += [constant / lower_constant] if constant and lower_constant else []
            for share in shares:
                left = add([above, multiply([Constant(-share), below])])
                yield multiply([*rest, add([Constant(share), multiply([left, power(below, -1.0)])])])


SHORTENING: tuple[Rule, ...] = (
    multiply_out,
    gather,
    absorb,
    extract,
    complete_square,
    common_power,
    flip,
    join_logs,
    exp_of_logs,
    one_wave,
    half_angle,
    quarter_turns,
    hyperbolic,
    exponential,
)
"""Rules that may lead to a shorter form; the others only to one that reads otherwise."""
