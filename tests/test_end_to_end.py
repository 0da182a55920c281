"""The whole way, with the embedded engine: a trained network becomes the law it was trained on, and back."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import symtorch
from symtorch import SymbolicModel
from symtorch.engines import Progress

SEED = {"random_state": 0}


def trained_on(law: Callable[[torch.Tensor], torch.Tensor], n_inputs: int, steps: int = 1500) -> nn.Module:
    """A small network trained on a law over [0, 1]^n_inputs."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(n_inputs, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    x = torch.rand(2000, n_inputs)
    y = law(x)[:, None]
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        (net(x) - y).square().mean().backward()
        optimizer.step()
        schedule.step()
    return net


@pytest.fixture(scope="module")
def heat() -> nn.Module:
    """A network that has learned sin(pi x) exp(-0.2 pi² t), to about a thousandth."""
    return trained_on(lambda x: torch.sin(math.pi * x[:, 0]) * torch.exp(-0.2 * math.pi**2 * x[:, 1]), 2)


def test_the_default_pick_is_the_law_that_a_network_has_learned(heat: nn.Module) -> None:
    sympy = pytest.importorskip("sympy")
    block = SymbolicModel(heat, "heat")
    front = block.distill(
        torch.rand(1000, 2), output_dim=0, sr_params=SEED, fit_params={"variable_names": ["x", "t"]}, engine="native"
    )
    x, t = sympy.symbols("x t", real=True)
    a, b, c = (sympy.Wild(name, exclude=[x, t]) for name in "abc")
    found = front.sympy().match(a * sympy.sin(b * x) * sympy.exp(c * t))
    assert found is not None, f"the pick is {front.best}"
    assert abs(float(found[b])) == pytest.approx(math.pi, rel=0.02)
    assert float(found[c]) == pytest.approx(-0.2 * math.pi**2, rel=0.02)


def test_switched_in_and_out_the_model_keeps_its_answers(heat: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(4, 2), heat)
    block = symtorch.wrap(model, "1")
    x = torch.rand(500, 4)
    with torch.no_grad():
        before = model(x)
        block.distill(x, parent_model=model, sr_params=SEED | {"niterations": 40, "model_selection": "accuracy"})
        block.switch_to_symbolic()
        assert (model(x) - before).std() / before.std() < 0.1
        block.switch_to_block()
        torch.testing.assert_close(model(x), before, rtol=0, atol=0)


def test_the_same_seed_gives_the_same_equations() -> None:
    x = np.random.default_rng(0).uniform(-2, 2, size=(300, 3))
    block = SymbolicModel(lambda X: np.sin(X[:, 0]) * X[:, 1] + 0.5 * X[:, 2])
    fronts = [block.distill(x, output_dim=0, sr_params=SEED, engine="native") for _ in range(2)]
    assert [eq.text for eq in fronts[0]] == [eq.text for eq in fronts[1]]


def test_a_time_limit_returns_what_was_found_and_says_so() -> None:
    x = np.random.default_rng(0).uniform(-2, 2, size=(500, 6))
    block = SymbolicModel(lambda X: np.tanh(X @ np.arange(1.0, 7.0)) + np.cos(X[:, 0] * X[:, 1] - X[:, 2] ** 3))
    with pytest.warns(UserWarning, match="ran out of time for 1 of 1 outputs") as warned:
        front = block.distill(x, output_dim=0, sr_params=SEED | {"timeout_in_seconds": 1.0}, engine="native")
    assert [w.filename for w in warned] == [__file__]
    assert front.stop_reason == "timeout"
    assert len(front) >= 1


def test_ctrl_c_returns_what_was_found_and_says_so() -> None:
    def interrupt(event: Progress) -> None:
        if event.done >= 1:
            raise KeyboardInterrupt

    x = np.random.default_rng(0).uniform(-2, 2, size=(500, 6))
    block = SymbolicModel(lambda X: np.tanh(X @ np.arange(1.0, 7.0)) + np.cos(X[:, 0] * X[:, 1] - X[:, 2] ** 3))
    with pytest.warns(UserWarning, match="was interrupted for 1 of 1 outputs"):
        front = block.distill(x, output_dim=0, sr_params=SEED, engine="native", progress=interrupt)
    assert front.stop_reason == "interrupted"
    assert block.fronts == {0: front}
