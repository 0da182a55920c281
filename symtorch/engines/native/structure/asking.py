"""What the engine does with a teacher: asks it for the structure of each output, and offers the laws found.

An output whose law is found needs no long search. It still gets the first stages of the flat search,
for the simple approximations on its front.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.flat.search import Enough, FlatSearch, Phase
from symtorch.engines.native.structure.decompose import Laws, find_laws
from symtorch.engines.native.structure.solutions import Solution, convincing, explained
from symtorch.engines.native.structure.tuning import is_formula, tuning
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples

logger = logging.getLogger("symtorch.engines.native")


def ask_teacher(
    search: FlatSearch, samples: Samples, outputs: Sequence[int], options: SearchOptions, seed: int
) -> list[Laws | None]:
    """Ask for the structure of every output and put what is found into the search's archives.

    Args:
        search: over these outputs, not yet run.
        outputs: columns of ``samples.Y``.

    Returns:
        What was found for each; None for an output that wasn't asked for.
    """
    assert samples.teacher is not None
    found: list[Laws | None] = [None] * len(outputs)
    answers = np.asarray(samples.teacher(samples.X[: tuning().compared]), dtype=np.float64)
    for position, k in enumerate(outputs):
        if search.watch.checkpoint():
            break
        y = samples.Y[: tuning().compared, k]
        if not np.mean((answers[:, k] - y) ** 2) <= tuning().stranger * np.var(samples.Y[:, k]):
            logger.info("the teacher doesn't answer as output %d says; searching on the data only", k)
            continue
        found[position] = _ask(search, samples, position, k, options, seed)
    return found


def _ask(search: FlatSearch, samples: Samples, position: int, k: int, options: SearchOptions, seed: int) -> Laws:
    teacher = samples.teacher
    assert teacher is not None
    laws = find_laws(
        samples.X,
        lambda X: np.asarray(teacher(X), dtype=np.float64)[:, k],
        options,
        seed,
        search.watch.checkpoint,
    )
    search.offer(position, laws.exprs)
    return laws


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
