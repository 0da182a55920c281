"""What is kept of the candidates for one output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from forms import WIDE, points, read

from symtorch.engines.native import Vocabulary
from symtorch.engines.native.fitting.archive import EXACT, Archive
from symtorch.engines.native.fitting.levenberg_marquardt import Rows
from symtorch.engines.native.fitting.losses import SQUARED
from symtorch.equations import normal
from symtorch.equations.expr import Expr, constants, to_text


def archive(y: np.ndarray, X: np.ndarray, **fields: Any) -> Archive:
    few = slice(0, 100)
    rows = Rows.of(X, y)
    return Archive(Vocabulary(WIDE), Rows.of(X[few], y[few]), rows, SQUARED, float(y.var()), **fields)


def forms(*texts: str) -> list[Expr]:
    return [normal.normalise(read(text)) for text in texts]


def never() -> bool:
    return False


@pytest.fixture
def X() -> np.ndarray:
    return points(300)


def test_the_front_has_the_best_of_every_size_and_pareto_what_is_worth_its_size(X: np.ndarray) -> None:
    found = archive(2.0 * X[:, 0] + 0.1 * X[:, 1], X)
    found.consider(forms("x0", "x1", "2*x0", "x0 + x1", "2*x0 + 0.3*x1", "2*x0 + 0.001*sin(x2)"), never)
    losses = [candidate.loss for candidate in found.pareto()]
    assert losses == sorted(losses, reverse=True)
    assert found.is_exact
    assert found.exact_from == found.pareto()[-1].complexity
    assert found.level(found.exact_from - 1) > 1e-5


@pytest.mark.parametrize(("dtype", "exact"), [(np.float64, False), (np.float32, True)])
def test_what_leaves_as_much_as_its_numbers_could_buy_is_exact_for_rows_of_float32_only(
    dtype: type, exact: bool, X: np.ndarray
) -> None:
    law = 1.2345 * X[:, 0] + 2.3456 * X[:, 1] - 3.4567 * X[:, 2] + 0.91234
    found = archive(law + 3e-7 * np.sin(9 * X[:, 0]), X, dtype=np.dtype(dtype))
    found.consider(forms("1.2*x0 + 2.3*x1 - 3.4*x2 + 0.9"), never)
    assert 1e-15 < found.best < EXACT
    assert found.is_exact is exact
    found = archive(law, X, dtype=np.dtype(dtype))
    found.consider(forms("1.2*x0 + 2.3*x1 - 3.4*x2 + 0.9"), never)
    assert found.is_exact


def test_a_shape_is_tried_once_and_nothing_as_large_as_an_exact_equation(X: np.ndarray) -> None:
    found = archive(X[:, 0] * X[:, 1], X)
    found.consider(forms("x0*x1", "sin(3*x0) + 2*x1"), never)
    assert found.is_exact
    assert [normal.key(c.expr) for c in found.found.values()] == [normal.key(forms("x0*x1")[0])]
    before = dict(found.found)
    found.consider(forms("x0*x1"), never)
    assert found.found == before


def test_what_cannot_be_written_is_not_kept(X: np.ndarray) -> None:
    found = archive(X[:, 0], X)
    found.words = Vocabulary(type(WIDE).from_params({"binary_operators": ["+"], "unary_operators": []}))
    found.consider(forms("sin(x0)", "x0*x1"), never)
    assert not found.front
    assert not found.found


def test_it_stops_when_told_to_and_keeps_what_it_has(X: np.ndarray) -> None:
    found = archive(np.sin(X[:, 0]) * X[:, 1], X)
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls > 1

    found.consider(forms("2*x0", "2*x1", "2*x2"), stop)
    assert found.tried >= {normal.key(forms("2*x0")[0])}
    assert normal.key(forms("2*x1")[0]) not in found.tried


def test_parsimony_ranks_what_is_built_on_and_keeps_nothing_off_the_front(X: np.ndarray) -> None:
    y = X[:, 0] + 0.02 * np.sin(7.0 * X[:, 1])
    free, frugal = archive(y, X), archive(y, X, parsimony=0.5)
    short, long = forms("x0", "x0 + 0.02*sin(7*x1)")
    for each in (free, frugal):
        small, large = each.offer(short), each.offer(long)
        assert small is not None
        assert large is not None
        assert len(each.front) == 2
        gap = each.merit(large, 0.0) - each.merit(small, 0.0)
        assert gap == pytest.approx(large.depth - small.depth + each.parsimony * (large.complexity - small.complexity))


def test_height_falls_as_the_front_does(X: np.ndarray) -> None:
    found = archive(np.exp(X[:, 0]) + X[:, 1], X)
    heights = [found.height()]
    for text in ("2*x0 + 1", "2*x0 + x1", "exp(x0) + x1"):
        found.offer(forms(text)[0])
        heights.append(found.height())
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] < heights[0] - 5.0


def test_the_pick_is_written_as_it_reads_best(X: np.ndarray) -> None:
    found = archive(X[:, 0] * np.sin(X[:, 1]) - X[:, 0], X)
    found.consider(forms("x0", "x0*sin(x1) - x0", "2*x0 + 0.3*x1"), never)
    before = found.pareto()
    found.write_readably(found.picked("law"))
    after = found.pareto()
    assert to_text(after[-1].tree, ["x", "y"], digits=5) == "x*(sin(y) - 1)"
    assert after[:-1] == before[:-1]
    assert after[-1].complexity == before[-1].complexity
    assert after[-1].loss < 1e-20


@pytest.mark.parametrize("seed", range(3))
def test_a_law_in_noise_has_no_number_that_rows_do_not_tell_from_none(X: np.ndarray, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=len(X))
    for is_law in (False, True):
        found = archive(-X[:, 0] * X[:, 1] * np.cos(X[:, 0]) + 0.05 * noise, X)
        found.consider(forms("x0*x1*(0.01 - cos(x0))", "-1*x0*x1*cos(x0)"), never)
        (number,) = found.pareto()  # both are as complex, and with a number more less is left
        found.write_readably(number, is_law)
        (written,) = found.pareto()
        assert (written.loss > number.loss) == is_law
        assert any(abs(value) not in (0.0, 1.0) for value in constants(written.tree)) == (not is_law)


def test_a_number_of_a_law_in_noise_that_rows_tell_stays(X: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(size=len(X))
    found = archive(X[:, 0] * X[:, 1] * (0.4137 - np.cos(X[:, 0])) + 0.05 * noise, X)
    found.consider(forms("x0*x1*(0.4 - cos(x0))"), never)
    found.write_readably(found.pareto()[-1], is_law=True)
    (value,) = [c for c in constants(found.pareto()[-1].tree) if c != -1.0]
    assert abs(value - 0.4137) < 0.02


def test_an_empty_archive_has_nothing_to_write(X: np.ndarray) -> None:
    found = archive(X[:, 0], X)
    found.write_readably(found.picked("law"))
    assert found.pareto() == []


def test_constants_close_to_those_of_textbooks_become_them(X: np.ndarray) -> None:
    found = archive(3.0 / (8.0 * np.pi) * X[:, 0] + 0.7312345678 * X[:, 1], X)
    found.consider(forms("0.1*x0 + 0.5*x1"), never)
    assert constants(found.pareto()[-1].expr) == pytest.approx([3.0 / (8.0 * np.pi), 0.7312345678], abs=1e-12)
    assert 3.0 / (8.0 * np.pi) in constants(found.pareto()[-1].expr)
