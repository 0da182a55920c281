"""Fronts as plain values: what is optional in them comes back too."""

import json
import math

import pytest

from symtorch.equations import Equation, Front, parse
from symtorch.errors import StateError
from symtorch.state.fronts import read_front, write_front
from symtorch.state.node import Node

NAMES = ("x0", "x1")


def front(errors):
    return Front((Equation(parse("1.9*x0^2 - 0.3*x1", NAMES), NAMES, 9, 0.1, standard_errors=errors),))


def written(errors):
    """As it comes from a file."""
    return json.loads(json.dumps(write_front(front(errors)), allow_nan=False))


@pytest.mark.parametrize("errors", [None, (0.1, None, 0.2), (math.inf, None, math.nan)])
def test_standard_errors_come_back(errors):
    assert read_front(Node(written(errors), "front"), NAMES) == front(errors)


def test_a_front_without_errors_is_written_as_before():
    assert "standard_errors" not in written(None)["equations"][0]


@pytest.mark.parametrize("errors", [[0.1], [0.1, None, -0.2], [0.1, None, "much"], [0.1, None, True], "0.1"])
def test_errors_that_are_none_are_refused(errors):
    document = written((0.1, None, 0.2))
    document["equations"][0]["standard_errors"] = errors
    with pytest.raises(StateError, match=r"standard_errors"):
        read_front(Node(document, "front"), NAMES)
