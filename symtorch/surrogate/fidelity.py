"""How faithful equations are to the block that they replace, and where they break down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from symtorch.capture.rows import Captured
from symtorch.engines.samples import Samples
from symtorch.equations.expr import to_text
from symtorch.equations.front import Equation, Front, Fronts
from symtorch.equations.lines import line_of
from symtorch.equations.r2 import r2
from symtorch.equations.uncertainty import StandardErrors
from symtorch.errors import InputError, listed
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.module import Surrogate


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
    n_outside: int | None = None,
    n_extrapolated: int | None = None,
) -> OutputFidelity:
    """Compare an equation's values with the block's.

    >>> y = np.array([0.0, 1.0, 2.0, 3.0])
    >>> print(output_fidelity(0, "log(x0)", np.array([np.nan, 1.0, 2.0, 5.0]), y, n_outside=1))
    y0 = log(x0): R² -1.000000, largest error 2; of 4 rows undefined 1, with values outside the range seen 1

    Args:
        output: index of the output.
        equation: its text.
        predicted: (n_rows,), of the equation.
        actual: (n_rows,), of the block.
        n_outside: rows with finite values that the output has not had in distillation, where that is known.
        n_extrapolated: rows with inputs that distillation has not seen, where that is known.

    Raises:
        InputError: the two are not equally long.
    """
    if predicted.shape != actual.shape or predicted.ndim != 1:
        raise InputError(f"predicted has shape {predicted.shape} and actual {actual.shape}; both must be (n_rows,).")
    finite = np.isfinite(predicted)
    error = (predicted - actual)[finite]
    return OutputFidelity(
        output=output,
        equation=equation,
        n_rows=len(predicted),
        n_nonfinite=int(np.sum(~finite)),
        n_outside=n_outside,
        n_extrapolated=n_extrapolated,
        r2=r2(actual[finite], predicted[finite]),
        max_error=float(np.max(np.abs(error))) if len(error) else float("nan"),
    )


def fidelity(found: Findings, data: Captured) -> list[OutputFidelity]:
    """How faithful the chosen equations are on captured rows, for each output that they suffice for.

    Args:
        found: the equations.
        data: rows of the block's inputs and outputs.
    """
    interface = found.require()
    encoding, laws = interface.encoding, {i: found.equation(i).expr for i in found.fronts}
    surrogate = Surrogate([laws.get(i) for i in range(interface.n_searched)], interface)
    rows = torch.from_numpy(data.X)
    with torch.no_grad():
        searched = surrogate.searched(rows)
        values, predicted = searched.numpy(), encoding.decode(searched, rows).numpy()
        X = encoding.encode(rows).numpy()

    def of(output: int) -> OutputFidelity:
        needed = encoding.needed([output])
        if encoding.unwritten:
            text = f"made of {len(needed)} equations over {len(interface.variable_names)} coordinates"
        else:
            (expr,) = encoding.combine(laws, [output])
            text = to_text(expr, interface.variable_names, digits=5)
        beyond = found.beyond([laws[i] for i in needed], X)
        outside = _outside(values, needed, found)
        return output_fidelity(output, text, predicted[:, output], data.Y[:, output], outside, beyond)

    return [of(output) for output in interface.complete(found.fronts)]


def _outside(values: np.ndarray, outputs: Sequence[int], found: Findings) -> int | None:
    """Rows of the equations' values (n_rows, n_searched) that are finite, and outside what was seen of an output."""
    if not outputs or any(i not in found.ranges for i in outputs):
        return None
    low, high = np.transpose([found.ranges[i] for i in outputs])
    part = values[:, list(outputs)]
    return int(np.sum(np.isfinite(part).all(axis=1) & ((part < low) | (part > high)).any(axis=1)))


def judged(front: Front, held_out: Samples | None, output: int) -> Front:
    """The front with each equation's R² on held-out samples."""
    if held_out is None:
        return front

    y, X = held_out.Y[:, output], held_out.X

    def explained(eq: Equation) -> float | None:
        line = line_of(eq.expr)  # as those of hundreds of outputs often are
        value = r2(y, eq.predict(X) if line is None else line.predict(X), held_out.weights)
        return value if math.isfinite(value) else None

    return replace(front, equations=tuple(replace(eq, r2=explained(eq)) for eq in front))


def with_errors(fronts: Mapping[int, Front], fitted: Samples) -> Fronts:
    """The fronts with the standard errors of their default picks' constants, from the rows that these were fitted to.

    Those of the other equations are left to whoever asks for them: of hundreds of outputs all would take seconds.
    """
    errors = StandardErrors(fitted.X, fitted.weights)

    def known(front: Front, output: int) -> Front:
        best = front.best_index
        equations = [eq if eq.standard_errors is None else replace(eq, standard_errors=None) for eq in front]
        equations[best] = replace(front.best, standard_errors=errors.of(front.best.expr, fitted.Y[:, output]))
        return replace(front, equations=tuple(equations))

    return Fronts({output: known(front, output) for output, front in fronts.items()})


def check_min_r2(min_r2: float | None) -> None:
    """Raise InputError unless it is a number or None."""
    if min_r2 is not None and (isinstance(min_r2, bool) or not isinstance(min_r2, (int, float)) or min_r2 > 1.0):
        raise InputError(f"min_r2 is {min_r2!r}; expected the least held-out R² (at most 1), or None for any.")


def poorly_fitted(found: Findings, min_r2: float) -> str:
    """What to say of chosen equations whose held-out R² is below this; empty where there are none."""
    if found.interface is not None and found.interface.encoding.partial:
        return ""
    poor = {i: eq.r2 for i, eq in found.chosen.items() if eq.r2 is not None and eq.r2 < min_r2}
    if not poor:
        return ""
    worst = min(poor, key=lambda i: poor[i])
    which = f"equation of output {worst} has" if len(poor) == 1 else f"equations of outputs {listed(sorted(poor))} have"
    return (
        f"the {which} a held-out R² under {min_r2:g} ({poor[worst]:.2g} for output {worst}): the block does something "
        f"else. See front.verdict; min_r2=None takes such equations without a word."
    )
