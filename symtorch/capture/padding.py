"""Which rows of a batch count: padding is no data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from symtorch.capture.calls import as_tensor, describe
from symtorch.errors import InputError

USUAL_MASK = "attention_mask"
"""What batches of language models call the mask that is 1 on tokens and 0 on padding."""

Rows = str | Callable[[Any], Any]
"""Name of the mask in dict batches, or a function (batch) -> mask."""


@dataclass(frozen=True, eq=False)
class Mask:
    """Which of a batch's samples count.

    Attributes:
        shape: leading dimensions of the samples.
        positions: (k,), int64, of those that count, in the flattened leading dimensions.
        asked_for: whether the user has named it; else it is left aside where it does not fit.
    """

    shape: torch.Size
    positions: torch.Tensor
    asked_for: bool

    def positions_in(self, leading: torch.Size) -> torch.Tensor | None:
        """Positions (k,) of what counts of a call with these leading dimensions; None for all of it.

        Raises:
            InputError: a mask that the user has named is for other dimensions.
        """
        if leading == self.shape or leading == torch.Size([self.shape.numel()]):
            return self.positions
        if self.asked_for:
            raise InputError(
                f"the mask of rows has shape {tuple(self.shape)}, the block is called with leading dimensions "
                f"{tuple(leading)}; give one that has these, or rows=None to count all rows."
            )
        return None


def mask_of(batch: Any, rows: Rows | None) -> Mask | None:
    """The mask of a batch; None where all of it counts.

    Args:
        batch: as the model is given it.
        rows: the mask's name or a function; the name ``attention_mask`` only where there is such a mask.

    Raises:
        InputError: there is no mask of that name, or it is none.
    """
    if rows is None:
        return None
    if callable(rows):
        return _read(rows(batch), asked_for=True)
    if not isinstance(rows, str):
        raise InputError(f"rows is a {type(rows).__name__}; expected a name, a function (batch) -> mask, or None.")
    usual = rows == USUAL_MASK
    if isinstance(batch, Mapping) and rows in batch:
        return _read(batch[rows], asked_for=not usual)
    if usual:
        return None
    there = list(batch) if isinstance(batch, Mapping) else f"a {type(batch).__name__}"
    raise InputError(f"the batch has no mask {rows!r}; it is {there}. Name a member of a dict, or pass a function.")


def _read(value: Any, asked_for: bool) -> Mask | None:
    if value is None and not asked_for:
        return None
    if not isinstance(value, torch.Tensor) and not hasattr(value, "__array__"):
        raise InputError(f"the mask of rows is {describe(value)}; expected a tensor of 0 and 1 or of bool.")
    mask = as_tensor(value, "the mask of rows")
    if mask.is_floating_point() and not bool(((mask == 0) | (mask == 1)).all()):
        if not asked_for:  # what is added to attention scores
            return None
        raise InputError("the mask of rows holds other values than 0 and 1; expected 1 on rows that count.")
    return Mask(mask.shape, mask.reshape(-1).nonzero().squeeze(1), asked_for)
