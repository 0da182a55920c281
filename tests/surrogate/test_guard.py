"""Rows on which an equation is undefined: passed on, refused, or answered by the block."""

from typing import Any

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine
from torch import nn

from symtorch import InputError, SymbolicModel
from symtorch.errors import UndefinedError


class Block(nn.Module):
    """One output, in whatever structure is asked for."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.wrap = wrap
        self.calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return self.wrap(x.sum(-1, keepdim=True) + 100)


def wrapped(formula: str = "log(x0) + x1", wrap: Any = lambda y: y, output_index: Any = None, **switch: Any) -> Any:
    model = SymbolicModel(Block(wrap), "law")
    model.distill(torch.randn(60, 2), engine=FormulaEngine(formula), output_index=output_index)
    model.switch_to_symbolic(**switch)
    return model


X = torch.tensor([[1.0, 2.0], [-1.0, 2.0], [0.0, 3.0], [4.0, 5.0]])


def test_none_passes_on_what_the_equation_says() -> None:
    y = wrapped()(X)
    assert torch.isfinite(y[:, 0]).tolist() == [True, False, False, True]


def test_raise_names_output_rows_and_equation() -> None:
    model = wrapped(guard="raise")
    with pytest.raises(
        UndefinedError, match=r"output 0 of 'law' is undefined on 2 of 4 rows \(1, 2\).*log\(x0\) \+ x1"
    ):
        model(X)
    torch.testing.assert_close(model(X[[0, 3]]), (X[:, :1].log() + X[:, 1:])[[0, 3]])


@pytest.mark.parametrize(
    ("wrap", "take", "output_index"),
    [
        (lambda y: y, lambda y: y, None),
        (lambda y: (y, None), lambda y: y[0], 0),
        (lambda y: {"out": y}, lambda y: y["out"], "out"),
        (lambda y: y[..., 0], lambda y: y.unsqueeze(-1), None),
    ],
    ids=["tensor", "tuple", "dict", "scalar"],
)
def test_block_answers_for_undefined_rows(wrap: Any, take: Any, output_index: Any) -> None:
    model = wrapped(wrap=wrap, output_index=output_index, guard="block")
    expected = torch.tensor([[2.0], [101.0], [103.0], [float(np.log(4.0)) + 5.0]])
    torch.testing.assert_close(take(model(X)), expected)
    torch.testing.assert_close(take(model(X.reshape(2, 2, 2))).reshape(4, 1), expected)


def test_block_keeps_arrays_arrays() -> None:
    y = wrapped(guard="block")(X.numpy())
    assert isinstance(y, np.ndarray)
    assert np.isfinite(y).all()


def test_the_guard_traces_whole() -> None:
    model = wrapped(guard="block")
    torch._dynamo.reset()
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(X), model(X))


# ---- gradients


def apart(model: Any, x: Any) -> Any:
    """What the guard promises: each row by itself, the equation where it is defined, else the block."""
    y = model.surrogate.rows(x)
    good = torch.isfinite(y).all(-1)
    rows = [model.surrogate.rows(row) if ok else model.symtorch_block(row) for row, ok in zip(x, good, strict=True)]
    return torch.stack(rows)


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [3, 0], [1, 2], []], ids=["some", "all", "none", "empty"])
@pytest.mark.parametrize("formula", ["log(2*x0) + 1.5*x1", "1.5*x1/sqrt(x0) + exp(200*x1*x0)", "0.5*x0^2.3"])
def test_gradients_through_bad_rows_are_the_blocks(formula: str, rows: Any) -> None:
    model = wrapped(formula, guard="block")
    constants = model.trainable_constants()
    x = X[rows].double().requires_grad_()
    got = torch.autograd.grad(model(x).sin().sum(), [x, *constants])
    want = torch.autograd.grad(
        apart(model, x).sin().sum() if rows else x.sum(), [x, *constants], materialize_grads=True
    )
    for one, other in zip(got, want, strict=True):
        assert torch.isfinite(one).all()
        torch.testing.assert_close(one, other)


def test_gradients_of_gradients_through_bad_rows() -> None:
    model = wrapped("0.5*log(x0) + 1.5*x1*x0", guard="block")
    model.trainable_constants()
    x = X[[0, 1, 3]].double().requires_grad_()  # away from the jump at x0 = 0
    assert torch.autograd.gradcheck(model, (x,))
    assert torch.autograd.gradgradcheck(model, (x,))
    by_rows = torch.func.vmap(torch.func.grad(lambda row: model(row).sum()))(x.detach())
    torch.testing.assert_close(by_rows, torch.autograd.grad(model(x).sum(), x)[0])


def test_a_variable_made_by_a_function_has_gradients_too() -> None:
    model = SymbolicModel(Block(lambda y: y), "law")
    transforms = {"u": lambda x: torch.log(x[:, 0]), "v": lambda x: x[:, 1]}
    model.distill(torch.rand(60, 2) + 1, engine=FormulaEngine("u + v"), variable_transforms=transforms)
    model.switch_to_symbolic(guard="block")
    x = X.clone().requires_grad_()
    model(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [0.25, 1.0]]))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own use of it
def test_the_guard_traces_whole_with_gradients() -> None:
    model = wrapped("log(2*x0) + 1.5*x1", guard="block")
    model.trainable_constants()
    x, z = X.clone().requires_grad_(), X.clone().requires_grad_()
    torch._dynamo.reset()
    torch.compile(model, backend="aot_eager", fullgraph=True)(x).sin().sum().backward()
    model(z).sin().sum().backward()
    torch.testing.assert_close(x.grad, z.grad)


@pytest.mark.cuda
@pytest.mark.parametrize("trained", [False, True])
def test_the_guard_does_not_wait_for_the_device(trained: Any) -> None:
    model = wrapped("log(2*x0) + 1.5*x1", guard="block").cuda()
    model.trainable_constants(trained)
    x = X.cuda()
    want = model(x).sum().cpu()
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        y = model(x).sum()
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    torch.testing.assert_close(y.cpu(), want)


def test_switching_again_changes_the_guard() -> None:
    model = wrapped(guard="block")
    model.switch_to_symbolic()
    assert not torch.isfinite(model(X)).all()
    before = model.symtorch_block.calls
    model(X)
    assert model.symtorch_block.calls == before
    with pytest.raises(InputError, match="'strict'"):
        model.switch_to_symbolic(guard="strict")


def test_distilling_again_keeps_guard_and_compile() -> None:
    model = wrapped(guard="block", compile=False)
    model.distill(torch.randn(60, 2), engine=FormulaEngine("log(x1)"))
    assert model.use_symbolic
    assert torch.isfinite(model(-X)).all()
    assert model.surrogate.function.compiled is False


def test_compile_is_passed_on() -> None:
    model = wrapped(compile=False)
    assert model.surrogate.function.compiled is False
    with pytest.raises(InputError, match="'fast'"):
        model.switch_to_symbolic(compile="fast")
    assert model.surrogate.function.compiled is False


def test_a_switch_that_fails_changes_nothing() -> None:
    model = SymbolicModel(Block(lambda y: y), "law")
    model.distill(torch.rand(60, 2), engine=FormulaEngine("x0", "x0 + x1"))
    model.switch_to_symbolic(1, guard="block")
    before = model.get_extra_state()
    for bad in ({"compile": "fast"}, {"guard": "strict"}, {"complexity": 99}):
        with pytest.raises(InputError):
            model.switch_to_symbolic(**bad)
    assert torch.equal(model.get_extra_state(), before)


def test_fidelity_counts_undefined_and_unseen_rows_per_output() -> None:
    model = SymbolicModel(nn.Linear(2, 2), "law")
    data = torch.cat([torch.rand(60, 2), torch.zeros(1, 2), torch.ones(1, 2)])
    model.distill(data, engine=FormulaEngine("log(x0) + 9"))
    with torch.no_grad():
        seen = model.symtorch_block(data)
    first, second = model.fidelity(torch.cat([X, torch.rand(10, 2)]))
    assert (first.output, second.output) == (0, 1)
    assert first.n_rows == 14
    assert first.n_nonfinite == 2
    assert first.n_outside == 12  # the block's outputs are nowhere near 9
    assert seen.abs().max() < 5
    assert first.n_extrapolated == 2  # x0 of -1 and 4; x1 has no part in it
    assert "undefined 2, with inputs outside the range seen 2, with values outside the range seen 12" in str(first)
    model.clear_cache()
    assert (model.fidelity(X)[0].n_outside, model.fidelity(X)[0].n_extrapolated) == (2, 2)
    model.distill(10 * data + 1, engine=FormulaEngine("log(x0) + 9"))
    assert model.fidelity(X)[0].n_extrapolated == 1  # what one of the two distillations has seen


def test_fidelity_counts_new_inputs_also_through_transforms() -> None:
    model = SymbolicModel(nn.Linear(2, 1), "law")
    model.distill(torch.rand(60, 2), engine=FormulaEngine("u"), variable_transforms={"u": "x0 - x1", "v": "x0"})
    assert model.fidelity(torch.tensor([[5.0, 5.0], [5.0, 0.0], [0.5, 0.3]]))[0].n_extrapolated == 1


def test_fidelity_of_a_perfect_equation_is_one() -> None:
    block = nn.Linear(2, 1)
    with torch.no_grad():
        block.weight.copy_(torch.tensor([[2.0, -1.0]]))
        block.bias.fill_(0.5)
    model = SymbolicModel(block, "law")
    model.distill(torch.rand(60, 2), engine=FormulaEngine("2*x0 - x1 + 0.5"))
    (report,) = model.fidelity(torch.rand(100, 2))
    assert report.r2 > 1 - 1e-10
    assert report.max_error < 1e-5
