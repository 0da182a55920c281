"""What save writes: the block, the document, and whatever else the object has, wherever it stands."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine
from linear_engine import LinearEngine
from torch import nn

from symtorch import SymbolicModel
from symtorch.state import budget


class Noted(SymbolicModel):
    """A subclass with state of its own, and an __init__ of its own."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, 1), "noted")
        self.note = "hello"
        self.register_buffer("seen", torch.arange(3))
        self.head = nn.Linear(1, 1)


X = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))


def saved_and_loaded(block: SymbolicModel, tmp_path: Path, cls: type[SymbolicModel] = SymbolicModel) -> SymbolicModel:
    block.save(tmp_path / "m")
    return cls.load(tmp_path / "m", trusted=True)


def test_a_subclass_keeps_its_attributes_modules_and_mode(tmp_path: Path) -> None:
    block = Noted(2)
    block.eval()
    block.distill(X, engine=LinearEngine())
    block.switch_to_symbolic()
    other = saved_and_loaded(block, tmp_path, Noted)
    assert type(other) is Noted
    assert (other.note, other.training, other.head.training) == ("hello", False, False)
    assert other.seen.tolist() == [0, 1, 2]
    assert list(other.state_dict()) == list(block.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(other.state_dict().values(), block.state_dict().values(), strict=True))
    assert [name for name, _ in other.named_parameters()] == [name for name, _ in block.named_parameters()]
    assert torch.equal(other(X), block(X))


def test_hooks_and_gradients_wanted_come_back(tmp_path: Path) -> None:
    block = SymbolicModel(nn.Linear(2, 1).requires_grad_(False), "b")
    block.register_forward_hook(double)
    block.distill(X, engine=LinearEngine())
    block.switch_to_symbolic()
    block.trainable_constants()
    other = saved_and_loaded(block, tmp_path)
    assert torch.equal(other(X), block(X))
    assert [p.requires_grad for p in other.parameters()] == [False, False, True]


def double(module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    return 2 * output


def test_wrapped_blocks_within_the_block_come_back_too(tmp_path: Path) -> None:
    inner = SymbolicModel(nn.Linear(2, 2), "inner")
    inner.distill(X, engine=LinearEngine(), variable_transforms={"a": "x0", "b": lambda x: x[:, 1] + 1})
    inner.switch_to_symbolic()
    outer = SymbolicModel(nn.Sequential(inner, nn.Tanh(), inner), "outer")
    outer.distill(X, engine=FormulaEngine("x0", "x0 + x1"))
    other = saved_and_loaded(outer, tmp_path)
    assert torch.equal(other(X), outer(X))
    assert other.fronts == outer.fronts
    assert other.symtorch_block[0] is other.symtorch_block[2]
    assert other.symtorch_block[0].fronts == inner.fronts


def test_a_document_that_a_state_dict_refuses_goes_into_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    block = SymbolicModel(nn.Linear(2, 1), "large")
    block.distill(X, engine=LinearEngine())
    monkeypatch.setattr(budget, "MAX_BYTES", 100)
    other = saved_and_loaded(block, tmp_path)
    assert other.fronts == block.fronts
    assert not caplog.records
    with pytest.raises(ValueError, match="bytes, more than 100"):
        other.load_state_dict(block.state_dict())


def test_a_name_made_from_an_id_is_the_files(tmp_path: Path) -> None:
    block = SymbolicModel(nn.Linear(2, 1))
    assert saved_and_loaded(block, tmp_path).block_name == block.block_name
    named = saved_and_loaded(SymbolicModel(np.sin, "sine"), tmp_path)
    assert named.block_name == "sine"
    with pytest.raises(RuntimeError, match="'sine' has no equations yet"):
        named.switch_to_symbolic()


def test_copies_and_pickles_of_now_are_whole(tmp_path: Path) -> None:
    block = Noted(2)
    block.distill(X, engine=LinearEngine())
    block.switch_to_symbolic()
    block.compile(backend="eager")  # which is no part of a copy
    buffer = io.BytesIO()
    torch.save(block, buffer)
    buffer.seek(0)
    other = torch.load(buffer, weights_only=False)
    assert torch.equal(other(X), block(X))
    assert other.note == "hello"
    assert saved_and_loaded(block, tmp_path, Noted).note == "hello"
