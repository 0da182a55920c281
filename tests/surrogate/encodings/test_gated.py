"""Gated terms: read from the layers of an MLP, checked against what it says, and chosen by what they add."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from symtorch import Gated, InputError
from symtorch.equations.expr import evaluate, to_text
from symtorch.surrogate.encodings.gated import ACTIVATIONS, terms, units_of

X = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))


class GLU(nn.Module):
    """down(act(gate(x)) * up(x)); with ``fused``, gate and up are one layer, in this or the other order."""

    def __init__(self, act: Any, bias: bool = False, fused: str = "") -> None:
        super().__init__()
        self.act, self.fused = act, fused
        self.up = nn.Linear(10, 24, bias=bias)
        self.gate = nn.Linear(10, 24, bias=bias)
        self.down = nn.Linear(24, 10, bias=bias)
        if fused:
            self.both = nn.Linear(10, 48, bias=bias)
            del self.up, self.gate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.fused:
            return self.down(self.act(self.gate(x)) * self.up(x))
        first, second = self.both(x).chunk(2, dim=-1)
        gate, up = (first, second) if self.fused == "gate first" else (second, first)
        return self.down(self.act(gate) * up)


class Conv1D(nn.Module):
    """A linear layer that stores its weights the other way, as that of GPT-2 does."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf = nf
        self.weight, self.bias = nn.Parameter(torch.randn(nx, nf) / 3), nn.Parameter(torch.randn(nf))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias


def mlps() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    tanh = nn.GELU("tanh")
    return {
        "SiLU": GLU(nn.SiLU()),
        "GELU with biases": GLU(nn.GELU(), bias=True),
        "GELU by tanh": GLU(tanh),
        "ReLU, fused": GLU(nn.ReLU(), fused="gate first"),
        "sigmoid, fused the other way": GLU(nn.Sigmoid(), bias=True, fused="up first"),
        "plain ReLU": nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 7)),
        "plain GELU of GPT-2": nn.Sequential(Conv1D(24, 10), tanh, Conv1D(10, 24)),
    }


@pytest.mark.parametrize("name", mlps())
def test_units_add_up_to_the_block(name: Any) -> None:
    block = mlps()[name].eval()
    with torch.no_grad():
        y = block(X)
        units = units_of(block, name, X, y)
        left = y - units(X) @ units.down.T
    torch.testing.assert_close(left, left[:1].expand_as(left), atol=1e-5, rtol=1e-4)  # a bias, or nothing
    assert (units.up is None) == name.startswith("plain")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("paired", [True, False])
def test_equations_say_what_units_compute(activation: Any, paired: Any) -> None:
    rng = np.random.default_rng(0)
    arguments = rng.normal(size=(50, 6 if paired else 3))
    found = np.stack([evaluate(tree, arguments) for tree in terms(activation, 3, paired)], axis=1)
    g = torch.from_numpy(arguments[:, :3])
    expected = ACTIVATIONS[activation][0](g).numpy() * (arguments[:, 3:] if paired else 1.0)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_terms_after_other_variables() -> None:
    names = ["z0", "g0", "g1", "u0", "u1"]
    assert [to_text(tree, names) for tree in terms("relu", 2, True, first=1)] == ["relu(g0)*u0", "relu(g1)*u1"]


def test_units_that_are_linear_on_the_data_are_not_chosen() -> None:
    block = GLU(nn.ReLU())
    with torch.no_grad():
        block.gate.weight[:20] = 0.0  # off, and the constant zero: their product is nothing
        block.gate.weight[20:] *= 3
        y = block(X)
        units = Gated(4).choose(block, "mlp")(X, y)
        torch.testing.assert_close(units.gate, block.gate.weight[20:])
        torch.testing.assert_close(units(X) @ units.down.T, y)


@pytest.mark.parametrize(
    "block",
    [nn.Linear(10, 10), nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 10), nn.LayerNorm(10))],
)
def test_what_is_no_such_mlp_is_refused(block: Any) -> None:
    with pytest.raises(InputError, match="'that' is no MLP whose units can be read"):
        units_of(block, "that", X, block(X).detach())


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "many"])
def test_numbers_of_terms(n: Any) -> None:
    with pytest.raises(InputError, match="terms of Gated is"):
        Gated(n)
