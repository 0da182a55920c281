"""Local explanations: a short equation for what a model does around one point.

The idea is SLIME's (Fong & Motani, GECCO 2025, doi 10.1145/3712255.3726721): neighbours of the point
and new points around it, weighed by nearness, and a symbolic search on those. ``explain`` searches in
deviations from the point, takes sparse polynomials as first candidates, knows categories, and judges
the equation on points of its own.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from symtorch.capture.calls import as_tensor
from symtorch.engines import Engine, resolve
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import MIN_SAMPLES, Samples
from symtorch.equations.expr import to_text
from symtorch.equations.front import Equation, Front
from symtorch.equations.r2 import r2
from symtorch.equations.show import ROWS, formula, html_table, shortened
from symtorch.errors import InputError
from symtorch.local.ask import asking
from symtorch.local.frame import Frame
from symtorch.local.neighbourhood import Metric
from symtorch.local.search import choose, local_front, path_attributions
from symtorch.surrogate.fidelity import judged

DEFAULT_LOCAL_PARAMS: dict[str, Any] = {
    "binary_operators": ["+", "-", "*"],
    "unary_operators": ["tanh"],
    "maxsize": 25,
    "niterations": 10,
}
"""Search options of a local equation: around a point a model is nearly flat, or a step."""


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """A local equation and how far it can be trusted.

    The variables of the equation are ``d_<name>``, the deviation of a column from its value at the
    point, and for a categorical column ``<name>_is_<value>``, 1 where it has the point's category.

    Attributes:
        point: (n_inputs,).
        names: of the inputs.
        output: index of the model's output that is explained.
        front: all equations, with R² on held-out local samples.
        equation: the one that was chosen.
        prediction: the equation's value at the point.
        model_prediction: the model's.
        r2: weighted R² on the sample that it was found on.
        r2_held_out: weighted R² on fresh local points.
        attributions: {input: share}; with ``base_value`` they add up to ``prediction``, within
            ``attribution_error``. Partial derivatives, averaged on the way from the base point to the
            point, times deviations (integrated gradients, Sundararajan et al., ICML 2017).
        base: the point (n_inputs,) that attributions count from.
        base_value: the equation's value there.
        attribution_error: ``|prediction - base_value - sum of attributions|``.
        n_model_calls: rows that the model was asked for.
        logit: whether values are log-odds of the model's probability.
    """

    point: np.ndarray
    names: tuple[str, ...]
    output: int
    front: Front
    equation: Equation
    prediction: float
    model_prediction: float
    r2: float
    r2_held_out: float
    attributions: dict[str, float]
    base: np.ndarray
    base_value: float
    attribution_error: float
    n_model_calls: int
    logit: bool
    frame: Frame = field(repr=False)

    def predict(self, X: Any) -> np.ndarray:
        """The equation on rows of inputs (n_rows, n_inputs): (n_rows,)."""
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != len(self.names):
            raise InputError(f"X has shape {X.shape}; expected (n_rows, {len(self.names)}).")
        return self.equation.predict(self.frame.variables(X))

    @property
    def text(self) -> str:
        """The equation in the inputs themselves, as (x - value) for each deviation."""
        return to_text(self.frame.in_inputs(self.equation.expr), self.frame.input_names, digits=5)

    def __str__(self) -> str:
        return self._in_lines(str(self.equation), len(self.names))

    def __repr__(self) -> str:
        return self._in_lines(shortened(str(self.equation)), ROWS)

    def _in_lines(self, equation: str, most: int) -> str:
        """The equation, how good it is, and at most so many attributions."""
        what = "log-odds of output" if self.logit else "output"
        shown = [f"  {value:+.4g}  {name}" for name, value in self._ranked if value]
        left_out = [f"  … and {len(shown) - most} more inputs"] if len(shown) > most else []
        lines = [
            f"{what} {self.output} near the point = {equation}",
            f"at the point: {self.prediction:.5g}, the model: {self.model_prediction:.5g}",
            f"R²: {self.r2:.4f} on the sample, {self.r2_held_out:.4f} on fresh points",
            f"from {self.base_value:.5g} at the base point (error of the sum {self.attribution_error:.1e}):",
        ]
        return "\n".join([*lines, *shown[:most], *left_out])

    @property
    def _ranked(self) -> list[tuple[str, float]]:
        """The attributions, the largest first."""
        return sorted(self.attributions.items(), key=lambda item: -abs(item[1]))

    def _repr_html_(self) -> str:
        what, names = "log-odds of output" if self.logit else "output", list(self.names)
        columns: dict[str, Callable[[Any], str]] = {
            "input": lambda item: html.escape(item[0]),
            "at the point": lambda item: f"{self.point[names.index(item[0])]:.4g}",
            "share": lambda item: f"{item[1]:+.4g}",
        }
        shown = [item for item in self._ranked if item[1]]
        left_out = f"; {len(shown) - ROWS} more inputs" if len(shown) > ROWS else ""
        note = (
            f"shares count from {self.base_value:.5g} at the base point{left_out}. At the point: "
            f"{self.prediction:.5g}, the model: {self.model_prediction:.5g}. R²: {self.r2:.4f} on the sample, "
            f"{self.r2_held_out:.4f} on fresh points"
        )
        head = f"<div>{what} {self.output} near the point = {formula(self.equation)}</div>"
        return head + html_table(columns, shown[:ROWS], note=note)

    def plot(self, ax: Any = None, n_inputs: int = 10) -> Any:
        """Bars of the largest attributions; see :func:`symtorch.local.plotting.plot_attributions`."""
        from symtorch.local.plotting import plot_attributions

        return plot_attributions(self, ax=ax, n_inputs=n_inputs)


def explain(
    model: nn.Module | Callable[..., Any],
    data: Any,
    x: Any,
    *,
    output: int | None = None,
    logit: bool = False,
    categorical: Sequence[int | str] = (),
    names: Sequence[str] | None = None,
    base: Any = None,
    n_neighbors: int = 10,
    n_synthetic: int = 1000,
    real_weighting: float = 1.0,
    metric: Metric = "euclidean",
    var: Any = None,
    kernel_width: float | None = None,
    max_terms: int = 12,
    sr_params: Mapping[str, Any] | None = None,
    engine: str | Engine | None = "native",
    seed: int = 0,
) -> Explanation:
    """A short equation for what a model does around the point x.

    >>> rng = np.random.default_rng(0)
    >>> explanation = explain(lambda X: X[:, 0] * X[:, 1], rng.normal(size=(200, 2)), [2.0, 1.0])
    >>> round(explanation.prediction, 6), round(explanation.r2_held_out, 6)
    (2.0, 1.0)

    Args:
        model: a module, or any callable such as scikit-learn's ``predict`` and ``predict_proba``, from
            (n_rows, n_inputs) to (n_rows,) or (n_rows, n_outputs).
        data: rows that are usual (n_rows, n_inputs), an array, tensor or DataFrame.
        x: the point (n_inputs,).
        output: which output; None for the only one, or for class probabilities the most likely class.
        logit: explain the log-odds of a probability instead of the probability.
        categorical: columns that hold categories, by index or name; the others are continuous.
        names: of the inputs; None for the DataFrame's, or ``x0, x1, ...``.
        base: the point (n_inputs,) that attributions count from; None for the mean of the neighbours.
        n_neighbors: rows of the data that belong to the neighbourhood.
        n_synthetic: new points to draw around x, and as many again to choose and to judge the equation by.
        real_weighting: weight of the rows of the data.
        metric: which rows are near, in units of each column's standard deviation; another category
            counts as one.
        var: variance of new points, a number or one per input; None for half that of the neighbours.
        kernel_width: new points weigh exp(-sum((z - x)^2 / var) / kernel_width^2); None for the root
            of the number of inputs, so that many inputs do not make all points far. SLIME's own is 1.
        max_terms: terms of the sparse polynomials that are tried too, whatever ``maxsize`` says of the
            search; 0 for none.
        sr_params: search options beside :data:`DEFAULT_LOCAL_PARAMS`.
        engine: as for :meth:`symtorch.SymbolicModel.distill`; None for the sparse polynomials alone, which
            takes milliseconds.
        seed: of all that is random.

    Raises:
        InputError: arguments that can't be used.
    """
    chosen_engine = None if engine is None else resolve(engine)
    params = {**DEFAULT_LOCAL_PARAMS, "random_state": seed, **(sr_params or {})}
    options = SearchOptions.from_params(params, () if chosen_engine is None else chosen_engine.parameters)
    if n_neighbors < 2:
        raise InputError(f"n_neighbors is {n_neighbors!r}; expected an integer of at least 2.")
    if isinstance(max_terms, bool) or not isinstance(max_terms, (int, np.integer)) or max_terms < 0:
        raise InputError(f"max_terms is {max_terms!r}; expected an integer of at least 0.")
    ask, X = _function(model, data)
    frame = Frame.make(X, x, _names(data, X, names), categorical)
    slime_params = {"J_nn": n_neighbors, "num_synthetic": n_synthetic, "real_weighting": real_weighting}
    around = frame.neighbourhood(X, {**slime_params, "nn_metric": metric, "var": var}, kernel_width)
    near = X[around.near(X)]
    spread = around.variance(near)
    rng = np.random.default_rng(seed)
    at_point = ask(frame.point[None])
    output = _output(at_point[0], output)

    def values(rows: np.ndarray) -> np.ndarray:
        y = ask(rows)[:, output]
        return _log_odds(y) if logit else y

    def drawn(real: np.ndarray) -> Samples:
        new = around.draw(max(n_synthetic, MIN_SAMPLES), spread, rng)
        rows = np.concatenate([real, new])
        weights = np.concatenate([np.full(len(real), real_weighting), around.weights(new, spread)])
        return Samples(frame.variables(rows), values(rows)[:, None], weights, frame.variable_names)

    sample, validation, held_out = drawn(near), drawn(near[:0]), drawn(near[:0])
    front = judged(local_front(sample, options, chosen_engine, max_terms, rng), held_out, 0)
    equation = choose(front, validation)

    def explained(rows: Samples) -> float:
        return r2(rows.Y[:, 0], equation.predict(rows.X), rows.weights)

    base_row, start = _base(frame, near, base)
    end = frame.variables(frame.point[None])[0]
    shares = path_attributions(equation.expr, start, end)
    base_value, prediction = (float(v) for v in equation.predict(np.stack([start, end])))
    return Explanation(
        point=frame.point,
        names=_names(data, X, names),
        output=output,
        front=front,
        equation=equation,
        prediction=prediction,
        model_prediction=float((_log_odds(at_point) if logit else at_point)[0, output]),
        r2=explained(sample),
        r2_held_out=explained(held_out),
        attributions=dict(zip(_names(data, X, names), shares.tolist(), strict=True)),
        base=base_row,
        base_value=base_value,
        attribution_error=abs(prediction - base_value - float(shares.sum())),
        n_model_calls=sum(len(s.X) for s in (sample, validation, held_out)) + 1,
        logit=logit,
        frame=frame,
    )


def _function(model: Any, data: Any) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """The model as a function (n, n_inputs) -> (n, n_outputs) of float64 arrays, and the data as such."""
    X = as_tensor(data, "the data").detach().cpu().double().numpy()
    if X.ndim != 2:
        raise InputError(f"the data has shape {X.shape}; expected (n_rows, n_inputs).")
    return asking(model, data), X


def _names(data: Any, X: np.ndarray, names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        names = [str(c) for c in data.columns] if hasattr(data, "columns") else [f"x{i}" for i in range(X.shape[1])]
    if len(names) != X.shape[1] or len(set(names)) != len(names):
        raise InputError(f"names are {list(names)}; expected {X.shape[1]} different ones, one per input.")
    return tuple(names)


def _output(at_point: np.ndarray, output: int | None) -> int:
    n_outputs = len(at_point)
    if output is None:
        if n_outputs == 1:
            return 0
        if (at_point >= 0).all() and abs(at_point.sum() - 1) < 1e-6:
            return int(at_point.argmax())  # class probabilities: the most likely class
        raise InputError(f"the model has {n_outputs} outputs that are no class probabilities; say which: output=0.")
    if isinstance(output, bool) or not isinstance(output, (int, np.integer)) or not 0 <= output < n_outputs:
        raise InputError(f"output {output!r} is out of range; the model has outputs 0..{n_outputs - 1}.")
    return int(output)


def _log_odds(p: np.ndarray) -> np.ndarray:
    if ((p < 0) | (p > 1)).any():
        raise InputError("logit=True explains a probability, but the output leaves [0, 1]; leave logit out.")
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def _base(frame: Frame, near: np.ndarray, base: Any) -> tuple[np.ndarray, np.ndarray]:
    """The point that attributions count from, as inputs and as variables."""
    if base is None:
        return near.mean(axis=0), frame.variables(near).mean(axis=0)
    row = np.asarray(base, dtype=np.float64).reshape(-1)
    if row.shape != frame.point.shape:
        raise InputError(f"base has shape {row.shape}; expected ({frame.n_inputs},).")
    return row, frame.variables(row[None])[0]
