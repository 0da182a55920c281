"""Searches done again: on other rows, behind other blocks; and the question that is asked of the block."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import symtorch
from symtorch.errors import InputError, NotDistilledError

X = np.random.default_rng(0).uniform(1.0, 3.0, (150, 2))
PARAMS = {
    "random_state": 0,
    "binary_operators": ["+", "*"],
    "unary_operators": ["square"],
    "niterations": 1,
    "maxsize": 7,
    "verbosity": 0,
}


def noisy(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    """A law, and errors that are a function of the row."""
    return lambda x: np.stack([factor * x[:, 0] * x[:, 1] + 0.02 * np.sin(9e4 * x[:, 0]), x[:, 0] + x[:, 1]], axis=1)


@pytest.fixture(scope="module")
def block() -> symtorch.SymbolicModel:
    block = symtorch.SymbolicModel(noisy(1.974), "noisy")
    block.distill(X, sr_params=PARAMS, ask=False, teachers=[noisy(2.05)])
    return block


def test_teachers_are_searched_on_the_same_rows(block: symtorch.SymbolicModel) -> None:
    found = block.stability(resamples=0, output=0)
    (only,) = found.recurrences
    assert (found.n_runs, found.share) == (1, 1.0)
    assert only.constants[0].value == pytest.approx(2.05, abs=0.01)


def test_resamples_take_turns_behind_the_teachers(block: symtorch.SymbolicModel) -> None:
    found = block.stability(resamples=4)
    assert list(found) == [0, 1]
    assert found[0].n_runs == 5
    assert found[0].share == 1.0
    (constant,) = found[0].recurrences[0].constants
    assert constant.value == pytest.approx(2.05, abs=0.01)  # the median of two near 1.974 and three near 2.05
    assert constant.standard_error == pytest.approx(0.04, abs=0.01)
    assert found[1].recurrences[0].skeleton == "x0 + x1"


def test_they_are_the_same_each_time(block: symtorch.SymbolicModel) -> None:
    once, again = (block.stability(resamples=2, output=0) for _ in range(2))
    assert once == again


def test_the_question_is_put_to_the_block(block: symtorch.SymbolicModel) -> None:
    found = block.alternatives(0)
    assert found.pick == block.fronts[0].best
    if found.question is not None:
        answer = noisy(1.974)(np.array([found.question]))[0, 0]
        assert found.answer == pytest.approx(answer)
    assert block.alternatives(0, ask=False).answer is None


def test_alternatives_are_found_behind_other_teachers() -> None:
    def cubic(x: np.ndarray) -> np.ndarray:
        return x[:, 0] * x[:, 1] + 1e-3 * np.sin(9e4 * x[:, 0])

    def other(x: np.ndarray) -> np.ndarray:
        return cubic(x) + 1e-3 * (x[:, 0] - 2.0) ** 2

    block = symtorch.SymbolicModel(cubic, "cubic")
    block.distill(X, sr_params=PARAMS, ask=False, teachers=[other])
    found = block.alternatives(0)
    if found.others:
        assert found.question is not None
        assert found.answer == pytest.approx(cubic(np.array([found.question]))[0])
        assert found.nearest in (found.pick, *found.others)


def test_networks_are_teachers_too() -> None:
    torch.manual_seed(0)
    nets = [torch.nn.Linear(2, 1).double() for _ in range(2)]
    block = symtorch.SymbolicModel(nets[0], "linear")
    block.distill(torch.as_tensor(X), sr_params=PARAMS | {"maxsize": 9}, teachers=[nets[1]])
    found = block.stability(resamples=0, output=0)
    assert found.share == 1.0
    predicted = found.recurrences[0].equation.predict(X)
    assert predicted == pytest.approx(nets[1](torch.as_tensor(X)).detach().numpy()[:, 0], rel=1e-6)


@pytest.mark.parametrize(
    ("teachers", "match"),
    [
        (["no block"], "expected a list of blocks"),
        (noisy(1.0), "expected a list of blocks"),
        ([lambda x: x[:, 0]], "can't answer the rows"),
        ([lambda x: np.full((len(x), 2), np.nan)], "NaN"),
    ],
)
def test_what_is_no_teacher_is_refused(teachers: Any, match: str) -> None:
    block = symtorch.SymbolicModel(noisy(1.0), "bad")
    with pytest.raises(InputError, match=match):
        block.distill(X, sr_params=PARAMS, ask=False, teachers=teachers)


def test_teachers_go_with_no_projection(block: symtorch.SymbolicModel) -> None:
    with pytest.raises(InputError, match="leave them out"):
        block.distill(X, sr_params=PARAMS, SLIME=True, teachers=[noisy(1.0)])


def test_there_must_be_something_to_do_again(block: symtorch.SymbolicModel) -> None:
    bad: Any
    for bad in (-1, True, 2.5):
        with pytest.raises(InputError, match="resamples"):
            block.stability(resamples=bad)
    with pytest.raises(InputError, match="out of range"):
        block.stability(resamples=1, output=7)
    with pytest.raises(NotDistilledError, match="done again"):
        copy.deepcopy(block).stability()  # a copy has no data
    alone = symtorch.SymbolicModel(noisy(1.0), "alone")
    with pytest.raises(NotDistilledError, match="done again"):
        alone.stability()
    alone.distill(X, sr_params=PARAMS, ask=False)
    with pytest.raises(InputError, match="nothing to compare"):
        alone.stability(resamples=0)
    alone.clear_cache()
    with pytest.raises(NotDistilledError):
        alone.stability()
    with pytest.raises(InputError, match="no data"):
        alone.alternatives(0)
