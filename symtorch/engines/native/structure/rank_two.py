"""One input told apart from all others: ``f = x_i^p * (A(others) + h(x_i)*B(others))``.

As a matrix of values, with x_i along one side and the other inputs along the other, such a function has
rank two. Most sums are of this kind whose terms share inputs, so that no group of inputs acts apart:
``x0*x1 + sin(x0)``, ``x0/(x1^2 + 1) - 2*x1/(x0^2 + 3)``. The differences ``D(x_i, others) = f(x_i, others) -
f(x_0, others)``, after the division by x_i^p, are then a product, and four of them obey ``D D' = D'' D'''``.
Where h is a known power, three answers on a line along x_i suffice: they lie on a straight line over h.

As for the other identities (:mod:`.links`), what counts is the smallest error of the answers
that would explain the violation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.problem import Ask, Problem, mean_square
from symtorch.engines.native.structure.steps import Step
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations.expr import Expr, Variable, substitute
from symtorch.equations.normal import add, multiply, power

_DIVISORS = (0.0, 1.0)
_KNOWN = (1.0, 2.0, -1.0)
"""Powers h = x_i^q that are tried before h is taken for an unknown function."""


@dataclass(frozen=True)
class RankTwo(Step):
    """``f = x_i^p * (A(others) + h(x_i)*B(others))``, as a step of a decomposition.

    Attributes:
        i: the input.
        divisor: p.
        known: q of ``h = x_i^q``; None for an unknown h.
        residual: mean squared error of the answers that explains the test, relative to their variance.
        contrast: the same relative to the interaction of x_i with the others.
    """

    i: int
    n_inputs: int
    divisor: float
    known: float | None
    residual: float
    contrast: float

    @property
    def prior(self) -> float:
        if self.known is not None:
            return tuning().prior_line
        return tuning().prior_divided_rank_two if self.divisor else tuning().prior_rank_two

    @property
    def others(self) -> list[int]:
        return [q for q in range(self.n_inputs) if q != self.i]

    def parts(self, problem: Problem) -> list[Problem]:
        """A and B, and between them x_i^p * h if it isn't known."""
        others = problem.Z[:, self.others]
        if self.known is not None:
            return [problem.below(others, self._line(problem, kind)) for kind in ("offset", "slope")]
        low, high = self._ends(problem)
        rest = np.median(others, axis=0)
        spread = self._at(problem, others, high, 0) - self._at(problem, others, low, 0)
        if np.isfinite(spread).any():  # where x_i matters most, its share is known best
            rest = others[int(np.nanargmax(np.abs(spread)))]

        def offset(Z: np.ndarray, replica: int) -> np.ndarray:
            return self._at(problem, Z, low, replica)

        def slope(Z: np.ndarray, replica: int) -> np.ndarray:
            return self._at(problem, Z, high, replica) - self._at(problem, Z, low, replica)

        def share(Z: np.ndarray, replica: int) -> np.ndarray:
            held = np.tile(rest, (len(Z), 1))
            start = self._at(problem, rest[None], low, replica)
            end = self._at(problem, rest[None], high, replica)
            # With the factor x_i^p again: 1/(x^2 + 1) is easier to recognise than 1/x times that.
            return Z[:, 0] ** self.divisor * (self._at(problem, held, Z[:, 0], replica) - start) / (end - start)

        return [
            problem.below(others, offset),
            problem.below(problem.Z[:, [self.i]], share),
            problem.below(others, slope),
        ]

    def join(self, solved: Sequence[Expr]) -> Expr:
        x = Variable(self.i)
        names = [Variable(q) for q in self.others]
        offset, slope = substitute(solved[0], names), substitute(solved[-1], names)
        known = self.known
        share = power(x, self.divisor + known) if known is not None else substitute(solved[1], [x])
        return add([multiply([power(x, self.divisor), offset]), multiply([share, slope])])

    def _at(self, problem: Problem, others: np.ndarray, value: np.ndarray | float, replica: int) -> np.ndarray:
        """Answers over x_i^p with x_i at this value."""
        full = np.empty((len(others), self.n_inputs))
        full[:, self.others] = others
        full[:, self.i] = value
        return problem.ask(full, replica) / np.asarray(value) ** self.divisor

    def _ends(self, problem: Problem) -> tuple[float, float]:
        """Two values of x_i far apart; the first one zero where that is possible: many functions vanish there."""
        low, high = float(problem.low[self.i]), float(problem.high[self.i])
        far = high if high >= -low else low
        if low < 0.0 < high:
            return (0.0 if self.divisor == 0.0 else 0.4 * far), 0.9 * far
        return low + 0.05 * (high - low), high - 0.05 * (high - low)

    def _line(self, problem: Problem, kind: str) -> Ask:
        """Offset or slope of the straight line through the answers at two places; every replica has its own."""
        low, high = float(problem.low[self.i]), float(problem.high[self.i])
        if self.known != 1.0 and low < 0.0 < high:  # one side of zero: even powers don't tell the two apart
            low, high = (0.0, high) if high >= -low else (low, 0.0)
        assert self.known is not None
        q = self.known

        def ask(Z: np.ndarray, replica: int) -> np.ndarray:
            inset = 0.04 + 0.25 * ((0.6180339887498949 * replica) % 1.0)
            x = low + inset * (high - low), high - inset * (high - low)
            first, second = (self._at(problem, Z, value, replica) for value in x)
            slope = (second - first) / (x[1] ** q - x[0] ** q)
            return slope if kind == "slope" else first - x[0] ** q * slope

        return ask


