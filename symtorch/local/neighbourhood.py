"""What is around a point: neighbours among the data, and new points drawn between them.

The sampling is SLIME's (Fong & Motani, GECCO 2025, doi 10.1145/3712255.3726721).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from symtorch.errors import InputError

logger = logging.getLogger("symtorch.local")

DEFAULT_SLIME_PARAMS: dict[str, Any] = {
    "x": None,
    "J_nn": 10,
    "num_synthetic": 100,
    "real_weighting": 1.0,
    "nn_metric": "euclidean",
    "var": None,
}
"""SLIME's parameters under the names of torch-symbolic 1.0; see :class:`Neighbourhood`."""

MIN_VAR = 1e-8
"""Variance of new points along a column that does not vary among the neighbours."""

Metric = str | Callable[[np.ndarray, np.ndarray], float]

_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "euclidean": lambda x, X: np.sqrt(((X - x) ** 2).sum(axis=1)),
    "manhattan": lambda x, X: np.abs(X - x).sum(axis=1),
    "chebyshev": lambda x, X: np.abs(X - x).max(axis=1),
    "cosine": lambda x, X: 1 - X @ x / np.maximum(np.linalg.norm(X, axis=1) * np.linalg.norm(x), 1e-300),
}
_METRICS |= {"l2": _METRICS["euclidean"], "sqeuclidean": _METRICS["euclidean"], "minkowski": _METRICS["euclidean"]}
_METRICS |= {"l1": _METRICS["manhattan"], "cityblock": _METRICS["manhattan"], "infinity": _METRICS["chebyshev"]}


