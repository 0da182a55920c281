"""Is the pick of a front the law behind the data, an approximation of it, or nothing at all?

Nothing can prove a law, so a verdict comes with its evidence. In this order:

1. **None**: on rows that the search has not seen the pick explains next to nothing of how the output varies.
2. **Exact**: what it leaves unexplained is rounding. That is a law, or as good as one.
3. **Above the teacher**: a block that was asked has shown how far it is itself from identities that its law would
   obey. A pick that leaves far more unexplained is an approximation, however good it is, unless it has the evidence
   of 6: a network that obeys identities better than its law shows less than its error.
4. **Confirmed**: structure that was found by asking led to a law that is about as good as the block, and the pick to
   that law or a better one. That confirms what the law is made of. The functions in it may be approximations, so the
   pick must win more by its numbers than those do (:mod:`.worth`).
5. **The bend**: the front falls steeply until the pick and slowly after it (see :mod:`.selection`), and none of the
   longer equations, of which there must be some, does much better on held-out rows: what is left has no short form,
   as noise has none. An approximation of something that is no law can be improved by a longer one.
6. **The numbers**: a block's own error can be explained by longer equations, for it is the same wherever it is
   asked. Then the bend has to be sharp, and the pick has to win more by its numbers than any other equation.

``benchmarks/verdicts.py`` says how often that is right; the thresholds were set on one half of its cases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from symtorch.equations.description import extent
from symtorch.equations.expr import Expr
from symtorch.equations.selection import EXACT, bends
from symtorch.equations.structure import Structure
from symtorch.equations.worth import stands_alone, stands_out

EXPLAINED = 0.1
"""Held-out R² under which an equation explains nothing, where rows are many."""

CHANCE = 6.0
"""What chance adds to that where n rows were held out, times n: the square of a correlation that is none is 1/n on
average, and under 6/n in 98 of 100 cases (a chi-squared variable of one degree of freedom)."""

ABOVE = 100.0
"""How many times the noise floor a law may leave unexplained: the floor is a lower bound, of an error that differs
from place to place."""

REACHED = 3.0
"""How many times the block's own error a law loses, at most, where the front holds such an equation. The error is
seen within a factor of two in most cases; where it is seen too small, no equation is so good, and nothing changes as
long as the pick may still be a law."""

AS_GOOD = 2.0
"""How many times more than the law that asking has confirmed an equation leaves, at most, that is as good: the law was
judged on other rows, and in a form of its own."""

SHARP = 4.0
"""Sharpness of a bend, at least, for the equation to be the law."""

KEPT = 0.9
"""The least unexplained share of any equation, relative to the law's: on the same held-out rows longer equations than
the law are no better but by chance. Of a network's errors they fit a part."""


@dataclass(frozen=True)
class Evidence:
    """What is known of an output beyond the equations of its front.

    Shares are of the output's variance.

    Attributes:
        noise_floor: share that is the block's own error, as far as answers of its own that contradict each other
            show it: a lower bound. None where nothing is known of it.
        confirmed: whether structure found by asking the block led to a law; None where it was not asked.
        rows_asked: rows that the block was asked for, for this output. What was asked for several outputs at once
            is shared among them, and what was known from an earlier output is not asked again, so that the sum over
            outputs is what the block was asked in all.
        trouble: why the block was not asked, where it is none that can be; see
            :class:`symtorch.capture.rows.Trial`.
        variance: of the output on the rows that were searched, where the loss is the squared error.
        n_held_out: rows that the equations were judged on, and not found from; None where that is not done yet.
        noise: share that is noise, where there are rows alone and what the equation of the shortest description
            leaves can't be told from independent errors. None where that is not seen.
        law: share that the law leaves unexplained which asking has confirmed; None where none was, or where that is
            not known.
        beyond: a law that shows but can't be written with the search options, and what to allow for it.
        structure: what asking has found the block's law to be made of; None where it was not found so.
    """

    noise_floor: float | None = None
    confirmed: bool | None = None
    rows_asked: int = 0
    trouble: str = ""
    variance: float | None = None
    n_held_out: int | None = None
    noise: float | None = None
    law: float | None = None
    beyond: str = ""
    structure: Structure | None = None

    @property
    def reach(self) -> float:
        """Largest mean squared error of a law, by what is known of the block's own error and of a law that asking has
        confirmed; infinite where nothing is."""
        if self.variance is None:
            return math.inf
        known = [REACHED * max(self.noise_floor, EXACT)] if self.noise_floor is not None else []
        known += [AS_GOOD * max(self.law, EXACT)] if self.law is not None else []
        return min(known, default=math.inf) * self.variance

    def and_before(self, earlier: Evidence) -> Evidence:
        """This evidence of a search that went on from another one, with what that one knew of the block."""
        known = (self.confirmed, earlier.confirmed)
        return replace(
            self,
            noise_floor=earlier.noise_floor if self.noise_floor is None else self.noise_floor,
            confirmed=None if known == (None, None) else any(known),
            rows_asked=earlier.rows_asked + self.rows_asked,
            trouble=self.trouble or earlier.trouble,
            law=min((law for law in (self.law, earlier.law) if law is not None), default=None),
            beyond=self.beyond or earlier.beyond,
            structure=self.structure or earlier.structure,
        )


Kind = Literal["law", "approximation", "none"]

