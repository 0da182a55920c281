"""Steps of a decomposition: from a function to functions of fewer inputs, and back to one expression.

A step is a finding of the tests made usable. ``parts`` makes the smaller problems, with as many
replicas as one likes to average over; ``join`` puts their solutions together. All expressions are in
the search's normal form, over the columns of the problem that they solve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from symtorch.engines.native.forms.normal import add, multiply, normalise, power
from symtorch.engines.native.structure.pairs import SCALES, Pair, Scaling, along
from symtorch.engines.native.structure.problem import Ask, Problem, median
from symtorch.engines.native.structure.separations import Gap, Link, Separation
from symtorch.equations.expr import Constant, Expr, Variable, substitute

ALIGNED_ON = 200
"""Rows on which a replica is brought to the offset or size of the first one."""


class Step(Protocol):
    """One way to take a problem apart.

    Attributes:
        residual: the teacher's squared error that would explain what the tests saw, relative to the
            variance of the answers.
        contrast: the same, relative to the effect that the test would have seen without the structure.
    """

    @property
    def residual(self) -> float: ...
    @property
    def contrast(self) -> float: ...
    def parts(self, problem: Problem) -> list[Problem]: ...
    def join(self, solved: Sequence[Expr]) -> Expr: ...


def place(replica: int) -> float:
    """Where in an interval (0 to 1) a replica asks: the middle first, then evenly spread."""
    return 0.5 if replica == 0 else 0.08 + 0.84 * ((0.5 + 0.6180339887498949 * replica) % 1.0)


def _reference(problem: Problem, replica: int) -> np.ndarray:
    """The row that a replica holds inputs fixed at: near the centre first, then one of the samples."""
    if replica == 0:
        inside = (problem.low < 0) & (problem.high > 0)
        return np.where(inside, 0.0, problem.Z[0] if len(problem.Z) < 3 else np.median(problem.Z, axis=0))
    return problem.Z[(17 * replica) % len(problem.Z)]


@dataclass(frozen=True)
class Drop:
    """Inputs without effect."""

    inputs: tuple[int, ...]
    n_inputs: int
    residual: float
    contrast: float = 0.0

    @property
    def kept(self) -> list[int]:
        return [i for i in range(self.n_inputs) if i not in self.inputs]

    def parts(self, problem: Problem) -> list[Problem]:
        kept = self.kept

        def ask(Z: np.ndarray, replica: int) -> np.ndarray:
            # Each row keeps company with a sample, so that inputs that move together stay together.
            full = problem.Z[np.arange(len(Z)) % len(problem.Z)] if replica == 0 else None
            full = np.tile(_reference(problem, replica), (len(Z), 1)) if full is None else full.copy()
            full[:, kept] = Z
            return problem.ask(full, replica)

        return [problem.below(problem.Z[:, kept], ask)]

    def join(self, solved: Sequence[Expr]) -> Expr:
        return substitute(solved[0], [Variable(i) for i in self.kept])


@dataclass(frozen=True)
class Merge:
    """Two inputs that act as one."""

    pair: Pair
    n_inputs: int

    @property
    def residual(self) -> float:
        return self.pair.residual

    @property
    def contrast(self) -> float:
        return self.pair.contrast

    @property
    def rest(self) -> list[int]:
        return [q for q in range(self.n_inputs) if q not in (self.pair.i, self.pair.j)]

    def parts(self, problem: Problem) -> list[Problem]:
        pair, rest = self.pair, self.rest
        i, j, r, scale = pair.i, pair.j, pair.r, SCALES[pair.scale]
        xi, xj = problem.Z[:, i], problem.Z[:, j]
        if pair.scale == "log":
            u = xi * np.sign(xj) ** int(r) * np.abs(xj) ** r
        else:
            u = scale.forward(xi) + r * scale.forward(xj)

        def ask(Z: np.ndarray, replica: int) -> np.ndarray:
            signs = np.stack([_branch(problem, i, len(Z)), _branch(problem, j, len(Z))])
            total = Z[:, 0]
            if pair.scale == "log":
                # The sign of u goes to whichever of the two can take it.
                negative = np.sign(total) * signs[0] * signs[1] ** int(r) < 0
                first = problem.low[i] < 0 < problem.high[i] or int(r) % 2 == 0
                signs[0 if first else 1] *= np.where(negative, -1.0, 1.0)
                with np.errstate(all="ignore"):
                    total = np.log(np.abs(total))
            where = np.full(len(Z), place(replica))
            full = np.empty((len(Z), problem.n_inputs))
            full[:, rest] = Z[:, 1:]
            full[:, i], full[:, j] = along(problem, i, j, scale, r, total, signs, where)
            answers = problem.ask(full, replica)
            if pair.divisor is None:
                return answers
            with np.errstate(all="ignore"):
                return answers / full[:, pair.divisor]

        return [problem.below(np.column_stack([u, problem.Z[:, rest]]), ask)]

    def join(self, solved: Sequence[Expr]) -> Expr:
        xi, xj, r = Variable(self.pair.i), Variable(self.pair.j), self.pair.r
        if self.pair.scale == "log":
            u = multiply([xi, power(xj, r)])
        else:
            p = {"identity": 1.0, "square": 2.0, "inverse": -1.0}[self.pair.scale]
            u = add([power(xi, p), multiply([Constant(r), power(xj, p)])])
        inner = normalise(substitute(solved[0], [u, *(Variable(q) for q in self.rest)]))
        return inner if self.pair.divisor is None else multiply([Variable(self.pair.divisor), inner])


def _branch(problem: Problem, i: int, n: int) -> np.ndarray:
    """The sign of the side of zero on which the input has the wider range."""
    return np.full(n, 1.0 if problem.high[i] >= -problem.low[i] else -1.0)


@dataclass(frozen=True)
class Rescale:
    """``f = x_i^k * h(x_j/x_i^s, others)``."""

    scaling: Scaling
    n_inputs: int

    @property
    def residual(self) -> float:
        return self.scaling.residual

    @property
    def contrast(self) -> float:
        return self.scaling.contrast

    @property
    def rest(self) -> list[int]:
        return [q for q in range(self.n_inputs) if q not in (self.scaling.i, self.scaling.j)]

    def parts(self, problem: Problem) -> list[Problem]:
        i, j, s, k, rest = self.scaling.i, self.scaling.j, self.scaling.s, self.scaling.k, self.rest
        u = problem.Z[:, j] / problem.Z[:, i] ** s

        def ask(Z: np.ndarray, replica: int) -> np.ndarray:
            side = _branch(problem, i, len(Z))
            signs = np.stack([np.sign(Z[:, 0]) * side**s, side])
            with np.errstate(all="ignore"):
                total = np.log(np.abs(Z[:, 0]))
            full = np.empty((len(Z), problem.n_inputs))
            full[:, rest] = Z[:, 1:]
            full[:, j], full[:, i] = along(
                problem, j, i, SCALES["log"], -s, total, signs, np.full(len(Z), place(replica))
            )
            with np.errstate(all="ignore"):
                return problem.ask(full, replica) / np.abs(full[:, i]) ** k

        return [problem.below(np.column_stack([u, problem.Z[:, rest]]), ask)]

    def join(self, solved: Sequence[Expr]) -> Expr:
        xi, xj = Variable(self.scaling.i), Variable(self.scaling.j)
        u = multiply([xj, power(xi, float(-self.scaling.s))])
        inner = normalise(substitute(solved[0], [u, *(Variable(q) for q in self.rest)]))
        return multiply([power(xi, self.scaling.k), inner])


def _held(problem: Problem, columns: Sequence[int], Z: np.ndarray, reference: np.ndarray) -> np.ndarray:
    full = np.tile(reference, (len(Z), 1))
    full[:, list(columns)] = Z
    return full


@dataclass(frozen=True)
class Split:
    """Groups of inputs that act apart under a link."""

    separation: Separation

    @property
    def residual(self) -> float:
        return self.separation.residual

    @property
    def contrast(self) -> float:
        return self.separation.contrast

    def parts(self, problem: Problem) -> list[Problem]:
        link = self.separation.link
        return [
            problem.below(problem.Z[:, list(group)], _aligned(problem, group, link)) for group in self.separation.groups
        ]

    def join(self, solved: Sequence[Expr]) -> Expr:
        link = self.separation.link
        inputs = [[Variable(i) for i in group] for group in self.separation.groups]
        placed = [substitute(expr, names) for expr, names in zip(solved, inputs, strict=True)]
        if link.power == 0:
            product = multiply(placed)
            return add([product, Constant(link.offset)]) if link.offset else product
        return power(add(placed), 1 / link.power)


def _linked(link: Link, answers: np.ndarray, sign: float) -> np.ndarray:
    """The answers on the scale on which they are a sum (for a product: without its offset)."""
    with np.errstate(all="ignore"):
        if link.power == 0:
            return answers - link.offset
        if link.power == 1:
            return answers
        if link.power == -1:
            return 1 / answers
        return np.where(sign * answers > 0, sign * answers, np.nan) ** link.power


def _aligned(problem: Problem, group: Sequence[int], link: Link) -> Ask:
    """One group's share of the linked answers, all replicas brought to the first one's offset or size."""
    sign = float(np.sign(median(problem.y))) or 1.0
    probe = problem.Z[:ALIGNED_ON][:, list(group)]
    shares: dict[int, tuple[np.ndarray, float]] = {}

    def raw(Z: np.ndarray, reference: np.ndarray, replica: int) -> np.ndarray:
        return _linked(link, problem.ask(_held(problem, group, Z, reference), replica), sign)

    def prepared(replica: int) -> tuple[np.ndarray, float]:
        if replica not in shares:
            telling = replica == 0 and link.power != 1
            reference = _telling(problem, link, sign) if telling else _reference(problem, replica)
            here = raw(probe, reference, replica)
            if replica == 0:
                shares[0] = reference, 1.0 if link.power == 0 else 0.0
            else:
                first = raw(probe, prepared(0)[0], 0)
                both = np.isfinite(here) & np.isfinite(first)
                if link.power == 0:
                    size = float(here[both] @ first[both]) / max(float(here[both] @ here[both]), 1e-300)
                    weak = float(here[both] @ here[both]) < 0.05 * float(first[both] @ first[both])
                    shares[replica] = reference, np.nan if weak or not both.any() else size
                else:
                    shift = float(np.median(first[both] - here[both])) if both.any() else np.nan
                    shares[replica] = reference, shift
        return shares[replica]

    def ask(Z: np.ndarray, replica: int) -> np.ndarray:
        reference, shift = prepared(replica)
        if not np.isfinite(shift):  # a replica that tells nothing about this group: the first one again
            reference, shift = prepared(0)
        answers = raw(Z, reference, replica)
        return answers * shift if link.power == 0 else answers + shift

    return ask


def _telling(problem: Problem, link: Link, sign: float) -> np.ndarray:
    """A sample at which the linked answer is large (for a product) or middling (for a sum)."""
    linked = np.abs(_linked(link, problem.y[:ALIGNED_ON], sign))
    target = np.nanquantile(linked, 0.8 if link.power == 0 else 0.5)
    return problem.Z[int(np.nanargmin(np.abs(linked - target)))]


@dataclass(frozen=True)
class Part:
    """Two inputs that never meet: ``f = A(all but j) + B(all but i)``, or a product of two such."""

    gap: Gap
    n_inputs: int

    @property
    def residual(self) -> float:
        return self.gap.residual

    @property
    def contrast(self) -> float:
        return self.gap.contrast

    def _columns(self) -> tuple[list[int], list[int]]:
        return (
            [q for q in range(self.n_inputs) if q != self.gap.j],
            [q for q in range(self.n_inputs) if q != self.gap.i],
        )

    def parts(self, problem: Problem) -> list[Problem]:
        without_j, without_i = self._columns()
        product = self.gap.link.power == 0

        # The split isn't unique, so all replicas hold i and j at the same place.
        reference = _telling(problem, self.gap.link, 1.0) if product else _reference(problem, 0)

        def first(Z: np.ndarray, replica: int) -> np.ndarray:
            return problem.ask(_held(problem, without_j, Z, reference), replica)

        def second(Z: np.ndarray, replica: int) -> np.ndarray:
            full = _held(problem, without_i, Z, reference)
            both = full.copy()
            both[:, self.gap.j] = reference[self.gap.j]
            a, b = problem.ask(full, replica), problem.ask(both, replica)
            with np.errstate(all="ignore"):
                return a / b if product else a - b

        return [problem.below(problem.Z[:, without_j], first), problem.below(problem.Z[:, without_i], second)]

    def join(self, solved: Sequence[Expr]) -> Expr:
        placed = [substitute(e, [Variable(q) for q in kept]) for e, kept in zip(solved, self._columns(), strict=True)]
        return multiply(placed) if self.gap.link.power == 0 else add(placed)
