"""The old names still work, and say what the new ones are."""

from __future__ import annotations

import pytest
import torch
from linear_engine import LinearEngine
from torch import nn

import symtorch
from symtorch import SymbolicModel


@pytest.fixture
def block(engine: LinearEngine) -> SymbolicModel:
    block = SymbolicModel(nn.Linear(3, 2), "lin")
    block.distill(torch.randn(100, 3), engine=engine)
    return block


def test_results_are_there_under_their_old_names(block: SymbolicModel) -> None:
    assert block.pysr_regressor is block.fronts
    assert block.SLIME_pysr_regressor == {}
    assert block.output_dims == 2
    table = block.pysr_regressor[0].equations_
    assert {"complexity", "loss", "score", "equation", "sympy_format"} <= set(table.columns)
    assert block.pysr_regressor[0].get_best()["equation"] == table.iloc[-1]["equation"]


def test_old_methods_work_with_a_deprecation_warning(block: SymbolicModel) -> None:
    with pytest.warns(DeprecationWarning, match="use switch_to_symbolic"):
        block.switch_to_equation(complexity=None)
    assert block.use_symbolic
    with pytest.warns(DeprecationWarning, match="use switch_to_block"):
        block.switch_to_mlp()
    assert not block.use_symbolic


def test_the_old_class_name() -> None:
    with pytest.warns(DeprecationWarning, match="use SymbolicModel"):
        assert symtorch.SymbolicMLP is SymbolicModel
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = symtorch.Nothing
