"""Fingerprints: equal content, equal hash; anything that could give other data, another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from symtorch.capture.fingerprint import device_hash, fingerprint


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.1), nn.Linear(4, 2))


def train_a_step(net: Any) -> None:
    net[0].weight.data[0, 0] += 1e-6


def run_in_training(net: Any) -> None:
    net.train()(torch.randn(8, 3))


def other_dropout(net: Any) -> None:
    net[2].p = 0.2


@pytest.mark.parametrize("change", [train_a_step, run_in_training, other_dropout])
def test_what_a_model_computes_is_in_it(change: Any) -> None:
    net = model()
    before = fingerprint(torch.ones(4, 3), net)
    assert fingerprint(torch.ones(4, 3), net) == before
    net.eval()
    assert fingerprint(torch.ones(4, 3), net) == before
    change(net)
    assert fingerprint(torch.ones(4, 3), net) != before


@pytest.mark.parametrize(
    "data",
    [
        torch.ones(4, 3),
        torch.ones(3, 4),
        torch.ones(4, 3, dtype=torch.float64),
        torch.ones(4, 3, dtype=torch.bfloat16),
        torch.ones(4, 3).numpy(),
        (torch.ones(4, 3),),
        [torch.ones(4, 3)],
        {"x": torch.ones(4, 3)},
        {"z": torch.ones(4, 3)},
        torch.tensor(1.0),
        torch.ones(4, 3, dtype=torch.complex64),
    ],
)
def test_data_counts_by_content_type_and_shape(data: Any) -> None:
    seen = {fingerprint(data)}
    for other in (
        torch.zeros(4, 3),
        torch.ones(2, 6),
        torch.ones(4, 3, dtype=torch.int64),
        torch.ones(4, 3).conj() * 2,
    ):
        seen.add(fingerprint(other))
    assert len(seen) == 5
    assert None not in seen
    assert fingerprint(torch.ones(3, 4).T) == fingerprint(torch.ones(4, 3))


def test_options_are_in_it() -> None:
    x = np.ones((4, 3))
    assert fingerprint(x, max_rows=10) != fingerprint(x, max_rows=11)
    assert fingerprint(x, transforms=["x0"]) != fingerprint(x, transforms=["x1"])
    assert fingerprint(x, None) != fingerprint(None, x)


@pytest.mark.parametrize("thing", [iter([1]), (i for i in range(3)), lambda x: x, np.sin, object()])
def test_what_may_change_unseen_has_none(thing: Any) -> None:
    assert fingerprint(torch.ones(3), thing) is None
    assert fingerprint(torch.ones(3), [thing]) is None


def test_a_data_loader_has_none() -> None:
    assert fingerprint(torch.utils.data.DataLoader(torch.ones(3))) is None


def test_the_device_hash_sees_every_bit_and_the_order() -> None:
    words = torch.randint(0, 256, (1003,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    seen = {tuple(device_hash(words).tolist())}
    for byte in range(0, 1003, 17):
        for bit in range(8):
            changed = words.clone()
            changed[byte] ^= 1 << bit
            seen.add(tuple(device_hash(changed).tolist()))
    seen.add(tuple(device_hash(words.flip(0)).tolist()))
    seen.add(tuple(device_hash(torch.cat([words[8:16], words[:8], words[16:]])).tolist()))
    assert len(seen) == 1 + 59 * 8 + 2


@pytest.mark.cuda
def test_the_device_hash_is_the_same_on_a_device() -> None:
    words = torch.randint(0, 256, (100_003,), dtype=torch.uint8)
    assert torch.equal(device_hash(words), device_hash(words.cuda()).cpu())
    x = torch.randn(1000, 7, device="cuda")
    assert fingerprint(x) == fingerprint(x.clone()) != fingerprint(x + 1)
