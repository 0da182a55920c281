"""Model files of earlier versions: read, whatever our classes are called and hold by now."""

import io
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from symtorch import SymbolicModel
from symtorch.equations.expr import constants

FIXTURES = Path(__file__).with_name("fixtures")
VERSIONS = [path.stem.removeprefix("values_") for path in sorted(FIXTURES.glob("values_*.npz"))]


def load(name: str, version: str) -> tuple[SymbolicModel, dict[str, np.ndarray]]:
    block = SymbolicModel.load(FIXTURES / f"{name}_{version}.symtorch", trusted=True)
    return block, dict(np.load(FIXTURES / f"values_{version}.npz"))


@pytest.mark.parametrize("version", VERSIONS)
def test_functions_trained_constants_and_data_come_back(version: Any) -> None:
    """Written by fixtures/write_model.py with the version in the name, as the next one."""
    block, values = load("plain", version)
    assert block.use_symbolic
    np.testing.assert_allclose(block(values["x"]), values["plain_symbolic"], rtol=1e-12)
    assert [block.equation(i).complexity for i in (0, 1)] == [4, 7]
    assert constants(block.equation(0).expr) == [1.625]
    assert constants(block.equation(1).expr) == [2.125, 0.375]
    assert constants(block.slime_fronts[0][0].expr) == [0.2]
    np.testing.assert_allclose(block.equation(0, 1, expand=True).predict(values["x"]), 0.1)
    assert block.suggest(0)[0].r2 > 0.5  # on the data that it was saved with
    block.switch_to_block()
    np.testing.assert_array_equal(block(values["x"]), values["plain_block"])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pruned_module_behind_local_equations_comes_back(version: Any) -> None:
    block, values = load("network", version)
    x = torch.from_numpy(values["x"]).float()
    assert (block.use_symbolic, block.training, block.symtorch_block.training) == (True, False, False)
    np.testing.assert_allclose(block(x), values["network_symbolic"], rtol=1e-6)
    assert (block.initial_dim, block.target_dim, block.current_dim) == (3, 2, 2)
    assert len(block.get_active_dimensions()) == 2
    assert block.surrogate.function.compiled is False
    block.switch_to_block()
    with torch.no_grad():
        np.testing.assert_allclose(block(x), values["network_block"], rtol=1e-6)


@pytest.mark.parametrize("name", ["plain", "network"])
@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_the_same_once_saved_anew(name: str, version: Any, tmp_path: Path) -> None:
    block, _ = load(name, version)
    block.save(tmp_path / "again", data=True)
    again = SymbolicModel.load(tmp_path / "again", trusted=True)
    assert torch.equal(again.get_extra_state(), block.get_extra_state())
    assert again.equations == block.equations


def names_of_ours(path: Path) -> set[str]:
    """The names of this package that a file of ``save`` refers to."""
    content = path.read_bytes()
    archive = zipfile.ZipFile(io.BytesIO(content[content.index(b"\n") + 1 :]))
    (pickle,) = (archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
    named = (str(argument) for op, argument, _ in pickletools.genops(pickle) if op.name == "GLOBAL")
    return {name for name in named if name.startswith("symtorch")}


@pytest.mark.parametrize("name", ["plain", "network"])
def test_a_file_of_now_names_no_class_of_ours_but_the_public_one(name: str, tmp_path: Path) -> None:
    block, _ = load(name, VERSIONS[0])
    SymbolicModel(nn.Sequential(block), "outer").save(tmp_path / "m", data=True)
    assert names_of_ours(tmp_path / "m") == {"symtorch.model SymbolicModel"}
    assert len(names_of_ours(FIXTURES / f"{name}_{VERSIONS[0]}.symtorch")) > 8  # as it was
