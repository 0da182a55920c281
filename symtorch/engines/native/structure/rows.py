"""Laws of rows alone: powers before the rest are taken off, and a smooth function is asked as a teacher is.

A smooth function through rows errs, as a trained network does, and so its answers are only hints: what is found is
fitted to the rows themselves and has to do better there than what was found without it. AI Feynman (arXiv 1905.11481)
goes the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.fitting.interpolant import Interpolant
from symtorch.engines.native.fitting.powers import Powers
from symtorch.engines.native.fitting.tuning import InterpolantTuning
from symtorch.engines.native.flat.search import Budget, FlatSearch
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.decompose import find_laws
from symtorch.engines.native.tuning import current
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Constant, Expr, Variable, substitute

logger = logging.getLogger("symtorch.engines.native.structure")


def laws_behind_powers(
    X: np.ndarray, y: np.ndarray, options: SearchOptions, seed: int, stopped: Callable[[], bool]
) -> Sequence[Expr]:
    """Normal forms ``x0*x1**2*h(others)``, by the first rounds of a search for h; none without such powers.

    Args:
        X: (n, n_inputs).
        y: (n,), the targets with their noise.
        options: the search space.
        stopped: asked between stages; True ends it with what there is.
    """
    rest = _Rest.of(X, y)
    if not rest.powers.exponents:
        return []
    if not rest.inputs:
        return rest.outward([Constant(float(np.average(rest.y, weights=rest.weights)))])
    words = Vocabulary(options.for_inputs(rest.inputs, X.shape[1]))
    search = FlatSearch(rest.X, rest.y[:, None], words, Budget(rounds=1), rest.weights, seed=seed, hints=(_nothing,))
    (archive,) = search.run(lambda *_: stopped())
    if search.stop_reason == "interrupted":
        raise KeyboardInterrupt
    return rest.outward([candidate.expr for candidate in archive.pareto()])


def _nothing(output: int, stopped: Callable[[], bool]) -> Sequence[Expr]:
    """A hint that there are rows alone."""
    return []


def laws_of_rows(
    X: np.ndarray, y: np.ndarray, options: SearchOptions, seed: int, stopped: Callable[[], bool]
) -> Sequence[Expr]:
    """Normal forms that may be the law behind rows; none where no smooth function goes through these.

    Args:
        X: (n, n_inputs).
        y: (n,), the targets with their noise.
        options: the search space.
        stopped: asked between pieces; True ends it with what there is.
    """
    tuning = current(InterpolantTuning)
    rest = _Rest.of(X, y)
    if not 0 < len(rest.inputs) <= tuning.inputs or stopped():
        return []
    smooth = Interpolant.through(rest.X, rest.y, seed, rest.weights)
    logger.debug("interpolant: %.1e of the variance left, noise %.1e", smooth.left, smooth.noise)
    if not smooth.left <= tuning.left or stopped():
        return []
    words = options.for_inputs(rest.inputs, X.shape[1])
    return rest.outward(find_laws(rest.X, smooth, words, seed, stopped).exprs)


@dataclass(frozen=True, eq=False)
class _Rest:
    """Rows without the powers that stand before everything else.

    What is left is a function of fewer inputs, of which a bank says more, and a smooth function is closer to. Each row
    weighs as the square of what was taken off: then the function loses as much as the product with it.

    Attributes:
        powers: what was taken off; maybe nothing.
        inputs: that are left.
        X, y: the rows (n, n_left) and (n,).
        weights: (n,); None where nothing was taken off.
    """

    powers: Powers
    inputs: Sequence[int]
    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None

    @classmethod
    def of(cls, X: np.ndarray, y: np.ndarray) -> _Rest:
        powers = Powers.before(X, y)
        factor = powers.values(X)
        logger.debug("powers before the rest: %s", powers.exponents)
        inputs = powers.others(X.shape[1])
        if not powers.exponents or not (np.isfinite(factor) & (factor != 0.0)).all():
            return cls(Powers({}), range(X.shape[1]), X, y, None)
        return cls(powers, inputs, X[:, inputs], y / factor, factor**2)

    def outward(self, exprs: Sequence[Expr]) -> list[Expr]:
        """Functions of the inputs that are left, as functions of all."""
        inputs = [Variable(i) for i in self.inputs]
        return [self.powers.times(substitute(expr, inputs)) for expr in exprs]
