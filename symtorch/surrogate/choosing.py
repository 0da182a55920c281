"""The simplest equations with which a whole model is nearly as good as with the most accurate ones.

Greedy: of all equations that could give way to a simpler one of their front, the one goes first that saves most
complexity for what the model's loss rises by it. What a rise is, is first measured for each output alone, by
bisection along its front; then step after step is tried with all the others as they are, so that what is returned
was measured together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from symtorch.equations.front import Front
from symtorch.errors import InputError, UndefinedError
from symtorch.surrogate.constants import Loss

_ROUNDING = 1e-12
"""Of what the simplest equations lose, the share that counts as rounding: of exact laws nothing else is left."""


def mean_loss(model: nn.Module, batches: Sequence[Any], loss: Loss) -> float:
    """Mean of a model's loss over batches; infinite where equations are undefined.

    Raises:
        InputError: the loss isn't one number.
    """
    total = 0.0
    for batch in batches:
        try:
            value = loss(model, batch)
        except UndefinedError:  # of guard="raise"
            return math.inf
        if isinstance(value, Tensor):
            value = value.detach()
        if torch.as_tensor(value).numel() != 1:
            raise InputError(f"loss returned {type(value).__name__} of several numbers; expected one number.")
        total += float(value) / len(batches)
    return total if math.isfinite(total) else math.inf


class _Course:
    """The equations chosen so far, as positions in their fronts, and what is known of others."""

    def __init__(self, fronts: Mapping[int, Front], loss: Callable[[dict[int, int]], float], tolerance: float) -> None:
        self.fronts, self.loss = fronts, loss
        self.now = {i: min(range(len(front)), key=lambda k: front[k].loss) for i, front in fronts.items()}
        best, worst = self.measured(self.now), self.measured(dict.fromkeys(fronts, 0))
        for i, front in fronts.items():
            # Trained or the user's own, with no loss of a search: the model's loss says whether it is more accurate.
            for k in (k for k, eq in enumerate(front) if math.isinf(eq.loss) and k != self.now[i]):
                found = self.measured({**self.now, i: k})
                if found < best:
                    self.now[i], best = k, found
        if not math.isfinite(best):
            raise InputError(
                "the loss is not finite with the most accurate equations; check the data, or switch with a guard."
            )
        rounding = _ROUNDING * abs(worst - best) if math.isfinite(worst) else 0.0
        self.limit = best + tolerance * abs(best) + rounding
        self.alone = {i: {position: best} for i, position in self.now.items()}
        self.lowest = {i: self.bearable(i) for i in fronts}

    def measured(self, positions: Mapping[int, int]) -> float:
        """The model's loss with these equations."""
        return self.loss({i: self.fronts[i][k].complexity for i, k in positions.items()})

    def bearable(self, output: int) -> int:
        """The lowest position of an output that the loss allows with all others at their best."""
        low, high = 0, self.now[output]
        while low < high:
            middle = (low + high) // 2
            found = self.measured({**self.now, output: middle})
            if found <= self.limit:
                self.alone[output][middle] = found
                high = middle
            else:
                low = middle + 1
        return low

    def gain(self, output: int, position: int) -> tuple[float, int]:
        """Complexity saved for what the loss rises, and complexity saved."""
        here, front = self.now[output], self.fronts[output]
        saved = front[here].complexity - front[position].complexity
        rise = self.alone[output][position] - self.alone[output][here]
        return (saved / rise if rise > 0.0 else math.inf), saved

    def steps(self) -> list[tuple[int, int]]:
        """Output and position of every step that is left to try."""
        return [(i, k) for i, known in self.alone.items() for k in known if self.lowest[i] <= k < self.now[i]]

    def take(self, output: int, position: int) -> None:
        """Take a step if the loss allows it, and else shorter ones into account."""
        if self.measured({**self.now, output: position}) <= self.limit:
            self.now[output] = position
            return
        self.lowest[output] = position + 1
        known, here = self.alone[output], self.now[output]
        between = (position + 1 + here) // 2
        if between < here:
            known.setdefault(between, 0.5 * (known[position] + known[here]))


def simplest_within(
    fronts: Mapping[int, Front], loss: Callable[[dict[int, int]], float], tolerance: float
) -> dict[int, int]:
    """Complexities of the simplest equations with which a loss rises at most by the tolerance.

    Args:
        fronts: {output: Front}.
        loss: {output: complexity} -> the loss of the whole model with these equations. It is asked a few times per
            output, in proportion to the logarithm of its front's length.
        tolerance: by which share the loss may rise above that with the most accurate equations.

    Returns:
        {output: complexity}; with all of them together the loss was measured to be within the tolerance.

    Raises:
        InputError: the tolerance is no share, or the loss isn't finite with the most accurate equations.
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not 0.0 <= tolerance < math.inf:
        raise InputError(f"tolerance is {tolerance!r}; expected a share of the loss, such as 0.01 for one percent.")
    course = _Course(fronts, loss, tolerance)
    while steps := course.steps():
        course.take(*max(steps, key=lambda step: course.gain(*step)))
    return {i: fronts[i][k].complexity for i, k in course.now.items()}
