"""Units: powers of two between the user's and those of the search, where the user's are extreme; and dimensions.

Squares, quotients and powers of numbers such as 1e-200 leave the range of float64. Columns that are so far from
one are searched in units of a power of two, which changes no digit, and the unit is put back into the constants
of what was found. Columns of ordinary size are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symtorch.engines.native.fitting.losses import Loss
from symtorch.engines.samples import Samples, Teacher
from symtorch.equations.dimensions import Dimension, dimension, is_consistent
from symtorch.equations.expr import Constant, Expr, Variable, substitute
from symtorch.equations.normal import multiply, normalise
from symtorch.errors import InputError

_ORDINARY = 100
"""Binary exponents up to which, in either direction, a column keeps its unit: its tenth powers are in range."""

_LARGEST = 1000
"""Binary exponents beyond which the unit itself is no float64."""

_RANGE = (1e-290, 1e300)
"""Losses of the best constant that leave room for what is a sum of many, and for what is 1e13 times better."""


@dataclass(frozen=True)
class Units:
    """The unit of every column, as a power of two.

    Attributes:
        inputs, outputs: binary exponents; 0 for a column of ordinary size.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @classmethod
    def of(cls, samples: Samples) -> Units:
        """Units in which no extreme column is larger than one."""
        return cls(_exponents(samples.X), _exponents(samples.Y))

    @property
    def ordinary(self) -> bool:
        """Whether all columns keep their units."""
        return not any(self.inputs) and not any(self.outputs)

    def inward(self, samples: Samples) -> Samples:
        """The samples as the search sees them."""
        if self.ordinary:
            return samples
        teacher = None if samples.teacher is None else _InUnits(samples.teacher, self)
        X, Y = _times(samples.X, self.inputs, -1), _times(samples.Y, self.outputs, -1)
        gradients = samples.gradients
        if gradients is not None:
            exponents = np.asarray(self.inputs) - np.asarray(self.outputs)[:, None]
            gradients = np.ldexp(gradients, exponents.astype(np.int64))
        return replace(samples, X=X, Y=Y, teacher=teacher, gradients=gradients)

    def guess(self, expr: Expr, output: int) -> Expr:
        """A normal form for an output in the user's units as one in the search's."""
        return self._converted(expr, output, -1)

    def outward(self, trees: Sequence[Expr], output: int, write: Callable[[Expr], Expr | None]) -> list[Expr]:
        """What was found for an output in the user's units; without what can't be written there."""
        if not any(self.inputs) and not self.outputs[output]:
            return list(trees)
        found = [write(self._converted(normalise(tree), output, 1)) for tree in trees]
        return [tree for tree in found if tree is not None]

    def _converted(self, expr: Expr, output: int, sign: int) -> Expr:
        """Outward (1): ``2^k * f(2^-m * x)``; inward (-1): ``2^-k * f(2^m * x)``."""
        if not any(self.inputs) and not self.outputs[output]:
            return expr
        inputs = [multiply([Constant(2.0 ** (-sign * m)), Variable(i)]) for i, m in enumerate(self.inputs)]
        return normalise(
            multiply([Constant(2.0 ** (sign * self.outputs[output])), normalise(substitute(expr, inputs))])
        )


@dataclass(frozen=True, eq=False)
class _InUnits:
    """A teacher that is asked and answers in the search's units."""

    whole: Teacher
    units: Units

    def __call__(self, X: np.ndarray) -> np.ndarray:
        answers = np.asarray(self.whole(_times(X, self.units.inputs, 1)), dtype=np.float64)
        return _times(answers, self.units.outputs, -1)


@dataclass(frozen=True)
class Dimensions:
    """What the user says of the units of inputs and outputs.

    Attributes:
        inputs: of each input; None where nothing was said, so that anything may be added to anything.
        outputs: one for all outputs, or one for each; None for any.
    """

    inputs: tuple[Dimension, ...] | None
    outputs: Dimension | tuple[Dimension, ...] | None

    @classmethod
    def of(cls, inputs: Any, outputs: Any) -> Dimensions:
        """Of units as text.

        Raises:
            InputError: what can't be read.
        """
        if inputs is not None and (isinstance(inputs, str) or not isinstance(inputs, Sequence)):
            raise InputError(f"X_units is {inputs!r}; expected a list with the unit of each input, as ['m', 's'].")
        own = None if inputs is None else tuple(map(dimension, inputs))
        each = isinstance(outputs, Sequence) and not isinstance(outputs, str)
        of_outputs = None if outputs is None else tuple(map(dimension, outputs)) if each else dimension(outputs)
        return cls(own, of_outputs)

    def check(self, samples: Samples) -> None:
        """Raise InputError unless there is one for each input and output of the samples."""
        if self.inputs is not None and len(self.inputs) != samples.n_inputs:
            raise InputError(f"X_units has {len(self.inputs)} units for {samples.n_inputs} inputs; give one for each.")
        several = self.outputs is not None and isinstance(self.outputs[0], tuple)
        if several and len(self.outputs or ()) not in (samples.n_outputs, max(samples.output_indices) + 1):
            raise InputError(f"y_units has {len(self.outputs or ())} units; there are {samples.n_outputs} outputs.")

    def are_right(self, tree: Expr, samples: Samples, k: int) -> bool:
        """Whether a tree for output k is right in its dimensions."""
        return self.inputs is None or is_consistent(tree, self.inputs, self.of_output(samples, k))

    def of_output(self, samples: Samples, k: int) -> Dimension | None:
        """What output k of the samples has; None for any."""
        outputs: Any = self.outputs
        if outputs is None or not isinstance(outputs[0], tuple):
            return outputs
        position = k if len(outputs) == samples.n_outputs else samples.output_indices[k]
        return outputs[position]


def check_sizes(Y: np.ndarray, outputs: Sequence[int], loss: Loss) -> None:
    """Raise InputError for outputs whose losses are not finite, or beyond what float64 holds."""
    with np.errstate(all="ignore"):
        losses = {k: loss.value(np.mean(Y[:, k]) - Y[:, k], Y[:, k]) for k in outputs}
    sizes = {k: float(np.mean(lost)) for k, lost in losses.items()}
    for k, lost in losses.items() if not loss.of_residual else ():
        if not np.isfinite(lost).all():
            target = float(Y[np.flatnonzero(~np.isfinite(lost))[0], k])
            raise InputError(
                f"elementwise_loss is not finite for output {k} where the prediction is its mean, "
                f"{np.mean(Y[:, k]):.3g}, and the target {target:.3g}; "
                f"it must be known for every target and for predictions of the outputs' size."
            )
    bad = {k: float(np.abs(Y[:, k]).max()) for k, size in sizes.items() if not _RANGE[0] < size < _RANGE[1]}
    if bad:
        numbers, largest = list(bad)[:10], next(iter(bad.values()))
        raise InputError(
            f"{len(bad)} outputs, of them {numbers}, are of a size (up to {largest:.1e} in output {numbers[0]}) whose "
            f"losses are beyond what float64 holds. Divide them by a power of ten in the block or the function that is "
            f"distilled, or leave them out with output_dim."
        )


def _exponents(columns: np.ndarray) -> tuple[int, ...]:
    exponents = np.frexp(np.abs(columns).max(axis=0))[1]
    return tuple(max(-_LARGEST, min(int(e), _LARGEST)) if abs(e) > _ORDINARY else 0 for e in exponents)


def _times(columns: np.ndarray, exponents: Sequence[int], sign: int) -> np.ndarray:
    return np.ldexp(columns, sign * np.asarray(exponents, dtype=np.int64))
