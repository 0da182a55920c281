"""Time shared out among several."""

from __future__ import annotations

import pytest

from symtorch.engines.native.flat import watch
from symtorch.engines.native.flat.watch import Watch, share_of


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    return now


def test_each_gets_its_share_and_what_others_leave_over(clock: list[float]) -> None:
    limit = Watch(8.0)
    first = limit.share(4)
    clock[0] = 1.9
    assert not first()
    clock[0] = 2.0
    assert first()
    clock[0] = 2.5  # overdrawn: the others have 5.5 left
    second = limit.share(3)
    clock[0] = 2.6  # ends early: the last two have 2.7 each
    third = limit.share(2)
    clock[0] = 5.2
    assert second()
    assert not third()


def test_nobody_goes_beyond_the_limit(clock: list[float]) -> None:
    limit = Watch(0.1)
    only = limit.share(1000)
    clock[0] = 0.1
    assert only()


def test_without_a_limit_nothing_ends(clock: list[float]) -> None:
    stop = Watch().share(3)
    clock[0] = 1e9
    assert not stop()


def test_too_little_for_anything_is_nobodys_share() -> None:
    assert share_of(20.0, 1000) == share_of(1.0, 1000) > 0.1
