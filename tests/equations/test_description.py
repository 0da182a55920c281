"""How long equations are to say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from symtorch.equations.description import lengths
from symtorch.equations.parser import parse

TEXTS = ("2.345*x0", "2.345*x0 + 0.123*sin(3.21*x1)")
TREES = [parse(text, ["x0", "x1"]) for text in TEXTS]


@pytest.mark.parametrize(("gain", "longest_is_shortest"), [(0.005, False), (0.03, False), (0.1, True)])
def test_a_longer_equation_must_save_more_than_it_costs(gain: float, longest_is_shortest: bool) -> None:
    first, second = lengths(TREES, [1.0, 1.0 - gain], 2, 1000)
    assert (second < first) == longest_is_shortest


def test_what_is_worth_its_length_with_many_rows_is_not_with_few() -> None:
    few, many = (lengths(TREES, [1.0, 0.95], 2, n) for n in (100, 10_000))
    assert few[0] < few[1]
    assert many[1] < many[0]


def test_units_of_the_loss_change_nothing_but_a_constant() -> None:
    near, far = (np.diff(lengths(TREES, [scale, 0.9 * scale], 2, 500)) for scale in (1.0, 1e12))
    assert near == pytest.approx(far)


def test_a_number_of_few_digits_is_no_fitted_constant() -> None:
    short, long = lengths([parse(text, ["x0"]) for text in ("x0 + 2.5", "x0 + 2.5137")], [1.0, 1.0], 1, 1000)
    assert long - short == pytest.approx(0.5 * math.log(1000))


def test_what_is_undefined_is_never_chosen_and_what_is_exact_always() -> None:
    undefined, exact = lengths(TREES, [math.inf, 0.0], 2, 100)
    assert (undefined, exact) == (math.inf, -math.inf)
