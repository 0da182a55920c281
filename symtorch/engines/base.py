"""What a search engine is, and what it reports while it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.front import Front
from symtorch.errors import InputError, OptionError


@dataclass(frozen=True)
class Progress:
    """One report of a running search.

    Attributes:
        stage: what has just been done ("bank", "refine 2").
        done, total: how far the search is, in steps of its budget; it may stop earlier.
        losses: best loss so far of each output, as 1 - R² on the search's rows; NaN where none yet.
        fronts: makes the fronts found so far; call it only when they are wanted, it costs a little.
        finished: indices of the outputs whose search is over.
    """

    stage: str
    done: int
    total: int
    losses: tuple[float, ...]
    fronts: Callable[[], list[Front]] = field(repr=False)
    finished: tuple[int, ...] = ()


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True)
class Availability:
    """Whether an engine can run on this machine.

    Attributes:
        available: a search with it would start at once.
        reason: one sentence, what there is or what is missing.
    """

    available: bool
    reason: str


class Engine(ABC):
    """Anything that finds equations. A class of your own needs a name and a search; the rest has defaults.

    An engine honours every option or raises OptionError before it starts, naming the option and itself.
    It obeys the search space for every equation that it returns, takes all its randomness from
    ``options.random_state``, stops at ``options.timeout_in_seconds`` and on KeyboardInterrupt with what
    it has found so far, and says so in ``Front.stop_reason``. :class:`symtorch.testing.EngineContract`
    has all of this as tests to inherit.

    >>> from symtorch.equations import Equation, parse
    >>> class Mean(Engine):
    ...     name = "mean"
    ...
    ...     def search(self, samples, options, progress=None):
    ...         fronts = []
    ...         for y in samples.Y.T:
    ...             expr = parse(repr(float(y.mean())), samples.variable_names)
    ...             equation = Equation(expr, samples.variable_names, options.complexity(expr), float(y.var()))
    ...             fronts.append(Front((equation,), engine=self.name, stop_reason="converged"))
    ...         return fronts
    >>> import numpy as np
    >>> from symtorch import SymbolicModel
    >>> block = SymbolicModel(lambda x: x % 2, "parity")
    >>> print(block.distill(np.arange(80.0)[:, None], engine=Mean(), held_out=0)[0].best)
    0.5
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called, in logs and in the fronts that it finds."""

    @property
    def takes_guesses(self) -> bool:
        """Whether it starts from ``options.guesses``, so that an interrupted search can go on."""
        return False

    @property
    def takes_gradients(self) -> bool:
        """Whether it fits to derivatives of the outputs beside their values, where the samples have them."""
        return False

    @property
    def parameters(self) -> Collection[str]:
        """Search options that it takes beside the fields of SearchOptions; they come in ``options.extra``."""
        return ()

    @abstractmethod
    def search(self, samples: Samples, options: SearchOptions, progress: ProgressCallback | None = None) -> list[Front]:
        """One front per output of the samples, in their order."""

    def check(self, options: SearchOptions) -> None:
        """Raise for whatever can be known to be wrong before there is data.

        Raises:
            OptionError: an option that this engine can't honour; names it and the engine.
        """
        for name in options.extra:
            if name not in self.parameters:
                known = f"it takes {', '.join(sorted(self.parameters))}" if self.parameters else "it takes none"
                raise OptionError(
                    f"engine {self.name!r} does not know search option {name!r}: beside the common ones {known}. "
                    f'engine="pysr" takes all of PySR\'s.'
                )

    def bind(self, fit_params: Mapping[str, Any] | None = None, save_path: str | Path | None = None) -> Engine:
        """This engine with fit parameters of its own and a folder for its own files; it itself stays as it is.

        Args:
            fit_params: what it alone understands of the fit parameters (PySR: X_units, y_units, ...).
            save_path: None to leave the folder as it is.

        Raises:
            InputError: fit parameters that it does not know.
        """
        if fit_params:
            raise InputError(
                f"fit_params {list(fit_params)} are not known to engine {self.name!r}; expected 'variable_names', "
                f"'weights' and 'gradients'. engine='pysr' takes all of PySR's."
            )
        return self

    def availability(self) -> Availability:
        """Whether it can run on this machine; starts nothing and downloads nothing."""
        return Availability(True, "part of this installation.")

    def keep(self, fronts: Mapping[int, Front]) -> None:
        """Take the fronts at the end of a request, by output of the block and judged; for one with files of its own."""
        return
