"""Picks of several searches, counted by skeleton."""

from __future__ import annotations

import pytest

from symtorch.equations import Equation, Front, parse
from symtorch.equations.stability import Stability
from symtorch.errors import InputError

NAMES = ("x", "y")


def law(text: str, loss: float = 0.01) -> Equation:
    return Equation(parse(text, NAMES), NAMES, len(text), loss)


PICKS = [law("2*x + 1"), law("1.2 + x*2.2", 0.001), law("x*1.8 + 0.8"), law("exp(y)")]


def test_skeletons_are_counted_and_their_constants_scatter() -> None:
    found = Stability.of(law("3*x + 9"), PICKS)
    first, second = found.recurrences
    assert (first.count, second.count, found.n_runs) == (3, 1, 4)
    assert found.share == first.share == 0.75
    assert first.skeleton == "c + x*c"
    assert first.equation is PICKS[1]
    values = sorted(constant.value for constant in first.constants)
    assert values == [1.0, 2.0]
    assert all(constant.standard_error == pytest.approx(0.2) for constant in first.constants)
    assert second.constants == ()


def test_a_single_run_says_nothing_of_scatter() -> None:
    (only,) = Stability.of(law("x"), [law("2*x")]).recurrences
    assert only.constants[0].standard_error is None
    assert Stability.of(law("y"), [law("2*x")]).share == 0.0


def test_a_front_compares_its_pick_with_those_of_others() -> None:
    fronts = [Front((pick,)) for pick in PICKS]
    assert fronts[0].stability(fronts[1:]).share == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="at least one"):
        fronts[0].stability([])


def test_it_shows_how_often_and_the_constants() -> None:
    found = Stability.of(PICKS[0], PICKS)
    text, page = repr(found), found._repr_html_()
    assert ">   3 of 4" in text
    assert "2.00 ± 0.20" in text
    assert "recurs in 75% of 4 runs" in text
    assert "3 of 4" in page
    assert "exp(y)" in page


def test_of_many_skeletons_a_screen_is_shown() -> None:
    found = Stability.of(law("x"), [law("x" + "*x" * n) for n in range(1, 31)])
    assert "10 more skeletons" in repr(found)
    assert len(repr(found).splitlines()) == 22
