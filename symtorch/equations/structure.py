"""What a law is made of, as asking the block has found it: a tree of functions, each in terms of simpler ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from symtorch.equations.show import axes, shortened

LONGEST = 400
"""Characters of each text that is kept."""

DEEPEST = 100
"""Levels that are kept."""

_LINE = 84
"""Characters of a line that is drawn."""


@dataclass(frozen=True)
class Structure:
    """A function that was asked for its structure, and what it was found to be.

    >>> parts = (Structure("g(x - y)", "(x - y)^2"), Structure("h(z)", "sin(z)"))
    >>> print(Structure("f(x, y, z)", "(x - y)^2*sin(z)", "g(x - y)*h(z)", 1e-31, parts))
    f(x, y, z) = g(x - y)*h(z)    to 3e-16
        g(x - y) = (x - y)^2
        h(z) = sin(z)

    Attributes:
        function: the function, of what it takes, over the variables of the search.
        found: what it is in the end.
        identity: what it was found to be in terms of its parts; empty where it has none, since it was recognised
            or searched for.
        residual: squared error of the block that would explain how far its answers are from the identity, relative
            to their variance. None where there is no identity.
        parts: the functions in the identity.
    """

    function: str
    found: str
    identity: str = ""
    residual: float | None = None
    parts: tuple[Structure, ...] = ()

    def lines(self, level: int = 0) -> Iterator[tuple[int, str, str]]:
        """(level, the function and what it is, how nearly) of this function and all that it is made of."""
        near = "" if self.residual is None else f"to {self.residual**0.5:.1g}"
        yield level, f"{self.function} = {self.identity or self.found}", near
        for part in self.parts:
            yield from part.lines(level + 1)

    def __str__(self) -> str:
        return "\n".join(
            f"{'    ' * level}{shortened(text)}{f'    {near}' if near else ''}" for level, text, near in self.lines()
        )


def plot_structure(structure: Structure, ax: Any = None) -> Any:
    """The tree of functions, one to a line, each below the one that it is a part of.

    Args:
        structure: ``front.evidence.structure``.
        ax: axes to draw on; None for new ones, as high as the tree.

    Returns:
        the axes.
    """
    lines = list(structure.lines())
    ax = axes(ax, figsize=(7.0, 0.45 * len(lines) + 0.3))
    ax.set_axis_off()
    ax.set_xlim(0.0, 10.0)
    ax.set_ylim(len(lines) - 0.5, -0.5)
    last = {0: 0}  # the row of the latest function at each level
    for row, (level, text, near) in enumerate(lines):
        if level:
            x, above = 0.5 * level - 0.3, last[level - 1]
            ax.plot([x, x, x + 0.25], [above + 0.35, row, row], color="grey", linewidth=0.8)
        last[level] = row
        leaf = row + 1 == len(lines) or lines[row + 1][0] <= level
        box = {"boxstyle": "round,pad=0.25", "facecolor": "#d1e5f0" if leaf else "white", "edgecolor": "grey"}
        label = f"{shortened(text, _LINE)}{f'   ({near})' if near else ''}"
        # Formulas are text, not TeX: a dollar in a name is one.
        ax.text(0.5 * level, row, label, va="center", fontsize=8, family="monospace", bbox=box, parse_math=False)
    return ax
