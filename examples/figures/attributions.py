"""One prediction, explained
=========================

``symtorch.explain`` finds an equation around a point; ``explanation.plot()`` draws how much each input has to do with
the prediction, and ``plotting.plot_profile`` model and equation along one of them.
"""

import numpy as np

import symtorch
from symtorch.plotting import plot_profile

rows = np.random.default_rng(0).normal(size=(1000, 4))


def model(x: np.ndarray) -> np.ndarray:
    return np.tanh(2 * x[:, 0]) * x[:, 1] + 0.3 * x[:, 2] ** 2


explanation = symtorch.explain(model, rows, rows[0], names=["speed", "load", "wear", "noise"])
print(explanation)
explanation.plot()

# %%
plot_profile(explanation, model, "speed")
