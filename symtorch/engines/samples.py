"""The data that a search runs on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from symtorch.capture.rows import Teacher, Trouble
from symtorch.equations.names import check_names
from symtorch.errors import InputError

MIN_SAMPLES = 10


@dataclass(frozen=True)
class Asking:
    """How much a teacher may be asked, and what is known of it before the search.

    Attributes:
        limit: rows that it may be asked for, for all outputs together; None for any number.
        tried: rows that it was asked for to try it out.
        trouble: why there is no teacher, if it was tried; see :class:`symtorch.capture.rows.Trial`.
        seconds: that a row took; 0 where that was not measured.
    """

    limit: int | None = None
    tried: int = 0
    trouble: Trouble = ""
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs and outputs of a block, one row per sample.

    Attributes:
        X: (n_samples, n_inputs), float64, finite.
        Y: (n_samples, n_outputs), float64, finite.
        weights: (n_samples,), non-negative, or None for equal weights.
        variable_names: name of each column of X; default ``x0, x1, ...``.
        teacher: the block itself, to be asked for its output at any new row, or None where it
            can't be asked (data only, or inputs that are transforms of the block's own).
        dtype: type in which equations of the samples will run, the block's own: float64, float32 or float16.
        output_indices: which of the block's outputs each column of Y is; default 0, 1, ...
        asking: how much the teacher may be asked. An engine that asks must heed its limit.
        gradients: (n_samples, n_outputs, n_inputs), finite, derivatives of the outputs by the inputs; None where
            they aren't known. For engines that take them (:attr:`.Engine.takes_gradients`).

    Raises:
        InputError: shapes that don't fit, too few rows, values that aren't finite, bad names.
    """

    X: np.ndarray
    Y: np.ndarray
    weights: np.ndarray | None = None
    variable_names: tuple[str, ...] = ()
    teacher: Teacher | None = field(default=None, repr=False)
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float64))
    output_indices: tuple[int, ...] = ()
    asking: Asking = Asking()
    gradients: np.ndarray | None = None

    def __post_init__(self) -> None:
        X = _matrix("inputs", self.X)
        Y = _matrix("outputs", self.Y)
        if len(X) != len(Y):
            raise InputError(f"inputs have {len(X)} rows and outputs {len(Y)}; they must be equally many.")
        if len(X) < MIN_SAMPLES:
            raise InputError(f"only {len(X)} samples; a search needs at least {MIN_SAMPLES}. Pass more data.")
        names = tuple(self.variable_names) or tuple(f"x{i}" for i in range(X.shape[1]))
        check_names(names, X.shape[1])
        object.__setattr__(self, "X", X)
        object.__setattr__(self, "Y", Y)
        object.__setattr__(self, "variable_names", names)
        object.__setattr__(self, "output_indices", tuple(self.output_indices) or tuple(range(Y.shape[1])))
        if len(self.output_indices) != Y.shape[1]:
            raise InputError(f"{len(self.output_indices)} output_indices for {Y.shape[1]} outputs; give one for each.")
        if self.weights is not None:
            object.__setattr__(self, "weights", _check_weights(self.weights, len(X)))
        if self.gradients is not None:
            object.__setattr__(self, "gradients", _check_gradients(self.gradients, X, Y))

    @property
    def n_samples(self) -> int:
        return len(self.X)

    @property
    def n_inputs(self) -> int:
        return self.X.shape[1]

    @property
    def n_outputs(self) -> int:
        return self.Y.shape[1]

    def variance(self, output: int) -> float:
        """Weighted variance of an output; the largest number where that overflows."""
        y = self.Y[:, output]
        with np.errstate(over="ignore"):
            found = float(np.average((y - np.average(y, weights=self.weights)) ** 2, weights=self.weights))
        return found if math.isfinite(found) else float(np.finfo(np.float64).max)

    def take(self, rows: np.ndarray) -> Samples:
        """The samples of these rows (indices or a mask)."""
        weights = None if self.weights is None else self.weights[rows]
        gradients = None if self.gradients is None else self.gradients[rows]
        return replace(self, X=self.X[rows], Y=self.Y[rows], weights=weights, gradients=gradients)

    def outputs(self, columns: Sequence[int]) -> Samples:
        """The same samples with only these outputs, the teacher's answers included."""
        columns = list(columns)
        teacher = self.teacher
        chosen = None if teacher is None else (lambda X: teacher(X)[:, columns])
        indices = tuple(self.output_indices[k] for k in columns)
        gradients = None if self.gradients is None else self.gradients[:, columns]
        return replace(self, Y=self.Y[:, columns], teacher=chosen, output_indices=indices, gradients=gradients)

    def split(self, fraction: float = 0.2, seed: int = 0, minimum: int = 50) -> tuple[Samples, Samples | None]:
        """Rows to search on, and rows held out to judge the result by.

        With fewer than ``minimum`` rows nothing is held out and the second part is None.
        """
        train, held_out = split_rows(self.n_samples, fraction, seed, minimum)
        return (self, None) if held_out is None else (self.take(train), self.take(held_out))

    def fingerprint(self) -> str:
        """A hash of the data and the names: equal data, equal fingerprint, in every process and version.

        Journals keep it, so it must stay what it is.
        """
        digest = hashlib.blake2b(digest_size=16)
        for array in (self.X, self.Y, self.weights):
            digest.update(b"-" if array is None else f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        if self.gradients is not None:
            digest.update(f"{self.gradients.shape}".encode() + np.ascontiguousarray(self.gradients).tobytes())
        digest.update("\0".join(self.variable_names).encode())
        return digest.hexdigest()


def split_rows(n: int, fraction: float, seed: int = 0, minimum: int = 50) -> tuple[np.ndarray, np.ndarray | None]:
    """Which of n rows :meth:`Samples.split` searches on, and which it holds out; None where it holds out none."""
    if n < minimum:
        return np.arange(n), None
    order = np.random.default_rng(seed).permutation(n)
    n_held_out = max(MIN_SAMPLES, round(fraction * n))
    return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])


