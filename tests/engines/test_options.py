"""SearchOptions: PySR's names, everything checked at once, complexity and search space as PySR has them."""

import logging
from typing import Any

import pytest

from symtorch.engines.options import DEFAULT_SR_PARAMS, SearchOptions
from symtorch.equations import parse
from symtorch.errors import OptionError

NAMES = ["x0", "x1"]


def options(**params: Any) -> Any:
    return SearchOptions.from_params(params)


def test_defaults_are_those_of_torch_symbolic() -> None:
    made = SearchOptions.from_params()
    assert list(made.operators) == ["+", "*", "inv", "sin", "exp"]
    assert made.niterations == 400
    assert made.complexity_of_operators == {"sin": 3, "exp": 3}
    assert made.given == DEFAULT_SR_PARAMS


def test_default_complexities_leave_with_their_operators() -> None:
    assert options(unary_operators=["sin", "cos"]).complexity_of_operators == {"sin": 3}
    assert options(complexity_of_operators={"sin": 2}).complexity_of_operators == {"sin": 2}


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"niteration": 5}, "niterations"),
        ({"niterations": 0}, "niterations"),
        ({"niterations": 2.5}, "niterations"),
        ({"niterations": True}, "niterations"),
        ({"maxsize": "big"}, "maxsize"),
        ({"binary_operators": ["sin"]}, "unary"),
        ({"unary_operators": ["sinn"]}, "'sin'"),
        ({"unary_operators": [3]}, "unary_operators"),
        ({"constraints": {"logg": 3}}, "constraints"),
        ({"timeout_in_seconds": 0}, "timeout_in_seconds.*more than 0"),
        (["niterations"], "sr_params is a list"),
        ({"loss": "L1DistLoss()", "elementwise_loss": "L2DistLoss()"}, "two names of one"),
        ({"equation_file": 3}, "the path of a file"),
        ({"constraints": {"*": (1, 2, 3)}}, "3 limits"),
        ({"nested_constraints": {"sin": {"logg": 0}}}, "nested_constraints"),
        ({"model_selection": "nicest"}, "model_selection"),
        ({"random_state": -1}, "random_state"),
        ({"timeout_in_seconds": float("nan")}, "timeout_in_seconds"),
        ({"progress": 1}, "progress"),
    ],
)
def test_an_impossible_option_is_named(params: Any, what: str) -> None:
    with pytest.raises(OptionError, match=what):
        SearchOptions.from_params(params)


def test_what_only_pysr_knows_is_kept_for_it() -> None:
    made = options(populations=20)
    assert made.extra == {"populations": 20}
    assert made.given["populations"] == 20


def test_complexity_is_the_rounded_sum_over_nodes() -> None:
    made = options(
        unary_operators=["sin"],
        complexity_of_operators={"sin": 2.5},
        complexity_of_variables=[1, 3],
        complexity_of_constants=2,
    )
    assert made.complexity(parse("x0 + sin(x1)", NAMES)) == round(1 + 1 + 2.5 + 3)
    assert made.complexity(parse("2.5*x0", NAMES)) == 2 + 1 + 1


@pytest.mark.parametrize(
    ("params", "text", "rule"),
    [
        ({"maxsize": 4}, "x0 + x1*x0", "maxsize"),
        ({"maxdepth": 2}, "x0 + x1*x0", "maxdepth"),
        ({}, "x0 - x1", "'-'"),
        ({"constraints": {"*": (-1, 1)}}, "x0*(x0 + x1)", "constraint"),
        ({"constraints": {"sin": 1}}, "sin(x0 + x1)", "constraint"),
        ({"nested_constraints": {"sin": {"sin": 0}}}, "sin(x0 + sin(x1))", "nested"),
        ({"unary_operators": ["inv(x) = 2/x"]}, "inv(x0)", "'inv'"),
    ],
)
def test_a_tree_outside_the_search_space_is_told_why(params: Any, text: str, rule: Any) -> None:
    violation = options(**params).violation(parse(text, NAMES))
    assert violation is not None
    assert rule in violation


@pytest.mark.parametrize("text", ["x0*(x0 + x1)", "sin(sin(x0)) + 2.5", "inv(x0)*exp(x1)"])
def test_a_tree_inside_the_search_space_passes(text: str) -> None:
    nested = {"nested_constraints": {"sin": {"sin": 1}}, "constraints": {"*": (2, -1)}, "maxdepth": 4}
    assert options(**nested).violation(parse(text, NAMES)) is None


def test_what_is_said_of_operators_that_are_not_searched_is_left_out_with_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "symtorch")
    made = options(
        unary_operators=["sin"],
        complexity_of_operators={"sin": 2, "cos": 3},
        constraints={"log": 3},
        nested_constraints={"sin": {"sin": 0, "exp": 1}, "exp": {"sin": 0}},
    )
    assert made.complexity_of_operators == {"sin": 2}
    assert made.constraints == {}
    assert made.nested_constraints == {"sin": {"sin": 0}}
    assert made.given["constraints"] == {}
    for name in ("complexity_of_operators: 'cos'", "constraints: 'log'", "nested_constraints['sin']: 'exp'"):
        assert f"{name} is left out" in caplog.text


def test_earlier_names_of_pysrs_parameters_are_translated(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "symtorch")
    made = options(loss="L1DistLoss()", batchSize=32, npop=20, equation_file="runs/hall_of_fame.csv")
    assert made.elementwise_loss == "L1DistLoss()"
    assert made.batch_size == 32
    assert made.extra == {"population_size": 20, "output_directory": "runs", "run_id": "hall_of_fame"}
    assert "'loss' is called elementwise_loss now" in caplog.text
