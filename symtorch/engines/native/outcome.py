"""From what was found for an output to its front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from symtorch.engines.native.baseline.writing import Written
from symtorch.engines.native.fitting.archive import EXACT
from symtorch.engines.native.fitting.losses import Loss
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.expr import Constant, Expr, Variable, evaluate
from symtorch.equations.front import Equation, Front
from symtorch.errors import OptionError

_ROWS_AT_ONCE = 65536
_BETTER = 0.99
"""An equation of the baseline's must leave less than this share of what is left by those that were searched for."""


def varies(y: np.ndarray) -> bool:
    """Whether there is anything to explain."""
    return float(np.ptp(y)) > 1e-12 * float(np.abs(y).max())


def front_of(
    samples: Samples,
    options: SearchOptions,
    loss: Loss,
    k: int,
    found: Sequence[Expr],
    baseline: Sequence[Written],
    *,
    engine: str,
    reason: str,
    seconds: float,
) -> Front:
    """The front of output k of the samples.

    Args:
        found: what a search has found; each loss is computed anew from its tree, on all rows.
        baseline: what least squares has found, with its losses.
        engine: name of the engine.
        reason: why the search ended.
        seconds: that all took.
    """
    y = samples.Y[:, k]
    searched = [
        Equation(tree, samples.variable_names, options.complexity(tree), loss_on_all(tree, samples, y, loss))
        for tree in found
        if options.violation(tree) is None
    ]
    if not baseline and not searched:
        searched = [
            Equation(tree, samples.variable_names, options.complexity(tree), loss_on_all(tree, samples, y, loss))
            for tree in _smallest(samples, options, y)
        ]
    return Front.from_candidates(
        [*searched, *_better(searched, baseline, samples.variable_names)],
        model_selection=options.model_selection,
        engine=engine,
        stop_reason=reason,
        n_samples=samples.n_samples,
        seconds=seconds,
    )


def _better(searched: Sequence[Equation], baseline: Sequence[Written], names: tuple[str, ...]) -> list[Equation]:
    """What least squares adds: equations that no simpler one of the others comes near to, nor only by rounding."""
    rounding = EXACT * max([e.loss for e in searched] + [w.loss for w in baseline], default=0.0)
    out = []
    for written in baseline:
        level = min((e.loss for e in searched if e.complexity <= written.complexity), default=np.inf)
        if level > rounding and written.loss < _BETTER * level:
            out.append(Equation(written.tree, names, written.complexity, written.loss))
    return out


def loss_on_all(tree: Expr, samples: Samples, y: np.ndarray, loss: Loss) -> float:
    """Weighted mean loss of a tree; rows of weight 0 may have any value."""
    total, weight = 0.0, 0.0
    for first in range(0, len(y), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        w = np.ones(len(y[part])) if samples.weights is None else samples.weights[part]
        used = w > 0.0
        with np.errstate(all="ignore"):
            losses = loss.value(evaluate(tree, samples.X[part]) - y[part])
        total += float(np.sum(np.where(used, w * losses, 0.0)))
        weight += float(w.sum())
    return total / weight


def _smallest(samples: Samples, options: SearchOptions, y: np.ndarray) -> list[Expr]:
    """The leaves, for when nothing else is allowed."""
    leaves: list[Expr] = [
        Constant(float(np.average(y, weights=samples.weights))),
        *(Variable(i) for i in range(samples.n_inputs)),
    ]
    allowed = [leaf for leaf in leaves if options.violation(leaf) is None]
    if not allowed:
        raise OptionError(
            f"maxsize {options.maxsize} allows no expression at all: a constant has complexity "
            f"{options.complexity_of_constants}, a variable {options.complexity_of_variables}."
        )
    return allowed
