"""Time, interruption and news of a search: one method for each."""

from __future__ import annotations

import time
from collections.abc import Callable

_EVERY = 1.0
"""Seconds between two pieces of news."""


class Watch:
    """What a search looks at while it runs.

    Args:
        seconds: wall-clock limit, from now; None for none.
        news: called about every second of the search, between two candidates, to pass on what there is so
            far. KeyboardInterrupt raised in it ends the search: whoever waited for the news has gone.

    >>> Watch(seconds=0.0).out_of_time(), Watch().out_of_time()
    (True, False)
    """

    def __init__(self, seconds: float | None = None, news: Callable[[], None] | None = None) -> None:
        now = time.monotonic()
        self._deadline = None if seconds is None else now + seconds
        self._news = news
        self._last = now

    def out_of_time(self) -> bool:
        """Whether the limit has passed; nothing else happens."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def checkpoint(self) -> bool:
        """To be called between two candidates: news go out if they are due. Whether the limit has passed."""
        if self._news is not None and time.monotonic() - self._last >= _EVERY:
            self._news()
            self._last = time.monotonic()
        return self.out_of_time()

    def share(self, among: int, part: float = 1.0) -> Callable[[], bool]:
        """A checkpoint for one of several that are left to do: also True once its share of the time is spent.

        Args:
            among: how many are left, this one included.
            part: of the time that is left, what they may have together.
        """
        if self._deadline is None:
            return self.checkpoint
        now = time.monotonic()
        end = now + share_of(part * max(0.0, self._deadline - now), among)
        return lambda: self.checkpoint() or time.monotonic() >= end


_LEAST_SHARE = 0.25


def share_of(seconds: float, among: int) -> float:
    """What one of several gets of the time that is left: as much as each other, but never too little for anything.

    What it doesn't use goes to the others. Of a thousand that each had 2 ms nothing would come; so the first few
    get a quarter of a second, and the last ones may go without.

    >>> share_of(20.0, 4), share_of(20.0, 1000), share_of(0.1, 2)
    (5.0, 0.25, 0.1)
    """
    return min(seconds, max(seconds / among, _LEAST_SHARE))
