"""Findings are values: whoever changes them makes new ones, and reading changes nothing."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine

from symtorch import InputError, NotDistilledError
from symtorch.capture.calls import Argument, Layout
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations import Equation, parse
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.interface import Interface

NAMES = ("x0", "x1")
LAYOUT = Layout((Argument(0, 2, 2, False, torch.float64, None),))
HERE = Interface(LAYOUT, 2, NAMES)


def samples(scale: float = 1.0) -> Samples:
    x = np.random.default_rng(0).uniform(-scale, scale, size=(20, 2))
    return Samples(x, x[:, ::-1].copy())


def found(*formulas: str, interface: Interface = HERE, before: Findings | None = None, scale: float = 1.0) -> Findings:
    data = Samples(samples(scale).X, samples(scale).Y, variable_names=interface.variable_names)
    fronts = FormulaEngine(*formulas).search(data, SearchOptions.from_params({}))
    return (before or Findings("'f'")).with_fronts(dict(enumerate(fronts)), interface, data, {"seed": 1})


def test_they_are_frozen_and_new_ones_leave_the_old_as_they_were() -> None:
    first = found("1", "x0")
    with pytest.raises(FrozenInstanceError):
        first.complexities = {}
    chosen = first.choosing({0: 1})
    own = chosen.with_equation(1, Equation(parse("3*x1", NAMES), NAMES, 7, 0.5))
    again = found("2", before=own)
    assert first.complexities == {}
    assert chosen.complexities == {0: 1, 1: 4}
    assert own.complexities == {0: 1, 1: 7}
    assert again.complexities == {}  # the choice was made from the earlier fronts
    assert [len(f.fronts[1]) for f in (first, chosen, own, again)] == [2, 2, 3, 1]
    assert str(own.equation(1)) == "3*x1"
    assert {i: str(eq) for i, eq in own.chosen.items()} == {0: "1", 1: "3*x1"}


def test_fronts_over_other_variables_go() -> None:
    other = Interface(LAYOUT, 2, ("a", "b"))
    first = found("x0", scale=5.0)
    assert first.can_stand_beside(HERE)
    assert not first.can_stand_beside(other)
    second = found("a", interface=other, before=first)
    assert second.interface is other
    assert max(high for _, high in second.domain) < 1.1
    wider = found("x0", before=found("x0", scale=5.0))
    assert wider.domain == first.domain  # of both


def test_constants_take_the_place_of_those_of_their_complexity() -> None:
    first = found("1", "2*x0").choosing(None)
    assert first.with_constants_of(first.chosen) is first
    new = Equation(parse("5*x0", NAMES), NAMES, 4, 0.1)
    trained = first.with_constants_of({0: new})
    assert [str(eq) for eq in trained.fronts[0]] == ["1", "5*x0"]
    assert [str(eq) for eq in first.fronts[0]] == ["1", "2*x0"]
    assert trained.fronts[1] is first.fronts[1]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(NotDistilledError, match="'f' has no equations yet; call distill"):
        Findings("'f'").require()
    first = found("1")
    with pytest.raises(InputError, match=r"outputs 0\.\.1"):
        first.equation(2)
    with pytest.raises(InputError, match=r"\[1\]"):
        first.choosing(9)
    one = Findings("'f'").with_fronts({0: first.fronts[0]}, HERE, samples(), {})
    with pytest.raises(NotDistilledError, match=r"outputs \[1\] of 'f'"):
        one.choosing(None)
    assert one.choosing(None, active=[0]).complexities == {0: 1}


def test_rows_beyond_what_was_seen() -> None:
    first = found("x0")
    rows = np.array([[0.0, 9.0], [9.0, 0.0], [0.0, 0.0]])
    assert first.beyond([parse("x0", NAMES)], rows) == 1
    assert first.beyond([parse("x0", NAMES), parse("x1", NAMES)], rows) == 2
    assert Findings("'f'").beyond([parse("x0", NAMES)], rows) is None
