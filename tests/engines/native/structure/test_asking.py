"""When the flat search may leave an output as it is."""

from __future__ import annotations

import numpy as np
import pytest
from structures import OPTIONS, box

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.flat.search import Budget, FlatSearch, Phase
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.asking import ask_teacher, evidence_of, law_found, those_that_hold
from symtorch.engines.native.structure.decompose import Laws
from symtorch.engines.samples import Asking, Samples
from symtorch.equations.expr import Expr, evaluate
from symtorch.equations.parser import parse


def archive_of(*exprs: str) -> tuple[Archive, list[Expr]]:
    """The archive of a search for ``x0 + 0.01*sin(9*x0)`` that knows these expressions."""
    X = box(1)
    y = X[:, 0] + 0.01 * np.sin(9 * X[:, 0])
    search = FlatSearch(X, y[:, None], Vocabulary(OPTIONS), Budget())
    parsed = [parse(text, ["x0"]) for text in exprs]
    search.offer(0, parsed)
    return search.archives[0], parsed


def laws(exprs: list[Expr], solved: bool, loss: float, floor: float, error: float, witnessed: float = np.inf) -> Laws:
    return Laws(exprs, solved, loss, floor, 0, error, witnessed)


def test_a_law_that_was_found_ends_the_search_only_if_the_archive_is_as_good() -> None:
    archive, exprs = archive_of("x0")
    assert law_found([laws(exprs, True, archive.best, 1e-5, 1e-4)])(0, archive, Phase.OFFERED)
    assert not law_found([laws(exprs, False, archive.best, 1e-5, 1e-4)])(0, archive, Phase.OFFERED)
    assert not law_found([laws(exprs, True, archive.best / 10, 1e-5, 1e-4)])(0, archive, Phase.OFFERED)
    assert not law_found([None])(0, archive, Phase.OFFERED)


def test_a_law_that_may_be_an_approximation_ends_the_search_of_an_exact_teacher_alone() -> None:
    archive, exprs = archive_of("0.3333*x0^2 + 0.4444", "1.777*exp(0.3333*x0) - 1.666")
    assert not law_found([laws(exprs, True, archive.best, 1e-5, 1e-4)])(0, archive, Phase.OFFERED)
    assert law_found([laws(exprs, True, archive.best, 1e-20, 0.0)])(0, archive, Phase.OFFERED)


@pytest.mark.parametrize(("error", "ends"), [(1e-4, True), (1e-6, False)])
def test_a_front_ends_the_search_only_near_what_the_steps_see_of_the_error(error: float, ends: bool) -> None:
    """Nothing dearer on the front is better; whether that is a law depends on what the teacher errs."""
    archive, exprs = archive_of("x0")
    assert 1e-4 < archive.best < 3e-4
    found = law_found([laws(exprs, False, archive.best, error / 10, error)])
    assert found(0, archive, Phase.ROUND) is ends
    assert not found(0, archive, Phase.SEARCHED)


def test_where_steps_testify_that_the_teacher_is_better_rounds_go_on_while_they_pay() -> None:
    archive, exprs = archive_of("x0")
    found = law_found([laws(exprs, False, archive.best, 1e-5, 1e-4, witnessed=archive.best / 10)])
    assert not found(0, archive, Phase.ROUND)
    assert found(0, archive, Phase.ROUND)  # a round later nothing better has been found
    near = law_found([laws(exprs, False, archive.best, 1e-5, 1e-4, witnessed=archive.best / 2)])
    assert near(0, archive, Phase.ROUND)


@pytest.mark.parametrize(("left", "ends"), [("0.05*(x0 - 2)*(x1 - 2)", False), ("0.05*sin(17*x0 + 13*x1)", True)])
def test_a_front_ends_no_search_while_what_it_leaves_is_smooth(left: str, ends: bool) -> None:
    X = box(2)
    y = evaluate(parse(f"x0^2 + {left}", ["x0", "x1"]), X)
    search = FlatSearch(X, y[:, None], Vocabulary(OPTIONS), Budget())
    search.offer(0, exprs := [parse("x0^2", ["x0", "x1"])])
    archive = search.archives[0]
    found = law_found([laws(exprs, False, archive.best, archive.best, archive.best)])
    assert found(0, archive, Phase.ROUND) is ends


@pytest.mark.parametrize("limit", [100, 500, 3000])
def test_a_limit_is_divided_between_what_is_compared_and_the_outputs(limit: int) -> None:
    asked = []

    def teacher(X: np.ndarray) -> np.ndarray:
        asked.append(len(X))
        return np.stack([X[:, 0] * np.sin(X[:, 1]), X[:, 0] / X[:, 1], np.exp(X[:, 0] * X[:, 1])], axis=1)

    X = box(2)
    samples = Samples(X, teacher(X), teacher=teacher, asking=Asking(limit))
    asked.clear()
    search = FlatSearch(X, samples.Y, Vocabulary(OPTIONS), Budget())
    found = ask_teacher(search, samples, range(3), OPTIONS, 0, partial=False)
    assert sum(asked) <= limit
    if limit == 100:
        assert found == [None] * 3
        assert not asked
    else:
        rows = [laws.rows_asked for laws in found if laws is not None]
        assert len(rows) == 3
        assert max(rows) <= limit / 2


def test_evidence_tells_what_the_laws_say_of_the_teacher() -> None:
    exact = Laws([], True, 0.0, 1e-31, 1000)
    rough = Laws([], False, 1e-3, 1e-6, 500, error=1e-4)
    unknown = Laws([], False, 1.0, np.inf, 40)
    found = evidence_of([exact, rough, unknown, None], 1540 + 258)
    assert [e.noise_floor for e in found] == [1e-31, 1e-4, None, None]
    assert [e.confirmed for e in found] == [True, False, False, None]
    assert [e.rows_asked for e in found] == [1065, 565, 104, 64]
    assert [e.law for e in found] == [0.0, None, None, None]


def test_that_a_teacher_obeys_an_identity_to_the_last_digit_says_not_that_it_is_exact() -> None:
    unsolved = Laws([], False, 1e-3, 1e-31, 500)
    assert evidence_of([unsolved], 500)[0].noise_floor is None


def test_what_is_exact_where_it_was_asked_and_not_on_the_rows_is_no_law() -> None:
    X = box(1)
    samples = Samples(X, np.where(X > 2.99, X, 1.0))
    flat = Laws([parse("1", ["x0"])], True, 0.0, 1e-31, 100)
    (kept,) = those_that_hold([flat], samples)
    assert kept is not None
    assert not kept.solved
    assert evidence_of([kept], 100)[0].noise_floor is None
    step = Laws([parse("cond(x0 - 2.99, x0 - 1) + 1", ["x0"])], True, 0.0, 1e-31, 100)
    rough = Laws([parse("1", ["x0"])], True, 1e-3, 1e-4, 100)
    assert those_that_hold([step], samples) == [step]
    assert those_that_hold([rough], samples) == [rough]
    assert those_that_hold([None], samples) == [None]
