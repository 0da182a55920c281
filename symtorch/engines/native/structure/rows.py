"""Laws of rows alone: powers before the rest are taken off, and a smooth function is asked as a teacher is.

A smooth function through rows errs, as a trained network does, and so its answers are only hints: what is found is
fitted to the rows themselves and has to do better there than what was found without it. AI Feynman (arXiv 1905.11481)
goes the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from symtorch.engines.native.fitting.interpolant import Interpolant
from symtorch.engines.native.fitting.powers import Powers
from symtorch.engines.native.fitting.tuning import InterpolantTuning
from symtorch.engines.native.flat.search import Budget, FlatSearch
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.decompose import find_laws
from symtorch.engines.native.structure.one_input import one_input_forms
from symtorch.engines.native.structure.quotients import quotients_of_rows
from symtorch.engines.native.structure.solutions import Solution, is_no_approximation
from symtorch.engines.native.tuning import current
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Constant, Expr

_CLOSE = 1e-10
"""Relative loss under which an equation is a law, or an approximation that says less than one."""

logger = logging.getLogger("symtorch.engines.native.structure")


def laws_of_products(
    X: np.ndarray, y: np.ndarray, options: SearchOptions, seed: int, stopped: Callable[[], bool]
) -> Sequence[Expr]:
    """Normal forms ``x0*x1**2*h(x2, x3/x4)``, by a short search for h; none where no powers are seen.

    Args:
        X: (n, n_inputs).
        y: (n,), the targets with their noise.
        options: the search space.
        stopped: asked between stages; True ends it with what there is.
    """
    rest = _Rest.of(X, y, join=True)
    words = Vocabulary(_plain(options))
    quotients = rest.outward(quotients_of_rows(rest.X, rest.y, words)) if rest.powers.products else []
    if quotients or rest.powers.is_nothing:
        return quotients
    if not rest.powers.products:
        return rest.outward([Constant(float(np.average(rest.y, weights=rest.weights)))])
    search = FlatSearch(
        rest.X, rest.y[:, None], words, Budget(rounds=1, small=True), rest.weights, seed=seed, hints=(_nothing,)
    )
    if len(rest.powers.products) == 1:
        search.offer(0, one_input_forms(rest.X[:, 0], rest.y, words))
    (archive,) = search.run(lambda *_: stopped())
    if search.stop_reason == "interrupted":
        raise KeyboardInterrupt
    found = (Solution(c.expr, c.complexity, c.loss) for c in archive.pareto())
    # Of one or two inputs an approximation soon comes so close that it would pass for exact, and end the whole search.
    return rest.outward([c.expr for c in found if c.loss >= _CLOSE or is_no_approximation(c)])


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
    if X.shape[1] > tuning.inputs or stopped():
        return []
    rest = _Rest.of(X, y, join=False)
    if not rest.powers.products:
        return []
    smooth = Interpolant.through(rest.X, rest.y, seed, rest.weights)
    logger.debug("interpolant: %.1e of the variance left, noise %.1e", smooth.left, smooth.noise)
    if not smooth.left <= tuning.left or stopped():
        return []
    return rest.outward(find_laws(rest.X, smooth, _plain(options), seed, stopped).exprs)


def _plain(options: SearchOptions) -> SearchOptions:
    """The options for inputs that are others than the user's: each costs what those cost on average."""
    costs = options.complexity_of_variables
    return replace(options, complexity_of_variables=float(np.mean(costs))) if isinstance(costs, tuple) else options


@dataclass(frozen=True, eq=False)
class _Rest:
    """Rows without the powers that stand before everything else, over the products that the rest is a function of.

    What is left is a function of fewer inputs, of which a bank says more, and a smooth function is closer to. Each row
    weighs as the square of what was taken off: then the function loses as much as the product with it.

    Attributes:
        powers: what is seen of them; maybe nothing.
        X, y: the rows (n, n_left) and (n,).
        weights: (n,); None where nothing was taken off.
    """

    powers: Powers
    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None

    @classmethod
    def of(cls, X: np.ndarray, y: np.ndarray, join: bool) -> _Rest:
        powers = Powers.before(X, y, join)
        logger.debug("%s", powers)
        factor = powers.values(X)
        columns = powers.columns(X)
        if not (np.isfinite(factor) & (factor != 0.0)).all() or not np.isfinite(columns).all():
            return cls(Powers.nothing(X.shape[1]), X, y, None)
        return cls(powers, columns, y / factor, factor**2 if powers.factor else None)

    def outward(self, exprs: Sequence[Expr]) -> list[Expr]:
        """Functions of the inputs that are left, as functions of all."""
        return [self.powers.outward(expr) for expr in exprs]
