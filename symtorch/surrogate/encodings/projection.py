"""Wide blocks in a few coordinates: a linear part, and equations for what it leaves.

What stands in the block's place is

    y = mean + linear part of (x - mean) + equations(coordinates of x) @ lift

with the coordinates of the inputs, the linear part and the lift fitted from moments of all rows that are not held out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from symtorch.capture.rows import Teacher
from symtorch.equations.expr import Expr
from symtorch.errors import InputError
from symtorch.surrogate.encodings.base import Encoding
from symtorch.surrogate.regression import Regression, principal

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

    def fit(self, regression: Regression, skip: int | None = None) -> Projected:
        """The encoding for data of these moments.

        Args:
            regression: of the data.
            skip: rank of the linear part; None for as many as ``inputs``, 0 for none.
        """
        best, moments = regression.reduced_rank, regression.moments
        if self.kind == "mean":
            return Projected.of(moments.mean_x, moments.mean_y, best.reduce[:, :0], best.reduce[:0].T, 0, 0)
        rank = min(self.inputs if skip is None else skip, best.rank)
        negligible = _NEGLIGIBLE * float(np.trace(moments.yy)) / moments.n
        lift = principal(best.residual(moments, rank), self.outputs, negligible)
        linear = best.reduce[:, :rank], best.lift[:rank]
        inputs = self._coordinates(regression) if len(lift) else best.reduce[:, :0]
        if self.kind == "rrr":  # the coordinates of the linear part are the same ones
            first, reduce = 0, max(inputs, linear[0], key=lambda columns: columns.shape[1])
        else:
            first, reduce = inputs.shape[1], np.concatenate([inputs, linear[0]], axis=1)
        return Projected.of(
            moments.mean_x, moments.mean_y, reduce, lift, inputs.shape[1], first, linear[1], regression.back(inputs)
        )

    def _coordinates(self, regression: Regression) -> np.ndarray:
        """(n_inputs, <= inputs)."""
        match self.kind:
            case "pca":
                return regression.principal_inputs(self.inputs)
            case "pls":
                return regression.partial_least_squares(self.inputs)
        return regression.reduced_rank.reduce[:, : self.inputs]


@dataclass(frozen=True, eq=False)
class Projected(Encoding):
    """A fitted projection: coordinates c = (x - mean_x) @ reduce; equations are over the first of them.

        y = mean_y + c[:, first : first + rank] @ linear + equations(c[:, :n_variables]) @ lift

    All arrays are float32, which is what a state keeps of them.

    Attributes:
        mean_x: (n_inputs,).
        mean_y: (n_outputs,).
        reduce: (n_inputs, n_coordinates), to coordinates of unit variance.
        linear: (rank, n_outputs).
        lift: (n_searched, n_outputs), of orthogonal rows.
        back: (n_variables, n_inputs), from variables to the likeliest deviation of the inputs from their mean.
        first: of the coordinates that the linear part is over.
    """

    kind: ClassVar[str] = "projection"
    arrays: ClassVar[tuple[str, ...]] = ("mean_x", "mean_y", "reduce", "linear", "lift", "back")
    partial: ClassVar[bool] = True
    unwritten: ClassVar[str] = "equations of a projection are over coordinates, each a sum over all inputs of the block"

    mean_x: np.ndarray
    mean_y: np.ndarray
    reduce: np.ndarray
    linear: np.ndarray
    lift: np.ndarray
    back: np.ndarray
    first: int

    @classmethod
    def of(
        cls,
        mean_x: np.ndarray,
        mean_y: np.ndarray,
        reduce: np.ndarray,
        lift: np.ndarray,
        n_variables: int,
        first: int,
        linear: np.ndarray | None = None,
        back: np.ndarray | None = None,
    ) -> Projected:
        """From arrays of any precision."""
        linear = np.zeros((0, len(mean_y))) if linear is None else linear
        back = np.zeros((n_variables, len(mean_x))) if back is None else back
        lift = lift if lift.size else np.zeros((0, len(mean_y)))
        arrays = (mean_x, mean_y, reduce, linear, lift, back)
        mean_x, mean_y, reduce, linear, lift, back = (np.ascontiguousarray(a, dtype=np.float32) for a in arrays)
        return cls(mean_x, mean_y, reduce, linear, lift, back, first)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Projected) and (
            self.first == other.first
            and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in self.arrays)
        )

    __hash__ = None  # type: ignore[assignment]

    # ---- inputs

    @property
    def n_variables(self) -> int:
        """How many coordinates equations are over."""
        return len(self.back)

    def encode(self, x: Any) -> Any:
        return self._apply("coordinates", x)[..., : self.n_variables]

    def variable_names(self, n_inputs: int) -> tuple[str, ...]:
        return tuple(f"z{i}" for i in range(self.n_variables))

    def teacher(self, find: Callable[[], Teacher | None]) -> Teacher | None:
        """The block asked at the likeliest inputs of given coordinates."""
        ask = find()
        if ask is None:
            return None

        def teacher(z: np.ndarray) -> np.ndarray:
            x = self.mean_x + z @ self.back.astype(np.float64)
            return self.targets(ask(x), x)

        return teacher

    def expand(self, expr: Expr) -> Expr | None:
        return None

    # ---- outputs

    def n_searched(self, n_outputs: int) -> int:
        return len(self.lift)

    def targets(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        linear = self._apply("linear", self._linear_coordinates(self._apply("coordinates", x)))
        return np.asarray(y - linear) @ self._unlift

    def decode(self, y: Any, x: Any) -> Any:
        return self._finish(y, self._apply("coordinates", x))

    def split(self, x: Any) -> tuple[Any, Callable[[Any], Any]]:
        coordinates = self._apply("coordinates", x)
        return coordinates[..., : self.n_variables], lambda y: self._finish(y, coordinates)

    def needed(self, outputs: Sequence[int]) -> list[int]:
        return list(range(len(self.lift))) if len(outputs) else []

    def combine(self, laws: Mapping[int, Expr], outputs: Sequence[int]) -> list[Expr]:
        raise InputError(f"{self.unwritten}; they are not written out.")

    # ---- saving

    def write(self) -> dict[str, Any]:
        return {"kind": self.kind, "first": self.first, **{name: getattr(self, name) for name in self.arrays}}

    # ---- the arithmetic, on tensors and arrays: two products, whatever stands between them

    @cached_property
    def _unlift(self) -> np.ndarray:
        """(n_outputs, n_searched): what undoes the lift."""
        return np.linalg.pinv(self.lift.astype(np.float64)) if self.lift.size else np.zeros((len(self.mean_y), 0))

    @cached_property
    def _maps(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Weights (n_in, n_out) and bias (n_out,): to coordinates, to the linear part, to the outputs."""
        shift = -(self.mean_x.astype(np.float64) @ self.reduce.astype(np.float64))
        return {
            "coordinates": (self.reduce, shift),
            "linear": (self.linear, self.mean_y),
            "outputs": (np.concatenate([self.linear, self.lift]), self.mean_y),
        }

    @cached_property
    def _tensors(self) -> dict[tuple[str, torch.device, torch.dtype], tuple[torch.Tensor, torch.Tensor]]:
        """The maps as tensors, once they have been needed."""
        return {}

    def _apply(self, name: str, x: Any) -> Any:
        """(..., n_in) -> (..., n_out), of the kind, type and place of x."""
        weights, bias = self._maps[name]
        if not isinstance(x, torch.Tensor):
            return x @ weights + bias
        key = (name, x.device, x.dtype)
        made = self._tensors.get(key)
        if made is None:
            with torch.inference_mode(False):  # what is kept must serve a backward pass too
                transposed = torch.from_numpy(np.ascontiguousarray(weights.T)).to(x.device, x.dtype)
                made = transposed, torch.from_numpy(bias).to(x.device, x.dtype)
            if not torch.compiler.is_compiling():  # those of a tracer are its own
                self._tensors[key] = made
        return torch.nn.functional.linear(x, *made)

    def _linear_coordinates(self, coordinates: Any) -> Any:
        return coordinates[..., self.first : self.first + len(self.linear)]

    def _finish(self, y: Any, coordinates: Any) -> Any:
        linear = self._linear_coordinates(coordinates)
        if not len(self.lift):
            return self._apply("outputs", linear)
        join = torch.cat if isinstance(y, torch.Tensor) else np.concatenate
        return self._apply("outputs", join([linear, y], -1))
