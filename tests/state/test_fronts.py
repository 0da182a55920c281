"""Fronts as plain values, and back."""

from __future__ import annotations

import json

import pytest

from symtorch.equations import Equation, Front, parse
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
    ],
)
def test_evidence_comes_back_and_with_it_the_verdict(evidence):
    first = front(evidence)
    again = read(write_front(first))
    assert again == first
    assert again.verdict == first.verdict


def test_states_that_know_of_no_evidence_are_read():
    document = write_front(front(Evidence()))
    assert "evidence" not in document
    assert read(document).evidence == Evidence()


@pytest.mark.parametrize(
    "wrong",
    [{"noise_floor": "low"}, {"confirmed": 1}, {"rows_asked": -1}, {"trouble": "x" * 1000}, {"n_held_out": 0.5}, [1]],
)
def test_evidence_that_is_none_is_refused(wrong):
    with pytest.raises(StateError, match="evidence"):
        read(write_front(front(Evidence())) | {"evidence": wrong})
