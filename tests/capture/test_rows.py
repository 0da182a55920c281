"""Whether a block is a function of its rows, what that costs to find out, and what is said where it is not."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from symtorch.capture.rows import Captured, Counted
from symtorch.capture.run import capture
from symtorch.errors import AskLimitError


class Calling(nn.Module):
    """A module whose call is a function of the tensor."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def captured(block: Any, data: Any) -> Captured:
    return capture({"block": block}, data)["block"]


def remembering() -> Any:
    """A function that gives another answer each time it is called."""
    calls = []

    def function(x: Any) -> Any:
        calls.append(len(x))
        return x[:, :1] + len(calls)

    return function


@pytest.mark.parametrize(
    ("block", "trouble"),
    [
        (Calling(lambda x: x + torch.randn_like(x)), "random"),
        (Calling(lambda x: nn.functional.dropout(x, 0.5, training=True)), "random"),
        (lambda x: x + np.random.default_rng().normal(size=x.shape), "random"),
        (remembering(), "random"),
        (Calling(lambda x: x - x.mean(0, keepdim=True)), "company"),
        (Calling(lambda x: x.cumsum(0)), "company"),
        (lambda x: x - x.mean(), "company"),
        (nn.Linear(4, 2), ""),
        (nn.Sequential(nn.BatchNorm1d(4), nn.Dropout()), ""),
        (lambda x: np.sin(x), ""),
    ],
)
def test_what_makes_a_block_no_function_of_its_rows_is_named(block: Any, trouble: Any) -> None:
    data = torch.randn(60, 4) if isinstance(block, nn.Module) else np.random.default_rng(0).normal(size=(60, 4))
    trial = captured(block, data).trial(block)
    assert trial.trouble == trouble
    assert (trial.teacher is None) == bool(trouble)


@pytest.mark.parametrize(
    "block",
    [
        Calling(lambda x: x.softmax(-2)),
        Calling(lambda x: x.cumsum(-2)),
        Calling(lambda x: x - x.mean((0, 1))),
    ],
    ids=["softmax", "running sum", "mean"],
)
def test_rows_of_a_sequence_have_company(block: Any) -> None:
    assert captured(block, torch.randn(6, 10, 4)).trial(block).trouble == "company"


def test_a_block_that_answers_otherwise_than_it_did_and_one_that_refuses() -> None:
    block = nn.Linear(3, 1)
    data = captured(block, torch.randn(50, 3))
    with torch.no_grad():
        block.bias += 1
    assert data.trial(block).trouble == "otherwise"

    def refuse(x: Any) -> None:
        raise RuntimeError("not today")

    assert data.trial(refuse).trouble == "refused"
    with_mask = Calling(None)
    with_mask.forward = lambda x, mask: x
    assert captured(with_mask, (torch.randn(9, 2), {"no": "tensor"})).trial(with_mask).trouble == "arguments"


@pytest.mark.parametrize("limit", [20, 100, 1000])
@pytest.mark.parametrize(
    "function", [lambda x: 2 * x, lambda x: x - x.mean(), lambda x: x + np.random.default_rng().normal(size=x.shape)]
)
def test_trying_a_block_out_counts_its_rows_and_keeps_the_limit(limit: Any, function: Any) -> None:
    asked = []

    def block(x: Any) -> Any:
        asked.append(len(x))
        return function(x)

    data = captured(block, np.random.default_rng(0).normal(size=(400, 2)))
    asked.clear()
    trial = data.trial(block, limit)
    assert trial.rows == sum(asked)
    assert 0 < trial.rows <= limit


def test_a_limit_that_is_too_low_asks_nothing() -> None:
    data = captured(nn.Linear(2, 1), torch.randn(50, 2))
    trial = data.trial(lambda x: pytest.fail("it was asked"), limit=10)
    assert (trial.teacher, trial.trouble, trial.rows) == (None, "limit", 0)


def test_a_block_that_takes_long_is_asked_for_a_few_rows_only() -> None:
    def block(x: Any) -> Any:
        time.sleep(0.02 * len(x))
        return x

    data = captured(lambda x: x, np.random.default_rng(0).normal(size=(50, 2)))
    trial = data.trial(block, dear=0.01)
    assert trial.trouble == "dear"
    assert trial.seconds >= 0.02
    assert trial.rows <= 16
    assert data.trial(block, dear=3600.0).teacher is not None


def test_a_counted_teacher_refuses_what_is_beyond_its_limit_and_answers_what_is_not() -> None:
    teacher = Counted(lambda X: X + 1, limit=10)
    teacher(np.zeros((6, 1)))
    with pytest.raises(AskLimitError, match="6 of 10 rows have been asked, and 5 more"):
        teacher(np.zeros((5, 1)))
    np.testing.assert_array_equal(teacher(np.zeros((4, 1))), np.ones((4, 1)))
    assert teacher.rows == 10
