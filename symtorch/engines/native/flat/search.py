"""The flat search: one bank, all outputs, stage after stage, until there is nothing more to gain.

    archives = search_flat(X, Y, Vocabulary(options), Budget(rounds=8), seed=0)

It knows nothing of teachers or of where the rows come from; :mod:`.engine` prepares them, and the
search for structure calls it for the pieces that it has found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import torch

from symtorch.engines.native.fitting.archive import EXACT, Archive
from symtorch.engines.native.fitting.levenberg_marquardt import Rows
from symtorch.engines.native.fitting.losses import SQUARED, Loss
from symtorch.engines.native.flat.bank import Bank
from symtorch.engines.native.flat.choosing import Table, candidates
from symtorch.engines.native.flat.contexts import first_guesses
from symtorch.engines.native.flat.pursuit import likely_factors, pursue
from symtorch.engines.native.flat.refine import refine, with_more_constants
from symtorch.engines.native.flat.sharing import sums_for
from symtorch.engines.native.flat.thresholds import with_better_thresholds
from symtorch.engines.native.flat.tuning import SearchTuning
from symtorch.engines.native.flat.watch import Watch
from symtorch.engines.native.forms import normal
from symtorch.engines.native.forms.choices import Choices
from symtorch.engines.native.forms.neighbours import neighbours
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.tuning import current
from symtorch.equations.expr import Constant, Expr, Variable, evaluate


@dataclass(frozen=True)
class Budget:
    """How far a search goes.

    Attributes:
        rounds: rounds of refinement after the first ones; at 0 the large bank is never made.
        patience: rounds without progress after which an output is given up.
        goal: mean loss that is good enough; an output is done once it is exact in any case.
        seconds: wall-clock limit, or None.
    """

    rounds: int = 12
    patience: int = 2
    goal: float = 0.0
    seconds: float | None = None


class Phase(IntEnum):
    """How far an output's search has come: what may be asked of its front."""

    OFFERED = 0
    """Nothing but what others have offered."""
    GUESSED = 1
    """First guesses, some of them fitted."""
    FITTED = 2
    """The guesses with all the constants that help them."""
    SEARCHED = 3
    """In the middle of a round."""
    ROUND = 4
    """At the end of a round."""


Enough = Callable[[int, Archive, Phase], bool]
"""(output, its archive, how far the search has come) -> whether to leave the output as it is."""


@dataclass(frozen=True)
class Stage:
    """A row of the schedule.

    Attributes:
        name: what progress is reported under.
        run: what it does, for every output that is not done.
        after: how far the search has come then.
        spreads: whether what it finds is offered to the other outputs.
        measured: whether outputs whose front has hardly moved since the last such stage are given up.
    """

    name: str
    run: Callable[[FlatSearch], None]
    after: Phase = Phase.SEARCHED
    spreads: bool = False
    measured: bool = False


def schedule(rounds: int, n_outputs: int, choices: bool = False) -> list[Stage]:
    """The stages of a search in their order.

    >>> [stage.name for stage in schedule(0, 1)]
    ['start', 'contexts', 'constants', 'refine 1']

    Args:
        rounds: of refinement with the large bank; at 0 only the small bank's first guesses are refined.
        n_outputs: several offer each other what they find.
        choices: whether the user's operators can write steps or kinks.
    """
    small, large = False, True
    choosing = [
        Stage("choices 1", lambda s: s._choose(None)),
        Stage("choices 2", lambda s: s._choose_between_found()),
        Stage("thresholds 1", lambda s: s._move_thresholds()),
    ]
    table = [
        Stage("start", lambda s: s._start(), Phase.GUESSED),
        *([Stage("choices", lambda s: s._choose(1), Phase.GUESSED)] if choices else []),
        Stage("contexts", lambda s: s._guess(s.open, small), Phase.GUESSED),
        Stage("constants", lambda s: s._add_constants(), Phase.FITTED, spreads=True),
        Stage("refine 1", lambda s: s._refine(small)),
        *(choosing if choices else []),
    ]
    if rounds > 0:
        table += [
            Stage("pursuit", lambda s: s._pursue()),
            Stage("mutate 1", lambda s: s._mutate(), spreads=True),
            Stage("constants 1", lambda s: s._add_constants(), Phase.ROUND, spreads=True),
            Stage("refine 2", lambda s: s._refine(small)),
            Stage("constants 2", lambda s: s._add_constants(), spreads=True),
            *([Stage("thresholds 2", lambda s: s._move_thresholds())] if choices else []),
            Stage("mutate 2", lambda s: s._mutate(), spreads=True),
        ]
    for i in range(3, rounds + 3):
        if i == 4:
            table += [
                Stage("contexts, all", lambda s: s._guess(s.open, large)),
                Stage("constants, all", lambda s: s._add_constants(), Phase.ROUND, spreads=True, measured=True),
            ]
        bank = large if i % 2 == 1 else small
        table += [
            Stage(f"refine {i}", lambda s, bank=bank: s._refine(bank)),  # type: ignore[misc]
            Stage(f"constants {i}", lambda s: s._add_constants(), spreads=True),
            Stage(f"mutate {i}", lambda s: s._mutate(), Phase.ROUND, spreads=True, measured=True),
        ]
    if n_outputs == 1:
        return table
    spread = [(stage, Stage(f"share after {stage.name}", lambda s: s._exchange())) for stage in table]
    return [stage for pair in spread for stage in (pair if pair[0].spreads else pair[:1])]


