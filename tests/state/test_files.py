"""A model as one file: whole or not there, trusted or not loaded."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine
from linear_engine import LinearEngine
from torch import nn

from symtorch import SymbolicModel
from symtorch.errors import InputError, StateError
from symtorch.state.files import write_atomically


def plain_block() -> SymbolicModel:
    """A lambda as the block, lambdas as variables: nothing that a state_dict could hold."""
    factor = 3.0
    block = SymbolicModel(lambda x: factor * x[:, :1] - x[:, 1:] ** 2, "plain")
    X = np.random.default_rng(0).normal(size=(80, 2))
    transforms = {"a": lambda x: x[:, 0], "b": lambda x: x[:, 1] ** 2}
    block.distill(X, engine=LinearEngine(), variable_transforms=transforms)
    block.switch_to_symbolic(5)
    return block


def test_functions_travel_with_the_model_into_another_process(tmp_path: Path) -> None:
    block = plain_block()
    path = tmp_path / "model.symtorch"
    block.save(path)
    X = np.random.default_rng(1).normal(size=(5, 2))
    script = f"""
import numpy as np, symtorch
block = symtorch.SymbolicModel.load({str(path)!r}, trusted=True)
X = np.random.default_rng(1).normal(size=(5, 2))
symbolic = block(X)
block.switch_to_block()
np.save({str(tmp_path / "out.npy")!r}, np.stack([symbolic, block(X)]))
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    symbolic, plain = np.load(tmp_path / "out.npy")
    np.testing.assert_array_equal(symbolic, block(X))
    block.switch_to_block()
    np.testing.assert_array_equal(plain, block(X))
    assert sorted(os.listdir(tmp_path)) == ["model.symtorch", "out.npy"]


def test_a_module_comes_back_whole_and_its_data_where_asked(tmp_path: Path) -> None:
    X = torch.randn(60, 2)
    block = SymbolicModel(nn.Linear(2, 1), "linear")
    engine = LinearEngine()
    block.distill(X, engine=engine)
    block.switch_to_symbolic()
    block.save(tmp_path / "bare")
    block.save(tmp_path / "with data", data=True)
    bare = SymbolicModel.load(tmp_path / "bare", trusted=True)
    full = SymbolicModel.load(tmp_path / "with data", trusted=True, map_location="cpu")
    for other in (bare, full):
        assert torch.equal(other(X), block(X))
        assert other.fronts == block.fronts
    with pytest.raises(InputError, match="there is no data"):
        bare.suggest(0)
    assert full.suggest(0) == block.suggest(0)
    again = full.distill(X, engine=engine)
    assert again == block.fronts


def test_nothing_is_loaded_that_is_not_trusted(tmp_path: Path) -> None:
    plain_block().save(tmp_path / "m")
    with pytest.raises(StateError, match=r"runs code that is in it.*trusted=True.*state_dict"):
        SymbolicModel.load(tmp_path / "m")


@pytest.mark.parametrize("at", [-1, -100, 400, 1000])
def test_damage_is_noticed(tmp_path: Path, at: Any) -> None:
    path = tmp_path / "m"
    plain_block().save(path)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(StateError, match=r"damaged.*Nothing of it was loaded"):
        SymbolicModel.load(path, trusted=True)
    path.write_bytes(data[:at])
    with pytest.raises(StateError, match="damaged"):
        SymbolicModel.load(path, trusted=True)


def test_other_files_are_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "m"
    for content in (b"", b"PK\x03\x04 a zip", b"symtorch"):
        path.write_bytes(content)
        with pytest.raises(StateError, match=r"not a file that SymbolicModel\.save has written"):
            SymbolicModel.load(path, trusted=True)
    for header in (b"{", b"[]", b'{"schema": 1}', b'{"schema": "one", "size": 1, "sha256": "", "versions": {}}'):
        path.write_bytes(b"symtorch model " + header + b"\n")
        with pytest.raises(StateError, match="its header can't be read"):
            SymbolicModel.load(path, trusted=True)
    later = {"schema": 99, "size": 1, "sha256": "", "versions": {"symtorch": "9.0"}}
    path.write_bytes(b"symtorch model " + json.dumps(later).encode() + b"\n")
    with pytest.raises(StateError, match=r"schema 99, written by a later version.*9\.0"):
        SymbolicModel.load(path, trusted=True)
    with pytest.raises(FileNotFoundError):
        SymbolicModel.load(tmp_path / "none", trusted=True)


def test_a_class_that_is_not_there_is_named(tmp_path: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import there, symtorch
symtorch.SymbolicModel(there.Block(), "b").save({str(tmp_path / "m")!r})
"""
    (tmp_path / "there.py").write_text(
        "from torch import nn\nclass Block(nn.Linear):\n    def __init__(self):\n        super().__init__(2, 1)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(StateError, match=r"is whole, but can't be loaded here: ModuleNotFoundError.*'there'"):
        SymbolicModel.load(tmp_path / "m", trusted=True)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(*args: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_model_that_cannot_be_saved_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m"
    plain_block().save(path)
    before = path.read_bytes()
    generator = (i for i in range(3))
    block = SymbolicModel(lambda x: x + next(generator), "no")
    with pytest.raises(TypeError):
        block.save(path)
    assert path.read_bytes() == before


def test_whole_models_are_saved_by_torch_too(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 3), SymbolicModel(nn.Linear(3, 1), "b"))
    x = torch.randn(50, 3)
    net[1].distill(x, parent_model=net, engine=FormulaEngine("0.5", "x0 + x1"), variable_transforms=["x0", "x1^2"])
    net[1].switch_to_symbolic(4)
    torch.save(net, tmp_path / "net.pt")
    assert torch.equal(torch.load(tmp_path / "net.pt", weights_only=False)(x), net(x))
