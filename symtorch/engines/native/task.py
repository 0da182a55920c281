"""One share of a search: some outputs on some inputs, from their rows to their fronts.

A :class:`Task` says what is to be done in plain data, so that it can be sent to another process;
:class:`Part` does it, wherever that is; :class:`Found` is what comes of it, plain data again.

The outputs of a task share its bank, and may offer each other what they find. How a group of outputs is
divided into tasks can thus show in what is found; the same task finds the same wherever it is done.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.fitting.losses import parse_loss
from symtorch.engines.native.flat.search import Budget, FlatSearch
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.screening import Group
from symtorch.engines.native.structure.asking import ask_teacher, close_at_bend, close_solved
from symtorch.engines.native.structure.decompose import Laws
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import MIN_SAMPLES, Samples, Teacher
from symtorch.equations.expr import Expr, Variable, substitute, variables
from symtorch.errors import OptionError

logger = logging.getLogger("symtorch.engines.native")

FULL_BUDGET = 400
"""``niterations`` that stand for the full budget (the library's default)."""

_FULL_ROUNDS = 24
_FIT_ROWS = 4096
_POLISH_ROWS = 65536
_GPU_ROOM = 1 << 30
"""Bytes that must be free on a GPU for the search to go there."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Share:
    """A teacher of some columns of the whole X and Y; it is asked with the other inputs at their medians.

    Attributes:
        whole: the teacher of all.
        reference: the medians; None where ``columns`` are all inputs.
    """

    whole: Teacher
    columns: list[int]
    outputs: list[int]
    reference: np.ndarray | None

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        X = Z
        if self.reference is not None:
            X = np.tile(self.reference, (len(Z), 1))
            X[:, self.columns] = Z
        return np.asarray(self.whole(X))[:, self.outputs]


@dataclass(frozen=True, eq=False)
class Task:
    """What one part of a search has to do.

    Attributes:
        outputs, columns: which columns of the whole Y and X this is about.
        fitted: rows that the search fits to, of these outputs and columns only; its teacher, if there is
            one, is a :class:`Share`.
        polished: more rows, to fit the fronts to in the end; None if the search had all.
        options: the search space, over these columns.
        guesses: for each output, expressions to start from, over these columns.
        seed: of everything random.
        laws: for each output what asking the teacher has brought; None if nobody has asked yet.
    """

    outputs: tuple[int, ...]
    columns: tuple[int, ...]
    fitted: Samples
    polished: Samples | None
    options: SearchOptions
    guesses: tuple[tuple[Expr, ...], ...]
    seed: int
    laws: tuple[Laws | None, ...] | None = None

    @classmethod
    def make(
        cls, samples: Samples, members: Group, options: SearchOptions, guesses: dict[int, list[Expr]], seed: int
    ) -> Task:
        """The task for these outputs of the samples."""
        outputs = members.outputs
        mentioned = {i for k in outputs for guess in guesses[k] for i in variables(guess)}
        columns = tuple(sorted({*members.columns, *mentioned}))
        own = _share(samples, columns, outputs)
        fitted, polished = _rows_to_fit(samples, options, seed), None
        if len(fitted) < samples.n_samples:
            polished = replace(own.take(_rows_to_polish(samples.n_samples, seed)), teacher=None)
            own = own.take(fitted)
        return cls(
            outputs,
            columns,
            own,
            polished,
            _for_columns(options, columns, samples.n_inputs),
            tuple(tuple(_renumbered(guess, columns) for guess in guesses[k]) for k in outputs),
            seed,
        )

    def going_on_from(self, found: Found | None) -> Task:
        """The task with what was found for it before as further guesses."""
        if found is None:
            return self
        more = [[_renumbered(tree, self.columns) for tree in trees] for trees in found.trees]
        return replace(self, guesses=tuple((*old, *new) for old, new in zip(self.guesses, more, strict=True)))


@dataclass(frozen=True)
class Found:
    """What a part has found.

    Attributes:
        outputs: columns of the whole Y.
        trees: for each the front, over the columns of the whole X.
        best: for each the least loss, as a share of the best constant's.
        reasons: for each why its search ended; "interrupted" where it is still under way.
    """

    outputs: tuple[int, ...]
    trees: tuple[tuple[Expr, ...], ...]
    best: tuple[float, ...]
    reasons: tuple[str, ...]

    @property
    def done(self) -> list[int]:
        """The outputs with which there is nothing to go on."""
        ended = zip(self.outputs, self.reasons, strict=True)
        return [k for k, reason in ended if reason not in ("timeout", "interrupted")]


class _Search(FlatSearch):
    """A flat search with a pulse: called often while it runs, and whatever it raises ends the search."""

    pulse: Callable[[], None] | None = None

    def out_of_time(self) -> bool:
        if self.pulse is not None:
            self.pulse()
        return super().out_of_time()


class Part:
    """The search for a task.

    Args:
        task: what to do.
        seconds: wall-clock limit; None for none.
        report: called after every stage; see :class:`.FlatSearch`.
    """

    def __init__(self, task: Task, seconds: float | None = None, report: Report | None = None) -> None:
        self.task = task
        self._ended = False
        options = task.options
        self._loss = parse_loss(options.elementwise_loss)
        budget = Budget(
            rounds=round(_FULL_ROUNDS * options.niterations / FULL_BUDGET),
            goal=float(options.early_stop_condition or 0.0),
            seconds=seconds,
        )
        self._search = _Search(
            task.fitted.X,
            task.fitted.Y,
            Vocabulary(options),
            budget,
            task.fitted.weights,
            self._loss,
            task.seed,
            _device(),
            report,
        )

    def run(self, pulse: Callable[[], None] | None = None) -> None:
        """Structure by asking where there is a teacher, then the flat search, then a fit to more rows.

        Args:
            pulse: called often; KeyboardInterrupt raised in it ends the search.
        """
        self._search.pulse = pulse
        try:
            for position, exprs in enumerate(self.task.guesses):
                self._search.offer(position, exprs)
            laws = self._laws()
            if laws is not None:
                self._search.sketch()
                close_solved(self._search, laws)
                self._search.after_round = lambda: close_at_bend(self._search, laws)
        except KeyboardInterrupt:
            self._search.stop_reason = "interrupted"
        else:
            self._search.run()
        if self.task.polished is not None:
            self._polish(self.task.polished)
        self._ended = True

    def ask(self) -> tuple[Laws | None, ...]:
        """Ask the teacher for the structure of every output, and keep the laws."""
        task = self.task
        laws = ask_teacher(self._search, task.fitted, range(len(task.outputs)), task.options, task.seed)
        return tuple(laws)

    def _laws(self) -> tuple[Laws | None, ...] | None:
        laws = self.task.laws
        if laws is None:
            return None if self.task.fitted.teacher is None else self.ask()
        for position, law in enumerate(laws):
            if law is not None:
                self._search.offer(position, law.exprs)
        return laws

    def _polish(self, samples: Samples) -> None:
        """Refit the fronts on more rows than the search could afford."""
        for archive, y in zip(self._search.archives, samples.Y.T, strict=True):
            data = Rows.of(samples.X, y, samples.weights)
            for complexity, candidate in list(archive.front.items()):
                expr, found = fit(candidate.expr, data, self._loss, 5)
                tree = archive.words.legal(expr)
                if tree is not None and np.isfinite(found) and archive.words.options.complexity(tree) == complexity:
                    archive.front[complexity] = type(candidate)(expr, tree, complexity, found / archive.scale)

    # ---- what there is, at any time

    @property
    def interrupted(self) -> bool:
        return self._search.stop_reason == "interrupted"

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
        return Found(self.task.outputs, trees, self.best, reasons)

    def _reason(self, position: int, archive: Archive) -> str:
        """Why the search of this output ended, whatever became of the others."""
        search = self._search
        if archive.is_exact:
            return "exact"
        if search.budget.goal > 0.0 and archive.best * archive.scale <= search.budget.goal:
            return "early_stop_condition"
        if position not in search.open:
            return "converged"
        return search.stop_reason if self._ended else "interrupted"


def _for_columns(options: SearchOptions, columns: Sequence[int], n_inputs: int) -> SearchOptions:
    costs = options.complexity_of_variables
    if not isinstance(costs, tuple):
        return options
    if len(costs) != n_inputs:
        raise OptionError(f"complexity_of_variables has {len(costs)} numbers for {n_inputs} inputs.")
    return replace(options, complexity_of_variables=tuple(costs[i] for i in columns))


def _share(samples: Samples, columns: Sequence[int], outputs: Sequence[int]) -> Samples:
    """The samples with these inputs and outputs only."""
    teacher = samples.teacher
    if teacher is not None:
        reference = np.median(samples.X, axis=0) if len(columns) < samples.n_inputs else None
        teacher = Share(teacher, list(columns), list(outputs), reference)
    X = samples.X if len(columns) == samples.n_inputs else samples.X[:, list(columns)]
    Y = samples.Y if len(outputs) == samples.n_outputs else samples.Y[:, list(outputs)]
    names = tuple(samples.variable_names[i] for i in columns)
    indices = tuple(samples.output_indices[k] for k in outputs)
    return replace(samples, X=X, Y=Y, variable_names=names, teacher=teacher, output_indices=indices)


def _renumbered(expr: Expr, columns: Sequence[int]) -> Expr:
    place = {column: Variable(i) for i, column in enumerate(columns)}
    return substitute(expr, [place.get(i, Variable(i)) for i in range(max(columns) + 1)])


def _rows_to_fit(samples: Samples, options: SearchOptions, seed: int) -> np.ndarray:
    """Rows that the search fits to: all where there are few, else a random part; none of weight 0."""
    limit = _FIT_ROWS
    if options.batching is True:
        limit = max(100, options.batch_size or 1000)
    rows = np.arange(samples.n_samples)
    if samples.weights is not None and np.count_nonzero(samples.weights) >= MIN_SAMPLES:
        rows = rows[samples.weights > 0.0]
    if len(rows) > limit:
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    return rows


def _rows_to_polish(n: int, seed: int) -> np.ndarray:
    if n <= _POLISH_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed + 1).choice(n, _POLISH_ROWS, replace=False))


def _device() -> torch.device:
    """Where the bank lives: on the GPU if there is one with room beside the user's model."""
    if torch.cuda.is_available():
        try:
            free, _ = torch.cuda.mem_get_info()
        except RuntimeError as error:  # a driver without a device, another process's exclusive one
            logger.warning("the GPU can't be used (%s); searching on the CPU", error)
        else:
            if free >= _GPU_ROOM:
                return torch.device("cuda")
            logger.info("the GPU has %d MB free, too few; searching on the CPU", free >> 20)
    return torch.device("cpu")


_threads_lock = threading.Lock()
_threads_inside = 0
_threads_before = 1


@contextmanager
def one_thread() -> Iterator[None]:
    """The products are small: a second thread costs more than it brings.

    Several searches may run in threads of one process, and the setting is partly the process's: what it
    was before the first of them is put back.
    """
    global _threads_inside, _threads_before
    with _threads_lock:
        if _threads_inside == 0:
            _threads_before = torch.get_num_threads()
        _threads_inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _threads_lock:
            _threads_inside -= 1
            torch.set_num_threads(_threads_before)
