"""Wide blocks in a few coordinates: a linear part, gated terms, and equations for what these leave.

What stands in the block's place is

    y = mean + linear part of (x - mean) + equations(coordinates of x) @ lift

with the coordinates of the inputs, the linear part and the lift fitted from moments of all rows that are not held out.
Gated terms are equations like the others: silu(g0)*u0, over coordinates of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from symtorch.capture.massive import MassiveRows
from symtorch.capture.rows import Teacher
from symtorch.equations.expr import Expr, evaluate
from symtorch.errors import InputError
from symtorch.surrogate.encodings.base import Encoding
from symtorch.surrogate.encodings.gated import terms
from symtorch.surrogate.encodings.maps import Maps

_ALIKE = 0.1
"""Share of their mean's length by which massive outputs may differ from it, and still be one vector."""


@dataclass(frozen=True, eq=False)
class Projected(Encoding):
    """A fitted projection: coordinates c = x @ reduce + shift; equations are over some of them.

        y = mean_y + c[:, first : first + rank] @ linear + equations(c[:, start : start + n_variables]) @ lift

    The last equations are the gated terms, and the last variables their arguments. Where the last coordinate is
    that of massive inputs, rows on which it is positive have ``massive`` for an answer.

    All arrays are float32, which is what a state keeps of them.

    Attributes:
        mean_x: (n_inputs,).
        mean_y: (n_outputs,).
        reduce: (n_inputs, n_coordinates), to coordinates of unit variance, but for those of terms.
        linear: (rank, n_outputs).
        lift: (n_searched, n_outputs); of what is searched for, its rows are orthogonal.
        back: (n, n_inputs), from the n variables of the search to the likeliest deviation of the inputs from their
            mean.
        first: of the coordinates that the linear part is over.
        start: of the coordinates that are variables.
        shift: (n_coordinates,); that of the mean inputs but for coordinates of terms.
        massive: (1, n_outputs), or (0, n_outputs) where there are no such rows.
        activation: of the terms; empty without any.
        n_terms: how many of the equations are terms.
        paired: whether a term is a product of an activation and a second coordinate.
    """

    kind: ClassVar[str] = "projection"
    arrays: ClassVar[tuple[str, ...]] = (
        "mean_x", "mean_y", "reduce", "linear", "lift", "back", "shift", "massive",
    )  # fmt: skip
    partial: ClassVar[bool] = True
    unwritten: ClassVar[str] = "equations of a projection are over coordinates, each a sum over all inputs of the block"

    mean_x: np.ndarray
    mean_y: np.ndarray
    reduce: np.ndarray
    linear: np.ndarray
    lift: np.ndarray
    back: np.ndarray
    first: int
    start: int
    shift: np.ndarray
    massive: np.ndarray
    activation: str = ""
    n_terms: int = 0
    paired: bool = False

    @classmethod
    def of(
        cls,
        mean_x: np.ndarray,
        mean_y: np.ndarray,
        reduce: np.ndarray,
        lift: np.ndarray,
        n_variables: int = 0,
        first: int = 0,
        linear: np.ndarray | None = None,
        back: np.ndarray | None = None,
        start: int = 0,
    ) -> Projected:
        """From arrays of any precision, without terms."""
        linear = np.zeros((0, len(mean_y))) if linear is None else linear
        back = np.zeros((n_variables, len(mean_x))) if back is None else back
        lift = lift if lift.size else np.zeros((0, len(mean_y)))
        arrays = (mean_x, mean_y, reduce, linear, lift, back)
        mean_x, mean_y, reduce, linear, lift, back = map(_float32, arrays)
        shift, massive = centred(mean_x, reduce), np.zeros((0, len(mean_y)), np.float32)
        return cls(mean_x, mean_y, reduce, linear, lift, back, first, start, shift, massive)

    def with_terms(
        self, activation: str, paired: bool, weights: np.ndarray, bias: np.ndarray, lift: np.ndarray
    ) -> Projected:
        """With terms as further equations, whose arguments come after the coordinates that there are.

        Args:
            activation: of the terms.
            paired: whether they have a second factor.
            weights: (n_inputs, k or 2 k), from inputs to their arguments.
            bias: (k or 2 k,), added to these.
            lift: (k, n_outputs), from terms to outputs.
        """
        return replace(
            self,
            reduce=_float32(np.concatenate([self.reduce, weights], axis=1)),
            shift=_float32(np.concatenate([self.shift, bias])),
            lift=_float32(np.concatenate([self.lift, lift])),
            activation=activation,
            n_terms=len(lift),
            paired=paired,
        )

    def moved_by(self, shift: np.ndarray) -> Projected:
        """With all outputs moved by (n_outputs,)."""
        return replace(self, mean_y=_float32(self.mean_y + shift))

    def gated_by(self, rows: MassiveRows) -> Projected:
        """With one answer for all inputs that have massive outputs.

        Raises:
            InputError: their outputs differ, or no plane divides their inputs from the mean of all others.
        """
        mean = rows.y.mean(axis=0)
        spread = np.linalg.norm(rows.y - mean, axis=1).max() / np.linalg.norm(mean)
        if spread > _ALIKE:
            raise InputError(f"{rows}; they differ from each other by up to {spread:.0%} of their size.")
        direction = rows.x.mean(axis=0) - self.mean_x
        length = np.linalg.norm(direction) ** 2
        along = (rows.x - self.mean_x) @ direction / length if length else np.zeros(len(rows.x))
        if along.min() <= 0.5:
            raise InputError(f"{rows}; their inputs are too different from each other to be told from the others'.")
        weights = direction / length
        return replace(
            self,
            reduce=_float32(np.concatenate([self.reduce, weights[:, None]], axis=1)),
            shift=_float32(np.append(self.shift, -0.5 - self.mean_x.astype(np.float64) @ weights)),
            massive=_float32(mean[None]),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Projected) and (
            (self._form == other._form)
            and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in self.arrays)
        )

    __hash__ = None  # type: ignore[assignment]

    def arrays_alike(self, other: Encoding) -> bool:
        """Whether the other may be this one before or after tuning, which changes numbers only."""
        shapes = (getattr(self, name).shape == getattr(other, name).shape for name in self.arrays)
        return isinstance(other, Projected) and self._form == other._form and all(shapes)

    @property
    def _form(self) -> tuple[Any, ...]:
        return self.first, self.start, self.activation, self.n_terms, self.paired

    # ---- inputs

    @cached_property
    def n_variables(self) -> int:
        """How many coordinates equations are over."""
        return len(self.back) + (1 + self.paired) * self.n_terms

    def encode(self, x: Any) -> Any:
        return self._variables(self._apply("coordinates", x))

    def variable_names(self, n_inputs: int) -> tuple[str, ...]:
        gates = [f"g{i}" for i in range(self.n_terms)]
        ups = [f"u{i}" for i in range(self.n_terms)] if self.paired else []
        return (*(f"z{i}" for i in range(len(self.back))), *gates, *ups)

    def teacher(self, find: Callable[[], Teacher | None]) -> Teacher | None:
        """The block asked at the likeliest inputs of given coordinates: (n, len(back)) -> (n, what is searched for)."""
        ask = find()
        if ask is None:
            return None

        def teacher(z: np.ndarray) -> np.ndarray:
            x = self.mean_x + z @ self.back.astype(np.float64)
            return self.targets(ask(x), x)[:, : len(self.lift) - self.n_terms]

        return teacher

    def expand(self, expr: Expr) -> Expr | None:
        return None

    # ---- outputs

    def n_searched(self, n_outputs: int) -> int:
        return len(self.lift)

    def terms(self) -> list[Expr]:
        """The gated terms, the last of the equations."""
        return terms(self.activation, self.n_terms, self.paired, len(self.back)) if self.n_terms else []

    def targets(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        coordinates = self._apply("coordinates", x)
        known = self._apply("linear", self._linear_coordinates(coordinates))
        variables = np.asarray(self._variables(coordinates), dtype=np.float64)
        values = [evaluate(term, variables) for term in self.terms()]
        gated = np.stack(values, axis=1) if values else np.zeros((len(x), 0))
        n = len(self.lift) - self.n_terms
        return np.concatenate([np.asarray(y - known - gated @ self.lift[n:]) @ self._unlift, gated], axis=1)

    def decode(self, y: Any, x: Any) -> Any:
        return self._finish(y, self._apply("coordinates", x))

    def split(self, x: Any, maps: Maps | None = None) -> tuple[Any, Callable[[Any], Any]]:
        coordinates = self._apply("coordinates", x, maps)
        return self._variables(coordinates), lambda y: self._finish(y, coordinates, maps)

    def needed(self, outputs: Sequence[int]) -> list[int]:
        return list(range(len(self.lift))) if len(outputs) else []

    def combine(self, laws: Mapping[int, Expr], outputs: Sequence[int]) -> list[Expr]:
        raise InputError(f"{self.unwritten}; they are not written out.")

    def is_massive(self, x: np.ndarray) -> np.ndarray:
        """(n, n_inputs) -> (n,): the rows that the constant answers for."""
        if not len(self.massive):
            return np.zeros(len(x), dtype=bool)
        return np.asarray(self._apply("coordinates", x)[:, -1] > 0)

    # ---- tuning

    def maps(self) -> Maps:
        return Maps({name: self._maps[name] for name in ("coordinates", "outputs")})

    def tuned(self, maps: Maps) -> Projected:
        arrays = maps.arrays()
        if arrays is None:
            return self
        (reduce, shift), (outputs, mean_y) = arrays["coordinates"], arrays["outputs"]
        rank = len(self.linear)
        return replace(
            self,
            mean_y=_float32(mean_y),
            reduce=_float32(reduce),
            shift=_float32(shift),
            linear=_float32(outputs[:rank]),
            lift=_float32(outputs[rank:]),
        )

    # ---- saving

    def write(self) -> dict[str, Any]:
        scalars = {"first": self.first, "start": self.start, "activation": self.activation}
        counts = {"n_terms": self.n_terms, "paired": self.paired}
        return {"kind": self.kind, **scalars, **counts, **{name: getattr(self, name) for name in self.arrays}}

    # ---- the arithmetic, on tensors and arrays: two products, whatever stands between them

    # Kept, since for one row counting is a part of the work.

    @cached_property
    def _rank(self) -> int:
        return len(self.linear)

    @cached_property
    def _is_lifted(self) -> bool:
        return len(self.lift) > 0

    @cached_property
    def _has_massive(self) -> bool:
        return len(self.massive) > 0

    @cached_property
    def _unlift(self) -> np.ndarray:
        """(n_outputs, n_searched without terms): what undoes the lift."""
        lift = self.lift[: len(self.lift) - self.n_terms]
        return np.linalg.pinv(lift.astype(np.float64)) if lift.size else np.zeros((len(self.mean_y), 0))

    @cached_property
    def _maps(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Weights (n_in, n_out) and bias (n_out,): to coordinates, to the linear part, to the outputs."""
        return {
            "coordinates": (self.reduce, self.shift),
            "linear": (self.linear, self.mean_y),
            "outputs": (np.concatenate([self.linear, self.lift]), self.mean_y),
        }

    @cached_property
    def _tensors(self) -> dict[tuple[str, torch.device, torch.dtype], tuple[torch.Tensor, torch.Tensor]]:
        """The maps as tensors, once they have been needed."""
        return {}

    def _apply(self, name: str, x: Any, maps: Maps | None = None) -> Any:
        """(..., n_in) -> (..., n_out), of the kind, type and place of x."""
        if maps is not None:
            return maps.apply_map(name, x)
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

    def _variables(self, coordinates: Any) -> Any:
        return _columns(coordinates, self.start, self.n_variables)

    def _linear_coordinates(self, coordinates: Any) -> Any:
        return _columns(coordinates, self.first, self._rank)

    def _finish(self, y: Any, coordinates: Any, maps: Maps | None = None) -> Any:
        linear = self._linear_coordinates(coordinates)
        if self._is_lifted:
            join = torch.cat if isinstance(y, torch.Tensor) else np.concatenate
            linear = join([linear, y], -1)
        answer = self._apply("outputs", linear, maps)
        if not self._has_massive:
            return answer
        is_massive = coordinates[..., -1:] > 0
        if isinstance(answer, torch.Tensor):
            return torch.where(is_massive, self._massive_in(answer), answer)
        return np.where(is_massive, self.massive, answer)

    def _massive_in(self, like: torch.Tensor) -> torch.Tensor:
        """The answer for massive inputs, of the type and at the place of a tensor."""
        key = ("massive", like.device, like.dtype)
        made = self._tensors.get(key)
        if made is None:
            with torch.inference_mode(False):
                made = (torch.from_numpy(self.massive).to(like.device, like.dtype),) * 2
            if not torch.compiler.is_compiling():
                self._tensors[key] = made
        return made[0]


def centred(mean_x: np.ndarray, reduce: np.ndarray) -> np.ndarray:
    """The shift that makes coordinates of the mean zero: (n_coordinates,)."""
    return _float32(-(mean_x.astype(np.float64) @ reduce.astype(np.float64)))


def _columns(coordinates: Any, first: int, n: int) -> Any:
    """So many of them, a view; for tensors by the quickest way."""
    if isinstance(coordinates, torch.Tensor):
        return coordinates.narrow(-1, first, n)
    return coordinates[..., first : first + n]


def _float32(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=np.float32)
