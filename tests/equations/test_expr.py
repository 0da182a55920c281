import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from trees import trees

from symtorch.equations.expr import (
    Call,
    Constant,
    Expr,
    Variable,
    constants,
    depth,
    evaluate,
    size,
    substitute,
    to_text,
    transform,
    variables,
    walk,
    with_constants,
)
from symtorch.equations.operators import OPERATORS
from symtorch.equations.parser import parse
from symtorch.errors import InputError

ADD, SIN = OPERATORS["+"], OPERATORS["sin"]


def sum_of(n: Any) -> Any:
    return parse(" + ".join(f"{i}.5*x0" for i in range(n)), ["x0"])


@given(trees())
@settings(max_examples=100, deadline=None)
def test_pickled_and_copied_trees_are_equal(expr: Expr) -> None:
    assert pickle.loads(pickle.dumps(expr)) == expr
    assert copy.deepcopy(expr) == expr
    assert hash(pickle.loads(pickle.dumps(expr))) == hash(expr)


@given(trees(), trees())
@settings(max_examples=100, deadline=None)
def test_trees_are_equal_if_their_parts_are(a: Any, b: Any) -> None:
    assert (a == b) == ([*map(repr, walk(a))] == [*map(repr, walk(b))])


@given(trees())
@settings(max_examples=100, deadline=None)
def test_constants_are_put_back_where_they_were(expr: Expr) -> None:
    values = constants(expr)
    assert with_constants(expr, values) == expr
    doubled = with_constants(expr, [2 * v for v in values])
    assert constants(doubled) == [2 * v for v in values]
    assert size(doubled) == size(expr)


def test_a_sum_of_a_thousand_terms_is_no_deeper_than_the_stack() -> None:
    expr = sum_of(1000)
    assert depth(expr) == 1001
    assert size(expr) == 3999
    assert pickle.loads(pickle.dumps(expr)) == expr
    assert copy.deepcopy(expr) is expr
    assert expr == sum_of(1000)
    assert expr != sum_of(999)
    np.testing.assert_allclose(evaluate(expr, np.array([[2.0]])), [2 * sum(i + 0.5 for i in range(1000))])
    assert with_constants(expr, constants(expr)) == expr
    assert to_text(transform(expr, lambda node: Variable(1) if node == Variable(0) else node), "ab")[:5] == "0.5*b"


def test_substitute_replaces_variables_all_at_once() -> None:
    expr = parse("x0 - x1", ["x0", "x1"])
    assert substitute(expr, [Variable(1), Variable(0)]) == parse("x1 - x0", ["x0", "x1"])
    assert variables(expr) == [0, 1]


def test_numbers_and_columns_of_equal_value_are_different_leaves() -> None:
    assert Constant(1.0) != Variable(1)
    assert Call(SIN, (Constant(1.0),)) != Call(SIN, (Variable(1),))
    assert Call(ADD, (Constant(1.0), Variable(0))) != Call(OPERATORS["-"], (Constant(1.0), Variable(0)))


def test_text_with_few_digits() -> None:
    assert to_text(parse("1.23456*x0 + (-2)*x1 - (-3)", ["x0", "x1"]), ["x0", "x1"], digits=3) == "1.23*x0 - 2*x1 + 3"


@pytest.mark.parametrize("text", ["exp(2)", "sin(1)*2", "max(1.0, x0)", "(-2)^3", "x0^(-2)", "1/0", "log(-1)"])
def test_evaluate_gives_one_value_per_row_without_a_warning(text: str) -> None:
    X = np.array([[-2.0], [0.5], [0.0]])
    out = evaluate(parse(text, ["x0"]), X)
    assert out.shape == (3,)
    assert out.dtype == np.float64


def test_evaluate_wants_a_matrix() -> None:
    with pytest.raises(InputError, match=r"\(3,\)"):
        evaluate(Variable(0), np.zeros(3))


@pytest.mark.parametrize("value", [np.float64(0.25), np.float32(0.25), np.int64(2), 2])
def test_a_constant_is_a_python_float(value: Any) -> None:
    tree = Constant(value)
    assert type(tree.value) is float
    assert parse(to_text(tree, []), []) == tree
