"""Forces between bodies, read from the messages of graph networks that have seen positions and accelerations alone.

Four bodies in the plane act on each other by one of four forces along the line between them: charges q1 q2/r², 1/r,
1/r², and a spring r - 1. A graph network learns their accelerations; its message is a network over the numbers of both
bodies: positions, of which it takes the difference, charges and masses. It is distilled from those raw numbers, from
distances and products of charges, and as it is, in whatever direction the network has turned it (`mixing`). Claims, for
each force: the message is the force (R² at least 0.99), its equation is the law (it holds in scenes twice as wide as
any that was seen), and with the equations in the messages' place the model predicts those scenes better than the
network does. `--geometric` is the same with PyTorch Geometric (pip install torch_geometric).

    python examples/gnn_forces.py [--forces spring] [--variants bottleneck l1 pruning] [--seed 0] [--plot forces.png]
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import symtorch
from symtorch.errors import PoorFitWarning

BODIES, WIDTH = 4, 16
RECEIVERS, SENDERS = zip(*[(i, j) for i in range(BODIES) for j in range(BODIES) if i != j], strict=True)
RAW = ["xi", "yi", "qi", "mi", "xj", "yj", "qj", "mj"]
TRANSFORMS = {"dx": "x4 - x0", "dy": "x5 - x1", "r": "sqrt((x4 - x0)^2 + (x5 - x1)^2)", "qq": "x2*x6"}

PULLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "charge": lambda r, qq: -qq / r**2,
    "1/r": lambda r, qq: 1 / r,
    "1/r^2": lambda r, qq: 1 / r**2,
    "spring": lambda r, qq: r - 1,
}
"""Force towards the other body by distance and product of the charges."""

LAWS = {"charge": "-qi*qj*d/r^3", "1/r": "d/r^2", "1/r^2": "d/r^3", "spring": "d*(1 - 1/r)"}
"""The same along an axis, where the other body is at d = (dx, dy)."""


def force(kind: str, edges: Tensor) -> Tensor:
    """Force on the first body of each pair, edges (..., 8) of both bodies' numbers: (..., 2)."""
    d = edges[..., 4:6] - edges[..., :2]
    r = d.norm(dim=-1)
    return (PULLS[kind](r, edges[..., 2] * edges[..., 6]) / r)[..., None] * d


def edges_of(nodes: Tensor) -> Tensor:
    """Numbers of receiver and sender for all pairs: (batch, bodies, 4) -> (batch, pairs, 8)."""
    return torch.cat([nodes[:, RECEIVERS], nodes[:, SENDERS]], dim=-1)


def accelerations(per_edge: Tensor, nodes: Tensor) -> Tensor:
    """Sum of what the edges (batch, pairs, 2) pull at each body, over its mass: (batch, bodies, 2)."""
    total = per_edge.new_zeros(*nodes.shape[:2], 2).index_add(1, torch.tensor(RECEIVERS), per_edge)
    return total / nodes[..., 3:]


def scenes(kind: str, n: int, generator: torch.Generator, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Bodies (n, bodies, 4) with position, charge and mass, and their accelerations (n, bodies, 2)."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    corners = torch.tensor([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=torch.float64)
    positions = spread * (corners + 1.2 * uniform(n, BODIES, 2) - 0.6)
    charges = torch.where(uniform(n, BODIES, 1) < 0.5, -1, 1) * (0.5 + uniform(n, BODIES, 1))
    nodes = torch.cat([positions, charges, 0.5 + uniform(n, BODIES, 1)], dim=-1)
    return nodes, accelerations(force(kind, edges_of(nodes)), nodes)


class Message(nn.Module):
    """What the sender tells the receiver. It sees positions as a difference, charges and masses as they are."""

    def __init__(self, width: int, hidden: int = 48) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, width)
        )

    def forward(self, edges: Tensor) -> Tensor:
        return self.layers(torch.cat([edges[..., 4:6] - edges[..., :2], edges[..., 2:4], edges[..., 6:]], dim=-1))


