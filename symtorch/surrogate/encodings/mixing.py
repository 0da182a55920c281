"""Outputs that are linear combinations of simpler ones: the search is for those, a matrix makes the outputs of them.

    y = mean + laws(x) @ matrix

Messages of a graph network are forces in some basis of the network's own, latent coordinates are affine functions of
the ones that a physicist would choose: each output alone has a law that is long, or none that is short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from symtorch.capture.rows import Teacher
from symtorch.equations.expr import Call, Constant, Expr
from symtorch.equations.operators import OPERATORS
from symtorch.errors import InputError
from symtorch.surrogate.encodings.base import Encoding, Identity

MIN_VOLUME = 1e-6
"""Smallest ratio of the singular values of directions that are told apart."""


@dataclass(frozen=True, eq=False)
class Mixing(Encoding):
    """Each block output a linear combination of fewer or as many outputs that are searched for.

    >>> turned = Mixing.along(np.array([[0.6, 0.8], [-0.8, 0.6]]))
    >>> turned.targets(np.array([[4.0, 3.0]]), np.zeros((1, 1))).round(12)
    array([[ 4.8, -1.4]])

    Attributes:
        directions: (n_searched, n_outputs); what is searched for is (y - mean) @ directions.T.
        mean: (n_outputs,).
        inner: what makes the variables; the outputs are none of its business.
        scale: (n_outputs,), sizes of the outputs. With fewer laws than outputs, what laws can't tell of the outputs is
            taken to be least in these units; it is right where ``directions`` are made of principal ones in them.
    """

    kind: ClassVar[str] = "mixing"

    directions: np.ndarray
    mean: np.ndarray
    inner: Encoding
    scale: np.ndarray

    @classmethod
    def along(cls, directions: Any, mean: Any = None, inner: Encoding | None = None, scale: Any = None) -> Mixing:
        """From arrays or lists.

        Args:
            directions: (n_searched, n_outputs), a row for each output that is searched for.
            mean: (n_outputs,) taken off the outputs first; None for zeros.
            inner: makes the variables; None for the block's own inputs.
            scale: (n_outputs,) sizes of the outputs; None for those that make the columns of directions alike.

        Raises:
            InputError: other shapes, values that are not finite, or directions that depend on each other.
        """
        rows = np.ascontiguousarray(directions, dtype=np.float64)
        if rows.ndim != 2 or not 1 <= len(rows) <= rows.shape[1] or not np.isfinite(rows).all():
            raise InputError(
                f"directions of a mixing have shape {rows.shape}; expected finite numbers (n_searched, n_outputs), at "
                f"least one row and no more rows than columns."
            )
        if scale is None:
            largest = np.abs(rows).max(axis=0)
            scale = 1.0 / np.where(largest > 0.0, largest, 1.0)
        scale = np.ascontiguousarray(scale, dtype=np.float64)
        if scale.shape != (rows.shape[1],) or not (np.isfinite(scale) & (scale > 0.0)).all():
            raise InputError(
                f"the scale of a mixing has shape {scale.shape}; expected {rows.shape[1]} numbers above zero."
            )
        sizes = np.linalg.svd(_balanced(rows, scale)[1], compute_uv=False)
        if not sizes[-1] > MIN_VOLUME * sizes[0]:
            raise InputError("directions of a mixing depend linearly on each other; leave out those that say nothing.")
        middle = np.zeros(rows.shape[1]) if mean is None else np.ascontiguousarray(mean, dtype=np.float64)
        if middle.shape != (rows.shape[1],) or not np.isfinite(middle).all():
            raise InputError(f"the mean of a mixing has shape {middle.shape}; expected {rows.shape[1]} finite numbers.")
        return cls(rows, middle, Identity() if inner is None else inner, scale)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Mixing)
            and np.array_equal(self.directions, other.directions)
            and np.array_equal(self.mean, other.mean)
            and np.array_equal(self.scale, other.scale)
            and self.inner == other.inner
        )

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def matrix(self) -> np.ndarray:
        """(n_searched, n_outputs), from what is searched for to the outputs."""
        left, balanced = _balanced(self.directions, self.scale)
        return np.asarray((np.linalg.pinv(balanced) / left).T * self.scale)

    # ---- inputs: all of it the inner encoding's

    def encode(self, x: Any) -> Any:
        return self.inner.encode(x)

    def variable_names(self, n_inputs: int) -> tuple[str, ...]:
        return self.inner.variable_names(n_inputs)

    def teacher(self, find: Callable[[], Teacher | None]) -> Teacher | None:
        ask = self.inner.teacher(find)
        return None if ask is None else lambda z: self._unmixed(ask(z))

    def expand(self, expr: Expr) -> Expr | None:
        return self.inner.expand(expr)

    @property
    def functions(self) -> dict[str, Any]:
        return self.inner.functions

    # ---- outputs

    def n_searched(self, n_outputs: int) -> int:
        return len(self.directions)

    def targets(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return self._unmixed(y)

    def decode(self, y: Any, x: Any) -> Any:
        if not isinstance(y, torch.Tensor):
            return y @ self.matrix + self.mean
        weights, bias = self._tensors(y.device, y.dtype)
        return torch.nn.functional.linear(y, weights, bias)

    def needed(self, outputs: Sequence[int]) -> list[int]:
        return [j for j, row in enumerate(self.matrix) if np.any(row[list(outputs)] != 0.0)]

    def combine(self, laws: Mapping[int, Expr], outputs: Sequence[int]) -> list[Expr]:
        return [self._combined(laws, i) for i in outputs]

    def _combined(self, laws: Mapping[int, Expr], output: int) -> Expr:
        plus, times = OPERATORS["+"], OPERATORS["*"]
        parts: list[Expr] = []
        for j, weight in enumerate(self.matrix[:, output]):
            if weight:
                parts.append(laws[j] if weight == 1.0 else Call(times, (Constant(weight), laws[j])))
        if self.mean[output] or not parts:
            parts.append(Constant(self.mean[output]))
        total = parts[0]
        for part in parts[1:]:
            total = Call(plus, (total, part))
        return total

    def _unmixed(self, y: np.ndarray) -> np.ndarray:
        return (np.asarray(y) - self.mean) @ self.directions.T

    def _tensors(self, device: torch.device, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        made = self._made.get((device, dtype))
        if made is None:
            with torch.inference_mode(False):  # what is kept must serve a backward pass too
                weights = torch.from_numpy(np.ascontiguousarray(self.matrix.T)).to(device, dtype)
                made = weights, torch.from_numpy(self.mean).to(device, dtype)
            if not torch.compiler.is_compiling():  # those of a tracer are its own
                self._made[device, dtype] = made
        return made

    @cached_property
    def _made(self) -> dict[tuple[torch.device, torch.dtype], tuple[torch.Tensor, torch.Tensor]]:
        """The matrix and the mean as tensors, once they have been needed."""
        return {}

    # ---- saving

    def write(self) -> dict[str, Any]:
        # As numbers, not as arrays: those are of float32 in a state, and laws are exact to more than that.
        inner = self.inner.write()
        written = {"kind": self.kind, "directions": self.directions.tolist(), "mean": self.mean.tolist()}
        written["scale"] = self.scale.tolist()
        return written if inner is None else {**written, "inner": inner}


def _balanced(rows: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scales (n,) of the rows, and the rows over them, in units of the outputs: those may be of any size."""
    scaled = rows * scale
    left = np.abs(scaled).max(axis=1)
    left[left == 0.0] = 1.0
    return left, scaled / left[:, None]
