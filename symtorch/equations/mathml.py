"""An equation as MathML, which browsers typeset themselves: no script, no network, in any notebook.

TeX between dollars in an output's HTML is typeset by JupyterLab and, where there is a network, in pages
made by nbconvert; VS Code shows it as it stands. LaTeX for papers is made of it: :mod:`.latex`.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from symtorch.equations.expr import Call, Constant, Expr, Variable, fold
from symtorch.equations.numerals import Numeral, written

_OPEN, _SUM, _PRODUCT, _FRACTION, _POWER, _ATOM = range(6)
"""How tightly the parts of what is written hold together; what is open has no end that is seen."""

_SPACE = '<mspace width="0.17em"></mspace>'
_RELATIONS = {"greater": ">", "less": "<", "greater_equal": "≥", "less_equal": "≤"}
_FENCES = {"abs": "||", "floor": "⌊⌋", "ceil": "⌈⌉"}
_APPLIED = "\N{FUNCTION APPLICATION}"
_BASES = {"exp": "<mi>e</mi>", "exp2": "<mn>2</mn>"}


@dataclass(frozen=True)
class _Part:
    """Something written.

    Attributes:
        text: in MathML, several elements in a row.
        holds: how tightly it holds together.
        minus: whether it begins with a minus, which is left out of the text.
        number: whether it begins with a digit.
        relation: for a comparison, the text of it as a condition.
    """

    text: str
    holds: int = _ATOM
    minus: bool = False
    number: bool = False
    relation: str = ""

    @property
    def whole(self) -> str:
        """With its minus, as one element."""
        return f"<mrow>{_op('−') if self.minus else ''}{self.text}</mrow>"

    def within(self, holds: int) -> str:
        """As one element, in parentheses unless it holds together at least so tightly, without a minus."""
        return _fenced("()", self.whole) if self.minus or self.holds < holds else f"<mrow>{self.text}</mrow>"

    @property
    def closed(self) -> str:
        """As one element that something may follow."""
        return self.whole if self.holds > _OPEN else self.within(_SUM)

    @property
    def condition(self) -> str:
        """It, read as true or false."""
        return self.relation or f"{self.closed}{_op('>')}<mn>0</mn>"


def mathml(expr: Expr, names: Sequence[str], digits: int = 4) -> str:
    """The tree as inline MathML, an element for each term of a sum, so that lines break between terms.

    >>> from symtorch.equations import parse
    >>> mathml(parse("x0 - 2", ["x0"]), ["x0"])  # doctest: +ELLIPSIS
    '<math displaystyle="true"><mrow><msub><mi>x</mi><mn>0</mn></msub></mrow></math> <math displaystyle="true">...

    Args:
        names: name of each input column.
        digits: significant digits of the constants.
    """

    def rule(node: Expr, parts: list[_Part]) -> _Part:
        if isinstance(node, Constant):
            return _number(node.value, digits)
        if isinstance(node, Variable):
            return _Part(_name(names[node.index]))
        assert isinstance(node, Call)
        return _call(node.op.name, parts)

    first, *others = _terms(expr)
    start = fold(first[1], rule)
    pieces = [start.closed if others else start.whole]
    for i, (minus, term) in enumerate(others, start=1):
        part = fold(term, rule)
        holds = _PRODUCT if minus else _SUM if i < len(others) else _OPEN
        turned = part.minus and not minus
        text = (replace(part, minus=False) if turned else part).within(holds)
        pieces.append(f'<mrow><mo form="infix">{"−" if minus or turned else "+"}</mo>{text}</mrow>')
    return " ".join(f'<math displaystyle="true">{piece}</math>' for piece in pieces)


def _terms(expr: Expr) -> list[tuple[bool, Expr]]:
    """The terms of a sum and whether they are taken off; a difference on the right is one term."""
    terms: list[tuple[bool, Expr]] = []
    while isinstance(expr, Call) and expr.op.name in ("+", "-"):
        terms.append((expr.op.name == "-", expr.args[1]))
        expr = expr.args[0]
    return [(False, expr), *reversed(terms)]


# ---- leaves


def _number(value: float, digits: int) -> _Part:
    if not math.isfinite(value):
        return _Part("<mi>NaN</mi>" if math.isnan(value) else "<mi>∞</mi>", minus=value < 0)
    mantissa, _, power = f"{abs(value):.{digits}g}".partition("e")
    minus = math.copysign(1.0, value) < 0
    numeral = written(value, digits)
    if numeral is not None:
        return replace(_numeral(numeral), minus=minus)
    if not power:
        return _Part(f"<mn>{mantissa}</mn>", minus=minus, number=True)
    exponent = _number(float(power), digits).whole
    text = f"<mn>{mantissa}</mn>{_op('⋅')}<msup><mn>10</mn>{exponent}</msup>"
    return _Part(text, _PRODUCT, minus=minus, number=True)


_UNITS = {
    "pi": "<mi>π</mi>",
    "pi^2": "<msup><mi>π</mi><mn>2</mn></msup>",
    "E": "<mi>e</mi>",
    "log(2)": f'<mi>log</mi><mo>{_APPLIED}</mo><mrow><mo fence="true">(</mo><mn>2</mn><mo fence="true">)</mo></mrow>',
    "sqrt(2)": "<msqrt><mn>2</mn></msqrt>",
    "sqrt(3)": "<msqrt><mn>3</mn></msqrt>",
    "sqrt(pi)": "<msqrt><mi>π</mi></msqrt>",
    "sqrt(2*pi)": f"<msqrt><mn>2</mn>{_SPACE}<mi>π</mi></msqrt>",
}


def _numeral(numeral: Numeral) -> _Part:
    """``3/(8*pi)`` as a fraction."""

    def side(number: int, unit: str) -> _Part:
        if not unit:
            return _Part(f"<mn>{number}</mn>", number=True)
        if number == 1:
            return _Part(f"<mrow>{_UNITS[unit]}</mrow>")
        return _Part(f"<mn>{number}</mn>{_SPACE}{_UNITS[unit]}", _PRODUCT, number=True)

    above = side(numeral.above, "" if numeral.inverse else numeral.unit)
    return (
        _fraction(above, side(numeral.below, numeral.unit if numeral.inverse else "")) if numeral.is_quotient else above
    )


def _name(name: str) -> str:
    """A variable: ``x12`` and ``x_12`` with an index, ``theta`` as the letter, others in full."""
    found = re.fullmatch(r"([^\W\d_]+)_?(\d+)", name) or re.fullmatch(r"([^\W\d_])_(.+)", name)
    if found is None:
        return _word(name)
    index = f"<mn>{found[2]}</mn>" if found[2].isdigit() else _word(found[2])
    return f"<msub>{_word(found[1])}{index}</msub>"


def _word(word: str) -> str:
    size = "CAPITAL" if word[:1].isupper() else "SMALL"
    letter = {"LAMBDA": "LAMDA"}.get(word.upper(), word.upper())
    try:
        return (
            f"<mi>{unicodedata.lookup(f'GREEK {size} LETTER {letter}')}</mi>" if len(word) > 1 else f"<mi>{word}</mi>"
        )
    except KeyError:
        return f"<mi>{html.escape(word)}</mi>"


# ---- operators


def _call(name: str, parts: Sequence[_Part]) -> _Part:
    if (write := _WRITTEN.get(name)) is not None:
        return write(*parts)
    if name in _RELATIONS:
        relation = f"{parts[0].closed}{_op(_RELATIONS[name])}{parts[1].whole}"
        return _Part(_fenced("[]", relation), relation=relation)
    if name in _FENCES:
        return _Part(_fenced(_FENCES[name], parts[0].whole))
    if name in _BASES:
        return _Part(f"<msup>{_BASES[name]}{parts[0].whole}</msup>", _POWER, number=name == "exp2")
    arguments = _op(",").join(part.whole for part in parts)
    function = _name(name) if name.startswith("log") else f"<mi>{html.escape(name)}</mi>"
    return _Part(f"{function}{_op(_APPLIED)}{_fenced('()', arguments)}")


def _op(sign: str) -> str:
    return f"<mo>{html.escape(sign)}</mo>"


def _fenced(fences: str, text: str) -> str:
    left, right = fences[0], fences[1]
    return f'<mrow><mo fence="true">{left}</mo>{text}<mo fence="true">{right}</mo></mrow>'


def _first(a: _Part) -> str:
    """What another term follows, without its minus."""
    return a.text if a.holds > _OPEN else a.closed


def _sum(a: _Part, b: _Part) -> _Part:
    return _Part(f"{_first(a)}{_op('−' if b.minus else '+')}{b.text}", min(_SUM, b.holds), a.minus, a.number)


def _difference(a: _Part, b: _Part) -> _Part:
    return _Part(f"{_first(a)}{_op('−')}{b.within(_PRODUCT)}", _SUM, a.minus, a.number)


def _product(a: _Part, b: _Part) -> _Part:
    if b.number and not (a.number or a.minus or b.minus):
        a, b = b, a  # factors that are numbers come first
    left = a.text if a.holds >= _PRODUCT else a.within(_PRODUCT)
    right = b.within(_PRODUCT)
    between = _op("⋅") if b.number and not b.minus else _SPACE
    return _Part(f"{left}{between}{right}", _PRODUCT, a.minus and a.holds >= _PRODUCT, a.number)


def _fraction(a: _Part, b: _Part) -> _Part:
    """A minus of the numerator as a whole stands before it."""
    outside = a.minus and a.holds >= _PRODUCT
    return _Part(f"<mfrac>{f'<mrow>{a.text}</mrow>' if outside else a.whole}{b.whole}</mfrac>", _FRACTION, outside)


def _power(a: _Part, b: _Part) -> _Part:
    return _Part(f"<msup>{a.within(_ATOM)}{b.whole}</msup>", _POWER, number=a.number)


def _negative(a: _Part) -> _Part:
    if a.minus or a.holds < _PRODUCT:
        return _Part(a.within(_PRODUCT), minus=True)
    return _Part(a.text, a.holds, True, a.number)


def _cases(*cases: tuple[_Part, str]) -> _Part:
    """Values and where they hold; the last one elsewhere."""
    rows = (
        f"<mtr><mtd>{value.whole}</mtd><mtd>"
        f"{f'<mtext>if </mtext>{condition}' if condition else '<mtext>otherwise</mtext>'}</mtd></mtr>"
        for value, condition in cases
    )
    table = f'<mtable style="text-align:left">{"".join(rows)}</mtable>'
    return _Part(f'<mrow><mo fence="true">{{</mo>{table}</mrow>', _OPEN)


def _logical(sign: str) -> Callable[[_Part, _Part], _Part]:
    def write(a: _Part, b: _Part) -> _Part:
        both = f"<mrow>{a.condition}</mrow>{_op(sign)}<mrow>{b.condition}</mrow>"
        return _Part(_fenced("[]", both), relation=_fenced("()", both))

    return write


_ZERO = _Part("<mn>0</mn>", number=True)
_WRITTEN: dict[str, Callable[..., _Part]] = {
    "+": _sum,
    "-": _difference,
    "*": _product,
    "/": _fraction,
    "^": _power,
    "neg": _negative,
    "square": lambda a: _power(a, _Part("<mn>2</mn>")),
    "cube": lambda a: _power(a, _Part("<mn>3</mn>")),
    "inv": lambda a: _fraction(_Part("<mn>1</mn>"), a),
    "fma": lambda a, b, c: _sum(_product(a, b), c),
    "sqrt": lambda a: _Part(f"<msqrt>{a.whole}</msqrt>"),
    "cbrt": lambda a: _Part(f"<mroot>{a.whole}<mn>3</mn></mroot>"),
    "logical_and": _logical("∧"),
    "logical_or": _logical("∨"),
    "cond": lambda a, b: _cases((b, a.condition), (_ZERO, "")),
    "ifelse": lambda a, b, c: _cases((b, a.condition), (c, "")),
}
"""How operators are written that are neither relations nor fences nor functions."""
