"""An equation in LaTeX, for papers: what :mod:`.mathml` writes, element by element.

>>> from symtorch.equations.parser import parse
>>> latex(parse("sqrt(theta)*x0/(2*pi) - exp(-x0^2)", ["x0", "theta"]), ["x0", "theta"])
'\\\\frac{\\\\sqrt{\\\\theta} x_{0}}{2 \\\\pi} - e^{- x_{0}^{2}}'
"""

from __future__ import annotations

import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import zip_longest

from symtorch.equations.expr import Expr
from symtorch.equations.mathml import mathml

_SIGNS = {
    "−": "-",
    "⋅": r"\cdot",
    "∧": r"\wedge",
    "∨": r"\vee",
    "≥": r"\geq",
    "≤": r"\leq",
    "\N{FUNCTION APPLICATION}": "",
    "⌊": r"\lfloor",
    "⌋": r"\rfloor",
    "⌈": r"\lceil",
    "⌉": r"\rceil",
    "{": r"\{",
}
_KNOWN = frozenset("sin cos tan sinh cosh tanh log exp max min".split())
_INVERSE = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
_CAPITALS = frozenset("Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split())
_ESCAPED = str.maketrans({char: f"\\{char}" for char in "_&%$#{}"})


def latex(expr: Expr, names: Sequence[str], digits: int = 4) -> str:
    """The tree in LaTeX.

    Args:
        names: name of each input column.
        digits: significant digits of the constants that have no short form.
    """
    page = ET.fromstring(f"<mrow>{mathml(expr, names, digits)}</mrow>")
    return " ".join(_text(page).split())


def _text(node: ET.Element, is_function: bool = False) -> str:
    """An element in LaTeX; words end with a space, of which runs are one."""
    parts = [
        _text(child, _is_applied(after) or (is_function and i == 0))
        for i, (child, after) in enumerate(zip_longest(node, node[1:]))
    ]
    match node.tag:
        case "mn":
            return node.text or ""
        case "mi":
            return _word(node.text or "", is_function)
        case "mo":
            sign = node.text or ""
            return f" {_SIGNS.get(sign, sign)} "
        case "mtext":
            return rf"\text{{{node.text}}}"
        case "mspace":
            return " "
        case "mfrac":
            return rf"\frac{{{parts[0].strip()}}}{{{parts[1].strip()}}}"
        case "msup":
            return _raised(parts[0].strip(), parts[1].strip())
        case "msub":
            return f"{parts[0].strip()}_{{{parts[1].strip()}}}"
        case "msqrt":
            return rf"\sqrt{{{''.join(parts).strip()}}}"
        case "mroot":
            return rf"\sqrt[{parts[1].strip()}]{{{parts[0].strip()}}}"
        case "mtable":
            return r" \\ ".join(" & ".join("".join(map(_text, cell)).strip() for cell in row) for row in node)
        case "mrow" if len(node) and node[0].get("fence"):
            if node[-1].get("fence"):
                return rf"\left{parts[0].strip()} {''.join(parts[1:-1]).strip()} \right{parts[-1].strip()}"
            return rf"\begin{{cases}} {parts[1]} \end{{cases}}"
    return "".join(parts)


def _is_applied(after: ET.Element | None) -> bool:
    return after is not None and after.text == "\N{FUNCTION APPLICATION}"


def _raised(base: str, exponent: str) -> str:
    """A power; of a function between its name and its argument."""
    base = " ".join(base.split())
    function = re.match(r"(\\[a-z]+) (\\left\(.*)", base)
    if function and exponent.isdigit():
        return f"{function[1]}^{{{exponent}}} {function[2]}"
    name, _, index = base.partition("_{")
    is_one = name.lstrip("\\").isalnum() and index.count("}") <= 1
    is_fenced = base.startswith(r"\left") and base.count(r"\left") == 1
    return f"{base}^{{{exponent}}}" if is_one or is_fenced else f"{{{base}}}^{{{exponent}}}"


def _word(word: str, is_function: bool) -> str:
    """A letter, a Greek one, a function or a name of several letters."""
    if is_function and (word in _KNOWN or word in _INVERSE):
        return rf"\{_INVERSE.get(word, word)} "
    if word == "∞":
        return r"\infty "
    if len(word) != 1:
        return rf"\mathrm{{{word.translate(_ESCAPED)}}}"
    found = unicodedata.name(word, "").removeprefix("GREEK ").split(" LETTER ")
    if len(found) != 2 or found[0] not in ("SMALL", "CAPITAL") or not unicodedata.name(word).startswith("GREEK"):
        return word
    name = {"LAMDA": "LAMBDA"}.get(found[1], found[1])
    name = name.capitalize() if found[0] == "CAPITAL" else name.lower()
    if found[0] == "CAPITAL" and name not in _CAPITALS:
        return rf"\mathrm{{{word}}}"
    return rf"\{name} "
