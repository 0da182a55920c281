"""A front: loss by complexity
===========================

``front.plot()`` draws the best equation of every complexity; the star is the default pick. Where the curve bends
sharply there may be a law: longer equations fit errors.
"""

import numpy as np

import symtorch

rng = np.random.default_rng(0)
rows = rng.uniform(-2, 2, (500, 2))


def noisy(x: np.ndarray) -> np.ndarray:
    """A law, and something that looks like noise."""
    return x[:, 0] ** 2 * np.sin(x[:, 1]) + 0.003 * np.sin(9e4 * x[:, 0])


block = symtorch.SymbolicModel(noisy, "noisy")
block.distill(rows, engine="native", ask=False, sr_params={"random_state": 0})
front = block.fronts[0]
print(front)
front.plot()
