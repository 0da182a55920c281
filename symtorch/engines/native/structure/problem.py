"""A function that can be asked: the teacher, or what is left of it after some of its structure is known.

Each decomposition turns the teacher into functions of fewer inputs, and an answer of those is an answer
of the teacher at a point of which the reduced inputs leave something open: the value of an irrelevant
input, the place on the line ``x0 - x1 = u``. Every choice of that open part is a *replica*. An exact
teacher gives the same answers in all of them. A trained network doesn't, and then the mean over
replicas is closer to the law than the network is, and their spread says how far off it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from symtorch.engines.native.structure.tuning import tuning
from symtorch.errors import AskLimitError

Ask = Callable[[np.ndarray, int], np.ndarray]
"""(m, d) points and the number of a replica -> (m,) answers, NaN where the teacher isn't to be trusted."""


@dataclass
class Count:
    """Rows that the teacher has been asked for.

    Attributes:
        limit: the most that it may be asked for; None for any number. The first question that would go beyond
            it is refused, and all later ones.
    """

    rows: int = 0
    limit: int | None = None

    def add(self, rows: int) -> None:
        """Count rows that are about to be asked.

        Raises:
            AskLimitError: they must not be.
        """
        if self.limit is not None and self.rows + rows > self.limit:
            self.limit = self.rows
            raise AskLimitError(f"the teacher has been asked for {self.rows} rows, and {rows} more are too many.")
        self.rows += rows


@dataclass(frozen=True, eq=False)
class Problem:
    """A function of d inputs, and the points that it is wanted on.

    Attributes:
        Z: (n, d), points inside the region of the samples.
        ask: the function; see :data:`Ask`.
        depth: how many decompositions lie between the teacher and this function.
        blur: absolute error of the answers that these have brought: what is smaller than that is not there.
        known: (n,) answers of the first replica on Z, where they have been asked for; else None.
    """

    Z: np.ndarray
    ask: Ask = field(repr=False)
    depth: int = 0
    blur: float = 0.0
    known: np.ndarray | None = field(default=None, repr=False)

    @property
    def n_inputs(self) -> int:
        return self.Z.shape[1]

    @cached_property
    def low(self) -> np.ndarray:
        return self.Z.min(axis=0)

    @cached_property
    def high(self) -> np.ndarray:
        return self.Z.max(axis=0)

    @cached_property
    def y(self) -> np.ndarray:
        """Answers of the first replica on Z."""
        return self.ask(self.Z, 0) if self.known is None else self.known

    @cached_property
    def scale(self) -> float:
        """Mean squared deviation of the answers, what residuals are compared with."""
        return max(mean_square(self.y - np.nanmean(self.y)), 1e-300)

    def rows(self, n: int) -> Problem:
        """The same function on the first n points (their order is random)."""
        return Problem(self.Z[:n], self.ask, self.depth, self.blur, self.y[:n] if "y" in self.__dict__ else None)

    def below(self, Z: np.ndarray, ask: Ask, blur: float = 0.0) -> Problem:
        """A reduced function, on those of its points that can be asked for, blurred by so much more."""
        return Problem(Z, ask, self.depth + 1, max(self.blur, blur))

    def averaged(self, replicas: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Points, mean answers over the replicas, and the mean's relative squared error as their spread tells it."""
        answers = np.stack([self.y, *(self.ask(self.Z, k) for k in range(1, replicas))])
        valid = np.isfinite(answers)
        count = valid.sum(axis=0)
        usable = count > replicas // 2
        with np.errstate(all="ignore"):
            mean = np.where(valid, answers, 0.0).sum(axis=0) / count
            square = np.where(valid, (answers - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1) / count
        if not usable.any():
            return self.Z[:0], mean[:0], np.inf
        noise = mean_square(np.sqrt(square[usable])) if replicas > 1 else 0.0
        return self.Z[usable], mean[usable], noise / self.scale


def median(values: np.ndarray) -> float:
    """Median of what is finite; NaN where nothing is."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else np.nan


def mean_square(values: np.ndarray) -> float:
    """Mean of the squares without the largest few: a network's corners and a law's poles don't decide.

    NaN counts as not asked; with fewer than half of the values left there is no answer: infinity.
    """
    finite = values[np.isfinite(values)]
    if len(finite) < max(8, len(values) // 2):
        return np.inf
    squares = np.sort(finite * finite)
    return float(squares[: max(1, int(len(squares) * (1 - tuning().dropped)))].mean())


def root(X: np.ndarray, teacher: Callable[[np.ndarray], np.ndarray], count: Count, seed: int) -> Problem:
    """The teacher itself as a problem on the rows of X, in an order drawn from the seed.

    It is trusted within the ranges of the samples and no farther from their centre than the samples
    are, in the metric of their covariance: inputs that move together are not asked for apart.
    """
    low, high = X.min(axis=0), X.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    centre, margin = X.mean(axis=0), tuning().margin * width
    covariance = np.cov((X - centre).T / width[:, None]).reshape(X.shape[1], X.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    # An input (or combination) that doesn't vary must not be moved at all.
    whiten = vectors / np.sqrt(np.maximum(values, 1e-12))
    farthest = float(np.sqrt((((X - centre) / width @ whiten) ** 2).sum(axis=1)).max()) * (1 + tuning().margin)
    # In a filled box the far corners are farther out than any sample of it; they are within bounds.
    corner = float(np.sqrt(3.0 * X.shape[1]))
    limit = max(farthest, corner if _fills_box(covariance) else 0.0)

    def ask(Z: np.ndarray, replica: int) -> np.ndarray:
        inside = ((low - margin <= Z) & (high + margin >= Z)).all(axis=1)
        inside &= (((Z - centre) / width @ whiten) ** 2).sum(axis=1) <= limit**2
        count.add(int(inside.sum()))
        out = np.full(len(Z), np.nan)
        if inside.any():
            out[inside] = teacher(Z[inside])
        return np.where(np.isfinite(out), out, np.nan)

    return Problem(X[np.random.default_rng(seed).permutation(len(X))], ask)


def _fills_box(covariance: np.ndarray) -> bool:
    """Whether the inputs are uncorrelated as far as the samples can tell."""
    deviation = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = covariance / np.outer(deviation, deviation)
    return bool((np.abs(correlation - np.eye(len(covariance))) < tuning().uncorrelated).all())
