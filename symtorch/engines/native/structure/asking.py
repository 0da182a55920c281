"""What the engine does with a teacher: asks it for the structure of each output, and offers the laws found.

An output whose law is found needs no long search. It still gets the first stages of the flat search,
for the simple approximations on its front.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.flat.search import Enough, FlatSearch, Phase
from symtorch.engines.native.structure.beyond import with_law_beyond
from symtorch.engines.native.structure.decompose import Laws, find_laws
from symtorch.engines.native.structure.solutions import Solution, convincing, explained
from symtorch.engines.native.structure.tuning import is_formula, tuning
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.verdict import Evidence, shares

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
    for position, k in enumerate(outputs):
        if search.watch.checkpoint():
            break
        # Half of the time is the flat search's.
        stop = search.watch.share(len(outputs) - position, 0.5)
        y = samples.Y[:compared, k]
        if not np.mean((answers[:, k] - y) ** 2) <= tuning().stranger * np.var(samples.Y[:, k]):
            logger.info(_OTHER_INPUTS if partial else _OTHER_ANSWERS, samples.output_indices[k])
            continue
        most_rows = None if left is None else left // (len(outputs) - position)
        laws = found[position] = _ask(search, samples, position, k, options, seed, stop, most_rows)
        left = None if left is None else left - laws.rows_asked
    return found


def _ask(
    search: FlatSearch,
    samples: Samples,
    position: int,
    k: int,
    options: SearchOptions,
    seed: int,
    stop: Callable[[], bool],
    most_rows: int | None,
) -> Laws:
    teacher = samples.teacher
    assert teacher is not None

    def answer(X: np.ndarray) -> np.ndarray:
        return np.asarray(teacher(X), dtype=np.float64)[:, k]

    laws = find_laws(samples.X, answer, options, seed, stop, most_rows=most_rows)
    laws = with_law_beyond(laws, samples.X, answer, options, seed, stop, most_rows)
    search.offer(position, laws.exprs)
    return laws


def law_found(found: Sequence[Laws | None]) -> Enough:
    """When the flat search may leave an output as it is, by what asking has brought for each.

    At once where a law was found that is as good as the teacher. Else after a round where the front of a
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
            return laws.solved and archive.best <= tuning().kept * laws.loss + 1e-12
        if phase is not Phase.ROUND or is_formula(laws.floor):
            return False
        front = [Solution(c.expr, c.complexity, c.loss) for c in archive.pareto()]
        moved, before[output] = archive.best < tuning().better * before[output], archive.best
        limit = explained(laws.error, laws.floor, late=True)
        if laws.witnessed < np.inf and moved:
            limit = min(limit, max(tuning().seen * tuning().testified * laws.witnessed, laws.floor))
        return convincing(front, laws.floor, limit)

    return enough


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
        else Evidence(noise_floor=_noise_floor(laws), confirmed=laws.solved, rows_asked=n)
        for laws, n in zip(found, rows, strict=True)
    )


def _noise_floor(laws: Laws) -> float | None:
    """The teacher's relative squared error as far as it shows; None where nothing is known of it."""
    error = laws.error if laws.error > 0.0 else laws.floor
    return error if error <= tuning().worst else None