def find_rank_twos(evidence: Evidence) -> Iterator[RankTwo]:
    """Every input with which the function is of rank two; of the ways to say so for a divisor the plainest."""
    problem = evidence.problem
    for i in range(problem.n_inputs):
        answers = _Answers.ask(problem, i, evidence.rng)
        for divisor in _DIVISORS:
            for known in (*_KNOWN, None):
                residual = answers.residual(divisor, known)
                contrast = residual / max(answers.interaction, 1e-300)
                if residual <= tuning().worst and contrast <= tuning().rank_contrast:
                    yield RankTwo(i, problem.n_inputs, divisor, known, residual, contrast)
                    break


@dataclass(frozen=True, eq=False)
class _Answers:
    """Answers with x_i at three values (rows of ``x``), the others as they are and as in another row.

    Attributes:
        x: (3, m).
        f: (2, 3, m).
        scale: mean squared deviation of the problem's answers.
        interaction: mean squared error of the answers that would explain it if x_i acted apart, relative to it.
    """

    x: np.ndarray
    f: np.ndarray
    scale: float
    interaction: float

    @classmethod
    def ask(cls, problem: Problem, i: int, rng: np.random.Generator) -> _Answers:
        Z = problem.Z
        x = np.stack([Z[:, i], *(Z[rng.permutation(len(Z)), i] for _ in range(2))])
        rows = Z, Z[rng.permutation(len(Z))]
        f = np.empty((2, 3, len(Z)))
        for a, held in enumerate(rows):
            for b, value in enumerate(x):
                moved = held.copy()
                moved[:, i] = value
                f[a, b] = problem.ask(moved, 0)
        apart = (f[0, 0] - f[0, 1] - f[1, 0] + f[1, 1]) / 2
        return cls(x, f, problem.scale, mean_square(apart) / problem.scale)

    def residual(self, divisor: float, known: float | None) -> float:
        """Mean squared error of the answers that explains what was seen, relative to their variance."""
        with np.errstate(all="ignore"):
            share = self.x**divisor
            F = self.f / share
            if known is None:
                # C = D(x1, r) D(x2, r') - D(x2, r) D(x1, r') with the differences D from x0.
                D = F[:, 1:] - F[:, :1]
                violation = D[0, 0] * D[1, 1] - D[0, 1] * D[1, 0]
                by_answer = [D[1, 1], D[1, 0], D[1, 1] - D[1, 0], D[0, 1], D[0, 0], D[0, 0] - D[0, 1]]
                places = [1, 2, 0, 1, 2, 0]
            else:
                h = self.x**known
                violation = (F[0, 1] - F[0, 0]) * (h[2] - h[0]) - (F[0, 2] - F[0, 0]) * (h[1] - h[0])
                by_answer = [h[2] - h[1], h[2] - h[0], h[1] - h[0]]
                places = [0, 1, 2]
            size = np.sqrt(sum((d / share[k]) ** 2 for d, k in zip(by_answer, places, strict=True)))
            return mean_square(violation / size) / self.scale
