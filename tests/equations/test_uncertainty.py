"""Standard errors of constants: those of the textbook, and right in repeated experiments."""

import math
from typing import Any

import numpy as np
import pytest

from symtorch.equations import Equation, Front, parse
from symtorch.equations.definitions import operator
from symtorch.equations.expr import constants, evaluate, with_constants
from symtorch.equations.uncertainty import Estimate, StandardErrors, is_exact, standard_errors
from symtorch.errors import InputError

rng = np.random.default_rng(0)
X = rng.uniform(0.5, 3.0, size=(200, 2))
NAMES = ["x0", "x1"]


def line_fit(y: Any, weights: Any = None) -> Any:
    """Coefficients of x0, x1 and 1, and their errors by the textbook."""
    A = np.column_stack([X, np.ones(len(X))])
    w = np.ones(len(X)) if weights is None else weights / weights.mean()
    inverse = np.linalg.inv(A.T @ (w[:, None] * A))
    c = inverse @ A.T @ (w * y)
    return c, np.sqrt(np.diag(inverse) * (w @ (y - A @ c) ** 2) / (len(X) - 3))


@pytest.mark.parametrize("weights", [None, rng.uniform(0.1, 2.0, size=200)])
def test_of_a_line_they_are_those_of_linear_regression(weights: Any) -> None:
    y = X @ [1.97, -0.31] + 5.7 + 0.1 * np.random.default_rng(1).normal(size=len(X))
    (a, b, c), expected = line_fit(y, weights)
    found = standard_errors(parse(f"{a}*x0 + ({b})*x1 + {c}", NAMES), X, y, weights)
    assert found == pytest.approx(expected.tolist(), rel=1e-6)


def test_a_row_of_weight_zero_is_no_row() -> None:
    y = X @ [1.97, -0.31] + 0.1 * np.random.default_rng(1).normal(size=len(X))
    expr, weights = parse("1.97*x0 - 0.31*x1", NAMES), np.ones(200)
    weights[100:] = 0.0
    assert standard_errors(expr, X, y, weights) == pytest.approx(standard_errors(expr, X[:100], y[:100]))


def test_simple_numbers_are_exact_and_take_no_degree_of_freedom() -> None:
    y = 2 * X[:, 0] ** 2 + 1.31 + 0.1 * np.random.default_rng(2).normal(size=len(X))
    c = float(np.mean(y - 2 * X[:, 0] ** 2))
    two, exponent, error = standard_errors(parse(f"2*x0^2 + {c}", NAMES), X, y)
    assert two is None
    assert exponent is None
    assert error == pytest.approx(np.std(y - 2 * X[:, 0] ** 2, ddof=1) / math.sqrt(len(y)))


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.1, 2 / 3, -3.5, 2 * math.pi, math.pi / 3, math.e, 2**0.5, 120.0])
def test_exact(value: Any) -> None:
    assert is_exact(value)


@pytest.mark.parametrize("value", [1.974, 1e-3, 3.1416, 1.0000001, 1234567.0, math.inf, math.nan])
def test_not_exact(value: Any) -> None:
    assert not is_exact(value)


def test_the_truth_is_within_two_errors_in_nineteen_of_twenty_experiments() -> None:
    expr, true = parse("1.713*exp(-0.337*x0)*x1", NAMES), np.array([1.713, -0.337])
    off = []
    for seed in range(1000):
        y = true[0] * np.exp(true[1] * X[:, 0]) * X[:, 1] + 0.05 * np.random.default_rng(seed).normal(size=len(X))
        c = true.copy()
        for _ in range(8):  # Gauss-Newton
            shape = np.exp(c[1] * X[:, 0]) * X[:, 1]
            J = np.column_stack([shape, c[0] * X[:, 0] * shape])
            c = c + np.linalg.lstsq(J, y - c[0] * shape, rcond=None)[0]
        errors = np.array(standard_errors(with_constants(expr, c), X, y), dtype=np.float64)
        off.append(np.abs(c - true) / errors)
    ratios = np.stack(off)
    assert np.mean(ratios <= 1.0) == pytest.approx(0.683, abs=0.04)
    assert np.mean(ratios <= 2.0) == pytest.approx(0.954, abs=0.02)


def test_constants_that_make_up_for_each_other_are_undetermined_and_the_others_are_not() -> None:
    y = 1.3 * X[:, 0] + 0.77 * X[:, 1] + 0.01 * np.random.default_rng(3).normal(size=len(X))
    errors = standard_errors(parse("1.13*(1.15044*x0) + 0.77*x1", NAMES), X, y)
    assert errors[:2] == (math.inf, math.inf)
    assert errors[2] < 0.01


def test_no_derivative_no_error() -> None:
    y = np.where(X[:, 0] > 1.37, 2.23, 0.0)
    threshold, height = standard_errors(parse("greater(x0, 1.37)*2.23", NAMES), X, y)
    assert math.isnan(threshold)
    assert height < 1e-14


