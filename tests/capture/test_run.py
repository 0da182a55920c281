"""Capturing: every call of the block, as rows; bounded, seeded, and without a trace in the model."""

from __future__ import annotations

import logging
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from symtorch.capture import call_plain, capture
from symtorch.capture.reservoir import Reservoir
from symtorch.errors import InputError

cuda = pytest.param("cuda", marks=pytest.mark.cuda)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


class Parent(nn.Module):
    """Calls its block as the test wants."""

    def __init__(self, block: nn.Module, how: Any = lambda block, *args, **kwargs: block(*args, **kwargs)) -> None:
        super().__init__()
        self.block = block
        self.how = how

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.how(self.block, *args, **kwargs)


def one(block: Any, data: Any, **kwargs: Any) -> Any:
    return capture({"block": block}, data, **kwargs)["block"]


# ---- what counts as a row


@pytest.mark.parametrize("shape", [(50, 3), (5, 10, 3), (2, 5, 5, 3)])
def test_last_dimension_is_features_and_all_leading_ones_are_samples(shape: tuple[int, ...]) -> None:
    block, x = nn.Linear(3, 2), torch.randn(shape)
    captured = one(block, x)
    np.testing.assert_allclose(captured.X, x.reshape(-1, 3).double(), rtol=0)
    np.testing.assert_allclose(captured.Y, block(x).detach().reshape(-1, 2).double(), rtol=1e-6)
    assert captured.X.dtype == captured.Y.dtype == np.float64


def test_one_unbatched_sample_per_call() -> None:
    block = nn.Linear(3, 2)
    captured = one(block, list(torch.randn(20, 3)))
    assert captured.X.shape == (20, 3)
    assert captured.Y.shape == (20, 2)


def test_every_call_in_a_pass_counts_also_of_other_sizes() -> None:
    block, x = nn.Linear(3, 2), torch.randn(20, 3)
    model = Parent(block, lambda block, x: block(x).sum() + block(x[:7] * 2).sum())
    captured = one(block, x, model=model)
    np.testing.assert_allclose(captured.X, torch.cat([x, x[:7] * 2]).double())


def test_a_block_that_calls_itself() -> None:
    class Nested(nn.Module):
        def forward(self, x: Any, depth: int = 1) -> Any:
            return self(x + 1, depth - 1) * 2 if depth else x

    captured = one(Nested(), torch.zeros(10, 1))
    assert captured.n_seen == 20
    assert sorted(set(captured.X[:, 0])) == [0, 1]
    np.testing.assert_array_equal(captured.Y, np.where(captured.X == 0, 2, 1))


def test_keyword_and_several_arguments_are_joined_and_others_ignored() -> None:
    class Block(nn.Module):
        def forward(self, x: Any, scale: Any = 1.0, *, z: Any, t: Any = None) -> Any:
            return (x.sum(-1, keepdim=True) + z[..., :1]) * scale + t.unsqueeze(-1)

    block = Block()
    x, z, t = torch.randn(4, 6, 3), torch.randn(1, 6, 2), torch.randn(4, 6)
    captured = one(block, {"x": x, "z": z, "t": t, "scale": 2.0})
    assert [(a.key, a.width) for a in captured.layout.arguments] == [("x", 3), ("z", 2), ("t", 1)]
    joined = torch.cat([x, z.expand(4, 6, 2), t.unsqueeze(-1)], -1)
    np.testing.assert_allclose(captured.X, joined.reshape(-1, 6).double())
    assert captured.teacher(block) is not None
    np.testing.assert_allclose(captured.teacher(block)(captured.X), captured.Y, rtol=1e-5, atol=1e-5)


def test_layout_joins_the_arguments_of_a_later_call_and_wraps_its_result() -> None:
    Out = namedtuple("Out", "mean spread")
    block = Parent(nn.Linear(5, 2), lambda block, a, b: Out(block(torch.cat([a, b], -1)), None))
    a, b = torch.randn(20, 3), torch.randn(20, 2)
    layout = one(block, (a, b), output_index=0).layout
    assert torch.equal(layout.join((a, b), {}), torch.cat([a, b], -1))
    assert layout.join((a.view(4, 5, 3), b.view(4, 5, 2)), {}).shape == (4, 5, 5)
    assert isinstance(layout.wrap(a), Out)
    with pytest.raises(InputError, match="argument 1 has shape"):
        layout.join((a, a), {})


