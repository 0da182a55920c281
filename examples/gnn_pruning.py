"""A graph network learns a two-particle law; pruning and distillation read it from the messages.

Four particles in a plane attract each other with 1/r^2 along the line between them.
A graph network sees positions and accelerations alone. Its messages between particles are 16 numbers
wide; while it trains, all but 2 are pruned. A force in a plane has two components, so what is left must be
a linear combination of them (Cranmer et al., NeurIPS 2020, arXiv 2006.11287) - and so the equations say.

    python examples/gnn_pruning.py
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import nn

import symtorch

N_PARTICLES, WIDTH, KEPT = 4, 16, 2
RECEIVERS, SENDERS = zip(*[(i, j) for i in range(N_PARTICLES) for j in range(N_PARTICLES) if i != j], strict=True)


def force(d: torch.Tensor) -> torch.Tensor:
    """Force on a particle whose partner is at d (..., 2) from it."""
    return d / d.norm(dim=-1, keepdim=True) ** 3


class GraphNetwork(nn.Module):
    """Accelerations from positions: the sum of messages along the edges, read out linearly."""

    def __init__(self) -> None:
        super().__init__()
        self.message = nn.Sequential(nn.Linear(2, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, WIDTH))
        self.readout = nn.Linear(WIDTH, 2, bias=False)

    def forward(self, positions: torch.Tensor) -> torch.Tensor:  # (batch, particles, 2) -> the same
        messages = self.message(positions[:, SENDERS] - positions[:, RECEIVERS])  # (batch, edges, WIDTH)
        total = messages.new_zeros(*positions.shape[:2], WIDTH)
        total = total.index_add(1, torch.tensor(RECEIVERS, device=positions.device), messages)
        return self.readout(total)


def scenes(n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    corners = torch.tensor([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])
    positions = corners + torch.rand(n, N_PARTICLES, 2, generator=generator) * 1.4 - 0.7
    forces = force(positions[:, SENDERS] - positions[:, RECEIVERS])
    return positions, torch.zeros_like(positions).index_add(1, torch.tensor(RECEIVERS), forces)


def train(model: GraphNetwork, message: symtorch.SymbolicModel, steps: int, generator: torch.Generator) -> None:
    message.setup_pruning(WIDTH, KEPT, total_steps=steps, end_step_frac=0.5, decay_rate="cosine")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    sample, _ = scenes(64, generator)
    for step in range(steps):
        positions, accelerations = scenes(64, generator)
        loss = nn.functional.mse_loss(model(positions), accelerations)
        # Messages that are needed little become small, so that their spread tells who is needed.
        loss = loss + 1e-3 * model.readout.weight.abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 10 == 0:
            message.prune(step, sample, parent_model=model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, help="training steps")
    parser.add_argument("--niterations", type=int, default=100, help="budget of the symbolic search")
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.steps, args.niterations = 60, 1
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    started = time.perf_counter()
    model = GraphNetwork()
    message = symtorch.wrap(model, "message")
    train(model, message, args.steps, generator)
    positions, accelerations = scenes(500, generator)
    with torch.no_grad():
        error = (model(positions) - accelerations).std() / accelerations.std()
    kept = message.get_active_dimensions()
    print(f"trained in {time.perf_counter() - started:.0f} s; error {error:.2%} of the accelerations' spread")
    print(f"messages kept: {kept} of {WIDTH}")

    d = (positions[:, SENDERS] - positions[:, RECEIVERS]).reshape(-1, 2)
    with torch.no_grad():
        messages = message(d)[:, kept]
    design = torch.cat([force(d), torch.ones(len(d), 1)], dim=1)
    residual = messages - design @ torch.linalg.lstsq(design, messages).solution
    shares = 1 - residual.var(dim=0) / messages.var(dim=0)
    print("R² of each message as a linear combination of the true force:", np.round(shares.numpy(), 5))

    message.distill(
        positions,
        parent_model=model,
        variable_transforms={"dx": "x0", "dy": "x1", "r": "sqrt(x0^2 + x1^2)"},
        sr_params={
            "binary_operators": ["+", "-", "*", "/"],
            "unary_operators": [],
            "niterations": args.niterations,
            "maxsize": 20,
            "random_state": 0,
            "progress": False,
        },
        max_rows=2000,
    )
    print("\nthe messages, which should be (a*dx + b*dy) / r^3 + c:")
    for i, front in message.fronts.items():
        print(f"  message {i} = {front.best}    R² {front.best.r2:.5f}")
    message.switch_to_symbolic()
    with torch.no_grad():
        error = (model(positions) - accelerations).std() / accelerations.std()
    print(f"with the equations in the messages' place: error {error:.2%}; {time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
