"""What the operator table's texts for SymPy call.

SymPy is imported with this module, so it is imported by nothing but functions that need it.
"""

from __future__ import annotations

import math
from typing import Any

import sympy

LARGEST_INTEGER = 2.0**53
"""Up to here every integer is a float64, so a whole number is shown as an integer."""


def number(value: float) -> Any:
    """A float64 as a SymPy number: an Integer where it is one, else a Float of full precision."""
    if math.isnan(value):
        return sympy.nan
    if math.isinf(value):
        return sympy.oo if value > 0 else -sympy.oo
    return sympy.Integer(int(value)) if value.is_integer() and abs(value) < LARGEST_INTEGER else sympy.Float(value)


def power(base: Any, exponent: Any) -> Any:
    return base**exponent


def condition(x: Any) -> Any:
    """What makes x, as a truth value, true: the condition itself for a 0-1 indicator."""
    if isinstance(x, sympy.Piecewise) and len(x.args) == 2 and (x.args[0][0], x.args[1][0]) == (1, 0):
        return x.args[0][1]
    return x > 0


def indicator(relation: Any) -> Any:
    """1 where the relation holds, else 0."""
    return sympy.Piecewise((1, relation), (0, True))


def half_to_even(x: Any) -> Any:
    """x rounded to the nearest integer, halves to the even one."""
    odd_half = sympy.ceiling((2 * x - 1) / 4) - sympy.floor((2 * x - 1) / 4) - 1
    return sympy.floor(x + sympy.Rational(1, 2)) + odd_half