@dataclass(frozen=True, eq=False)
class Columns:
    """How the columns of the data are measured; as it is by default, in their own units and all continuous.

    Attributes:
        origin: (n_inputs,), zero of the units that distances are measured in.
        scale: (n_inputs,), size of those units.
        categorical: (n_inputs,), whether a column holds categories; another one is at distance 1.
        levels: rows of the data (n_rows, n_inputs), which new points take categories from.
    """

    origin: np.ndarray | float = 0.0
    scale: np.ndarray | float = 1.0
    categorical: np.ndarray | bool = False
    levels: np.ndarray | None = None

    def measured(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Rows (n_rows, n_inputs) in these units; 0 or 1 for x's category or another."""
        return np.where(self.categorical, rows != x, (rows - self.origin) / self.scale)


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """How points around ``x`` are drawn and weighed; SLIME's are made with :meth:`from_params`.

    Attributes:
        x: the point (n_inputs,); None for no point: all of the data, each row as it is.
        J_nn: number of nearest rows of the data to take.
        num_synthetic: number of new points, normal around x.
        real_weighting: weight of the rows of the data.
        nn_metric: distance by which rows are near: a name ("euclidean", "manhattan", "chebyshev",
            "cosine", or what scikit-learn knows, if installed) or a function of two rows.
        var: variance of the new points, a number or (n_inputs,); None for half the variance (ddof=1)
            of the J_nn nearest rows.
        kernel_width: distance, in roots of var, at which the weight of a new point has fallen to 1/e.
        columns: units and categories of the columns.
    """

    x: np.ndarray | None = None
    J_nn: int = 10
    num_synthetic: int = 100
    real_weighting: float = 1.0
    nn_metric: Metric = "euclidean"
    var: np.ndarray | float | None = None
    kernel_width: float = 1.0
    columns: Columns = field(default_factory=Columns)

    @classmethod
    def from_params(cls, params: Mapping[str, Any] | None = None) -> Neighbourhood:
        """From a dict under those names, checked.

        Raises:
            InputError: an unknown name, or a value that can't be used.
        """
        if params is not None and not isinstance(params, Mapping):
            raise InputError(f"slime_params is a {type(params).__name__}; expected a dict, as {{'x': point}}.")
        given = dict(params or {})
        unknown = [key for key in given if key not in DEFAULT_SLIME_PARAMS]
        if unknown:
            raise InputError(f"slime_params {unknown} are not known; expected {list(DEFAULT_SLIME_PARAMS)}.")
        made = cls(**{**DEFAULT_SLIME_PARAMS, **given})
        made = cls(**{**vars(made), "x": _vector("x", made.x), "var": _vector("var", made.var)})
        for name, low in (("J_nn", 1), ("num_synthetic", 0)):
            value = getattr(made, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
                raise InputError(f"{name} is {value!r}; expected an integer of at least {low}.")
        if not made.real_weighting > 0:
            raise InputError(f"real_weighting is {made.real_weighting!r}; expected a positive number.")
        if made.var is not None and not np.all(np.asarray(made.var) > 0):
            raise InputError(f"var is {made.var!r}; expected a positive number, or one for each input.")
        if made.x is not None and made.num_synthetic == 0:
            raise InputError("num_synthetic is 0, but a point x is given: points around it must be drawn.")
        if made.x is None and made.real_weighting != 1:
            logger.warning("real_weighting %s has no effect without a point x", made.real_weighting)
        return made

    def near(self, X: np.ndarray) -> np.ndarray:
        """Positions of the J_nn rows of X nearest to x, nearest first.

        Raises:
            InputError: there are not more rows than J_nn, or x does not have X's columns.
        """
        x = self._point(X)
        if self.J_nn >= len(X):
            raise InputError(
                f"J_nn is {self.J_nn} with {len(X)} rows of data; it must be less than the number of rows."
            )
        here, there = (self.columns.measured(x, rows) for rows in (x, X))
        return np.argsort(distances(here, there, self.nn_metric), kind="stable")[: self.J_nn]

    def variance(self, neighbours: np.ndarray) -> np.ndarray:
        """Variance of new points along each column (n_inputs,), from the rows nearest to x.

        Raises:
            InputError: ``var`` is for another number of inputs, or there is one neighbour alone.
        """
        if self.var is not None:
            var = np.asarray(self.var, dtype=np.float64)
            if var.size not in (1, neighbours.shape[1]):
                raise InputError(
                    f"var has {var.size} numbers; expected one, or one for each of the {neighbours.shape[1]} inputs."
                )
            return np.broadcast_to(var, neighbours.shape[1:])
        if len(neighbours) < 2:
            raise InputError("J_nn is 1; the variance of new points needs at least two neighbours, or give var.")
        return np.maximum(neighbours.var(axis=0, ddof=1) / 2, MIN_VAR * np.square(self.columns.scale))

    def draw(self, n: int, var: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """New points (n, n_inputs): normal around x; every second category as in the data."""
        assert self.x is not None
        rows = self.x + rng.normal(size=(n, len(self.x))) * np.sqrt(var)
        for i in np.flatnonzero(np.broadcast_to(self.columns.categorical, self.x.shape)):
            assert self.columns.levels is not None
            other = rng.random(n) < 0.5
            rows[:, i] = np.where(other, rng.choice(self.columns.levels[:, i], size=n), self.x[i])
        return rows

    def weights(self, points: np.ndarray, var: np.ndarray) -> np.ndarray:
        """Weight exp(-d²/kernel_width²) of new points z (n, n_inputs): (n,).

        d² sums (z - x)²/var over the columns, and 1 for each other category.
        """
        assert self.x is not None
        d2 = np.where(self.columns.categorical, points != self.x, (points - self.x) ** 2 / var)
        return np.exp(-d2.sum(axis=1) / self.kernel_width**2)

    def _point(self, X: np.ndarray) -> np.ndarray:
        assert self.x is not None
        if self.x.shape != X.shape[1:]:
            raise InputError(
                f"x has shape {self.x.shape}; the block has {X.shape[1]} inputs: expected ({X.shape[1]},)."
            )
        return self.x


def distances(x: np.ndarray, X: np.ndarray, metric: Metric = "euclidean") -> np.ndarray:
    """Distance from x (n_inputs,) to each row of X (n_rows, n_inputs): (n_rows,).

    Raises:
        InputError: the metric is not known.
    """
    if callable(metric):
        return np.array([metric(x, row) for row in X], dtype=np.float64)
    if metric in _METRICS:
        return _METRICS[metric](x, X)
    try:
        from sklearn.metrics import pairwise_distances

        return pairwise_distances(x[None], X, metric=metric)[0]
    except (ImportError, ValueError):
        raise InputError(
            f"nn_metric {metric!r} is not known; there are {', '.join(map(repr, _METRICS))}, a function of two rows, "
            f"and with scikit-learn installed its metrics."
        ) from None


def _vector(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (int, float)):
        if name == "x" and value is not None:
            value = [value]
        else:
            return value
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise InputError(f"{name} must hold finite numbers, got {value!r}.")
    return array.astype(np.float64).reshape(-1)
