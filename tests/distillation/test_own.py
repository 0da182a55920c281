"""Equations of the user's own outlive a new distillation."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine

from symtorch import InputError, SymbolicModel

X = np.random.default_rng(0).normal(size=(100, 2))


def block_of(*formulas: str) -> SymbolicModel:
    """A block of two outputs, the first of which has these equations."""
    block = SymbolicModel(lambda x: np.stack([x[:, 0] ** 2, x[:, 1]], axis=1), "law")
    distill(block, *formulas)
    return block


def distill(block: SymbolicModel, *formulas: str, **how: Any) -> None:
    block.distill(X, engine=FormulaEngine(*formulas), **how)


def test_what_was_set_stays_in_the_front_and_is_the_pick() -> None:
    block = block_of("1", "x0")
    block.set_equation(0, "x0^2 + 0.1")
    block.switch_to_symbolic()
    before = block(X)
    distill(block, "1", "x0*x0")
    front = block.fronts[0]
    assert {str(eq) for eq in front} == {"1", "x0*x0", "x0^2 + 0.1"}
    assert str(front.best) == str(block.equation(0)) == "x0^2 + 0.1"
    assert [eq.own for eq in front] == [str(eq) == "x0^2 + 0.1" for eq in front]
    assert front.complexities == sorted(front.complexities)
    assert block.use_symbolic
    np.testing.assert_allclose(block(X)[:, 0], before[:, 0])
    assert str(block.equation(1)) == "x0*x0"  # of an output for which nothing was set, what was found now


def test_it_is_judged_on_the_new_data() -> None:
    block = block_of("1", "x0")
    block.set_equation(0, "x0^2 + 0.1")
    block.distill(2 * X, engine=FormulaEngine("1"))
    own = block.fronts[0].best
    assert own.loss == pytest.approx(0.01)
    assert own.r2 is not None
    assert 0.99 < own.r2 < 1.0


def test_several_stay_and_the_latest_is_the_pick() -> None:
    block = block_of("1", "x0")
    block.set_equation(0, "x0^2 + 0.1")
    block.set_equation(0, "x0^2 + x1 + 0.1")
    block.set_equation(0, "x0^2 + 0.2")
    distill(block, "1", "x0*x0")
    assert [str(eq) for eq in block.fronts[0] if eq.own] == ["x0^2 + 0.2", "x0^2 + 0.1", "x0^2 + x1 + 0.1"]
    assert str(block.fronts[0].best) == "x0^2 + 0.2"


def test_what_is_found_again_is_there_once() -> None:
    block = block_of("1", "x0")
    block.set_equation(0, "x0*x0")
    distill(block, "1", "x0*x0")
    assert [str(eq) for eq in block.fronts[0]] == ["1", "x0*x0"]
    assert block.fronts[0].best.own


def test_another_can_be_chosen_and_what_was_set_taken_out() -> None:
    block = block_of("1", "x0")
    own = block.set_equation(0, "x0^2 + 0.1")
    distill(block, "1", "x0*x0")
    block.switch_to_symbolic(complexity={0: 4})
    assert str(block.equation(0)) == "x0*x0"
    assert own.complexity in block.fronts[0].complexities
    assert str(block.set_equation(0, None)) == "x0*x0"
    assert [str(eq) for eq in block.fronts[0]] == ["1", "x0*x0"]
    np.testing.assert_allclose(block(X)[:, 0], X[:, 0] ** 2)
    with pytest.raises(InputError, match="output 2 is out of range"):
        block.set_equation(2, None)


def test_there_must_be_others() -> None:
    block = SymbolicModel(torch.nn.Linear(2, 1), "line")
    block.set_equation(0, "x0")
    with pytest.raises(InputError, match="only what was set"):
        block.set_equation(0, None)
    assert str(block.equation(0)) == "x0"


def test_it_is_known_after_saving_and_loading() -> None:
    block = block_of("1", "x0")
    block.set_equation(0, "x0^2 + 0.1")
    again = SymbolicModel(block.symtorch_block, "law")
    again.load_state_dict(copy.deepcopy(block.state_dict()))
    distill(again, "1", "x0*x0")
    assert str(again.fronts[0].best) == "x0^2 + 0.1"


def test_over_other_variables_it_goes() -> None:
    block = block_of("1", "x0")
    block.set_equation(0, "x0^2 + 0.1")
    distill(block, "1", variable_transforms={"u": "x0^2"})
    assert [str(eq) for eq in block.fronts[0]] == ["1"]


def test_what_distill_returns_has_it() -> None:
    block = block_of("1", "x0")
    block.set_equation(0, "x0^2 + 0.1")
    fronts = block.distill(X, engine=FormulaEngine("1"))
    assert isinstance(fronts, dict)
    assert str(fronts[0].best) == "x0^2 + 0.1"
    only = block.distill(X, output_dim=0, engine=FormulaEngine("1"), sr_params={"elementwise_loss": "L1DistLoss()"})
    assert str(getattr(only, "best", None)) == "x0^2 + 0.1"
    assert not np.isfinite(block.fronts[0].best.loss)  # in the loss of that search it is not known