def test_arguments_that_are_vectors_with_a_vector_for_an_answer_are_columns() -> None:
    captured = one(lambda x, t: x * np.exp(-t), (np.linspace(0, 1, 30), np.linspace(1, 2, 30)))
    assert captured.X.shape == (30, 2)
    assert captured.Y.shape == (30, 1)
    assert captured.layout.wrap(torch.zeros(30, 1)).shape == (30,)


def test_only_the_chosen_arguments_count() -> None:
    block = Parent(nn.Linear(3, 2), lambda block, x, mask: block(x) + mask.sum() * 0)
    data = (torch.randn(2, 10, 3), torch.ones(2, 1, 10, 10))
    with pytest.raises(InputError, match=r"leading dimensions .*arguments="):
        one(block, data)
    captured = one(block, data, arguments=[0])
    assert captured.X.shape == (20, 3)
    assert captured.teacher(block) is None


def test_inputs_are_taken_before_the_block_overwrites_them() -> None:
    block = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 1))
    x = torch.randn(20, 3)
    captured = one(block, x.clone())
    np.testing.assert_array_equal(captured.X, x.double())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_float_type(dtype: torch.dtype) -> None:
    block = nn.Linear(3, 2).to(dtype)
    x = torch.randn(300, 3, dtype=dtype)
    captured = one(block, x)
    np.testing.assert_array_equal(captured.X, x.double())
    assert captured.layout.result.dtype is dtype
    teacher = captured.teacher(block)
    np.testing.assert_allclose(teacher(captured.X), captured.Y, rtol=0.05, atol=0.05)


# ---- outputs


