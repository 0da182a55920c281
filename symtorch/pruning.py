"""Pruning: a block learns to say what it has to say in fewer outputs, which are then easier to distill.

Over the first part of training the number of outputs that count goes down along a schedule; those of
the greatest importance stay, the others are zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symtorch.errors import InputError

Importance = Callable[[Tensor], Any]
"""(n_rows, n_outputs) -> (n_outputs,): how much each output matters."""

MAX_ROWS = 100_000
"""Rows that importance is judged on, at most."""

# Share of the outputs to be pruned that is gone at progress p in [0, 1).
_DECAY: dict[str, Callable[[float], float]] = {
    "exp": lambda p: (1 - math.exp(-3 * p)) / (1 - math.exp(-3)),
    "linear": lambda p: p,
    "cosine": lambda p: 1 - 0.5 * (1 + math.cos(math.pi * p)),
}


def schedule(
    initial_dim: int, target_dim: int, total_steps: int, end_step_frac: float = 0.5, decay_rate: str = "exp"
) -> dict[int, int]:
    """Number of outputs to keep at each step of training.

    With p = step / end, where end = int(end_step_frac * total_steps), what is left of
    span = initial_dim - target_dim falls as

    - ``exp``: initial_dim - ceil(span * (1 - e^(-3p)) / (1 - e^-3))
    - ``linear``: initial_dim - ceil(span * p)
    - ``cosine``: initial_dim - ceil(span * (1 - (1 + cos(pi p)) / 2))

    never under the target; from the end step on it is the target.

    >>> schedule(8, 2, total_steps=8, decay_rate="linear")
    {0: 8, 1: 6, 2: 5, 3: 3, 4: 2, 5: 2, 6: 2, 7: 2}

    Raises:
        InputError: numbers that make no schedule.
    """
    for name, value in (("initial_dim", initial_dim), ("target_dim", target_dim), ("total_steps", total_steps)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise InputError(f"{name} is {value!r}; expected an integer of at least 1.")
    if target_dim > initial_dim:
        raise InputError(f"target_dim {target_dim} is more than initial_dim {initial_dim}; pruning only takes away.")
    if not 0 <= end_step_frac <= 1:
        raise InputError(f"end_step_frac is {end_step_frac!r}; expected a share of the steps, 0 to 1.")
    if decay_rate not in _DECAY:
        raise InputError(f"decay_rate is {decay_rate!r}; expected one of {', '.join(map(repr, _DECAY))}.")
    end, span = int(end_step_frac * total_steps), initial_dim - target_dim
    decay = _DECAY[decay_rate]
    left = {step: max(initial_dim - math.ceil(span * decay(step / end)), target_dim) for step in range(end)}
    return left | dict.fromkeys(range(end, total_steps), target_dim)


def standard_deviation(outputs: Tensor) -> Tensor:
    """The default importance: how much each output (n_rows, n_outputs) varies over the rows."""
    return outputs.std(dim=0)


def keep(importance: Tensor, n_kept: int) -> Tensor:
    """A mask of the ``n_kept`` outputs of greatest importance (n_outputs,); of equals the first ones.

    >>> keep(torch.tensor([0.1, 3.0, 2.0]), 2)
    tensor([False,  True,  True])
    """
    mask = torch.zeros(len(importance), dtype=torch.bool)
    mask[torch.argsort(importance, descending=True, stable=True)[:n_kept]] = True
    return mask


def masked(output: Any, mask: Tensor) -> Any:
    """The output (..., n_outputs) with zeros where the mask is False; no gradient flows there.

    Raises:
        InputError: the output is not one tensor of that width.
    """
    if isinstance(output, np.ndarray):
        return np.where(mask.cpu().numpy(), output, 0).astype(output.dtype)
    if not isinstance(output, Tensor) or output.dim() == 0 or output.shape[-1] != len(mask):
        what = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InputError(f"pruning was set up for {len(mask)} outputs in the last dimension; the block gave {what}.")
    return output.masked_fill(~mask.to(output.device), 0)


@dataclass(frozen=True)
class Pruning:
    """How far the pruning of a block is.

    Attributes:
        mask: (initial_dim,), True where an output is kept.
        schedule: {step: number of outputs kept}.
        initial_dim: number of outputs before.
        target_dim: number of outputs in the end.
        current_dim: number of outputs kept at the latest step.
        pruned_at: (initial_dim,), for each output the step since which it is zero; None for those that are kept, and
            where that is not known.
        latest: the latest step; None before the first.
    """

    mask: Tensor = field(repr=False)
    schedule: dict[int, int]
    initial_dim: int
    target_dim: int
    current_dim: int
    pruned_at: tuple[int | None, ...] = ()
    latest: int | None = None

    @classmethod
    def start(cls, initial_dim: int, target_dim: int, total_steps: int, end_step_frac: float, decay: str) -> Pruning:
        """Nothing pruned yet; the arguments are those of :func:`schedule`."""
        steps = schedule(initial_dim, target_dim, total_steps, end_step_frac, decay)
        everything = torch.ones(initial_dim, dtype=torch.bool)
        return cls(everything, steps, initial_dim, target_dim, initial_dim, (None,) * initial_dim)

    def at(self, step: int, outputs: Tensor, importance: Importance | None = None) -> Pruning:
        """As many outputs kept as the schedule says for this step, the most important ones.

        Args:
            step: one of the schedule.
            outputs: (n_rows, initial_dim) of the block, before pruning.
            importance: (n_rows, n_outputs) -> (n_outputs,); None for the standard deviation.

        Raises:
            InputError: importance is not one number for each output.
        """
        values = torch.as_tensor((importance or standard_deviation)(outputs)).detach().to("cpu", torch.float64)
        if values.shape != self.mask.shape or values.isnan().any():
            raise InputError(
                f"importance is {values.tolist() if values.numel() < 20 else tuple(values.shape)}; expected one "
                f"number for each of {len(self.mask)} outputs, none of them NaN (the sample had {len(outputs)} rows)."
            )
        n_kept = self.schedule[step]
        mask = keep(values, n_kept)
        before = self.pruned_at or (None,) * len(mask)
        since = (None if kept else step if at is None else at for kept, at in zip(mask.tolist(), before, strict=True))
        return replace(self, mask=mask, current_dim=n_kept, pruned_at=tuple(since), latest=step)
