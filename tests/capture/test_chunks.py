"""Rows on their way to where they stay."""

import numpy as np
import pytest
import torch

from symtorch.capture.chunks import chunk_of, on_device


def test_rows_on_the_host_are_there_at_once() -> None:
    slots, tensors = np.array([3, 1]), [torch.randn(2, 3), torch.randn(2, 1)]
    chunk = chunk_of(slots, slots + 10, tensors)
    assert chunk.arrived is None
    assert all(kept is given for kept, given in zip(chunk.tensors, tensors, strict=True))
    positions = torch.tensor([1])
    assert on_device(positions, tensors) is positions


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_rows_of_a_device_have_come_when_they_are_said_to_have() -> None:
    """The event that is waited for comes after the copies, however much there is to do before them."""
    a = torch.randn(4_000, 4_000, device="cuda")
    for _ in range(20):
        a = a @ a / 4_000
    slots = np.arange(4_000)
    chunk = chunk_of(slots, slots, [a])
    assert chunk.arrived is not None
    chunk.arrived()
    torch.testing.assert_close(chunk.tensors[0], a.cpu(), rtol=0, atol=0)
