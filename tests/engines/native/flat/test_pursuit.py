"""Several terms under one function, and the factor before it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forms import WIDE, assert_same_values, trees
from hypothesis import given, settings

from symtorch.engines.native import Budget, Vocabulary, search_flat
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, loss_of
from symtorch.engines.native.flat.bank import Bank
from symtorch.engines.native.flat.pursuit import likely_factors, pursue
from symtorch.engines.options import SearchOptions
from symtorch.equations import normal
from symtorch.equations.expr import Expr, evaluate, to_text
from symtorch.equations.parser import parse

NAMES = ["a", "b", "c", "d"]
ROWS = np.arange(128)


def read(text: str) -> Expr:
    return normal.normalise(parse(text, NAMES))


def points(n: int = 600) -> np.ndarray:
    """a positive, the others of both signs."""
    return np.random.default_rng(0).uniform([0.5, -2.0, -2.0, -2.0], 2.0, (n, 4))


def small_bank(X: np.ndarray) -> Bank:
    return Bank(X[ROWS], Vocabulary(WIDE), 4000, 5, torch.device("cpu"))


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("a^2*(b - c)/((b - c)^2 + d^2 + 0.1)", "(b - c)*a^2"),  # the sign from the bank, the power from the slope
        ("3*b/(sqrt(a)*(1 + c^2 + d^2))", "b/sqrt(a)"),
    ],
)
def test_a_factor_is_read_off_the_logarithm(text: str, factor: str) -> None:
    X = points()
    found = likely_factors(small_bank(X), X, evaluate(read(text), X), ROWS)
    assert normal.key(read(factor)) in [normal.key(expr) for expr in found]


def test_a_sum_has_no_factor() -> None:
    X = points()
    y = evaluate(read("sin(3*b) + c*d + a"), X)
    assert all(normal.is_power(f) or f.children == () for f in likely_factors(small_bank(X), X, y, ROWS))


@pytest.mark.parametrize(
    "text",
    [
        "a*(b - c)/sqrt((b - c)^2 + d^2 + 0.01)^3",  # all of its variance in a few rows
        "a/(b^2 + c^2 + d^2 + 1)",
        "exp(sin(b) - 0.5*c*d + 0.2*a^2)",
    ],
)
def test_terms_under_a_function_are_found(text: str) -> None:
    X = points()
    y = evaluate(read(text), X)
    bank = small_bank(X)
    factors = likely_factors(bank, X, y, ROWS)
    values = [evaluate(factor, X[ROWS]) for factor in factors]
    found = pursue(bank, y[ROWS], None, factors, values, bank.unit.shape[1], lambda: False)
    assert min(loss_of(expr, Rows.of(X, y)) for expr in found) < 1e-6 * y.var()


def test_a_law_with_a_near_pole_is_found_from_its_values_alone() -> None:
    X = points()
    law = read("a*(b - c)/sqrt((b - c)^2 + d^2 + 0.01)^3")
    (archive,) = search_flat(X, evaluate(law, X)[:, None], Vocabulary(WIDE), Budget(rounds=1), seed=0)
    assert archive.is_exact
    assert normal.key(archive.pareto()[-1].expr) == normal.key(law)


def test_what_cannot_be_written_is_no_factor() -> None:
    X = points()
    words = Vocabulary(SearchOptions.from_params({"binary_operators": ["+", "-"], "unary_operators": ["exp"]}))
    bank = Bank(X[ROWS], words, 500, 4, torch.device("cpu"))
    y = evaluate(read("b*a^2*exp(2*c)"), X)
    assert "b*a^2" not in [to_text(factor, NAMES) for factor in likely_factors(bank, X, y, ROWS)]
    assert all(words.render(factor) is not None for factor in likely_factors(bank, X, y, ROWS))


def test_time_that_is_up_ends_it() -> None:
    X = points()
    bank = small_bank(X)
    assert len(pursue(bank, np.exp(X[ROWS, 0] + X[ROWS, 1] ** 2), None, [], [], 4000, lambda: True)) > 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(trees)
def test_what_is_multiplied_out_has_the_same_values(tree: Expr) -> None:
    form = normal.normalise(tree)
    assert_same_values(form, normal.multiplied_out(form))


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("d/((a - b)^2 + (a + b)^2 + 2*c^2)", "0.5*((a^2 + b^2 + c^2)^(-1)*d)"),
        ("a*b - 0.5*(a + b)^2", "-0.5*a^2 + (-0.5*b^2)"),
        ("(a + b)*(a + c)*(a + d)*(b + c)", "(a + b)*(a + c)*(a + d)*(b + c)"),  # too many terms
    ],
)
def test_like_terms_meet_when_multiplied_out(text: str, out: str) -> None:
    assert to_text(normal.multiplied_out(read(text)), NAMES) == out
