"""Gated terms act(a.x + c)*(b.x + d), taken from a block's own units.

The MLP of a transformer is a sum over some thousand units, ``down @ (act(gate @ x) * (up @ x))``, or without ``up``.
Much of that sum is linear in x; the units that add most to the linear part are kept as terms.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from symtorch.equations.expr import Call, Expr, Variable, substitute
from symtorch.equations.operators import OPERATORS
from symtorch.equations.parser import parse
from symtorch.errors import InputError

ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "silu": (nn.functional.silu, "silu(g)"),
    "gelu": (nn.functional.gelu, "gelu(g)"),
    "gelu_tanh": (
        lambda g: nn.functional.gelu(g, approximate="tanh"),
        "0.5*g*(1 + tanh(0.7978845608028654*(g + 0.044715*cube(g))))",
    ),
    "relu": (nn.functional.relu, "relu(g)"),
    "squared_relu": (lambda g: nn.functional.relu(g).square(), "square(relu(g))"),
    "sigmoid": (torch.sigmoid, "sigmoid(g)"),
    "tanh": (torch.tanh, "tanh(g)"),
}
"""By name: the activation of units, and the same as text over its argument ``g``."""

_PROBES = 32
_AGREES = 1e-3
"""Share of the outputs' size by which a block may differ from the form that is read from it."""

_RIDGE = 1e-4
"""In units of the inputs' variances, where what a unit adds to a linear map is judged on a few thousand rows."""


@dataclass(frozen=True)
class Gated:
    """So many of a gated MLP's own units as terms; for ``distill(..., projection=..., terms=Gated(64))``.

    The terms are act(a.x)*(b.x), or act(a.x) of a plain MLP, with the activation of the block: SiLU, GELU, ReLU, its
    square, sigmoid, tanh. They are those whose part that no linear map has is largest in the outputs; the linear
    part and the terms' weights in the outputs are then fitted jointly, by least squares.

    Attributes:
        terms: how many, at most.

    Raises:
        InputError: no such number.
    """

    terms: int = 64

    def __post_init__(self) -> None:
        if isinstance(self.terms, bool) or not isinstance(self.terms, int) or self.terms < 1:
            raise InputError(f"terms of Gated is {self.terms!r}; expected a number of at least 1.")

    def choose(self, block: Any, name: str) -> Callable[[Tensor, Tensor], Units]:
        """What picks the units by the first rows: (x (n, n_inputs), y (n, n_outputs)) -> the units.

        Args:
            block: the MLP.
            name: of it, for messages.
        """

        def chosen(x: Tensor, y: Tensor) -> Units:
            units = units_of(block, name, x, y)
            return units.take(_most_telling(units, x, self.terms))

        return chosen


@dataclass(frozen=True, eq=False)
class Units:
    """Units of an MLP as functions of its inputs: act(x @ gate.T + gate_bias) * (x @ up.T + up_bias).

    Attributes:
        activation: one of :data:`ACTIVATIONS`.
        gate: (k, n_inputs).
        gate_bias: (k,).
        up: (k, n_inputs); None where a unit is the activation alone.
        up_bias: (k,); None likewise.
        down: (n_outputs, k), how the block adds them up.
    """

    activation: str
    gate: Tensor
    gate_bias: Tensor
    up: Tensor | None
    up_bias: Tensor | None
    down: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """(n, n_inputs) -> (n, k)."""
        x = x.to(self.gate.dtype)
        values = ACTIVATIONS[self.activation][0](nn.functional.linear(x, self.gate, self.gate_bias))
        return values if self.up is None else values * nn.functional.linear(x, self.up, self.up_bias)

    def take(self, chosen: Tensor) -> Units:
        """Some of them, by their numbers (k,)."""
        up = None if self.up is None else self.up[chosen]
        up_bias = None if self.up_bias is None else self.up_bias[chosen]
        return Units(self.activation, self.gate[chosen], self.gate_bias[chosen], up, up_bias, self.down[:, chosen])

    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """All arguments of the terms as one map: weights (n_inputs, k or 2 k) and biases, gates before ups."""
        weights = [part for part in (self.gate, self.up) if part is not None]
        biases = [part for part in (self.gate_bias, self.up_bias) if part is not None]
        return torch.cat(weights).T.double().cpu().numpy(), torch.cat(biases).double().cpu().numpy()


def terms(activation: str, n_terms: int, paired: bool, first: int = 0) -> list[Expr]:
    """The terms as equations over their arguments: variables first..., gates before ups.

    >>> from symtorch.equations.expr import to_text
    >>> [to_text(term, ["g0", "g1", "u0", "u1"]) for term in terms("silu", 2, paired=True)]
    ['silu(g0)*u0', 'silu(g1)*u1']
    """
    form = parse(ACTIVATIONS[activation][1], ["g"])
    gates = (substitute(form, [Variable(first + k)]) for k in range(n_terms))
    if not paired:
        return list(gates)
    return [Call(OPERATORS["*"], (gate, Variable(first + n_terms + k))) for k, gate in enumerate(gates)]


