"""A fitted projection: coordinates, linear part and lift say what they should, on arrays and tensors alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from symtorch import InputError, Projection, StateError
from symtorch.capture.moments import Halves, Moments
from symtorch.equations import parse
from symtorch.state.encodings import Around, read_encoding, write_encoding
from symtorch.state.node import Node
from symtorch.surrogate.encodings import Projected
from symtorch.surrogate.regression import Regression

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3000, 10)) @ RNG.normal(size=(10, 10)) + 2
LINEAR = X @ RNG.normal(size=(10, 4)) @ RNG.normal(size=(4, 7))
Y = LINEAR + np.tanh(X[:, :2]) @ RNG.normal(size=(2, 7)) + 1 + 0.1 * RNG.normal(size=(3000, 7))
REGRESSION = Regression(Halves(Moments.of(X[::2], Y[::2]), Moments.of(X[1::2], Y[1::2])))


def fitted(inputs: int = 4, outputs: int = 3, kind: str = "rrr", skip: int | None = None) -> Projected:
    return Projection(inputs, outputs, kind).fit(REGRESSION, skip)


WAYS = [("rrr", None), ("rrr", 2), ("rrr", 6), ("rrr", 0), ("pca", None), ("pca", 0), ("pls", 3)]


@pytest.mark.parametrize(("kind", "skip"), WAYS)
def test_with_true_targets_it_gives_back_what_lies_in_the_span_of_the_lift(kind: Any, skip: Any) -> None:
    encoding = fitted(outputs=7, kind=kind, skip=skip)  # all directions of the outputs
    back = encoding.decode(encoding.targets(Y, X), X)
    np.testing.assert_allclose(back, Y, atol=2e-3 * Y.std())


@pytest.mark.parametrize(("kind", "skip"), WAYS)
def test_without_equations_it_is_the_linear_map_of_the_rank(kind: Any, skip: Any) -> None:
    encoding = fitted(kind=kind, skip=skip)
    rank = 4 if skip is None else skip
    answer = encoding.decode(np.zeros((len(X), 3)), X)
    np.testing.assert_allclose(answer, REGRESSION.reduced_rank.predict(X, rank), atol=1e-4 * Y.std())


@pytest.mark.parametrize(("kind", "skip"), WAYS)
def test_variables_and_targets_have_unit_variance_and_the_mean_zero(kind: Any, skip: Any) -> None:
    encoding = fitted(kind=kind, skip=skip)
    z, t = encoding.encode(X), encoding.targets(Y, X)
    assert z.shape == (3000, 4)
    assert t.shape == (3000, 3)
    for values in (z, t):
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-3)
        np.testing.assert_allclose(values.std(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(np.corrcoef(t.T), np.eye(3), atol=1e-2)


def test_what_the_linear_part_explains_is_no_target() -> None:
    encoding = fitted(kind="rrr", skip=None)
    z, t = encoding.encode(X), encoding.targets(Y, X)
    np.testing.assert_allclose(z.T @ t / len(z), 0, atol=1e-3)


@pytest.mark.parametrize(("kind", "skip"), WAYS)
@pytest.mark.parametrize("shape", [(), (5,), (2, 5), (0,)])
def test_tensors_give_what_arrays_do(kind: Any, skip: Any, shape: tuple[int, ...]) -> None:
    encoding = fitted(kind=kind, skip=skip)
    x = torch.randn(*shape, 10, dtype=torch.float64)
    y = torch.randn(*shape, 3, dtype=torch.float64)
    np.testing.assert_allclose(encoding.encode(x), encoding.encode(x.numpy()), atol=1e-10)
    np.testing.assert_allclose(encoding.decode(y, x), encoding.decode(y.numpy(), x.numpy()), atol=1e-10)
    variables, decode = encoding.split(x)
    torch.testing.assert_close(variables, encoding.encode(x))
    torch.testing.assert_close(decode(y), encoding.decode(y, x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_it_answers_in_the_type_of_its_inputs(dtype: torch.dtype) -> None:
    encoding = fitted()
    x = torch.from_numpy(X[:50]).to(dtype)
    answer = encoding.decode(torch.zeros(50, 3, dtype=dtype), x)
    assert answer.dtype == dtype
    exact = encoding.decode(np.zeros((50, 3)), x.double().numpy())
    tolerance = 20 * torch.finfo(dtype).eps * np.abs(X).max()
    np.testing.assert_allclose(answer.double(), exact, atol=tolerance * Y.std())


def test_the_teacher_is_asked_at_inputs_of_the_given_coordinates() -> None:
    encoding, asked = fitted(), []

    def block(x: np.ndarray) -> np.ndarray:
        asked.append(x)
        return x[:, :7] ** 2

    teacher = encoding.teacher(lambda: block)
    assert teacher is not None
    z = RNG.normal(size=(20, 4))
    answer = teacher(z)
    (x,) = asked
    np.testing.assert_allclose(encoding.encode(x), z, atol=1e-5)
    np.testing.assert_allclose(answer, encoding.targets(x[:, :7] ** 2, x), atol=1e-10)
    # At the mean of the coordinates it is asked at the mean of the inputs.
    teacher(np.zeros((1, 4)))
    np.testing.assert_allclose(asked[1][0], X.mean(axis=0), atol=1e-5)
    assert encoding.teacher(lambda: None) is None


def test_a_mean_has_no_coordinates() -> None:
    encoding = fitted(kind="mean")
    assert (encoding.n_variables, encoding.n_searched(7)) == (0, 0)
    np.testing.assert_allclose(encoding.decode(np.zeros((3, 0)), X[:3]), np.tile(Y.mean(axis=0), (3, 1)), rtol=1e-5)


@pytest.mark.parametrize("kind", ["rrr", "pca", "pls"])
def test_with_nothing_to_search_for_it_is_no_more_than_the_linear_map(kind: Any) -> None:
    encoding = fitted(outputs=0, kind=kind, skip=3)
    assert encoding.reduce.shape == (10, 3)
    assert encoding.n_variables == 0
    answer = encoding.decode(np.zeros((len(X), 0)), X)
    np.testing.assert_allclose(answer, REGRESSION.reduced_rank.predict(X, 3), atol=1e-4 * Y.std())


def test_a_block_that_is_linear_leaves_nothing_to_search_for() -> None:
    x = X.astype(np.float32).astype(np.float64)
    y = LINEAR
    regression = Regression(Halves(Moments.of(x[::2], y[::2]), Moments.of(x[1::2], y[1::2])))
    assert Projection(6, 6).fit(regression).n_searched(7) == 0


def test_there_are_no_more_coordinates_than_there_can_be() -> None:
    encoding = fitted(inputs=100, outputs=100)
    assert encoding.n_variables <= 10
    assert encoding.n_searched(7) <= 7


# ---- saving


def there_and_back(written: dict, n_variables: int = 4, n_inputs: int = 10, n_outputs: int = 7) -> Projected:
    names = tuple(f"z{i}" for i in range(n_variables))
    found = read_encoding(Node({"transforms": written}, "interface"), Around(names, n_inputs, n_outputs, {}))
    assert isinstance(found, Projected)
    return found


@pytest.mark.parametrize(("kind", "skip"), WAYS)
def test_it_is_written_and_read_exactly(kind: Any, skip: Any) -> None:
    encoding = fitted(kind=kind, skip=skip)
    written = write_encoding(encoding)
    assert written is not None
    assert there_and_back(written) == encoding
    assert encoding != fitted(kind=kind, skip=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first": 9}, "first is 9"),
        ({"reduce": None}, "reduce"),
        ({"mean_x": "mean_y"}, r"mean_x\.shape"),
        ({"lift": "back"}, r"lift\.shape"),
        ({"back": "lift"}, r"back\.shape"),
        ({"linear": "reduce"}, r"linear\.shape"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: Any, message: str) -> None:
    written = write_encoding(fitted())
    assert written is not None
    changed = written | {key: written.get(value, value) for key, value in change.items()}
    with pytest.raises(StateError, match=message):
        there_and_back(changed)


def test_another_width_is_refused() -> None:
    written = write_encoding(fitted())
    assert written is not None
    for sizes in ({"n_variables": 3}, {"n_inputs": 11}, {"n_outputs": 8}):
        with pytest.raises(StateError, match="shape"):
            there_and_back(written, **sizes)


# ---- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "svd"}, "kind of the projection is 'svd'; expected one of rrr, pca, pls, mean"),
        ({"inputs": 0}, "inputs of the projection is 0"),
        ({"inputs": True}, "inputs of the projection is True"),
        ({"outputs": -1}, "outputs of the projection is -1"),
        ({"outputs": 2.0}, "outputs of the projection is 2.0"),
    ],
)
def test_mistakes_say_what_to_do(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Projection(**arguments)


def test_equations_are_not_written_out() -> None:
    encoding = fitted()
    assert encoding.expand(parse("z0", ["z0"])) is None
    with pytest.raises(InputError, match="not written out"):
        encoding.combine({}, [0])
