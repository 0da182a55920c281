"""The baseline of a search: of its samples, within its options and its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from symtorch.engines.native.baseline.family import baselines
from symtorch.engines.native.baseline.tuning import tuning
from symtorch.engines.native.baseline.writing import Written
from symtorch.engines.native.fitting.losses import Loss
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.expr import Constant, Variable, substitute


@dataclass(frozen=True)
class Baseline:
    """What least squares says of every output.

    Attributes:
        equations: for each output, the simplest first.
        left: (k,) what the most accurate of them leaves, as a share of the constant's loss.
        solved: outputs with an exact equation that is larger than what is searched for: a search can't do better.
    """

    equations: list[list[Written]]
    left: np.ndarray
    solved: frozenset[int] = frozenset()

    @classmethod
    def none(cls, n_outputs: int) -> Baseline:
        """Before anything has been fitted."""
        return cls([[] for _ in range(n_outputs)], np.ones(n_outputs))


def least_squares(
    samples: Samples,
    options: SearchOptions,
    loss: Loss,
    left: float | None,
    seed: int,
    chosen: Sequence[tuple[Sequence[int], Sequence[int]]] | None = None,
) -> Baseline:
    """The baseline of all outputs of the samples.

    Args:
        left: seconds until the time limit, or None. A part of them is used; more where there would not be enough
            for a search of every output.
        chosen: outputs, and the inputs that may be used for them, if not all.
    """
    seconds = None
    if left is not None:
        enough = left > samples.n_outputs * tuning().searched
        seconds = left * (tuning().share if enough else tuning().large_share)
    equations: list[list[Written]] = [[] for _ in range(samples.n_outputs)]
    parts = [(range(samples.n_outputs), range(samples.n_inputs))] if chosen is None else chosen
    for outputs, columns in parts:
        found = baselines(
            samples.X[:, columns],
            samples.Y[:, outputs],
            options.for_inputs(columns, samples.n_inputs),
            weights=samples.weights,
            loss=loss,
            seconds=None if seconds is None else seconds / len(parts),
            seed=seed % 2**32,
        )
        inputs = [Variable(i) for i in columns]
        for k, written in zip(outputs, found, strict=True):
            equations[k] = [replace(w, tree=substitute(w.tree, inputs)) for w in written] if chosen else written
    left_over = np.ones(samples.n_outputs)
    for k, written in enumerate(equations):
        whole = _constant_loss(written, samples.Y[:, k], samples.weights, loss)
        if whole > 0.0:
            left_over[k] = written[-1].loss / whole
    exact = np.flatnonzero(left_over < tuning().solved).tolist()
    solved = frozenset(k for k in exact if equations[k][-1].complexity > options.maxsize)
    return Baseline(equations, left_over, solved)


def _constant_loss(written: Sequence[Written], y: np.ndarray, weights: np.ndarray | None, loss: Loss) -> float:
    """Loss of the constant, which is not among the equations where a single input explains all; 0 for none of them."""
    if not written:
        return 0.0
    if isinstance(written[0].tree, Constant):
        return written[0].loss
    return loss.mean(float(np.average(y, weights=weights)) - y, y, weights)
