"""Steps of a decomposition, and the finders that look for them.

A step is an identity that a function obeys, made usable: ``parts`` makes the smaller problems, with as many
replicas as one likes to average over; ``join`` puts their solutions together. All expressions are in the
search's normal form, over the columns of the problem that they solve.

Every kind of step stands in a file of its own, beside the function that tests for it; :mod:`.finders` lists
them all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.problem import Problem
from symtorch.equations.expr import Expr


class Tested(Protocol):
    """An identity that was tested, whether or not it holds.

    Attributes:
        residual: the teacher's squared error that would explain what the test saw, relative to the variance of
            the answers.
        contrast: the same, relative to the effect that the test would have seen without the structure.
    """

    @property
    def residual(self) -> float: ...
    @property
    def contrast(self) -> float: ...


class Step(ABC):
    """One way to take a problem apart; also a :class:`Tested`."""

    residual: float
    contrast: float

    @property
    @abstractmethod
    def prior(self) -> float:
        """Decades of contrast that the kind is worth before anything is tested."""

    @property
    def plain(self) -> bool:
        """Whether the parts share no inputs and are just added or multiplied: no other kind reads as well."""
        return False

    @property
    def sees_most(self) -> bool:
        """Whether the step would see most of an error that the teacher's answers have (:mod:`.disagreement`)."""
        return True

    @property
    def testifies(self) -> bool:
        """Whether what the step sees tells the teacher's error, whichever step the law is found by."""
        return self.sees_most

    @property
    def mark(self) -> object:
        """Of the steps with one mark only the most credible is followed."""
        return self

    @abstractmethod
    def parts(self, problem: Problem) -> list[Problem]:
        """The smaller problems that solve this one: on its points, or on those of them that can be asked for."""

    @abstractmethod
    def join(self, solved: Sequence[Expr]) -> Expr:
        """The solution of the problem from those of its parts, in their order."""


Holds = Callable[[Tested], bool]


def each(evidence: Evidence, tested: Sequence[Any], holds: Holds) -> Iterable[Step]:
    """Every tested step that holds."""
    return filter(holds, tested)


@dataclass(frozen=True)
class Finder:
    """One kind of identity: how it is tested, and which steps come of it.

    Attributes:
        test: tests all identities of the kind that the function might obey: steps with their residuals, whether
            or not they hold, or what ``steps`` makes steps of.
        steps: the steps that what holds allows; by default what was tested are the steps.
        common: many smooth functions come near to such an identity. It then tells nothing about the teacher's
            error, and where nothing else does, it must be exact.
        last: the steps are followed only where none of another finder is plain. Tested after the others, and not at all
            where one of their steps is both exact and plain.
        alone: functions of one input are tested, too.
        outright: the test is dear, and its steps hold exactly or not at all: tested after all others, and only where no
            step of another finder is both exact and plain.
    """

    test: Callable[[Evidence], Iterable[Any]]
    steps: Callable[[Evidence, Sequence[Any], Holds], Iterable[Step]] = each
    common: bool = False
    last: bool = False
    alone: bool = False
    outright: bool = False


def place(replica: int) -> float:
    """Where in an interval (0 to 1) a replica asks: the middle first, then evenly spread."""
    return 0.5 if replica == 0 else 0.08 + 0.84 * ((0.5 + 0.6180339887498949 * replica) % 1.0)


def reference(problem: Problem, replica: int) -> np.ndarray:
    """The row that a replica holds inputs fixed at: near the centre first, then one of the samples."""
    if replica == 0:
        inside = (problem.low < 0) & (problem.high > 0)
        return np.where(inside, 0.0, problem.Z[0] if len(problem.Z) < 3 else np.median(problem.Z, axis=0))
    return problem.Z[(17 * replica) % len(problem.Z)]


def held(columns: Sequence[int], Z: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Rows with these columns from Z and all others held at a row."""
    full = np.tile(row, (len(Z), 1))
    full[:, list(columns)] = Z
    return full
