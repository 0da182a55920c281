"""What a front says of its pick, and on which evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from symtorch.equations import Equation, Front, parse
from symtorch.equations.expr import Call, Expr, Variable
from symtorch.equations.operators import OPERATORS
from symtorch.equations.verdict import Evidence, Verdict, judge, shares

NAMES = ("x0", "x1")


def equation(complexity: int, loss: float, r2: float | None = None, text: str = "") -> Equation:
    return Equation(parse(text, NAMES) if text else chain(complexity), NAMES, complexity, loss, r2=r2)


def chain(extent: int) -> Expr:
    """A tree of so many nodes."""
    tree: Expr = Variable(0)
    for _ in range(extent - 1):
        tree = Call(OPERATORS["sin"], (tree,))
    return tree


def front(*rows: tuple[int, float, float | None], **evidence: Any) -> Front:
    """A front of (complexity, loss, unexplained share on held-out rows)."""
    equations = [equation(c, loss, None if left is None else 1.0 - left) for c, loss, left in rows]
    return Front.from_candidates(equations, engine="native", stop_reason="converged", evidence=Evidence(**evidence))


NOISY_LAW = ((1, 1.0, 1.0), (3, 0.6, 0.62), (9, 1e-2, 1.01e-2), (17, 9.7e-3, 1.0e-2), (25, 9.5e-3, 1.05e-2))
STEADY = tuple((c, 10.0 ** (-c / 8), 10.0 ** (-c / 8)) for c in range(1, 31, 2))


def test_a_bend_beyond_which_nothing_gets_better_is_a_law() -> None:
    found = front(*NOISY_LAW, n_held_out=200)
    assert found.verdict == "law"
    assert found.best.complexity == 9
    assert found.verdict.unexplained == pytest.approx(1.01e-2)
    assert found.verdict.confirmed is None


def test_a_front_that_falls_steadily_holds_approximations() -> None:
    assert front(*STEADY, n_held_out=200).verdict == "approximation"


def test_a_sharp_bend_is_no_law_where_longer_equations_do_better_on_held_out_rows() -> None:
    better = (*NOISY_LAW[:3], (17, 7e-3, 5e-3))
    verdict = front(*better, n_held_out=200).verdict
    assert verdict == "approximation"
    assert str(verdict) == "approximation: it leaves 0.01, others down to 0.005"


def test_a_pick_that_is_the_longest_shows_no_bend() -> None:
    verdict = front(*NOISY_LAW[:3], n_held_out=200).verdict
    assert verdict.sharpness > 4
    assert str(verdict) == "approximation: it leaves 0.01, and no longer equation is there to compare"


def test_what_explains_no_more_than_chance_is_nothing() -> None:
    noise = ((1, 1.0, 1.001), (7, 0.98, 0.97), (15, 0.95, 1.04))
    assert front(*noise, n_held_out=200).verdict == "none"
    few = ((1, 1.0, 1.001), (7, 0.6, 0.55))
    assert front(*few, n_held_out=10).verdict == "none"
    assert front(*few, n_held_out=1000).verdict == "approximation"


def test_an_exact_equation_is_a_law_whatever_else_is_known() -> None:
    exact = ((1, 1.0, 1.0), (9, 1e-30, 0.0))
    assert front(*exact).verdict == "law"
    assert front(*exact, confirmed=False, noise_floor=1e-31).verdict == "law"


def test_what_leaves_more_than_the_block_errs_is_an_approximation_and_says_so() -> None:
    approximate = tuple((c, 0.7 * loss, 0.7 * left) for c, loss, left in NOISY_LAW)
    verdict = front(*approximate, noise_floor=3e-5, confirmed=False, n_held_out=200).verdict
    assert str(verdict) == "approximation: the block itself is good to 3e-05, this equation leaves 0.007"
    assert verdict.noise_floor == 3e-5
    exact_block = front(*approximate, noise_floor=1e-30, confirmed=False, n_held_out=200).verdict
    assert str(exact_block) == "approximation: the block itself is exact, this equation leaves 0.007"


def test_structure_confirmed_by_asking_makes_a_law_of_what_is_as_good_as_the_block() -> None:
    # A network's errors are fitted a little by longer equations, and the bend is not sharp.
    network = ((1, 1.0, 1.0), (9, 1e-2, 1e-2), (15, 1e-4, 1e-4), (29, 4e-5, 4e-5))
    assert front(*network, noise_floor=8e-5, confirmed=True, n_held_out=200).verdict == "law"
    assert front(*network, noise_floor=8e-5, confirmed=False, n_held_out=200).verdict == "approximation"


def worded(*rows: tuple[str, float], **evidence: Any) -> Front:
    """A front of (equation, loss), the loss a share of the variance; complexities by their order."""
    equations = [equation(2 * i + 1, loss, text=text) for i, (text, loss) in enumerate(rows)]
    return Front(tuple(equations), stop_reason="converged", evidence=Evidence(variance=1.0, **evidence))


# What was found of x0/r^3 without a cube: approximations of r^-3 that buy accuracy with numbers at a steady price.
APPROXIMATIONS = (
    ("x0", 0.55),
    ("-0.0817*x0", 0.54),
    ("-2.7724*x0/square(x1 + 0.71127)", 4.8e-3),
    ("(0.013737 - 2.2075/square(x1 + 0.51226))*x0", 7.4e-4),
    ("6.5524*x0/(53.835 - square(sqrt(square(x1) + 1.8569) + 6.0846))", 4.1e-5),
)


def test_structure_confirms_no_function_in_it_whose_numbers_win_no_more_than_others_do() -> None:
    known = {"confirmed": True, "noise_floor": 4e-5, "law": 3.4e-5}
    found = worded(*APPROXIMATIONS, **known)
    assert found.best_index == 4
    assert found.verdict == "approximation"
    assert "simpler equations win as much" in str(found.verdict)
    law = worded(*APPROXIMATIONS[:-1], ("x0/(x1*sqrt(x1))", 5.7e-5), **known)
    assert law.best_index == 4
    assert law.verdict == "law"


@pytest.mark.parametrize("floor", [2e-4, 2e-8])
def test_no_error_of_the_block_that_is_seen_too_small_makes_an_approximation_of_a_law(floor: float) -> None:
    # A network fits its error on all inputs alike, so longer equations are better; its own error shows in no identity.
    rows = (("x0", 0.6), ("1.234*x0", 0.4), ("1.234*x0/x1 + 0.123", 0.05), ("x0^3/(exp(x0/x1) - 1)", 2.9e-5))
    longer = ("1.001*x0^3/(exp(x0/x1) - 0.9991) + 0.00123*x1", 1.6e-5)
    known = {"confirmed": False, "noise_floor": floor}
    assert worded(*rows, longer, **known).best_index == 3
    assert worded(*rows, longer, **known).verdict == "law"
    assert worded(*rows, longer).verdict == "approximation"  # of rows alone, longer equations say what noise is
    assert worded(*rows, longer, confirmed=False, noise_floor=1e-20).verdict == "approximation"  # the block is exact
    assert worded(*APPROXIMATIONS, confirmed=False, noise_floor=floor).verdict == "approximation"


def test_what_leaves_more_than_the_law_that_was_confirmed_is_not_that_law() -> None:
    rows = ((1, 1.0, 1.0), (9, 2e-2, 2e-2), (14, 7e-3, 7e-3), (40, 4e-3, 4e-3))
    assert front(*rows, confirmed=True, n_held_out=200).best.complexity == 9
    known = {"confirmed": True, "variance": 1.0, "n_held_out": 200}
    assert front(*rows, law=7e-3, **known).best.complexity == 14  # the pick goes where the law was seen
    assert front(*rows, law=7e-3, **known).verdict == "law"
    none = front(*rows[:2], (40, 1.8e-2, 1.8e-2), law=7e-3, **known)
    assert none.best.complexity == 9
    assert str(none.verdict) == (
        "approximation: it leaves 0.02, the law whose structure was confirmed by asking leaves 0.007"
    )


def test_without_held_out_rows_losses_and_the_variance_tell() -> None:
    rows = ((1, 4.0, None), (9, 1e-2, None))
    assert front(*rows, variance=4.0).verdict.unexplained == pytest.approx(2.5e-3)
    assert front(*rows).verdict.unexplained == pytest.approx(2.5e-3)  # the simplest stands for the mean
    lone = Front((equation(9, 1e-2),))
    assert lone.verdict == "approximation"
    assert lone.verdict.unexplained is None
    assert "not known" in str(lone.verdict)


def test_an_equation_that_is_undefined_on_held_out_rows_is_nothing() -> None:
    only = [equation(1, 1.0, 0.2), equation(9, 1e-3)]
    verdict = judge(only, 1, Evidence())
    assert verdict == "none"
    assert "undefined" in str(verdict)


def test_a_verdict_compares_with_words_and_with_verdicts() -> None:
    verdict = Verdict("law", "exact within rounding", 0.0)
    assert verdict == "law"
    assert verdict != "none"
    assert verdict == replace(verdict)
    assert verdict != replace(verdict, unexplained=1e-3)
    assert verdict != 3
    assert len({verdict, replace(verdict)}) == 1


def test_a_block_that_is_no_function_of_its_rows_is_named_in_the_verdict() -> None:
    assert str(front(*NOISY_LAW, trouble="random").verdict).endswith(
        "the block gives the same rows other answers each time"
    )
    assert "rows beside it" in str(front(*NOISY_LAW, trouble="company").verdict)


def test_the_front_shows_its_verdict_and_the_rows_asked() -> None:
    found = front(*NOISY_LAW, rows_asked=1234, n_held_out=200)
    assert str(found).endswith(f"stopped: converged; {found.verdict}")
    assert "1,234 asked" in str(found)
    assert "; law: a sharp bend" in found._repr_html_()
    assert found.rows_asked == 1234


def test_evidence_of_a_search_that_went_on_keeps_what_the_first_knew() -> None:
    first = Evidence(noise_floor=1e-5, confirmed=True, rows_asked=100, variance=2.0, n_held_out=20)
    after = Evidence(confirmed=False, rows_asked=11).and_before(first)
    assert after == Evidence(noise_floor=1e-5, confirmed=True, rows_asked=111)
    assert Evidence().and_before(Evidence()) == Evidence()


def test_shares_of_rows_are_whole_and_add_up() -> None:
    assert shares(10, 3) == [4, 3, 3]
    assert shares(2, 5) == [1, 1, 0, 0, 0]
    assert shares(7, 0) == []