@dataclass
class FlatSearch:
    """The state of a search over several outputs of the same inputs.

    Attributes:
        X: (n, d) inputs.
        Y: (n, k) targets.
        words: what may be written.
        budget: how far to go.
        weights: (n,) or None.
        loss: what is minimised.
        seed: of everything random.
        device: where the bank lives.
        report: called after every stage with its name, the steps done, and the steps of the whole budget.
        news: called about every second of the search; see :class:`.Watch`.
    """

    X: np.ndarray
    Y: np.ndarray
    words: Vocabulary
    budget: Budget = field(default_factory=Budget)
    weights: np.ndarray | None = None
    loss: Loss = SQUARED
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    report: Callable[[str, int, int], None] | None = None
    news: Callable[[], None] | None = None
    archives: list[Archive] = field(init=False)
    watch: Watch = field(init=False)
    stop_reason: str = field(init=False, default="budget")

    def __post_init__(self) -> None:
        self.watch = Watch(self.budget.seconds, self.news)
        self.tuning = current(SearchTuning)
        self.choices = Choices(self.words)
        n = len(self.X)
        order = np.random.default_rng(self.seed).permutation(n)
        self._bank_rows = np.sort(order[: self.tuning.bank_rows])
        few = np.sort(order[: self.tuning.few_rows])
        self._heights: dict[int, float] = {}
        self._still: dict[int, int] = {}
        self._enough: set[int] = set()
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
            )
            self.archives.append(archive)

    # ---- the course of the search

    def run(self, enough: Enough | None = None) -> list[Archive]:
        """Search until every output is done, the budget is spent or time is up; one archive per output.

        Args:
            enough: asked before the first stage and after every one, of the outputs that are not done.
        """
        try:
            self._judge(enough, Phase.OFFERED)
            stages = schedule(self.budget.rounds, len(self.archives), self.choices.kinks)
            for number, stage in enumerate(stages, 1):
                if not self.open or self.watch.checkpoint():
                    break
                stage.run(self)
                if stage.measured:
                    self._measure()
                self._judge(enough, stage.after)
                if self.report is not None:
                    self.report(stage.name, number, len(stages))
            self.stop_reason = self._reason()
        except KeyboardInterrupt:
            self.stop_reason = "interrupted"
        return self.archives

    def done(self, k: int) -> bool:
        """Whether to leave output k as it is: it is good enough, or said to be, or rounds bring nothing more."""
        archive = self.archives[k]
        return (
            archive.best <= max(EXACT, self.budget.goal / archive.scale)
            or k in self._enough
            or self._still.get(k, 0) >= self.budget.patience
        )

    @property
    def open(self) -> list[int]:
        """Outputs that are worth going on with."""
        return [k for k in range(len(self.archives)) if not self.done(k)]

    def _judge(self, enough: Enough | None, phase: Phase) -> None:
        if enough is not None:
            self._enough |= {k for k in self.open if enough(k, self.archives[k], phase)}

    def _measure(self) -> None:
        """Note for how many rounds the front of each output has hardly moved."""
        for k in self.open:
            height = self.archives[k].height()
            moved = self._heights.get(k, np.inf) - height > self.tuning.progress
            self._heights[k] = height
            self._still[k] = 0 if moved else self._still.get(k, 0) + 1

    def _reason(self) -> str:
        if all(archive.is_exact for archive in self.archives):
            return "exact"
        if self.watch.out_of_time():
            return "timeout"
        if self.budget.goal > 0.0 and all(a.best * a.scale <= self.budget.goal for a in self.archives):
            return "early_stop_condition"
        return "budget" if self.open else "converged"

    def offer(self, output: int, exprs: Sequence[Expr]) -> None:
        """Candidates from elsewhere: fitted, cleaned and kept if they are good."""
        for expr in exprs:
            self.archives[output].offer(normal.normalise(expr), self.tuning.offer_steps)

    def sketch(self) -> None:
        """The first, cheap stages for every output, solved or not: simple approximations."""
        self._start()
        imperfect = [k for k, archive in enumerate(self.archives) if archive.best > 0.0]
        tuning = self.tuning
        self._consider_guesses(
            imperfect, self.bank(False), tuning.sketch_partners, tuning.sketch_size, tuning.sketch_guesses
        )

    # ---- stages

    def bank(self, large: bool) -> Bank:
        """The building blocks, made when they are first wanted."""
        if large not in self._banks:
            tuning = self.tuning
            size = tuning.large_size if large else tuning.small_size
            level = tuning.large_level if large else tuning.small_level
            self._banks[large] = Bank(self._at_bank(self.X), self.words, size, level, self.device, self.seed)
        return self._banks[large]

    def _at_bank(self, values: np.ndarray) -> np.ndarray:
        """The bank's rows of values on all rows."""
        return values[self._bank_rows]

    def _start(self) -> None:
        """What needs no search: a constant, the inputs, lines through them."""
        inputs = [Variable(i) for i in range(self.X.shape[1])]
        for archive in self.archives:
            mean = float(np.mean(archive.rows.y))
            archive.offer(Constant(mean))
            lines = [normal.add([Constant(mean), normal.multiply([Constant(0.5), x])]) for x in inputs]
            archive.consider([*inputs, *lines], self.watch.checkpoint)

    def _choose(self, rounds: int | None) -> None:
        """Steps, choices and kinks across the inputs, between what needs no search."""
        self._consider_choices(lambda archive: ([], []), rounds)

    def _choose_between_found(self) -> None:
        """The same across what the bank has, and between the best equations so far."""
        bank = self.bank(False)
        short = [bank.expr(int(i)) for i in bank.order[: self.tuning.chosen_across]]

        def found(archive: Archive) -> tuple[list[Expr], list[Expr]]:
            best = sorted(archive.front.values(), key=lambda c: c.merit(archive.tuning.price))
            exprs = [c.expr for c in best if not isinstance(c.expr, (Constant, Variable))]
            return short, exprs[: self.tuning.chosen_between]

        self._consider_choices(found, None)

    def _consider_choices(self, found: Callable[[Archive], tuple[list[Expr], list[Expr]]], rounds: int | None) -> None:
        stop = self.watch.checkpoint
        for k in self.open:
            archive = self.archives[k]
            worth = min(1.0, archive.best) if rounds is None else self.tuning.chosen_first
            table = Table.of(self.X, archive.rows.y, archive.rows.weights, worth)
            enough = lambda k=k: self.done(k) or stop()  # noqa: E731
            archive.consider(candidates(table, self.choices, *found(archive), enough, rounds), stop)

    def _move_thresholds(self) -> None:
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

    def _guess(self, outputs: Sequence[int], large: bool) -> None:
        bank, tuning = self.bank(large), self.tuning
        if large:
            self._consider_guesses(outputs, bank, tuning.large_partners, bank.n_unit, tuning.large_guesses)
        else:
            self._consider_guesses(outputs, bank, tuning.partners, bank.n_unit, tuning.guesses)

    def _consider_guesses(self, outputs: Sequence[int], bank: Bank, n_partners: int, limit: int, most: int) -> None:
        stop = self.watch.checkpoint
        for k in outputs:
            archive = self.archives[k]
            y, weights = self._at_bank(archive.rows.y), self._scan_weights(archive)
            guesses = first_guesses(bank, y, weights, n_partners, limit, stop, self.tuning.guesses_per_size, most)
            archive.consider(guesses, stop)
            if stop():
                return

    def _scan_weights(self, archive: Archive) -> np.ndarray | None:
        """Square roots of the weights with which squared errors on the bank's rows stand for the loss.

        For other losses than the squared one they depend on the residuals, so those of the best equation
        so far are taken: what it takes for outliers weighs little.
        """
        rows = self._bank_rows
        weights = None if archive.rows.weights is None else archive.rows.weights[rows]
        if self.loss.weight is not None and archive.front:
            best = min(archive.front.values(), key=lambda c: c.loss)
            residuals = evaluate(best.expr, self.X[rows]) - archive.rows.y[rows]
            own = self.loss.weight(residuals)
            own = np.minimum(own, self.tuning.outlier * np.median(own))
            if np.isfinite(own).all() and own.any():
                weights = own if weights is None else weights * own
        if weights is None or not weights.any():
            return None
        return np.sqrt(weights / weights.mean())

    def _pursue(self) -> None:
        bank = self.bank(False)
        for k in self.open:
            archive = self.archives[k]
            factors = likely_factors(bank, self.X, archive.rows.y, self._bank_rows)
            values = [evaluate(factor, self._at_bank(self.X)) for factor in factors]
            y, weights = self._at_bank(archive.rows.y), self._scan_weights(archive)
            found = pursue(bank, y, weights, factors, values, bank.n_unit, self.watch.checkpoint)
            archive.consider(found, self.watch.checkpoint)

    def _refine(self, large: bool) -> None:
        bank = self.bank(large)
        for k in self.open:
            archive = self.archives[k]
            columns = tuple(self._at_bank(column) for column in archive.rows.columns)
            y, weights = self._at_bank(archive.rows.y), self._scan_weights(archive)
            found = refine(archive, bank, columns, y, weights, bank.n_unit, self.watch.checkpoint)
            archive.consider(found, self.watch.checkpoint)

    def _add_constants(self) -> None:
        for k in self.open:
            archive = self.archives[k]
            best = sorted(archive.front.values(), key=lambda c: c.loss)[: self.tuning.enlarged]
            found = [more for candidate in best for more in with_more_constants(candidate.expr)]
            archive.consider(found, self.watch.checkpoint, self.tuning.enlarged_steps)

    def _exchange(self) -> None:
        for k, found in sums_for(self.open, self.archives, self.X).items():
            self.archives[k].consider(found, self.watch.checkpoint)

    def _mutate(self) -> None:
        for k in self.open:
            archive = self.archives[k]
            for turn in range(self.tuning.mutated):
                if self.done(k) or self.watch.checkpoint():
                    break
                shape = self._to_mutate(archive, large=turn % 3 == 2)
                if shape is not None:
                    archive.mutated.add(shape)
                    found = neighbours(archive.found[shape].expr, self.words)
                    archive.consider(found, self.watch.checkpoint, self.tuning.mutated_steps)

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
        ranked = [(c.merit(price), shape) for shape, c in candidates if shape not in archive.mutated]
        return min(ranked, default=(0.0, None))[1]


