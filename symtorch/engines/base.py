"""What a search engine is, and what it reports while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.front import Front


@dataclass(frozen=True)
class Progress:
    """One report of a running search.

    Attributes:
        stage: what has just been done ("bank", "refine 2").
        output: index of the output that it was for, or None for all.
        done, total: how far the search is, in steps of its budget; it may stop earlier.
        losses: best loss so far of each output, as 1 - R² on the search's rows; NaN where none yet.
        fronts: makes the fronts found so far; call it only when they are wanted, it costs a little.
        finished: indices of the outputs whose search is over.
    """

    stage: str
    output: int | None
    done: int
    total: int
    losses: tuple[float, ...]
    fronts: Callable[[], list[Front]] = field(repr=False)
    finished: tuple[int, ...] = ()


ProgressCallback = Callable[[Progress], None]


@runtime_checkable
class Engine(Protocol):
    """Anything that finds equations.

    An engine honours every option or raises OptionError before it starts, naming the option and an
    engine that can. It obeys the search space for every equation that it returns, takes all its
    randomness from ``options.random_state``, stops at ``options.timeout_in_seconds`` and on
    KeyboardInterrupt with what it has found so far, and says so in ``Front.stop_reason``.

    What an engine may have beside this: ``check(options)``, which raises before there is data;
    ``bind(fit_params=..., save_path=...)``, which returns the engine with fit parameters of its own or a
    folder for its own files; ``takes_guesses = True`` where it starts from ``options.guesses``, so that an
    interrupted search can go on; ``availability()``.
    """

    @property
    def name(self) -> str:
        """What it is called, in logs and in the fronts that it finds."""
        ...

    def search(self, samples: Samples, options: SearchOptions, progress: ProgressCallback | None = None) -> list[Front]:
        """One front per output of the samples, in their order."""
        ...


@dataclass(frozen=True)
class Availability:
    """Whether an engine can run on this machine.

    Attributes:
        available: a search with it would start at once.
        reason: one sentence, what there is or what is missing.
    """

    available: bool
    reason: str
