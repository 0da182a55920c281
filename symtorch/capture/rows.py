"""Samples of a block's inputs and outputs, and the block as a function of them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from symtorch.capture.calls import Layout, find_output
from symtorch.capture.moments import Halves
from symtorch.capture.undisturbed import undisturbed
from symtorch.errors import AskLimitError, InputError

logger = logging.getLogger("symtorch.capture")

Block = nn.Module | Callable[..., Any]

Teacher = Callable[[np.ndarray], np.ndarray]
"""The block as a function of the samples' columns: (n, n_inputs) -> (n, n_outputs), float64."""

TEACHER_BATCH = 65_536
"""Rows that a teacher gives the block at once."""

TRIAL_ROWS = 256
"""Captured rows that a block is asked for again, to see whether it is a function of its rows."""

TIMED_ROWS = 8
"""Captured rows that a block is asked for to see how long it takes."""

Trouble = Literal["", "random", "company", "otherwise", "refused", "arguments", "limit", "dear", "off"]
"""Why a block is not asked; see :class:`Trial`."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What has come of asking a block for rows that it was seen to answer.

    Attributes:
        teacher: the block as a function of X's columns, or None where it can't or isn't to be asked.
        trouble: why there is none: "random", the same rows in the same order get other answers; "company",
            a row's answer depends on the rows beside it; "otherwise", the answers are not those that were
            captured; "refused", it can't be called with rows alone; "arguments", it has some that are no
            tensors; "limit", too few rows may be asked; "dear", it takes longer than that.
        rows: that it was asked for.
        seconds: that a row took; 0 where that was not measured.
    """

    teacher: Teacher | None
    trouble: Trouble = ""
    rows: int = 0
    seconds: float = 0.0


class Counted:
    """A teacher that counts the rows it is asked for, and refuses what is beyond a limit.

    >>> double = Counted(lambda X: 2 * X, limit=5)
    >>> double(np.ones((3, 1))).shape, double.rows
    ((3, 1), 3)

    Args:
        teacher: that answers.
        limit: rows that it may be asked for; None for any number.

    Raises:
        AskLimitError: a question, when it is called, of more rows than are left.
    """

    def __init__(self, teacher: Teacher, limit: int | None = None) -> None:
        self.teacher = teacher
        self.limit = limit
        self.rows = 0

    def __call__(self, X: np.ndarray) -> np.ndarray:
        if self.limit is not None and self.rows + len(X) > self.limit:
            raise AskLimitError(
                f"{self.rows} of {self.limit} rows have been asked, and {len(X)} more were to be; pass ask=True, or "
                f"a larger number."
            )
        self.rows += len(X)
        return self.teacher(X)


