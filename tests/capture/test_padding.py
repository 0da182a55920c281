"""Padding is no data: rows that a mask leaves out are neither kept nor summed up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from symtorch import InputError, SymbolicModel
from symtorch.capture import capture
from symtorch.capture.moments import Moments


class Model(nn.Module):
    """A block on embedded tokens; flat: on (batch * length, width), as routers and some kernels have it."""

    def __init__(self, flat: bool = False) -> None:
        super().__init__()
        self.embed, self.block, self.flat = nn.Embedding(50, 4), nn.Linear(4, 3), flat

    def forward(self, tokens: torch.Tensor, attention_mask: Any = None, keep: Any = None) -> torch.Tensor:
        x = self.embed(tokens)
        return self.block(x.reshape(-1, 4) if self.flat else x)


TOKENS = torch.randint(50, (6, 5, 8), generator=torch.Generator().manual_seed(0))
LENGTHS = torch.randint(0, 9, (6, 5), generator=torch.Generator().manual_seed(1))
MASK = torch.arange(8) < LENGTHS.unsqueeze(-1)


def batches(**members: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    return [{"tokens": t, **{k: v[i] for k, v in members.items()}} for i, t in enumerate(TOKENS)]


def captured(model: Model, data: Any, **how: Any) -> Any:
    return capture({"block": model.block}, data, model=model, **how)["block"]


def real_rows(model: Model) -> np.ndarray:
    return model.embed(TOKENS)[MASK].detach().double().numpy()


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float32])
def test_the_usual_mask_is_found(dtype: torch.dtype, flat: Any) -> None:
    model = Model(flat)
    found = captured(model, batches(attention_mask=MASK.to(dtype)), moments=0.0)
    expected = real_rows(model)
    np.testing.assert_array_equal(found.X, expected)
    np.testing.assert_allclose(found.Y, model.block(torch.from_numpy(expected).float()).detach(), rtol=1e-5, atol=1e-6)
    assert found.n_seen == MASK.sum()
    np.testing.assert_allclose(found.halves.whole.xx, Moments.of(found.X, found.Y).xx, rtol=1e-5, atol=1e-4)


def test_few_rows_are_drawn_of_those_that_count_only() -> None:
    model = Model()
    found = captured(model, batches(attention_mask=MASK), max_rows=30)
    assert found.n_rows == 30
    np.testing.assert_array_equal(found.X, real_rows(model)[found.rows])


@pytest.mark.parametrize("rows", ["keep", lambda batch: batch["keep"], lambda batch: batch["keep"].numpy()])
def test_a_mask_may_be_named_or_computed(rows: Any) -> None:
    model = Model()
    data = batches(keep=MASK.int(), attention_mask=torch.ones_like(MASK))
    np.testing.assert_array_equal(captured(model, data, rows=rows).X, real_rows(model))


@pytest.mark.parametrize("mask", [torch.ones(6, 5, 9), torch.zeros(6, 5, 1, 8, 8), -1e9 * torch.rand(6, 5, 8)])
def test_a_usual_mask_that_says_something_else_is_left_aside(mask: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "symtorch")
    assert captured(Model(), batches(attention_mask=mask)).n_seen == TOKENS.numel()
    assert caplog.text.count("does not fit") == (0 if (mask < 0).any() else 1)


def test_all_rows_count_where_the_user_says_so() -> None:
    assert captured(Model(), batches(attention_mask=MASK), rows=None).n_seen == TOKENS.numel()
    assert captured(Model(), list(TOKENS)).n_seen == TOKENS.numel()


def test_a_batch_of_nothing_but_padding_leaves_no_row() -> None:
    data = batches(attention_mask=MASK & (torch.arange(6) % 2 == 1)[:, None, None])
    model = Model()
    found = captured(model, data, moments=0.0)
    np.testing.assert_array_equal(found.X, model.embed(TOKENS[1::2])[MASK[1::2]].detach().double().numpy())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("keep", r"no mask 'keep'; it is \['tokens'\]"),
        (lambda batch: None, "mask of rows is NoneType"),
        (lambda batch: torch.rand(5, 8), "other values than 0 and 1"),
        (lambda batch: torch.ones(5), r"shape \(5,\), the block is called with leading dimensions \(5, 8\)"),
        (3, "rows is a int"),
        (torch.ones(5, 8), "rows is a Tensor"),
    ],
)
def test_mistakes_say_what_to_do(rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        captured(Model(), batches(), rows=rows)


def test_distill_and_fidelity_count_tokens_only(engine: Any) -> None:
    model = Model()
    block = SymbolicModel(model.block)
    model.block = block
    block.distill(batches(attention_mask=MASK), parent_model=model, engine=engine, held_out=0.0)
    assert engine.searches[0].n_samples == MASK.sum()
    assert block.fidelity(batches(attention_mask=MASK), model)[0].n_rows == MASK.sum()
    assert block.fidelity(batches(attention_mask=MASK), model, rows=None)[0].n_rows == MASK.numel()
