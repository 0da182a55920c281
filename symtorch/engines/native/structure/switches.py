"""Functions that jump or bend at a border: ``f = g + k*max(u, 0)``, ``f = g + k*[u > 0]``, or one law on either side.

Where the jump, or the change of slope, is the same all along the border, the border comes off and leaves a function
without it; so a sum of several is taken apart one by one. Else each side is a problem of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from symtorch.engines.native.forms.choices import Choices
from symtorch.engines.native.structure.borders import Border, find_borders
from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.problem import Problem
from symtorch.engines.native.structure.steps import Finder, Step
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations import normal
from symtorch.equations.expr import Constant, Expr, Variable, evaluate
from symtorch.equations.operators import OPERATORS

_BLURS = 10.0
"""Terms smaller than so many times the blur that a border leaves are not there."""


@dataclass(frozen=True)
class TakenOff(Step):
    """A border of the same size everywhere, and the function without it."""

    border: Border
    words: Choices = field(repr=False, compare=False)
    residual: float
    contrast: float

    @property
    def prior(self) -> float:
        return tuning().prior_border

    def parts(self, problem: Problem) -> list[Problem]:
        def share(Z: np.ndarray) -> np.ndarray:
            u = self.border.u(Z)
            return self.border.size * (u > 0.0 if self.border.kind == "jump" else u.clip(0.0))

        blur = self.border.blur * float(np.abs(share(problem.Z)).max())

        def ask(Z: np.ndarray, replica: int) -> np.ndarray:
            left = problem.ask(Z, replica) - share(Z)
            return np.where(np.abs(left) < blur, 0.0, left)  # rounding would be taken for a function

        return [problem.below(problem.Z, ask, blur)]

    def join(self, solved: Sequence[Expr]) -> Expr:
        u, size = _linear(self.border), self.border.size
        digits, least = int(-math.log10(self.border.blur)) - 1, _BLURS * self.border.blur * abs(size)
        rest = _rounded(solved[0], least, digits)
        written: Expr | None
        if self.border.kind == "jump":
            written = self.words.choice(u, normal.add([rest, Constant(_round(size, 0.0, digits))]), rest)
        else:
            v = _rounded(normal.multiply([Constant(abs(size)), u]), 0.0, digits)
            ways = self.words.positive_part if size > 0.0 else self.words.without_positive_part
            written = next(iter(ways(v, rest)), None)
        return _unwritten(u, rest) if written is None else written


@dataclass(frozen=True)
class Sides(Step):
    """One law on either side of a border."""

    border: Border
    words: Choices = field(repr=False, compare=False)
    Z: np.ndarray = field(repr=False, compare=False)
    residual: float
    contrast: float

    @property
    def prior(self) -> float:
        return tuning().prior_border - 0.5

    def parts(self, problem: Problem) -> list[Problem]:
        return [self._side(problem, sign) for sign in (1.0, -1.0)]

    def _side(self, problem: Problem, sign: float) -> Problem:
        def ask(Z: np.ndarray, replica: int) -> np.ndarray:
            inside = sign * self.border.u(Z) > 0.0
            out = np.full(len(Z), np.nan)
            if inside.any():
                out[inside] = problem.ask(Z[inside], replica)
            return out

        return problem.below(problem.Z[sign * self.border.u(problem.Z) > 0.0], ask)

    def join(self, solved: Sequence[Expr]) -> Expr:
        u, (f, g) = _linear(self.border), solved
        ways = [self.words.choice(u, f, g)]
        if self.border.kind == "kink":
            above, first, second = self.border.u(self.Z) > 0.0, *(evaluate(e, self.Z) for e in (f, g))
            larger = np.where(above, first, second) >= np.where(above, second, first)
            if larger.all():
                ways.append(self.words.larger(f, g))
            elif not larger.any() or (np.where(above, first, second) <= np.where(above, second, first)).all():
                ways.append(self.words.smaller(f, g))
        written = [way for way in ways if way is not None]
        return min(written, key=self._cost) if written else _unwritten(u, f)

    def _cost(self, expr: Expr) -> float:
        tree = self.words.words.render(expr)
        return np.inf if tree is None else self.words.words.cost(tree)


def switch_finder(words: Choices) -> Finder:
    """What looks for borders that can be written in these words."""

    def test(evidence: Evidence) -> Iterator[Step]:
        problem = evidence.problem
        for border in find_borders(problem, np.random.default_rng(len(problem.Z))):
            if border.kind == "jump" and not words.steps:
                continue
            error = border.rounding**2 / 12  # of an even spread
            if border.steady:
                yield TakenOff(border, words, error, error)
            yield Sides(border, words, problem.Z, error, error)

    return Finder(test, alone=True)


def _linear(border: Border) -> Expr:
    """``u``, positive on one side of the border."""
    parts = [normal.multiply([Constant(c), Variable(i)]) for i, c in enumerate(border.normal) if c != 0.0]
    return normal.add([*parts, Constant(0.0 - border.offset)])


def _rounded(total: Expr, least: float, digits: int) -> Expr:
    """A sum with its coefficients rounded, so that what should cancel does; the fit that follows is exact again."""
    constant, found = normal.terms(total)
    parts = [normal.multiply([Constant(_round(c, least, digits)), term]) for c, term in found]
    return normal.add([*parts, Constant(_round(constant, least, digits))])


def _round(value: float, least: float, digits: int) -> float:
    return float(f"{value:.{digits}g}") if abs(value) > least else 0.0


def _unwritten(u: Expr, rest: Expr) -> Expr:
    """What no operator of the user's stands for: a form without a rendering."""
    return normal.apply(OPERATORS["ifelse"], [u, rest, Constant(0.0)])
