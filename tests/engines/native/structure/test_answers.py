"""Answers of a teacher that outputs share."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from structures import OPTIONS, box

from symtorch.engines.native.flat.search import Budget, FlatSearch
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure import answers
from symtorch.engines.native.structure.answers import Answers
from symtorch.engines.native.structure.asking import ask_teacher
from symtorch.engines.samples import Samples


class Asked:
    """Two laws, and the rows that they were asked for."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, X: np.ndarray) -> np.ndarray:
        self.rows += len(X)
        return np.stack([X[:, 0] * np.sin(X[:, 1])] * 2, axis=1)


def test_a_question_is_put_as_often_as_one_output_asks_it() -> None:
    teacher = Asked()
    shared, X = Answers(teacher), box(2)[:10]
    rows = []
    for times in (2, 2, 3):
        shared.next_output()
        for _ in range(times):
            np.testing.assert_array_equal(shared(X), np.stack([X[:, 0] * np.sin(X[:, 1])] * 2, axis=1))
        rows.append(shared.rows)
    assert rows == [20, 0, 10]
    assert teacher.rows == 30


def test_what_there_is_no_room_for_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_ROOM", 45)  # of one question: ten rows of two inputs and two outputs
    teacher = Asked()
    shared, X = Answers(teacher), box(2)
    for _ in range(2):
        shared.next_output()
        shared(X[:10])
        shared(X[10:20])
    assert teacher.rows == 30


def test_of_a_steady_teacher_no_question_is_put_twice() -> None:
    shared, X = Answers(Asked(), steady=True), box(2)[:10]
    rows = []
    for times in (2, 3):
        shared.next_output()
        for _ in range(times):
            shared(X)
        rows.append(shared.rows)
    assert rows == [10, 0]


def test_what_the_last_two_outputs_have_not_asked_for_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_ROOM", 45)
    shared, X = Answers(Asked()), box(2)
    rows = []
    for question in (X[:10], X[10:20], X[10:20], X[10:20], X[:10]):
        shared.next_output()
        shared(question)
        rows.append(shared.rows)
    assert rows == [10, 10, 10, 0, 10]


def of_four(X: np.ndarray) -> np.ndarray:
    a, b, c, d = X.T
    return np.stack([a * np.sin(b), b * np.cos(c), c * np.sin(d), a * np.sin(b)], axis=1)


def test_outputs_of_the_same_inputs_are_asked_for_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_ROOM", 100_000)  # for what an output asks
    X = box(4)
    samples = Samples(X, of_four(X), teacher=of_four)
    search = FlatSearch(X, samples.Y, Vocabulary(OPTIONS), Budget())
    found = ask_teacher(search, samples, range(4), OPTIONS, 0, partial=False)
    assert [laws is not None and laws.solved for laws in found] == [True] * 4
    assert found[0] is not None
    assert found[3] is not None
    assert found[3].rows_asked == 0 < found[0].rows_asked


@pytest.mark.parametrize(("noise", "again"), [(0.0, 1), (1e-9, 2)])
def test_only_a_teacher_that_is_not_steady_is_asked_again(noise: float, again: int) -> None:
    rng, questions = np.random.default_rng(0), Counter[bytes]()

    def teacher(X: np.ndarray) -> np.ndarray:
        questions[X.tobytes()] += 1
        return of_four(X) * (1 + noise * rng.normal(size=(len(X), 4)))

    X = box(4)
    samples = Samples(X, of_four(X), teacher=teacher)
    ask_teacher(FlatSearch(X, samples.Y, Vocabulary(OPTIONS), Budget()), samples, range(1), OPTIONS, 0, partial=False)
    times = sorted(questions.values(), reverse=True)
    assert times[0] >= 2  # whether it is steady
    assert (times[1] >= 2) == (again == 2)


def test_of_two_outputs_that_are_the_same_the_second_costs_no_question() -> None:
    X, teacher = box(2), Asked()
    samples = Samples(X, teacher(X), teacher=teacher)
    teacher.rows = 0
    search = FlatSearch(X, samples.Y, Vocabulary(OPTIONS), Budget())
    first, second = ask_teacher(search, samples, range(2), OPTIONS, 0, partial=False)
    assert first is not None
    assert second is not None
    assert first.solved
    assert second.exprs == first.exprs
    assert second.rows_asked == 0
    assert 0 < first.rows_asked <= teacher.rows
