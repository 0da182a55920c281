"""The bank and what is guessed from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forms import WIDE, points, read

from symtorch.engines.native import Budget, Vocabulary, search_flat
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, loss_of
from symtorch.engines.native.flat.bank import Bank
from symtorch.engines.native.flat.contexts import first_guesses
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import evaluate


def test_bank_trees_have_the_values_of_the_bank() -> None:
    X = points(64)
    bank = Bank(X, Vocabulary(WIDE), 3000, 5, torch.device("cpu"))
    assert bank.n == 3000
    for i in np.random.default_rng(0).integers(0, bank.n, 200):
        found = bank.values(int(i))
        np.testing.assert_allclose(evaluate(bank.expr(int(i)), X), found, rtol=2e-3, atol=1e-4 * np.abs(found).max())


def test_bank_has_nothing_that_cannot_be_written() -> None:
    words = Vocabulary(SearchOptions.from_params({"binary_operators": ["+"], "unary_operators": ["sin"]}))
    bank = Bank(points(64), words, 500, 5, torch.device("cpu"))
    assert all(words.render(bank.expr(i)) is not None for i in range(bank.n))


def test_a_bank_ends_with_what_there_is_when_time_is_up() -> None:
    left = iter(range(20))
    bank = Bank(points(64), Vocabulary(WIDE), 3000, 5, torch.device("cpu"), stop=lambda: next(left, None) is None)
    assert points(64).shape[1] < bank.n < 3000
    assert bank.unit.shape == (64, bank.n_unit)


def test_first_guess_has_the_constants_of_the_law() -> None:
    X = points(128)
    y = evaluate(read("x0/(1 + 2*x1^2)"), X)
    bank = Bank(X, Vocabulary(WIDE), 2000, 4, torch.device("cpu"))
    guesses = first_guesses(bank, y, None, 50, 2000, lambda: False, per_cost=8, most=250)
    assert min(loss_of(guess, Rows.of(X, y)) for guess in guesses) < 1e-10


@pytest.mark.cuda
def test_a_bank_on_the_device_finds_the_same() -> None:
    X = points(300)
    y = evaluate(read("x0*x1/(x2^2 + 0.1)"), X)[:, None]
    (archive,) = search_flat(X, y, Vocabulary(WIDE), Budget(rounds=1), device=torch.device("cuda"))
    assert archive.is_exact
