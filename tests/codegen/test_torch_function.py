import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from trees import trees

from symtorch.codegen.c_compiler import compiler
from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.equations.definitions import operator
from symtorch.equations.expr import constants, evaluate, to_text
from symtorch.equations.parser import parse
from symtorch.equations.table import ROWS
from symtorch.errors import CompilerError, InputError

NAMES = ["x0", "x1", "x2"]
TEXTS = [
    "2.5*sin(x0) + x1^2 - exp(2)",
    "2.5*sin(x0)",
    "x0^(-3)*x2 + x1^2.37",
    "3.0",
    "max(1.0, x1) - 0.3*x0*x2",
    "x0^1.5",
]
needs_compiler = pytest.mark.skipif(compiler() is None, reason="needs a C compiler")


def function(*texts: Any, n_inputs: int = 3) -> Any:
    return SymbolicFunction([parse(text, NAMES) for text in texts or TEXTS], n_inputs)


def inputs(*shape: Any, dtype: torch.dtype = torch.float64, seed: int = 0) -> Any:
    return torch.rand(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).add(0.2).to(dtype)


def expected(f: Any, x: Any) -> Any:
    rows = x.detach().reshape(-1, x.shape[-1]).double().numpy()
    return torch.tensor(np.stack([evaluate(e, rows) for e in f.expressions()], -1)).reshape(*x.shape[:-1], f.n_outputs)


NUMBERS = st.floats(-5, 5, allow_nan=False, width=32)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_every_operator_is_computed_as_its_tree(compiled: Any) -> None:
    texts = [f"{row.name}({', '.join(NAMES[: row.arity])})" for row in ROWS if row.precedence is None]
    texts += ["x0 + x1", "x0 - x1", "x0*x1", "x0/x1", "x0^x1"]
    f = function(*texts).use_compiled(compiled)
    x = inputs(300) * 2 - torch.tensor([0.0, 0.3, -0.4], dtype=torch.float64)
    torch.testing.assert_close(f(x), expected(f, x), rtol=1e-10, atol=1e-12, equal_nan=True)
    calm = expected(f, x).abs().max(dim=0).values < 1e3
    torch.testing.assert_close(
        f(x.float()).double()[:, calm], expected(f, x.float())[:, calm], rtol=1e-4, atol=1e-4, equal_nan=True
    )


@given(st.lists(trees(numbers=NUMBERS), min_size=1, max_size=4))
@settings(max_examples=80, deadline=None)
def test_random_trees_are_computed_as_numpy_computes_them(exprs: Any) -> None:
    f = SymbolicFunction(exprs, 3)
    x = inputs(16) * 4 - 2
    want = expected(f, x)
    assume(torch.isfinite(want).any())
    # Where rounding decides (steps, poles, cancellation) a few rows may differ; more than that is wrong.
    got = f(x)
    undefined = ~torch.isfinite(got) & ~torch.isfinite(want)  # NaN or infinite, whichever
    same = undefined | torch.isclose(got, want, rtol=1e-6, atol=1e-6)
    steps = any(
        name in repr(exprs)
        for name in ("floor", "ceil", "round", "mod", "greater", "less", "tan", "gamma", "sign", "^")
    )
    assert same.double().mean() > (0.7 if steps else 0.9)


