"""Figures; matplotlib is needed for these alone: ``pip install 'torch-symbolic[plot]'``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from symtorch.equations.show import axes
from symtorch.errors import InputError, listed
from symtorch.local.ask import asking
from symtorch.local.frame import Frame


class Explanation(Protocol):
    """What the plots read of a :class:`symtorch.Explanation`."""

    @property
    def point(self) -> np.ndarray: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def output(self) -> int: ...
    @property
    def prediction(self) -> float: ...
    @property
    def model_prediction(self) -> float: ...
    @property
    def r2_held_out(self) -> float: ...
    @property
    def attributions(self) -> Mapping[str, float]: ...
    @property
    def base_value(self) -> float: ...
    @property
    def logit(self) -> bool: ...
    @property
    def frame(self) -> Frame: ...

    def predict(self, X: Any) -> np.ndarray: ...


def plot_attributions(explanation: Explanation, ax: Any = None, n_inputs: int = 10) -> Any:
    """Bars of an explanation's largest attributions, the largest on top.

    Args:
        explanation: what :func:`symtorch.explain` returned.
        ax: axes to draw on; None for new ones.
        n_inputs: bars, at most; the others are summed up in one.

    Returns:
        the axes.
    """
    ax = axes(ax)
    ranked = sorted(explanation.attributions.items(), key=lambda item: -abs(item[1]))
    shown = ranked[:n_inputs] if len(ranked) <= n_inputs else ranked[: n_inputs - 1]
    bars = [(f"{name} = {_value(explanation, name)}", value) for name, value in shown]
    if rest := ranked[len(shown) :]:
        bars.append((f"{len(rest)} others", sum(value for _, value in rest)))
    labels, values = zip(*reversed(bars), strict=True)
    ax.barh(labels, values, color=["#b2182b" if v < 0 else "#2166ac" for v in values])
    ax.axvline(0, color="black", linewidth=0.8)
    what = "log-odds" if explanation.logit else "output"
    ax.set_xlabel(f"share of {what} {explanation.output}, from {explanation.base_value:.4g}")
    ax.set_title(
        f"{explanation.prediction:.4g} (model {explanation.model_prediction:.4g}), "
        f"R² {explanation.r2_held_out:.3f} on fresh points",
        fontsize="medium",
    )
    return ax


def plot_profile(explanation: Explanation, model: Any, name: str, ax: Any = None, n_points: int = 101) -> Any:
    """Model and equation along one input, the others as they are at the point.

    Args:
        explanation: what :func:`symtorch.explain` returned.
        model: the module or function that was explained, (n_rows, n_inputs) to (n_rows,) or
            (n_rows, n_outputs).
        name: of a continuous input; drawn over two standard deviations of the data on both sides.

    Returns:
        the axes.
    """
    if name not in explanation.names:
        raise InputError(f"name is {name!r}; expected an input, one of {listed(explanation.names)}.")
    ax = axes(ax)
    i = explanation.names.index(name)
    reach = 2 * float(explanation.frame.scale[i])
    rows = np.tile(explanation.point, (n_points, 1))
    rows[:, i] += np.linspace(-reach, reach, n_points)
    truth = asking(model)(rows)[:, explanation.output]
    if explanation.logit:
        truth = np.log(np.clip(truth, 1e-6, 1 - 1e-6) / np.clip(1 - truth, 1e-6, 1))
    ax.plot(rows[:, i], truth, color="black", label="model")
    ax.plot(rows[:, i], explanation.predict(rows), "--", color="#2166ac", label="equation")
    ax.axvline(explanation.point[i], color="grey", linewidth=0.8)
    ax.set_xlabel(name)
    ax.legend()
    return ax


def _value(explanation: Explanation, name: str) -> str:
    return f"{explanation.point[explanation.names.index(name)]:.4g}"
