"""What has been found for one output: every good expression, and the front of the best by complexity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from symtorch.engines.native.fitting.clean import Judge, clean, shorter, snap
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit, fit_if_promising, loss_of
from symtorch.engines.native.fitting.losses import SQUARED, Loss
from symtorch.engines.native.fitting.plain_numbers import with_plain_numbers
from symtorch.engines.native.fitting.precision import runs
from symtorch.engines.native.fitting.slopes import Slopes, fit_with_slopes, loss_with_slopes
from symtorch.engines.native.fitting.tuning import FittingTuning
from symtorch.engines.native.forms.reading import most_readable
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.description import extent, numbers
from symtorch.equations.expr import Expr, constants
from symtorch.equations.selection import pareto, scores, select

EXACT = 1e-13
"""Relative loss under which an equation counts as exact: the square of float32's rounding, and some."""

ROUNDING = 1e-20
"""Relative loss under which equations differ by float64's rounding only."""

_LEAST = 1e-14
"""Added to a loss before its logarithm is taken: what is exact is all the same."""

_CLOSE = 1e-9
"""Relative loss on few rows that is close enough to exact for a fit on all rows, whatever the front has."""

_CLOSE_TO_EXACT = 1e-10
"""Relative loss under which a front doesn't make others look hopeless: a few steps may not get there."""

_READ_ROWS = 512
"""Rows on which two forms of one expression must have the same values; all decide in the end."""

_BOUGHT = 1e-4
"""What no approximation leaves, relatively, for each of its numbers: good ones win two or three decades by each."""

_FITTED = 1e-28
"""Relative loss at which a fit is at its end: the square of float64's rounding, and some."""


def depth(loss: float) -> float:
    """log(loss), bounded where all is rounding."""
    return math.log(loss + _LEAST)


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

    @property
    def depth(self) -> float:
        return depth(self.loss)


