"""Numbers as a textbook writes them: ``1/3``, ``2*pi``, ``3/(8*pi)``, ``sqrt(2)``.

A constant of an equation is one float64. Where it is, to the last few bits, a small fraction of whole numbers,
times or over pi, its square, a root or e, people read that more easily than sixteen digits.

>>> written(math.pi / 2).text, written(1 / (4 * math.pi)).text, written(2 / 3).text
('pi/2', '1/(4*pi)', '2/3')
>>> written(0.25) is None, written(0.7312) is None
(True, True)
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

ROUNDING = 4e-15
"""Relative difference up to which a float64 is a numeral: some units in the last place, as left by arithmetic."""

_UNITS: dict[str, tuple[float, float]] = {
    "": (1.0, 0.0),
    "pi": (math.pi, 1.0),
    "pi^2": (math.pi**2, 2.0),
    "sqrt(2)": (math.sqrt(2.0), 2.0),
    "sqrt(3)": (math.sqrt(3.0), 2.0),
    "sqrt(pi)": (math.sqrt(math.pi), 2.5),
    "sqrt(2*pi)": (math.sqrt(2.0 * math.pi), 2.5),
    "E": (math.e, 2.0),
    "log(2)": (math.log(2.0), 3.0),
}
"""What whole numbers are multiplied or divided by: the value, and what reading it takes, in bits."""

_WHOLE = (*range(1, 13), 15, 16, 18, 20, 24, 27, 30, 32, 36, 40, 45, 48, 60, 64, 90, 120, 128, 180, 240, 360, 720)
_LARGEST = {"": 720, "pi": 360, "pi^2": 128}
_LARGEST_OF_OTHERS = 16
"""The product of numerator and denominator, at most: each further number makes a match by chance likelier."""


@dataclass(frozen=True)
class Numeral:
    """A positive number in its written form.

    Attributes:
        value: to the last bit as float64 arithmetic gives it.
        above, below: whole numbers, in lowest terms.
        unit: that stands beside one of them; "" for none.
        inverse: whether it stands below.
        bits: what reading it takes.
    """

    value: float
    above: int
    below: int
    unit: str
    inverse: bool
    bits: float

    @property
    def text(self) -> str:
        """As :func:`symtorch.equations.parser.parse` reads it."""
        above = _product(self.above, "" if self.inverse else self.unit)
        below = _product(self.below, self.unit if self.inverse else "")
        if below == "1":
            return above
        return f"{above}/({below})" if "*" in below and not below.startswith("sqrt") else f"{above}/{below}"

    @property
    def is_quotient(self) -> bool:
        return self.below > 1 or self.inverse

    def sympy(self) -> Any:
        """As a SymPy number."""
        import sympy

        known = {"": 1, "pi": sympy.pi, "pi^2": sympy.pi**2, "E": sympy.E, "log(2)": sympy.log(2)}
        known |= {"sqrt(2)": sympy.sqrt(2), "sqrt(3)": sympy.sqrt(3), "sqrt(pi)": sympy.sqrt(sympy.pi)}
        known |= {"sqrt(2*pi)": sympy.sqrt(2 * sympy.pi)}
        unit = known[self.unit]
        return sympy.Rational(self.above, self.below) * (1 / unit if self.inverse else unit)


def written(value: float, digits: int = 5) -> Numeral | None:
    """The numeral of a number's size; None where a decimal of so many digits is exact, or there is none."""
    if not math.isfinite(value) or abs(float(f"{value:.{digits}g}") - value) <= ROUNDING * abs(value):
        return None
    return next(near(abs(value), ROUNDING), None)


def near(value: float, within: float) -> Iterator[Numeral]:
    """Numerals within a relative distance of a positive number, what is quickest to read first.

    >>> [numeral.text for numeral in near(1.0472, 1e-5)]
    ['pi/3']
    """
    numerals, values = _table()
    first, last = (bisect_left(values, value * (1.0 + sign * within)) for sign in (-1.0, 1.0))
    yield from sorted(numerals[first:last], key=lambda numeral: numeral.bits)


def have_numerals(values: np.ndarray, within: float) -> np.ndarray:
    """For each of many positive numbers whether :func:`near` finds a numeral.

    >>> have_numerals(np.array([1.0472, 0.7312]), 1e-5)
    array([ True, False])
    """
    known = _table()[1]
    first, last = (np.searchsorted(known, values * (1.0 + sign * within)) for sign in (-1.0, 1.0))
    return first < last


def rounded(value: float) -> float:
    """The short decimal or the numeral that a number is but for rounding, to the last bit.

    >>> rounded(0.9999999999999999), rounded(1.5707963267948968) == math.pi / 2, rounded(0.731251831)
    (1.0, True, 0.731251831)
    """
    numeral = written(value)
    if numeral is not None:
        return math.copysign(numeral.value, value)
    short = float(f"{value:.5g}")
    return short if abs(short - value) <= ROUNDING * abs(value) else value


def effort(value: float) -> float:
    """What reading a number takes, from 0 for 1 to 1 for a decimal of five digits and more.

    >>> effort(2.0) < effort(0.5) < effort(math.pi / 2) < effort(0.7312)
    True
    """
    size = abs(value)
    if size == 1.0:
        return 0.0
    if size.is_integer() and size <= 720.0:
        return 0.2 + 0.01 * math.log2(size) if size else 0.6  # 0 - u for -u
    found = written(size, 2)
    if found is not None:
        return 0.3 + 0.02 * found.bits + 0.1 * found.is_quotient
    digits = next((n for n in range(1, 6) if abs(float(f"{size:.{n}g}") - size) <= ROUNDING * size), 6)
    return min(1.0, 0.2 + 0.1 * digits)


def _product(number: int, unit: str) -> str:
    if not unit:
        return str(number)
    return unit if number == 1 else f"{number}*{unit}"


@cache
def _table() -> tuple[list[Numeral], list[float]]:
    """Every numeral by value; of those of one value, the one that is quickest to read."""
    best: dict[float, Numeral] = {}
    for unit, (size, own) in _UNITS.items():
        largest = _LARGEST.get(unit, _LARGEST_OF_OTHERS)
        for above in _WHOLE:
            for below in _WHOLE:
                if above * below > largest or math.gcd(above, below) > 1 or (not unit and below == 1):
                    continue
                for inverse in (False, True) if unit else (False,):
                    value = above / (below * size) if inverse else above * size / below
                    bits = own + 0.5 * inverse + math.log2(above * below)
                    known = best.get(float(f"{value:.13g}"))
                    if known is None or bits < known.bits:
                        best[float(f"{value:.13g}")] = Numeral(value, above, below, unit, inverse, bits)
    numerals = sorted(best.values(), key=lambda numeral: numeral.value)
    return numerals, [numeral.value for numeral in numerals]
