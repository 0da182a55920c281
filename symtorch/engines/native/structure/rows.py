"""Laws of rows alone: a smooth function through them is asked as a teacher is.

It errs, as a trained network does, and so its answers are only hints: what is found is fitted to the rows themselves
and has to do better there than what was found without it. AI Feynman (arXiv 1905.11481) goes the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from symtorch.engines.native.fitting.interpolant import Interpolant
from symtorch.engines.native.fitting.tuning import InterpolantTuning
from symtorch.engines.native.structure.decompose import find_laws
from symtorch.engines.native.tuning import current
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Expr

logger = logging.getLogger("symtorch.engines.native.structure")


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
    smooth = Interpolant.through(X, y, seed)
    logger.debug("interpolant: %.1e of the variance left, noise %.1e", smooth.left, smooth.noise)
    if not smooth.left <= tuning.left or stopped():
        return []
    return find_laws(X, smooth, options, seed, stopped).exprs
