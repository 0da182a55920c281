"""Whether a law is printed as a textbook prints it: the picks of the 120 Feynman laws beside their formulas.

    python benchmarks/textbook.py                                  # all 120, asked
    python benchmarks/textbook.py --every 3 --json textbook.json
    python benchmarks/textbook.py --laws I.12.1 II.11.27

Protocol: the laws of ``feynman.csv`` as in ``srbench.py``, with its operators; 1,000 rows, and the law itself
may be asked. The text of the engine's default pick is printed beside the formula of the table, with one word:

``same``      equal up to the order of terms and factors and the placing of signs: both are brought into one
              form that drops these (:func:`canonical`), and the forms are equal, constants to nine digits;
``simpler``   the same function on fresh rows, at a lower complexity (PySR's count in these operators) than the
              formula: the table's are as AI Feynman typed them, ``x0*x3*x4*x2/(x1/(2*pi))``, and complexity is
              what a front is sorted by, so that no textbook form is preferred that costs more;
``unlike``    the same function, as complex as the formula or more;
``not found`` another function.

Constants of a formula are multiplied together, ``1/(4*pi)`` is one number. Nothing is multiplied out,
factored, collected, or put over one denominator: what differs there is ``simpler`` or ``unlike``.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from srbench import SEARCH_SPACE, Law, error, laws, search

from symtorch.engines.native.forms.normal import normalise
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.options import SearchOptions
from symtorch.equations import Equation
from symtorch.equations.expr import Call, Constant, Expr, Variable
from symtorch.equations.operators import parity

FOUND = 1e-20
"""Squared error on fresh rows, as a share of the law's variance, up to which two functions are the same."""

_POWERS = {"square": 2.0, "cube": 3.0, "sqrt": 0.5, "inv": -1.0}


# ---- one form for all that differs in order and signs only


@dataclass(frozen=True, order=True)
class Form:
    """A flat sum, a flat product, a function, a variable or a number.

    Attributes:
        kind: "+", "*", "^", the function's name, the variable's, or the number with nine digits.
        parts: terms or factors, sorted; arguments in their order.
    """

    kind: str
    parts: tuple[Form, ...] = ()


Product = tuple[float, dict[Form, float]]
"""A number, and exponents by base."""


def canonical(expr: Expr) -> Form:
    """The form of a tree: sums and products flat and sorted, numbers of a product joined, signs in front.

    A quotient is a product with negative exponents; a power of a product is a product of powers; equal
    factors are one power. A sum that is a factor has a positive first term, and so has the argument of an
    even or odd function; ``exp(-u)`` is ``1/exp(u)``.

    >>> from symtorch.equations import parse
    >>> names = ["m", "c", "v"]
    >>> canonical(parse("-m*(v - c)/2", names)) == canonical(parse("0.5*(c - v)*m", names))
    True
    >>> canonical(parse("m*c - m*v", names)) == canonical(parse("m*(c - v)", names))
    False
    """
    return _form(_product(expr))


def _form(product: Product) -> Form:
    value, powers = product
    parts = sorted(
        base if exponent == 1.0 else Form("^", (base, Form(f"{exponent:.9g}")))
        for base, exponent in powers.items()
        if exponent != 0.0
    )
    if value != 1.0 or not parts:
        parts = [Form(f"{value:.9g}"), *parts]
    return parts[0] if len(parts) == 1 else Form("*", tuple(parts))


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
    powers = Counter(a[1])
    powers.update(b[1])
    return a[0] * b[0], dict(powers)


def _raised(product: Product, exponent: float) -> Product:
    value, powers = product
    if value < 0.0 and exponent % 1.0 != 0.0:  # a root of what is negative as a whole: not of its factors
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
    numbers = sum(value for value, powers in terms if not powers)
    parts = [(value, powers) for value, powers in terms if powers]
    parts += [(numbers, {})] if numbers else []
    first = min(parts, key=lambda part: _form((abs(part[0]), part[1])))
    sign = 1.0 if first[0] > 0.0 else -1.0
    return sign, {Form("+", tuple(sorted(_form((sign * value, powers)) for value, powers in parts))): 1.0}


def _function(expr: Call) -> Product:
    args = [_product(arg) for arg in expr.args]
    sign = 1.0
    symmetry = parity(expr.op) if len(args) == 1 else 0
    if len(args) == 1 and args[0][0] < 0.0:
        value, powers = args[0]
        if expr.op.name == "exp":
            return 1.0, {Form("exp", (_form((-value, powers)),)): -1.0}
        if symmetry:
            args, sign = [(-value, powers)], float(symmetry)
    return sign, {Form(expr.op.name, tuple(map(_form, args))): 1.0}


# ---- the laws


@dataclass(frozen=True)
class Result:
    """One law."""

    law: str
    judgement: str
    seconds: float
    pick: str
    textbook: str


def judged(pick: Equation, law: Law) -> str:
    """The word for a pick; see the head of this file."""
    if error(pick, law, law.draw(10_000, 90_000)) > FOUND:
        return "not found"
    if canonical(pick.expr) == canonical(law.expr):
        return "same"
    words = Vocabulary(SearchOptions.from_params(SEARCH_SPACE))
    textbook = words.render(normalise(law.expr))
    assert textbook is not None, f"{law.name} can't be written in {SEARCH_SPACE}"
    return "simpler" if pick.complexity < words.complexity(textbook) else "unlike"


def run(law: Law, seconds: float, seed: int) -> Result:
    front, took = search(law, 0.0, True, seed, seconds)
    text = str(Equation(law.expr, law.names, 0, 0.0))
    return Result(law.name, judged(front.best, law), took, str(front.best), text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="limit of each search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--laws", nargs="+", default=[], help="only these")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="write every result to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [law for which in ("feynman", "bonus") for law in laws(which)]
    chosen = [law for law in chosen if not args.laws or law.name in args.laws][args.offset :: args.every]
    results = []
    for law in chosen:
        r = run(law, args.seconds, args.seed)
        results.append(r)
        print(f"{r.law:>10} {r.seconds:5.1f} {r.judgement:>9}  {r.pick}\n{'':>27}  {r.textbook}", flush=True)
    counts = Counter(r.judgement for r in results)
    words = ", ".join(f"{counts[word]} {word}" for word in ("same", "simpler", "unlike", "not found"))
    print(f"\n{len(results)} laws: {words}")
    if args.json:
        Path(args.json).write_text(json.dumps([asdict(r) for r in results], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
