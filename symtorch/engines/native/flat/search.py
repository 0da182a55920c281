"""The flat search: one bank, all outputs, stage after stage, until there is nothing more to gain.

    archives = search_flat(X, Y, Vocabulary(options), Budget(rounds=8), seed=0)

It knows nothing of teachers or of where the rows come from; :mod:`.engine` prepares them, and the
search for structure calls it for the pieces that it has found. :mod:`.schedule` says when what is done,
:mod:`.workbench` what each stage does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from symtorch.engines.native.fitting.archive import Archive, Candidate
from symtorch.engines.native.fitting.losses import SQUARED, Loss
from symtorch.engines.native.flat.finishing import finish
from symtorch.engines.native.flat.schedule import Phase, schedule
from symtorch.engines.native.flat.watch import Watch
from symtorch.engines.native.flat.workbench import Budget, Hints, Workbench
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.equations.expr import Expr

Enough = Callable[[int, Archive, Phase], bool]
"""(output, its archive, how far the search has come) -> whether to leave the output as it is."""


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
        dtype: type in which equations will run.
        hints: each called once for the outputs that are open then; see :class:`.Workbench`.
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
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float64))
    hints: Sequence[Hints] = ()
    watch: Watch = field(init=False)
    stop_reason: str = field(init=False, default="budget")

    def __post_init__(self) -> None:
        self.watch = Watch(self.budget.seconds, self.news)
        self._bench = Workbench(
            self.X,
            self.Y,
            self.words,
            self.budget,
            self.weights,
            self.loss,
            self.seed,
            self.device,
            self.watch,
            self.dtype,
            self.hints,
        )

    @property
    def archives(self) -> list[Archive]:
        """What has been found, one for each output."""
        return self._bench.archives

    @property
    def open(self) -> list[int]:
        """Outputs that are worth going on with."""
        return self._bench.open

    def law_in_noise(self, output: int) -> Candidate | None:
        """The equation that says all of an output but what can't be told from independent errors, if there is one."""
        return self._bench.law_in_noise(output)

    def offer(self, output: int, exprs: Sequence[Expr]) -> None:
        """Candidates from elsewhere: fitted, cleaned and kept if they are good."""
        self._bench.offer(output, exprs)

    def sketch(self) -> None:
        """The first, cheap stages for every output, solved or not: simple approximations."""
        self._bench.sketch()

    def run(self, enough: Enough | None = None) -> list[Archive]:
        """Search until every output is done, the budget is spent or time is up; one archive per output.

        Args:
            enough: asked before the first stage and after every one, of the outputs that are not done.
        """
        try:
            self._judge(enough, Phase.OFFERED)
            stages = schedule(
                self.budget.rounds, len(self.archives), self._bench.choices.kinks, len(self.hints), self.budget.small
            )
            for number, stage in enumerate(stages, 1):
                if not self.open or self.watch.checkpoint():
                    break
                stage.run(self._bench)
                if stage.measured:
                    self._bench.measure()
                self._bench.settle()
                self._judge(enough, stage.after)
                if self.report is not None:
                    self.report(stage.name, number, len(stages))
            self.stop_reason = self._reason()
        except KeyboardInterrupt:
            self.stop_reason = "interrupted"
        return self.archives

    def finish(self) -> None:
        """A last look at the front of every output; see :mod:`.finishing`."""
        for archive in self.archives:
            finish(archive, self.watch.checkpoint)

    def _judge(self, enough: Enough | None, phase: Phase) -> None:
        if enough is not None:
            self._bench.close(k for k in self.open if enough(k, self.archives[k], phase))

    def _reason(self) -> str:
        if all(archive.is_exact for archive in self.archives):
            return "exact"
        if self.watch.out_of_time():
            return "timeout"
        if self.budget.goal > 0.0 and all(a.best * a.scale <= self.budget.goal for a in self.archives):
            return "early_stop_condition"
        return "budget" if self.open else "converged"


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
