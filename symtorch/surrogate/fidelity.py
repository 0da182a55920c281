"""How faithful equations are to the block that they replace, and where they break down."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from symtorch.engines.samples import Samples
from symtorch.equations.front import Equation, Front
from symtorch.equations.r2 import r2
from symtorch.errors import InputError


@dataclass(frozen=True)
class OutputFidelity:
    """One output's equation on given data.

    Attributes:
        output: index of the output.
        equation: its text.
        n_rows: rows of the data.
        n_nonfinite: rows on which the equation is NaN or infinite.
        n_outside: rows on which its value is finite, but outside the range that the block's output had
            in distillation; None where that is not known.
        n_extrapolated: rows on which an input that it uses is outside the range that it had in
            distillation; None where that is not known.
        r2: R² against the block's output, on the rows where the equation is finite; NaN for no such rows,
            or where the output does not vary and is not met.
        max_error: largest absolute error on those rows; NaN for none.
    """

    output: int
    equation: str
    n_rows: int
    n_nonfinite: int
    n_outside: int | None
    n_extrapolated: int | None
    r2: float
    max_error: float

    def __str__(self) -> str:
        inputs = "" if self.n_extrapolated is None else f", with inputs outside the range seen {self.n_extrapolated}"
        outside = "" if self.n_outside is None else f", with values outside the range seen {self.n_outside}"
        return (
            f"y{self.output} = {self.equation}: R² {self.r2:.6f}, largest error {self.max_error:.3g}; "
            f"of {self.n_rows} rows undefined {self.n_nonfinite}{inputs}{outside}"
        )


def output_fidelity(
    output: int,
    equation: str,
    predicted: np.ndarray,
    actual: np.ndarray,
    seen: tuple[float, float] | None = None,
    n_extrapolated: int | None = None,
) -> OutputFidelity:
    """Compare an equation's values with the block's.

    >>> y = np.array([0.0, 1.0, 2.0, 3.0])
    >>> print(output_fidelity(0, "log(x0)", np.array([np.nan, 1.0, 2.0, 5.0]), y, seen=(0.0, 3.0)))
    y0 = log(x0): R² -1.000000, largest error 2; of 4 rows undefined 1, with values outside the range seen 1

    Args:
        output: index of the output.
        equation: its text.
        predicted: (n_rows,), of the equation.
        actual: (n_rows,), of the block.
        seen: smallest and largest value of the output in distillation.
        n_extrapolated: rows with inputs that distillation has not seen, where that is known.

    Raises:
        InputError: the two are not equally long.
    """
    if predicted.shape != actual.shape or predicted.ndim != 1:
        raise InputError(f"predicted has shape {predicted.shape} and actual {actual.shape}; both must be (n_rows,).")
    finite = np.isfinite(predicted)
    error = (predicted - actual)[finite]
    outside = None if seen is None else int(np.sum(finite & ((predicted < seen[0]) | (predicted > seen[1]))))
    return OutputFidelity(
        output=output,
        equation=equation,
        n_rows=len(predicted),
        n_nonfinite=int(np.sum(~finite)),
        n_outside=outside,
        n_extrapolated=n_extrapolated,
        r2=r2(actual[finite], predicted[finite]),
        max_error=float(np.max(np.abs(error))) if len(error) else float("nan"),
    )


def judged(front: Front, held_out: Samples | None, output: int) -> Front:
    """The front with each equation's R² on held-out samples."""
    if held_out is None:
        return front

    def explained(eq: Equation) -> float | None:
        value = r2(held_out.Y[:, output], eq.predict(held_out.X), held_out.weights)
        return value if math.isfinite(value) else None

    return replace(front, equations=tuple(replace(eq, r2=explained(eq)) for eq in front))
