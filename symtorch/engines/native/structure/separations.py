"""Inputs that act apart: sums, products with an offset, and sums inside a power.

Every pair of inputs is judged under every link (:mod:`.links`); pairs that don't act apart under a link belong to
one group of it.

Sums and products by asking: AI Feynman, arXiv 1905.11481; inside a function: AI Feynman 2.0, arXiv
2006.10782, section on generalised additivity.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from symtorch.engines.native.structure.evidence import Evidence, Swaps
from symtorch.engines.native.structure.links import TOLD_ON, Link, telling
from symtorch.engines.native.structure.problem import Ask, Problem, median
from symtorch.engines.native.structure.steps import Holds, Step, held, reference
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations.expr import Constant, Expr, Variable, substitute
from symtorch.equations.normal import add, multiply, power

POWERS = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5, -2.0 / 3.0)
"""Powers m of the answer that may be a sum; the law is then the power 1/m of a sum."""


@dataclass(frozen=True)
class Split(Step):
    """Groups of inputs that act apart under a link.

    Attributes:
        groups: of input indices; each input is in one.
        residual: mean squared violation of the worst pair across groups, relative to the answers' variance.
        contrast: the same relative to the smaller change that one of the pair makes by itself.
    """

    link: Link
    groups: tuple[tuple[int, ...], ...]
    residual: float
    contrast: float

    @property
    def prior(self) -> float:
        if self.link.power == 1:
            return tuning().prior_sum
        if self.link.power == 0:
            return tuning().prior_product if self.link.offset == 0 else tuning().prior_rescale
        return tuning().prior_power

    @property
    def plain(self) -> bool:
        return self.link.power in (0, 1)

    @property
    def testifies(self) -> bool:
        return self.link.power != 1  # an error that is a sum, too, as a network's often is, isn't seen

    def parts(self, problem: Problem) -> list[Problem]:
        return [problem.below(problem.Z[:, list(group)], _aligned(problem, group, self.link)) for group in self.groups]

    def join(self, solved: Sequence[Expr]) -> Expr:
        link = self.link
        inputs = [[Variable(i) for i in group] for group in self.groups]
        placed = [substitute(expr, names) for expr, names in zip(solved, inputs, strict=True)]
        if link.power == 0:
            product = multiply(placed)
            return add([product, Constant(link.offset)]) if link.offset else product
        return power(add(placed), 1 / link.power)


@dataclass(frozen=True)
class Apart:
    """Two inputs judged under a link; residual and contrast as for :class:`Split`."""

    link: Link
    i: int
    j: int
    residual: float
    contrast: float


def judge_pairs(evidence: Evidence) -> Iterator[Apart]:
    """Every pair of inputs under every link."""
    swaps = evidence.swaps
    for link in links(swaps):
        for i, j in swaps.two:
            yield Apart(link, i, j, *swaps.judged(link, i, j))


def separations(evidence: Evidence, judged: Sequence[Apart], holds: Holds) -> Iterable[Split]:
    """The groupings that hold, one per link at most.

    Without those that another link explains as finely: x*y is no power of a sum of logarithms.
    """
    kept: list[Split] = []
    for link, pairs in groupby(judged, key=lambda pair: pair.link):
        split = _grouped(link, list(pairs), evidence.problem.n_inputs, holds)
        if split is not None and not any(
            k.groups == split.groups and k.residual <= tuning().as_good * split.residual + 1e-18 for k in kept
        ):
            kept.append(split)
    return kept


def _grouped(link: Link, judged: list[Apart], d: int, holds: Holds) -> Split | None:
    """The inputs in groups of those that don't act apart; None if all hang together."""
    groups = _components(d, [(pair.i, pair.j) for pair in judged if not holds(pair)])
    if len(groups) == 1:
        return None
    member = {i: g for g, group in enumerate(groups) for i in group}
    across = [pair for pair in judged if member[pair.i] != member[pair.j]]
    return Split(link, groups, max(pair.residual for pair in across), max(pair.contrast for pair in across))


def offsets(swaps: Swaps) -> list[float]:
    """Offsets c for which some pair of inputs is a product: zero, and the least-squares c of each pair."""
    f, found = swaps.problem.y, [0.0]
    for (i, j), fij in swaps.two.items():
        fi, fj = swaps.one[i], swaps.one[j]
        c = 0.0
        for _ in range(3):
            # The identity is linear in c: (f fij - fi fj) - c (f + fij - fi - fj) = 0.
            norm = np.sqrt(sum((v - c) ** 2 for v in (f, fi, fj, fij)))
            with np.errstate(all="ignore"):
                value, slope = (f * fij - fi * fj) / norm, (f + fij - fi - fj) / norm
            usable = np.isfinite(value) & np.isfinite(slope)
            if usable.sum() > tuning().fewest:
                miss = np.where(usable, np.abs(value - c * slope), np.nan)
                usable &= miss <= np.nanquantile(miss, 1 - tuning().dropped)
            if usable.sum() < tuning().fewest or not (slope[usable] @ slope[usable]) > 0:
                break
            c = float(value[usable] @ slope[usable] / (slope[usable] @ slope[usable]))
        scale = np.sqrt(swaps.problem.scale)
        if np.isfinite(c) and 1e-6 * scale < abs(c) < 1e3 * scale:
            found.append(c)
    return found


def links(swaps: Swaps) -> list[Link]:
    """Every link worth trying; a plain sum first."""
    tried = [Link(1.0), *(Link(0.0, c) for c in offsets(swaps)), *(Link(m) for m in POWERS[1:])]
    return tried


def _aligned(problem: Problem, group: Sequence[int], link: Link) -> Ask:
    """One group's share of the linked answers, all replicas brought to the first one's offset or size."""
    sign = float(np.sign(median(problem.y))) or 1.0
    probe = problem.Z[:TOLD_ON][:, list(group)]
    shares: dict[int, tuple[np.ndarray, float]] = {}

    def raw(Z: np.ndarray, row: np.ndarray, replica: int) -> np.ndarray:
        return link.linked(problem.ask(held(group, Z, row), replica), sign)

    def prepared(replica: int) -> tuple[np.ndarray, float]:
        if replica not in shares:
            chosen = replica == 0 and link.power != 1
            row = telling(problem, link, sign) if chosen else reference(problem, replica)
            here = raw(probe, row, replica)
            if replica == 0:
                shares[0] = row, 1.0 if link.power == 0 else 0.0
            else:
                first = raw(probe, prepared(0)[0], 0)
                both = np.isfinite(here) & np.isfinite(first)
                if link.power == 0:
                    size = float(here[both] @ first[both]) / max(float(here[both] @ here[both]), 1e-300)
                    weak = float(here[both] @ here[both]) < 0.05 * float(first[both] @ first[both])
                    shares[replica] = row, np.nan if weak or not both.any() else size
                else:
                    shift = float(np.median(first[both] - here[both])) if both.any() else np.nan
                    shares[replica] = row, shift
        return shares[replica]

    def ask(Z: np.ndarray, replica: int) -> np.ndarray:
        row, shift = prepared(replica)
        if not np.isfinite(shift):  # a replica that tells nothing about this group: the first one again
            row, shift = prepared(0)
        answers = raw(Z, row, replica)
        return answers * shift if link.power == 0 else answers + shift

    return ask


def _components(n: int, edges: list[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Connected components of the graph on 0..n-1, each sorted."""
    label = list(range(n))
    for i, j in edges:
        if label[i] != label[j]:
            label = [label[i] if x == label[j] else x for x in label]
    return tuple(tuple(i for i in range(n) if label[i] == x) for x in sorted(set(label)))
