"""The native engine: the contract of every engine, and what is its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, ClassVar

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from symtorch.engines import Progress, resolve
from symtorch.engines.native import NativeEngine
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.dimensions import dimension, is_consistent
from symtorch.equations.expr import constants, evaluate, variables
from symtorch.equations.front import Front
from symtorch.equations.parser import parse
from symtorch.equations.uncertainty import is_exact
from symtorch.errors import InputError, OptionError
from symtorch.testing import EngineContract, inputs

WIDE = {
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["square", "sqrt", "exp", "log", "sin", "cos"],
    "random_state": 0,
}


class TestContract(EngineContract):
    params: ClassVar[dict[str, Any]] = {**EngineContract.params, "niterations": 5}

    def engine(self) -> NativeEngine:
        return NativeEngine()


def search(X: np.ndarray, y: np.ndarray, teacher: Any = None, **params: Any) -> Front:
    samples = Samples(X, y.reshape(len(X), -1), teacher=teacher)
    return NativeEngine().search(samples, SearchOptions.from_params({"random_state": 0, **params}))[0]


def box(low: list[float], high: list[float], n: int = 600) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, high, (n, len(low)))


LAWS = {
    "2*cos(x3) + x0^2 - 2": ([-3.0] * 5, [3.0] * 5),
    "x0*x1/(x2^2 + 0.1)": ([-3.0] * 5, [3.0] * 5),
    "x0^3/(exp(x0*x1) - 1)": ([1.0, 1.0], [3.0, 3.0]),
    "x0*x1/sqrt(1 - x1^2/x2^2)": ([1.0, 1.0, 3.0], [5.0, 2.0, 10.0]),
    "1.5*exp(-0.4*x0)*cos(3*x1 + 0.5)": ([-2.0, -2.0], [2.0, 2.0]),
    "exp(-0.3*x0)*sin(2*x1)": ([-3.0] * 5, [3.0] * 5),
}


@pytest.mark.parametrize("text", LAWS)
def test_finds_laws_exactly_and_picks_them(text: str) -> None:
    low, high = LAWS[text]
    X = box(low, high)
    names = [f"x{i}" for i in range(len(low))]
    expected = parse(text, names)
    front = search(X, evaluate(expected, X), **WIDE)
    fresh = box(low, high, 2000)[600:]
    assert front.stop_reason == "exact"
    np.testing.assert_allclose(front.best.predict(fresh), evaluate(expected, fresh), rtol=1e-6, atol=1e-9)


def test_smooth_error_of_a_network_does_not_hide_the_law() -> None:
    X = box([0.0, 0.0], [1.0, 1.0])
    error = 1e-3 * np.sin(5 * X[:, 0] + 2) * np.cos(3 * X[:, 1])
    front = search(X, 1.03 * np.sin(3.14 * X[:, 0]) * np.exp(-1.97 * X[:, 1]) + error, niterations=40)
    assert sorted(round(c, 1) for c in constants(front.best.expr)) == [-2.0, 1.0, 3.1]
    assert "sin" in front.best.text
    assert "exp" in front.best.text


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (lambda X: 0.5 * X[:, 0] * X[:, 1] ** 2, "0.5*x0*square(x1)"),
        (lambda X: np.pi * X[:, 0] / X[:, 1], "pi*x0/x1"),
        (lambda X: 0.6173 * X[:, 0] * X[:, 1], None),
    ],
)
def test_a_law_behind_noise_has_its_own_numbers(law: Callable[[np.ndarray], np.ndarray], expected: str | None) -> None:
    X = np.random.default_rng(0).uniform(1.0, 3.0, (800, 2))
    y = law(X)
    front = search(X, y + 0.01 * y.std() * np.random.default_rng(1).normal(size=800), niterations=60)
    if expected is None:  # no simple number is near
        assert [is_exact(c.value) for c in front.best.constants] == [False]
    else:
        assert np.allclose(front.best.predict(X), y, rtol=1e-12, atol=0.0), f"{front.best} for {expected}"


def test_noise_ends_the_search_and_the_law_is_picked() -> None:
    X = inputs(500)
    noise = 0.1 * np.random.default_rng(1).normal(size=500)
    front = search(X, X[:, 0] ** 2 + 2.0 * X[:, 1] + noise, niterations=60)
    assert front.stop_reason in ("converged", "budget")
    np.testing.assert_allclose(front.best.predict(X), X[:, 0] ** 2 + 2.0 * X[:, 1], atol=0.1)


def test_no_needless_constants_and_no_aliases() -> None:
    X = box([0.5, 0.5], [2.0, 2.0])
    front = search(X, X[:, 0] * X[:, 1] + 0.5, **WIDE)
    assert front.best.text in ("x0*x1 + 0.5", "0.5 + x0*x1", "x1*x0 + 0.5")


def test_many_inputs_of_which_few_matter() -> None:
    X = np.random.default_rng(0).uniform(-2.0, 2.0, (800, 256))
    y = X[:, 3] * X[:, 17] + np.sin(X[:, 40]) * X[:, 99]
    front = search(X, y)
    assert front.stop_reason == "exact"
    assert variables(front.best.expr) == [3, 17, 40, 99]


def test_many_inputs_with_a_teacher() -> None:
    X = np.random.default_rng(0).uniform(-2.0, 2.0, (300, 64))

    def teacher(X: np.ndarray) -> np.ndarray:
        return (X[:, [7]] * X[:, [21]]) ** 2 + X[:, [50]]

    front = search(X, teacher(X), teacher=teacher)
    assert front.best.loss < 1e-12
    assert variables(front.best.expr) == [7, 21, 50]


def test_select_k_features_limits_the_inputs() -> None:
    X = inputs(d=5)
    front = search(X, X[:, 0] + 0.5 * X[:, 2] + 0.2 * X[:, 4], select_k_features=2, niterations=20)
    assert {i for eq in front for i in variables(eq.expr)} <= {0, 2}


def test_guesses_are_taken_up() -> None:
    X = inputs()
    y = np.sin(3.0 * X[:, 0] * X[:, 1] + 0.3) * np.exp(X[:, 0]) + X[:, 1]
    front = search(X, y, guesses=["sin(2.9*x0*x1 + 0.2)*exp(x0) + x1"], niterations=1)
    assert front.best.loss < 1e-15


def test_early_stop_condition() -> None:
    X = inputs()
    front = search(X, np.tanh(X[:, 0]) * X[:, 1], early_stop_condition=0.1, niterations=400)
    assert front.stop_reason == "early_stop_condition"
    assert front[-1].loss < 0.1


@pytest.mark.parametrize(
    "params",
    [{"loss_function": "f"}, {"dimensional_constraint_penalty": 1.0}, {"elementwise_loss": "MyOwnLoss()"},
     {"early_stop_condition": "f(l, c) = l < 1"}],
    ids=str,
)  # fmt: skip
def test_what_it_cannot_honour_names_option_and_engine(params: dict[str, Any]) -> None:
    X = inputs()
    with pytest.raises(OptionError, match=r"pysr") as raised:
        search(X, X[:, 0], **params)
    assert next(iter(params)) in str(raised.value)


def test_how_pysr_searches_is_no_business_of_the_native_engine() -> None:
    X = inputs()
    assert search(X, X[:, 0] ** 2, populations=3, ncycles_per_iteration=10, procs=2).stop_reason == "exact"


def test_it_is_registered() -> None:
    assert isinstance(resolve("native"), NativeEngine)


BINARY = ["+", "-", "*", "/", "^", "hyp(x, y) = sqrt(x^2 + y^2)"]
UNARY = [
    "neg",
    "square",
    "cube",
    "sqrt",
    "abs",
    "exp",
    "log",
    "sin",
    "cos",
    "tanh",
    "inv(x) = 1/x",
    "bump(x) = exp(-x^2)",
]


@st.composite
def search_spaces(draw: st.DrawFn) -> dict[str, Any]:
    binary = draw(st.lists(st.sampled_from(BINARY), unique=True, max_size=4))
    unary = draw(st.lists(st.sampled_from(UNARY), unique=True, max_size=4))
    names = [spec.split("(")[0] for spec in (*binary, *unary)]
    params: dict[str, Any] = {"binary_operators": binary, "unary_operators": unary}
    params["maxsize"] = draw(st.integers(3, 20))
    params["maxdepth"] = draw(st.none() | st.integers(1, 6))
    if names:
        chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
        params["complexity_of_operators"] = {name: draw(st.integers(1, 4)) for name in chosen}
        limited = draw(st.lists(st.sampled_from(names), unique=True, max_size=2))
        params["nested_constraints"] = {
            name: {draw(st.sampled_from(names)): draw(st.integers(0, 1))} for name in limited
        }
        single = [spec.split("(")[0] for spec in unary]
        if single:
            params["constraints"] = {draw(st.sampled_from(single)): draw(st.integers(1, 8))}
    params["complexity_of_constants"] = draw(st.sampled_from([1, 2, 0.5]))
    params["complexity_of_variables"] = draw(st.sampled_from([1, 2, [1, 3]]))
    return params


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(search_spaces())
def test_every_equation_obeys_whatever_the_search_space(params: dict[str, Any]) -> None:
    X = inputs(60)
    y = np.exp(-(X[:, 0] ** 2)) * X[:, 1] + 0.3 * X[:, 0] ** 3
    options = SearchOptions.from_params({**params, "niterations": 1, "random_state": 0, "timeout_in_seconds": 20.0})
    (front,) = NativeEngine().search(Samples(X, y[:, None]), options)
    assert len(front) >= 1
    assert [options.violation(eq.expr) for eq in front] == [None] * len(front)


@pytest.mark.parametrize("default", ["float64", "another device", "autocast"])
def test_whatever_torch_does_by_default(default: str) -> None:
    X = inputs(d=3)
    y = X[:, 0] * X[:, 1] / (X[:, 2] ** 2 + 0.3)
    before = torch.get_default_dtype()
    with contextlib.ExitStack() as stack:
        if default == "float64":
            stack.callback(torch.set_default_dtype, before)
            torch.set_default_dtype(torch.float64)
        elif default == "another device":
            stack.enter_context(torch.device("meta"))
        else:
            stack.enter_context(torch.autocast("cpu", dtype=torch.bfloat16))
        front = search(X, y, binary_operators=["+", "*", "/"], unary_operators=["square", "erf", "g(x) = 1 - tanh(x)"])
    assert front.stop_reason == "exact"


# ---- never worse than least squares


def _left(front: Front, X: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean((front[-1].predict(X) - y) ** 2) / np.var(y))


def _line(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    A = np.column_stack([X, np.ones(len(X))])
    return np.mean((A @ np.linalg.lstsq(A, Y, rcond=None)[0] - Y) ** 2, axis=0) / Y.var(axis=0)


def _wide(n_inputs: int, n_outputs: int, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a random network without a law."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, n_inputs))
    return X, np.tanh(X @ rng.normal(size=(n_inputs, 40)) / n_inputs**0.5) @ rng.normal(size=(40, n_outputs))


def test_a_linear_layer_of_many_inputs_comes_out_whole() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(32, 2)

    def teacher(X: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return layer(torch.tensor(X, dtype=torch.float32)).double().numpy()

    X = np.random.default_rng(0).normal(size=(500, 32)).astype(np.float32).astype(np.float64)
    samples = Samples(X, teacher(X), teacher=teacher)
    for k, front in enumerate(NativeEngine().search(samples, SearchOptions.from_params({"random_state": 0}))):
        assert front.stop_reason == "exact"
        assert front.best is front[-1]
        weights = layer.weight[k].double().detach().numpy()
        found = front.best.predict(np.eye(32)) - front.best.predict(np.zeros((1, 32)))
        np.testing.assert_allclose(found, weights, atol=1e-6)


def test_a_layer_of_functions_around_lines_comes_out_as_such() -> None:
    rng = np.random.default_rng(1)
    W = rng.uniform(-0.2, 0.2, (20, 12))

    def teacher(X: np.ndarray) -> np.ndarray:
        return np.tanh(X @ W)

    X = rng.normal(size=(500, 20))
    options = SearchOptions.from_params({**WIDE, "unary_operators": ["tanh", "sin"]})
    for front in NativeEngine().search(Samples(X, teacher(X), teacher=teacher), options):
        assert front.stop_reason == "exact"
        assert front.best.text.startswith("tanh(")


@pytest.mark.parametrize("n_inputs", [5, 24])
def test_a_search_without_time_is_as_good_as_least_squares(n_inputs: int) -> None:
    X, Y = _wide(n_inputs, 30)
    fronts = NativeEngine().search(Samples(X, Y), SearchOptions.from_params({**WIDE, "timeout_in_seconds": 0.01}))
    for front, y, line in zip(fronts, Y.T, _line(X, Y), strict=True):
        assert front.stop_reason == "timeout"
        assert _left(front, X, y) <= 1.05 * line


def test_what_a_search_is_given_no_room_for_least_squares_is_not_given_either() -> None:
    X, Y = _wide(24, 2)
    options = SearchOptions.from_params({**WIDE, "maxsize": 9, "niterations": 1})
    for front in NativeEngine().search(Samples(X, Y), options):
        assert max(equation.complexity for equation in front) <= 9


def test_a_teacher_is_not_blamed_for_inputs_that_were_held(caplog: pytest.LogCaptureFixture) -> None:
    X = np.random.default_rng(0).normal(size=(300, 24))

    def teacher(X: np.ndarray) -> np.ndarray:
        return np.sin(X.sum(axis=1, keepdims=True)) + X[:, :1]

    options = SearchOptions.from_params({**WIDE, "niterations": 1, "timeout_in_seconds": 3})
    with caplog.at_level("INFO", logger="symtorch"):
        NativeEngine().search(Samples(X, teacher(X), teacher=teacher), options)
    assert "inputs that were screened out" in caplog.text
    assert "doesn't answer as" not in caplog.text


def test_what_least_squares_finds_is_told_before_the_search_begins() -> None:
    reports: list[tuple[str, list[int]]] = []

    def stop(progress: Progress) -> None:
        reports.append((progress.stage, [len(front) for front in progress.fronts()]))
        raise KeyboardInterrupt

    X = np.random.default_rng(0).normal(size=(200, 2))
    Y = np.stack([np.sin(3 * X[:, 0]) * X[:, 1], np.exp(X[:, 0]) - X[:, 1] ** 3], axis=1)
    fronts = NativeEngine().search(Samples(X, Y), SearchOptions.from_params({"random_state": 0}), stop)
    ((stage, sizes),) = reports
    assert stage == "least squares"
    assert sizes == [len(front) for front in fronts]
    assert min(sizes) > 1
    assert {front.stop_reason for front in fronts} == {"interrupted"}


def test_what_is_wrong_in_its_dimensions_is_never_returned() -> None:
    X = np.random.default_rng(0).uniform(1.0, 2.0, (100, 2))
    y = X[:, 0] + X[:, 1] + 0.05 * np.sin(3e4 * X[:, 0])
    options = SearchOptions.from_params(
        {"binary_operators": ["+", "*", "/"], "unary_operators": ["sin"], "niterations": 1, "random_state": 0}
    )
    samples = Samples(X, y[:, None], variable_names=("x", "t"))
    (plain,) = NativeEngine().search(samples, options)
    (front,) = NativeEngine().bind({"X_units": ["m", "s"], "y_units": "m/s"}).search(samples, options)
    inputs, speed = [dimension("m"), dimension("s")], dimension("m/s")
    assert not all(is_consistent(equation.expr, inputs, speed) for equation in plain)
    assert all(is_consistent(equation.expr, inputs, speed) for equation in front)


def test_an_exact_law_of_the_wrong_dimension_is_none() -> None:
    X = np.random.default_rng(0).uniform(1.0, 2.0, (100, 2))
    options = SearchOptions.from_params({"niterations": 1, "random_state": 0})
    (front,) = NativeEngine().bind({"X_units": ["m", "s"]}).search(Samples(X, X.sum(axis=1)[:, None]), options)
    assert front.best.loss > 0.0
    assert front.stop_reason != "exact"
    (right,) = NativeEngine().bind({"X_units": ["m", "km"]}).search(Samples(X, X.sum(axis=1)[:, None]), options)
    assert (str(right.best), right.stop_reason) == ("x0 + x1", "exact")


@pytest.mark.parametrize(
    ("units", "match"),
    [
        ({"X_units": ["m"]}, "1 units for 2 inputs"),
        ({"X_units": "m"}, "expected a list"),
        ({"X_units": ["m", "furlong"]}, "no unit 'furlong'"),
        ({"y_units": ["m", "s", "K"]}, "3 units; there are 1 outputs"),
        ({"X_units": ["m", "s"], "category": [1]}, "category"),
    ],
)
def test_units_that_do_not_fit_are_refused(units: Any, match: str) -> None:
    X = np.random.default_rng(0).uniform(1.0, 2.0, (100, 2))
    with pytest.raises(InputError, match=match):
        NativeEngine().bind(units).search(Samples(X, X[:, :1]), SearchOptions.from_params({}))
