"""The last look at a front: no point of it has a simpler or better neighbour that was passed over.

Stages of the search start from what is good at the time, and try every shape once. So in the end a front may hold a
form that algebra shortens, a constant that the last fit made needless, or a shape beside one that would be better
and was never tried from these constants. Each point is looked at once more: its forms by algebra, what is left of
these without one constant or term, and its neighbours. How many are fitted is a share of what the search has tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from symtorch.engines.native.fitting.archive import Archive, Candidate
from symtorch.engines.native.fitting.clean import shorter
from symtorch.engines.native.flat.tuning import FinishTuning
from symtorch.engines.native.forms.neighbours import neighbours
from symtorch.engines.native.forms.simplify import forms_of
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.expr import Expr


def finish(archive: Archive, stop: Callable[[], bool]) -> None:
    """Fit what is beside each point of the front, and keep what is better.

    Args:
        stop: asked between two candidates; True ends it with what there is.
    """
    tuning = current(FinishTuning)
    most = max(tuning.least, round(tuning.share * len(archive.tried)))
    ranked = sorted(archive.pareto(), key=lambda c: archive.merit(c, tuning.price))
    archive.consider(islice(_shortened(ranked, archive), most), stop, tuning.steps, again=True)
    ranked = sorted(archive.pareto(), key=lambda c: archive.merit(c, tuning.price))
    archive.consider(islice(_beside(ranked, archive), most), stop, tuning.steps)


def _shortened(ranked: list[Candidate], archive: Archive) -> Iterator[Expr]:
    """Other forms of the points, and what they are with less in them; each shape once."""
    tuning = current(FinishTuning)
    seen = {normal.key(candidate.expr) for candidate in ranked}
    for candidate in ranked:
        for form in forms_of(candidate.expr, archive.words, tuning.forms, tuning.longer):
            for expr in (form, *shorter(form)):
                shape = normal.key(expr)
                if shape not in seen:
                    seen.add(shape)
                    yield expr


def _beside(ranked: list[Candidate], archive: Archive) -> Iterator[Expr]:
    """Neighbours of the points that the search has not looked at."""
    for candidate in ranked:
        if normal.key(candidate.expr) not in archive.mutated:
            for expr in neighbours(candidate.expr, archive.words):
                if normal.key(expr) not in archive.tried:
                    yield expr
