"""Pruning: the schedules, the mask, and training with them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from symtorch import InputError, NotDistilledError, SymbolicModel
from symtorch.pruning import Pruning, keep, schedule


def scaled(*scales: float) -> nn.Linear:
    """A block whose outputs vary by these factors."""
    block = nn.Linear(1, len(scales))
    with torch.no_grad():
        block.weight[:, 0] = torch.tensor(scales)
    return block


def pruned(scales: Any = (1.0, 4.0, 2.0, 3.0), target: Any = 2, steps: Any = 10, **kwargs: Any) -> SymbolicModel:
    block = SymbolicModel(scaled(*scales), "message")
    block.setup_pruning(len(scales), target, steps, **kwargs)
    return block


# ---- schedules


def test_the_schedules_are_the_published_ones() -> None:
    end, span = 50, 14
    by_hand = {
        "exp": [16 - math.ceil(span * ((1 - math.exp(-3 * s / end)) / (1 - math.exp(-3)))) for s in range(end)],
        "linear": [16 - math.ceil(span * (s / end)) for s in range(end)],
        "cosine": [16 - math.ceil(span * (1 - (1 + math.cos(math.pi * (s / end))) / 2)) for s in range(end)],
    }
    for decay_rate, expected in by_hand.items():
        assert schedule(16, 2, 100, decay_rate=decay_rate) == dict(enumerate(expected + [2] * 50))
    # A few by mental arithmetic: half way, linear has pruned 7 of 14, cosine too, exp ceil(14 * 0.8176).
    assert [schedule(16, 2, 100, decay_rate=d)[25] for d in ("linear", "cosine", "exp")] == [9, 9, 4]


@pytest.mark.parametrize("decay_rate", ["exp", "linear", "cosine"])
@pytest.mark.parametrize("end_step_frac", [0, 0.3, 1])
def test_a_schedule_starts_whole_falls_and_ends_at_the_target(decay_rate: Any, end_step_frac: Any) -> None:
    left = schedule(10, 3, 20, end_step_frac, decay_rate)
    assert list(left) == list(range(20))
    counts = list(left.values())
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == (10 if end_step_frac else 3)
    assert all(c == 3 for c in counts[int(end_step_frac * 20) :])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((4, 5, 10), "target_dim 5 is more"),
        ((4, 0, 10), "target_dim is 0"),
        ((4, 2, 0), "total_steps is 0"),
        ((4, 2.5, 10), "target_dim is 2.5"),
        ((4, 2, 10, 1.5), "end_step_frac"),
        ((4, 2, 10, 0.5, "fast"), "decay_rate is 'fast'; expected one of 'exp'"),
    ],
)
def test_numbers_that_make_no_schedule(args: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        schedule(*args)


def test_of_equal_importance_the_first_are_kept() -> None:
    assert keep(torch.ones(5), 2).tolist() == [True, True, False, False, False]


def test_a_step_of_pruning_is_a_new_value() -> None:
    start = Pruning.start(3, 1, 10, end_step_frac=0.0, decay="exp")
    outputs = torch.randn(20, 3) * torch.tensor([1.0, 9.0, 3.0])
    after = start.at(4, outputs)
    assert (start.mask.tolist(), start.current_dim) == ([True] * 3, 3)
    assert (after.mask.tolist(), after.current_dim, after.target_dim) == ([False, True, False], 1, 1)
    assert start.at(4, outputs, lambda y: -y.std(dim=0)).mask.tolist() == [True, False, False]


# ---- the block


def test_the_most_varying_outputs_are_kept_and_the_others_are_zero() -> None:
    block = pruned()
    x = torch.randn(50, 1)
    full = block.symtorch_block(x)
    assert torch.equal(block(x), full)
    assert block.get_active_dimensions() == [0, 1, 2, 3]
    block.prune(9, x)
    assert block.get_active_dimensions() == [1, 3]
    assert (block.initial_dim, block.target_dim, block.current_dim) == (4, 2, 2)
    assert torch.equal(block(x), full * torch.tensor([0, 1, 0, 1]))


def test_each_step_keeps_as_many_as_the_schedule_says() -> None:
    block = pruned(scales=tuple(range(1, 17)), target=2, steps=100, decay_rate="linear")
    x = torch.randn(50, 1)
    for step in (0, 10, 25, 49, 50, 99):
        block.prune(step, x)
        n_kept = block.pruning_schedule[step]
        assert block.current_dim == n_kept
        assert block.get_active_dimensions() == list(range(16 - n_kept, 16))
    block.prune(100, x)
    block.prune(-1, x)
    assert block.current_dim == 2


def test_gradients_flow_through_the_kept_outputs_only() -> None:
    block = pruned()
    x = torch.randn(50, 1)
    block.prune(9, x)
    block(x).square().sum().backward()
    grad = block.symtorch_block.weight.grad[:, 0]
    assert (grad[[1, 3]] != 0).all()
    assert (grad[[0, 2]] == 0).all()


def test_an_infinite_pruned_output_does_no_harm() -> None:
    block = pruned()
    x = torch.randn(50, 1)
    block.prune(9, x)
    with torch.no_grad():
        block.symtorch_block.bias[0] = math.inf
    block(x).sum().backward()
    assert torch.isfinite(block(x)).all()
    assert torch.isfinite(block.symtorch_block.weight.grad).all()


def test_any_rank_and_a_parent_that_calls_the_block_twice() -> None:
    class Parent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = pruned()
            self.drop = nn.Dropout()

        def forward(self, x: Any) -> Any:
            return self.block(self.drop(x)).sum() + self.block(x[:2] * 2).sum()

    model = Parent().train()
    model.drop.eval()
    model.block.prune(9, torch.randn(5, 10, 1), parent_model=model)
    assert model.block.get_active_dimensions() == [1, 3]
    assert model.training
    assert model.block.training
    assert not model.drop.training
    assert model.block(torch.randn(2, 3, 1)).shape == (2, 3, 4)


def test_within_distributed_training(tmp_path: Path) -> None:
    distributed = pytest.importorskip("torch.distributed")
    if not distributed.is_available() or not distributed.is_gloo_available():
        pytest.skip("needs the gloo backend")
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        model = nn.Sequential(pruned(), nn.Linear(4, 1))
        parallel = nn.parallel.DistributedDataParallel(model).train()
        optimizer = torch.optim.SGD(parallel.parameters(), lr=0.01)
        x = torch.randn(50, 1)
        mask = model[0].pruning_mask
        for step in range(10):
            optimizer.zero_grad()
            parallel(x).square().mean().backward()
            optimizer.step()
            model[0].prune(step, x, parent_model=parallel)
        assert model[0].pruning_mask is mask  # the very buffer that the processes share
        assert len(model[0].get_active_dimensions()) == 2
        assert parallel.training
        assert all(p.grad is not None for p in parallel.parameters())
    finally:
        distributed.destroy_process_group()


def test_importance_may_be_any_function_of_the_outputs() -> None:
    block = pruned()
    block.prune(9, torch.randn(50, 1), importance=lambda y: -y.abs().mean(dim=0))
    assert block.get_active_dimensions() == [0, 2]
    with pytest.raises(InputError, match="one number for each of 4 outputs"):
        block.prune(9, torch.randn(50, 1), importance=lambda y: y.std())
    assert block.get_active_dimensions() == [0, 2]


def test_pruning_between_forward_and_backward() -> None:
    block = pruned()
    x = torch.randn(50, 1)
    loss = block(x).square().sum()
    block.prune(9, x)
    loss.backward()
    assert (block.symtorch_block.weight.grad != 0).all()


def test_pruning_before_it_is_set_up_raises() -> None:
    block = SymbolicModel(nn.Linear(1, 4))
    with pytest.raises(RuntimeError, match="setup_pruning"):
        block.prune(0, torch.randn(5, 1))
    with pytest.raises(RuntimeError, match="setup_pruning"):
        block.get_active_dimensions()
    with pytest.raises(ValueError, match="plain callable"):
        SymbolicModel(torch.sin).setup_pruning(4, 2, 10)


def test_a_block_of_another_width_is_named() -> None:
    block = SymbolicModel(nn.Linear(1, 4), "message")
    block.setup_pruning(5, 2, 10)
    with pytest.raises(InputError, match="'message' has 4 outputs; setup_pruning was told initial_dim=5"):
        block.prune(9, torch.randn(20, 1))


# ---- distilling what is left


def test_only_the_kept_outputs_are_distilled_and_switched(engine: Any) -> None:
    block = pruned()
    x = torch.randn(100, 1)
    block.prune(9, x)
    fronts = block.distill(x, engine=engine)
    assert list(fronts) == [1, 3]
    with pytest.raises(InputError, match="output_dim 0 has been pruned"):
        block.distill(x, output_dim=0, engine=engine)
    before = block(x)
    for complexity in (None, [None, None], [fronts[1].complexities[-1], fronts[3].complexities[-1]]):
        block.switch_to_symbolic(complexity)
        torch.testing.assert_close(block(x), before, rtol=1e-4, atol=1e-4)
        assert (block(x)[:, [0, 2]] == 0).all()
        block.switch_to_block()
    block.switch_to_symbolic()
    block.prune(9, x * 2)
    assert block.use_symbolic


def test_what_was_found_is_kept_where_it_does_not_suffice_for_the_block(engine: Any) -> None:
    block = pruned()
    x = torch.randn(100, 1)
    block.prune(9, x)
    block.distill(x, engine=engine)
    block.switch_to_symbolic()
    block.setup_pruning(4, 2, 10)  # outputs 0 and 2 are back
    with pytest.raises(NotDistilledError, match=r"outputs \[2\]"):
        block.distill(x, output_dim=0, engine=engine)
    assert list(block.fronts) == [0, 1, 3]
    assert not block.use_symbolic
    block.load_state_dict(block.state_dict())
    assert list(block.fronts) == [0, 1, 3]


def test_a_state_with_outputs_that_are_back_loads(engine: Any) -> None:
    block = pruned()
    x = torch.randn(100, 1)
    block.prune(9, x)
    block.distill(x, engine=engine)
    block.switch_to_symbolic()
    block.setup_pruning(4, 2, 10)
    other = SymbolicModel(nn.Linear(1, 4))
    other.load_state_dict(block.state_dict())
    assert list(other.fronts) == [1, 3]
    assert not other.use_symbolic


def test_the_mask_is_a_buffer_and_follows_the_model() -> None:
    block = pruned()
    block.prune(9, torch.randn(50, 1))
    other = SymbolicModel(nn.Linear(1, 4))
    other.load_state_dict(block.state_dict())
    assert other.pruning_mask.tolist() == [False, True, False, True]
    assert other.pruning_schedule == block.pruning_schedule
    assert "pruning_mask" not in SymbolicModel(nn.Linear(1, 4)).state_dict()
    assert block.to("meta").pruning_mask.device.type == "meta"
