"""Asking the block is the user's choice: allowed, limited, counted, left out where it is dear."""

from __future__ import annotations

import logging
import time
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from linear_engine import LinearEngine
from torch import nn

import symtorch
from symtorch import SymbolicModel
from symtorch.engines import Engine
from symtorch.errors import AskLimitError, InputError, NotAFunctionWarning

X = np.random.default_rng(0).uniform(1, 3, (100, 3))
PARAMS = {
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["sin", "exp"],
    "random_state": 0,
    "niterations": 1,
    "progress": False,
}


class Block:
    """Two laws; counts the rows that it is called with."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.rows += len(x)
        return np.stack([x[:, 0] * np.sin(x[:, 1]), np.exp(x[:, 2] / x[:, 1]) + x[:, 0]], axis=1)


def distilled(ask: Any, n_rows: int = 100, **more: Any) -> Any:
    """The fronts, and the rows that were asked beside the data."""
    block = Block()
    fronts = SymbolicModel(block, "laws").distill(X[:n_rows], sr_params=PARAMS, engine="native", ask=ask, **more)
    return fronts, block.rows - n_rows


def test_the_rows_asked_add_up_to_what_the_block_was_asked() -> None:
    fronts, rows = distilled(True)
    assert rows > 1000
    assert sum(front.rows_asked for front in fronts.values()) == rows
    assert all(front.verdict == "law" and front.verdict.confirmed for front in fronts.values())
    assert f"{fronts[0].rows_asked:,} asked" in str(fronts[0])


def test_nobody_is_asked_who_must_not_be() -> None:
    fronts, rows = distilled(False)
    assert rows == 0
    assert [front.rows_asked for front in fronts.values()] == [0, 0]
    assert fronts[0].verdict.confirmed is None
    assert fronts[0].evidence.trouble == "off"


@pytest.mark.parametrize("limit", [5, 100, 2000, 8000])
def test_a_limit_on_rows_is_kept_and_the_search_goes_on_from_the_data(limit: Any) -> None:
    fronts, rows = distilled(limit)
    assert rows <= limit
    assert sum(front.rows_asked for front in fronts.values()) == rows
    assert all(front.stop_reason in ("exact", "converged", "budget") for front in fronts.values())
    assert min(front.best.r2 for front in fronts.values()) > 0.9


def test_a_limit_that_suffices_for_each_output_is_shared_between_them() -> None:
    everything, rows = distilled(True)
    fronts, _ = distilled(2 * rows)
    assert [front.rows_asked for front in fronts.values()] == [front.rows_asked for front in everything.values()]
    few, _ = distilled(4000)
    assert min(front.rows_asked for front in few.values()) > 500  # the first does not take all


@pytest.mark.parametrize("backend", ["threading"])
def test_workers_keep_the_limit_too(backend: Any) -> None:
    with joblib.parallel_config(backend, n_jobs=2):
        fronts, rows = distilled(3000)
    assert sum(front.rows_asked for front in fronts.values()) <= 3000
    assert rows <= 3000 + 64  # of a copy that is compared with the block


def test_a_dear_block_is_asked_only_if_the_user_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "symtorch")
    seen = []

    def slow(x: Any) -> Any:
        seen.append(len(x))
        time.sleep(0.02 * len(x))
        return x[:, :1] * 2

    data = X[:30]
    front = SymbolicModel(slow, "model").distill(data, output_dim=0, sr_params=PARAMS, engine="native")
    assert sum(seen) - len(data) == front.rows_asked <= 16
    assert front.evidence.trouble == "dear"
    assert "model is not asked beyond its data" in caplog.text
    assert "ask=True" in caplog.text
    seen.clear()
    front = SymbolicModel(slow, "model").distill(data, output_dim=0, sr_params=PARAMS, engine="native", ask=200)
    assert 16 < sum(seen) - len(data) == front.rows_asked <= 200


def test_cheap_blocks_are_asked_where_nothing_is_said() -> None:
    fronts, _ = distilled(None)
    assert all(front.rows_asked > 1000 for front in fronts.values())


@pytest.mark.parametrize("ask", [0, -3, 2.5, "yes", [1]])
def test_what_is_no_way_to_ask_is_refused(ask: Any) -> None:
    with pytest.raises(InputError, match=r"ask is .*; expected True, False, the number of rows"):
        distilled(ask)


def test_around_a_point_the_block_must_be_asked() -> None:
    block = SymbolicModel(lambda x: x[:, :1] * x[:, 1:2], "product")
    around = {"SLIME": True, "slime_params": {"x": X[0]}, "engine": LinearEngine()}
    for ask in (False, 50):
        with pytest.raises(InputError, match="the block is asked at 100 new points"):
            block.distill(X, ask=ask, **around)
    fronts = block.distill(X, ask=1000, **around)
    assert 200 < fronts[0].rows_asked <= 1000


def test_rows_that_another_engine_asks_are_counted_and_limited() -> None:
    class Curious(LinearEngine, Engine):
        def search(self, samples: Any, options: Any, progress: Any = None) -> Any:
            for _ in range(3):
                samples.teacher(np.tile(samples.X, (5, 1)))
            return super().search(samples, options, progress)

    block = Block()
    fronts = SymbolicModel(block, "laws").distill(X, engine=Curious(), ask=5000)
    assert sum(front.rows_asked for front in fronts.values()) == block.rows - len(X)
    with pytest.raises(AskLimitError):
        SymbolicModel(block, "laws").distill(X, engine=Curious(), ask=1000)


def test_a_block_that_is_no_function_of_its_rows_is_named() -> None:
    noisy = SymbolicModel(lambda x: x[:, :1] + np.random.default_rng().normal(size=(len(x), 1)), "noisy")
    with pytest.warns(NotAFunctionWarning, match="noisy gives other answers to the same rows in the same order"):
        front = noisy.distill(X, output_dim=0, engine=LinearEngine())
    assert front.evidence.trouble == "random"
    assert "other answers each time" in str(front)

    class Centred(nn.Module):
        def forward(self, x: Any) -> Any:
            return x - x.mean(0)

    with pytest.warns(NotAFunctionWarning, match="centred gives a row another answer in the company of other rows"):
        fronts = SymbolicModel(Centred(), "centred").distill(torch.randn(60, 2), engine=LinearEngine())
    assert all("depends on the rows beside it" in str(front) for front in fronts.values())


def test_several_blocks_of_a_model_take_ask() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1))
    symtorch.wrap(model, "0")
    symtorch.wrap(model, "2")
    found = symtorch.distill(model, torch.randn(80, 2), engine=LinearEngine(), ask=False)
    assert [front.rows_asked for fronts in found.values() for front in fronts.values()] == [0, 0, 0]
