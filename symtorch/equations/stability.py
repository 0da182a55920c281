"""How often the same law is the pick when a search is run again, and how its constants scatter then.

A search of other rows of the same data, with another seed, or of another network of the same data may come to
another equation. What is the pick again and again owes nothing to chance; the scatter of its constants is a
standard error that needs no model of the noise (the bootstrap: Efron 1979, doi 10.1214/aos/1176344552). Of
skeletons, complementary pairs of stability selection count the same way (Meinshausen and Bühlmann 2010,
doi 10.1111/j.1467-9868.2010.00740.x).
"""

from __future__ import annotations

import html
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from symtorch.equations import show
from symtorch.equations.canonical import Form, canonical, skeleton
from symtorch.equations.show import Law
from symtorch.equations.uncertainty import Estimate
from symtorch.errors import InputError


@dataclass(frozen=True)
class Recurrence:
    """One skeleton, and the runs that picked it.

    Attributes:
        skeleton: as text, with ``c`` for the constants.
        equation: the most accurate of the picks that have it.
        count: runs that picked it.
        n_runs: runs in all.
        constants: in the order of ``canonical(equation.expr).numbers``, each the median over the runs that picked
            it, with the standard deviation over them; that of a single run is not known.
    """

    skeleton: str
    equation: Law
    count: int
    n_runs: int
    constants: tuple[Estimate, ...]

    @property
    def share(self) -> float:
        """Of the runs that picked it."""
        return self.count / self.n_runs


@dataclass(frozen=True, repr=False)
class Stability:
    """What several searches for one output picked.

    Attributes:
        recurrences: each skeleton that was a pick, the most frequent first.
        pick: the equation in question, whose skeleton may be none of them.
    """

    recurrences: tuple[Recurrence, ...]
    pick: Law

    @classmethod
    def of(cls, pick: Law, picks: Sequence[Law]) -> Stability:
        """Count the picks of several searches by skeleton.

        >>> from symtorch.equations import Equation, parse
        >>> picks = [Equation(parse(text, ["x"]), ("x",), 5, 0.01) for text in ("2*x + 1", "1.1 + 2.2*x", "exp(x)")]
        >>> Stability.of(picks[0], picks).share
        0.6666666666666666

        Raises:
            InputError: there are none.
        """
        if not picks:
            raise InputError("stability needs the pick of at least one further search.")
        groups: dict[Form, list[Law]] = {}
        for equation in picks:
            groups.setdefault(canonical(equation.expr), []).append(equation)
        ranked = sorted(groups.values(), key=len, reverse=True)
        return cls(tuple(_recurrence(own, len(picks)) for own in ranked), pick)

    @property
    def share(self) -> float:
        """Of the runs that picked the skeleton of ``pick``."""
        own = canonical(self.pick.expr)
        return next((r.share for r in self.recurrences if canonical(r.equation.expr) == own), 0.0)

    @property
    def n_runs(self) -> int:
        return self.recurrences[0].n_runs

    def __repr__(self) -> str:
        rows = [f"{'':2}{'picked':>8}  {'skeleton':<40}  constants"]
        for r in self._shown:
            mark = "> " if self._is_pick(r) else "  "
            constants = ", ".join(map(str, r.constants))
            rows.append(f"{mark}{r.count:>3} of {r.n_runs:<2}  {show.shortened(r.skeleton, 40):<40}  {constants}")
        return "\n".join([*rows, self._note])

    def _repr_html_(self) -> str:
        columns = {
            "": lambda r: "<b>&#9656;</b>" if self._is_pick(r) else "",
            "picked": lambda r: f"{r.count} of {r.n_runs}",
            "equation": lambda r: html.escape(show.shortened(r.skeleton)),
            "constants": lambda r: html.escape(", ".join(map(str, r.constants))),
        }
        return show.html_table(columns, self._shown, note=self._note)

    @property
    def _shown(self) -> Sequence[Recurrence]:
        return self.recurrences[: show.ROWS]

    @property
    def _note(self) -> str:
        left_out = len(self.recurrences) - len(self._shown)
        more = f"; {left_out} more skeletons" if left_out else ""
        return f"the pick {show.shortened(str(self.pick))} recurs in {self.share:.0%} of {self.n_runs} runs{more}"

    def _is_pick(self, recurrence: Recurrence) -> bool:
        return canonical(recurrence.equation.expr) == canonical(self.pick.expr)


def _recurrence(picks: Sequence[Law], n_runs: int) -> Recurrence:
    best = min(picks, key=lambda equation: equation.loss)
    columns = zip(*(canonical(equation.expr).numbers for equation in picks), strict=True)
    constants = tuple(
        Estimate(statistics.median(values), statistics.stdev(values) if len(picks) > 1 else None) for values in columns
    )
    return Recurrence(skeleton(best.expr, best.variable_names), best, len(picks), n_runs, constants)
