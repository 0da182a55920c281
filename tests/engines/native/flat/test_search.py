"""The flat search as a whole: what it finds, and when it ends."""

from __future__ import annotations

from collections import Counter

import numpy as np
from forms import WIDE, points

from symtorch.engines.native import Budget, FlatSearch, Vocabulary, search_flat
from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.flat.schedule import Phase
from symtorch.engines.options import SearchOptions


def noise(n: int = 200) -> np.ndarray:
    """(n, 2) targets that no short equation explains."""
    return np.random.default_rng(1).normal(size=(n, 2))


def test_flat_search_alone() -> None:
    X = points(300)
    Y = np.column_stack([X[:, 0] * X[:, 1], np.sin(X[:, 2]) + X[:, 0]])
    archives = search_flat(X, Y, Vocabulary(WIDE), Budget(rounds=1), seed=0)
    assert [a.is_exact for a in archives] == [True, True]


def test_an_output_that_is_said_to_be_good_enough_is_left_and_the_other_goes_on() -> None:
    asked: list[tuple[int, Phase]] = []
    at_the_end: list[set[int]] = []

    def enough(output: int, archive: Archive, phase: Phase) -> bool:
        asked.append((output, phase))
        return output == 0 and phase >= Phase.GUESSED

    search = FlatSearch(points(200), noise(), Vocabulary(WIDE), Budget(rounds=0), report=lambda *_: seen())

    def seen() -> None:
        at_the_end.append(set(search.open))

    search.run(enough)
    assert at_the_end == [{1}] * len(at_the_end)
    assert Counter(output for output, _ in asked) == {0: 2, 1: 1 + len(at_the_end)}
    assert asked[:2] == [(0, Phase.OFFERED), (1, Phase.OFFERED)]
    assert search.stop_reason == "budget"


def test_a_search_that_may_end_before_it_begins_does_nothing() -> None:
    search = FlatSearch(points(200), noise(), Vocabulary(WIDE), Budget(rounds=1))
    search.run(lambda output, archive, phase: True)
    assert search.stop_reason == "converged"
    assert all(not archive.front for archive in search.archives)


def test_a_sketch_is_made_of_what_is_solved_too() -> None:
    X = points(200)
    y = (np.exp(X[:, 0]) * X[:, 1])[:, None]
    search = FlatSearch(X, y, Vocabulary(WIDE), Budget(rounds=0, goal=1e9))
    (archive,) = search.run()
    assert search.stop_reason == "early_stop_condition"  # with the first stage, since anything is good enough
    before = len(archive.pareto())
    search.sketch()
    assert len(archive.pareto()) > before


def test_an_interrupt_keeps_what_there_is() -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    search = FlatSearch(points(200), noise(), Vocabulary(WIDE), Budget(rounds=1), report=interrupt)
    assert all(archive.front for archive in search.run())
    assert search.stop_reason == "interrupted"


def test_a_search_without_time_ends_at_its_first_look_at_the_clock() -> None:
    search = FlatSearch(points(200), noise(), Vocabulary(WIDE), Budget(rounds=1, seconds=0.0))
    search.run()
    assert search.stop_reason == "timeout"


def test_an_output_whose_front_does_not_move_is_given_up() -> None:
    words = Vocabulary(SearchOptions.from_params({"binary_operators": ["+", "*"], "unary_operators": [], "maxsize": 7}))
    n_stages: dict[int, int] = {}
    for patience in (1, 3):
        stages: list[str] = []
        search = FlatSearch(
            points(60)[:, :2],
            noise(60)[:, :1],
            words,
            Budget(rounds=60, patience=patience),
            report=lambda name, done, total, stages=stages: stages.append(name),
        )
        search.run()
        assert search.stop_reason == "converged"
        n_stages[patience] = len(stages)
    assert n_stages[1] < n_stages[3] < 60
