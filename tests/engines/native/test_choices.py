"""Steps, choices and kinks through the engine's own doors: asked, and from data alone."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

import symtorch
from symtorch.engines.native import NativeEngine
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.front import Front

OPERATORS = {
    "binary_operators": ["+", "-", "*", "/", "greater", "less", "cond", "max", "min"],
    "unary_operators": ["relu", "abs", "square"],
}
Law = Callable[[torch.Tensor], torch.Tensor]


LAWS: dict[str, tuple[Law, int]] = {
    # law, complexity of its shortest form
    "step": (lambda x: (x[:, :1] > 0.3).to(x.dtype), 3),
    "gate": (lambda x: 1.0 * (x[:, :1] > 0.3) * x[:, 1:2], 5),
    "max": (lambda x: torch.maximum(x[:, :1], x[:, 1:2]), 3),
    "min": (lambda x: torch.minimum(2 * x[:, :1], x[:, 1:2] + 1), 7),
    "difference": (lambda x: (x[:, :1] - x[:, 1:2]).abs(), 4),
    "unit": (lambda x: torch.relu(1.5 * x[:, :1] - x[:, 1:2] + 0.2), 8),
    "units": (
        lambda x: torch.relu(1.5 * x[:, :1] - x[:, 1:2] + 0.2) - 0.7 * torch.relu(x[:, :1] + 0.8 * x[:, 2:3] - 0.3),
        19,
    ),
    "kink": (lambda x: 0.5 * (x[:, :1] - 0.2).abs() + x[:, 1:2] ** 2, 9),
}


def draw(seed: int, n: int = 1000, low: float = -2.0, high: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(n, 3, generator=generator, dtype=torch.float64)


def found(law: Law, x: torch.Tensor, asked: bool, seed: int, **operators: list[str]) -> Front:
    params = {**OPERATORS, **operators, "random_state": seed, "verbosity": 0, "progress": False}
    if asked:
        return symtorch.SymbolicModel(law, "law").distill(x, output_dim=0, engine="native", sr_params=params)
    samples = Samples(x.numpy(), law(x).numpy())
    return NativeEngine().search(samples, SearchOptions.from_params(params))[0]


def errors(front: Front, law: Law, fresh: torch.Tensor) -> np.ndarray:
    truth = law(fresh).numpy()[:, 0]
    return np.abs(front.best.predict(fresh.numpy()) - truth) / truth.std()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("asked", [True, False], ids=["asked", "data"])
@pytest.mark.parametrize("name", list(LAWS))
def test_the_law_is_the_pick(name: str, asked: bool, seed: int) -> None:
    law, complexity = LAWS[name]
    front = found(law, draw(seed), asked, seed)
    assert front.stop_reason == "exact"
    assert front.best.complexity <= complexity
    wrong = errors(front, law, draw(seed + 100, 4000)) > 1e-9
    # From data alone nobody knows where between two of 1,000 rows a threshold is.
    assert wrong.mean() <= (0.0 if asked else 0.003)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("asked", [True, False], ids=["asked", "data"])
@pytest.mark.parametrize("operators", [["+", "*", "cond"], ["+", "-", "*", "greater"], ["+", "*", "less"]])
def test_a_condition_in_any_operators(operators: list[str], asked: bool, seed: int) -> None:
    def law(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x[:, :1] - 5.84 > 0.0, 1.0, 0.0).to(x.dtype)

    front = found(law, draw(seed, low=0.0, high=10.0), asked, seed, binary_operators=operators, unary_operators=[])
    wrong = errors(front, law, draw(seed + 100, 4000, 0.0, 10.0)) > 0.0
    assert front.best.complexity <= (5 if "cond" in operators else 3)
    assert wrong.mean() <= (0.0 if asked else 0.003)
    assert not asked or "5.84" in str(front.best)


@pytest.mark.parametrize(
    ("name", "unary", "binary"),
    [
        ("max", ["abs"], []),
        ("max", [], ["cond"]),
        ("min", ["relu"], []),
        ("difference", [], ["max"]),
        ("unit", [], ["max"]),
        ("unit", [], ["cond"]),
        ("units", [], ["max"]),
        ("kink", [], ["max"]),
    ],
)
@pytest.mark.parametrize("asked", [True, False], ids=["asked", "data"])
def test_kinks_without_an_operator_for_them(name: str, unary: list[str], binary: list[str], asked: bool) -> None:
    law, _ = LAWS[name]
    front = found(law, draw(0), asked, 0, binary_operators=["+", "-", "*", *binary], unary_operators=unary)
    assert front.stop_reason == "exact"
    assert errors(front, law, draw(100, 4000)).max() < 1e-9


class Threshold(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x[:, :1] > 0.3).float()


def test_a_threshold_of_a_module_in_single_precision() -> None:
    x = draw(0).float()
    front = symtorch.SymbolicModel(Threshold(), "threshold").distill(
        x, output_dim=0, engine="native", sr_params={**OPERATORS, "random_state": 0}
    )
    assert str(front.best) == "greater(x0, 0.3)"


@pytest.mark.parametrize(
    "law",
    [
        lambda x: torch.where(x[:, :1] > 0.5, torch.sin(2 * x[:, 1:2]), x[:, 1:2] ** 2),
        lambda x: ((x[:, :1] > 0.3) & (x[:, 1:2] < 0.5)).to(x.dtype),
        lambda x: (x[:, :1] + 0.7 * x[:, 1:2] > 0.3).to(x.dtype),
        lambda x: torch.exp(-x[:, :1]) * (x[:, 1:2] > 0.3),
        lambda x: torch.sin(2 * x[:, :1]) * x[:, 1:2] + (x[:, 2:3] > 0.4),
        lambda x: 2.0 * (x[:, :1] > 0.3) - 1.5 * (x[:, 1:2] > -0.7) + x[:, 2:3],
        lambda x: x[:, :1].clamp(-0.5, 0.8),
    ],
)
def test_asked_laws_in_which_a_choice_is_only_a_part(law: Law) -> None:
    front = found(law, draw(0), True, 0, unary_operators=["relu", "square", "exp", "sin"])
    assert front.stop_reason == "exact"
    assert errors(front, law, draw(100, 4000)).max() < 1e-9


@pytest.mark.parametrize("asked", [True, False], ids=["asked", "data"])
@pytest.mark.parametrize("operator", ["max", "greater", "cond"])
def test_a_choice_without_any_arithmetic(operator: str, asked: bool) -> None:
    law = LAWS["kink"][0]  # out of reach: what comes is a front of approximations, not an error
    front = found(law, draw(0, 200), asked, 0, binary_operators=[operator], unary_operators=["square"])
    assert len(front) > 0
