"""Constants of equations are trained inside the user's model, and what is shown and saved follows them."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine
from torch import nn

from symtorch import InputError, NotDistilledError, SymbolicModel
from symtorch.equations.expr import constants
from symtorch.surrogate.constants import fit_constants


def wrapped(*formulas: Any, n_inputs: int = 2, n_outputs: Any = 1, transforms: Any = None, switched: Any = True) -> Any:
    model = SymbolicModel(nn.Linear(n_inputs, n_outputs), "law")
    model.distill(torch.randn(60, n_inputs), engine=FormulaEngine(*formulas), variable_transforms=transforms)
    if switched:
        model.switch_to_symbolic()
    return model


def residual_loss(model: Any, points: Any) -> Any:
    """The heat equation u_t = 0.2 u_xx, with u(x, 0) = sin(pi x) and u(0, t) = u(1, t) = 0."""
    points = points.clone().requires_grad_()
    u = model(points)
    u_x, u_t = torch.autograd.grad(u.sum(), points, create_graph=True)[0].split(1, dim=1)
    u_xx = torch.autograd.grad(u_x.sum(), points, create_graph=True)[0][:, :1]
    x, t = points.detach().split(1, dim=1)
    start = model(torch.cat([x, torch.zeros_like(t)], 1)) - torch.sin(math.pi * x)
    ends = [model(torch.cat([torch.full_like(x, end), t], 1)) for end in (0.0, 1.0)]
    return (u_t - 0.2 * u_xx).square().mean() + start.square().mean() + sum(end.square().mean() for end in ends)


def test_a_pinns_equation_reaches_the_exact_constants_on_the_residual() -> None:
    model = wrapped("1.03*sin(3.144*x0)*exp((-1.981)*x1)")
    loss = model.fit_constants(None, torch.rand(200, 2, dtype=torch.float64), residual_loss)
    assert loss < 1e-12
    np.testing.assert_allclose(constants(model.equation(0).expr), [1.0, math.pi, -0.2 * math.pi**2], atol=1e-4)


def test_constants_of_different_sizes_are_fitted_alike() -> None:
    model = wrapped("700*x0*(x0 + 0.09*x1) - 2.5*x2 - 650", n_inputs=3)
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * torch.tensor([1, 7, 90])
    truth = 656 * x[:, 0] * (x[:, 0] + 0.1 * x[:, 1]) - 8 / 3 * x[:, 2] - 720
    model.fit_constants(None, x, lambda m, x: (m(x)[:, 0] - truth).square().mean(), steps=12)
    found = sorted(abs(c) for c in constants(model.equation(0).expr))
    assert found == pytest.approx([0.1, 8 / 3, 656, 720], rel=1e-6)


def test_shown_exported_and_saved_equations_carry_the_trained_constants() -> None:
    model = wrapped("2*x0 + 3*x1")
    x = torch.randn(50, 2)
    loss = model.fit_constants(None, (x, 5 * x[:, :1] - x[:, 1:]), lambda m, b: (m(b[0]) - b[1]).square().mean())
    assert loss < 1e-9
    np.testing.assert_allclose(constants(model.equation(0).expr), [5, -1], atol=1e-4)
    assert "5" in str(model.fronts[0])
    np.testing.assert_allclose(model.get_symbolic_function(0)(x), 5 * x[:, 0] - x[:, 1], atol=1e-3)
    np.testing.assert_allclose(model(x).detach()[:, 0], 5 * x[:, 0] - x[:, 1], atol=1e-3)
    again = SymbolicModel(nn.Linear(2, 1), "law")
    again.load_state_dict(model.state_dict())
    assert again.equation(0).expr == model.equation(0).expr
    torch.testing.assert_close(again(x), model(x))
    model.switch_to_block()
    model.switch_to_symbolic()
    torch.testing.assert_close(again(x), model(x))


def test_an_optimizer_of_ones_own_trains_them_too() -> None:
    model = wrapped("2*x0 + 3*x1")
    optimizer = torch.optim.SGD(model.trainable_constants(), lr=0.1)
    x = torch.randn(50, 2)
    for _ in range(200):
        optimizer.zero_grad()
        (model(x) - 7 * x[:, :1]).square().mean().backward()
        optimizer.step()
    np.testing.assert_allclose(constants(model.equation(0).expr), [7, 0], atol=1e-4)
    assert not model.trainable_constants(False)[0].requires_grad


def test_nothing_else_in_the_model_changes() -> None:
    law = wrapped("2*x0 + 3*x1 + 1")
    net = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5).eval(), law, nn.Linear(1, 1).requires_grad_(False)).train()
    net[1].eval()
    before = {name: value.clone() for name, value in net.state_dict().items() if isinstance(value, torch.Tensor)}
    asked = {name: p.requires_grad for name, p in net.named_parameters()}
    batches = [(torch.randn(20, 3), torch.randn(20, 1)) for _ in range(3)]
    start = np.mean([(net(x) - y).square().mean().item() for x, y in batches])
    reached = fit_constants(net, batches, lambda m, b: (m(b[0]) - b[1]).square().mean())
    assert reached < start
    for name, value in net.state_dict().items():
        if isinstance(value, torch.Tensor) and not name.endswith(("constants", "_extra_state")):
            torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert {name: p.requires_grad for name, p in net.named_parameters()} == asked
    assert all(p.grad is None for p in net.parameters())
    assert [m.training for m in net] == [True, False, True, True]


def test_a_failing_loss_leaves_the_constants_as_they_were() -> None:
    model = wrapped("2*x0 + 3*x1")
    calls = []

    def loss(m: Any, x: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of memory")
        return m(x).square().mean()

    with pytest.raises(RuntimeError, match="out of memory"):
        model.fit_constants(None, torch.randn(20, 2), loss)
    assert constants(model.equation(0).expr) == [2, 3]


@pytest.mark.parametrize("guard", ["none", "raise"])
def test_steps_into_the_undefined_are_taken_back(guard: Any) -> None:
    model = wrapped("log(0.5*x0 + 1.0)")
    model.switch_to_symbolic(guard=guard)
    x = torch.rand(50, 2)
    target = torch.log(0.01 + 3 * x[:, :1])
    loss = model.fit_constants(None, (x, target), lambda m, b: (m(b[0]) - b[1]).square().mean())
    assert math.isfinite(loss)
    assert all(math.isfinite(c) for c in constants(model.equation(0).expr))


def test_constants_that_training_has_lost_are_not_saved(caplog: pytest.LogCaptureFixture) -> None:
    model = wrapped("2*x0 + 3*x1")
    with torch.no_grad():
        model.trainable_constants()[0].fill_(math.nan)
    again = SymbolicModel(nn.Linear(2, 1), "law")
    again.load_state_dict(model.state_dict())
    assert "not finite" in caplog.text
    assert constants(again.equation(0).expr) == constants(model.equation(0).expr) == [2, 3]


def test_constants_learn_nothing_from_rows_of_the_block() -> None:
    model = wrapped("log(2*x0) + 3*x1")
    model.switch_to_symbolic(guard="block")
    x = torch.randn(200, 2, dtype=torch.float64)
    model.double()
    target = torch.where(x[:, :1] > 0, torch.log(5 * x[:, :1].abs()) - x[:, 1:], model.symtorch_block(x).detach())
    assert model.fit_constants(None, (x, target), lambda m, b: (m(b[0]) - b[1]).square().mean()) < 1e-15
    np.testing.assert_allclose(constants(model.equation(0).expr), [5, -1], atol=1e-5)


def test_constants_of_transforms_are_the_users() -> None:
    model = wrapped("2*u + 1.5", transforms={"u": "0.25*x0 + x1"})
    x = torch.randn(50, 2)
    target = 6 * (0.25 * x[:, :1] + x[:, 1:]) - 1
    assert model.fit_constants(None, (x, target), lambda m, b: (m(b[0]) - b[1]).square().mean()) < 1e-9
    np.testing.assert_allclose(constants(model.equation(0).expr), [6, -1], atol=1e-4)
    np.testing.assert_allclose(sorted(constants(model.equation(0, expand=True).expr)), [-1, 0.25, 6], atol=1e-4)
    torch.testing.assert_close(model(x), target, atol=1e-3, rtol=1e-3)


def test_copies_are_trained_apart() -> None:
    model = wrapped("2*x0 + 3*x1")
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.surrogate.function.constants.mul_(2)
    assert constants(model.equation(0).expr) == [2, 3]
    assert constants(other.equation(0).expr) == [4, 6]


def test_mistakes_say_what_to_do() -> None:
    x = torch.randn(20, 2)
    with pytest.raises(NotDistilledError, match="switch_to_symbolic"):
        wrapped("2*x0", switched=False).trainable_constants()
    with pytest.raises(NotDistilledError, match="switch_to_symbolic"):
        fit_constants(nn.Linear(2, 1), x, lambda m, b: m(b).sum())
    with pytest.raises(InputError, match="no constants"):
        wrapped("x0 + x1").fit_constants(None, x, lambda m, b: m(b).square().mean())
    with pytest.raises(InputError, match="expected a tensor"):
        wrapped("2*x0").fit_constants(None, x, lambda m, b: 1.0)
    with pytest.raises(InputError, match="not finite"):
        wrapped("log((-2)*x0*x0)").fit_constants(None, x, lambda m, b: m(b).mean())
    with pytest.raises(InputError, match="empty"):
        wrapped("2*x0").fit_constants(None, [], lambda m, b: m(b).square().mean())
    with pytest.raises(InputError, match="does not depend"):
        wrapped("2*x0").fit_constants(None, x, lambda m, b: b.sum())
