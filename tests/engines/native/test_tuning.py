"""Numbers that steer a stage can be replaced for a while, and only there."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from symtorch.engines.native.tuning import current, tuned


@dataclass(frozen=True)
class First:
    rows: int = 3


@dataclass(frozen=True)
class Second:
    rows: int = 5


def test_a_stage_has_its_defaults_unless_they_are_replaced() -> None:
    assert current(First) == First()
    with tuned(First(30)):
        assert (current(First).rows, current(Second).rows) == (30, 5)
        with tuned(Second(50)):
            assert (current(First).rows, current(Second).rows) == (30, 50)
        assert current(Second).rows == 5
    assert current(First).rows == 3


def test_defaults_come_back_after_an_error() -> None:
    with pytest.raises(ValueError, match="inside"), tuned(First(30)):
        raise ValueError("inside")
    assert current(First).rows == 3


def test_replaced_numbers_stay_in_their_thread() -> None:
    seen: list[int] = []
    with tuned(First(30)):
        thread = threading.Thread(target=lambda: seen.append(current(First).rows))
        thread.start()
        thread.join()
    assert seen == [3]
