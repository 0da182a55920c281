"""The search for one task, from its rows to its fronts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from symtorch.capture.rows import Counted
from symtorch.engines.native.fitting.archive import Archive, Candidate
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.fitting.losses import parse_loss
from symtorch.engines.native.fitting.slopes import Slopes
from symtorch.engines.native.flat.search import Budget, FlatSearch
from symtorch.engines.native.flat.watch import Watch
from symtorch.engines.native.forms.tuning import FormsTuning
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.hardware import device
from symtorch.engines.native.structure.asking import ask_teacher, evidence_of, law_found, those_that_hold
from symtorch.engines.native.structure.decompose import Laws
from symtorch.engines.native.structure.other_functions import look_for_others
from symtorch.engines.native.structure.rows import laws_of_products, laws_of_rows
from symtorch.engines.native.structure.tuning import is_formula
from symtorch.engines.native.task import Found, Task, TaskTuning, TeacherView
from symtorch.engines.native.tuning import current
from symtorch.engines.samples import Samples
from symtorch.equations.expr import Expr, Variable, substitute
from symtorch.equations.worth import stands_out

_SEARCHING = 0.9
"""Share of a limit that goes to the search where a fit to more rows follows."""

FULL_BUDGET = 400
"""``niterations`` that stand for the full budget (the library's default)."""


class Runner:
    """The search for a task.

    Args:
        task: what to do.
        seconds: wall-clock limit; None for none.
        report: called after every stage; see :class:`.FlatSearch`.
        news: called about every second with what there is so far; see :class:`.Watch`.
    """

    def __init__(
        self,
        task: Task,
        seconds: float | None = None,
        report: Callable[[str, int, int], None] | None = None,
        news: Callable[[Found], None] | None = None,
    ) -> None:
        self.task = task
        self._report = report
        self._ended = False
        self._interrupted = False
        self._asked: tuple[Laws | None, ...] = (None,) * len(task.outputs)
        self.rows_asked = 0
        options = task.options
        self._loss = parse_loss(options.elementwise_loss)
        budget = Budget(
            rounds=round(current(TaskTuning).full_rounds * options.niterations / FULL_BUDGET),
            goal=float(options.early_stop_condition or 0.0),
            seconds=None if seconds is None else seconds * (1.0 if task.polished is None else _SEARCHING),
        )
        self._polishing = Watch(seconds)
        self._search = FlatSearch(
            task.fitted.X,
            task.fitted.Y,
            Vocabulary(options),
            budget,
            task.fitted.weights,
            self._loss,
            task.seed,
            device(),
            report,
            None if news is None else lambda: news(self.found()),
            task.fitted.dtype,
            (self._by_products, self._by_interpolant) if self._by_rows_alone else (),
        )

    @property
    def _by_rows_alone(self) -> bool:
        """Whether nobody can be asked, and all rows count alike."""
        fitted = self.task.fitted
        return fitted.teacher is None and fitted.weights is None and self._loss.is_squared

    def _by_products(self, position: int, stopped: Callable[[], bool]) -> Sequence[Expr]:
        fitted = self.task.fitted
        return laws_of_products(fitted.X, fitted.Y[:, position], self.task.options, self.task.seed, stopped)

    def _by_interpolant(self, position: int, stopped: Callable[[], bool]) -> Sequence[Expr]:
        fitted = self.task.fitted
        return laws_of_rows(fitted.X, fitted.Y[:, position], self.task.options, self.task.seed, stopped)

    def run(self) -> None:
        """Structure by asking where there is a teacher, then the flat search, then a fit to more rows."""
        try:
            for position, exprs in enumerate(self.task.guesses):
                self._search.offer(position, exprs)
            laws = self._laws()
            if laws is not None and self._report is not None:
                self._report("structure", 0, 1)
            if laws is not None and not self._search.watch.out_of_time():
                self._search.sketch()
        except KeyboardInterrupt:
            self._interrupted = True
        else:
            self._search.run(None if laws is None else law_found(laws))
        if not self.interrupted:
            self._finish()
        if self.task.polished is not None:
            self._polish(self.task.polished)
        if not self.interrupted:
            self._write_readably()
        self._heed_slopes()
        self._ended = True

    def ask(self) -> tuple[Laws | None, ...]:
        """Ask the teacher for the structure of every output, and keep the laws."""
        task = self.task
        teacher = task.fitted.teacher
        assert teacher is not None
        partial = isinstance(teacher, TeacherView) and teacher.reference is not None
        counted = Counted(teacher)
        fitted = replace(task.fitted, teacher=counted)
        try:
            laws = ask_teacher(self._search, fitted, range(len(task.outputs)), task.options, task.seed, partial)
        finally:
            self.rows_asked = counted.rows
        self._asked = tuple(those_that_hold(laws, task.fitted if task.polished is None else task.polished))
        return self._asked

    def _laws(self) -> tuple[Laws | None, ...] | None:
        laws = self.task.laws
        if laws is None:
            return None if self.task.fitted.teacher is None else self.ask()
        self._asked, self.rows_asked = laws, self.task.rows_asked
        for position, law in enumerate(laws):
            if law is not None:
                self._search.offer(position, law.exprs)
        return laws

    def _finish(self) -> None:
        try:
            self._search.finish()
            for archive, laws in zip(self._search.archives, self._asked, strict=True):
                if laws is not None and not is_formula(laws.floor):
                    look_for_others(archive, self._search.watch.checkpoint)
        except KeyboardInterrupt:
            self._interrupted = True

    def _polish(self, samples: Samples) -> None:
        """Refit the fronts on more rows than the search could afford."""
        for archive, y in zip(self._search.archives, samples.Y.T, strict=True):
            if self._polishing.out_of_time():
                return
            data = Rows.of(samples.X, y, samples.weights)
            for complexity, candidate in list(archive.front.items()):
                expr, found = fit(candidate.expr, data, self._loss, current(TaskTuning).polish_steps)
                tree = archive.words.legal(expr)
                if tree is None or not np.isfinite(found) or archive.words.options.complexity(tree) != complexity:
                    continue
                if archive.runs(tree, found / archive.scale):
                    archive.front[complexity] = replace(candidate, expr=expr, tree=tree, loss=found / archive.scale)

    def _write_readably(self) -> None:
        """Put the picks into the form that reads best; see :mod:`.forms.reading`."""
        archives = self._search.archives
        share = min(1.0, current(FormsTuning).read_in_full / len(archives))
        try:
            for k, archive in enumerate(archives):
                if self._polishing.out_of_time():
                    return
                archive.write_readably(*self._pick(k, archive), share=share)
        except KeyboardInterrupt:
            self._interrupted = True

    def _pick(self, k: int, archive: Archive) -> tuple[Candidate | None, bool]:
        """What will be the default pick of output k, and whether it is seen to be a law."""
        rule = self.task.options.model_selection
        picked = archive.picked(rule)
        if self.task.fitted.teacher is None and not archive.is_exact:
            law = self._search.law_in_noise(k)
            return (law if rule == "law" and law is not None else picked), law is not None
        if picked is None:
            return None, False
        front = archive.pareto()
        return picked, stands_out([c.tree for c in front], [c.loss for c in front], front.index(picked))

    def _heed_slopes(self) -> None:
        """Where derivatives are known, the last word is theirs too; see :mod:`.fitting.slopes`."""
        samples = self.task.fitted
        if samples.gradients is None:
            return
        try:
            for k, archive in enumerate(self._search.archives):
                slopes = Slopes.of(samples.X, samples.Y[:, k], samples.gradients[:, k], samples.weights)
                archive.heed_slopes(slopes, self._polishing.out_of_time)
        except KeyboardInterrupt:
            self._interrupted = True

    # ---- what there is, at any time

    @property
    def interrupted(self) -> bool:
        return self._interrupted or self._search.stop_reason == "interrupted"

    @property
    def best(self) -> tuple[float, ...]:
        """Least loss of each output so far, as a share of the best constant's."""
        return tuple(archive.best for archive in self._search.archives)

    def found(self) -> Found:
        inputs = [Variable(i) for i in self.task.columns]
        trees = tuple(
            tuple(substitute(candidate.tree, inputs) for candidate in archive.pareto())
            for archive in self._search.archives
        )
        reasons = tuple(self._reason(position, archive) for position, archive in enumerate(self._search.archives))
        beyond = (None if laws is None else laws.beyond for laws in self._asked)
        return Found(
            self.task.outputs,
            trees,
            self.best,
            reasons,
            evidence_of(self._asked, self.rows_asked),
            tuple(None if law is None else substitute(law, inputs) for law in beyond),
        )

    def _reason(self, position: int, archive: Archive) -> str:
        """Why the search of this output ended, whatever became of the others."""
        search = self._search
        if archive.is_exact:
            return "exact"
        if search.budget.goal > 0.0 and archive.best * archive.scale <= search.budget.goal:
            return "early_stop_condition"
        if position not in search.open:
            return "converged"
        return search.stop_reason if self._ended and not self._interrupted else "interrupted"