@dataclass(frozen=True, eq=False)
class Captured:
    """Samples of one block's inputs and outputs, in the order in which they came.

    Attributes:
        X: (n_rows, n_inputs), float64.
        Y: (n_rows, n_outputs), float64.
        rows: (n_rows,), number of each row in the order of all rows seen; it picks a user's weights.
        n_seen: rows that went through the block in all.
        layout: what the columns of X are as arguments of the block, and those of Y in its result.
        halves: moments of all rows seen that aren't held out; None where they weren't asked for.
    """

    X: np.ndarray
    Y: np.ndarray
    rows: np.ndarray
    n_seen: int
    layout: Layout
    halves: Halves | None = None

    @property
    def n_rows(self) -> int:
        return len(self.X)

    def rows_of(self, values: np.ndarray, what: str = "weights") -> np.ndarray:
        """Of values for all rows seen (n_seen, ...), such as weights, those of the rows kept here.

        Args:
            what: they are called in an error.

        Raises:
            InputError: there is not one value for each row seen.
        """
        values = np.asarray(values)
        if values.ndim == 0 or len(values) != self.n_seen:
            raise InputError(
                f"{np.size(values) if values.ndim == 0 else len(values)} {what} for {self.n_seen} rows of data; "
                f"give one {what.removesuffix('s')} per row."
            )
        return values[self.rows]

    def teacher(self, block: Block) -> Teacher | None:
        """The block as a function of X's columns, or None where its rows can't be asked for one by one."""
        return self.trial(block).teacher

    def answered_by(self, block: Block) -> Captured:
        """The same rows with the answers of another block, which is called in the same way.

        Raises:
            InputError: it can't be, or its answers have another shape or are not finite.
        """
        problem: Exception | str = "it was captured with arguments that are no tensors"
        for full_rank in (False, True) if self.layout.complete else ():
            try:
                Y = _teacher(block, self, full_rank)(self.X)
            except Exception as error:  # whatever a block raises when it is called in a way it does not know
                problem = error
                continue
            if np.isfinite(Y).all():
                return replace(self, Y=Y, halves=None)
            problem = f"{int((~np.isfinite(Y)).any(axis=1).sum())} of {len(Y)} answers are NaN or infinite"
        raise InputError(
            f"{type(block).__name__} can't answer the rows that were captured ({problem}). Pass blocks that are called "
            f"as the first one is, and return as many outputs."
        )

    def trial(self, block: Block, limit: int | None = None, dear: float = math.inf) -> Trial:
        """The block as a function of X's columns, tried out.

        It is asked again for captured rows, in another order and company; a block that mixes samples
        (attention), draws random numbers or remembers earlier calls gives another answer, and is no
        teacher.

        Args:
            limit: rows that it may be asked for; None for any number.
            dear: seconds a row from which on it is not asked.
        """
        if not self.layout.complete:
            return Trial(None, "arguments")
        n = min(TRIAL_ROWS, self.n_rows if limit is None else limit // 10)  # at most 8 times n are asked below
        if n < 2 <= self.n_rows:
            return Trial(None, "limit")
        rows = np.random.default_rng(0).permutation(self.n_rows)[:n]
        trials = (rows, rows[: len(rows) // 2 or 1][::-1])
        asked, seconds = 0, 0.0
        for full_rank in (False, True):
            teacher = Counted(_teacher(block, self, full_rank))
            try:
                if dear < math.inf:
                    seconds = _seconds(teacher, self.X[rows[:TIMED_ROWS]], dear)
                    if seconds > dear:
                        return Trial(None, "dear", asked + teacher.rows, seconds)
                if all(self._agrees(teacher(self.X[trial]), trial) for trial in trials):
                    return Trial(teacher.teacher, "", asked + teacher.rows, seconds)
            except Exception as error:  # whatever a block raises when it is called in a way it does not know
                logger.debug("the block can't be asked row by row: %s", error)
            asked += teacher.rows
        trouble, more = self._trouble(block, rows)
        return Trial(None, trouble, asked + more, seconds)

    def _trouble(self, block: Block, rows: np.ndarray) -> tuple[Trouble, int]:
        """Why the block does not answer these rows as it did, and how many were asked to find out."""
        asked = 0
        fewer = rows[: len(rows) // 2 or 1][::-1]
        for full_rank in (False, True):
            ask = Counted(_asking(block, self, full_rank))
            try:
                with undisturbed(*_modules(block)):  # around both, for each call begins with the same random state
                    once, again, others = ask(self.X[rows]), ask(self.X[rows]), ask(self.X[fewer])
            except Exception as error:
                logger.debug("the block can't be asked row by row: %s", error)
                asked += ask.rows
                continue
            asked += ask.rows
            if not self._same(once, again):
                return "random", asked
            # Asked for alone, a row of a sequence has lost the company that it was captured in.
            of_sequences = any(argument.rank + argument.scalar > 2 for argument in self.layout.arguments)
            if of_sequences or not self._same(once[: len(fewer)][::-1], others):
                return "company", asked
            return "otherwise", asked
        return "refused", asked

    def _agrees(self, answer: np.ndarray, rows: np.ndarray) -> bool:
        return self._same(answer, self.Y[rows])

    def _same(self, one: np.ndarray, other: np.ndarray) -> bool:
        tolerance = torch.finfo(self.layout.result.dtype).eps ** 0.5 * np.abs(self.Y).max(axis=0, initial=1e-300)
        return one.shape == other.shape and bool((np.abs(one - other) <= tolerance).all())


def _seconds(teacher: Teacher, X: np.ndarray, dear: float) -> float:
    """Seconds a row of X takes; where that is much, the lesser of two tries, since the first may set things up."""
    best = math.inf
    for _ in range(2):
        began = time.perf_counter()
        teacher(X)
        best = min(best, (time.perf_counter() - began) / len(X))
        if best <= dear:
            break
    return best


def _modules(block: Block) -> list[nn.Module]:
    return [block] if isinstance(block, nn.Module) else []


def _teacher(block: Block, captured: Captured, full_rank: bool) -> Teacher:
    ask, modules = _asking(block, captured, full_rank), _modules(block)

    def teacher(X: np.ndarray) -> np.ndarray:
        with undisturbed(*modules):
            return ask(X)

    return teacher


def _asking(block: Block, captured: Captured, full_rank: bool) -> Teacher:
    """The block on rows, in whatever mode it is."""
    layout, n_outputs = captured.layout, captured.Y.shape[1]  # no more than these, so that it can be sent away

    def ask(X: np.ndarray) -> np.ndarray:
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != layout.n_inputs:
            raise InputError(f"X has shape {X.shape}; expected (n_samples, {layout.n_inputs}).")
        answers = [np.empty((0, n_outputs))]
        for start in range(0, len(X), TEACHER_BATCH):
            rows = X[start : start + TEACHER_BATCH]
            output, _ = find_output(layout.call(block, rows, full_rank), layout.result.index)
            if output.shape[0] != len(rows) or output.numel() != n_outputs * len(rows):
                raise InputError(f"the block returned shape {tuple(output.shape)} for {len(rows)} rows.")
            answers.append(output.reshape(len(rows), -1).to("cpu", torch.float64).numpy())
        return np.concatenate(answers)

    return ask