def test_tuple_and_dict_outputs_need_an_index() -> None:
    rnn, x = nn.LSTM(3, 4, batch_first=True), torch.randn(2, 10, 3)
    with pytest.raises(InputError, match=r"returns a tuple .*0: Tensor \(2, 10, 4\).*output_index"):
        one(rnn, x)
    assert one(rnn, x, output_index=0).Y.shape == (20, 4)
    block = Parent(nn.Linear(3, 2), lambda block, x: {"y": block(x), "note": "text"})
    assert one(block, x, output_index="y").Y.shape == (20, 2)
    assert one(block, x, output_index=0).layout.result.index == "y"
    with pytest.raises(InputError, match="'z' is not in what the block returns"):
        one(block, x, output_index="z")
    with pytest.raises(InputError, match="'note' is a str"):
        one(block, x, output_index="note")
    with pytest.raises(InputError, match="returns one tensor"):
        one(nn.Linear(3, 2), x, output_index=0)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda block, x: block(x).to(torch.complex64), "complex64"),
        (lambda block, x: block(x).sum(0), r"leading dimensions \(20,\)"),
        (lambda block, x: "text", "returned a str"),
        (lambda block, x: None, "returned a NoneType"),
    ],
)
def test_outputs_that_can_not_be_distilled_raise(how: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        one(Parent(nn.Linear(3, 2), how), torch.randn(20, 3))


def test_a_block_that_was_never_called_raises_and_is_named() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(InputError, match="'head' was never called"):
        capture({"head": nn.Linear(2, 2)}, torch.randn(20, 3), model=model)


def test_a_block_called_in_different_ways_raises() -> None:
    block = Parent(nn.Identity(), lambda block, x: x)
    with pytest.raises(InputError, match="different ways"):
        one(block, [torch.randn(20, 3), torch.randn(20, 4)])


# ---- data


@pytest.mark.parametrize(
    "data",
    [
        lambda x: (x,),
        lambda x: {"input": x},
        lambda x: x.numpy(),
        lambda x: x.double().numpy(),
        lambda x: list(x.split(10)),
        lambda x: (part for part in x.split(10)),
        lambda x: DataLoader(TensorDataset(x), batch_size=7),
        lambda x: [{"input": part} for part in x.split(10)],
    ],
)
def test_kinds_of_data(data: Any) -> None:
    block, x = nn.Linear(3, 2), torch.randn(40, 3)
    np.testing.assert_allclose(one(block, data(x)).X, x.double())
    np.testing.assert_allclose(one(block, data(x), model=nn.Sequential(block)).X, x.double())


def test_batches_with_targets_say_how_to_run_them() -> None:
    block, x = nn.Linear(3, 2), torch.randn(40, 3)
    loader = DataLoader(TensorDataset(x, torch.zeros(40)), batch_size=8)
    with pytest.raises(InputError, match=r"forward=lambda model, batch"):
        one(block, loader, model=nn.Sequential(block))
    captured = one(block, loader, model=nn.Sequential(block), forward=lambda model, batch: model(batch[0]))
    np.testing.assert_allclose(captured.X, x.double())


@pytest.mark.parametrize("data", ["text", None, 3, [1.0, 2.0], [], object()])
def test_data_that_is_none_raises(data: Any) -> None:
    with pytest.raises(InputError):
        one(nn.Linear(3, 2), data)


def test_a_model_may_be_a_function_and_a_block_without_model_any_callable() -> None:
    block, x = nn.Linear(3, 2), torch.randn(40, 3)
    assert one(block, x, model=lambda x: block(x) * 2).n_seen == 40
    assert one(block, x.numpy(), model=lambda x: block(x) * 2).n_seen == 40
    with pytest.raises(InputError, match="plain callable"):
        one(torch.sin, x, model=nn.Sequential(block))
    with pytest.raises(ValueError, match="need the model"):
        capture({"a": block, "b": block}, x)


@pytest.mark.parametrize("kind", [lambda x: x, lambda x: x.numpy()])
@pytest.mark.parametrize(
    "function", [lambda x: torch.sin(x).sum(-1), lambda x: np.sin(np.array(x)).sum(-1), lambda x: x * 2]
)
def test_plain_callables_take_tensors_or_arrays(function: Any, kind: Any) -> None:
    x = torch.randn(40, 3)
    captured = one(function, kind(x))
    np.testing.assert_allclose(captured.X, x.double())
    assert captured.teacher(function) is not None
    answer = call_plain(function, kind(x))
    np.testing.assert_allclose(np.asarray(answer).reshape(40, -1), captured.Y, rtol=1e-6)


def test_scikit_learns_predict() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x = np.random.default_rng(0).normal(size=(50, 3))
    regression = linear_model.LinearRegression().fit(x, x @ [1, 2, 3])
    for data in (x, torch.from_numpy(x)):
        captured = one(regression.predict, data)
        assert captured.Y.shape == (50, 1)
        np.testing.assert_allclose(captured.teacher(regression.predict)(x), captured.Y)
    classes = linear_model.LogisticRegression().fit(x, x[:, 0] > 0)
    labels = one(classes.predict, x)
    np.testing.assert_array_equal(labels.Y[:, 0], classes.predict(x))
    assert labels.teacher(classes.predict) is not None
    named = linear_model.LogisticRegression().fit(x, np.where(x[:, 0] > 0, "yes", "no"))
    with pytest.raises(InputError, match="predict_proba"):
        one(named.predict, x)
    assert one(classes.predict_proba, x).Y.shape == (50, 2)


def test_an_error_of_a_plain_callable_comes_through() -> None:
    def broken(x: Any) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        one(broken, np.zeros((20, 2)))


# ---- bounded memory


def test_rows_are_drawn_evenly_from_a_stream() -> None:
    n, cap, runs = 200, 20, 2_000
    counts = np.zeros(n)
    for seed in range(runs):
        reservoir = Reservoir(cap, seed)
        held = np.full(cap, -1)
        start = 0
        for size in (3, 50, 0, 100, 47):
            kept, slots = reservoir.draw(size)
            assert len(np.unique(slots)) == len(slots)
            held[slots] = start + kept
            start += size
        assert len(np.unique(held)) == cap
        counts[held] += 1
    # Each row is kept with probability 1/10; six standard deviations of the binomial.
    expected = runs * cap / n
    assert np.abs(counts - expected).max() < 6 * np.sqrt(expected * 0.9)


def test_the_cap_holds_the_seed_decides_and_rows_keep_their_order() -> None:
    block, x = nn.Linear(3, 2), torch.randn(1000, 3)
    first = one(block, list(x.split(60)), max_rows=100)
    again = one(block, (part for part in x.split(60)), max_rows=100)
    other = one(block, list(x.split(60)), max_rows=100, seed=1)
    assert first.X.shape == (100, 3)
    assert first.n_seen == 1000
    assert (np.diff(first.rows) > 0).all()
    np.testing.assert_array_equal(first.X, x[first.rows].double())
    np.testing.assert_array_equal(first.rows, again.rows)
    assert not np.array_equal(first.rows, other.rows)
    weights = np.arange(1000.0)
    np.testing.assert_array_equal(first.rows_of(weights), first.rows)
    with pytest.raises(InputError, match="10 weights for 1000 rows"):
        first.rows_of(np.ones(10))


class Changing(nn.Module):
    """Twice its input, which it overwrites; every fiftieth time of another type."""

    def __init__(self, scalar: bool) -> None:
        super().__init__()
        self.scalar, self.n_calls = scalar, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.n_calls += 1
        y = 2 * (x[..., 0] if self.scalar else x)
        x.zero_()
        return y if self.n_calls % 50 else y.double()


@pytest.mark.parametrize("leading", [(), (7,), (2, 3)])
@pytest.mark.parametrize("scalar", [False, True])
@pytest.mark.parametrize("contiguous", [False, True])
def test_rows_kept_late_in_a_stream_are_those_that_came(leading: Any, scalar: bool, contiguous: bool) -> None:
    """Calls of a known form go another way once all slots are taken than before that."""
    x = torch.randn(2_000, *leading, 3)
    rows = x.reshape(-1, 3).double().numpy()
    parts = [part.clone() if contiguous else part.transpose(0, -1).clone().transpose(0, -1) for part in x.split(11)]
    captured = one(Changing(scalar), parts, max_rows=40)
    assert captured.n_seen == len(rows)
    assert (captured.rows > len(rows) // 10).sum() > 20
    np.testing.assert_array_equal(captured.X, rows[captured.rows])
    np.testing.assert_array_equal(captured.Y, 2 * rows[captured.rows][:, : 1 if scalar else 3])


def test_a_view_is_never_made_contiguous() -> None:
    block = Parent(nn.Identity(), lambda block, x: x)
    x = torch.randn(1, 1, 3).expand(2**10, 2**10, 3)
    captured = one(block, x, max_rows=50)
    assert captured.n_seen == 2**20
    assert captured.X.shape == (50, 3)
    transposed = torch.randn(4, 3, 25).transpose(1, 2)
    np.testing.assert_array_equal(one(block, transposed).X, transposed.reshape(-1, 3).double())


@pytest.mark.parametrize("cap", [10, 45, 1000])
def test_a_call_within_a_call_keeps_inputs_and_outputs_together(cap: Any) -> None:
    """Slots of the outer call are given to rows of the inner one before the outer has ended."""

    class Nested(nn.Module):
        def forward(self, x: Any, depth: int = 1) -> Any:
            return self(x + 100, depth - 1) + 1 if depth else x * 2

    x = torch.arange(100.0).unsqueeze(-1)
    captured = one(Nested(), list(x.split(20)), max_rows=cap)
    assert captured.n_rows == min(cap, 200)
    outer = captured.X < 100
    np.testing.assert_array_equal(captured.Y, np.where(outer, (captured.X + 100) * 2 + 1, captured.X * 2))
    call, place = np.divmod(captured.rows, 20)
    np.testing.assert_array_equal(captured.X[:, 0], 20 * (call // 2) + place + 100 * (call % 2))


def test_calls_of_other_types_and_forms_are_read_each_in_its_way() -> None:
    block = Parent(nn.Identity(), lambda block, x, factor=1: x.double() * factor)
    x = torch.arange(40).reshape(20, 2) + 2**30
    captured = one(block, [x, x.float(), (x, 2), x.double(), x.reshape(4, 5, 2)])
    np.testing.assert_array_equal(captured.X, torch.cat([x.double(), x.float().double(), *[x.double()] * 3]))
    assert not captured.layout.complete
    with pytest.raises(InputError, match="returned 2 outputs, then 1"):
        one(Parent(nn.Identity(), lambda block, x: x[:, : 2 - len(x) % 2]), [torch.randn(20, 2), torch.randn(21, 2)])


@pytest.mark.parametrize("max_rows", [0, -1, 1.5, "many", True])
def test_max_rows_must_be_a_number_of_rows(max_rows: Any) -> None:
    with pytest.raises(InputError, match="max_rows"):
        one(nn.Linear(3, 2), torch.randn(20, 3), max_rows=max_rows)


def test_rows_that_are_not_finite_can_be_dropped(caplog: pytest.LogCaptureFixture) -> None:
    block = Parent(nn.Identity(), lambda block, x: x.log())
    x = torch.rand(50, 2)
    x[7, 0], x[20, 1] = 0, -1
    captured = one(block, x)
    assert not np.isfinite(captured.Y).all()
    with caplog.at_level(logging.WARNING, logger="symtorch"):
        captured = one(block, x, drop_nonfinite=True)
    assert np.isfinite(captured.Y).all()
    assert captured.n_rows == 48
    assert "2 of 50 rows" in caplog.text
    assert 7 not in captured.rows


# ---- no trace


class Frozen(nn.BatchNorm1d):
    """Stays in eval mode, as a frozen batch norm does."""

    def train(self, mode: bool = True) -> Any:
        return super().train(False)


def test_modes_hooks_gradients_statistics_and_random_state_are_put_back() -> None:
    block = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model = nn.Sequential(nn.Linear(3, 3), block, nn.Dropout().eval(), Frozen(3), nn.Dropout())
    model.train()
    model[2].eval()
    block[2].eval()
    modes = [m.training for m in model.modules()]
    assert len(set(modes)) == 2
    state = {key: value.clone() for key, value in model.state_dict().items()}
    random = torch.get_rng_state()
    x = torch.randn(20, 3)
    torch.set_rng_state(random)

    noisy = Parent(model, lambda block, x: block(x + torch.randn(3)))
    captured = one(block, x, model=noisy)

    assert [m.training for m in model.modules()] == modes
    assert noisy.training
    assert not block._forward_hooks
    assert not block._forward_pre_hooks
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert captured.Y.shape == (20, 3)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_all_is_put_back_after_an_exception(error: Any) -> None:
    def fail(block: Any, x: Any) -> None:
        block(x)
        raise error

    block = nn.Linear(3, 2)
    model = Parent(block, fail).train()
    block.eval()
    with pytest.raises(error):
        one(block, torch.randn(20, 3), model=model)
    assert model.training
    assert not block.training
    assert not block._forward_hooks
    assert not block._forward_pre_hooks
    assert torch.is_grad_enabled()


def test_capturing_runs_without_gradients_and_in_eval_mode() -> None:
    seen = []
    block = nn.Linear(3, 2)
    model = Parent(block, lambda block, x: seen.append((torch.is_grad_enabled(), block.training)) or block(x))
    one(block, torch.randn(20, 3), model=model)
    assert seen == [(False, False)]


def test_a_model_that_needs_gradients_inside_its_pass() -> None:
    class Force(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.energy = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

        def forward(self, x: Any) -> Any:
            with torch.enable_grad():
                x = x.requires_grad_(True)
                return torch.autograd.grad(self.energy(x).sum(), x)[0]

    model = Force()
    assert one(model.energy, torch.randn(20, 2), model=model).Y.shape == (20, 1)


# ---- several blocks, wrapped models


def test_several_blocks_in_one_pass_keep_the_same_rows() -> None:
    calls = []
    a, b = nn.Linear(3, 4), nn.Linear(4, 2)
    model = Parent(nn.Sequential(a, nn.Tanh(), b), lambda block, x: calls.append(1) or block(x))
    captured = capture({"a": a, "b": b}, torch.randn(500, 3), model=model, max_rows=50)
    assert len(calls) == 1
    np.testing.assert_array_equal(captured["a"].rows, captured["b"].rows)
    np.testing.assert_allclose(np.tanh(captured["a"].Y), captured["b"].X, atol=1e-6)


def test_options_by_block() -> None:
    lstm, head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)
    model = Parent(nn.ModuleList([lstm, head]), lambda blocks, x: blocks[1](blocks[0](x)[0]))
    captured = capture({"lstm": lstm, "head": head}, torch.randn(2, 10, 3), model=model, output_index={"lstm": 0})
    assert captured["lstm"].Y.shape == (20, 4)
    assert captured["head"].Y.shape == (20, 2)


@pytest.mark.parametrize("outer", [lambda model: torch.compile(model, backend="eager"), nn.DataParallel])
def test_compiled_and_parallel_models(outer: Any) -> None:
    block = nn.Linear(3, 2)
    model = nn.Sequential(nn.Linear(3, 3), block)
    captured = one(block, torch.randn(20, 3), model=outer(model))
    assert captured.n_seen == 20


def test_a_model_compiled_and_run_before_shows_its_blocks() -> None:
    block = nn.Linear(3, 2)
    model = torch.compile(nn.Sequential(nn.Linear(3, 3), block), backend="eager")
    x = torch.randn(20, 3)
    model(x)
    assert one(block, x, model=model).n_seen == 20


# ---- the teacher


def test_the_teacher_answers_at_new_rows_and_leaves_no_trace() -> None:
    block = nn.Sequential(nn.Linear(3, 8), nn.Dropout(), nn.Linear(8, 2)).train()
    captured = one(block, torch.randn(4, 30, 3))
    teacher = captured.teacher(block)
    new = np.random.default_rng(1).normal(size=(70, 3))
    expected = block.eval()(torch.from_numpy(new).float()).detach()
    block.train()
    np.testing.assert_allclose(teacher(new), expected, rtol=1e-5)
    assert teacher(new[:0]).shape == (0, 2)
    assert block.training
    assert torch.is_grad_enabled()
    with pytest.raises(InputError, match=r"expected \(n_samples, 3\)"):
        teacher(new[:, :2])


@pytest.mark.parametrize(
    "block",
    [
        Parent(nn.MultiheadAttention(4, 2, batch_first=True), lambda block, x: block(x, x, x)[0]),
        Parent(nn.Identity(), lambda block, x: x - x.mean(0, keepdim=True)),
        Parent(nn.Identity(), lambda block, x: x + torch.randn_like(x)),
        Parent(nn.Identity(), lambda block, x: x.softmax(-2)),
        Parent(nn.Identity(), lambda block, x: x.cumsum(-2)),
    ],
    ids=["attention", "batch mean", "noise", "softmax over samples", "running sum"],
)
def test_a_block_that_mixes_samples_is_no_teacher(block: Any) -> None:
    assert one(block, torch.randn(6, 10, 4)).teacher(block) is None


def test_a_block_that_wants_its_rank_is_asked_in_it() -> None:
    def how(block: Any, x: Any) -> Any:
        batch, length, _ = x.shape
        return block(x).reshape(batch, length, -1)

    block = Parent(nn.Linear(4, 2), how)
    captured = one(block, torch.randn(6, 10, 4))
    np.testing.assert_allclose(captured.teacher(block)(captured.X), captured.Y, atol=1e-5)


@pytest.mark.parametrize("device", [cuda])
def test_on_a_device_rows_arrive_and_memory_stays_free(device: Any) -> None:
    block = nn.Linear(64, 8, device=device)
    x = torch.randn(200_000, 64, device=device)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    captured = one(block, (part for part in x.split(50_000)), max_rows=500)
    assert torch.cuda.max_memory_allocated() - before < 3 * 50_000 * 8 * 4
    np.testing.assert_array_equal(captured.X, x[captured.rows].double().cpu())
    np.testing.assert_allclose(captured.teacher(block)(captured.X), captured.Y, atol=1e-4)
