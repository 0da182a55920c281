"""The numbers that steer how forms of an expression are looked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FormsTuning:
    """Of algebra and of mutation."""

    forms: int = 250
    """Forms of one expression that algebra looks at."""
    detour: float = 6.0
    """How much longer than the original a form may be that still leads to others."""
    multiplied_out: int = 12
    """Terms above which a product of sums is not multiplied out."""
    functions: int = 6
    """Functions that mutation tries in the place of a node, the user's first ones."""