def search_flat(
    X: np.ndarray,
    Y: np.ndarray,
    words: Vocabulary,
    budget: Budget | None = None,
    *,
    weights: np.ndarray | None = None,
    loss: Loss = SQUARED,
    seed: int = 0,
    start: Sequence[Sequence[Expr]] | None = None,
    device: torch.device | None = None,
    report: Callable[[str, int, int], None] | None = None,
) -> list[Archive]:
    """Search expressions of the columns of X for every column of Y; see :class:`FlatSearch`.

    Args:
        start: per output, expressions to start from.

    Returns:
        One archive per output; ``archive.pareto()`` is its front, simplest first.
    """
    search = FlatSearch(X, Y, words, budget or Budget(), weights, loss, seed, device or torch.device("cpu"), report)
    for output, exprs in enumerate(start or ()):
        search.offer(output, exprs)
    return search.run()


def constant_loss(y: np.ndarray, weights: np.ndarray | None, loss: Loss) -> float:
    """Loss of the best constant: what every other loss is measured against."""
    w = np.ones_like(y) if weights is None else weights / weights.mean()
    centre = float(np.average(y, weights=w))
    if loss.weight is not None:
        for _ in range(30):
            own = w * loss.weight(centre - y)
            if not own.sum() > 0.0:
                break
            centre = float(np.average(y, weights=own))
    found = loss.mean(centre - y, weights)
    return found if found > 0.0 and math.isfinite(found) else 1.0
