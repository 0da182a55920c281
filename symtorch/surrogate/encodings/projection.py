"""What to project a wide block on, and how that is fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from symtorch.capture.massive import MassiveRows
from symtorch.errors import InputError
from symtorch.surrogate.encodings.gated import Units
from symtorch.surrogate.encodings.projected import Projected
from symtorch.surrogate.regression import Partialled, Regression, principal

KINDS = ("rrr", "pca", "pls", "mean")

_NEGLIGIBLE = 1e-7
"""Share of the outputs' variance below which a direction holds float32's rounding and no more."""


@dataclass(frozen=True)
class Projection:
    """What to project a wide block on; ``distill(..., projection=Projection(...))`` fits it to the data.

    Attributes:
        inputs: coordinates of the inputs that equations are over, at most.
        outputs: coordinates of the outputs that equations are searched for, at most: the directions in which
            the outputs vary most once the linear part is taken off. 0 for the linear part alone.
        kind: of the inputs' coordinates: "rrr", those by which linear maps of a given rank explain most of the
            outputs (reduced-rank regression, Izenman 1975); "pca", in which the inputs vary most; "pls", which
            covary most with the outputs (partial least squares, de Jong 1993). "mean" has none: the outputs' mean.

    Raises:
        InputError: another kind, or numbers that are none.
    """

    inputs: int = 32
    outputs: int = 32
    kind: str = "rrr"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"kind of the projection is {self.kind!r}; expected one of {', '.join(KINDS)}.")
        for name, value, least in (("inputs", self.inputs, 1), ("outputs", self.outputs, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} of the projection is {value!r}; expected a number of at least {least}.")

    def fit(
        self,
        regression: Regression,
        skip: int | None = None,
        units: Units | None = None,
        massive: MassiveRows | None = None,
    ) -> Projected:
        """The encoding for data of these moments.

        Args:
            regression: of the data; a :class:`Partialled` one where there are units.
            skip: rank of the linear part; None for as many as ``inputs``, 0 for none.
            units: of the block, as terms beside the linear part.
            massive: rows with massive outputs, to be told from the others.

        Raises:
            InputError: massive outputs that are no constant, or can't be told from the others by the inputs.
        """
        best, moments = regression.reduced_rank, regression.moments
        mean_x, mean_y = moments.mean_x, moments.mean_y
        if self.kind == "mean":
            plain = Projected.of(mean_x, mean_y, best.reduce[:, :0], best.reduce[:0].T)
            return plain if massive is None else plain.gated_by(massive)
        rank = min(self.inputs if skip is None else skip, best.rank)
        negligible = _NEGLIGIBLE * float(np.trace(regression.plain.moments.yy)) / moments.n
        lift = principal(best.residual(moments, rank), self.outputs, negligible)
        linear = best.reduce[:, :rank], best.lift[:rank]
        inputs = self._coordinates(regression) if len(lift) else best.reduce[:, :0]
        n, start, first = inputs.shape[1], 0, 0
        if self.kind != "rrr":
            start, reduce = (0 if units is None else rank), [inputs, linear[0]]
            first = n if units is None else 0
            reduce = reduce if units is None else reduce[::-1]
        elif n >= rank or units is None:  # the coordinates of the linear part are the same ones
            reduce = [max(inputs, linear[0], key=lambda columns: columns.shape[1])]
        else:  # variables stand together, and so do coordinates of the linear part: those of both in between
            start, order = rank - n, [*range(n, rank), *range(n)]
            reduce, linear = [linear[0][:, order]], (linear[0], linear[1][order])
        fitted = Projected.of(
            mean_x, mean_y, np.concatenate(reduce, axis=1), lift, n, first, linear[1],
            regression.plain.back(inputs), start,
        )  # fmt: skip
        if units is not None:
            assert isinstance(regression, Partialled)
            fitted = fitted.with_terms(units.activation, units.up is not None, *units.maps(), regression.weights(rank))
            fitted = fitted.moved_by(-(regression.mean_terms @ regression.weights(rank)))
        return fitted if massive is None else fitted.gated_by(massive)

    def _coordinates(self, regression: Regression) -> np.ndarray:
        """(n_inputs, <= inputs)."""
        match self.kind:
            case "pca":
                return regression.plain.principal_inputs(self.inputs)
            case "pls":
                return regression.partial_least_squares(self.inputs)
        return regression.reduced_rank.reduce[:, : self.inputs]
