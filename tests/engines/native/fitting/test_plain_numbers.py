"""Constants that are likelier simple numbers than what noise has made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit, loss_of
from symtorch.engines.native.fitting.plain_numbers import with_plain_numbers
from symtorch.equations.expr import constants, evaluate, to_text
from symtorch.equations.parser import parse

NAMES = ["x0", "x1"]


def settled(law: str, start: str, noise: float, seed: int = 0, n: int = 1000) -> tuple[str, float]:
    """The equation with plain numbers, and its loss as a share of the fit's; the law's rows are noisy."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(1.0, 3.0, (n, 2))
    y = evaluate(parse(law, NAMES), X)
    rows = Rows.of(X, y + noise * np.sqrt(np.mean(y**2)) * rng.normal(size=n))
    fitted, loss = fit(parse(start, NAMES), rows)
    found, after = with_plain_numbers(fitted, loss, rows, 10)
    assert after == pytest.approx(loss_of(found, rows), rel=1e-12)
    return to_text(found, NAMES), after / loss


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("law", "start"),
    [
        ("0.5*x0*x1", "0.4*x0*x1"),
        ("x0/(4*pi*x1)", "0.09*x0/x1"),
        ("x1*exp(-x0^2/2)/sqrt(2*pi)", "0.45*x1*exp(-0.6*x0^2)"),
        ("3*x0 - 2*x1", "2.9*x0 - 2.1*x1"),
        ("(x0 + x1)/(1 + x0*x1)", "(x0 + x1)/(1.1 + x0*x1)"),
    ],
)
def test_the_laws_own_numbers_come_back_from_rows_with_noise(law: str, start: str, seed: int) -> None:
    text, worse = settled(law, start, 0.002, seed)
    X = np.random.default_rng(9).uniform(1.0, 3.0, (50, 2))
    assert evaluate(parse(text, NAMES), X) == pytest.approx(evaluate(parse(law, NAMES), X), rel=1e-12)
    assert 1.0 <= worse < 1.0 + 20.0 / 1000


@pytest.mark.parametrize("noise", [0.1, 0.01, 0.001])
def test_numbers_without_a_meaning_stay_but_for_one_in_twelve(noise: float) -> None:
    values = np.exp(np.random.default_rng(0).uniform(-3.0, 3.0, 60))
    taken = [settled(f"{value}*x0", "x0*1.1", noise, seed)[1] > 1.0 for seed, value in enumerate(values)]
    assert sum(taken) <= len(values) // 12


def test_a_number_that_the_rows_speak_against_is_refused() -> None:
    text, worse = settled("0.51*x0*x1", "0.4*x0*x1", 0.01)
    assert worse == 1.0
    assert text.startswith("0.5")
    assert not text.startswith("0.5*")


def test_constants_that_nothing_determines_stay() -> None:
    rows = Rows.of(np.linspace(1.0, 2.0, 50)[:, None], np.zeros(50) + 1e-3 * np.random.default_rng(0).normal(size=50))
    tree = parse("0.4973*0.00001*x0 - 0.0000049*x0", ["x0"])
    assert with_plain_numbers(tree, loss_of(tree, rows), rows, 10)[0] == tree


def test_the_other_constants_make_up_for_what_one_is_moved() -> None:
    text, worse = settled("0.617*x0 + 2*x1", "0.6*x0 + 2.1*x1", 0.02)
    first, second = constants(parse(text, NAMES))
    assert second == 2.0
    assert abs(first - 0.617) < 0.01
    assert math.isfinite(worse)
