"""Numbers that steer a stage of the search: one frozen dataclass per stage, replaceable for a measurement.

    with tuned(replace(StructureTuning(), test_rows=480)):
        NativeEngine().search(samples, options)

A stage reads its numbers where it needs them, ``current(StructureTuning).test_rows``. The dataclass's
defaults are what every search uses; each field says what it means and how its value was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

Stage = TypeVar("Stage")

_NONE: Mapping[type, Any] = MappingProxyType({})
_replaced: ContextVar[Mapping[type, Any]] = ContextVar("symtorch_native_tuning", default=_NONE)
_default: Callable[[type], Any] = cache(lambda stage: stage())


def current(stage: type[Stage]) -> Stage:
    """The numbers of a stage that hold here: its defaults, or what :func:`tuned` put in their place."""
    found: Stage = _replaced.get().get(stage) or _default(stage)
    return found


@contextmanager
def tuned(*stages: Any) -> Iterator[None]:
    """Let these numbers hold inside the block, in this thread; searches in other processes keep the defaults."""
    token = _replaced.set({**_replaced.get(), **{type(stage): stage for stage in stages}})
    try:
        yield
    finally:
        _replaced.reset(token)
