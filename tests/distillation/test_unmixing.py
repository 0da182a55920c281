"""Simple combinations of a block's outputs are found by asking, and their laws are searched for in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import symtorch
from symtorch import InputError, SymbolicModel
from symtorch.distillation.unmixing import unmixed

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (600, 4))
TURN = np.array([[0.8, -0.6], [0.6, 0.8]])


def spring(x: Any) -> Any:
    """Force of a spring of length one between two points of the plane; (n, 4) -> (n, 2)."""
    d = x[:, 2:] - x[:, :2]
    return d * (1.0 - 1.0 / (d**2).sum(1, keepdims=True) ** 0.5)


def apart(x: np.ndarray) -> np.ndarray:
    return np.column_stack([np.sin(x[:, 0]) * x[:, 1], x[:, 2] * x[:, 3], np.exp(x[:, 0])])


def waves(x: np.ndarray) -> np.ndarray:
    """Smooth, small and without a law: what a network errs by."""
    return np.sin(3.0 * x @ np.random.default_rng(1).normal(size=(4, 8))).sum(axis=1, keepdims=True) / 4.0


def off(mixing: Any, matrix: np.ndarray) -> np.ndarray:
    """What is found in each direction in terms of the laws: all but the largest share, at most that."""
    shares = np.abs(mixing.directions @ matrix.T)
    return np.sort(shares / shares.max(axis=1, keepdims=True), axis=1)[:, :-1].max(axis=1)


@pytest.mark.parametrize(("f", "n"), [(spring, 2), (spring, 7), (apart, 3), (apart, 5)])
def test_the_laws_of_an_exact_block_are_told_apart(f: Any, n: int) -> None:
    matrix = RNG.normal(size=(f(X).shape[1], n))

    def block(x: np.ndarray) -> np.ndarray:
        return f(x) @ matrix + 0.7

    mixing = unmixed(block(X), X, block)
    assert mixing.directions.shape == (len(matrix), n)
    assert (off(mixing, matrix) < 1e-9).all()
    # Nothing of the outputs is lost, however many there are for the laws.
    np.testing.assert_allclose(mixing.decode(mixing.targets(block(X), X), X), block(X), atol=1e-9)
    assert len(set(np.abs(mixing.directions @ matrix.T).argmax(axis=1))) == len(matrix)


def test_a_block_that_errs_is_unmixed_to_about_its_error() -> None:
    def block(x: np.ndarray) -> np.ndarray:
        return spring(x) @ TURN + 0.02 * waves(x)

    assert (off(unmixed(block(X), X, block), TURN) < 0.05).all()


def test_outputs_that_are_simple_themselves_stay_what_they_are() -> None:
    mixing = unmixed(apart(X), X, apart)
    np.testing.assert_allclose(mixing.directions, np.eye(3), atol=1e-9)


def test_without_asking_or_tests_that_tell_the_outputs_are_searched_themselves() -> None:
    for ask in (None, lambda x: waves(x) * np.ones((1, 2)) + spring(x)):
        mixing = unmixed(spring(X), X, ask)
        assert mixing.directions.shape == (2, 2)
    np.testing.assert_allclose(unmixed(spring(X), X, None).directions, np.eye(2), atol=1e-9)


def test_so_many_laws_as_are_asked_for() -> None:
    matrix = RNG.normal(size=(2, 6))

    def block(x: np.ndarray) -> np.ndarray:
        return spring(x) @ matrix + 0.01 * waves(x) * np.arange(6)

    mixing = unmixed(block(X), X, block, n_laws=2)
    assert mixing.directions.shape == (2, 6)
    assert (off(mixing, matrix) < 0.05).all()


def test_outputs_of_any_size_count() -> None:
    matrix = RNG.normal(size=(2, 2)) * [1e-8, 1e5]

    def block(x: np.ndarray) -> np.ndarray:
        return spring(x) @ matrix

    mixing = unmixed(block(X), X, block)
    assert (off(mixing, matrix) < 1e-9).all()
    error = mixing.decode(mixing.targets(block(X), X), X) - block(X)
    assert (np.abs(error).max(axis=0) < 1e-9 * block(X).std(axis=0)).all()


def test_a_constant_block_has_nothing_to_tell_apart() -> None:
    assert unmixed(np.ones((100, 3)), X[:100], None).directions.shape == (3, 3)


def test_answers_that_are_not_finite_say_nothing() -> None:
    def block(x: np.ndarray) -> np.ndarray:
        out = spring(x) @ TURN
        out[x[:, 0] > 1.9] = np.nan
        return out

    assert (off(unmixed(spring(X) @ TURN, X, block), TURN) < 1e-9).all()


# ---- through the public interface


class Turned(nn.Module):
    def __init__(self, f: Any = spring) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.f(x) @ torch.tensor(TURN, dtype=x.dtype)


def two(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([x[:, 0] * x[:, 1], 2.0 * x[:, 2] / (x[:, 3] ** 2 + 1.5)], 1)


QUIET = {
    "verbosity": 0,
    "random_state": 0,
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["sqrt", "square"],
}


def test_laws_found_in_one_go_stand_in_the_blocks_place(tmp_path: Path) -> None:
    inputs = torch.from_numpy(X)
    model = SymbolicModel(Turned(two), "message")
    fronts = model.distill(inputs, mixing=True, sr_params=QUIET)
    assert [front.verdict.kind for front in fronts.values()] == ["law", "law"]
    assert all(front.best.complexity <= 10 for front in fronts.values())
    expected = model(inputs)
    model.switch_to_symbolic()
    torch.testing.assert_close(model(inputs), expected)
    model.save(tmp_path / "message.symtorch")
    again = symtorch.SymbolicModel.load(tmp_path / "message.symtorch", trusted=True)
    torch.testing.assert_close(again(inputs), expected)


def test_it_goes_with_transforms() -> None:
    model = SymbolicModel(Turned(), "message")
    transforms = {"dx": "x2 - x0", "dy": "x3 - x1", "r": "sqrt((x2 - x0)^2 + (x3 - x1)^2)"}
    fronts = model.distill(torch.from_numpy(X), mixing=True, variable_transforms=transforms, sr_params=QUIET)
    assert fronts[0].best.variable_names == ("dx", "dy", "r")
    assert [front.verdict.kind for front in fronts.values()] == ["law", "law"]


@pytest.mark.parametrize(("arguments", "message"), [({"mixing": 0.5}, "number of laws"), ({"mixing": 0}, "laws")])
def test_what_is_no_number_of_laws_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SymbolicModel(Turned(), "message").distill(torch.from_numpy(X), **arguments)


def test_a_projection_has_directions_of_its_own() -> None:
    with pytest.raises(InputError, match="directions of its own"):
        SymbolicModel(Turned(), "m").distill(torch.from_numpy(X), mixing=True, projection=symtorch.Projection())


def test_questions_are_counted_and_limited() -> None:
    model = SymbolicModel(Turned(two), "message")
    fronts = model.distill(torch.from_numpy(X), mixing=True, ask=5000, sr_params=QUIET)
    assert sum(front.rows_asked for front in fronts.values()) <= 5000
