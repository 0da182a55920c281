"""Answers of a teacher that outputs share."""

from __future__ import annotations

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
