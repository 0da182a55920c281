"""How a search went: the best loss by time
========================================

``front.plot_growth()`` draws the share of the variance that the best equation left, while the search went on. Asked, a
block gives this law away at once; from its rows alone, of which there are few, the search comes nearer step by step and
ends with an approximation that leaves a billionth.
"""

import matplotlib.pyplot as plt
import numpy as np

import symtorch

rows = np.random.default_rng(0).uniform(0.5, 2, (300, 3))


def law(x: np.ndarray) -> np.ndarray:
    """A quotient and a wave."""
    return x[:, 0] * np.exp(-(x[:, 1] ** 2)) / (1 + x[:, 2] ** 2) + np.sin(3 * x[:, 0] * x[:, 1])


params = {"random_state": 0, "binary_operators": ["+", "*", "/"], "unary_operators": ["sin", "exp", "square"]}
block = symtorch.SymbolicModel(law, "law")
_, ax = plt.subplots(layout="constrained")
for ask, name, colour in ((True, "asked", "#2166ac"), (False, "from data", "#b2182b")):
    block.distill(rows, engine="native", ask=ask, sr_params=params)
    front = block.fronts[0]
    print(f"{name}: {front.best}, {front.stop_reason}")
    front.plot_growth(ax=ax)
    ax.lines[-1].set(color=colour, label=name)
    ax.collections[-1].set_color(colour)
ax.legend()
