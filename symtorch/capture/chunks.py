"""Rows on their way from where the block runs to where they stay; those of a CUDA device come without waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(slots=True, eq=False)
class Chunk:
    """Rows on their way to the stores.

    Attributes:
        slots, numbers: of each row; (n,).
        tensors: the rows, (n, width) each, of all arguments (or none, where they are in the stores) and the output.
        arrived: waits until they have come from their device; None where they are here.
    """

    slots: np.ndarray
    numbers: np.ndarray
    tensors: list[torch.Tensor]
    arrived: Callable[[], None] | None


def chunk_of(slots: np.ndarray, numbers: np.ndarray, tensors: list[torch.Tensor]) -> Chunk:
    """The rows of tensors that may be on any device, sent to the host."""
    if on_host(tensors):
        return Chunk(slots, numbers, tensors, None)
    copies = [_to_host(tensor) for tensor in tensors]
    return Chunk(slots, numbers, copies, _arrival(tensors))  # of what was begun before: the copies come first


def on_host(tensors: Sequence[torch.Tensor]) -> bool:
    for tensor in tensors:  # noqa: SIM110 - all() over a generator takes three times as long
        if not tensor.is_cpu:
            return False
    return True


def on_device(positions: torch.Tensor, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """The positions where the tensors are, without waiting for them to get there."""
    device = None if on_host(tensors) else next((t.device for t in tensors if t.device.type == "cuda"), None)
    return positions if device is None else positions.pin_memory().to(device, non_blocking=True)


def _to_host(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor on the host; from a CUDA device without waiting for it (see _arrival)."""
    if tensor.device.type != "cuda":
        return tensor.cpu()
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=True)
    return pinned.copy_(tensor, non_blocking=True)


def _arrival(tensors: Sequence[torch.Tensor]) -> Callable[[], None]:
    """A function that waits until the copies to the host begun so far are there."""
    events = []
    for device in {t.device for t in tensors if t.device.type == "cuda"}:
        with torch.cuda.device(device):
            events.append(torch.cuda.current_stream().record_event())

    def wait() -> None:
        for event in events:
            event.synchronize()

    return wait
