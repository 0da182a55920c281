"""Pruning: a block learns to say what it has to say in fewer outputs, which are then easier to distill.

Over the first part of training the number of outputs that count goes down along a schedule; those of
the greatest importance stay, the others are zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from symtorch.capture import capture
from symtorch.errors import InputError, NotSetUpError

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


class Prunable(nn.Module):
    """What :class:`symtorch.SymbolicModel` knows of pruning.

    Attributes:
        pruning_mask: (initial_dim,), True where an output is kept; None before :meth:`setup_pruning`.
        pruning_schedule: {step: number of outputs kept}.
        initial_dim, target_dim, current_dim: number of outputs before, after and at the latest step.
    """

    symtorch_block: Any
    block_name: str
    pruning_mask: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        # It is part of the extra state: a buffer that comes and goes would make the keys of state dicts differ.
        self.register_buffer("pruning_mask", None, persistent=False)
        self.pruning_schedule: dict[int, int] | None = None
        self.initial_dim: int | None = None
        self.target_dim: int | None = None
        self.current_dim: int | None = None

    def setup_pruning(
        self, initial_dim: int, target_dim: int, total_steps: int, end_step_frac: float = 0.5, decay_rate: str = "exp"
    ) -> None:
        """Make the schedule by which the block's outputs are pruned during training.

        Args:
            initial_dim: number of the block's outputs.
            target_dim: how many of them are left in the end.
            total_steps: steps of training.
            end_step_frac: share of the steps after which the target is reached.
            decay_rate: "exp", "linear" or "cosine"; see :func:`symtorch.pruning.schedule`.

        Raises:
            InputError: the block is a plain callable, or the numbers make no schedule.
        """
        if not isinstance(self.symtorch_block, nn.Module):
            raise InputError(f"{self.block_name!r} wraps a plain callable, which does not learn; prune an nn.Module.")
        self.pruning_schedule = schedule(initial_dim, target_dim, total_steps, end_step_frac, decay_rate)
        self.initial_dim, self.target_dim, self.current_dim = initial_dim, target_dim, initial_dim
        device = next((t.device for t in (*self.parameters(), *self.buffers())), None)
        self.pruning_mask = torch.ones(initial_dim, dtype=torch.bool, device=device)

    def prune(
        self, step: int, sample_data: Any, parent_model: nn.Module | None = None, importance: Importance | None = None
    ) -> None:
        """Keep as many outputs as the schedule says for this step of training, the most important ones.

        A step that is not in the schedule changes nothing. Modes and gradients of the model stay as they are.

        Args:
            step: number of the training step.
            sample_data: what the block is called with, or ``parent_model`` if there is one, as for
                :meth:`symtorch.SymbolicModel.distill`; importance is judged on it.
            parent_model: the model that calls the block.
            importance: (n_rows, n_outputs) -> (n_outputs,), on the block's outputs before pruning;
                None for their standard deviation.

        Raises:
            RuntimeError: pruning was not set up.
            InputError: the block does not have ``initial_dim`` outputs, or importance is not one number for each.
        """
        mask = self._mask()
        assert self.pruning_schedule is not None
        n_kept = self.pruning_schedule.get(int(step))
        if n_kept is None:
            return
        block = {self.block_name: self.symtorch_block}
        with self._calling_block():
            captured = capture(block, sample_data, model=parent_model, max_rows=MAX_ROWS)[self.block_name]
        outputs = torch.from_numpy(captured.Y)
        self._active_outputs(outputs.shape[1])
        values = torch.as_tensor((importance or standard_deviation)(outputs)).detach().to("cpu", torch.float64)
        if values.shape != mask.shape or values.isnan().any():
            raise InputError(
                f"importance is {values.tolist() if values.numel() < 20 else tuple(values.shape)}; expected one "
                f"number for each of {len(mask)} outputs, none of them NaN (the sample had {len(outputs)} rows)."
            )
        with torch.no_grad():
            mask.copy_(keep(values, n_kept))
        self.current_dim = n_kept

    def get_active_dimensions(self) -> list[int]:
        """Indices of the outputs that are kept.

        Raises:
            RuntimeError: pruning was not set up.
        """
        return torch.where(self._mask())[0].tolist()

    def _active_outputs(self, n_outputs: int) -> list[int]:
        if self.pruning_mask is None:
            return list(range(n_outputs))
        if len(self.pruning_mask) != n_outputs:
            raise InputError(
                f"{self.block_name!r} has {n_outputs} outputs; setup_pruning was told initial_dim={self.initial_dim}."
            )
        return self.get_active_dimensions()

    def _mask(self) -> Tensor:
        if self.pruning_mask is None:
            raise NotSetUpError(f"pruning of {self.block_name!r} was not set up; call setup_pruning(...) first.")
        return self.pruning_mask

    def _calling_block(self) -> Any:
        """A context within which the block is called, also while its equations are in place."""
        raise NotImplementedError
