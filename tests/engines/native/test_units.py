"""Columns of extreme size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from symtorch import SymbolicModel
from symtorch.engines.native import NativeEngine
from symtorch.engines.native.units import Units
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.errors import InputError


def law(X: np.ndarray) -> np.ndarray:
    return X[:, :1] * X[:, 1:] + 0.5 * X[:, :1]


def box() -> np.ndarray:
    return np.random.default_rng(0).uniform(1.0, 3.0, (200, 2))


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("size", [1e120, 1e-120])
def test_laws_of_any_size_that_has_losses_are_found(size: float, asked: bool) -> None:
    X = box()
    samples = Samples(X, size * law(X), teacher=(lambda X: size * law(X)) if asked else None)
    front = NativeEngine().search(samples, SearchOptions.from_params({"random_state": 0}))[0]
    assert front.stop_reason == "exact"
    assert len(front) > 1
    np.testing.assert_allclose(front.best.predict(X), size * law(X)[:, 0], rtol=1e-9)


@pytest.mark.parametrize("size", [1e180, 1e-180])
def test_inputs_of_any_size_have_units_and_the_law_is_none_the_longer(size: float) -> None:
    X = size * box()
    samples = Samples(X, X[:, :1] / X[:, 1:])
    front = NativeEngine().search(samples, SearchOptions.from_params({"random_state": 0}))[0]
    assert front.stop_reason == "exact"
    assert front.best.complexity == 4
    np.testing.assert_allclose(front.best.predict(X), X[:, 0] / X[:, 1], rtol=1e-9)


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_a_size_without_losses_is_refused_by_name(size: float) -> None:
    x = torch.from_numpy(box())
    model = SymbolicModel(lambda x: torch.cat([x[:, :1], size * x[:, :1] * x[:, 1:]], dim=1), "law")
    with pytest.raises(InputError, match=r"outputs, of them \[1\].*float64.*power of ten"):
        model.distill(x, engine="native", sr_params={"random_state": 0, "niterations": 1})


def test_guesses_are_in_the_users_units() -> None:
    X = box()
    samples = Samples(X, 1e120 * np.sin(3.0 * law(X)))
    options = SearchOptions.from_params(
        {"random_state": 0, "niterations": 1, "guesses": ["0.9e120*sin(2.99*x0*(x1 + 0.5))"]}
    )
    front = NativeEngine().search(samples, options)[0]
    assert front.best.loss < 1e-15 * 1e240


def test_ordinary_columns_keep_their_units() -> None:
    X = box()
    samples = Samples(X, 1e25 * law(X))
    assert Units.of(samples).ordinary
    assert Units.of(samples).inward(samples) is samples


@pytest.mark.parametrize("random_state", [2**63, 2**80])
def test_any_whole_number_is_a_random_state(random_state: int) -> None:
    front = NativeEngine().search(Samples(box(), law(box())), SearchOptions.from_params({"random_state": random_state}))
    assert front[0].stop_reason == "exact"
