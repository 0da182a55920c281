"""Passes end after the last block where nobody can tell, and are whole wherever somebody could."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from symtorch.capture import capture


class Counting(nn.Module):
    """Counts its calls outside of itself, so that it leaves no trace in the model."""

    def __init__(self, calls: list) -> None:
        super().__init__()
        self.note = calls.append

    def forward(self, x: Any) -> Any:
        self.note(len(x))
        return x


def batches(n: int, rows: int = 20) -> list[torch.Tensor]:
    return list(torch.randn(n, rows, 3).unbind())


def model_of(tail: nn.Module, *blocks: nn.Module) -> nn.Sequential:
    return nn.Sequential(*(blocks or (nn.Linear(3, 3),)), tail)


def n_whole(data: Any, tail_of: Any = lambda tail: tail, **how: Any) -> int:
    """How many passes on these batches were whole."""
    calls: list[int] = []
    model = model_of(tail_of(Counting(calls)))
    captured = capture({"block": model[0]}, data, model=model, **how)["block"]
    x = torch.cat([batch if isinstance(batch, torch.Tensor) else batch[0] for batch in data])
    np.testing.assert_array_equal(captured.X, x.double())
    np.testing.assert_allclose(captured.Y, model[0](x).detach(), rtol=1e-5, atol=1e-6)
    return len(calls)


def test_what_comes_after_the_last_block_is_run_now_and_then_only() -> None:
    assert n_whole(batches(40)) == 6  # passes 1, 2, 4, 8, 16 and 32


def test_batches_of_another_shape_run_whole_at_first() -> None:
    assert n_whole([*batches(5), *batches(5, rows=7)]) == 3 + 1 + 1  # 1, 2, 4; 6; 8


def test_all_blocks_are_waited_for_in_whatever_order_they_end() -> None:
    calls: list[int] = []
    inner = nn.Linear(3, 3)
    outer = nn.Sequential(inner, nn.Tanh())
    model = model_of(Counting(calls), outer, nn.Linear(3, 2))
    data = batches(8)
    captured = capture({"last": model[1], "outer": outer, "inner": inner}, data, model=model)
    assert len(calls) == 4
    for found in captured.values():
        assert found.n_seen == 160
    np.testing.assert_allclose(np.tanh(captured["inner"].Y), captured["outer"].Y, atol=1e-6)
    np.testing.assert_array_equal(captured["outer"].Y, captured["last"].X)


def test_a_forward_of_ones_own_runs_to_its_end() -> None:
    assert n_whole(batches(10), forward=lambda model, batch: model(batch)) == 10


class WithHook(nn.Sequential):
    def __init__(self, tail: Any) -> None:
        super().__init__(tail)
        self.register_forward_hook(lambda module, args, output: None)


class WithForward(nn.Sequential):
    def __init__(self, tail: Any) -> None:
        super().__init__(tail)
        self.forward = super().forward


class WithCounter(nn.Sequential):
    def __init__(self, tail: Any) -> None:
        super().__init__(tail)
        self.n = 0

    def forward(self, x: Any) -> Any:
        self.n += 1
        return super().forward(x)


class WithHistory(nn.Sequential):
    def __init__(self, tail: Any) -> None:
        super().__init__(tail)
        self.seen: dict[str, list[Any]] = {"x": []}

    def forward(self, x: Any) -> Any:
        self.seen["x"].append(x)
        return super().forward(x)


class WithBuffer(nn.Sequential):
    def __init__(self, tail: Any) -> None:
        super().__init__(tail)
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x: Any) -> Any:
        self.mean.lerp_(x.mean(0), 0.1)
        return super().forward(x)


@pytest.mark.parametrize("tail_of", [WithHook, WithForward, WithCounter, WithHistory, WithBuffer])
def test_a_model_in_which_a_pass_leaves_something_runs_whole(tail_of: Any) -> None:
    assert n_whole(batches(10), tail_of) == 10


def test_a_model_that_is_set_back_at_its_end_is_left_as_it_was() -> None:
    class Switching(nn.Module):
        def __init__(self, calls: Any) -> None:
            super().__init__()
            self.block, self.tail, self.mode = nn.Linear(3, 2), Counting(calls), "idle"

        def forward(self, x: Any) -> Any:
            assert self.mode == "idle"
            self.mode = "busy"
            x = self.tail(self.block(x))
            self.mode = "idle"
            return x

    calls: list[int] = []
    model = Switching(calls)
    assert capture({"block": model.block}, batches(10), model=model)["block"].n_seen == 200
    assert model.mode == "idle"
    assert len(calls) == 9  # but for the third pass


def test_every_call_of_a_block_that_is_called_several_times_counts() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Linear(3, 3)

        def forward(self, x: Any, n: Any) -> Any:
            for _ in range(n):
                x = self.block(x)
            return x

    model = Loop()
    data = [(x, 3) for x in batches(10)]
    assert capture({"block": model.block}, data, model=model)["block"].n_seen == 600
    data = [(x, 1 + i % 3) for i, x in enumerate(batches(9))]
    assert capture({"block": model.block}, data, model=model)["block"].n_seen == 20 * 18


def test_a_number_of_calls_that_depends_on_values_is_noticed_and_told(caplog: pytest.LogCaptureFixture) -> None:
    class Adaptive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            return self.block(self.block(x)) if x[0, 0] > 100 else self.block(x)

    model = Adaptive()
    data = batches(20)
    for x in data[7:]:
        x[0, 0] = 200
    with caplog.at_level(logging.WARNING, "symtorch"):
        capture({"block": model.block}, data, model=model)
    assert "another order or number" in caplog.text
    assert "forward=" in caplog.text


def test_an_error_in_the_model_comes_through_and_so_does_one_after_an_early_end() -> None:
    class Failing(nn.Module):
        def __init__(self, at: Any) -> None:
            super().__init__()
            self.block, self.at = nn.Linear(3, 2), at

        def forward(self, x: Any) -> Any:
            if bool((x == 7).any()):
                raise ZeroDivisionError("mine")
            return self.block(x)

    data = batches(10)
    data[6][0, 0] = 7
    model = Failing(6)
    with pytest.raises(ZeroDivisionError, match="mine"):
        capture({"block": model.block}, data, model=model)
    assert not model.block._forward_hooks
    assert torch.is_grad_enabled()


def test_a_model_that_catches_every_exception_changes_nothing() -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            try:
                return self.block(x)
            except:  # noqa: E722
                return None

    model = Careless()
    assert capture({"block": model.block}, batches(10), model=model)["block"].n_seen == 200
