"""A block beside its equation in figures: on rows of data, and along one input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from symtorch.capture.rows import Captured, Teacher
from symtorch.equations.expr import variables
from symtorch.equations.r2 import r2
from symtorch.equations.show import axes, panels
from symtorch.errors import InputError, listed
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.module import Surrogate

BLOCK, EQUATION = "black", "#2166ac"
"""Colours of the two, in all figures."""


def plot_parity(actual: np.ndarray, predicted: np.ndarray, ax: Any = None, rows: str = "rows") -> Any:
    """The equation's values over the block's; where it is right they lie on the line.

    Args:
        actual: (n_rows,), of the block.
        predicted: (n_rows,), of the equation.
        ax: axes to draw on; None for new ones.
        rows: what the rows are, for the title.

    Returns:
        the axes.
    """
    ax = axes(ax)
    finite = np.isfinite(predicted)
    ax.scatter(actual[finite], predicted[finite], s=8, alpha=0.5, color=EQUATION)
    ends = [float(np.min(actual)), float(np.max(actual))]
    ax.plot(ends, ends, color=BLOCK, linewidth=0.8)
    undefined = "" if finite.all() else f", undefined on {int(np.sum(~finite))}"
    ax.set_title(
        f"R² {r2(actual[finite], predicted[finite]):.5g} on {len(actual)} {rows}{undefined}", fontsize="medium"
    )
    ax.set_xlabel("block")
    ax.set_ylabel("equation")
    return ax


def plot_along(x: np.ndarray, block: np.ndarray | None, equation: np.ndarray, name: str, ax: Any = None) -> Any:
    """Block and equation along one input.

    Args:
        x: (n_points,), values of the input.
        block: (n_points,), its values there; None where it can't be asked.
        equation: (n_points,), its values there.
        name: of the input.
        ax: axes to draw on; None for new ones.

    Returns:
        the axes.
    """
    ax = axes(ax)
    if block is not None:
        ax.plot(x, block, color=BLOCK, label="block")
    ax.plot(x, equation, "--", color=EQUATION, label="equation")
    ax.set_xlabel(name)
    ax.legend()
    return ax


def plot_output(
    found: Findings,
    data: Captured,
    teacher: Teacher | None,
    output: int,
    of: str | None,
    ax: Any,
    rows: str,
    most: int,
    n_points: int = 201,
) -> Any:
    """One output of a block in figures: parity, and a profile of each input with the others at their medians.

    Args:
        found: its equations, of which the chosen ones are drawn.
        data: rows of it.
        teacher: the block as a function of its inputs; None where it can't be asked.
        output: index of the output.
        of: "parity", or the name of the one input to draw; None for all.
        ax: axes to draw on, for one figure.
        rows: what the rows are.
        most: how many inputs, those that the equation uses first.
        n_points: of a profile.

    Returns:
        the axes, an array of them for all figures.
    """
    surrogate, names, used = _as_function(found, output)
    middle = np.median(data.X, axis=0)

    def equation(X: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return surrogate.rows(torch.from_numpy(X))[:, output].numpy()

    def parity(ax: Any) -> Any:
        return plot_parity(data.Y[:, output], equation(data.X), ax, rows)

    def profile(j: int, ax: Any) -> Any:
        X = np.tile(middle, (n_points, 1))
        X[:, j] = np.linspace(data.X[:, j].min(), data.X[:, j].max(), n_points)
        block = None if teacher is None else teacher(X)[:, output]
        return plot_along(X[:, j], block, equation(X), names[j], ax)

    if of == "parity" or (of is None and ax is not None):
        return parity(ax)
    if of is not None:
        if of not in names:
            raise InputError(f"of is {of!r}; expected 'parity' or an input, one of {listed(names)}.")
        return profile(names.index(of), ax)
    inputs = [*used, *(j for j in range(len(names)) if j not in used)][:most]
    drawn = panels(1 + len(inputs))
    parity(drawn[0])
    for ax, j in zip(drawn[1:], inputs, strict=True):
        profile(j, ax)
    return drawn


def _as_function(found: Findings, output: int) -> tuple[Surrogate, Sequence[str], list[int]]:
    """The equations that an output needs, the names of the block's inputs, and which of them the output's law uses."""
    interface = found.require()
    laws = {i: found.equation(i) for i in interface.encoding.needed([output])}
    exprs = [laws[i].expr if i in laws else None for i in range(interface.n_searched)]
    n_inputs, names = interface.layout.n_inputs, interface.variable_names
    plain = [f"x{i}" for i in range(n_inputs)]
    try:
        own = [found.in_block_inputs(law) for law in laws.values()]
    except InputError:  # a variable is made by a Python function: which inputs are in it nobody knows
        return Surrogate(exprs, interface), plain, []
    used = sorted({j for law in own for j in variables(law.expr)})
    unchanged = len(names) == n_inputs and all(law.variable_names == names for law in own)
    return Surrogate(exprs, interface), list(names) if unchanged else plain, used
