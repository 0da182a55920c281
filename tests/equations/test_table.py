"""What the rows of the operator table say is so."""

import math
import re
from typing import Any

import numpy as np
import pytest

from symtorch.equations.expr import Operator
from symtorch.equations.operators import ALIASES, OPERATORS
from symtorch.equations.table import ROWS, WORDS

FACTS = [pytest.param(OPERATORS[row.name], id=row.name) for row in ROWS]
X = np.random.default_rng(0).uniform(-4.0, 4.0, 200)
BELOW_ONE = np.random.default_rng(1).uniform(-0.95, 0.95, 200)


def those(has: Any) -> Any:
    return pytest.mark.parametrize("op", [op for op in FACTS if has(op.values[0].row)])


def value(op: Operator, x: Any) -> Any:
    with np.errstate(all="ignore"):
        return op.numpy(x)


@those(lambda row: row.arity == 1)
def test_parity_is_what_the_values_have(op: Operator) -> None:
    forth, back = (value(op, sign * np.concatenate([X, BELOW_ONE])) for sign in (1.0, -1.0))
    even, odd = (np.allclose(forth, sign * back, rtol=1e-12, equal_nan=True) for sign in (1.0, -1.0))
    assert (even, odd) == (op.row.parity == 1, op.row.parity == -1)


@those(lambda row: row.period)
def test_a_period_is_the_least_one(op: Operator) -> None:
    np.testing.assert_allclose(value(op, X + op.row.period), value(op, X), rtol=1e-9, atol=1e-12)
    for part in (2, 3, 5):
        assert not np.allclose(value(op, X + op.row.period / part), value(op, X), rtol=1e-3)


@those(lambda row: row.cofunction)
def test_a_cofunction_is_a_quarter_of_the_period_away(op: Operator) -> None:
    moved = value(op, X + op.row.period / 4)
    np.testing.assert_allclose(moved, value(OPERATORS[op.row.cofunction], X), rtol=1e-9, atol=1e-12)


@those(lambda row: row.inverse)
def test_an_inverse_gives_arguments_that_have_the_value(op: Operator) -> None:
    y = value(op, BELOW_ONE if op.row.domain or op.row.name == "tan" else 0.9 * X)
    y = y[np.isfinite(y)]
    assert len(y) > 50
    for x in op.inverse(y):
        np.testing.assert_allclose(value(op, x), y, rtol=1e-6)
    assert op.partials is not None
    assert len(op.inverse(y)) == op.row.inverse.count(";") + 1


@those(lambda row: row.inverse and not row.period)
def test_what_is_said_of_values_holds(op: Operator) -> None:
    y = value(op, np.concatenate([X, BELOW_ONE, [-1e6, 1e6]]))
    y = y[~np.isnan(y)]
    assert (y.min() >= 0.0) == op.row.positive
    assert (np.abs(y).max() < 30.0) == op.row.flattens  # not even a million leads far


@those(lambda row: row.power is not None)
def test_a_power_is_that_power(op: Operator) -> None:
    np.testing.assert_allclose(value(op, np.abs(X)), np.abs(X) ** op.row.power, rtol=1e-12)


@those(lambda row: row.bell)
def test_a_bell_falls_to_nothing_on_both_sides(op: Operator) -> None:
    bell = value(op, -np.square([-30.0, -1.0, 0.0, 1.0, 30.0]))
    assert bell[2] == 1.0
    assert 0.1 < bell[1] == bell[3] < 1.0
    assert bell[0] == bell[4] < 1e-100


@those(lambda row: row.vectorized)
def test_what_the_c_library_has_over_vectors_is_a_name_in_c(op: Operator) -> None:
    assert re.fullmatch(r"\w+", op.row.c)
    assert op.row.vectorized in (22, 35)


@those(lambda row: row.variadic)
def test_what_is_read_with_more_arguments_is_associative(op: Operator) -> None:
    a, b, c = X[:60], X[60:120], X[120:180]
    np.testing.assert_array_equal(op.numpy(op.numpy(a, b), c), op.numpy(a, op.numpy(b, c)))


def test_suggested_forms_differ_by_more_than_constants() -> None:
    suggested = [row.name for row in ROWS if row.suggested]
    assert {OPERATORS[name].arity for name in suggested} == {1}
    assert not {"cos", "exp2", "log10", "erfc", "heaviside"} & set(suggested)
    assert suggested.index("neg") == 0  # a straight line before all others


def test_names_and_aliases_are_said_once() -> None:
    names = [name for row in ROWS for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names)) == len(OPERATORS) + len(ALIASES)


def test_every_word_of_a_text_is_defined_where_the_language_lacks_it() -> None:
    ours = {word.name: word for word in WORDS}
    for row in ROWS:
        for called in re.findall(r"(?<![.\w])([a-z]\w*)(?=\()", row.numpy) + [row.numpy] * row.numpy.isalpha():
            assert ours[called].numpy
            assert ours[called].jax
    assert ours["mod"].c
    assert math.isclose(OPERATORS["mod"].numpy(-1.0, 3.0), 2.0)
