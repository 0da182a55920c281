"""The old names still work, and say what the new ones are."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from linear_engine import LinearEngine
from torch import nn

import symtorch
from symtorch import InputError, StateError, SymbolicModel


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


def test_the_old_class_takes_its_old_arguments() -> None:
    with pytest.warns(DeprecationWarning, match="use SymbolicModel"):
        SymbolicMLP = symtorch.SymbolicMLP
    layer = nn.Linear(3, 2)
    for made in (SymbolicMLP(mlp=layer, mlp_name="edge"), SymbolicMLP(layer, block_name="edge")):
        assert isinstance(made, SymbolicModel)
        assert made.symtorch_block is layer
        assert made.block_name == "edge"
    with pytest.raises(InputError, match="block is a NoneType"):
        SymbolicMLP()
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = symtorch.Nothing


def test_saving_and_loading_under_their_old_names(block: SymbolicModel, tmp_path: Path) -> None:
    path = tmp_path / "model"
    with pytest.warns(DeprecationWarning, match=r"use save\(path\)"):
        block.save_model(path, save_pytorch=True)
    with pytest.warns(DeprecationWarning, match=r"use load\(path, trusted=True\)"):
        loaded = SymbolicModel.load_model(path, nn.Linear(3, 2), device="cpu", trusted=True)
    assert loaded.fronts == block.fronts
    with pytest.warns(DeprecationWarning, match="load_model"), pytest.raises(StateError, match="trusted=True"):
        SymbolicModel.load_model(path)


def test_the_captured_data_under_its_old_name(block: SymbolicModel) -> None:
    data = block.distill_data
    assert data is not None
    assert data["sr_inputs"].shape == (100, 3)
    assert data["sr_outputs"].shape == (100, 2)
    block.clear_cache()
    assert block.distill_data is None
    assert SymbolicModel(nn.Linear(3, 2)).distill_data is None


def test_data_of_both_kinds_of_distillation_with_what_they_were_called_with(engine: LinearEngine) -> None:
    block = SymbolicModel(nn.Linear(3, 2), "lin")
    assert block.distill_data is None
    assert block.distill_data_slime is None
    inputs, parent = torch.randn(100, 4), nn.Sequential(nn.Linear(4, 3), block)
    block.distill(inputs, parent_model=parent, engine=engine)
    assert block.distill_data is not None
    assert block.distill_data["parent_model"] is parent
    np.testing.assert_array_equal(block.distill_data["inputs"], inputs.numpy())
    assert "slime_params" not in block.distill_data
    assert block.distill_data_slime is None
    block.distill(
        torch.ones(3) * torch.arange(50.0)[:, None], SLIME=True, slime_params={"x": np.zeros(3)}, engine=engine
    )
    local = block.distill_data_slime
    assert local is not None
    assert local["inputs"].shape == (50, 3)  # nobody else has them any more: the captured rows
    assert local["slime_params"]["J_nn"] == SymbolicModel.DEFAULT_SLIME_PARAMS["J_nn"]
    assert local["parent_model"] is None
    again = copy.deepcopy(block)
    assert again.distill_data is None
    block.clear_cache()
    assert block.distill_data is None
    assert block.distill_data_slime is None


def test_the_number_of_outputs_can_be_said_if_it_is_right(block: SymbolicModel) -> None:
    block.output_dims = 2
    assert block.output_dims == block.n_outputs == 2
    with pytest.raises(InputError, match="output_dims is 3; the block has 2 outputs"):
        block.output_dims = 3
    fresh = SymbolicModel(nn.Linear(3, 2))
    assert fresh.output_dims is None
    fresh.output_dims = 2
    assert fresh.output_dims == 2
    with pytest.raises(InputError, match="output_dims is 0"):
        fresh.output_dims = 0


@pytest.mark.parametrize(
    ("name", "new"),
    [("_using_equation", "use_symbolic"), ("_equation_funcs", "get_symbolic_function"), ("mlp", "block")],
)
def test_names_that_are_gone_say_what_to_use(block: SymbolicModel, name: str, new: str) -> None:
    with pytest.raises(AttributeError, match=f"no '{name}' any more; use .*{new}"):
        getattr(block, name)
    assert not hasattr(block, "nothing")


@pytest.mark.parametrize(("name", "new"), [("PySRRegressor", "engine='pysr'"), ("PruningMLP", "setup_pruning")])
def test_names_of_the_package_that_are_gone_say_what_to_use(name: str, new: str) -> None:
    with pytest.raises(AttributeError, match=f"no '{name}' any more; use .*{new}"):
        getattr(symtorch, name)


def test_showing_goes_on_after_an_output_without_equations(engine: LinearEngine, capsys: pytest.CaptureFixture) -> None:
    block = SymbolicModel(nn.Linear(3, 3), "lin")
    block.distill(torch.randn(100, 3), output_dim=1, engine=engine)
    block.show_symbolic_expression(dim=[0, 1, 7])
    printed = capsys.readouterr().out
    assert "output 0 has no equations yet; there are outputs [1]." in printed
    assert "chosen: y1 =" in printed
    assert "output 7 of 'lin' is out of range" in printed
    block.show_symbolic_expression(dim=[1, 1], complexity=[99, 5])
    printed = capsys.readouterr().out
    assert "no equation of complexity 99; there are [1, 5]." in printed
    assert "complexity 5" in printed
