"""The shortest number between two others."""

import numpy as np
import pytest

from symtorch.engines.native.forms.numbers import shortest_between


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.29881, 0.30214, 0.3),
        (5.8371, 5.8404, 5.84),
        (-1.2, 3.0, 0.0),
        (-0.7012, -0.6993, -0.7),
        (1234.2, 1249.0, 1240.0),
        (2.1e-9, 2.9e-9, 2.5e-9),
        (0.0, 1e-300, 0.0),
    ],
)
def test_it_has_the_fewest_digits(low: float, high: float, expected: float) -> None:
    assert shortest_between(low, high) == expected


def test_between_neighbours_it_is_the_lower_one() -> None:
    for low in np.random.default_rng(0).uniform(-5.0, 5.0, 200):
        assert shortest_between(float(low), float(np.nextafter(low, np.inf))) == low


def test_it_is_never_outside() -> None:
    rng = np.random.default_rng(1)
    for _ in range(500):
        low, high = np.sort(rng.normal(size=2) * 10.0 ** rng.integers(-12, 12))
        assert low <= shortest_between(float(low), float(high)) < high
