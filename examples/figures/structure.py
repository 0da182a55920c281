"""What a law is made of, as asking found it
=========================================

The native engine asks a block for its structure before it searches. ``front.plot_structure()`` draws what it has
found: each function in terms of simpler ones, with how nearly the block's own answers obey that (as a share of their
spread), down to functions of few inputs that are recognised in closed form, here in blue.
"""

import numpy as np

import symtorch


def wave(x: np.ndarray) -> np.ndarray:
    """A wave packet of height x2 that moves with speed x3."""
    u = x[:, 0] - x[:, 3] * x[:, 1]
    return x[:, 2] * np.exp(-(u**2)) + np.sin(x[:, 4])


block = symtorch.SymbolicModel(wave, "wave")
block.distill(
    np.random.default_rng(0).uniform(0.5, 1.5, (500, 5)),
    engine="native",
    sr_params={"random_state": 0, "binary_operators": ["+", "-", "*"], "unary_operators": ["exp", "sin", "square"]},
    fit_params={"variable_names": ["x", "t", "height", "speed", "phase"]},
)
print(block.equation(0))
block.fronts[0].plot_structure()
