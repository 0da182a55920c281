"""Units lead the search of rows alone: a scale times a function of dimensionless groups."""

from __future__ import annotations

import numpy as np

from symtorch.engines.native import NativeEngine
from symtorch.engines.native.dimensional import Coordinates, laws_by_dimensions
from symtorch.engines.native.units import Dimensions
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.canonical import canonical
from symtorch.equations.dimensions import dimension, is_consistent
from symtorch.equations.expr import evaluate, to_text
from symtorch.equations.front import Front
from symtorch.equations.parser import parse

AIR = ["1/m^3", "kg", "m/s^2", "m", "J/K", "K"]
NAMES = [f"x{i}" for i in range(6)]
BAROMETRIC = "x0*exp(-1*x1*x2*x3/(x4*x5))"


def air(n: int = 300, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.uniform(1.0, 3.0, (n, 6))
    y = evaluate(parse(BAROMETRIC, NAMES), X)
    return X, y + noise * np.sqrt(np.mean(y**2)) * rng.normal(size=n)


def search(X: np.ndarray, y: np.ndarray, **units: object) -> Front:
    options = SearchOptions.from_params(
        {
            "binary_operators": ["+", "-", "*", "/"],
            "unary_operators": ["exp", "sin", "sqrt"],
            "complexity_of_operators": {},
            "niterations": 1,
            "random_state": 0,
        }
    )
    return NativeEngine().bind(units).search(Samples(X, y[:, None]), options)[0]


def coordinates(units: list[str], output: str, X: np.ndarray | None = None) -> list[str] | None:
    found = Coordinates.of([dimension(u) for u in units], dimension(output), np.ones((2, 6)) if X is None else X)
    return None if found is None else [to_text(expr, NAMES) for expr in (found.scale, *found.groups)]


def test_groups_are_as_many_as_inputs_less_the_rank_of_their_dimensions() -> None:
    found = coordinates(AIR, "1/m^3")
    assert found is not None
    scale, *groups = found
    assert scale == "x0"
    assert len(groups) == 2  # the height beside the length in a density is one


def test_scales_and_groups_have_the_dimensions_that_they_must() -> None:
    for units, output in ((AIR, "1/m^3"), (["C", "C", "F/m", "m"], "N"), (["m", "m/s^2"], "s"), (["J", "K", "1"], "J")):
        own = [dimension(unit) for unit in units]
        found = Coordinates.of(own, dimension(output), np.ones((2, len(units))))
        assert found is not None
        assert is_consistent(found.scale, own, dimension(output))
        assert all(is_consistent(group, own, dimension("1")) for group in found.groups)


def test_where_no_monomial_has_the_dimension_there_are_no_coordinates() -> None:
    assert coordinates(["m", "s"], "kg") is None
    assert coordinates(["1", "1"], "1") is None  # nothing is gained


def test_what_changes_its_sign_measures_nothing() -> None:
    X = np.array([[1.0, 1.0], [-1.0, 2.0]])
    assert coordinates(["m", "m"], "m", X) == ["x1", "x0*x1^(-1)"]


def test_without_a_group_the_scale_is_the_law() -> None:
    X = np.random.default_rng(0).uniform(1.0, 3.0, (100, 2))
    y = 2.0 * np.pi * np.sqrt(X[:, 0] / X[:, 1])
    units = Dimensions.of(["m", "m/s^2"], "s")
    (law,) = laws_by_dimensions(Samples(X, y[:, None]), 0, units, SearchOptions.from_params({}), None, 0)
    assert canonical(law) == canonical(parse("sqrt(x0/x1)", NAMES))
    assert str(search(X, y, X_units=["m", "m/s^2"], y_units="s").best) == "2*pi*sqrt(x0/x1)"


def test_a_law_of_six_inputs_shows_through_noise_by_its_dimensions() -> None:
    X, y = air()
    law = canonical(parse(BAROMETRIC, NAMES))
    assert canonical(search(X, y, X_units=AIR, y_units="1/m^3").best.expr) == law
    assert canonical(search(X, y).best.expr) != law


def test_a_search_by_dimensions_keeps_within_the_options() -> None:
    X, y = air()
    few = {"binary_operators": ["*"], "unary_operators": ["inv"], "maxsize": 7, "niterations": 1, "random_state": 0}
    options = SearchOptions.from_params(few)
    front = NativeEngine().bind({"X_units": AIR, "y_units": "1/m^3"}).search(Samples(X, y[:, None]), options)[0]
    assert all(options.violation(eq.expr) is None for eq in front)
