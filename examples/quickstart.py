"""From a trained network to the law it has learned: a heat equation's PINN becomes one line.

The network u(x, t) is trained on the residual of u_t = 0.2 u_xx on [0, 1]², on the initial condition
u(x, 0) = sin(pi x) and on ten measured points. Distilled, it should be sin(pi x) exp(-0.2 pi² t).

Run: python examples/quickstart.py [--figure quickstart.png]
"""

import argparse
import logging
import math
import time

import torch
from torch import nn

import symtorch

DIFFUSIVITY = 0.2


def exact(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The solution of the heat equation."""
    return torch.sin(math.pi * x) * torch.exp(-DIFFUSIVITY * math.pi**2 * t)


def residual(net: nn.Module, points: torch.Tensor) -> torch.Tensor:
    """u_t - 0.2 u_xx of the network at points (n, 2) = (x, t): (n, 1)."""
    points = points.requires_grad_()
    u = net(points)
    u_x, u_t = torch.autograd.grad(u.sum(), points, create_graph=True)[0].split(1, dim=1)
    u_xx = torch.autograd.grad(u_x.sum(), points, create_graph=True)[0][:, :1]
    return u_t - DIFFUSIVITY * u_xx


def train_pinn(seed: int = 0, adam_steps: int = 1500, lbfgs_steps: int = 400) -> nn.Module:
    """A network of three tanh layers of 32, trained on the equation and ten points."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )
    inside = torch.rand(400, 2)
    x = torch.linspace(0, 1, 50)[:, None]
    start = torch.cat([x, torch.zeros_like(x)], dim=1)
    data = torch.rand(10, 2)

    def loss() -> torch.Tensor:
        physics = residual(net, inside).square().mean()
        initial = (net(start) - exact(*start.split(1, dim=1))).square().mean()
        measured = (net(data) - exact(*data.split(1, dim=1))).square().mean()
        return physics + 10 * initial + 10 * measured

    adam = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(adam_steps):
        adam.zero_grad()
        loss().backward()
        adam.step()
    lbfgs = torch.optim.LBFGS(net.parameters(), max_iter=lbfgs_steps, history_size=50, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        lbfgs.zero_grad()
        value = loss()
        value.backward()
        return value

    lbfgs.step(closure)
    return net


def error(model: nn.Module, points: torch.Tensor) -> float:
    """Relative L2 error against the exact solution."""
    with torch.no_grad():
        truth = exact(*points.split(1, dim=1))
        return float((model(points) - truth).norm() / truth.norm())


def grid(n: int = 60) -> torch.Tensor:
    axis = torch.linspace(0, 1, n)
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)


def draw(network: torch.Tensor, equation: torch.Tensor, path: str) -> None:
    """The fields u(x, t) of both side by side, and what the equation says more than the network."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    difference = equation - network
    most = float(difference.abs().max())
    figure, axes = plt.subplots(1, 3, figsize=(10, 2.9), layout="constrained", sharey=True)
    for axis, title, field, low, high, colours in (
        (axes[0], "network", network, 0.0, 1.0, "inferno"),
        (axes[1], "equation in its place", equation, 0.0, 1.0, "inferno"),
        (axes[2], "equation - network", difference, -most, most, "RdBu_r"),
    ):
        image = axis.imshow(field.T, origin="lower", extent=(0, 1, 0, 1), vmin=low, vmax=high, cmap=colours)
        axis.set(title=title, xlabel="x")
        figure.colorbar(image, ax=axis)
    axes[0].set_ylabel("t")
    figure.savefig(path, dpi=140)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", default="quickstart.png", help="where the picture goes; '' for none")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")

    torch.set_num_threads(1)  # for a network this small more threads only wait for each other
    started = time.perf_counter()
    print("training the PINN of u_t = 0.2 u_xx ...")
    net = train_pinn(args.seed)
    trained = time.perf_counter()

    block = symtorch.SymbolicModel(net, "heat")
    points = torch.rand(2000, 2, generator=torch.Generator().manual_seed(args.seed))
    block.distill(
        points,
        sr_params={"random_state": args.seed},
        fit_params={"variable_names": ["x", "t"]},
        engine="native",
    )
    front = block.fronts[0]
    distilled = time.perf_counter()

    print(f"\n{front}\n")
    print(f"chosen  u = {front.best}")
    print(f"true    u = sin({math.pi:.5g}*x)*exp({-DIFFUSIVITY * math.pi**2:.5g}*t)\n")

    everywhere = grid()
    network_error = error(block, everywhere.reshape(-1, 2))
    network = block(everywhere).detach()[..., 0]
    block.switch_to_symbolic()
    print(f"relative error of the network   {network_error:.2e}")
    print(f"relative error of the equation  {error(block, everywhere.reshape(-1, 2)):.2e}")
    print(f"training {trained - started:.0f} s, distilling {distilled - trained:.0f} s")
    if args.figure:
        equation = block(everywhere).detach()[..., 0]
        draw(network, equation, args.figure)
        print(f"figure: {args.figure}")


if __name__ == "__main__":
    main()
