"""Numbers that are as short as what they stand for allows."""

from __future__ import annotations

import math


def shortest_between(low: float, high: float) -> float:
    """The number with the fewest digits in ``[low, high)``; nearest to the middle of those.

    >>> shortest_between(0.29881, 0.30214), shortest_between(5.8371, 5.8404), shortest_between(-1.2, 3.0)
    (0.3, 5.84, 0.0)
    """
    if low <= 0.0 < high:
        return 0.0
    middle = 0.5 * (low + high)
    scale = math.floor(math.log10(max(abs(low), abs(high))))
    for decimals in range(-scale, 18 - scale):
        unit = 10.0**-decimals
        near = {round(value / unit) + k for value in (low, middle) for k in (-1, 0, 1)}
        # Rounded by the decimal point, since 3*0.1 isn't 0.3.
        numbers = (float(f"{n}e{-decimals}") for n in near)
        inside = [number for number in numbers if low <= number < high]
        if inside:
            return min(inside, key=lambda number: abs(number - middle))
    return low
