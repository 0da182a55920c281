"""Answers of a teacher that several outputs share: it gives all at once, and many questions are the same."""

from __future__ import annotations

from collections import Counter, OrderedDict

import numpy as np

from symtorch.engines.samples import Teacher

_ROOM = 1 << 24
"""Numbers, in questions and answers, that are kept: 128 MB."""

_Question = tuple[bytes, int]
"""What is asked, and how often it was asked before for the same output."""


class Answers:
    """A teacher that is not asked again for one output what it was asked for another.

    Where there is no more room, a question takes the place of what neither its output nor the one before has asked
    for; where there is no such thing, the first stay, for these are the ones of every output.

    >>> asked = Answers(lambda X: 2 * X)
    >>> for _ in range(2):
    ...     asked.next_output()
    ...     print(asked(np.ones((3, 1))).sum(), asked.rows)
    6.0 3
    6.0 0

    Args:
        teacher: gives the answers.
        steady: whether it is known to give the same answer to the same question. Else what is asked for twice for one
            output goes to it twice: whether its answers agree tells how exact it is.

    Attributes:
        rows: that the teacher itself was asked for, for this output.
    """

    def __init__(self, teacher: Teacher, steady: bool = False) -> None:
        self._teacher = teacher
        self._steady = steady
        self._known: OrderedDict[_Question, tuple[int, np.ndarray]] = OrderedDict()  # with the last output that asked
        self._times: Counter[bytes] = Counter()
        self._output = 0
        self._room = _ROOM
        self.rows = 0

    def next_output(self) -> None:
        """The questions from here on are about another output."""
        self._times.clear()
        self._output += 1
        self.rows = 0

    def __call__(self, X: np.ndarray) -> np.ndarray:
        question = X.tobytes()
        again = question, 0 if self._steady else self._times[question]
        self._times[question] += 1
        if again in self._known:
            answer = self._known[again][1]
            self._keep(again, answer)
            return answer
        self.rows += len(X)
        answer = np.asarray(self._teacher(X), dtype=np.float64)
        self._room -= self._size(again, answer)
        while self._room < 0 and self._known and next(iter(self._known.values()))[0] < self._output - 1:
            forgotten, (_, of_it) = self._known.popitem(last=False)
            self._room += self._size(forgotten, of_it)
        if self._room >= 0:
            self._keep(again, answer)
        else:
            self._room += self._size(again, answer)
        return answer

    def _keep(self, question: _Question, answer: np.ndarray) -> None:
        self._known[question] = self._output, answer
        self._known.move_to_end(question)

    @staticmethod
    def _size(question: _Question, answer: np.ndarray) -> int:
        return len(question[0]) // answer.itemsize + answer.size
