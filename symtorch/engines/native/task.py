"""What is searched for as one: some outputs on some inputs.

A :class:`Task` says what is to be done in plain data, so that it can be sent to another process; a
:class:`.Runner` does it, wherever that is; :class:`Found` is what comes of it, plain data again.

The outputs of a task share its bank, and may offer each other what they find. How a group of outputs is
divided into tasks can thus show in what is found; the same task finds the same wherever it is done.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from symtorch.engines.native.screening import Group
from symtorch.engines.native.structure.decompose import Laws
from symtorch.engines.native.tuning import current
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import MIN_SAMPLES, Samples, Teacher
from symtorch.equations.expr import Expr, Variable, substitute, variables
from symtorch.equations.verdict import Evidence

logger = logging.getLogger("symtorch.engines.native")


@dataclass(frozen=True)
class TaskTuning:
    """How many rows a task is searched on, and how long."""

    fit_rows: int = 4096
    """Rows that the search fits to; a random part where there are more. Twenty constants need no more."""
    polish_rows: int = 65536
    """Rows that the fronts are fitted to in the end: four times as exact as on the search's."""
    polish_steps: int = 5
    """Steps of that fit, which starts near its end."""
    full_rounds: int = 24
    """Rounds of refinement in the full budget. Most searches end before, by themselves."""


@dataclass(frozen=True, eq=False)
class TeacherView:
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
    """Outputs to search, and all that is needed for it.

    Attributes:
        outputs, columns: which columns of the whole Y and X this is about.
        fitted: rows that the search fits to, of these outputs and columns only; its teacher, if there is
            one, is a :class:`TeacherView`.
        polished: more rows, to fit the fronts to in the end; None if the search had all.
        options: the search space, over these columns.
        guesses: for each output, expressions to start from, over these columns.
        seed: of everything random.
        laws: for each output what asking the teacher has brought; None if nobody has asked yet.
        rows_asked: rows that it was asked for then, in all.
    """

    outputs: tuple[int, ...]
    columns: tuple[int, ...]
    fitted: Samples
    polished: Samples | None
    options: SearchOptions
    guesses: tuple[tuple[Expr, ...], ...]
    seed: int
    laws: tuple[Laws | None, ...] | None = None
    rows_asked: int = 0

    @classmethod
    def make(
        cls, samples: Samples, members: Group, options: SearchOptions, guesses: dict[int, list[Expr]], seed: int
    ) -> Task:
        """The task for these outputs of the samples."""
        outputs = members.outputs
        mentioned = {i for k in outputs for guess in guesses[k] for i in variables(guess)}
        columns = tuple(sorted({*members.columns, *mentioned}))
        own = _restricted(samples, columns, outputs)
        fitted, polished = _rows_to_fit(samples, options, seed), None
        if len(fitted) < samples.n_samples:
            polished = replace(own.take(_rows_to_polish(samples.n_samples, seed)), teacher=None)
            own = own.take(fitted)
        return cls(
            outputs,
            columns,
            own,
            polished,
            options.for_inputs(columns, samples.n_inputs),
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
    """What was found for a task.

    Attributes:
        outputs: columns of the whole Y.
        trees: for each the front, over the columns of the whole X.
        best: for each the least loss, as a share of the best constant's.
        reasons: for each why its search ended; "interrupted" where it is still under way.
        evidence: for each what asking its teacher has shown.
        beyond: for each a law that the options can't write, over the columns of the whole X; None for none.
    """

    outputs: tuple[int, ...]
    trees: tuple[tuple[Expr, ...], ...]
    best: tuple[float, ...]
    reasons: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()
    beyond: tuple[Expr | None, ...] = ()

    @property
    def done(self) -> list[int]:
        """The outputs with which there is nothing to go on."""
        ended = zip(self.outputs, self.reasons, strict=True)
        return [k for k, reason in ended if reason not in ("timeout", "interrupted")]


def _restricted(samples: Samples, columns: Sequence[int], outputs: Sequence[int]) -> Samples:
    """The samples with these inputs and outputs only."""
    teacher = samples.teacher
    if teacher is not None:
        reference = np.median(samples.X, axis=0) if len(columns) < samples.n_inputs else None
        teacher = TeacherView(teacher, list(columns), list(outputs), reference)
    X = samples.X if len(columns) == samples.n_inputs else samples.X[:, list(columns)]
    Y = samples.Y if len(outputs) == samples.n_outputs else samples.Y[:, list(outputs)]
    names = tuple(samples.variable_names[i] for i in columns)
    indices = tuple(samples.output_indices[k] for k in outputs)
    limit = samples.asking.limit
    share = None if limit is None else limit * len(outputs) // samples.n_outputs
    asking = replace(samples.asking, limit=share)
    gradients = None if samples.gradients is None else samples.gradients[:, list(outputs)][:, :, list(columns)]
    return replace(
        samples,
        X=X,
        Y=Y,
        variable_names=names,
        teacher=teacher,
        output_indices=indices,
        asking=asking,
        gradients=gradients,
    )


def _renumbered(expr: Expr, columns: Sequence[int]) -> Expr:
    place = {column: Variable(i) for i, column in enumerate(columns)}
    return substitute(expr, [place.get(i, Variable(i)) for i in range(max(columns) + 1)])


def _rows_to_fit(samples: Samples, options: SearchOptions, seed: int) -> np.ndarray:
    """Rows that the search fits to: all where there are few, else a random part; none of weight 0."""
    limit = current(TaskTuning).fit_rows
    if options.batching is True:
        limit = max(100, options.batch_size or 1000)
    rows = np.arange(samples.n_samples)
    if samples.weights is not None and np.count_nonzero(samples.weights) >= MIN_SAMPLES:
        rows = rows[samples.weights > 0.0]
    if len(rows) > limit:
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    return rows


def _rows_to_polish(n: int, seed: int) -> np.ndarray:
    most = current(TaskTuning).polish_rows
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed + 1).choice(n, most, replace=False))
