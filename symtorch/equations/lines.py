"""Equations that are lines, recognised: one product with a matrix in the place of hundreds of operators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symtorch.equations.expr import Call, Constant, Expr, Variable


@dataclass(frozen=True)
class Line:
    """A constant and inputs with coefficients, as a tree writes them down.

    Attributes:
        weights: coefficient of each input that is used, by its column.
        constant: what is added.
        places: what each constant of the tree stands before, in the order of ``walk``: a column, or -1 for nothing.
    """

    weights: dict[int, float]
    constant: float
    places: tuple[int, ...]

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Values (n,) on the rows of X (n, n_inputs), equal to those of the tree but for the order of rounding."""
        columns = list(self.weights)
        weights = np.array([self.weights[j] for j in columns], dtype=np.float64)
        with np.errstate(all="ignore"):
            if 2 * len(columns) > X.shape[1]:  # picking columns takes longer than the product
                every = np.zeros(X.shape[1])
                every[columns] = weights
                values = X @ every + self.constant
                if np.isfinite(values).all():  # or a column that isn't used may be to blame
                    return np.asarray(values)
            return np.asarray(X[:, columns] @ weights + self.constant)


def line_of(expr: Expr) -> Line | None:
    """The line that a tree is, if it is one that is written in sums, differences and ``coefficient * input``.

    >>> from symtorch.equations.parser import parse
    >>> line_of(parse("2*x0 - (x1 - 3)", ["x0", "x1"]))
    Line(weights={0: 2.0, 1: -1.0}, constant=3.0, places=(0, -1))
    >>> line_of(parse("2*x0*x1", ["x0", "x1"])) is None
    True
    """
    weights: dict[int, float] = {}
    constant = 0.0
    places: list[int] = []
    stack: list[tuple[Expr, float]] = [(expr, 1.0)]
    while stack:
        node, sign = stack.pop()
        if isinstance(node, Variable):
            weights[node.index] = weights.get(node.index, 0.0) + sign
            continue
        if isinstance(node, Constant):
            constant += sign * node.value
            places.append(-1)
            continue
        assert isinstance(node, Call)
        name, args = node.op.name, node.args
        if name == "+" or name == "-":
            stack += ((args[1], sign if name == "+" else -sign), (args[0], sign))
        elif name == "neg":
            stack.append((args[0], -sign))
        elif name == "*":
            c, x = args if isinstance(args[0], Constant) else args[::-1]
            if not (isinstance(c, Constant) and isinstance(x, Variable)):
                return None
            weights[x.index] = weights.get(x.index, 0.0) + sign * c.value
            places.append(x.index)
        else:
            return None
    return Line(weights, constant, tuple(places))
