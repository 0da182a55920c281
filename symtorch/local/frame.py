"""Coordinates around a point: deviations of continuous columns, matches of categorical ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symtorch.equations.expr import Call, Constant, Expr, Variable, substitute
from symtorch.equations.names import identifiers
from symtorch.equations.operators import OPERATORS
from symtorch.errors import InputError
from symtorch.local.neighbourhood import MIN_VAR


@dataclass(frozen=True, eq=False)
class Frame:
    """The neighbourhood of a point in coordinates that are zero (or "the same") at the point.

    Attributes:
        point: (n_inputs,).
        scale: standard deviation of each column in the data, 1 where it does not vary.
        categorical: whether a column holds categories.
        levels: rows of the data, which new points take categories from.
        variable_names: ``d_<name>``, or ``<name>_is_<value>`` for a categorical column.
        input_names: the same without ``d_``.
    """

    point: np.ndarray
    scale: np.ndarray
    categorical: np.ndarray
    levels: np.ndarray
    variable_names: tuple[str, ...]
    input_names: tuple[str, ...]

    @classmethod
    def make(cls, X: np.ndarray, x: Any, names: Sequence[str], categorical: Sequence[int | str]) -> Frame:
        """The frame of the point x in the data X (n_rows, n_inputs).

        Raises:
            InputError: a point of another width, or a categorical column that does not exist.
        """
        point = np.asarray(x, dtype=np.float64).reshape(-1)
        if point.shape != X.shape[1:] or not np.isfinite(point).all():
            raise InputError(f"x has shape {point.shape}; expected {X.shape[1]} finite numbers, one per input.")
        mask = np.zeros(len(point), dtype=bool)
        for column in categorical:
            index = list(names).index(column) if isinstance(column, str) and column in names else column
            if not isinstance(index, (int, np.integer)) or not 0 <= index < len(point):
                raise InputError(f"categorical column {column!r} does not exist; there are {list(names)}.")
            mask[index] = True
        scale = X.std(axis=0)
        usable = identifiers(names)
        matches = [re.sub(r"\W", "_", f"{name}_is_{value:g}") for name, value in zip(usable, point, strict=True)]
        return cls(
            point=point,
            scale=np.where(scale > 0, scale, 1.0),
            categorical=mask,
            levels=X,
            variable_names=tuple(m if c else f"d_{n}" for n, m, c in zip(usable, matches, mask, strict=True)),
            input_names=tuple(m if c else n for n, m, c in zip(usable, matches, mask, strict=True)),
        )

    @property
    def n_inputs(self) -> int:
        return len(self.point)

    def scaled(self, X: np.ndarray) -> np.ndarray:
        """Deviations in standard deviations of the data, 0 or 1 for the same or another category."""
        return np.where(self.categorical, self.point != X, (X - self.point) / self.scale)

    def variables(self, X: np.ndarray) -> np.ndarray:
        """What the equations are over: deviations, and 1 or 0 for the same or another category."""
        return np.where(self.categorical, self.point == X, X - self.point)

    def in_inputs(self, expr: Expr) -> Expr:
        """An equation over the variables as one over the inputs (categories stay 1 or 0)."""

        def deviation(i: int) -> Expr:
            if self.categorical[i] or self.point[i] == 0:
                return Variable(i)
            sign = "-" if self.point[i] > 0 else "+"
            return Call(OPERATORS[sign], (Variable(i), Constant(abs(float(self.point[i])))))

        return substitute(expr, [deviation(i) for i in range(self.n_inputs)])

    def spread(self, near: np.ndarray, var: Any = None) -> np.ndarray:
        """Variance of new points (n_inputs,): half that of the neighbours unless given."""
        if var is not None:
            spread = np.broadcast_to(np.asarray(var, dtype=np.float64), self.point.shape)
            if not (spread > 0).all():
                raise InputError(f"var is {var!r}; expected a positive number, or one for each input.")
            return spread
        return np.maximum(near.var(axis=0, ddof=1) / 2, MIN_VAR * self.scale**2)

    def draw(self, n: int, spread: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """New points (n, n_inputs): normal around the point; every second category as in the data."""
        rows = self.point + rng.normal(size=(n, self.n_inputs)) * np.sqrt(spread)
        for i in np.flatnonzero(self.categorical):
            other = rng.random(n) < 0.5
            rows[:, i] = np.where(other, rng.choice(self.levels[:, i], size=n), self.point[i])
        return rows

    def weights(self, rows: np.ndarray, spread: np.ndarray, width: float) -> np.ndarray:
        """Weight exp(-d^2 / width^2), where d^2 sums (z - x)^2 / var, and 1 for another category."""
        d2 = np.where(self.categorical, rows != self.point, (rows - self.point) ** 2 / spread)
        return np.exp(-d2.sum(axis=1) / width**2)
