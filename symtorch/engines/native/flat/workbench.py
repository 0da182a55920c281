"""What the stages of the flat search work on, and the stages: each makes candidates and has them fitted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from symtorch.engines.native.fitting.archive import Archive, Candidate
from symtorch.engines.native.fitting.levenberg_marquardt import Rows
from symtorch.engines.native.fitting.losses import SQUARED, Loss
from symtorch.engines.native.fitting.reduce import reduced, too_long
from symtorch.engines.native.fitting.residuals import Regressions, down_to_noise
from symtorch.engines.native.flat.bank import Bank
from symtorch.engines.native.flat.choosing import Table, candidates
from symtorch.engines.native.flat.contexts import first_guesses
from symtorch.engines.native.flat.pursuit import likely_factors, pursue
from symtorch.engines.native.flat.refine import refine, with_more_constants
from symtorch.engines.native.flat.sharing import exchanged_for, laws_found, sums_for
from symtorch.engines.native.flat.thresholds import with_better_thresholds
from symtorch.engines.native.flat.tuning import SearchTuning
from symtorch.engines.native.flat.watch import Watch
from symtorch.engines.native.forms.choices import Choices
from symtorch.engines.native.forms.neighbours import neighbours
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.expr import Constant, Expr, Variable, evaluate

Hints = Callable[[int, Callable[[], bool]], Sequence[Expr]]
"""(output, whether its share of the time is spent) -> normal forms that may be the law, or parts of the way to it."""


@dataclass(frozen=True)
class Budget:
    """How far a search goes.

    Attributes:
        rounds: rounds of refinement after the first ones; at 0 the large bank is never made.
        patience: rounds without progress after which an output is given up.
        goal: mean loss that is good enough; an output is done once it is exact in any case.
        seconds: wall-clock limit, or None.
        small: whether to leave out all rounds with the large bank, after the first stages.
    """

    rounds: int = 12
    patience: int = 2
    goal: float = 0.0
    seconds: float | None = None
    small: bool = False


@dataclass
class Workbench:
    """Several outputs of the same inputs, what has been found for each, and the banks that they share.

    Attributes:
        X: (n, d) inputs.
        Y: (n, k) targets.
        words: what may be written.
        budget: how far to go.
        weights: (n,) or None.
        loss: what is minimised.
        seed: of everything random.
        device: where the bank lives.
        watch: asked between two candidates whether time is up.
        dtype: type in which equations will run.
        hints: where else candidates come from, for outputs that the first stages leave open, and the first rounds;
            none but where there are rows alone.
        archives: what has been found, one for each output.
    """

    X: np.ndarray
    Y: np.ndarray
    words: Vocabulary
    budget: Budget
    weights: np.ndarray | None = None
    loss: Loss = SQUARED
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    watch: Watch = field(default_factory=Watch)
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float64))
    hints: Sequence[Hints] = ()
    archives: list[Archive] = field(init=False)

    def __post_init__(self) -> None:
        self.tuning = current(SearchTuning)
        self.choices = Choices(self.words)
        n = len(self.X)
        order = np.random.default_rng(self.seed).permutation(n)
        self._bank_rows = np.sort(order[: self.tuning.bank_rows])
        few = np.sort(order[: self.tuning.few_rows])
        self._heights: dict[int, float] = {}
        self._still: dict[int, int] = {}
        self._closed: set[int] = set()
        self._choosing: set[int] = set()
        self._chosen: set[int] = set()
        self._exchanged: set[Expr] = set()
        self._banks: dict[bool, Bank] = {}
        self.archives = []
        for y in self.Y.T:
            rows = Rows.of(self.X, y, self.weights)
            some = None if self.weights is None or not self.weights[few].any() else self.weights[few]
            archive = Archive(
                self.words,
                Rows.of(self.X[few], y[few], some),
                rows,
                self.loss,
                constant_loss(y, self.weights, self.loss),
                self.words.options.parsimony,
                self.dtype,
            )
            self.archives.append(archive)

    # ---- which outputs to go on with

    def done(self, k: int) -> bool:
        """Whether to leave output k as it is: it is good enough, or said to be, or rounds bring nothing more."""
        archive = self.archives[k]
        return (
            archive.is_exact
            or archive.best <= self.budget.goal / archive.scale
            or k in self._closed
            or self._still.get(k, 0) >= self.budget.patience
        )

    @property
    def open(self) -> list[int]:
        """Outputs that are worth going on with."""
        return [k for k in range(len(self.archives)) if not self.done(k)]

    def close(self, outputs: Iterable[int]) -> None:
        """Leave these outputs as they are from now on."""
        self._closed.update(outputs)

    def measure(self) -> None:
        """Note for how many rounds the front of each output has hardly moved."""
        for k in self.open:
            height = self.archives[k].height()
            moved = self._heights.get(k, np.inf) - height > self.tuning.progress
            self._heights[k] = height
            self._still[k] = 0 if moved else self._still.get(k, 0) + 1
            # With a limit, rounds of rows alone go on in vain for as long as more than noise is left.
            if self.hints and self.budget.seconds is not None and self._still[k] >= self.budget.patience:
                self._still[k] = self.budget.patience - (self.law_in_noise(k) is None)

    def settle(self) -> None:
        """Leave outputs of rows alone whose law is seen through noise, with all that is one step from it tried.

        Then nothing but noise is left, something was put into every place of the law and every part of it was changed,
        and nothing that came of it was worth its length. What more rounds would find fits the noise.
        """
        if self.hints:
            self.close(k for k in self.open if self._is_settled(k))

    def _is_settled(self, k: int) -> bool:
        archive = self.archives[k]
        if not archive.mutated:
            return False
        law = self.law_in_noise(k)
        return law is not None and normal.key(law.expr) in archive.expanded & archive.mutated

    def law_in_noise(self, k: int) -> Candidate | None:
        """The equation of the front that says all of an output but what can't be told from independent errors."""
        archive = self.archives[k]
        front = archive.pareto()
        trees, losses = [c.tree for c in front], [c.loss for c in front]
        rows, regressions = archive.rows, lambda: self._regressions
        law = down_to_noise(trees, losses, self.X, rows.y, regressions, self.weights, self.loss)
        return None if law is None else front[law]

    @cached_property
    def _regressions(self) -> Regressions:
        return Regressions.on(self.X)

    # ---- what the stages share

    def _in_turn(self, outputs: Sequence[int]) -> Iterator[tuple[int, Callable[[], bool]]]:
        """The outputs, each with a checkpoint for its share of the time that is left."""
        for i, k in enumerate(outputs):
            if self.watch.checkpoint():
                return
            yield k, self.watch.share(len(outputs) - i)

    def bank(self, large: bool) -> Bank:
        """The building blocks, made when they are first wanted."""
        if large not in self._banks:
            tuning = self.tuning
            size = tuning.large_size if large else tuning.small_size
            level = tuning.large_level if large else tuning.small_level
            X, stop = self._at_bank(self.X), self.watch.out_of_time
            self._banks[large] = Bank(X, self.words, size, level, self.device, self.seed, stop)
        return self._banks[large]

    def _at_bank(self, values: np.ndarray) -> np.ndarray:
        """The bank's rows of values on all rows."""
        return values[self._bank_rows]

    def offer(self, output: int, exprs: Sequence[Expr]) -> None:
        """Candidates from elsewhere: fitted, cleaned and kept if they are good; brought down to size if too long."""
        archive = self.archives[output]
        forms = [normal.normalise(expr) for expr in exprs]
        long = [form for form in forms if too_long(form, archive)]
        for form in forms:
            archive.offer(form, self.tuning.offer_steps)
        for form in long[: archive.tuning.reduced]:
            less = reduced(form, archive)
            if less is not None:
                archive.offer(less, self.tuning.offer_steps)

    def _scan_weights(self, archive: Archive) -> np.ndarray | None:
        """Square roots of the weights with which squared errors on the bank's rows stand for the loss.

        For other losses than the squared one they depend on the residuals, so those of the best equation
        so far are taken: what it takes for outliers weighs little.
        """
        rows = self._bank_rows
        weights = None if archive.rows.weights is None else archive.rows.weights[rows]
        if self.loss.weight is not None and archive.front:
            best = min(archive.front.values(), key=lambda c: c.loss)
            y = archive.rows.y[rows]
            own = self.loss.weight(evaluate(best.expr, self.X[rows]) - y, y)
            own = np.minimum(own, self.tuning.outlier * np.median(own))
            if np.isfinite(own).all() and own.any():
                weights = own if weights is None else weights * own
        if weights is None or not weights.any():
            return None
        return np.sqrt(weights / weights.mean())

    # ---- stages

    def start(self) -> None:
        """What needs no search: a constant, the inputs, lines through them."""
        inputs = [Variable(i) for i in range(self.X.shape[1])]
        for k, stop in self._in_turn(range(len(self.archives))):
            archive = self.archives[k]
            mean = float(np.mean(archive.rows.y))
            archive.offer(Constant(mean))
            lines = [normal.add([Constant(mean), normal.multiply([Constant(0.5), x])]) for x in inputs]
            archive.consider([*inputs, *lines], stop)

    def guess(self, large: bool) -> None:
        """One or two expressions of the bank in an outermost function."""
        bank, tuning = self.bank(large), self.tuning
        n_partners, most = (tuning.large_partners, tuning.large_guesses) if large else (tuning.partners, tuning.guesses)
        self._guess(self.open, bank, n_partners, bank.n_unit, most)

    def sketch(self) -> None:
        """The first, cheap stages for every output, solved or not: simple approximations."""
        self.start()
        imperfect = [k for k, archive in enumerate(self.archives) if archive.best > 0.0]
        tuning, many = self.tuning, len(self.archives) > self.tuning.sketched_in_full
        known = [k for k in imperfect if self.archives[k].is_exact] if many else []
        bank, most = self.bank(False), tuning.sketch_guesses
        self._guess(imperfect, bank, tuning.sketch_partners, tuning.sketch_size, most, without_grid=known)

    def _guess(
        self,
        outputs: Sequence[int],
        bank: Bank,
        n_partners: int,
        limit: int,
        most: int,
        without_grid: Sequence[int] = (),
    ) -> None:
        for k, stop in self._in_turn(outputs):
            archive = self.archives[k]
            y, weights = self._at_bank(archive.rows.y), self._scan_weights(archive)
            per_size, grid = self.tuning.guesses_per_size, k not in without_grid
            guesses = first_guesses(bank, y, weights, n_partners, limit, stop, per_size, most, grid)
            archive.consider(guesses, stop)

    def choose_first(self) -> None:
        """One step or kink across the inputs, of laws that are nothing else."""
        for k in self.open:
            self._choose(k, self.archives[k], [], [], self.tuning.chosen_first, 1)

    def choose(self, where: Literal["seen", "left"]) -> None:
        """Steps, choices and kinks across the inputs, between what needs no search; of each output once.

        Args:
            where: of which outputs: those whose best equation so far has one, or all that are left.
        """
        left = [k for k in self.open if k not in self._chosen]
        self._choosing = {k for k in left if where == "left" or self._has_choice(self.archives[k])}
        self._chosen |= self._choosing
        for k in left:
            if k in self._choosing:
                archive = self.archives[k]
                self._choose(k, archive, [], [], min(1.0, archive.best), None)

    def _has_choice(self, archive: Archive) -> bool:
        """Whether the best equation for its size has a step or a kink."""
        best = min(archive.front.values(), key=lambda c: archive.merit(c, archive.tuning.price), default=None)
        return best is not None and self.choices.are_in(best.expr)

    def choose_between_found(self) -> None:
        """Steps, choices and kinks across what the bank has, between the best equations; after :meth:`choose`."""
        bank, tuning = self.bank(False), self.tuning
        across = [bank.expr(int(i)) for i in bank.order[: tuning.chosen_across]]
        for k in [k for k in self.open if k in self._choosing]:
            archive = self.archives[k]
            ranked = [(archive.merit(c, archive.tuning.price), size) for size, c in archive.front.items()]
            best = [archive.front[size] for _, size in sorted(ranked)]
            between = [c.expr for c in best if not isinstance(c.expr, (Constant, Variable))][: tuning.chosen_between]
            self._choose(k, archive, across, between, min(1.0, archive.best), None)

    def _choose(
        self, k: int, archive: Archive, across: list[Expr], between: list[Expr], worth: float, rounds: int | None
    ) -> None:
        def enough() -> bool:
            return self.done(k) or self.watch.checkpoint()

        table = Table.of(self.X, archive.rows.y, archive.rows.weights, worth)
        archive.consider(candidates(table, self.choices, across, between, enough, rounds), self.watch.checkpoint)

    def move_thresholds(self) -> None:
        """The thresholds of the front in turns with its other constants, which the fit moves."""
        for k in self.open:
            archive = self.archives[k]
            for candidate in list(archive.front.values()):
                expr, best = candidate.expr, np.inf
                for _ in range(self.tuning.threshold_turns):
                    if self.watch.checkpoint():
                        return
                    moved = [archive.offer(e) for e in with_better_thresholds(expr, archive.rows, self.loss)]
                    better = min((c for c in moved if c is not None), key=lambda c: c.loss, default=None)
                    if better is None or not better.loss < best:
                        break
                    expr, best = better.expr, better.loss

    def pursue(self) -> None:
        """Several terms under one function, behind a factor."""
        bank = self.bank(False)
        for k, stop in self._in_turn(self.open):
            archive = self.archives[k]
            factors = likely_factors(bank, self.X, archive.rows.y, self._bank_rows)
            values = [evaluate(factor, self._at_bank(self.X)) for factor in factors]
            y, weights = self._at_bank(archive.rows.y), self._scan_weights(archive)
            found = pursue(bank, y, weights, factors, values, bank.n_unit, stop)
            archive.consider(found, stop)

    def refine(self, large: bool) -> None:
        """Something put in or instead, at every place of the best expressions."""
        bank = self.bank(large)
        for k, stop in self._in_turn(self.open):
            archive = self.archives[k]
            columns = tuple(self._at_bank(column) for column in archive.rows.columns)
            y, weights = self._at_bank(archive.rows.y), self._scan_weights(archive)
            found = refine(archive, bank, columns, y, weights, bank.n_unit, stop)
            archive.consider(found, stop)

    def add_constants(self) -> None:
        """One more constant at every place of the most accurate expressions."""
        for k, stop in self._in_turn(self.open):
            archive = self.archives[k]
            best = sorted(archive.front.values(), key=lambda c: c.loss)[: self.tuning.enlarged]
            found = [more for candidate in best for more in with_more_constants(candidate.expr)]
            archive.consider(found, stop, self.tuning.enlarged_steps)

    def take_hints(self, which: int) -> None:
        """Candidates of others for the outputs that are open, each in a share of the time.

        The first are for those of which more than noise is left. Later an equation may seem to leave nothing else and
        be no law: in many inputs regressions see little, and what has had time to be settled isn't open any more.
        """
        outputs = [k for k in self.open if which > 0 or self.law_in_noise(k) is None]
        for i, k in enumerate(outputs):
            if self.watch.checkpoint():
                return
            self.offer(k, self.hints[which](k, self.watch.share(len(outputs) - i, self.tuning.hinted)))

    def exchange(self) -> None:
        """Sums of the terms that all outputs have found, and their laws with inputs exchanged."""
        for k, found in sums_for(self.open, self.archives, self.X).items():
            self.archives[k].consider(found, self.watch.checkpoint)
        self._exchange_laws(self.open)

    def exchange_at_last(self) -> None:
        """The laws of all outputs, with inputs exchanged, for those that were left before these were found."""
        self._exchanged.clear()
        self._exchange_laws([k for k, archive in enumerate(self.archives) if not archive.is_exact])

    def _exchange_laws(self, outputs: Sequence[int]) -> None:
        if len(self.archives) == 1:
            return
        laws = [law for law in laws_found(self.archives) if law not in self._exchanged]
        self._exchanged.update(laws)
        for k, found in exchanged_for(outputs, laws, self.archives, self.X).items():
            self.archives[k].consider(found, self.watch.checkpoint)

    def mutate(self) -> None:
        """One operator, exponent or node of a few good expressions changed; first of what is seen through noise."""
        for k, stop in self._in_turn(self.open):
            archive = self.archives[k]
            law = self.law_in_noise(k) if self.hints else None
            for turn in range(self.tuning.mutated):
                if self.done(k) or stop():
                    break
                shape = None if law is None or turn > 0 else normal.key(law.expr)
                if shape not in archive.found or shape in archive.mutated:
                    shape = self._to_mutate(archive, large=turn % 3 == 2)
                if shape is not None:
                    archive.mutated.add(shape)
                    found = neighbours(archive.found[shape].expr, self.words)
                    archive.consider(found, stop, self.tuning.mutated_steps)

    def _to_mutate(self, archive: Archive, large: bool) -> str | None:
        """The shape of the best expression that has not been mutated yet.

        Args:
            large: of all that were found, by a measure that favours large ones; else of the front, by one that
                favours small ones.
        """
        if large:
            price = archive.tuning.price
            candidates = list(archive.found.items())
        else:
            price = self.tuning.mutated_price
            candidates = [(normal.key(c.expr), c) for c in archive.front.values()]
        ranked = [(archive.merit(c, price), shape) for shape, c in candidates if shape not in archive.mutated]
        return min(ranked, default=(0.0, None))[1]


def constant_loss(y: np.ndarray, weights: np.ndarray | None, loss: Loss) -> float:
    """Loss of the best constant: what every other loss is measured against."""
    w = np.ones_like(y) if weights is None else weights / weights.mean()
    centre = float(np.average(y, weights=w))
    if loss.weight is not None:
        for _ in range(30):
            own = w * loss.weight(centre - y, y)
            if not own.sum() > 0.0:
                break
            centre = float(np.average(y, weights=own))
    found = loss.mean(centre - y, y, weights)
    return found if found > 0.0 and math.isfinite(found) else 1.0
