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
from symtorch.pruning import Pruning
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.module import Surrogate

BLOCK, EQUATION = "black", "#2166ac"
"""Colours of the two, in all figures."""

BEYOND = 0.5
"""How far beyond the data a domain is drawn on either side, as a share of its range."""

MOST_NAMED = 32
"""Outputs up to which each has its number beside its bar."""

_DECADES = (-6.0, 1.0)
"""What is told apart in a domain: six digits right, and off by ten times the spread."""


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


def plot_residuals(actual: np.ndarray, predicted: np.ndarray, ax: Any = None, rows: str = "rows") -> Any:
    """What the block says more than the equation, over the block's values: a law leaves no pattern.

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
    left = actual[finite] - predicted[finite]
    ax.scatter(actual[finite], left, s=8, alpha=0.5, color=EQUATION)
    ax.axhline(0.0, color=BLOCK, linewidth=0.8)
    spread = float(np.std(left)) if finite.any() else np.nan
    ax.set_title(f"standard deviation {spread:.2g} on {len(actual)} {rows}", fontsize="medium")
    ax.set_xlabel("block")
    ax.set_ylabel("block - equation")
    return ax


def plot_domain(
    x: np.ndarray,
    y: np.ndarray,
    difference: np.ndarray,
    data: np.ndarray,
    names: Sequence[str],
    ax: Any = None,
) -> Any:
    """Where block and equation agree, within the data and beyond: the domain in which the equation is valid.

    Args:
        x: (n,), rising values of one input.
        y: (m,), rising values of another one.
        difference: (m, n), equation less block there, as a share of the block's spread; NaN where one is undefined,
            which stays white.
        data: (n_rows, 2), those two inputs in the data, whose range is framed.
        names: of the two.
        ax: axes to draw on; None for new ones.

    Returns:
        the axes.
    """
    ax = axes(ax)
    with np.errstate(all="ignore"):
        decades = np.clip(np.log10(np.abs(difference)), *_DECADES)
    image = ax.pcolormesh(
        x, y, decades, vmin=_DECADES[0], vmax=_DECADES[1], cmap="viridis", shading="nearest", rasterized=True
    )
    ax.figure.colorbar(image, ax=ax, label="log10 |equation - block| / spread")
    (left, bottom), (right, top) = data.min(axis=0), data.max(axis=0)
    ax.plot([left, right, right, left, left], [bottom, bottom, top, top, bottom], color="white", linewidth=3)
    ax.plot(
        [left, right, right, left, left],
        [bottom, bottom, top, top, bottom],
        "--",
        color=BLOCK,
        label="range of the data",
    )
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    ax.legend(loc="upper right")
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
    """One output of a block in figures: parity, residuals, profiles of inputs, domain; others at their medians.

    Args:
        found: its equations, of which the chosen ones are drawn.
        data: rows of it.
        teacher: the block as a function of its inputs; None where it can't be asked.
        output: index of the output.
        of: "parity", "residuals", "domain", or the name of the one input to draw; None for parity and profiles.
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

    inputs = [*used, *(j for j in range(len(names)) if j not in used)]

    def domain(ax: Any) -> Any:
        if teacher is None or len(names) < 2:
            why = "it has one input only" if teacher is not None else "the block can't be asked at new rows"
            raise InputError(f"there is no domain to draw: {why}. of='parity' and a name of an input can be drawn.")
        i, j = sorted(inputs[:2])
        low, high = data.X.min(axis=0), data.X.max(axis=0)
        reach = BEYOND * (high - low)
        x, y = (np.linspace(low[k] - reach[k], high[k] + reach[k], n_points // 2) for k in (i, j))
        X = np.tile(middle, (len(x) * len(y), 1))
        X[:, i], X[:, j] = np.tile(x, len(y)), np.repeat(y, len(x))
        spread = float(np.std(data.Y[:, output])) or 1.0
        difference = (equation(X) - teacher(X)[:, output]).reshape(len(y), len(x)) / spread
        return plot_domain(x, y, difference, data.X[:, [i, j]], (names[i], names[j]), ax)

    if of == "parity" or (of is None and ax is not None):
        return parity(ax)
    if of is not None and of in names:  # an input may have any name
        return profile(names.index(of), ax)
    if of == "residuals":
        return plot_residuals(data.Y[:, output], equation(data.X), ax, rows)
    if of == "domain":
        return domain(ax)
    if of is not None:
        raise InputError(f"of is {of!r}; expected 'parity', 'residuals', 'domain' or an input, one of {listed(names)}.")
    inputs = inputs[:most]
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


def plot_pruning(pruning: Pruning, ax: Any = None) -> Any:
    """Every output as a bar that ends at the step at which it was pruned, the longest below, and the schedule.

    Args:
        pruning: how far it is.
        ax: axes to draw on; None for new ones.

    Returns:
        the axes.
    """
    ax = axes(ax)
    now = min(pruning.schedule) if pruning.latest is None else pruning.latest
    at = pruning.pruned_at or (None,) * pruning.initial_dim
    ends = [
        (now if kept or step is None else step, kept, i)
        for i, (kept, step) in enumerate(zip(pruning.mask.tolist(), at, strict=True))
    ]
    ends.sort(key=lambda end: (not end[1], -end[0], end[2]))
    heights = np.arange(len(ends)) + 0.5
    colours = [EQUATION if kept else "#92c5de" for _, kept, _ in ends]
    ax.barh(
        heights,
        [step - min(pruning.schedule) for step, _, _ in ends],
        left=min(pruning.schedule),
        height=0.8,
        color=colours,
    )
    steps = sorted(pruning.schedule)
    ax.step(
        steps, [pruning.schedule[step] for step in steps], where="post", color=BLOCK, linewidth=1.0, label="schedule"
    )
    if len(ends) <= MOST_NAMED:
        ax.set_yticks(heights, [str(i) for _, _, i in ends])
    ax.set_xlabel("step")
    ax.set_ylabel("output")
    ax.set_title(f"{pruning.current_dim} of {pruning.initial_dim} outputs kept at step {now}", fontsize="medium")
    ax.legend()
    return ax
