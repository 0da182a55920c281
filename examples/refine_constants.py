"""A PINN's equation, refined on the residual of the PDE until its constants are exact.

A network that was trained on a heat equation u_t = 0.2 u_xx has small errors of its own, and so have the
constants of the equation found from it. The equation is differentiable like any module: put in the
network's place, its constants are fitted to the PDE itself, and end at the true ones.

Run: python examples/refine_constants.py
"""

import logging
import math

import torch
from torch import nn

import symtorch

DIFFUSIVITY = 0.2


def loss(model: nn.Module, points: torch.Tensor) -> torch.Tensor:
    """Mean squared residual of the PDE, of u(x, 0) = sin(pi x) and of u(0, t) = u(1, t) = 0; points (n, 2) = (x, t)."""
    points = points.clone().requires_grad_()
    u = model(points)
    u_x, u_t = torch.autograd.grad(u.sum(), points, create_graph=True)[0].split(1, dim=1)
    u_xx = torch.autograd.grad(u_x.sum(), points, create_graph=True)[0][:, :1]
    x, t = points.detach().split(1, dim=1)
    start = model(torch.cat([x, torch.zeros_like(t)], dim=1)) - torch.sin(math.pi * x)
    ends = [model(torch.cat([torch.full_like(x, end), t], dim=1)) for end in (0.0, 1.0)]
    return (u_t - DIFFUSIVITY * u_xx).square().mean() + start.square().mean() + sum(u.square().mean() for u in ends)


def train(net: nn.Module, steps: int = 800) -> None:
    """Train the network on the same loss."""
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(net, torch.rand(128, 2)).backward()
        optimizer.step()


def main() -> None:
    """Train, distill, switch, refine."""
    logging.basicConfig(level=logging.INFO)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    train(net)
    model = symtorch.SymbolicModel(net, "u")
    model.distill(
        torch.rand(1000, 2),
        fit_params={"variable_names": ["x", "t"]},
        sr_params={
            "binary_operators": ["+", "*"],
            "unary_operators": ["sin", "exp"],
            "niterations": 5,
            "random_state": 0,
        },
        engine="native",
        progress=False,
    )
    print(f"found in the network: {model.equation(0)}")
    model.switch_to_symbolic()
    reached = model.fit_constants(None, torch.rand(500, 2, dtype=torch.float64), loss)
    print(f"refined on the PDE:   {model.equation(0)}   (loss {reached:.1e})")
    print(f"true:                 sin({math.pi:.5f}*x)*exp({-DIFFUSIVITY * math.pi**2:.5f}*t)")


if __name__ == "__main__":
    main()
