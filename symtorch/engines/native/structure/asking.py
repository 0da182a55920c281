"""What the engine does with a teacher: asks it for the structure of each output, and offers the laws found.

An output whose law is found needs no long search. It still gets the first stages of the flat search,
for the simple approximations on its front.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.flat.search import Enough, FlatSearch, Phase
from symtorch.engines.native.structure.answers import Answers
from symtorch.engines.native.structure.beyond import with_law_beyond
from symtorch.engines.native.structure.decompose import Laws, find_laws
from symtorch.engines.native.structure.remainder import Quadratics
from symtorch.engines.native.structure.solutions import Solution, convincing, explained, known_loss, likeliest
from symtorch.engines.native.structure.tuning import is_formula, tuning
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples, Teacher
from symtorch.equations.expr import evaluate
from symtorch.equations.verdict import Evidence, shares
from symtorch.equations.worth import stands_out

logger = logging.getLogger("symtorch.engines.native")

_OTHER_ANSWERS = "the teacher doesn't answer as output %d says; searching on the data only"
_OTHER_INPUTS = (
    "output %d depends too much on the inputs that were screened out for the teacher to be asked about the others "
    "alone; searching on the data only"
)


def ask_teacher(
    search: FlatSearch, samples: Samples, outputs: Sequence[int], options: SearchOptions, seed: int, partial: bool
) -> list[Laws | None]:
    """Ask for the structure of every output and put what is found into the search's archives.

    Args:
        search: over these outputs, not yet run.
        outputs: columns of ``samples.Y``.
        partial: the teacher is asked with some inputs, those that were screened out, at their medians.

    Returns:
        What was found for each; None for an output that wasn't asked for.
    """
    assert samples.teacher is not None
    found: list[Laws | None] = [None] * len(outputs)
    left = samples.asking.limit
    compared = min(tuning().compared, samples.n_samples)
    if left is not None:
        affordable = left // tuning().limit_compared
        compared = min(compared, affordable)
        if affordable < tuning().fewest:
            logger.info("too few rows may be asked of the teacher; searching on the data only")
            return found
        left -= compared
    answers = np.asarray(samples.teacher(samples.X[:compared]), dtype=np.float64)
    positions, steady = list(range(len(outputs))), False
    if not search.watch.checkpoint():
        few = samples.X[:compared]
        steady = np.array_equal(answers, np.asarray(samples.teacher(few), dtype=np.float64), equal_nan=True)
        if left is not None:
            left -= compared
        elif len(outputs) > 2:  # of fewer all that was asked is kept
            mask = _with_effect(few, samples.teacher, answers)
            positions.sort(key=lambda position: mask[outputs[position]].tolist())
    teacher = Answers(samples.teacher, steady)
    for done, position in enumerate(positions):
        if search.watch.checkpoint():
            break
        k = outputs[position]
        # Half of the time is the flat search's.
        stop = search.watch.share(len(outputs) - done, 0.5)
        y = samples.Y[:compared, k]
        if not np.mean((answers[:, k] - y) ** 2) <= tuning().stranger * np.var(samples.Y[:, k]):
            logger.info(_OTHER_INPUTS if partial else _OTHER_ANSWERS, samples.output_indices[k])
            continue
        most_rows = None if left is None else left // (len(outputs) - done)
        laws = found[position] = _ask(search, samples, teacher, position, k, options, seed, stop, most_rows)
        left = None if left is None else left - laws.rows_asked
    return found


def _with_effect(X: np.ndarray, teacher: Teacher, answers: np.ndarray) -> np.ndarray:
    """(outputs, inputs): whether an input has any effect on an output: those that share theirs share questions.

    Args:
        X: rows that the teacher is asked for, with each input in turn that of the row before.
        answers: to the rows as they are.
    """
    effect = []
    for i in range(X.shape[1]):
        moved = X.copy()
        moved[:, i] = np.roll(X[:, i], 1)
        effect.append((np.asarray(teacher(moved), dtype=np.float64) != answers).any(axis=0))
    return np.stack(effect, axis=1)


def _ask(
    search: FlatSearch,
    samples: Samples,
    teacher: Answers,
    position: int,
    k: int,
    options: SearchOptions,
    seed: int,
    stop: Callable[[], bool],
    most_rows: int | None,
) -> Laws:
    teacher.next_output()

    def answer(X: np.ndarray) -> np.ndarray:
        return teacher(X)[:, k]

    names = samples.variable_names
    laws = find_laws(samples.X, answer, options, seed, stop, most_rows=most_rows, names=names)
    laws = with_law_beyond(laws, samples.X, answer, options, seed, stop, most_rows)
    laws = replace(laws, rows_asked=teacher.rows)
    search.offer(position, laws.exprs)
    return laws


def those_that_hold(found: Sequence[Laws | None], samples: Samples) -> list[Laws | None]:
    """What was found, without what is exact where it was asked and not on the rows.

    A block that answers the same nearly everywhere, as a classifier far from its border, is mostly asked there.

    Args:
        found: for each output of the samples what asking has brought.
        samples: all rows that there are.
    """
    return [
        None
        if laws is None
        else laws
        if _holds(laws, samples, k)
        else replace(laws, solved=False, floor=np.inf, error=0)
        for k, laws in enumerate(found)
    ]


def _holds(laws: Laws, samples: Samples, k: int) -> bool:
    exact = tuning().rounding
    if not laws.solved or laws.loss >= exact:
        return True
    y, variance = samples.Y[:, k], samples.variance(k)
    with np.errstate(all="ignore"):
        losses = [np.average((evaluate(e, samples.X) - y) ** 2, weights=samples.weights) for e in laws.exprs]
    return not losses or bool(np.nanmin([*losses, np.inf]) <= 1e3 * exact * variance)


def law_found(found: Sequence[Laws | None]) -> Enough:
    """When the flat search may leave an output as it is, by what asking has brought for each.

    At once where a law was found that is as good as the teacher and, of a teacher that errs, wins more by its
    numbers than an approximation does (:mod:`symtorch.equations.worth`). Else after a round where the front of a
    teacher that errs ends in a sharp bend: from there on longer equations fit the teacher's error, and
    rounds no longer pay. Where other steps testify that the teacher is better than that, only after a round
    that has brought nothing more.
    """
    before = [np.inf] * len(found)

    def enough(output: int, archive: Archive, phase: Phase) -> bool:
        laws = found[output]
        if laws is None:
            return False
        if phase is Phase.OFFERED:
            limit = tuning().kept * laws.loss + 1e-12
            as_good = laws.solved and archive.best <= limit
            return as_good and (is_formula(laws.floor) or _stands_out(archive, limit))
        if phase is not Phase.ROUND or is_formula(laws.floor):
            return False
        front = [Solution(c.expr, c.complexity, c.loss) for c in archive.pareto()]
        moved, before[output] = archive.best < tuning().better * before[output], archive.best
        limit = explained(laws.error, laws.floor, late=True)
        if laws.witnessed < np.inf and moved:
            limit = min(limit, max(tuning().seen * tuning().testified * laws.witnessed, laws.floor))
        return convincing(front, laws.floor, limit) and _is_rough(archive, likeliest(front)[0], laws.witnessed)

    return enough


def _stands_out(archive: Archive, limit: float) -> bool:
    """Whether the simplest equation that loses at most this much is no approximation, by what its numbers win."""
    front = archive.pareto()
    losses = [c.loss for c in front]
    first = next((i for i, loss in enumerate(losses) if loss <= limit), len(front) - 1)
    return stands_out([c.tree for c in front], losses, first)


def _is_rough(archive: Archive, law: Solution, witnessed: float) -> bool:
    """Whether what a law leaves of a network's answers may be the network's error; see :mod:`.remainder`."""
    if law.loss <= known_loss(witnessed):
        return True
    X, few = np.column_stack(archive.rows.columns), slice(tuning().piece_rows)
    return Quadratics(X[few]).leave(evaluate(law.expr, X[few]) - archive.rows.y[few]) >= tuning().rough


def evidence_of(found: Sequence[Laws | None], rows_asked: int) -> tuple[Evidence, ...]:
    """What asking has shown of each output.

    Args:
        found: for each what asking has brought; None for nothing.
        rows_asked: of the teacher in all. What was not asked for one output alone is shared equally.
    """
    own = [0 if laws is None else laws.rows_asked for laws in found]
    rows = [mine + part for mine, part in zip(own, shares(rows_asked - sum(own), len(own)), strict=True)]
    return tuple(
        Evidence(rows_asked=n)
        if laws is None
        else Evidence(
            _noise_floor(laws),
            laws.solved,
            n,
            law=laws.loss if laws.solved else None,
            structure=laws.structure,
        )
        for laws, n in zip(found, rows, strict=True)
    )


def _noise_floor(laws: Laws) -> float | None:
    """The teacher's relative squared error as far as it shows; None where nothing is known of it.

    That a teacher obeys an identity to the last digits doesn't tell that it is exact: a network of a difference does so
    too, whatever it has learned. A law that is as exact tells.
    """
    error = laws.error if laws.error > 0.0 else laws.floor
    if error > tuning().worst or (error < tuning().rounding and not laws.solved):
        return None
    return error
