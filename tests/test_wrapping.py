"""Wrapping by dotted name: in place, everywhere the module sits, back again, and several distilled at once."""

from __future__ import annotations

import pytest
import torch
from linear_engine import LinearEngine
from torch import nn

from symtorch.errors import InputError
from symtorch.model import SymbolicModel
from symtorch.wrapping import distill, unwrap, wrap


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.heads = nn.ModuleDict({"left": nn.Linear(4, 4), "right": nn.Linear(4, 4)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.heads["left"](self.mlp(x)) + self.heads["right"](x)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer() for _ in range(2)])
        self.head = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


@pytest.mark.parametrize("name", ["head", "layers.1", "layers.1.mlp", "layers.0.mlp.0", "layers.0.heads.left"])
def test_a_part_is_wrapped_in_place_and_put_back(name: str) -> None:
    model = Model()
    x = torch.randn(5, 4)
    before, part, names = model(x), model.get_submodule(name), [n for n, _ in model.named_modules()]
    block = wrap(model, name)
    assert isinstance(block, SymbolicModel)
    assert model.get_submodule(name) is block
    assert block.symtorch_block is part
    assert block.block_name == name
    assert torch.equal(model(x), before)
    assert wrap(model, name) is block
    assert unwrap(model, block) is part
    assert [n for n, _ in model.named_modules()] == names
    assert torch.equal(model(x), before)


def test_a_name_of_its_own_and_unwrapping_by_dotted_name() -> None:
    model = Model()
    assert wrap(model, "head", "readout").block_name == "readout"
    part = model.head.symtorch_block
    assert unwrap(model, "head") is part


def test_the_order_of_a_sequential_stays() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    x = torch.randn(5, 2)
    before = model(x)
    wrap(model, "1")
    assert torch.equal(model(x), before)
    assert isinstance(model[1], SymbolicModel)


def test_the_mode_is_the_blocks() -> None:
    model = Model()
    model.head.eval()
    assert not wrap(model, "head").training
    assert wrap(model, "layers.0").training


def test_a_module_in_several_places_is_replaced_in_all() -> None:
    model = Model()
    model.layers[1].mlp = model.layers[0].mlp
    model.layers.append(model.layers[0])
    part = model.layers[0].mlp
    block = wrap(model, "layers.1.mlp")
    assert all(layer.mlp is block for layer in model.layers)
    assert unwrap(model, "layers.2.mlp") is part
    assert all(layer.mlp is part for layer in model.layers)


def test_a_part_of_a_wrapped_part() -> None:
    model = Model()
    outer = wrap(model, "layers.0")
    inner = wrap(model, "layers.0.symtorch_block.mlp")
    assert unwrap(model, outer).mlp is inner


@pytest.mark.parametrize("name", ["layers.0.mpl", "layer.0.mlp", "layers.7.mlp", "mlp"])
def test_a_wrong_name_lists_near_ones(name: str) -> None:
    with pytest.raises(InputError, match=r"layers\.0\.mlp"):
        wrap(Model(), name)


def test_names_that_are_none() -> None:
    with pytest.raises(InputError, match="empty"):
        wrap(Model(), "")
    with pytest.raises(InputError, match=r"Its parts: .*head"):
        wrap(Model(), "zzzzzzz")


def test_unwrapping_what_is_not_wrapped() -> None:
    model = Model()
    with pytest.raises(InputError, match="not a wrapped block"):
        unwrap(model, "head")
    wrap(model, "head")
    with pytest.raises(InputError, match=r"it has \['head'\]"):
        unwrap(model, SymbolicModel(nn.Linear(2, 2)))


# ---- several at once


def test_several_blocks_are_captured_in_one_pass(engine: LinearEngine) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2))
    calls: list[int] = []
    model[1].register_forward_hook(lambda *_: calls.append(1))
    for name in ("0", "2"):
        wrap(model, name)
    found = distill(model, torch.randn(200, 3), engine=engine)
    assert {name: list(fronts) for name, fronts in found.items()} == {"0": [0, 1, 2], "2": [0, 1]}
    assert len(calls) == 1
    x = torch.randn(5, 3)
    expected = model(x)
    for name in ("0", "2"):
        model.get_submodule(name).switch_to_symbolic()
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="nope"):
        distill(model, x, blocks=["nope"], engine=engine)
