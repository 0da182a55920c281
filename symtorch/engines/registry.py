"""Which search engines there are, and which one is taken."""

from __future__ import annotations

from collections.abc import Callable

from symtorch.engines.base import Availability, Engine
from symtorch.errors import InputError


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
