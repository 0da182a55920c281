"""What reading a document may cost, known before anything is made of it.

A short document can ask for much: an operator of a thousand terms that is called a thousand times, names for
millions of inputs, one character that makes all others four times as wide. So a document is weighed as a
whole, once as bytes and once as values, and whatever it asks for beyond that is taken from one allowance.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symtorch.equations.parser import MAX_LENGTH
from symtorch.errors import StateError

MAX_BYTES = 16 << 20
"""Longest document that is read, in bytes of its text in memory: beyond ASCII, characters take two or four."""

MAX_PARTS = 400_000
"""Most lists and objects; empty ones are what fills memory fastest."""

MAX_VALUES = 1_000_000
"""Most values in lists and objects."""

MAX_KEYS = 500_000
"""Most members of objects."""

MAX_LEVELS = 64
"""Deepest nesting of lists and objects; options, which nest deepest, are written to ten levels."""

MAX_EQUATIONS = 50_000
"""Most equations and formulas."""

MAX_OPERATORS = 1_000
"""Most different operators of the user's own."""

MAX_TERMS = 2_000_000
"""Most names, numbers and signs of all equations, with the user's own operators written out."""

FREE_TERMS = 250_000
"""As many may always be; beyond them, one for every byte. No text has more than that, unless something in it
stands for a longer one."""

MAX_COLUMNS = 1 << 22
"""Most inputs of a block."""

_TOLD = frozenset(("operators", "text", "body", "equations", "formulas"))
"""Members of objects that are equations, or are about them."""

_TERM = re.compile(r"[\w.]+|[^\w\s.]")


@dataclass
class Budget:
    """What may still be made of a document.

    Attributes:
        terms: names, numbers and signs of equations.
    """

    terms: float = math.inf

    def spend(self, terms: int, where: str) -> None:
        """Take from the allowance.

        Args:
            terms: that are about to be made.
            where: what of the document asks for them.

        Raises:
            StateError: there is not so much left.
        """
        self.require(terms, where)
        self.terms -= terms

    def require(self, terms: int, where: str) -> None:
        """As :meth:`spend`, for what is not made now but may be later: the allowance stays as it is."""
        if terms > self.terms:
            raise StateError(
                f"{where} has {terms:,} terms once its operators and variables are written out; a document of this "
                f"size may have {int(self.terms):,}."
            )


def too_large(data: bytes) -> str:
    """What of a document is beyond the limits, as bytes; empty if nothing is."""
    width = 4 if not data.isascii() else 2 if b"\\u" in data else 1
    if width * len(data) > MAX_BYTES:
        beyond = "" if width == 1 else f" where each character takes {width}, since not all are ASCII"
        return f"the state has {len(data):,} bytes, more than {MAX_BYTES // width:,}{beyond}"
    counts = {
        "parts": (data.count(b"{") + data.count(b"["), MAX_PARTS),
        "values": (data.count(b","), MAX_VALUES),
        "named values": (data.count(b":"), MAX_KEYS),
    }
    return next((f"the state has more than {most:,} {what}" for what, (n, most) in counts.items() if n > most), "")


def weigh(document: Any, n_bytes: int) -> tuple[Budget, str]:
    """What may be made of a document beside its equations, and what of it is beyond the limits.

    Args:
        document: its values.
        n_bytes: of its text.

    Returns:
        the budget that is left, and a reason to read none of it; that is empty if there is none.
    """
    texts: list[str] = []
    bodies: dict[str, int] = {}
    definitions: set[tuple[str, str]] = set()
    for value in _objects(document):
        if value is None:
            return Budget(0), f"the state is nested more than {MAX_LEVELS} deep"
        if _TOLD.isdisjoint(value):
            continue
        for name, body in _definitions(value):
            definitions.add((name, body))
            bodies[name] = max(bodies.get(name, 1), _n_terms(body, {}))
        texts += _equations(value)
        if len(texts) > MAX_EQUATIONS:
            return Budget(0), f"the state has more than {MAX_EQUATIONS:,} equations"
        if len(definitions) > MAX_OPERATORS:
            return Budget(0), f"the state has more than {MAX_OPERATORS:,} operators of its own"
    allowed = left = min(MAX_TERMS, FREE_TERMS + n_bytes)
    for text in texts:
        left -= _n_terms(text, bodies)
        if left < 0:
            return Budget(0), f"the state has more than {allowed:,} terms in its equations, operators written out"
    return Budget(left), ""


def _objects(document: Any) -> Iterator[Mapping[str, Any] | None]:
    """Every object of a document, the outer ones first; None where it is nested too deep."""
    level: list[Any] = [document] if isinstance(document, (dict, list)) else []
    for _ in range(MAX_LEVELS):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                yield value
                below += value.values()
            else:
                below += value
        level = [value for value in below if value and isinstance(value, (dict, list, tuple))]
        if not level:
            return
    yield None


def _definitions(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and body of the operators that an object defines."""
    for item in _members(value.get("operators")):
        if isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("body"), str):
            yield item["name"], item["body"]


def _equations(value: Mapping[str, Any]) -> list[str]:
    """The texts among the members of an object that are read as equations."""
    found = [value.get("text"), value.get("body")]
    found += [*_members(value.get("equations")), *_members(value.get("formulas"))]
    return [text for text in found if isinstance(text, str)]


def _members(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


def _n_terms(text: str, bodies: Mapping[str, int]) -> int:
    """Names, numbers and signs of a text, where names of operators stand for their bodies."""
    if len(text) > MAX_LENGTH:  # the parser does not read it
        return 0
    terms = _TERM.findall(text if text.isascii() else unicodedata.normalize("NFKC", text))
    if not bodies:
        return len(terms)
    return len(terms) + sum(bodies[term] for term in terms if term in bodies)
