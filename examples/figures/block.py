"""A block beside its equation
===========================

``block.plot()`` draws parity, on the rows that were held out, and block and equation along every input. ``of=`` takes
one of these, the residuals, or the domain: how far the two agree within the data and beyond. Here a network has
learned ``x*exp(-y)`` in a box; the equation goes on where the network does not.
"""

import torch
from torch import nn

import symtorch

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
rows = torch.rand(1000, 2) * torch.tensor([4.0, 2.0]) - torch.tensor([2.0, 0.0])
truth = (rows[:, 0] * torch.exp(-rows[:, 1]))[:, None]
adam = torch.optim.Adam(net.parameters(), lr=1e-2)
for step in range(1500):
    adam.param_groups[0]["lr"] = 1e-2 * (1 - step / 1500)
    adam.zero_grad()
    (net(rows) - truth).square().mean().backward()
    adam.step()

block = symtorch.SymbolicModel(net, "net")
named = {"variable_names": ["x", "y"]}
block.distill(rows, engine="native", sr_params={"random_state": 0}, fit_params=named)
print(block.equation(0))
block.plot(0)

# %%
# What the equation leaves of the network, by the network's value: a pattern is what the equation lacks, or, as here,
# what the network has learned wrong.
block.plot(0, of="residuals")

# %%
# The domain, along the two inputs that the equation uses first. Within the frame there was data.
block.plot(0, of="domain")
