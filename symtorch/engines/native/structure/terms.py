"""Terms that are powers of the inputs times a wave in a sum of them, and sums of such terms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.equations.expr import Constant, Expr, Variable
from symtorch.equations.normal import add, apply, multiply, power
from symtorch.equations.operators import OPERATORS


@dataclass(frozen=True)
class Term:
    """``prod x_i^exponents_i * cos(sum frequencies_i*x_i)``, or the sine.

    Attributes:
        exponents, frequencies: for every input.
        sine: whether it is the sine.
    """

    exponents: tuple[int, ...]
    frequencies: tuple[int, ...]
    sine: bool = False

    def values(self, Z: np.ndarray) -> np.ndarray:
        angle = Z @ np.array(self.frequencies, dtype=float)
        out = np.sin(angle) if self.sine else np.cos(angle)
        for i, exponent in enumerate(self.exponents):
            if exponent:
                out = out * Z[:, i] ** exponent
        return out

    def over(self, exponents: Sequence[int], sine: str, cosine: str) -> Expr:
        """The term over these powers of the inputs, its waves written by the operators of these names."""
        powers = [
            power(Variable(i), float(e - less))
            for i, (e, less) in enumerate(zip(self.exponents, exponents, strict=True))
        ]
        if not any(self.frequencies):
            return multiply([Constant(1.0), *powers])
        angle = add([multiply([Constant(float(k)), Variable(i)]) for i, k in enumerate(self.frequencies) if k])
        name = sine if self.sine else cosine
        if self.sine and name == "cos":
            angle = add([angle, Constant(-math.pi / 2)])
        if not self.sine and name == "sin":
            angle = add([angle, Constant(math.pi / 2)])
        return multiply([*powers, apply(OPERATORS[name], [angle])])


@dataclass(frozen=True)
class Sum:
    """Terms with their coefficients."""

    terms: tuple[Term, ...]
    sizes: np.ndarray

    def written(self, names: Sequence[str]) -> Expr:
        """The sum, over the powers that all terms share; (sine, cosine) are written by operators of these names."""
        shared = [min(e) for e in zip(*(term.exponents for term in self.terms), strict=True)]
        parts = [
            multiply([Constant(float(size)), term.over(shared, *names)])
            for term, size in zip(self.terms, self.sizes, strict=True)
        ]
        return multiply([*(power(Variable(i), float(e)) for i, e in enumerate(shared)), add(parts)])
