"""Samples of a block's inputs and outputs, and the block as a function of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from symtorch.capture.calls import Layout, find_output
from symtorch.capture.moments import Halves
from symtorch.capture.undisturbed import undisturbed
from symtorch.errors import InputError

logger = logging.getLogger("symtorch.capture")

Block = nn.Module | Callable[..., Any]

Teacher = Callable[[np.ndarray], np.ndarray]
"""The block as a function of the samples' columns: (n, n_inputs) -> (n, n_outputs), float64."""

TEACHER_BATCH = 65_536
"""Rows that a teacher gives the block at once."""


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

    def rows_of(self, values: np.ndarray) -> np.ndarray:
        """Of values for all rows seen (n_seen, ...), such as weights, those of the rows kept here.

        Raises:
            InputError: there is not one value for each row seen.
        """
        values = np.asarray(values)
        if values.ndim == 0 or len(values) != self.n_seen:
            raise InputError(
                f"{np.size(values) if values.ndim == 0 else len(values)} weights for {self.n_seen} rows of data; "
                f"give one weight per row."
            )
        return values[self.rows]

    def teacher(self, block: Block) -> Teacher | None:
        """The block as a function of X's columns, or None where its rows can't be asked for one by one.

        It is asked again for captured rows, in another order and company; a block that mixes samples
        (attention), draws random numbers or remembers earlier calls gives another answer, and is no
        teacher.
        """
        if not self.layout.complete:
            return None
        rows = np.random.default_rng(0).permutation(self.n_rows)[:256]
        trials = (rows, rows[: len(rows) // 2 or 1][::-1])
        for full_rank in (False, True):
            teacher = _teacher(block, self, full_rank)
            try:
                if all(self._agrees(teacher(self.X[trial]), trial) for trial in trials):
                    return teacher
            except Exception as error:  # whatever a block raises when it is called in a way it does not know
                logger.debug("the block can't be asked row by row: %s", error)
        return None

    def _agrees(self, answer: np.ndarray, rows: np.ndarray) -> bool:
        tolerance = torch.finfo(self.layout.result.dtype).eps ** 0.5 * np.abs(self.Y).max(axis=0, initial=1e-300)
        return answer.shape == self.Y[rows].shape and bool((np.abs(answer - self.Y[rows]) <= tolerance).all())


def _teacher(block: Block, captured: Captured, full_rank: bool) -> Teacher:
    modules = [block] if isinstance(block, nn.Module) else []
    layout, n_outputs = captured.layout, captured.Y.shape[1]  # no more than these, so that it can be sent away

    def teacher(X: np.ndarray) -> np.ndarray:
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != layout.n_inputs:
            raise InputError(f"X has shape {X.shape}; expected (n_samples, {layout.n_inputs}).")
        answers = [np.empty((0, n_outputs))]
        with undisturbed(*modules):
            for start in range(0, len(X), TEACHER_BATCH):
                rows = X[start : start + TEACHER_BATCH]
                output, _ = find_output(layout.call(block, rows, full_rank), layout.result.index)
                if output.shape[0] != len(rows) or output.numel() != n_outputs * len(rows):
                    raise InputError(f"the block returned shape {tuple(output.shape)} for {len(rows)} rows.")
                answers.append(output.reshape(len(rows), -1).to("cpu", torch.float64).numpy())
        return np.concatenate(answers)

    return teacher
