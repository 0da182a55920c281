"""How a search's best losses fell while it went on."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from symtorch.engines.base import Engine, Progress, ProgressCallback
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.front import Front

BETTER = 0.8
"""How far a loss has to fall to be noted again. From 1 to rounding, 1e-30, that is 310 times at the most."""


def search(
    engine: Engine, samples: Samples, options: SearchOptions, progress: ProgressCallback | None = None
) -> list[Front]:
    """What the engine finds, each front with its history, as far as the engine reports one.

    Args:
        progress: is told what it would be told without this.
    """
    started = time.monotonic()
    points: list[list[tuple[float, float]]] = [[] for _ in range(samples.n_outputs)]

    def note(report: Progress) -> None:
        seconds = time.monotonic() - started
        if len(report.losses) == len(points):  # of an engine around another one they may be those of some outputs
            for known, loss in zip(points, report.losses, strict=True):
                if math.isfinite(loss) and (not known or loss < BETTER * known[-1][1]):
                    known.append((seconds, loss))
        if progress is not None:
            progress(report)

    fronts = engine.search(samples, options, note)
    end = time.monotonic() - started
    for k, (front, known) in enumerate(zip(fronts, points, strict=True)):
        variance, loss = samples.variance(k), front[-1].loss
        # With another loss what is left of the variance is known from reports alone.
        if known and options.squared_error and variance > 0.0 and loss / variance < BETTER * known[-1][1]:
            known.append((end, loss / variance))
    return [
        replace(front, history=tuple(known)) if known and not front.history else front
        for front, known in zip(fronts, points, strict=True)
    ]