def test_undefined_rows_leave_errors_unknown() -> None:
    (error,) = standard_errors(parse("log(x0 - 1.77)", NAMES), X, X[:, 0])
    assert math.isnan(error)


def test_as_many_constants_as_rows_leave_all_open() -> None:
    assert standard_errors(parse("1.97*x0 + 0.31", NAMES), X[:2], X[:2, 0]) == (math.inf, math.inf)


def test_of_an_exact_fit_rounding_is_left() -> None:
    (a,) = standard_errors(parse("1.97*x0", NAMES), X, 1.97 * X[:, 0])
    assert 0.0 < a < 1e-15


def test_a_constant_that_is_not_fitted_is_as_far_off_as_it_is() -> None:
    y = 1.97 * X[:, 0] + 1e-6 * np.random.default_rng(4).normal(size=len(X))
    (a,) = standard_errors(parse("1.93*x0", NAMES), X, y)
    assert a == pytest.approx(0.04, rel=0.05)


def test_operators_of_the_users_own() -> None:
    bump = operator("bump(x) = exp(-x^2)")
    y = 1.7 * np.exp(-((0.71 * X[:, 0]) ** 2)) + 0.01 * np.random.default_rng(5).normal(size=len(X))
    own = standard_errors(parse("1.7*bump(0.71*x0)", NAMES, [bump]), X, y)
    assert own == pytest.approx(standard_errors(parse("1.7*exp(-(0.71*x0)*(0.71*x0))", NAMES), X, y)[:1] + own[1:])
    assert 0.0 < own[1] < 0.01


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(InputError, match=r"X \(200, 2\), y \(200, 2\)"):
        standard_errors(parse("1.97*x0", NAMES), X, X)
    with pytest.raises(InputError, match=r"weights \(3,\)"):
        standard_errors(parse("1.97*x0", NAMES), X, X[:, 0], np.ones(3))


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.97423, 0.0031, "1.974 ± 0.003"),
        (1.97423, 0.0131, "1.974 ± 0.013"),
        (9.99, 0.0096, "9.990 ± 0.010"),
        (-12345.6, 345.0, "(-1.23 ± 0.03)e+04"),
        (3.2e-7, 5e-9, "(3.20 ± 0.05)e-07"),
        (0.1, 25.0, "0 ± 25"),
        (2.0, None, "2"),
        (0.3, math.inf, "0.3 (undetermined)"),
        (0.3, math.nan, "0.3 (error unknown)"),
    ],
)
def test_shown_to_the_digit_that_the_error_is_in(value: Any, error: Any, text: str) -> None:
    assert str(Estimate(value, error)) == text
    assert float(Estimate(value, error)) == value


def test_an_equations_constants_come_in_the_order_of_its_text() -> None:
    y = 1.97 * X[:, 0] ** 2 + 0.317 * np.sin(X[:, 1]) + 0.1 * np.random.default_rng(6).normal(size=len(X))
    equation = Equation(parse("1.97*x0^2 + 0.317*sin(x1)", NAMES), ("x0", "x1"), 9, 0.01)
    assert [float(c) for c in equation.constants] == [1.97, 2.0, 0.317] == constants(equation.expr)
    assert {c.standard_error for c in equation.constants} == {None}
    errors = [c.standard_error for c in equation.with_errors(X, y).constants]
    assert errors[1] is None
    assert 0.001 < errors[0] < errors[2] < 0.05


def test_a_front_gives_errors_to_the_equations_that_are_asked_for() -> None:
    trees = [("1.97*x0", 3, 0.1), ("1.97*x0 + 0.31", 5, 0.01)]
    front = Front(tuple(Equation(parse(text, NAMES), ("x0", "x1"), c, loss) for text, c, loss in trees))
    y = 1.97 * X[:, 0] + 0.31 + 0.01 * np.random.default_rng(7).normal(size=len(X))
    assert [eq.standard_errors is None for eq in front.with_errors(X, y)] == [False, False]
    assert [eq.standard_errors is None for eq in front.with_errors(X, y, of=[1])] == [True, False]


@pytest.mark.parametrize("weighted", [False, True])
def test_lines_through_the_same_rows_have_the_errors_that_each_has_by_itself(weighted: bool) -> None:
    """Also where an input adds nothing to another one, and where lines are through some of the inputs only."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 12))
    X[:, 11] = X[:, 10]
    w = rng.uniform(size=200).round(1) if weighted else None
    known = StandardErrors(X, w)
    for k in range(40):
        columns = np.sort(rng.permutation(12)[: rng.integers(3, 13)])
        text = " - ".join(f"{c:.6f}*x{i}" for i, c in zip(columns, rng.normal(size=len(columns)), strict=True))
        line = parse(f"{text} + 0.123417", [f"x{i}" for i in range(12)])
        y = evaluate(line, X) + rng.normal(size=200)
        found, alone = known.of(line, y), standard_errors(line, X, y, w)
        assert found == pytest.approx(alone, rel=1e-9, nan_ok=True)
        assert (math.inf in found) == ({10, 11} <= set(columns.tolist())), k
