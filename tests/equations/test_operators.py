"""Every row of the operator table means the same in every world."""

import pickle
from typing import Any

import numpy as np
import pytest
import sympy
import torch

from symtorch.equations.definitions import operator
from symtorch.equations.operators import ALIASES, OPERATORS
from symtorch.equations.table import ROWS, Row
from symtorch.errors import OptionError

N = 60
TABLE = [pytest.param(row, id=row.name) for row in ROWS]
HERE = {"np": np}


def points(row: Row, seed: int = 0, spread: Any = 3.0) -> Any:
    """(arity, N) arguments in the operator's domain, off the kinks, of both signs where it allows."""
    rng = np.random.default_rng(seed)
    args = rng.uniform(-spread, spread, size=(row.arity, 40 * N))
    named = dict(zip("xyz", args, strict=False))
    inside = eval(row.domain, HERE, named) if row.domain else np.ones(40 * N, dtype=bool)
    if row.name == "clamp":
        inside &= args[1] < args[2]
    chosen = args[:, inside][:, :N]
    assert chosen.shape == (row.arity, N)
    return chosen


def by_sympy(row: Row, args: Any, derivative_by: Any = None) -> Any:
    symbols = sympy.symbols("x y z", real=True)[: row.arity]
    expr = OPERATORS[row.name].sympy(*symbols)
    if derivative_by is not None:
        expr = expr.diff(symbols[derivative_by])
        # Steps are flat wherever they have a derivative, which SymPy doesn't say.
        flat = [node for node in sympy.preorder_traversal(expr) if isinstance(node, (sympy.Subs, sympy.Derivative))]
        expr = expr.subs(dict.fromkeys(flat, 0)).replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
    values = [expr.subs(dict(zip(symbols, map(float, point), strict=True))).evalf(17) for point in args.T]
    return np.array([float(value) for value in values])


@pytest.mark.parametrize("row", TABLE)
def test_torch_numpy_and_sympy_agree(row: Row) -> None:
    args = points(row)
    op = OPERATORS[row.name]
    expected = by_sympy(row, args)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(op.numpy(*args), expected, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(op.torch(*torch.tensor(args)).numpy(), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float32, 2e-5), (torch.bfloat16, 0.1), (torch.float16, 2e-2)])
@pytest.mark.parametrize("row", TABLE)
def test_torch_keeps_the_precision_it_is_given(row: Row, dtype: torch.dtype, digits: Any) -> None:
    args = torch.tensor(points(row)).to(dtype)
    op = OPERATORS[row.name]
    result = op.torch(*args)
    assert result.dtype == dtype
    expected = torch.as_tensor(op.numpy(*args.double().numpy()))
    # Rounding the argument moves the result by its slope; steep places say nothing about the operator.
    calm = expected.abs() < 20
    error = (result.double() - expected).abs() / (1 + expected.abs())
    assert (error[calm] <= digits).double().mean() > 0.95


@pytest.mark.parametrize("row", TABLE)
def test_gradients_are_sympys_derivatives(row: Row) -> None:
    args = points(row)[:, :40]
    op = OPERATORS[row.name]
    tensors = [torch.tensor(arg, requires_grad=True) for arg in args]
    value = op.torch(*tensors)
    grads = [None] * row.arity
    if value.requires_grad:
        grads = torch.autograd.grad(value.sum(), tensors, allow_unused=True)
    with np.errstate(all="ignore"):
        partials = op.partials(op.numpy(*args), *args) if op.partials is not None else [0.0] * row.arity
    for i, (grad, partial) in enumerate(zip(grads, partials, strict=True)):
        if row.name == "^" and i == 1:  # by the exponent it exists for positive bases only
            continue
        expected = by_sympy(row, args, derivative_by=i)
        found = np.zeros(args.shape[1]) if grad is None else grad.numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(np.broadcast_to(partial, expected.shape), expected, rtol=1e-9, atol=1e-11)


def test_gradient_of_a_power_by_its_exponent() -> None:
    x, y = np.array([0.5, 2.0, 3.0]), np.array([1.5, -0.5, 2.0])
    value = OPERATORS["^"].numpy(x, y)
    np.testing.assert_allclose(OPERATORS["^"].partials(value, x, y)[1], x**y * np.log(x), rtol=1e-13)