@torch.no_grad()
def units_of(block: Any, name: str, x: Tensor, y: Tensor) -> Units:
    """The units of an MLP, read from its layers, and compared with what it says.

    Args:
        block: the MLP.
        name: of it, for messages.
        x: (n, n_inputs), rows of inputs.
        y: (n, n_outputs), its outputs there.

    Raises:
        InputError: the block is no such MLP.
    """
    probes = slice(0, _PROBES)
    x, y = x[probes].float(), y[probes].float()
    if isinstance(block, nn.Module) and len(x):
        size = float((y - y.mean(dim=0)).norm()) or 1.0
        half = next((p.dtype for p in block.parameters()), torch.float32) in (torch.float16, torch.bfloat16)
        best, least = None, (20 if half else 1) * _AGREES * size
        for units, bias in _readings(block, x.shape[1], y.shape[1]):
            said = units(x) @ units.down.T + (0.0 if bias is None else bias)
            if (error := float((said - y).norm())) <= least:
                best, least = units, error
        if best is not None:
            return best
    known = ", ".join(ACTIVATIONS)
    raise InputError(
        f"block {name!r} is no MLP whose units can be read: expected layers gate, up and down with "
        f"down(act(gate(x))*up(x)), or down(act(gate(x))), act one of {known}, and no norm or scale after it. Leave "
        f"terms out, or wrap the MLP alone."
    )


def _readings(block: nn.Module, n_inputs: int, n_outputs: int) -> Iterator[tuple[Units, Tensor | None]]:
    """Every way in which the layers can make an MLP, with the bias of its outputs."""
    layers = [layer for layer in map(_weights, block.modules()) if layer is not None]
    downs = [layer for layer in layers if layer[0].shape[0] == n_outputs]
    ins = [layer for layer in layers if layer[0].shape[1] == n_inputs]
    for (down, bias), activation in itertools.product(downs, ACTIVATIONS):
        k = down.shape[1]
        fitting = [layer for layer in ins if layer[0].shape[0] == k]
        double = [layer for layer in ins if layer[0].shape[0] == 2 * k]
        halves = [((w[:k], b[:k]), (w[k:], b[k:])) for w, b in double]
        pairs = [*itertools.permutations(fitting, 2), *halves, *((up, gate) for gate, up in halves)]
        for (gate, gate_bias), (up, up_bias) in pairs:
            yield Units(activation, gate, gate_bias, up, up_bias, down), bias
        for gate, gate_bias in fitting:
            yield Units(activation, gate, gate_bias, None, None, down), bias


def _weights(layer: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Weights (n_out, n_in) and bias (n_out,) of a linear layer, in float32; None of another module."""
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if not isinstance(weight, Tensor) or weight.dim() != 2 or isinstance(layer, (nn.Embedding, nn.Bilinear)):
        return None
    if not isinstance(layer, nn.Linear):
        if not hasattr(layer, "nf"):  # GPT-2's Conv1D, a linear layer whose weights are stored the other way
            return None
        weight = weight.T
    weight = weight.detach().float()
    return weight, weight.new_zeros(len(weight)) if bias is None else bias.detach().float()


@torch.no_grad()
def _most_telling(units: Units, x: Tensor, n: int) -> Tensor:
    """The units whose part that no linear map of the inputs has is largest in the outputs."""
    x = x.float()
    mean, deviation = x.mean(dim=0), x.std(dim=0).clamp(min=1e-12)
    x = (x - mean) / deviation
    inner = torch.eye(x.shape[1], device=x.device) * (_RIDGE * len(x)) + x.T @ x
    at_once = max(1, 2**24 // max(len(x), 1))  # units, so that their values take 64 MB
    parts = torch.arange(len(units.gate), device=x.device).split(at_once)
    left = torch.cat([_left_by(x, x * deviation + mean, inner, units.take(part)) for part in parts])
    weight = left * units.down.square().sum(dim=0)
    return torch.topk(weight, min(n, len(weight))).indices.sort().values


def _left_by(x: Tensor, raw: Tensor, inner: Tensor, units: Units) -> Tensor:
    """(k,): sum of squares of the units that the linear map of x leaves."""
    values = units(raw)
    values = values - values.mean(dim=0)
    crossed = x.T @ values
    return values.square().sum(dim=0) - (crossed * torch.linalg.solve(inner, crossed)).sum(dim=0)
