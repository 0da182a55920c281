"""The numbers that steer how forms of an expression are looked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FormsTuning:
    """Of writing powers and products, of algebra, and of mutation."""

    power_depth: int = 3
    """Operators that may be put into one another to write one power: ``square(square(square(u)))`` is u^8."""
    longest_product: float = 6.0
    """The highest power that is written as a product of lower ones; longer products nobody reads."""
    most_repeats: float = 4.0
    """The largest whole number by which a term is multiplied by adding it to itself, where nothing multiplies."""
    forms: int = 300
    """Forms of one expression that algebra looks at. With 125 to 500: every pick of asked:newton and asked:I.13.12 in
    ``benchmarks/sensitivity.py`` stays."""
    detour: float = 6.0
    """How much longer than the original a form may be that still leads to others. Half or twice as much: likewise."""
    functions: int = 6
    """Functions that mutation tries in the place of a node, the user's first ones."""
    read: int = 60
    """Forms of the pick that are looked at for the one that reads best. Half or twice as many: the same count of
    ``benchmarks/textbook.py``."""
    read_in_full: int = 8
    """Outputs of one search up to which each pick gets so many; of more, each gets its share."""
