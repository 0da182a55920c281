"""Time, interruption and news."""

from __future__ import annotations

import pytest

from symtorch.engines.native.flat import watch
from symtorch.engines.native.flat.watch import Watch


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watch, "time", clock)
    return clock


def test_looking_at_the_clock_does_nothing_else(clock: Clock) -> None:
    def news() -> None:
        raise AssertionError

    look = Watch(5.0, news)
    clock.now += 4.0
    assert not look.out_of_time()
    clock.now += 2.0
    assert look.out_of_time()


def test_news_go_out_at_checkpoints_once_they_are_due(clock: Clock) -> None:
    sent: list[float] = []
    look = Watch(None, lambda: sent.append(clock.now))
    for _ in range(10):
        clock.now += 0.4
        assert not look.checkpoint()
    assert sent == pytest.approx([101.2, 102.4, 103.6])


def test_whoever_takes_the_news_may_end_the_search(clock: Clock) -> None:
    def gone() -> None:
        raise KeyboardInterrupt

    look = Watch(None, gone)
    look.checkpoint()
    clock.now += 1.5
    with pytest.raises(KeyboardInterrupt):
        look.checkpoint()
