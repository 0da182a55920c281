"""Which powers of inputs stand before everything else: ``y = x0*x1**2/x2 * h(others)``, read off rows alone.

Then log|y| is a line in each of those logarithms, with a whole or half slope, whatever the others do. So log|y| is
fitted with a quadratic in all logarithms, and an input stands before the rest if all its second-order terms, those with
others too, explain no more than chance does, and its slope is a half or whole number within its error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.fitting.tuning import PowersTuning
from symtorch.engines.native.forms import normal
from symtorch.engines.native.tuning import current
from symtorch.equations.expr import Expr, Variable

Array = np.ndarray

_TURNS = 3
"""Fits, each with the weights that the last one gives: two or three are enough."""


@dataclass(frozen=True)
class Powers:
    """Powers of inputs before the rest.

    >>> X = np.random.default_rng(0).uniform(1.0, 3.0, (500, 4))
    >>> powers = Powers.before(X, X[:, 0] ** 2 / X[:, 3] * np.exp(X[:, 1] / X[:, 2]))
    >>> powers.exponents, powers.others(4)
    ({0: 2.0, 3: -1.0}, [1, 2])

    Attributes:
        exponents: of each input that is a factor.
    """

    exponents: Mapping[int, float]

    @classmethod
    def before(cls, X: Array, y: Array) -> Powers:
        """Those before y (n,) on inputs (n, n_inputs); none where there are too few rows to tell."""
        tuning = current(PowersTuning)
        n, d = X.shape
        single = [bool(column.min() > 0.0 or column.max() < 0.0) for column in X.T]
        if d > tuning.inputs or n < tuning.rows_per_term * (1 + d) * (2 + d) / 2 or not any(single):
            return cls({})
        with np.errstate(all="ignore"):
            columns = np.column_stack([np.log(np.abs(x)) if one else x for x, one in zip(X.T, single, strict=True)])
            target = np.log(np.abs(y))
        spread = columns.std(axis=0)
        if not (spread > 0.0).all():
            return cls({})
        Z = (columns - columns.mean(axis=0)) / spread
        pairs = [(i, j) for i in range(d) for j in range(i, d)]
        A = np.column_stack([np.ones(n), Z, *(Z[:, i] * Z[:, j] for i, j in pairs)])
        known = np.isfinite(target)
        fit = _Fit.of(A[known], target[known])
        out = {}
        for i in range(d):
            second = [1 + d + k for k, pair in enumerate(pairs) if i in pair]
            slope, error = fit.slope(1 + i)[0] / spread[i], fit.slope(1 + i)[1] / spread[i]
            exponent = round(2.0 * slope) / 2.0
            near = abs(slope - exponent) <= tuning.deviations * error + tuning.bias
            certain = single[i] and error <= tuning.certain and 0.0 < abs(exponent) <= tuning.steepest
            if near and certain and fit.gain(second) <= tuning.chance:
                out[i] = exponent
        return cls(out)

    def others(self, n_inputs: int) -> list[int]:
        """The inputs that are no factor."""
        return [i for i in range(n_inputs) if i not in self.exponents]

    def values(self, X: Array) -> Array:
        """(n,): the product, on rows (n, n_inputs)."""
        out = np.ones(len(X))
        for i, exponent in self.exponents.items():
            # A negative input to a half power stands for the root of its size: the sign is the same on all rows.
            out *= np.abs(X[:, i]) ** exponent if exponent % 1 else X[:, i] ** exponent
        return out

    def times(self, expr: Expr) -> Expr:
        """The product with a normal form."""
        return normal.multiply([*(normal.power(Variable(i), e) for i, e in self.exponents.items()), expr])


@dataclass(frozen=True, eq=False)
class _Fit:
    """Weighted least squares.

    Attributes:
        A, target: columns and target, times the roots of the weights.
        coefficients: of the columns.
        inverse: of the normal matrix.
        square: residual sum of squares over the degrees of freedom.
    """

    A: Array
    target: Array
    coefficients: Array
    inverse: Array
    square: float

    @classmethod
    def of(cls, A: Array, target: Array) -> _Fit:
        """Rows whose y is small tell less of its logarithm: they weigh as the fit before shows."""
        root = np.ones(len(target))
        for _ in range(_TURNS):
            c, *_ = np.linalg.lstsq(A * root[:, None], target * root, rcond=None)
            along = A @ c
            order, squares = np.argsort(along), (target - along) ** 2
            low, high = order[: len(target) // 4], order[len(target) // 2 :]
            # A line's own misses are as large everywhere, noise of y is larger in the logarithm of a smaller one.
            own = float(np.median(squares[high]))
            noise = max(0.0, float(np.median(squares[low])) - own) * np.exp(2.0 * float(np.median(along[low])))
            level = np.exp(2.0 * np.maximum(along, np.quantile(target, 0.02)))
            root = 1.0 / np.sqrt(own + noise / level + 1e-300)
            root /= np.sqrt(np.mean(root**2))
        B, b = A * root[:, None], target * root
        c, *_ = np.linalg.lstsq(B, b, rcond=None)
        square = float(np.sum((b - B @ c) ** 2)) / max(1, len(b) - B.shape[1])
        return cls(B, b, c, np.linalg.pinv(B.T @ B), square)

    def slope(self, column: int) -> tuple[float, float]:
        """A coefficient and its standard error."""
        return float(self.coefficients[column]), float(np.sqrt(self.square * self.inverse[column, column]))

    def gain(self, columns: list[int]) -> float:
        """What these columns explain together, over what as many of chance do (F)."""
        c = self.coefficients[columns]
        block = self.inverse[np.ix_(columns, columns)]
        return float(c @ np.linalg.solve(block, c)) / len(columns) / max(self.square, 1e-300)
