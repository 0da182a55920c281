"""Other equations that the data can't tell from the pick, and the question that would tell them apart.

Two laws may agree on every row within the error and differ elsewhere. The point of the inputs' ranges at which
they differ most is the experiment to do next (Box and Hill 1967, doi 10.1080/00401706.1967.10490441: choose the
experiment on which the rival models disagree most).
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from symtorch.equations import show
from symtorch.equations.canonical import canonical
from symtorch.equations.selection import ROUNDING
from symtorch.equations.show import Law
from symtorch.errors import InputError

_SIGMAS = 2.0
"""Standard errors of a mean loss by which an alternative's may be above the pick's."""

_POINTS = 4096
"""Points of the inputs' ranges at which the equations are compared; half of them on the rows' own."""

_ROUNDS, _NEAR = 6, 64
"""Rounds in which the point with the greatest difference is moved, and points tried around it in each."""


@dataclass(frozen=True, repr=False)
class Alternatives:
    """The pick of an output, other skeletons as good within the error, and the question that tells them apart.

    Attributes:
        pick: of the front.
        others: as good within the error, the simplest first.
        variable_names: of the question's coordinates.
        question: (n_inputs,), the point within the ranges of the data at which they differ most; None where there
            are no others, or no ranges are known.
        values: of the pick and of the others there.
        answer: of the block there; None where it was not asked.
    """

    pick: Law
    others: tuple[Law, ...]
    variable_names: tuple[str, ...] = ()
    question: tuple[float, ...] | None = None
    values: tuple[float, ...] = ()
    answer: float | None = None

    @property
    def nearest(self) -> Law | None:
        """The equation whose value is nearest to the answer; None where there is none."""
        answer = self.answer
        if answer is None:
            return None
        equations = (self.pick, *self.others)
        return min(zip(equations, self.values, strict=True), key=lambda pair: abs(pair[1] - answer))[0]

    def answered(self, value: float) -> Alternatives:
        """With what the block, or an experiment, says to the question.

        Raises:
            InputError: there is no question.
        """
        if self.question is None:
            raise InputError("there is no question: no other equation is as good, or no data were given.")
        return replace(self, answer=float(value))

    def __len__(self) -> int:
        return len(self.others)

    def __repr__(self) -> str:
        rows = [f"{'':2}{'complexity':>10}  {'loss':>10}  {'there':>12}  equation"]
        for mark, equation, value in self._rows:
            there = "" if value is None else f"{value:12.6g}"
            text = show.shortened(str(equation), show.WIDTH - 30)
            rows.append(f"{mark:2}{equation.complexity:>10}  {equation.loss:>10.3e}  {there:>12}  {text}")
        return "\n".join([*rows, self._note])

    def _repr_html_(self) -> str:
        columns = {
            "": lambda row: html.escape(row[0]),
            "complexity": lambda row: str(row[1].complexity),
            "loss": lambda row: f"{row[1].loss:.3g}",
            "there": lambda row: "" if row[2] is None else f"{row[2]:.6g}",
            "equation": lambda row: show.formula(row[1]),
        }
        return show.html_table(columns, self._rows, note=self._note)

    @property
    def _rows(self) -> list[tuple[str, Law, float | None]]:
        equations = (self.pick, *self.others)
        values: Sequence[float | None] = self.values or (None,) * len(equations)
        marks = [("*" if equation is self.nearest else "") for equation in equations]
        marks[0] = ">" + marks[0]
        return list(zip(marks, equations, values, strict=True))

    @property
    def _note(self) -> str:
        if not self.others:
            return "no other equation is as good within the error"
        if self.question is None:
            return "pass X for the question that tells them apart"
        point = ", ".join(f"{name}={value:.5g}" for name, value in zip(self.variable_names, self.question, strict=True))
        answer = "" if self.answer is None else f"; the answer is {self.answer:.6g}, nearest is *"
        return f"they differ most at {point}{answer}"


def alternatives(
    pick: Law, equations: Iterable[Law], level: float, X: np.ndarray | None = None, seed: int = 0
) -> Alternatives:
    """Equations of other skeletons that are as good as a pick within the error.

    Args:
        pick: what they are compared with.
        equations: that there are, with losses on the same rows.
        level: loss that counts as equally good; see :func:`as_good`.
        X: (n, n_inputs), rows that span the points that can be asked for; None for no question.
        seed: of the points that are compared.

    Raises:
        InputError: X is no matrix with a column for each variable.
    """
    if X is not None:
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != len(pick.variable_names) or not len(X):
            raise InputError(f"X has shape {X.shape}; expected (n_samples, {len(pick.variable_names)}), and some rows.")
    seen, others = {canonical(pick.expr)}, []
    for equation in sorted(equations, key=lambda eq: (eq.complexity, eq.loss)):
        form = canonical(equation.expr)
        if equation.loss <= level and form not in seen:
            seen.add(form)
            others.append(equation)
    found = Alternatives(pick, tuple(others), pick.variable_names)
    point = None if X is None or not others else _question([pick, *others], X, np.random.default_rng(seed))
    if point is None:
        return found
    values = tuple(float(equation.predict(point[None])[0]) for equation in (pick, *others))
    return replace(found, question=tuple(point.tolist()), values=values)


def as_good(pick: Law, worst: float, n_samples: int, reach: float) -> float:
    """The largest loss that counts as equally good: that of the pick, two of its standard errors, and rounding.

    The standard error of a mean of n squares of normal errors is sqrt(2/n) of it.

    Args:
        worst: loss of the worst equation: what is 1e-14 of it is rounding.
        n_samples: rows that the losses are over; 0 where that isn't known.
        reach: what the block itself is known to err by; infinite where that isn't known.
    """
    within = (1.0 + _SIGMAS * math.sqrt(2.0 / n_samples)) * pick.loss if n_samples else pick.loss
    return max(within, ROUNDING * worst, reach if math.isfinite(reach) else 0.0)


def _question(equations: Sequence[Law], X: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """The point of the rows' ranges at which the equations differ most; None where they are nowhere all defined."""
    low, high = X.min(axis=0), X.max(axis=0)
    rows = X[rng.integers(len(X), size=_POINTS // 2)]
    points = np.concatenate([rows, rng.uniform(low, high, (_POINTS // 2, X.shape[1]))])
    best = _widest(equations, points)
    if best is None:
        return None
    reach = 0.25 * (high - low)
    for _ in range(_ROUNDS):
        near = np.clip(best + reach * rng.normal(size=(_NEAR, len(low))), low, high)
        best = _widest(equations, np.concatenate([best[None], near]))
        assert best is not None  # the point itself is among them
        reach = 0.5 * reach
    return best


def _widest(equations: Sequence[Law], points: np.ndarray) -> np.ndarray | None:
    """Of the points that with the greatest range of values."""
    values = np.stack([equation.predict(points) for equation in equations])
    usable = np.isfinite(values).all(axis=0)
    if not usable.any():
        return None
    with np.errstate(invalid="ignore"):
        spread = np.where(usable, np.ptp(values, axis=0), -1.0)
    return points[int(spread.argmax())]
