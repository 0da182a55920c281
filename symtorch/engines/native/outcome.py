"""From what was found for an output to its front."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from symtorch.engines.native.baseline.writing import Written
from symtorch.engines.native.fitting.archive import EXACT
from symtorch.engines.native.fitting.losses import SQUARED, Loss
from symtorch.engines.native.fitting.precision import finite
from symtorch.engines.native.fitting.residuals import Regressions, down_to_noise
from symtorch.engines.native.fitting.slopes import Slopes, loss_with_slopes
from symtorch.engines.native.flat.workbench import constant_loss
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.units import Units
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.expr import Call, Constant, Expr, Variable, evaluate, walk
from symtorch.equations.front import Equation, Front
from symtorch.equations.normal import normalise
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
    is_right: Callable[[Expr], bool] = lambda tree: True,
) -> Front:
    """The front of output k of the samples.

    Args:
        found: what a search has found; each loss is computed anew from its tree, on all rows.
        baseline: what least squares has found, with its losses.
        engine: name of the engine.
        reason: why the search ended.
        seconds: that all took.
        is_right: whether a tree may be returned for all that the options don't say.
    """
    y = samples.Y[:, k]
    judge = _judge(samples, k, loss)
    searched = [
        Equation(tree, samples.variable_names, options.complexity(tree), judge(tree))
        for tree in found
        if options.violation(tree) is None
    ]
    if not baseline and not searched:
        searched = [
            Equation(tree, samples.variable_names, options.complexity(tree), judge(tree))
            for tree in _smallest(samples, options, y)
            if is_right(tree)
        ]
    if samples.gradients is not None:
        baseline = [replace(written, loss=judge(written.tree)) for written in baseline]
    return Front.from_candidates(
        [*searched, *_better(searched, baseline, samples.variable_names)],
        model_selection=options.model_selection,
        engine=engine,
        stop_reason=reason,
        n_samples=samples.n_samples,
        seconds=seconds,
    )


def with_noise(
    front: Front, samples: Samples, k: int, regressions: Callable[[], Regressions], loss: Loss = SQUARED
) -> Front:
    """The front of output k with the share of the output that is noise, where the rows show that.

    See :func:`.down_to_noise`. Of answers of a teacher nothing is independent.

    Args:
        regressions: on all inputs; the same for every output.
        loss: that is minimised; shares are of the best constant's.
    """
    if samples.teacher is not None or samples.weights is not None or front.stop_reason == "exact":
        return front
    y = samples.Y[:, k]
    scale = samples.variance(k) if loss.is_squared else constant_loss(y, None, loss)
    trees, losses = [eq.expr for eq in front], [eq.loss for eq in front]
    law = down_to_noise(trees, losses, samples.X, y, regressions, loss=loss)
    if law is None or not front[law].loss > EXACT * scale:
        return front
    return replace(front, evidence=replace(front.evidence, noise=front[law].loss / scale))


def in_users_units(
    trees: Mapping[int, Sequence[Expr]],
    baseline: Sequence[Sequence[Written]],
    units: Units,
    samples: Samples,
    options: SearchOptions,
    loss: Loss,
) -> tuple[dict[int, list[Expr]], list[list[Written]]]:
    """What a search and least squares have found, of each output, that runs in the samples' type on all rows.

    Args:
        trees, baseline: in the units of the search.
        samples: in the user's units.
    """
    words = Vocabulary(options)
    found = {k: [t for t in units.outward(own, k, words.legal) if runs(t, samples)] for k, own in trees.items()}
    written = [list(own) for own in baseline]
    if not units.ordinary:
        written = [
            [
                Written(tree, options.complexity(tree), loss_on_all(tree, samples, samples.Y[:, k], loss))
                for tree in units.outward([w.tree for w in own], k, words.render)
            ]
            for k, own in enumerate(written)
        ]
    return found, [[w for w in own if _is_polynomial(w.tree) or runs(w.tree, samples)] for own in written]


def runs(tree: Expr, samples: Samples) -> bool:
    """Whether a tree is finite on all rows that count, in the type in which it will run."""
    X = samples.X if samples.weights is None else samples.X[samples.weights > 0.0]
    parts = (X[first : first + _ROWS_AT_ONCE] for first in range(0, len(X), _ROWS_AT_ONCE))
    return all(finite(tree, part, samples.dtype) for part in parts)


def _is_polynomial(tree: Expr) -> bool:
    """Whether there is nothing in a tree that leaves the range of a type sooner than its inputs do."""
    return all(node.op.name in ("+", "-", "*", "neg") for node in walk(tree) if isinstance(node, Call))


def _better(searched: Sequence[Equation], baseline: Sequence[Written], names: tuple[str, ...]) -> list[Equation]:
    """What least squares adds: equations that no simpler one of the others comes near to, nor only by rounding."""
    rounding = EXACT * max([e.loss for e in searched] + [w.loss for w in baseline], default=0.0)
    out = []
    for written in baseline:
        level = min((e.loss for e in searched if e.complexity <= written.complexity), default=np.inf)
        if level > rounding and written.loss < _BETTER * level:
            out.append(Equation(written.tree, names, written.complexity, written.loss))
    return out


def _judge(samples: Samples, k: int, loss: Loss) -> Callable[[Expr], float]:
    """The loss of a tree for output k: of its values, and of its derivatives where those are known."""
    y = samples.Y[:, k]
    if samples.gradients is None:
        return lambda tree: loss_on_all(tree, samples, y, loss)
    slopes = Slopes.of(samples.X, y, samples.gradients[:, k], samples.weights)
    return lambda tree: loss_with_slopes(normalise(tree), slopes, loss)


def loss_on_all(tree: Expr, samples: Samples, y: np.ndarray, loss: Loss) -> float:
    """Weighted mean loss of a tree; rows of weight 0 may have any value."""
    total, weight = 0.0, 0.0
    for first in range(0, len(y), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        w = np.ones(len(y[part])) if samples.weights is None else samples.weights[part]
        used = w > 0.0
        with np.errstate(all="ignore"):
            losses = loss.value(evaluate(tree, samples.X[part]) - y[part], y[part])
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
