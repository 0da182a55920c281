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
from symtorch.engines.native.structure.decompose import Laws, find_laws
from symtorch.engines.native.structure.solutions import Solution, convincing, explained
from symtorch.engines.native.structure.tuning import is_formula, tuning
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples

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
    answers = np.asarray(samples.teacher(samples.X[: tuning().compared]), dtype=np.float64)
    for position, k in enumerate(outputs):
        if search.watch.checkpoint():
            break
        # Half of the time is the flat search's.
        stop = search.watch.share(len(outputs) - position, 0.5)
        y = samples.Y[: tuning().compared, k]
        if not np.mean((answers[:, k] - y) ** 2) <= tuning().stranger * np.var(samples.Y[:, k]):
            logger.info(_OTHER_INPUTS if partial else _OTHER_ANSWERS, samples.output_indices[k])
            continue
        found[position] = _ask(search, samples, position, k, options, seed, stop)
    return found


def _ask(
    search: FlatSearch,
    samples: Samples,
    position: int,
    k: int,
    options: SearchOptions,
    seed: int,
    stop: Callable[[], bool],
) -> Laws:
    teacher = samples.teacher
    assert teacher is not None
    laws = find_laws(
        samples.X,
        lambda X: np.asarray(teacher(X), dtype=np.float64)[:, k],
        options,
        seed,
        stop,
    )
    search.offer(position, laws.exprs)
    return laws


def reachable(found: Sequence[Laws | None]) -> dict[int, float]:
    """{output: loss that its law comes to}, where the steps have seen how far a teacher that errs is from its law."""
    return {
        output: explained(laws.error, laws.floor, late=True)
        for output, laws in enumerate(found)
        if laws is not None and laws.error > 0 and not is_formula(laws.floor)
    }


def law_found(found: Sequence[Laws | None]) -> Enough:
    """When the flat search may leave an output as it is, by what asking has brought for each.

    At once where a law was found that is as good as the teacher. Else after a round where the front of a
    teacher that errs ends in a sharp bend: from there on longer equations fit the teacher's error, and
    rounds no longer pay.
    """

    def enough(output: int, archive: Archive, phase: Phase) -> bool:
        laws = found[output]
        if laws is None:
            return False
        if phase is Phase.OFFERED:
            return laws.solved and archive.best <= tuning().kept * laws.loss + 1e-12
        if phase is not Phase.ROUND or is_formula(laws.floor):
            return False
        front = [Solution(c.expr, c.complexity, c.loss) for c in archive.pareto()]
        return convincing(front, laws.floor, explained(laws.error, laws.floor, late=True))

    return enough
