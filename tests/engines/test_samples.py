"""Samples: what is not data for a search is refused, with numbers."""

from typing import Any

import numpy as np
import pytest

from symtorch.engines.samples import Samples
from symtorch.errors import InputError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(100, 3)), RNG.normal(size=(100, 2))


def test_names_default_to_x0_and_up() -> None:
    assert Samples(X, Y).variable_names == ("x0", "x1", "x2")


def test_values_that_are_not_finite_are_counted_and_placed() -> None:
    bad = X.copy()
    bad[7, 1], bad[9, 1] = np.nan, np.inf
    with pytest.raises(
        InputError, match=r"2 NaN or infinite values, in 2 of 100 rows \(first at row 7\), columns \[1\]"
    ):
        Samples(bad, Y)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"X": X[:9], "Y": Y[:9]}, "only 9 samples"),
        ({"Y": Y[:99]}, "100 rows and outputs 99"),
        ({"Y": Y.astype(complex)}, "complex"),
        ({"X": X[:, 0]}, "shape"),
        ({"variable_names": ("a", "b")}, "2 variable names"),
        ({"variable_names": ("a", "b", "2c")}, "identifier"),
        ({"variable_names": ("a", "b", "lambda")}, "identifier"),
        ({"variable_names": ("a", "b", "sin")}, "clashes"),
        ({"variable_names": ("a", "b", "a")}, "more than once"),
        ({"weights": np.ones(99)}, "99 weights"),
        ({"weights": -np.ones(100)}, "not negative"),
        ({"weights": np.zeros(100)}, "zero"),
        ({"gradients": np.zeros((99, 2, 3))}, r"expected \(100, "),
        ({"gradients": np.zeros(100)}, "derivative of each output by each input"),
        ({"gradients": np.array(["a"])}, "real numbers"),
    ],
)
def test_bad_samples_are_refused(change: Any, what: str) -> None:
    with pytest.raises(InputError, match=what):
        Samples(**({"X": X, "Y": Y} | change))


def test_split_holds_out_a_fifth_and_repeats_itself() -> None:
    samples = Samples(X, Y, weights=np.arange(100.0))
    train, held_out = samples.split(seed=3)
    assert (train.n_samples, held_out.n_samples) == (80, 20)
    assert sorted([*train.weights, *held_out.weights]) == list(range(100))
    assert samples.split(seed=3)[0].fingerprint() == train.fingerprint()
    assert samples.split(seed=4)[0].fingerprint() != train.fingerprint()


def test_few_rows_are_all_searched() -> None:
    samples = Samples(X[:30], Y[:30])
    assert samples.split() == (samples, None)


def test_one_output_alone_takes_its_teacher_along() -> None:
    samples = Samples(X, Y, teacher=lambda rows: rows[:, :2] * 2).outputs([1])
    np.testing.assert_array_equal(samples.Y, Y[:, [1]])
    np.testing.assert_array_equal(samples.teacher(X), X[:, [1]] * 2)


def test_gradients_go_with_their_rows_and_outputs() -> None:
    X, Y = np.arange(60.0).reshape(20, 3), np.arange(40.0).reshape(20, 2)
    gradients = np.arange(120.0).reshape(20, 2, 3)
    samples = Samples(X, Y, gradients=gradients)
    taken = samples.take(np.array([3, *range(10)])).outputs([1])
    assert taken.gradients is not None
    assert np.array_equal(taken.gradients[0, 0], gradients[3, 1])
    assert samples.fingerprint() != Samples(X, Y).fingerprint() != Samples(X, Y, gradients=-gradients).fingerprint()
    one = Samples(X, Y[:, :1], gradients=gradients[:, 0])
    assert one.gradients is not None
    assert one.gradients.shape == (20, 1, 3)
    gradients[4] = np.nan
    with pytest.raises(InputError, match="in 1 of 20 rows"):
        Samples(X, Y, gradients=gradients)
