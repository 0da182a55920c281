"""Which search engines there are, and which one is taken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symtorch.engines.base import Availability, Engine, ProgressCallback
from symtorch.engines.options import SearchOptions, declare
from symtorch.engines.pysr.signature import PARAMETERS
from symtorch.engines.samples import Samples
from symtorch.equations.front import Front
from symtorch.errors import InputError

declare(PARAMETERS)  # options speak PySR's language, whichever engine is asked


def _native() -> Engine:
    from symtorch.engines.native import NativeEngine

    return NativeEngine()


def _pysr() -> Engine:
    from symtorch.engines.pysr import PySREngine

    return PySREngine()


_REGISTRY: dict[str, Callable[[], Any]] = {"native": _native, "pysr": _pysr}


def register(name: str, factory: Callable[[], Any]) -> None:
    """Make an engine of your own available as ``engine=name``.

    Args:
        name: any but "auto".
        factory: makes the engine; the class itself will do.
    """
    if name == "auto":
        raise InputError("'auto' names the choice between engines; register yours under another name.")
    _REGISTRY[name] = factory


def status() -> dict[str, Availability]:
    """What engines there are by name, which of them can run here, and why the others can't.

    Starts nothing and downloads nothing.
    """
    found: dict[str, Availability] = {}
    for name, factory in _REGISTRY.items():
        try:
            engine = _as_engine(factory())
        except Exception as error:
            found[name] = Availability(False, f"it can't be made: {error!r}")
            continue
        found[name] = engine.availability()
    return found


def resolve(engine: Any) -> Engine:
    """The engine that is meant: by a registered name, by ``"auto"``, or by an object that is one.

    ``"auto"`` takes PySR where its Julia side is installed and resolved, else the native engine.

    Raises:
        InputError: a name that is not registered, or an object without a name and a search.
    """
    if not isinstance(engine, str):
        return _as_engine(engine)
    if engine == "auto":
        from symtorch.engines.pysr import is_ready

        engine = "pysr" if is_ready() else "native"
    if engine not in _REGISTRY:
        raise InputError(
            f"engine {engine!r} is not known; there are 'auto', {', '.join(map(repr, _REGISTRY))}. "
            f"Add your own with symtorch.engines.register."
        )
    return _as_engine(_REGISTRY[engine]())


def _as_engine(engine: Any) -> Engine:
    if isinstance(engine, Engine):
        return engine
    if type(engine).__name__ == "PySRRegressor":
        from symtorch.engines.pysr import PySREngine

        return PySREngine.from_regressor(engine)
    if isinstance(engine, type):
        raise InputError(f"engine is the class {engine.__name__}; pass an object of it, {engine.__name__}().")
    if hasattr(engine, "name") and callable(getattr(engine, "search", None)):
        return Adapter(engine)
    raise InputError(
        f"engine is a {type(engine).__name__}; expected a name, or an object with a `name` and a "
        f"method search(samples, options, progress) -> list[Front]."
    )


@dataclass(frozen=True)
class Adapter(Engine):
    """An object that is no Engine but has a name and a search, with whatever else of an Engine it has."""

    engine: Any

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def takes_guesses(self) -> bool:
        return bool(self._own("takes_guesses", False))

    @property
    def takes_gradients(self) -> bool:
        return bool(self._own("takes_gradients", False))

    @property
    def parameters(self) -> Collection[str]:
        return self._own("parameters", ())

    def search(self, samples: Samples, options: SearchOptions, progress: ProgressCallback | None = None) -> list[Front]:
        return self.engine.search(samples, options, progress)

    def check(self, options: SearchOptions) -> None:
        self._own("check", lambda options: None)(options)  # it may take whatever it likes

    def bind(self, fit_params: Mapping[str, Any] | None = None, save_path: str | Path | None = None) -> Engine:
        own = self._own("bind", None)
        if own is None:
            return super().bind(fit_params, save_path)
        given = {"fit_params": fit_params, "save_path": save_path}
        return Adapter(own(**{key: value for key, value in given.items() if value is not None}))

    def availability(self) -> Availability:
        return self._own("availability", super().availability)()

    def _own(self, name: str, default: Any) -> Any:
        return getattr(self.engine, name, default)
