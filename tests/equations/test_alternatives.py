"""Equations that the data can't tell apart, and the question that would."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from symtorch.equations import Equation, Front, parse
from symtorch.equations.verdict import Evidence
from symtorch.errors import InputError

NAMES = ("x", "y")
X = np.random.default_rng(0).uniform(-1.0, 2.0, (200, 2))


def law(text: str, loss: float, complexity: int) -> Equation:
    return Equation(parse(text, NAMES), NAMES, complexity, loss)


def front(*laws: Equation, **fields: Any) -> Front:
    return Front(laws, model_selection="accuracy", n_samples=200, **fields)


LAWS = (law("x", 0.5, 1), law("sin(x)", 0.0105, 2), law("x - x^3/6", 0.01, 7))


def test_those_within_the_error_are_alternatives_and_differ_most_at_the_question() -> None:
    found = front(*LAWS).alternatives(X)
    assert [str(eq) for eq in found.others] == ["sin(x)"]
    assert len(found) == 1
    assert found.question is not None
    # sin(x) and its series part ways where |x| is largest.
    assert found.question[0] == pytest.approx(X[:, 0].max(), abs=0.02)
    assert found.values == pytest.approx([found.question[0] - found.question[0] ** 3 / 6, math.sin(found.question[0])])
    assert X.min(axis=0)[1] <= found.question[1] <= X.max(axis=0)[1]


def test_an_answer_names_the_nearest() -> None:
    found = front(*LAWS).alternatives(X)
    assert found.nearest is None
    assert found.question is not None
    assert found.answered(math.sin(found.question[0])).nearest is LAWS[1]
    assert found.answered(found.values[0]).nearest is LAWS[2]
    assert "*" in repr(found.answered(1.0)).splitlines()[2]


def test_without_rows_there_are_others_but_no_question() -> None:
    found = front(*LAWS).alternatives()
    assert len(found) == 1
    assert found.question is None
    assert "pass X" in repr(found)
    with pytest.raises(InputError, match="no question"):
        found.answered(1.0)


def test_what_is_worse_or_the_same_skeleton_is_no_alternative() -> None:
    same = law("-0.17*x^3 + x", 0.0101, 8)
    assert [str(eq) for eq in front(*LAWS[::2]).alternatives(X, also=[same]).others] == []
    assert "no other equation" in repr(front(*LAWS[::2]).alternatives(X))
    assert len(front(*LAWS).alternatives(also=[law("x*y", 0.0101, 3), law("x/y", 1.0, 3)])) == 2


def test_the_blocks_own_error_widens_what_counts_as_good() -> None:
    known = Evidence(noise_floor=0.5, variance=1.0)
    assert len(front(*LAWS, evidence=known).alternatives()) == 2


def test_an_exact_pick_has_exact_alternatives_only() -> None:
    laws = law("x*1.1", 0.3, 1), law("x + y", 1e-30, 3)
    assert len(front(*laws).alternatives(also=[law("exp(log(x)) + y", 1e-31, 6), law("x + 1.001*y", 1e-7, 5)])) == 1


def test_equations_that_are_never_defined_together_leave_no_question() -> None:
    found = front(law("log(x - 9)", 0.011, 2), law("x", 0.01, 3)).alternatives(X)
    assert len(found) == 1
    assert found.question is None


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((5, 3)), np.zeros((0, 2))])
def test_rows_must_have_the_variables(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected"):
        front(*LAWS).alternatives(bad)


def test_it_is_a_table_in_notebooks() -> None:
    page = front(*LAWS).alternatives(X)._repr_html_()
    assert "sin" in page
    assert "differ most" in page
