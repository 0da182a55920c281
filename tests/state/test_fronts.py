"""Fronts as plain values, and back."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from symtorch.equations import Equation, Front, parse
from symtorch.equations.structure import Structure
from symtorch.equations.verdict import Evidence
from symtorch.errors import StateError
from symtorch.state.fronts import read_front, write_front
from symtorch.state.node import Node


def front(evidence: Evidence) -> Front:
    equations = [
        Equation(parse("1.5", ["x0"]), ("x0",), 1, 1.0, r2=0.0),
        Equation(parse("2*x0", ["x0"]), ("x0",), 3, 1e-4, r2=0.9999),
    ]
    return Front.from_candidates(equations, engine="native", stop_reason="converged", evidence=evidence)


def read(document: dict) -> Front:
    return read_front(Node(json.loads(json.dumps(document)), "front"), ("x0",))


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(),
        Evidence(noise_floor=1e-31, confirmed=True, rows_asked=12_345, variance=3.5, n_held_out=40),
        Evidence(confirmed=False),
        Evidence(trouble="random", rows_asked=8),
        Evidence(variance=2.0, noise=0.02),
        Evidence(structure=Structure("f(x0)", "x0", "2*g(x0)", 1e-30, (Structure("g(x0)", "x0/2"),))),
    ],
)
def test_evidence_comes_back_and_with_it_the_verdict(evidence: Any) -> None:
    first = front(evidence)
    again = read(write_front(first))
    assert again == first
    assert again.verdict == first.verdict


def test_states_that_know_of_no_evidence_are_read() -> None:
    document = write_front(front(Evidence()))
    assert "evidence" not in document
    assert read(document).evidence == Evidence()


@pytest.mark.parametrize(
    "wrong",
    [{"noise_floor": "low"}, {"confirmed": 1}, {"rows_asked": -1}, {"trouble": "x" * 1000}, {"n_held_out": 0.5}, [1]],
)
def test_evidence_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(StateError, match="evidence"):
        read(write_front(front(Evidence())) | {"evidence": wrong})


# ---- standard errors

NAMES = ("x0", "x1")


def with_errors(errors: Any) -> Any:
    return Front((Equation(parse("1.9*x0^2 - 0.3*x1", NAMES), NAMES, 9, 0.1, standard_errors=errors),))


def written(errors: Any) -> Any:
    """As it comes from a file."""
    return json.loads(json.dumps(write_front(with_errors(errors)), allow_nan=False))


@pytest.mark.parametrize("errors", [None, (0.1, None, 0.2), (math.inf, None, math.nan)])
def test_standard_errors_come_back(errors: Any) -> None:
    assert read_front(Node(written(errors), "front"), NAMES) == with_errors(errors)


def test_a_front_without_errors_is_written_as_before() -> None:
    assert "standard_errors" not in written(None)["equations"][0]


@pytest.mark.parametrize("errors", [[0.1], [0.1, None, -0.2], [0.1, None, "much"], [0.1, None, True], "0.1"])
def test_errors_that_are_none_are_refused(errors: Any) -> None:
    document = written((0.1, None, 0.2))
    document["equations"][0]["standard_errors"] = errors
    with pytest.raises(StateError, match=r"standard_errors"):
        read_front(Node(document, "front"), NAMES)


# ---- signs of the variables


def test_signs_come_back_and_with_them_the_form_for_people() -> None:
    names = ("x", "y")
    found = Front((Equation(parse("sqrt(x^2*y + x^2)", names), names, 9, 0.1),)).with_signs((1, 0))
    document = json.loads(json.dumps(write_front(found)))
    again = read_front(Node(document, "front"), names)
    assert again.best.signs == (1, 0)
    assert again.best.textbook == found.best.textbook == "x*sqrt(y + 1)"


def test_states_that_know_of_no_signs_are_read() -> None:
    document = write_front(front(Evidence()))
    assert "signs" not in document
    assert read(document).best.signs is None


@pytest.mark.parametrize("signs", [[], [1, 1], [2], ["+"], [True], 1])
def test_signs_that_are_none_are_refused(signs: Any) -> None:
    with pytest.raises(StateError, match="signs"):
        read(write_front(front(Evidence())) | {"signs": signs})
