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