_TROUBLES = {
    "random": "; the block gives the same rows other answers each time",
    "company": "; the block's answer for a row depends on the rows beside it",
}


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the pick of a front is. It can be compared with a word: ``front.verdict == "law"``.

    >>> verdict = Verdict("approximation", "the block is good to 3e-05, this equation leaves 0.007", 7e-3, 3e-5)
    >>> print(verdict)
    approximation: the block is good to 3e-05, this equation leaves 0.007
    >>> verdict == "law", verdict.kind
    (False, 'approximation')

    Attributes:
        kind: "law", "approximation" or "none".
        because: why, for people.
        unexplained: share of the output's variance that the pick leaves unexplained, on held-out rows where there
            are any; None where it is not defined there.
        noise_floor: share that is the block's own error, if it is known; see :class:`Evidence`.
        least: the least share that any equation of the front leaves.
        sharpness: of the front's bend at the pick; 0 for none. See :func:`symtorch.equations.selection.bends`.
        confirmed: whether structure found by asking led to a law; None where nobody asked.
        beyond: a law that shows but can't be written with the search options, and what to allow for it.
    """

    kind: Kind
    because: str
    unexplained: float | None = None
    noise_floor: float | None = None
    least: float | None = None
    sharpness: float = 0.0
    confirmed: bool | None = None
    beyond: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.because}" + (f"; it looks like {self.beyond}" if self.beyond else "")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.kind == other
        return isinstance(other, Verdict) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(self.kind)


class Equation(Protocol):
    """What is read of a :class:`symtorch.equations.Equation`."""

    @property
    def expr(self) -> Expr: ...
    @property
    def loss(self) -> float: ...
    @property
    def r2(self) -> float | None: ...


def judge(equations: Sequence[Equation], pick: int, evidence: Evidence, exact: bool = False) -> Verdict:
    """What the equation at this position of a front is.

    Args:
        equations: of the front.
        pick: position of the default pick.
        evidence: what else is known.
        exact: whether the search ended because nothing was left to explain.
    """
    shares = unexplained_shares(equations, evidence.variance)
    left, least = shares[pick], min((share for share in shares if math.isfinite(share)), default=math.inf)
    corners = bends([extent(eq.expr) for eq in equations], [eq.loss for eq in equations])
    sharpness = next((sharp for sharp, position in corners if position == pick), 0.0)
    floor = evidence.noise_floor

    def verdict(kind: Kind, because: str) -> Verdict:
        return Verdict(
            kind,
            because + _TROUBLES.get(evidence.trouble, ""),
            left if math.isfinite(left) else None,
            floor,
            least if math.isfinite(least) else None,
            sharpness,
            evidence.confirmed,
            evidence.beyond,
        )

    held_out = any(eq.r2 is not None for eq in equations)
    if left <= EXACT or (exact and not held_out):
        return verdict("law", "exact within rounding")
    if not math.isfinite(left):
        if held_out:
            return verdict("none", "the equation is undefined on held-out rows")
        return verdict("approximation", "how much it explains is not known")
    chance = CHANCE / evidence.n_held_out if held_out and evidence.n_held_out else 0.0
    if left > 1.0 - EXPLAINED - chance:
        return verdict("none", f"no more than chance is explained (R² {1.0 - left:.2g}{_where(held_out)})")
    trees = [eq.expr for eq in equations]
    alone = evidence.confirmed is not None and sharpness >= SHARP and stands_alone(trees, shares, pick)
    if floor is not None and left > max(ABOVE * floor, EXACT) and (floor < EXACT or not alone):
        good = "exact" if floor < EXACT else f"good to {floor:.1g}"
        return verdict("approximation", f"the block itself is {good}, this equation leaves {left:.1g}")
    known = "" if floor is None else f", the block itself is good to {floor:.1g}"
    if evidence.confirmed:
        if evidence.law is not None and left > AS_GOOD * evidence.law + EXACT:
            found = f"the law whose structure was confirmed by asking leaves {evidence.law:.1g}"
            return verdict("approximation", f"it leaves {left:.1g}, {found}{known}")
        if stands_out(trees, shares, pick):
            return verdict("law", f"its structure was confirmed by asking; it leaves {left:.1g}{known}")
        return verdict(
            "approximation",
            f"its structure was confirmed by asking, but simpler equations win as much by each of their numbers; it "
            f"leaves {left:.1g}{known}",
        )
    if alone:
        return verdict("law", f"no other equation wins as much by each of its numbers; it leaves {left:.1g}{known}")
    if least < KEPT * left:
        return verdict("approximation", f"it leaves {left:.1g}, others down to {least:.1g}{known}")
    if pick == len(equations) - 1:  # the bend would be that of the search, which may have had no room or no time
        return verdict("approximation", f"it leaves {left:.1g}, and no longer equation is there to compare{known}")
    if sharpness >= SHARP:
        return verdict("law", f"a sharp bend of the front; what it leaves, {left:.1g}, no longer equation explains")
    return verdict("approximation", f"it leaves {left:.1g}, and the front has no sharp bend there{known}")


def _where(held_out: bool) -> str:
    return " on held-out rows" if held_out else ""


def unexplained_shares(equations: Sequence[Equation], variance: float | None = None) -> list[float]:
    """The share of the variance that each equation leaves unexplained, infinite where it is undefined or not known.

    On held-out rows where some were; else on the rows that were searched, where losses stand for squared errors
    and the simplest equation for the mean, unless the variance is known.
    """
    if any(eq.r2 is not None for eq in equations):
        return [math.inf if eq.r2 is None else 1.0 - eq.r2 for eq in equations]
    simplest = equations[0].loss if len(equations) > 1 else math.inf
    scale = simplest if variance is None else variance
    return [0.0 if eq.loss == 0.0 else eq.loss / scale if 0.0 < scale < math.inf else math.inf for eq in equations]


def shares(rows: int, n: int) -> list[int]:
    """Rows that n outputs have in common, as equal parts of whole rows that add up.

    >>> shares(8, 3)
    [3, 3, 2]
    """
    return [rows // n + (i < rows % n) for i in range(n)] if n else []