@needs_compiler
@given(st.lists(trees(numbers=NUMBERS), min_size=8, max_size=8))
@settings(max_examples=4, deadline=None)
def test_machine_code_computes_what_torch_computes(exprs: Any) -> None:
    f = SymbolicFunction(exprs, 3)
    x = inputs(200) * 4 - 2
    plain = f(x)
    same = torch.isclose(f.use_compiled(True)(x), plain, rtol=1e-6, atol=1e-6, equal_nan=True)
    assert same.double().mean() > 0.9


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (64,), (65,), (2, 3), (0,), (4, 0, 2), (2, 3, 4, 5), (9000,)])
def test_any_leading_shape(shape: tuple[int, ...], compiled: Any) -> None:
    f = function().use_compiled(compiled)
    x = inputs(*shape)
    y = f(x)
    assert y.shape == (*shape, len(TEXTS))
    assert y.is_contiguous()
    torch.testing.assert_close(y, expected(f, x).reshape(y.shape), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_inputs_that_are_not_contiguous(compiled: Any) -> None:
    f = function().use_compiled(compiled)
    x = inputs(4, 6).transpose(0, 1)
    wide = torch.zeros(10, 6, dtype=torch.float64)
    wide[:, ::2] = inputs(10)
    for view in (x, x[::2, 1:], wide[:, ::2], inputs(1).expand(5, 3)):
        torch.testing.assert_close(f(view), expected(f, view), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 8e-3), (torch.float16, 1e-3)],
)
def test_results_have_the_inputs_precision(dtype: torch.dtype, tolerance: Any, compiled: Any) -> None:
    f = function().use_compiled(compiled)
    x = inputs(50, dtype=dtype)
    y = f(x)
    assert y.dtype == dtype
    # Computed in float32 or better and rounded once: half precision loses no more than its last bit.
    torch.testing.assert_close(y.double(), expected(f, x), rtol=tolerance, atol=tolerance)


def test_integers_are_read_as_numbers() -> None:
    assert function("x0/2 + x1")(torch.tensor([[1, 2, 3]])).tolist() == [[2.5]]


def test_gradients_are_right() -> None:
    f = function().trainable_constants()
    x = inputs(5).requires_grad_()
    assert torch.autograd.gradcheck(f, (x,))
    by_constants = lambda c: torch.func.functional_call(f, {"constants": c}, (x.detach(),))  # noqa: E731
    assert torch.autograd.gradcheck(by_constants, (f.constants.detach().clone().requires_grad_(),))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own use of it
@needs_compiler
def test_compiled_equations_still_have_gradients() -> None:
    f, g = function(), function().use_compiled(True)
    x = inputs(5).requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(g(x).sum(), x), torch.autograd.grad(f(x).sum(), x))
    g.trainable_constants()
    assert g(x.detach()).requires_grad
    with torch.no_grad():
        torch.testing.assert_close(g(x), f(x))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x.detach(), torch.ones_like(x))
        assert torch.autograd.forward_ad.unpack_dual(function().use_compiled(True)(dual)).tangent is not None