@pytest.mark.parametrize("row", [row for row in TABLE if row.values[0].domain])
def test_outside_the_domain_no_world_gives_a_number(row: Row) -> None:
    rng = np.random.default_rng(1)
    args = np.concatenate([rng.uniform(-3, 3, size=(row.arity, 2000)), np.zeros((row.arity, 1))], axis=1)
    args = np.concatenate([args, np.round(args)], axis=1)
    outside = ~eval(row.domain, HERE, dict(zip("xyz", args, strict=False)))
    assert outside.any()
    op = OPERATORS[row.name]
    with np.errstate(all="ignore"):
        assert not np.isfinite(op.numpy(*args)[outside]).any()
    assert not torch.isfinite(op.torch(*torch.tensor(args))[torch.tensor(outside)]).any()


@pytest.mark.parametrize("row", TABLE)
def test_numbers_without_dimensions_are_numbers(row: Row) -> None:
    args = points(row)[:, 0]
    op = OPERATORS[row.name]
    value = op.numpy(*map(np.float64, args))
    assert np.shape(value) == ()
    assert op.torch(*torch.tensor(args)).shape == ()
    np.testing.assert_allclose(value, op.torch(*torch.tensor(args)).item(), rtol=1e-12)


@pytest.mark.parametrize("row", TABLE)
def test_operators_pickle_by_name(row: Row) -> None:
    assert pickle.loads(pickle.dumps(OPERATORS[row.name])) is OPERATORS[row.name]


def test_nan_stays_nan_where_a_number_would_hide_it() -> None:
    nan = torch.tensor([float("nan")], dtype=torch.float64)
    for name in ("sign", "heaviside", "abs", "relu", "round", "max", "min"):
        args = (nan, torch.zeros_like(nan))[: OPERATORS[name].arity]
        assert torch.isnan(OPERATORS[name].torch(*args)).all(), name
        assert np.isnan(OPERATORS[name].numpy(*(a.numpy() for a in args))).all(), name


def test_aliases_lead_to_the_table() -> None:
    assert set(ALIASES.values()) <= set(OPERATORS)
    assert not set(ALIASES) & set(OPERATORS)


@pytest.mark.parametrize("spec", ["inv(x) = 1/x", "square(a) = a*a", "greater(a, b) = a > b"])
def test_a_definition_of_what_the_table_has_is_the_tables(spec: str) -> None:
    assert operator(spec) is OPERATORS[spec.split("(")[0]]


@pytest.mark.parametrize("spec", ["log(x) = log(abs(x))", "abs(x) = x", "sqrt(x) = sqrt(abs(x))"])
def test_a_definition_that_differs_is_the_users_own(spec: str) -> None:
    own = operator(spec)
    assert own.body is not None
    assert own != OPERATORS[own.name]
    assert pickle.loads(pickle.dumps(own)) == own


def test_a_users_operator_works_in_every_world() -> None:
    bump = operator("bump(x, w) = exp(-0.1*(x/w)^2) + max(x, 1)")
    x, w = np.array([0.3, -1.2, 4.0]), np.array([1.0, 2.0, 0.5])
    expected = np.exp(-0.1 * (x / w) ** 2) + np.maximum(x, 1)
    np.testing.assert_allclose(bump.numpy(x, w), expected, rtol=1e-14)
    np.testing.assert_allclose(bump.torch(torch.tensor(x), torch.tensor(w)).numpy(), expected, rtol=1e-14)
    low = bump.torch(torch.tensor(x, dtype=torch.bfloat16), torch.tensor(w, dtype=torch.bfloat16))
    assert low.dtype == torch.bfloat16
    value = [float(bump.sympy(sympy.Float(a), sympy.Float(b))) for a, b in zip(x, w, strict=True)]
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    by_x, by_w = bump.partials(expected, x, w)
    step = 1e-6
    np.testing.assert_allclose(by_x, (bump.numpy(x + step, w) - bump.numpy(x - step, w)) / (2 * step), rtol=1e-6)
    np.testing.assert_allclose(by_w, (bump.numpy(x, w + step) - bump.numpy(x, w - step)) / (2 * step), rtol=1e-6)


def test_unknown_operators_and_wrong_arities_say_so() -> None:
    with pytest.raises(OptionError, match="Did you mean 'sqrt'"):
        operator("sqrtt")
    with pytest.raises(OptionError, match="unary"):
        operator("sin", arity=2)
