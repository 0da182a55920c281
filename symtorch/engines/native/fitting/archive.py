"""What has been found for one output: every good expression, and the front of the best by complexity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from symtorch.engines.native.fitting.clean import Judge, clean
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit, loss_of
from symtorch.engines.native.fitting.losses import Loss
from symtorch.engines.native.forms import normal
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.equations.expr import Expr

EXACT = 1e-13
"""Relative loss under which an equation counts as exact: the square of float32's rounding, and some."""

ROUNDING = 1e-20
"""Relative loss under which equations differ by float64's rounding only."""

_LEAST = 1e-14
_FIRST_STEPS = 4
_HOPELESS = 1e3
"""A candidate that is so many times worse than the front after the first steps isn't fitted further."""


@dataclass(frozen=True)
class Candidate:
    """A fitted expression.

    Attributes:
        expr: normal form.
        tree: the same in the user's operators.
        complexity: of the tree, by the user's measure.
        loss: mean loss over the loss of the best constant: 1 - R² for squared errors.
    """

    expr: Expr
    tree: Expr
    complexity: int
    loss: float

    def merit(self, price: float = 0.12) -> float:
        """How good it is for its size; less is better.

        Args:
            price: what a node costs, in decades of e of the loss.
        """
        return math.log(self.loss + 1e-14) + price * self.complexity


@dataclass
class Archive:
    """Fits candidates and keeps the good ones.

    Attributes:
        words: what may be written.
        few: rows of the first, cheap fit.
        rows: rows of the fit that counts.
        loss: what is minimised.
        scale: loss of the best constant, on ``rows``.
        parsimony: added to the relative loss per unit of complexity when candidates compete.
        found: by shape, the best of every shape that was worth keeping.
        front: by complexity, the best of each.
    """

    words: Vocabulary
    few: Rows
    rows: Rows
    loss: Loss
    scale: float
    parsimony: float = 0.0
    found: dict[str, Candidate] = field(default_factory=dict)
    front: dict[int, Candidate] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    expanded: set[str] = field(default_factory=set)
    mutated: set[str] = field(default_factory=set)

    @property
    def best(self) -> float:
        """Least relative loss so far; infinite before the first."""
        return min((c.loss for c in self.front.values()), default=np.inf)

    def level(self, complexity: float) -> float:
        """Least relative loss of the front up to a complexity."""
        return min((c.loss for size, c in self.front.items() if size <= complexity), default=np.inf)

    def pareto(self) -> list[Candidate]:
        """The front without what a simpler one matches."""
        kept: list[Candidate] = []
        for complexity in sorted(self.front):
            candidate = self.front[complexity]
            if not kept or (candidate.loss < 0.999 * kept[-1].loss and kept[-1].loss > ROUNDING):
                kept.append(candidate)
        return kept

    def consider(self, exprs: Iterable[Expr], stop: Callable[[], bool], per_size: int = 4, steps: int = 12) -> int:
        """Fit candidates: all on few rows, the most promising of every size on all. Number fitted."""
        sized: dict[int, list[tuple[float, str, Expr]]] = {}
        n_fitted = 0
        exact = self.exact_from  # what is no simpler than an exact equation can't improve on it
        for expr in exprs:
            if stop():
                break
            expr = normal.normalise(expr)
            shape = normal.key(expr)
            if shape in self.tried:
                continue
            self.tried.add(shape)
            tree = self.words.legal(expr)
            if tree is None:
                continue
            n_fitted += 1
            complexity = self.words.complexity(tree)
            if complexity >= exact:
                continue
            fitted, loss = fit(expr, self.few, self.loss, _FIRST_STEPS)
            if loss <= _HOPELESS * self.scale * max(self.level(complexity), 1e-10):
                fitted, loss = fit(fitted, self.few, self.loss, steps - _FIRST_STEPS)
                if loss < EXACT * self.scale:
                    self.offer(fitted)
                    exact = self.exact_from
                else:
                    sized.setdefault(complexity, []).append((loss / self.scale, shape, fitted))
        for complexity in sorted(sized):
            ranked = sorted(sized[complexity], key=lambda item: item[0])
            for loss, shape, expr in ranked[:per_size]:
                if loss > 4.0 * self.level(complexity) and loss > 1e-9:
                    self._remember(expr, shape, loss)
                elif not stop():
                    self.offer(expr)
        return n_fitted

    def offer(self, expr: Expr, steps: int = 12) -> Candidate | None:
        """Fit one expression on all rows, clean it where it is new to the front, keep it."""
        expr, loss = fit(expr, self.rows, self.loss, steps, enough=1e-28 * self.scale)
        candidate = self._remember(normal.normalise(expr), None, loss / self.scale)
        if candidate is None or not self._improves(candidate):
            return candidate
        self._place(candidate)
        judge = Judge(self._refit, lambda e: loss_of(e, self.rows, self.loss), self.scale, len(self.rows))
        for better in clean(candidate.expr, candidate.loss * self.scale, judge):
            again = self._remember(better[0], None, better[1] / self.scale)
            if again is not None:
                candidate = again
                if self._improves(again):
                    self._place(again)
        if candidate.loss < EXACT:
            out = normal.multiplied_out(candidate.expr)
            if normal.key(out) not in self.tried:  # (x - y)^2 + (x + y)^2 is shorter so
                self.offer(out, steps)
        return candidate

    def _refit(self, expr: Expr) -> tuple[Expr, float]:
        return fit(expr, self.rows, self.loss, 10, enough=1e-28 * self.scale)

    def _remember(self, expr: Expr, shape: str | None, loss: float) -> Candidate | None:
        tree = self.words.legal(expr)
        if tree is None or not np.isfinite(loss):
            return None
        candidate = Candidate(expr, tree, self.words.complexity(tree), loss)
        shape = shape or normal.key(expr)
        self.tried.add(shape)
        if shape not in self.found or loss < self.found[shape].loss:
            self.found[shape] = candidate
        return candidate

    def _improves(self, candidate: Candidate) -> bool:
        rival = min(
            (c.loss + self.parsimony * c.complexity for size, c in self.front.items() if size <= candidate.complexity),
            default=np.inf,
        )
        return max(candidate.loss, _LEAST * 1e-6) + self.parsimony * candidate.complexity < 0.999 * rival

    def _place(self, candidate: Candidate) -> None:
        self.front[candidate.complexity] = candidate

    @property
    def is_exact(self) -> bool:
        return self.best < EXACT

    @property
    def exact_from(self) -> float:
        """Complexity of the simplest exact equation; infinite if there is none."""
        return min((size for size, c in self.front.items() if c.loss < EXACT), default=np.inf)

    def height(self) -> float:
        """Mean of log10 of the front over all complexities: what progress is measured by."""
        largest = self.words.options.maxsize
        steps = sorted(self.front)
        if not steps:
            return 0.0
        total, best = 0.0, 1.0
        for size, after in zip(steps, [*steps[1:], max(largest + 1, steps[-1] + 1)], strict=True):
            best = min(best, self.front[size].loss)
            total += (after - size) * np.log10(best + _LEAST)
        return total / max(1, largest)
