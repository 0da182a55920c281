"""Figures, each on axes that are given or new; they need matplotlib: ``pip install 'torch-symbolic[plot]'``."""

from symtorch.equations.show import plot_front, plot_growth
from symtorch.equations.structure import plot_structure
from symtorch.local.plotting import plot_attributions, plot_profile
from symtorch.surrogate.figures import plot_along, plot_domain, plot_parity, plot_pruning, plot_residuals

__all__ = [
    "plot_along",
    "plot_attributions",
    "plot_domain",
    "plot_front",
    "plot_growth",
    "plot_parity",
    "plot_profile",
    "plot_pruning",
    "plot_residuals",
    "plot_structure",
]