class GraphNetwork(nn.Module):
    """Accelerations (batch, bodies, 2) of bodies (batch, bodies, 4): messages, read out linearly, added up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.edge = nn.Sequential(Message(width), nn.Linear(width, 2, bias=False))

    def forward(self, nodes: Tensor) -> Tensor:
        return accelerations(self.edge(edges_of(nodes)), nodes)


def geometric(width: int) -> nn.Module:
    """The same as a layer of PyTorch Geometric, whose messages along edges are the rows that are distilled."""
    from torch_geometric.nn import MessagePassing

    class Geometric(MessagePassing):
        def __init__(self) -> None:
            super().__init__(aggr="add")
            self.edge = nn.Sequential(Message(width), nn.Linear(width, 2, bias=False))

        def forward(self, nodes: Tensor) -> Tensor:
            first = BODIES * torch.arange(len(nodes))
            index = (torch.tensor([SENDERS, RECEIVERS])[:, None] + first[:, None]).flatten(1)
            return self.propagate(index, x=nodes.flatten(0, 1)).view(*nodes.shape[:2], 2) / nodes[..., 3:]

        def message(self, x_i: Tensor, x_j: Tensor) -> Tensor:
            return self.edge(torch.cat([x_i, x_j], dim=-1))

    return Geometric()


def train(
    kind: str, variant: str, make: Callable[[int], Any], generator: torch.Generator, adam: int, lbfgs: int
) -> GraphNetwork:
    """A graph network with messages of 2 numbers, or of 16 of which a penalty or pruning leaves 2 in use."""
    model = make(2 if variant == "bottleneck" else WIDTH)
    message, readout = symtorch.wrap(model, "edge.0"), next(model.edge[1].parameters())
    if variant == "pruning":
        message.setup_pruning(WIDTH, 2, total_steps=adam, end_step_frac=0.5, decay_rate="cosine")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=adam)
    sample = scenes(kind, 64, generator)[0].float()
    for step in range(adam):
        nodes, target = (part.float() for part in scenes(kind, 64, generator))
        loss = (model(nodes) - target).square().mean()
        if variant == "l1":  # a large readout would make small messages free
            loss = loss + 1e-2 * message(edges_of(nodes)).abs().mean() + 1e-3 * readout.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if variant == "pruning" and step % 10 == 0:
            message.prune(step, sample, parent_model=model)
    model.double()
    nodes, target = scenes(kind, 1000, generator)
    last = torch.optim.LBFGS(
        model.parameters(), max_iter=lbfgs, history_size=40, line_search_fn="strong_wolfe", tolerance_change=0
    )

    def closure() -> Tensor:
        last.zero_grad()
        loss = (model(nodes) - target).square().mean()
        loss.backward()
        return loss

    last.step(closure)
    if message.pruning_mask is not None:  # what was pruned stays zero without the wrapper
        with torch.no_grad():
            for parameter in list(message.parameters())[-2:]:
                parameter[~message.pruning_mask] = 0
    symtorch.unwrap(model, "edge.0")
    return model


def explained(found: Tensor, truth: Tensor) -> float:
    """R² of the worse component."""
    return float((1 - (found - truth).var(dim=0) / truth.var(dim=0)).min())


def error(model: nn.Module, nodes: Tensor, target: Tensor) -> float:
    """Root mean square error relative to the spread of the accelerations."""
    with torch.no_grad():
        return float((model(nodes) - target).square().mean().sqrt() / target.std())


WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "raw": ("edge", {"fit_params": {"variable_names": RAW}}),
    "transforms": ("edge", {"variable_transforms": TRANSFORMS}),
    "mixing": ("edge.0", {"fit_params": {"variable_names": RAW}, "mixing": 2}),
}
"""What is distilled, and how: what a message does to its receiver, or the message itself, however it is rotated."""


def distilled(model: GraphNetwork, nodes: Tensor, seed: int, way: str, niterations: int) -> symtorch.SymbolicModel:
    """Messages as equations, wrapped in their place in the model."""
    part, how = WAYS[way]
    edge = symtorch.wrap(model, part)
    edge.distill(
        nodes, parent_model=model, engine="native", max_rows=1500, progress=False,
        sr_params={
            "binary_operators": ["+", "-", "*", "/"], "unary_operators": ["sqrt", "square", "cube"],
            "niterations": niterations, "random_state": seed,
        }, **how,
    )  # fmt: skip
    return edge


def study(
    kind: str, variant: str, args: argparse.Namespace, generator: torch.Generator
) -> tuple[list[str], dict[str, Any]]:
    """Train, distill, compare with the truth. Returns claims that failed, and what is drawn."""
    torch.manual_seed(args.seed)
    started = time.process_time()
    patience = 2 if kind == "charge" else 1  # two inputs more
    make = geometric if args.geometric else GraphNetwork
    model = train(kind, variant, make, generator, args.adam, patience * args.lbfgs)
    trained = time.process_time() - started
    nodes, target = scenes(kind, 1000, generator)
    edges = edges_of(nodes).reshape(-1, 8)
    with torch.no_grad():
        message = explained(model.edge(edges), force(kind, edges))
    where = ", PyTorch Geometric" if args.geometric else ""
    print(f"\n{kind}, {variant}{where}: trained in {trained:.0f} CPU-s;", end=" ")
    print(f"error {error(model, nodes, target):.2%} of the spread")
    print(f"  R² of the message as the force   {message:.5f}")
    failed = [] if message >= 0.99 else [f"R² of the message is {message:.4f}"]

    far, far_target = scenes(kind, 1000, generator, spread=2.0)
    far_edges = edges_of(far).reshape(-1, 8)
    network = error(model, far, far_target)
    drawn: dict[str, Any] = {}
    for way in args.variables:
        started = time.process_time()
        block = distilled(model, nodes, args.seed, way, args.niterations)
        took = time.process_time() - started
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PoorFitWarning)  # it is a claim below
            block.switch_to_symbolic()
        print(f"  {way} ({took:.0f} CPU-s); true: {LAWS[kind]}")
        for name, front in zip("ab" if way == "mixing" else "xy", block.fronts.values(), strict=True):
            print(f"    {name}: {front.best}    ({front.verdict})")
        with torch.no_grad():
            law = explained(model.edge(far_edges), force(kind, far_edges))
        equations = error(model, far, far_target)
        print(f"    R² as the force, twice as far     {law:.5f}")
        print(f"    error twice as far: network {network:.2%}, equations {equations:.2%}")
        if law < 0.999:
            failed.append(f"equations, {way}, are not the law (R² {law:.4f} farther out)")
        if not equations < network:
            failed.append(f"equations, {way}, are no better than the network farther out")
        drawn = drawn or along(kind, model, block)
        symtorch.unwrap(model, WAYS[way][0])
    return failed, drawn


def along(kind: str, model: GraphNetwork, block: symtorch.SymbolicModel) -> dict[str, Any]:
    """The pull by distance in one direction: true, of the equations and of the network, to which it switches."""
    r = torch.linspace(0.5, 7, 200, dtype=torch.float64)
    edges = torch.zeros(200, 8, dtype=torch.float64)
    edges[:, [2, 3, 6, 7]] = 1.0
    edges[:, 4], edges[:, 5] = 0.8 * r, 0.6 * r
    axis = torch.tensor([0.8, 0.6], dtype=torch.float64)
    with torch.no_grad():
        curves = {"r": r, "true": force(kind, edges) @ axis, "equations": model.edge(edges) @ axis}
        block.switch_to_block()
        return {**curves, "network": model.edge(edges) @ axis}


def draw(curves: dict[str, dict[str, Any]], path: str) -> None:
    """The pull by distance of every force; what lies beyond the grey band was never seen."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(2.9 * len(curves), 2.9), layout="constrained", squeeze=False)
    for axis, (kind, curve) in zip(axes.flat, curves.items(), strict=True):
        axis.axvspan(0.8, 3.2 * 2**0.5, color="0.92")
        axis.plot(curve["r"], curve["network"], color="tab:blue", label="network")
        axis.plot(curve["r"], curve["equations"], color="tab:red", label="equations")
        axis.plot(curve["r"], curve["true"], "k--", lw=1, label="true")
        axis.set(title=kind, xlabel="distance")
    axes[0, 0].set_ylabel("pull")
    axes[0, 0].legend(fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forces", nargs="+", choices=list(PULLS), default=list(PULLS))
    parser.add_argument("--variants", nargs="+", choices=["bottleneck", "l1", "pruning"], default=["bottleneck"])
    parser.add_argument("--variables", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--geometric", action="store_true", help="the network as a layer of PyTorch Geometric")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="", help="where the picture goes")
    parser.add_argument("--smoke", action="store_true", help="so little training that no claim is judged")
    args = parser.parse_args()
    args.adam, args.lbfgs, args.niterations = 3000, 800, 40
    if args.smoke:
        args.forces, args.variants, args.variables = ["1/r^2"], ["pruning"], ["transforms"]
        args.adam, args.lbfgs, args.niterations = 60, 5, 1
    torch.set_num_threads(1)  # networks so small gain nothing from more
    failed: list[str] = []
    curves: dict[str, dict[str, Any]] = {}
    for kind in args.forces:
        for variant in args.variants:
            wrong, curve = study(kind, variant, args, torch.Generator().manual_seed(args.seed))
            print("  claims hold" if not wrong else "  NOT: " + "; ".join(wrong), flush=True)
            failed += [f"{kind}, {variant}: {what}" for what in wrong]
            curves.setdefault(kind, curve)
    if args.smoke and importlib.util.find_spec("torch_geometric") is None:
        print("\nPyTorch Geometric is not installed: the same with it is left out")
    elif args.smoke:
        args.geometric = True
        study("1/r^2", "pruning", args, torch.Generator().manual_seed(args.seed))
    if args.plot:
        draw(curves, args.plot)
    if failed and not args.smoke:
        sys.exit("claims that failed: " + "; ".join(failed))


if __name__ == "__main__":
    main()
