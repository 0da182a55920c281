"""What the stages of the flat search do with rows alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from forms import WIDE, points, read

from symtorch.engines.native.fitting.archive import EXACT
from symtorch.engines.native.flat import workbench
from symtorch.engines.native.flat.bank import Bank
from symtorch.engines.native.flat.contexts import first_guesses
from symtorch.engines.native.flat.tuning import SearchTuning
from symtorch.engines.native.flat.workbench import Budget, Workbench
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.tuning import tuned
from symtorch.equations.expr import Expr

X = points(200)
Y = (X[:, 0] * X[:, 1] + 0.1 * np.random.default_rng(1).normal(size=200))[:, None]
LAW, LONGER = read("x0*x1"), read("1.0123*x0*x1 + 0.00123*sin(3.21*x2)")


def bench(hint: Sequence[Expr], seconds: float | None = 1e6) -> tuple[Workbench, list[int]]:
    """A workbench that knows an equation, one that gives hints, and of which outputs it was asked for them."""
    asked = []

    def hints(output: int, late: Callable[[], bool]) -> Sequence[Expr]:
        asked.append(output)
        return [] if late() else hint

    made = Workbench(X, Y, Vocabulary(WIDE), Budget(patience=1, seconds=seconds), hints=(hints, hints))
    made.offer(0, [read("x0")])
    return made, asked


def test_hints_are_fitted_and_the_first_not_asked_for_again_where_only_noise_is_left() -> None:
    made, asked = bench([LAW, LONGER])
    made.take_hints(0)
    assert asked == [0]
    assert any(candidate.expr == LAW for candidate in made.archives[0].front.values())
    made.take_hints(0)
    assert asked == [0]
    made.take_hints(1)
    assert asked == [0, 0]


def test_a_law_in_noise_is_settled_once_all_beside_it_has_been_tried() -> None:
    made, _ = bench([LAW, LONGER])
    made.take_hints(0)
    made.settle()
    made.refine(large=False)
    made.settle()
    assert made.open == [0]
    made.mutate()
    made.settle()
    assert made.open == []


def test_nothing_is_settled_while_more_than_noise_is_left() -> None:
    made, _ = bench([])
    made.start()
    made.archives[0].mutated.update(made.archives[0].found)
    made.archives[0].expanded.update(made.archives[0].found)
    made.settle()
    assert made.open == [0]


@pytest.mark.parametrize(
    ("hint", "seconds", "goes_on"),
    [([], 1e6, True), ([], None, False), ([LAW, LONGER], 1e6, False)],
    ids=["more than noise is left", "without a limit", "noise is left"],
)
def test_rounds_in_vain_end_a_search_of_rows_alone_at_the_noise_or_without_a_limit(
    hint: Sequence[Expr], seconds: float | None, goes_on: bool
) -> None:
    made, _ = bench(hint, seconds)
    made.take_hints(0)
    for _ in range(4):
        made.measure()
    assert made.open == ([0] if goes_on else [])


@pytest.mark.parametrize("most", [1, 2])
def test_in_a_search_of_many_what_is_known_is_sketched_without_the_grid(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def guesses(bank: Bank, y: np.ndarray, *rest: Any) -> list[Expr]:
        drawn.append(rest[-1])
        return first_guesses(bank, y, *rest)

    monkeypatch.setattr(workbench, "first_guesses", guesses)
    two = np.column_stack([1.7 * X[:, 0] * np.sin(1.3 * X[:, 1]) + 0.31 * X[:, 2] / 3, Y])
    with tuned(SearchTuning(sketched_in_full=most)):
        made = Workbench(X, two, Vocabulary(WIDE), Budget())
    made.offer(0, [read("1.7*x0*sin(1.3*x1) + 0.1033*x2")])
    made.sketch()
    assert 0.0 < made.archives[0].best < EXACT
    assert drawn == [most == 2, True]