def _matrix(what: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise InputError(f"{what} are of type {values.dtype}; expected real numbers.")
    values = np.ascontiguousarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] == 0:
        raise InputError(f"{what} have shape {values.shape}; expected (n_samples, n_features).")
    bad = ~np.isfinite(values)
    if bad.any():
        rows = np.flatnonzero(bad.any(axis=1))
        columns = np.flatnonzero(bad.any(axis=0)).tolist()
        raise InputError(
            f"{what} hold {int(bad.sum())} NaN or infinite values, in {len(rows)} of {len(values)} rows "
            f"(first at row {rows[0]}), columns {columns[:10]}. Clean the data, or pass drop_nonfinite=True "
            f"to leave those rows out."
        )
    return values


def _check_gradients(gradients: np.ndarray, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Derivatives as (n, n_outputs, n_inputs); of one output, (n, n_inputs) will do."""
    gradients = np.asarray(gradients)
    if gradients.dtype.kind not in "fiu":
        raise InputError(f"gradients are of type {gradients.dtype}; expected real numbers.")
    expected = (len(X), Y.shape[1], X.shape[1])
    if gradients.ndim == 2 and Y.shape[1] == 1:
        gradients = gradients[:, None]
    if gradients.shape != expected:
        raise InputError(
            f"gradients have shape {gradients.shape}; expected {expected}, (n_rows, n_outputs, n_inputs): the "
            f"derivative of each output by each input on each row."
        )
    bad = int((~np.isfinite(gradients)).any(axis=(1, 2)).sum())
    if bad:
        raise InputError(f"gradients are NaN or infinite in {bad} of {len(X)} rows; leave those rows out.")
    return np.ascontiguousarray(gradients, dtype=np.float64)


def _check_weights(weights: np.ndarray, n_samples: int) -> np.ndarray:
    weights = np.asarray(weights, dtype=np.float64).reshape(-1)
    if len(weights) != n_samples:
        raise InputError(f"{len(weights)} weights for {n_samples} samples; give one weight per sample.")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError("weights must be finite and not negative.")
    if not weights.any():
        raise InputError("all weights are zero; at least one sample must count.")
    return weights