@dataclass
class Archive:
    """Fits candidates and keeps the good ones.

    Attributes:
        words: what may be written.
        few: rows of the first, cheap fit.
        rows: rows of the fit that counts.
        loss: what is minimised.
        scale: loss of the best constant, on ``rows``.
        parsimony: what a unit of complexity costs beside the usual price, in units of log(loss), where it is
            decided what to build on. What is on the front goes by loss alone.
        dtype: type in which equations will run.
        found: by shape, the best of every shape that was worth keeping.
        front: by complexity, the best of each.
        tried: shapes that were fitted, or can't be written.
        expanded, mutated: shapes that refinement and mutation have started from.
    """

    words: Vocabulary
    few: Rows
    rows: Rows
    loss: Loss
    scale: float
    parsimony: float = 0.0
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float64))
    found: dict[str, Candidate] = field(default_factory=dict)
    front: dict[int, Candidate] = field(default_factory=dict)
    tuning: FittingTuning = field(default_factory=lambda: current(FittingTuning))
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
        sizes = sorted(self.front)
        kept = pareto(sizes, [self.front[n].loss for n in sizes], self.tuning.least_gain, ROUNDING)
        return [self.front[sizes[position]] for position in kept]

    def merit(self, candidate: Candidate, price: float) -> float:
        """How good a candidate is for its size, as a start for others; less is better.

        Args:
            price: what a unit of complexity costs, in units of log(loss).
        """
        return candidate.depth + (price + self.parsimony) * candidate.complexity

    # ---- taking in

    def consider(
        self, exprs: Iterable[Expr], stop: Callable[[], bool], steps: int | None = None, again: bool = False
    ) -> None:
        """Fit candidates: all on few rows, the most promising of every size on all.

        Args:
            exprs: their constants are the starting point.
            stop: asked between two candidates; True ends it with what there is.
            steps: of the fit on few rows, at most; None for the usual number.
            again: shapes that were tried before are fitted once more, not passed over.
        """
        steps = self.tuning.quick_steps if steps is None else steps
        fitted: dict[int, list[tuple[float, str, Expr]]] = {}
        for expr in exprs:
            if stop():
                break
            expr = normal.normalise(expr)
            shape = normal.key(expr)
            complexity = self._worth_fitting(expr, shape, again)
            if complexity is None:
                continue
            expr, loss = self._first_fit(expr, complexity, steps)
            if loss < EXACT:
                self.offer(expr)
            elif math.isfinite(loss):
                fitted.setdefault(complexity, []).append((loss, shape, expr))
        for complexity in sorted(fitted):
            for loss, shape, expr in sorted(fitted[complexity], key=lambda item: item[0])[: self.tuning.per_size]:
                if loss > max(self.tuning.far * self.level(complexity), _CLOSE):
                    self._remember(expr, shape, loss)
                elif not stop():
                    self.offer(expr)

    def _worth_fitting(self, expr: Expr, shape: str, again: bool) -> int | None:
        """Complexity of a form that is worth a fit: new, allowed, and simpler than every exact equation."""
        if shape in self.tried and not again:
            return None
        self.tried.add(shape)
        tree = self.words.legal(expr)
        if tree is None:
            return None
        complexity = self.words.complexity(tree)
        return complexity if complexity < self.exact_from else None

    def _first_fit(self, expr: Expr, complexity: int, steps: int) -> tuple[Expr, float]:
        """Fit on few rows, and the relative loss there; infinite if the first steps show that it is hopeless."""
        hopeless = self.tuning.hopeless * self.scale * max(self.level(complexity), _CLOSE_TO_EXACT)
        expr, loss = fit_if_promising(expr, self.few, self.loss, self.tuning.first_steps, steps, hopeless)
        return expr, loss / self.scale

    def offer(self, expr: Expr, steps: int | None = None) -> Candidate | None:
        """Fit one expression on all rows, clean it where it is new to the front, keep it."""
        steps = self.tuning.quick_steps if steps is None else steps
        expr, loss = fit(expr, self.rows, self.loss, steps, enough=_FITTED * self.scale)
        candidate = self._remember(normal.normalise(expr), None, loss / self.scale)
        if candidate is None or not self._improves(candidate):
            return candidate
        self._place(candidate)
        for better in clean(candidate.expr, candidate.loss * self.scale, self._judge):
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

    @property
    def _judge(self) -> Judge:
        return Judge(self._refit, lambda e: loss_of(e, self.rows, self.loss), self.scale, len(self.rows))

    def _refit(self, expr: Expr) -> tuple[Expr, float]:
        return fit(expr, self.rows, self.loss, self.tuning.clean_steps, enough=_FITTED * self.scale)

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
        """Whether it is better than all that is no larger, and can run."""
        better = max(candidate.loss, ROUNDING) < self.tuning.least_gain * self.level(candidate.complexity)
        return better and self.runs(candidate.tree, candidate.loss)

    def runs(self, tree: Expr, loss: float) -> bool:
        """Whether a tree of some relative loss has these values in the type in which it will run, too."""
        return runs(tree, self.rows.columns, self.dtype, loss, self.scale, self.loss)

    def _place(self, candidate: Candidate) -> None:
        self.front[candidate.complexity] = candidate

    def picked(self, rule: str) -> Candidate | None:
        """What a rule takes from the front, see :mod:`symtorch.equations.selection`; None from an empty one."""
        front = self.pareto()
        if not front:
            return None
        complexities, losses = [c.complexity for c in front], [c.loss for c in front]
        return front[select([extent(c.tree) for c in front], losses, scores(complexities, losses), rule)]

    def write_readably(self, picked: Candidate | None, is_law: bool = False, share: float = 1.0) -> None:
        """Put an equation of the front into the form that reads best of those that cost no more and lose nothing.

        Args:
            picked: the equation; None for none.
            is_law: whether it is seen to be a law: then its constants are simple numbers where these are likelier, not
                only where they lose nothing.
            share: see :func:`.most_readable`.
        """
        if picked is None:
            return
        X = np.column_stack([column[:_READ_ROWS] for column in self.rows.columns])
        start, least = picked.expr, picked.loss * self.scale
        if is_law and self._is_seen_through_noise(least):
            start, least = self._without_idle_numbers(start, least, picked.complexity)
        start, least = self._in_plain_numbers(start, least, is_law)
        found = most_readable(start, self.words, X, share)
        if found is None:
            return
        expr, tree = found
        loss = loss_of(tree, self.rows, self.loss)
        as_good = loss <= max(least * (1.0 + 1.0 / len(self.rows)), ROUNDING * self.scale)
        tree, loss = self._in_plain_numbers(tree, loss, is_law)
        loss /= self.scale
        complexity = self.words.complexity(tree)
        if not as_good or tree == picked.tree or complexity > picked.complexity or not self.runs(tree, loss):
            return
        if max(loss, ROUNDING) < self.tuning.least_gain * self.level(complexity - 1):
            if complexity < picked.complexity:
                del self.front[picked.complexity]
            self._place(Candidate(expr, tree, complexity, loss))

    def _in_plain_numbers(self, expr: Expr, loss: float, is_law: bool) -> tuple[Expr, float]:
        """An expression of some mean loss with its constants put to simple numbers; see :meth:`write_readably`."""
        expr, loss = snap(expr, loss, self._judge)
        if not is_law or not self._is_seen_through_noise(loss):
            return expr, loss
        return with_plain_numbers(expr, loss, self.rows, self.tuning.clean_steps)

    def _is_seen_through_noise(self, loss: float) -> bool:
        """Whether a mean loss is of squared errors that are more than rounding: they tell how likely a number is."""
        return self.loss is SQUARED and EXACT * self.scale < loss < math.inf

    def _without_idle_numbers(self, expr: Expr, loss: float, complexity: int) -> tuple[Expr, float]:
        """An expression without constants that explain less than they cost at the precision to which rows tell them.

        ``x*(0.004 - y)`` is ``-(x*y)``, which may be as complex, ``x*y*(-1)``, so that it is on no front.
        """
        price = 0.5 * math.log(len(self.rows))
        for simpler in shorter(expr):
            tried, found = self._refit(simpler)
            tree = self.words.legal(normal.normalise(tried))
            if tree is None or self.words.complexity(tree) > complexity:
                continue
            saved = _free(expr) - _free(tried)
            if found < loss * math.exp(2.0 * price * saved / len(self.rows)):
                return self._without_idle_numbers(normal.normalise(tried), found, complexity)
        return expr, loss

    def heed_slopes(self, slopes: Slopes, stop: Callable[[], bool]) -> None:
        """Judge again by values and derivatives, the constants fitted to both: the front and the best beside it.

        From then on losses are those of both, as a share of the best constant's on the values.

        Args:
            slopes: of the rows that were searched.
            stop: asked between two candidates; True leaves the rest out.
        """
        front = self.pareto()
        shapes = {normal.key(candidate.expr) for candidate in front}
        others = (c for c in self.found.values() if normal.key(c.expr) not in shapes)
        ranked = sorted(others, key=lambda c: self.merit(c, self.tuning.price))[: self.tuning.with_slopes]
        judged: dict[int, Candidate] = {}
        for candidate in (*front, *ranked):
            if stop() and judged:
                break
            again = self._with_slopes(candidate, slopes)
            known = judged.get(again.complexity)
            if self.runs(again.tree, again.loss) and (known is None or again.loss < known.loss):
                judged[again.complexity] = again
        self.front = judged or self.front

    def _with_slopes(self, candidate: Candidate, slopes: Slopes) -> Candidate:
        before = loss_with_slopes(candidate.expr, slopes, self.loss)
        expr, found = fit_with_slopes(candidate.expr, slopes, self.loss, self.tuning.clean_steps)
        tree = self.words.legal(expr)
        if tree is None or before <= max(ROUNDING * self.scale, found / self.tuning.least_gain):
            return replace(candidate, loss=before / self.scale)  # as it was written
        return Candidate(expr, tree, self.words.complexity(tree), found / self.scale)

    # ---- where it stands

    @property
    def is_exact(self) -> bool:
        return math.isfinite(self.exact_from)

    @property
    def exact_from(self) -> float:
        """Complexity of the simplest exact equation; infinite if there is none."""
        return min((size for size, c in self.front.items() if self._is_exact(c)), default=np.inf)

    def _is_exact(self, candidate: Candidate) -> bool:
        """Whether what is left is rounding, and not what an approximation with as many numbers leaves.

        Rows of float32 can't tell; those of float64 must be met more closely by an equation of many numbers.
        """
        if self.dtype != np.float64:
            return candidate.loss < EXACT
        return candidate.loss < min(EXACT, max(ROUNDING, _BOUGHT ** numbers(candidate.tree)))

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


def _free(expr: Expr) -> int:
    """Constants of a normal form but for those that stand for a sign."""
    return sum(value != -1.0 for value in constants(expr))
