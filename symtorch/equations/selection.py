"""Rules that pick one equation from a Pareto front.

``best``, ``accuracy`` and ``score`` are PySR's, as its manual defines them
(https://ai.damtp.cam.ac.uk/pysr/stable/options/#model-selection); ``law`` is our own and the default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from symtorch.errors import OptionError

if TYPE_CHECKING:
    from symtorch.equations.front import Equation


def scores(complexities: Sequence[int], losses: Sequence[float]) -> list[float]:
    """PySR's score: minus the slope of log(loss) by complexity; 0 for the simplest equation."""
    tiny = np.finfo(np.float64).tiny
    log_loss = np.log(np.maximum(np.asarray(losses, dtype=np.float64), tiny))
    out = [0.0]
    for i in range(1, len(log_loss)):
        out.append(float(-(log_loss[i] - log_loss[i - 1]) / (complexities[i] - complexities[i - 1])))
    return out


def select(equations: Sequence[Equation], rule: str) -> int:
    """Index of the equation that the rule picks; the equations are ordered by complexity."""
    losses = np.array([eq.loss for eq in equations])
    if rule == "accuracy":
        return int(np.argmin(losses))
    score = np.array([eq.score for eq in equations])
    if rule == "score":
        return int(np.argmax(score))
    if rule in ("best", "law"):
        # The highest score among those whose loss is at most 1.5 times the smallest.
        near = losses <= 1.5 * losses.min()
        return int(np.argmax(np.where(near, score, -np.inf)))
    raise OptionError(f"model_selection {rule!r} is not known; expected 'law', 'best', 'accuracy' or 'score'.")