# ---- torch's tools


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own use of it
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_func_transforms(compiled: Any) -> None:
    f = function().use_compiled(compiled)
    x = inputs(5)
    torch.testing.assert_close(torch.func.vmap(f)(x), f(x))
    jacobian = torch.func.vmap(torch.func.jacrev(f))(x)
    assert jacobian.shape == (5, len(TEXTS), 3)
    torch.testing.assert_close(jacobian, torch.func.vmap(torch.func.jacfwd(f))(x))
    grad = torch.func.vmap(torch.func.grad(lambda row: f(row).sum()))(x)
    torch.testing.assert_close(grad, jacobian.sum(1))


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_torch_compile_takes_it_whole_and_once_for_all_batch_sizes(compiled: Any) -> None:
    f = function().use_compiled(compiled)
    graphs = []

    def backend(graph: Any, example_inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    torch._dynamo.reset()
    whole = torch.compile(f, fullgraph=True, dynamic=True, backend=backend)
    for n in (5, 17, 100, 3):
        torch.testing.assert_close(whole(inputs(n)), f(inputs(n)))
    assert len(graphs) == 1


@pytest.mark.filterwarnings("ignore")  # inductor's own
@needs_compiler
def test_torch_compile_with_inductor() -> None:
    f = function()
    torch._dynamo.reset()
    torch.testing.assert_close(torch.compile(f, fullgraph=True)(inputs(40)), f(inputs(40)))


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
@pytest.mark.parametrize("strict", [True, False])
def test_torch_export_with_a_free_batch_size(strict: Any, compiled: Any) -> None:
    f = function().use_compiled(compiled)
    batch = torch.export.Dim("batch")
    program = torch.export.export(f, (inputs(5),), dynamic_shapes=({0: batch},), strict=strict)
    torch.testing.assert_close(program.module()(inputs(33)), f(inputs(33)))


@pytest.mark.filterwarnings("ignore")  # torch.jit is deprecated, and warns of every shape that is read
def test_jit_trace() -> None:
    f = function("2.5*sin(x0) + x1")
    traced = torch.jit.trace(f, inputs(5))
    torch.testing.assert_close(traced(inputs(9)), f(inputs(9)))


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_autocast_does_not_cost_digits(compiled: Any) -> None:
    f = function().use_compiled(compiled)
    x = inputs(20, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(f(x), f(x.double()).float(), rtol=1e-5, atol=1e-5)


def test_meta_device_and_back() -> None:
    f = function().to("meta")
    assert f(inputs(4).to("meta")).shape == (4, len(TEXTS))
    assert [to_text(e, NAMES) for e in f.expressions()] == [to_text(e, NAMES) for e in function().expressions()]
    torch.testing.assert_close(f.to_empty(device="cpu")(inputs(4)), function()(inputs(4)))


@pytest.mark.parametrize("compiled", [False, "auto", pytest.param(True, marks=needs_compiler)])
def test_copies_and_pickles(compiled: Any) -> None:
    f = function().use_compiled(compiled).trainable_constants()
    with torch.no_grad():
        f(inputs(3))
        f.constants[0] = 7.0
        for other in (copy.deepcopy(f), pickle.loads(pickle.dumps(f)), saved_and_loaded(f)):
            torch.testing.assert_close(other(inputs(9)), f(inputs(9)))
            assert other.compiled == f.compiled
            assert other.constants.requires_grad
            other.constants[0] = 1.0
            assert f.constants[0] == 7.0


def saved_and_loaded(f: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(f, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


# ---- constants


def test_constants_are_frozen_until_asked_for() -> None:
    f = function()
    assert not any(p.requires_grad for p in f.parameters())
    assert all(p.requires_grad for p in f.trainable_constants().parameters())
    assert not any(p.requires_grad for p in f.trainable_constants(False).parameters())


@pytest.mark.parametrize("cast", ["half", "bfloat16", "float", "double"])
def test_casting_a_model_keeps_every_digit_of_its_constants(cast: Any) -> None:
    f = function("0.1234567890123456*x0 + 1e-9")
    model = nn.Sequential(nn.Linear(3, 3), f)
    getattr(model, cast)()
    assert f.expressions() == [parse("0.1234567890123456*x0 + 1e-9", NAMES)]
    assert f.constants.dtype == torch.float64
    assert model(inputs(2, dtype=model[0].weight.dtype)).dtype == model[0].weight.dtype


def test_a_device_without_float64_rounds_but_forgets_nothing() -> None:
    f = function("0.1234567890123456*x0")

    def like_mps(t: Any) -> Any:
        if t.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return t.clone()

    f._apply(like_mps)
    assert f.constants.dtype == torch.float32
    assert f.expressions() == [parse("0.1234567890123456*x0", NAMES)]


def test_trained_constants_are_the_equations() -> None:
    f = function("2.5*sin(x0) + 1.5", "2.5*sin(x0)*x1^2").trainable_constants()
    with torch.no_grad():
        f.constants.mul_(2)
    assert f.expressions() == [parse("5*sin(x0) + 3", NAMES), parse("5*sin(x0)*x1^2", NAMES)]
    x = inputs(6)
    torch.testing.assert_close(f(x), expected(f, x))


def test_state_dicts_carry_the_constants() -> None:
    f, g = function("2.5*x0 + 1.5"), function("1*x0 + 1")
    g.load_state_dict(f.state_dict())
    assert g.expressions() == f.expressions()


@given(st.lists(trees(), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_expressions_are_the_trees_that_came(exprs: Any) -> None:
    assert SymbolicFunction(exprs, 3).expressions() == exprs


def test_equal_subterms_are_computed_once_and_share_their_constants() -> None:
    f = function("2.5*sin(x0) + x1", "2.5*sin(x0) - x1", "2.5*x1")
    assert len(f.constants) == 2  # that of 2.5*sin(x0), and that of 2.5*x1
    with torch.no_grad():
        f.constants.copy_(torch.tensor([3.0, 4.0]))
    assert sorted(to_text(e, NAMES) for e in f.expressions()) == ["3*sin(x0) + x1", "3*sin(x0) - x1", "4*x1"]


def test_whole_exponents_belong_to_the_form() -> None:
    f = function("x0^3 + x1^(-2) + x2^0.5 + 2^x0 + x1^2.5 + x0^2.37")
    assert sorted(f.constants.tolist()) == [2.0, 2.37]
    x = inputs(4)
    torch.testing.assert_close(f(x), expected(f, x))


@pytest.mark.parametrize("power", [0, 1, 2, 3, 7, 12, 64, 65, -1, -2, -5, 0.5, -0.5, 1.5, -2.5, 33.5])
def test_powers(power: Any) -> None:
    f = function(f"x0^({power})")
    x = inputs(20) + 0.5
    torch.testing.assert_close(f(x), expected(f, x), rtol=1e-12, atol=0)
    if power == int(power):
        torch.testing.assert_close(f(-x), expected(f, -x), rtol=1e-12, atol=0)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
@pytest.mark.parametrize(
    "text", ["exp(2)", "sin(1)*x0", "max(1.0, x0)", "max(2.0, 1.0)", "Heaviside(x0 - 0.5)", "(-2)^3*x0", "3.0",
             "Piecewise((x0, x0 > 0.5), (-1, True))", "cond(x0 - 0.5, x1)", "1/0*x0", "2^x0", "inf - x0", "neg(3)"],
)  # fmt: skip
def test_constants_in_odd_places(text: str, compiled: Any) -> None:
    f = function(text).use_compiled(compiled)
    x = inputs(9)
    torch.testing.assert_close(f(x), expected(f, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_a_body_may_fold_to_what_is_no_finite_number(compiled: Any) -> None:
    for body, value in (("1/0", float("inf")), ("-1/0", -float("inf")), ("0/0", float("nan"))):
        own = operator(f"own(x) = max(x, {body})")
        f = SymbolicFunction([parse("own(x0)*2", ["x0"], [own])], 1).use_compiled(compiled)
        x = torch.tensor([[1.0], [-3.0]], dtype=torch.float64)
        expected = torch.maximum(x, torch.tensor(value, dtype=torch.float64)) * 2
        torch.testing.assert_close(f(x), expected, equal_nan=True)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_a_users_operators_are_inlined(compiled: Any) -> None:
    clip = operator("clip(a) = max(a, exp(-1)) + a^2")
    f = SymbolicFunction([parse("2*clip(x0) + clip(x1)", NAMES, [clip])], 3).use_compiled(compiled)
    assert f.constants.tolist() == [2.0]
    x = inputs(9)
    torch.testing.assert_close(f(x), expected(f, x))


@pytest.mark.parametrize("text", ["x0", "x0 + 0*x1", "2.5"])
def test_results_are_no_views_of_the_input(text: str) -> None:
    x = inputs(4)
    before = x.clone()
    function(text)(x).zero_()
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_one_undefined_output_leaves_the_others_alone() -> None:
    f = function("log(x0) + x1", "x0 + x1", "x2 + 1")
    x = torch.tensor([[-1.0, 2.0, float("nan")]])
    assert torch.isnan(f(x)).tolist() == [[True, False, True]]


def test_a_thousand_terms() -> None:
    text = " + ".join(f"{i}.5*x{i % 3}" for i in range(1000))
    f = function(text)
    assert len(constants(f.expressions()[0])) == 1000
    torch.testing.assert_close(f(inputs(3)), expected(f, inputs(3)))
    assert copy.deepcopy(f).expressions() == pickle.loads(pickle.dumps(f)).expressions()


# ---- errors


def test_bad_arguments_say_what_was_expected() -> None:
    with pytest.raises(InputError, match="at least one"):
        SymbolicFunction([], 3)
    with pytest.raises(InputError, match=r"columns \[2\]"):
        function("x2", n_inputs=2)
    with pytest.raises(InputError, match=r"\(5, 2\); expected \(\.\.\., 3\)"):
        function()(torch.rand(5, 2))
    with pytest.raises(InputError, match="'fast'"):
        function().use_compiled("fast")


def test_without_a_compiler_auto_runs_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symtorch.codegen.torch_function.compiler", lambda: None)
    f = function().use_compiled("auto")
    assert f.compiled is False
    torch.testing.assert_close(f(inputs(3)), expected(f, inputs(3)))
    with pytest.raises(CompilerError, match="no C compiler"):
        function().use_compiled(True)


def test_a_compiler_that_fails_is_no_disaster_for_auto(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("symtorch.codegen.torch_function.AUTO_WORK", 0)
    monkeypatch.setattr("symtorch.codegen.torch_function.compiler", lambda: "/bin/false")
    monkeypatch.setattr("symtorch.codegen.c_compiler.compiler", lambda: "/bin/false")
    f = function().use_compiled("auto")
    torch.testing.assert_close(f(inputs(3)), expected(f, inputs(3)))
    assert "not compiled" in caplog.text
    with pytest.raises(CompilerError):
        function().use_compiled(True)(inputs(3))


@needs_compiler
def test_auto_compiles_once_the_equations_have_had_work(monkeypatch: pytest.MonkeyPatch) -> None:
    f = function().use_compiled("auto")
    x = inputs(50)
    plain = f(x)
    assert f._native is None
    monkeypatch.setattr("symtorch.codegen.torch_function.AUTO_WORK", 100)
    torch.testing.assert_close(f(x), plain, rtol=1e-12, atol=1e-12)
    assert f._native is not None


@needs_compiler
def test_auto_counts_calls_and_not_only_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symtorch.codegen.torch_function.AUTO_WORK", 1_000_000)
    f = function().use_compiled("auto")
    for _ in range(100):
        f(inputs(1))
    assert f._native is not None


def test_held_constants_are_not_trained() -> None:
    f = function("2.5*sin(3.5*x0) + 1.5").trainable_constants()
    f.hold([[1]])
    f(inputs(5)).sum().backward()
    gradient = dict(zip(f.constants.tolist(), f.constants.grad.tolist(), strict=True))
    assert gradient[3.5] == 0
    assert gradient[2.5] != 0


@needs_compiler
def test_many_rows_are_shared_among_threads() -> None:
    f = function().use_compiled(True)
    x = inputs(20_001, dtype=torch.float32)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = f(x)
        torch.set_num_threads(3)
        torch.testing.assert_close(f(x), alone, rtol=0, atol=0)
    finally:
        torch.set_num_threads(before)


@pytest.mark.cuda
@pytest.mark.parametrize("compiled", [False, "auto", True])
def test_on_cuda(compiled: Any) -> None:
    f = function().use_compiled(False).cuda().use_compiled(compiled)
    x = inputs(300)
    torch.testing.assert_close(f(x.cuda()).cpu(), expected(f, x), rtol=1e-10, atol=1e-12)
    half = x.half()
    torch.testing.assert_close(f(half.cuda()).cpu(), f.cpu().use_compiled(False)(half))
