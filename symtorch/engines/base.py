"""What a search engine is, which there are, and which one is taken."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from symtorch.equations.front import Front
from symtorch.errors import InputError
from symtorch.options import SearchOptions
from symtorch.samples import Samples

logger = logging.getLogger("symtorch.engines")


@dataclass(frozen=True)
class Progress:
    """One report of a running search.

    Attributes:
        stage: what has just been done ("bank", "refine 2").
        output: index of the output that it was for, or None for all.
        done, total: how far the search is, in steps of its budget; it may stop earlier.
        losses: best loss so far of each output, as 1 - R² on the search's rows; NaN where none yet.
        fronts: makes the fronts found so far; call it only when they are wanted, it costs a little.
    """

    stage: str
    output: int | None
    done: int
    total: int
    losses: tuple[float, ...]
    fronts: Callable[[], list[Front]] = field(repr=False)


ProgressCallback = Callable[[Progress], None]


@runtime_checkable
class Engine(Protocol):
    """Anything that finds equations.

    An engine honours every option or raises OptionError before it starts, naming the option and an
    engine that can. It obeys the search space for every equation that it returns, takes all its
    randomness from ``options.random_state``, stops at ``options.timeout_in_seconds`` and on
    KeyboardInterrupt with what it has found so far, and says so in ``Front.stop_reason``.
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


def _native() -> Engine:
    from symtorch.engines.native import NativeEngine

    return NativeEngine()


def _pysr() -> Engine:
    from symtorch.engines.pysr import PySREngine

    return PySREngine()


_REGISTRY: dict[str, Callable[[], Engine]] = {"native": _native, "pysr": _pysr}


def register(name: str, factory: Callable[[], Engine]) -> None:
    """Make an engine of your own available as ``engine=name``."""
    if name == "auto":
        raise InputError("'auto' names the choice between engines; register yours under another name.")
    _REGISTRY[name] = factory


def status() -> dict[str, Availability]:
    """What engines there are by name, which of them can run here, and why the others can't.

    Starts nothing and downloads nothing. An engine of your own may have a method ``availability()``
    that returns an :class:`Availability`.
    """
    found: dict[str, Availability] = {}
    for name, factory in _REGISTRY.items():
        try:
            engine = factory()
        except Exception as error:
            found[name] = Availability(False, f"it can't be made: {error!r}")
            continue
        ask = getattr(engine, "availability", None)
        found[name] = ask() if ask is not None else Availability(True, "part of this installation.")
    return found


def resolve(engine: str | Engine) -> Engine:
    """The engine that ``engine`` means: a registered name, ``"auto"``, or an object that is one.

    ``"auto"`` takes PySR where its Julia side is installed and resolved, else the native engine.
    """
    if isinstance(engine, str):
        if engine == "auto":
            from symtorch.engines.pysr import is_ready

            engine = "pysr" if is_ready() else "native"
        if engine not in _REGISTRY:
            raise InputError(
                f"engine {engine!r} is not known; there are 'auto', {', '.join(map(repr, _REGISTRY))}. "
                f"Add your own with symtorch.engines.register."
            )
        return _REGISTRY[engine]()
    if isinstance(engine, Engine):
        return engine
    if type(engine).__name__ == "PySRRegressor":
        from symtorch.engines.pysr import PySREngine

        return PySREngine.from_regressor(engine)
    raise InputError(
        f"engine is a {type(engine).__name__}; expected a name, or an object with a `name` and a "
        f"method search(samples, options, progress) -> list[Front]."
    )
