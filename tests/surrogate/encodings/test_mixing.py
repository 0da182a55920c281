"""Outputs as linear combinations of what is searched for: there and back, in symbols, saved and read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from symtorch import InputError, StateError
from symtorch.equations import parse
from symtorch.equations.expr import evaluate
from symtorch.state.encodings import Around, read_encoding, write_encoding
from symtorch.state.node import Node
from symtorch.surrogate.encodings import Mixing, Transforms

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 2))
DIRECTIONS = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, -2.0], [1.0, 0.0, 2.0]])
MEAN = np.array([0.1, 0.2, 0.3])
FULL = Mixing.along(DIRECTIONS, MEAN)
LOW = Mixing.along(DIRECTIONS[:2], MEAN)
NAMES = ["x0", "x1"]


def test_as_many_laws_as_outputs_lose_nothing() -> None:
    Y = RNG.normal(size=(50, 3))
    np.testing.assert_allclose(FULL.decode(FULL.targets(Y, X), X), Y, atol=1e-12)


def test_fewer_laws_give_back_what_lies_in_their_span() -> None:
    laws = RNG.normal(size=(50, 2))
    Y = LOW.decode(laws, X)
    assert Y.shape == (50, 3)
    np.testing.assert_allclose(LOW.targets(Y, X), laws, atol=1e-12)


def test_tensors_are_decoded_as_arrays_and_gradients_run_through() -> None:
    laws = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    out = LOW.decode(laws, None)
    np.testing.assert_allclose(out.detach().numpy(), LOW.decode(laws.detach().numpy(), None), atol=1e-12)
    out.sum().backward()
    np.testing.assert_allclose(laws.grad[0], LOW.matrix.sum(axis=1), atol=1e-12)
    with torch.inference_mode():
        assert LOW.decode(laws.float(), None).dtype == torch.float32


def test_the_equations_of_outputs_are_written_from_the_laws() -> None:
    laws = {0: parse("sin(x0)", NAMES), 1: parse("x0*x1", NAMES)}
    values = np.column_stack([evaluate(law, X) for law in laws.values()])
    written = np.column_stack([evaluate(expr, X) for expr in LOW.combine(laws, range(3))])
    np.testing.assert_allclose(written, LOW.decode(values, X), atol=1e-12)


def test_an_output_needs_the_laws_that_it_is_made_of() -> None:
    apart = Mixing.along([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    assert apart.needed([0]) == [0]
    assert apart.needed([1, 2]) == [1]
    assert apart.needed([]) == []


def test_the_teacher_answers_for_the_laws() -> None:
    ask = FULL.teacher(lambda: lambda x: np.column_stack([x[:, 0], x[:, 1], x[:, 0] * x[:, 1]]))
    np.testing.assert_allclose(ask(X), FULL.targets(np.column_stack([X, X[:, 0] * X[:, 1]]), X))
    assert FULL.teacher(lambda: None) is None


@pytest.mark.parametrize(
    ("directions", "mean", "message"),
    [
        ([1.0, 2.0], None, "n_searched, n_outputs"),
        ([[1.0], [2.0]], None, "no more rows than columns"),
        ([[1.0, float("nan")]], None, "finite"),
        ([[1.0, 2.0], [2.0, 4.0]], None, "depend linearly"),
        ([[1.0, 2.0]], [0.0], "expected 2 finite numbers"),
    ],
)
def test_what_is_no_mixing_is_refused(directions: Any, mean: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Mixing.along(directions, mean)


# ---- saving


def read(written: Any, n_inputs: int = 2, names: tuple[str, ...] = ("x0", "x1")) -> Any:
    interface = Node({"transforms": written, "variables": list(names)}, "interface")
    return read_encoding(interface, Around(names, n_inputs, 3, {}))


@pytest.mark.parametrize("inner", [None, Transforms.make({"d": "x1 - x0", "r": "abs(x0)"}, 2)])
def test_it_is_read_as_it_was_written_to_the_last_digit(inner: Any) -> None:
    mixing = Mixing.along(RNG.normal(size=(2, 3)), MEAN, inner)
    names = ("x0", "x1") if inner is None else ("d", "r")
    assert read(write_encoding(mixing), names=names) == mixing
    assert mixing != FULL


@pytest.mark.parametrize(
    "change",
    [
        {"directions": [[1.0, 2.0]]},
        {"directions": [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]},
        {"directions": []},
        {"directions": [["a", 1.0, 2.0]]},
        {"mean": [1.0]},
        {"scale": [1.0, 0.0, 1.0]},
        {"scale": [1.0]},
        {"inner": {"kind": "mixing"}},
        {"inner": {"formulas": ["x0"]}},
    ],
)
def test_a_damaged_one_is_refused(change: Any) -> None:
    with pytest.raises(StateError):
        read({**write_encoding(LOW), **change})


def test_inputs_that_are_not_the_variables_are_refused() -> None:
    with pytest.raises(StateError, match="3 inputs as 2 variables"):
        read(write_encoding(LOW), n_inputs=3)
