"""Pruning over time
=================

A block that is pruned while it trains says what it has to say in fewer outputs. ``block.plot_pruning()`` draws each
output as a bar that ends at the step at which it was pruned, under the schedule. Here eight outputs carry what two
could.
"""

import torch
from torch import nn

import symtorch

torch.manual_seed(0)
rows = torch.randn(500, 3)
truth = torch.stack([rows[:, 0] * rows[:, 1], rows[:, 2] ** 2], dim=1)

encoder = nn.Sequential(nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 8))
net = nn.Sequential(encoder, nn.Linear(8, 2))
block = symtorch.wrap(net, "0")
block.setup_pruning(initial_dim=8, target_dim=2, total_steps=400)

adam = torch.optim.Adam(net.parameters(), lr=1e-2)
for step in range(400):
    block.prune(step, rows, parent_model=net)
    adam.zero_grad()
    loss = (net(rows) - truth).square().mean()
    loss.backward()
    adam.step()
print(f"outputs {block.get_active_dimensions()} are left, loss {loss.item():.2g} of {truth.var():.2g}")
block.plot_pruning()
