"""Inputs that act apart: sums, products with an offset, and sums inside a power.

With some inputs of a row swapped for those of another row, a function of which i and j act apart
gives four answers f, f_i, f_j, f_ij that obey an identity::

    f^m - f_i^m - f_j^m + f_ij^m = 0              a sum, under the power m (m = 1: a plain sum)
    (f - c)(f_ij - c) - (f_i - c)(f_j - c) = 0     a product with an offset c

The teacher errs, so the left side C is never zero. What says whether the identity holds is
``|C| / |grad C|``, to first order the smallest error of the four answers that would explain it, in units
of the answer: comparable between all identities and with the errors of every other test.

Sums and products by asking: AI Feynman, arXiv 1905.11481; inside a function: AI Feynman 2.0, arXiv
2006.10782, section on generalised additivity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from symtorch.engines.native.structure.problem import Problem, mean_square, median

POWERS = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5, -2.0 / 3.0)
"""Powers m of the answer that may be a sum; the law is then the power 1/m of a sum."""


@dataclass(frozen=True)
class Link:
    """What of the answer is a sum over groups of inputs.

    Attributes:
        power: m of ``f^m``; 0 for a product, the limit in which log(f - offset) is a sum.
        offset: c of the product.
    """

    power: float = 1.0
    offset: float = 0.0

    def violation(self, f: np.ndarray, fi: np.ndarray, fj: np.ndarray, fij: np.ndarray) -> np.ndarray:
        """The smallest error of the four answers that would explain what they say; NaN if none is defined."""
        with np.errstate(all="ignore"):
            if self.power == 0:
                f, fi, fj, fij = (v - self.offset for v in (f, fi, fj, fij))
                return (f * fij - fi * fj) / np.sqrt(f * f + fi * fi + fj * fj + fij * fij)
            if self.power == 1:
                return (f - fi - fj + fij) / 2
            answers = np.stack([f, fi, fj, fij])
            if not self.power.is_integer() or self.power % 2 == 0:
                sign = np.sign(median(answers))
                answers = np.where(sign * answers > 0, sign * answers, np.nan)
            g, slope = answers**self.power, self.power * answers ** (self.power - 1)
            return (g[0] - g[1] - g[2] + g[3]) / np.sqrt((slope**2).sum(axis=0))


@dataclass(frozen=True)
class Separation:
    """The finding that under a link the inputs fall into groups that act apart.

    Attributes:
        groups: of input indices; each input is in one.
        residual: mean squared violation of the worst pair across groups, relative to the answers' variance.
        contrast: the same relative to the smaller change that one of the pair makes by itself.
    """

    link: Link
    groups: tuple[tuple[int, ...], ...]
    residual: float
    contrast: float


@dataclass(frozen=True)
class Gap:
    """The finding that i and j act apart if all other inputs are held fixed, in a sum or in a product."""

    i: int
    j: int
    link: Link
    residual: float
    contrast: float


@dataclass(frozen=True, eq=False)
class Swaps:
    """Answers with one input, or two, swapped for those of another row.

    Attributes:
        one: (d, m) answers.
        two: answers by pair (i, j), i < j.
        effect: (d,) mean squared change by swapping one input, relative to the variance of the answers.
    """

    problem: Problem
    one: np.ndarray
    two: dict[tuple[int, int], np.ndarray]
    effect: np.ndarray

    @classmethod
    def ask(cls, problem: Problem, rng: np.random.Generator, pairs: Sequence[tuple[int, int]] | None = None) -> Swaps:
        """Swap every input, and these pairs of inputs; all pairs for None."""
        Z, d = problem.Z, problem.n_inputs
        pairs = list(combinations(range(d), 2)) if pairs is None else pairs
        other = Z[rng.permutation(len(Z))]

        def swapped(*columns: int) -> np.ndarray:
            moved = Z.copy()
            moved[:, columns] = other[:, columns]
            return problem.ask(moved, 0)

        one = np.stack([swapped(i) for i in range(d)])
        two = {(i, j): swapped(i, j) for i, j in pairs}
        effect = np.array([mean_square(f - problem.y) for f in one]) / problem.scale
        return cls(problem, one, two, effect)

    def judged(self, link: Link, i: int, j: int) -> tuple[float, float]:
        """Residual and contrast of one pair under a link."""
        i, j = min(i, j), max(i, j)
        violation = link.violation(self.problem.y, self.one[i], self.one[j], self.two[i, j])
        residual = mean_square(violation) / self.problem.scale
        return residual, residual / max(min(self.effect[i], self.effect[j]), 1e-300)


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
            miss = np.abs(value - c * slope)
            usable &= miss <= np.nanquantile(np.where(usable, miss, np.nan), 0.95) if usable.sum() > 20 else False
            if usable.sum() < 20 or not (slope[usable] @ slope[usable]) > 0:
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


def find_separations(swaps: Swaps, tolerance: float, most_contrast: float) -> list[Separation]:
    """The groupings that hold within the tolerance, one per link at most."""
    d, found = swaps.problem.n_inputs, []
    for link in links(swaps):
        judged = {pair: swaps.judged(link, *pair) for pair in swaps.two}
        apart = {p for p, (residual, contrast) in judged.items() if residual <= tolerance and contrast <= most_contrast}
        groups = _components(d, [pair for pair in judged if pair not in apart])
        if len(groups) == 1:
            continue
        member = {i: g for g, group in enumerate(groups) for i in group}
        across = [judged[p] for p in judged if member[p[0]] != member[p[1]]]
        found.append(Separation(link, groups, max(r for r, _ in across), max(c for _, c in across)))
    return found


def find_gaps(swaps: Swaps, tolerance: float, most_contrast: float) -> list[Gap]:
    """Pairs that act apart with all others fixed, of functions whose inputs all hang together."""
    found = []
    for link in (Link(1.0), Link(0.0)):
        for i, j in swaps.two:
            residual, contrast = swaps.judged(link, i, j)
            if residual <= tolerance and contrast <= most_contrast:
                found.append(Gap(i, j, link, residual, contrast))
    return found


def _components(n: int, edges: list[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Connected components of the graph on 0..n-1, each sorted."""
    label = list(range(n))
    for i, j in edges:
        if label[i] != label[j]:
            label = [label[i] if x == label[j] else x for x in label]
    return tuple(tuple(i for i in range(n) if label[i] == x) for x in sorted(set(label)))
