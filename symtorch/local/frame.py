"""Coordinates around a point: deviations of continuous columns, matches of categorical ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symtorch.equations.expr import Call, Constant, Expr, Variable, substitute
from symtorch.equations.names import identifiers
from symtorch.equations.operators import OPERATORS
from symtorch.errors import InputError
from symtorch.local.neighbourhood import Columns, Neighbourhood


@dataclass(frozen=True, eq=False)
class Frame:
    """Coordinates that are zero (or "the same") at a point, and what they are called.

    Attributes:
        point: (n_inputs,).
        scale: standard deviation of each column in the data, 1 where it does not vary.
        categorical: whether a column holds categories.
        variable_names: ``d_<name>``, or ``<name>_is_<value>`` for a categorical column.
        input_names: the same without ``d_``.
    """

    point: np.ndarray
    scale: np.ndarray
    categorical: np.ndarray
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
        usable = identifiers(names, in_equations=False)  # they get a prefix
        matches = [re.sub(r"\W", "_", f"{name}_is_{value:g}") for name, value in zip(usable, point, strict=True)]
        return cls(
            point=point,
            scale=np.where(scale > 0, scale, 1.0),
            categorical=mask,
            variable_names=tuple(m if c else f"d_{n}" for n, m, c in zip(usable, matches, mask, strict=True)),
            input_names=tuple(m if c else n for n, m, c in zip(usable, matches, mask, strict=True)),
        )

    @property
    def n_inputs(self) -> int:
        return len(self.point)

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

    def neighbourhood(
        self, X: np.ndarray, slime_params: Mapping[str, Any] | None = None, kernel_width: float | None = None
    ) -> Neighbourhood:
        """What is near the point in the data X (n_rows, n_inputs), in standard deviations and other categories.

        Args:
            X: the data that the frame was made of.
            slime_params: SLIME's, without the point.
            kernel_width: of the weights; None for the root of the number of inputs.

        Raises:
            InputError: a value that can't be used.
        """
        if kernel_width is not None and not kernel_width > 0:
            raise InputError(f"kernel_width is {kernel_width!r}; expected a positive number.")
        return replace(
            Neighbourhood.from_params({**(slime_params or {}), "x": self.point}),
            kernel_width=float(np.sqrt(self.n_inputs)) if kernel_width is None else kernel_width,
            columns=Columns(self.point, self.scale, self.categorical, levels=X),
        )
