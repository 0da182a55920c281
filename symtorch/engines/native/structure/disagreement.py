"""How far a teacher is from an identity that its law obeys: a lower bound of its error that no expression enters.

A step says ``f = join(parts)``. Every part is a function that can be asked, at several replicas, so the teacher's
answers can be predicted from other answers of its own: by ``join`` of the parts' mean answers. If the law obeys the
identity, the prediction misses what the teacher errs by (the means over replicas err less); if an expression then
misses far more, the expression is wrong and not the teacher.

The tests that find a step see much less: each looks at two inputs and the share of the error that moving these
changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.structure.problem import Problem, mean_square
from symtorch.engines.native.structure.steps import Step
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations.definitions import operator
from symtorch.equations.expr import Call, Constant, Expr, Variable, evaluate, transform
from symtorch.equations.normal import add, multiply, normalise

_MOST_PARTS = 8
_PIECES = [operator(f"piece{k}(x) = exp(x) + {k}") for k in range(_MOST_PARTS)]
"""Stand for the parts while a step joins them; what they compute is never asked."""
_NUDGE = 1e-3
"""Change of a part's answers, in standard deviations, that tells what they count for."""
_SHIFT = 1e-9
"""Starting value of a shift: small, but a constant that is fitted."""


@dataclass(frozen=True)
class Disagreement:
    """How far a noisy teacher's answers are from a step.

    Attributes:
        error: mean squared difference between the answers and what the step predicts, relative to their variance;
            0, the bound that says nothing, where too few predictions are defined or parts have other points.
        weights: for every part how much an error of its answers, relative to their variance, counts in the whole's.
        sees_most: see :attr:`.Step.sees_most`.
    """

    error: float
    weights: tuple[float, ...]
    sees_most: bool = True

    def with_parts(self, errors: Sequence[float]) -> float:
        """The whole's error, given what is known of the errors of the parts: they see what this step averages away.

        A wrong step below shows an error that is none of the teacher's, so parts may at most double what is seen
        here. That idle inputs do nothing says little, and that an identity is obeyed to the last digits nothing, so
        below these they count in full.
        """
        parts = sum(weight * error for weight, error in zip(self.weights, errors, strict=True))
        return self.error + (min(parts, self.error) if self.sees_most else parts)


def disagreement(step: Step, problem: Problem, parts: Sequence[Problem]) -> Disagreement:
    """The teacher against what the step predicts, on a few rows.

    Parts are known up to a factor or a shift, which are fitted.
    """
    nothing = Disagreement(0.0, (0.0,) * len(parts), step.sees_most)
    if (
        not parts
        or len(parts) > len(_PIECES)
        or any(len(part.Z) != len(problem.Z) or part.n_inputs == 0 for part in parts)
    ):
        return nothing  # a part without inputs is a number, and predicts nothing; nor does a step that is all there is
    rows = slice(None, tuning().piece_rows)
    y, answers = problem.y[rows], [_mean_answers(part.rows(tuning().piece_rows)) for part in parts]
    usable = np.isfinite(y) & np.isfinite(answers).all(axis=0)
    if usable.sum() < tuning().fewest or not np.var(y[usable]) > 0:
        return nothing
    columns, y = np.column_stack([problem.Z[rows], *answers])[usable], y[usable]
    predicted, loss = fit(_predicted(step, columns, y, len(parts)), Rows.of(columns, y))
    if not np.isfinite(loss):
        return nothing
    base, weights = evaluate(predicted, columns), []
    for k in range(problem.n_inputs, columns.shape[1]):
        moved = columns.copy()
        moved[:, k] += _NUDGE * columns[:, k].std()
        change = mean_square(evaluate(predicted, moved) - base) / _NUDGE**2 / float(np.var(y))
        weights.append(min(change, 1.0) if np.isfinite(change) else 0.0)
    # What explains the test is a share of the step's error; far more comes of a replica that tells nothing.
    most = tuning().spread * step.residual
    if obeyed(step):
        return Disagreement(0.0, tuple(weights), sees_most=False)
    return Disagreement(min(float(loss / np.var(y)), most), tuple(weights), step.sees_most)


def obeyed(step: Step) -> bool:
    """Whether the teacher obeys a step to the last digits, so that it says nothing of what the teacher errs by."""
    return step.residual < tuning().rounding


def _mean_answers(part: Problem) -> np.ndarray:
    """(n,) the part's answers, each the mean over what replicas have an answer."""
    answers = np.stack([part.ask(part.Z, replica) for replica in range(tuning().replicas)])
    valid = np.isfinite(answers)
    return np.where(valid, answers, 0.0).sum(axis=0) / valid.sum(axis=0)


def _predicted(step: Step, columns: np.ndarray, y: np.ndarray, n_parts: int) -> Expr:
    """The step's formula over the inputs and one column of answers per part, each with a factor and a shift.

    A product of parts is too large by a power of the answer at which all were held: the first factor takes it.
    """
    pieces = _PIECES[:n_parts]
    n_inputs = columns.shape[1] - n_parts
    joined = step.join([Call(piece, (Variable(0),)) for piece in pieces])

    def put(first: float) -> Expr:
        placed = {
            piece: add([multiply([Constant(factor), Variable(n_inputs + k)]), Constant(_SHIFT)])
            for k, (piece, factor) in enumerate(zip(pieces, (first, *[1 + _SHIFT] * (n_parts - 1)), strict=True))
        }
        return normalise(transform(joined, lambda n: placed.get(n.op, n) if isinstance(n, Call) else n))

    start = evaluate(put(1 + _SHIFT), columns)
    with np.errstate(all="ignore"):
        factor = float(start @ y / (start @ start))
    return put(factor) if np.isfinite(factor) and factor else put(1 + _SHIFT)
