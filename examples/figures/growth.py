"""How a search went: the best loss by time
========================================

``front.plot_growth()`` draws the share of the variance that the best equation left, while the search went on. Asked, a
block of this kind gives its law away in a second; from its rows alone the search takes longer.
"""

import matplotlib.pyplot as plt
import numpy as np

import symtorch

rows = np.random.default_rng(0).uniform(1, 3, (500, 4))


def gravity(x: np.ndarray) -> np.ndarray:
    """The force between masses x0 and x1 that are apart by x2 and x3."""
    return x[:, 0] * x[:, 1] / (x[:, 2] ** 2 + x[:, 3] ** 2)


params = {"random_state": 0, "binary_operators": ["+", "*", "/"], "unary_operators": ["square", "sqrt"]}
block = symtorch.SymbolicModel(gravity, "gravity")
_, ax = plt.subplots(layout="constrained")
for ask in (True, False):
    block.distill(rows, engine="native", ask=ask, sr_params=params)
    front = block.fronts[0]
    print(f"{'asked' if ask else 'from data'}: {front.best}, {front.stop_reason}")
    front.plot_growth(ax=ax)
ax.legend(ax.lines, ["asked", "from data"])
ax.lines[1].set_color("#b2182b")
