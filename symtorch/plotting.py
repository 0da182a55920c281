"""Figures, each on axes that are given or new; they need matplotlib: ``pip install 'torch-symbolic[plot]'``."""

from symtorch.equations.show import plot_front
from symtorch.local.plotting import plot_attributions, plot_profile
from symtorch.surrogate.figures import plot_along, plot_parity

__all__ = ["plot_along", "plot_attributions", "plot_front", "plot_parity", "plot_profile"]
