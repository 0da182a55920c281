"""A block whose weights were released: freed, said so, saved and loaded without them."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from linear_engine import LinearEngine
from torch import nn
from wide import WIDTH, GatedMLP

import symtorch
from symtorch import InputError, NotDistilledError, Projection, SymbolicModel
from symtorch.errors import ReleasedError

X = torch.randn(500, WIDTH, generator=torch.Generator().manual_seed(0))


def distilled() -> tuple[nn.Module, SymbolicModel]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), GatedMLP())
    block = symtorch.wrap(model, "1")
    block.distill(X, parent_model=model, projection=Projection(4, 2), skip=8, engine=LinearEngine())
    return model, block


def test_its_weights_are_freed_and_the_equations_stay() -> None:
    model, block = distilled()
    block.switch_to_symbolic(min_r2=None)
    expected, weights = model(X), weakref.ref(block.symtorch_block)
    n = sum(p.numel() for p in block.symtorch_block.parameters())
    assert block.release_block() == 4 * n
    gc.collect()
    assert weights() is None
    assert not [p for name, p in model.named_parameters() if "symtorch_block" in name]
    assert torch.equal(model(X), expected)
    assert block.release_block() == 4 * n
    for call in (block.switch_to_block, lambda: symtorch.unwrap(model, "1"), lambda: block.fidelity(X)):
        with pytest.raises(ReleasedError, match="the weights of '1', a GatedMLP, were released"):
            call()


@pytest.mark.parametrize("way", ["state", "file"])
def test_it_is_saved_and_loaded_without_them(way: Any, tmp_path: Path) -> None:
    model, block = distilled()
    block.switch_to_symbolic(min_r2=None)
    block.release_block()
    if way == "state":
        state = model.state_dict()
        assert not [key for key in state if "symtorch_block" in key]
        other = nn.Sequential(nn.Linear(WIDTH, WIDTH), GatedMLP())
        symtorch.wrap(other, "1")
        other.load_state_dict(state)
        again = other[1]
    else:
        block.save(tmp_path / "block")
        again = SymbolicModel.load(tmp_path / "block", trusted=True)
    assert torch.equal(again(X), block(X))
    assert again.equations == block.equations
    with pytest.raises(ReleasedError):
        again.switch_to_block()
    assert again.release_block() == block.release_block()


def test_a_block_that_is_needed_is_not_released() -> None:
    _, block = distilled()
    with pytest.raises(NotDistilledError, match="no equations are in use"):
        block.release_block()
    block.switch_to_symbolic(min_r2=None, guard="block")
    with pytest.raises(InputError, match="guard='block' needs the block"):
        block.release_block()
