"""When what is done: the stages of the flat search in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Literal

from symtorch.engines.native.flat.workbench import Workbench


class Phase(IntEnum):
    """How far an output's search has come: what may be asked of its front."""

    OFFERED = 0
    """Nothing but what others have offered."""
    GUESSED = 1
    """First guesses, some of them fitted."""
    FITTED = 2
    """The guesses with all the constants that help them."""
    SEARCHED = 3
    """In the middle of a round."""
    ROUND = 4
    """At the end of a round."""


@dataclass(frozen=True)
class Stage:
    """A row of the schedule.

    Attributes:
        name: what progress is reported under.
        run: what it does, for every output that is not done.
        after: how far the search has come then.
        spreads: whether what it finds is offered to the other outputs.
        measured: whether outputs whose front has hardly moved since the last such stage are given up.
    """

    name: str
    run: Callable[[Workbench], None]
    after: Phase = Phase.SEARCHED
    spreads: bool = False
    measured: bool = False


def schedule(rounds: int, n_outputs: int, choices: bool = False, hinted: int = 0, small: bool = False) -> list[Stage]:
    """The stages of a search in their order.

    >>> [stage.name for stage in schedule(0, 1)]
    ['start', 'contexts', 'constants', 'refine 1']

    Args:
        rounds: of refinement with the large bank; at 0 only the small bank's first guesses are refined.
        n_outputs: several offer each other what they find.
        choices: whether the user's operators can write steps or kinks.
        hinted: how many have hints: the first for what the first stages leave open, the second for what the first
            rounds do.
        small: whether to end before the large bank.
    """
    first = Stage("choices", Workbench.choose_first, Phase.GUESSED)

    def choosing(number: int) -> list[Stage]:
        if not choices:
            return []
        where: Literal["seen", "left"] = "seen" if number == 1 and rounds > 0 else "left"
        return [
            Stage(f"choices {number}", partial(Workbench.choose, where=where)),
            Stage(f"choices between found {number}", Workbench.choose_between_found),
            Stage(f"thresholds {number}", Workbench.move_thresholds),
        ]

    def hints(which: int) -> list[Stage]:
        return [Stage(f"hints {which + 1}", partial(Workbench.take_hints, which=which), spreads=True)][
            which >= hinted :
        ]

    table = [
        Stage("start", Workbench.start, Phase.GUESSED),
        *([first] if choices else []),
        Stage("contexts", partial(Workbench.guess, large=False), Phase.GUESSED),
        Stage("constants", Workbench.add_constants, Phase.FITTED, spreads=True),
        Stage("refine 1", partial(Workbench.refine, large=False)),
        *choosing(1),
    ]
    if rounds > 0:
        table += [
            Stage("pursuit", Workbench.pursue),
            *hints(0),  # dearer than all before them
            Stage("mutate 1", Workbench.mutate, spreads=True),
            Stage("constants 1", Workbench.add_constants, Phase.ROUND, spreads=True),
            Stage("refine 2", partial(Workbench.refine, large=False)),
            Stage("constants 2", Workbench.add_constants, spreads=True),
            Stage("mutate 2", Workbench.mutate, spreads=True),
            *choosing(2),  # as dear as all before it: laws without choices are mostly found by now
        ]
    for i in range(3, 3 if small else rounds + 3):
        if i == 4:
            table += [
                *hints(1),
                Stage("contexts, all", partial(Workbench.guess, large=True)),
                Stage("constants, all", Workbench.add_constants, Phase.ROUND, spreads=True, measured=True),
            ]
        table += [
            Stage(f"refine {i}", partial(Workbench.refine, large=i % 2 == 1)),
            Stage(f"constants {i}", Workbench.add_constants, spreads=True),
            Stage(f"mutate {i}", Workbench.mutate, Phase.ROUND, spreads=True, measured=True),
        ]
    if n_outputs == 1:
        return table
    spread = [(stage, Stage(f"share after {stage.name}", Workbench.exchange)) for stage in table]
    return [stage for pair in spread for stage in (pair if pair[0].spreads else pair[:1])]
