"""The rules that pick from a front."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Call, Expr, Variable
from symtorch.equations.front import Equation, Front
from symtorch.equations.operators import OPERATORS
from symtorch.equations.parser import parse
from symtorch.equations.selection import approximation, bends, heeding, pareto, scores, select
from symtorch.equations.verdict import Evidence
from symtorch.errors import OptionError


def chain(extent: int) -> Expr:
    """An equation of this extent."""
    tree: Expr = Variable(0)
    for _ in range(extent - 1):
        tree = Call(OPERATORS["sin"], (tree,))
    return tree


def front(*points: tuple[int, float], rule: str = "law") -> Front:
    equations = [Equation(chain(c), ("x0",), c, loss) for c, loss in points]
    return Front.from_candidates(equations, model_selection=rule)


# Fronts that searches returned: (complexity, loss), and the law's complexity. The native engine's are of teachers
# that had learned the law; PySR's is of exact data in float32.
RECORDED = {
    "2.5382*cos(x3) + x0² - 0.5, PySR 2.7": (
        [
            (1, 22.644789),
            (2, 2.9340966),
            (6, 1.144619),
            (8, 0.30689967),
            (10, 3.4397212e-3),
            (12, 6.081906e-14),
            (14, 6.00865e-14),
        ],
        12,
    ),
    "x0*x1/(x2² + 0.1), network": (
        [(1, 1.0), (5, 0.70), (8, 7.1e-4), (10, 6.2e-4), (12, 6.1e-4), (14, 5.9e-4), (15, 4.6e-4), (23, 3.6e-4)],
        8,
    ),
    "exp(-x0²)*sin(pi*x1) + x2/2, network": (
        [
            (1, 0.8715),
            (3, 0.1077),
            (6, 0.1074),
            (9, 0.1042),
            (10, 0.05976),
            (13, 0.03961),
            (14, 1.254e-3),
            (16, 1.15e-3),
            (17, 1.085e-3),
            (18, 1.081e-3),
            (23, 1.047e-3),
            (30, 1.014e-3),
            (37, 9.39e-4),
        ],
        14,
    ),
    "1.3*sin(pi*x)*exp(-0.8*t), PINN, the library's default operators": (
        [
            (1, 8.413e-2),
            (5, 5.078e-2),
            (9, 4.95e-2),
            (10, 4.35e-2),
            (11, 1.872e-2),
            (13, 1.422e-2),
            (14, 9.774e-3),
            (15, 4.465e-5),
            (17, 4.402e-5),
            (19, 4.098e-5),
            (20, 4.038e-5),
        ],
        15,
    ),
    "the same from the data only": (
        [
            (1, 8.413e-2),
            (5, 5.078e-2),
            (8, 4.305e-2),
            (11, 1.548e-3),
            (13, 1.3e-3),
            (15, 4.465e-5),
            (17, 4.402e-5),
            (18, 4.024e-5),
            (20, 3.946e-5),
            (22, 3.843e-5),
            (24, 3.674e-5),
            (29, 3.352e-5),
            (30, 3.121e-5),
        ],
        15,
    ),
}

# Fronts of the shapes that there are beside these.
MADE = {
    "an exact law, its loss zero": ([(1, 65.0), (5, 46.0), (8, 0.0)], 8),
    "an exact law and rounding": ([(1, 1.0), (3, 0.8), (9, 1e-31), (12, 3e-32), (20, 1e-33)], 9),
    "an exact law in float32": ([(1, 1.0), (5, 0.3), (11, 4e-15), (14, 3.6e-15), (19, 3.1e-15)], 11),
    "an exact law, found in small steps": ([(1, 41.2), (3, 21.3), (4, 10.9), (5, 2.9), (8, 1.3), (10, 1.9e-13)], 10),
    "independent noise": ([(1, 1.0), (3, 0.62), (7, 0.0101), (9, 0.01005), (13, 0.00995), (21, 0.0098)], 7),
}
FRONTS = RECORDED | MADE


@pytest.mark.parametrize("name", FRONTS)
def test_the_default_pick_of_a_front_is_the_law(name: str) -> None:
    points, law = FRONTS[name]
    assert front(*points).best.complexity == law


def test_a_law_may_be_the_second_simplest_or_the_last() -> None:
    assert front((1, 1.0), (3, 1e-5), (9, 9e-6), (15, 7e-6)).best.complexity == 3
    assert front((1, 1.0), (3, 0.9), (9, 1e-4)).best.complexity == 9


def test_scaling_the_losses_changes_nothing() -> None:
    points = RECORDED["exp(-x0²)*sin(pi*x1) + x2/2, network"][0]
    for factor in (1e-20, 1.0, 1e20):
        assert front(*[(c, loss * factor) for c, loss in points]).best.complexity == 14


def test_a_front_without_a_bend_falls_back_on_the_best_rule() -> None:
    assert front((5, 0.5)).best.complexity == 5
    slow = [(c, float(np.exp(-0.1 * c))) for c in range(1, 30, 4)]
    assert front(*slow).best_index == front(*slow, rule="best").best_index


def test_zero_losses_are_no_special_case() -> None:
    assert front((1, 0.0)).best.complexity == 1
    assert bends([1], [0.0]) == []
    assert bends([], []) == []
    assert bends([1, 3], [np.nan, 0.1]) == []
    assert bends([1, 3, 5, 7], [1.0, np.inf, 1e-6, 9e-7]) == [
        (found, i + 1) for found, i in bends([1, 5, 7], [1.0, 1e-6, 9e-7])
    ]
    assert front((1, 2.0), (4, 0.0)).best.complexity == 4


def test_of_equations_of_one_complexity_the_best_makes_the_bend() -> None:
    losses = [1.0, 0.5, 1e-4, 9e-5]
    for place, doubled in ((2, [1.0, 0.5, 0.7, 1e-4, 9e-5]), (3, [1.0, 0.5, 1e-4, 0.7, 9e-5])):
        complexities = [1, 3, 7, 9]
        found = bends([*complexities[:3], 7, 9], doubled)
        assert [sharpness for sharpness, _ in found] == [sharpness for sharpness, _ in bends(complexities, losses)]
        assert doubled[found[0][1]] == 1e-4, place


def test_bends_come_sharpest_first() -> None:
    found = bends([1, 3, 7, 9, 13, 20], [1.0, 0.5, 1e-4, 9e-5, 1e-6, 9e-7])
    # By hand: the hull has the equations of 1, 7, 13 and 20; the slopes are log(1e4)/6, log(1e2)/6 and less than 0.15.
    sharpest = np.log(1e6) * np.log(np.log(1e2) / 6 / 0.15)
    assert [position for _, position in found] == [4, 2]
    assert [sharpness for sharpness, _ in found] == pytest.approx([sharpest, np.log(1e4) * np.log(2)])


def test_a_pareto_front_has_nothing_that_something_simpler_or_as_simple_matches() -> None:
    rng = np.random.default_rng(0)
    sizes, losses = rng.integers(1, 15, 200).tolist(), np.exp(rng.normal(size=200)).round(1).tolist()
    kept = pareto(sizes, losses)
    for i in range(200):
        matched = any(
            (sizes[j], losses[j]) != (sizes[i], losses[i]) and sizes[j] <= sizes[i] and losses[j] <= losses[i]
            for j in range(200)
        )
        if i in kept:
            assert not matched
        elif not matched:  # one of several alike is there
            assert (sizes[i], losses[i]) in [(sizes[j], losses[j]) for j in kept]
    assert [sizes[i] for i in kept] == sorted({sizes[i] for i in kept})


def test_a_pareto_front_can_ask_for_a_gain_and_ends_at_rounding() -> None:
    sizes, losses = [1, 3, 5, 7, 9, 11], [1.0, 0.96, 0.5, 1e-19, 1e-21, math.nan]
    assert pareto(sizes, losses) == [0, 1, 2, 3, 4]
    assert pareto(sizes, losses, gain=0.95) == [0, 2, 3, 4]
    assert pareto(sizes, losses, gain=0.95, floor=1e-18) == [0, 2, 3]
    assert pareto(sizes, losses, floor=1e-20) == [0, 1, 2, 3, 4]
    assert pareto([2, 1], [math.inf, math.nan]) == []


# ---- PySR's rules, as its manual defines them


POINTS = ((1, 1.0), (3, 0.5), (5, 0.01), (9, 0.008), (14, 0.0075))


@pytest.mark.parametrize(
    ("rule", "points", "complexity"),
    [
        ("accuracy", POINTS, 14),  # the lowest loss
        ("score", POINTS, 5),  # the steepest fall
        ("best", POINTS, 5),  # the highest score among losses within half as much again
        ("best", ((1, 1.0), (3, 0.03), (9, 0.01), (14, 0.009)), 9),
    ],
)
def test_pysrs_rules(rule: str, points: tuple[tuple[int, float], ...], complexity: int) -> None:
    assert front(*points, rule=rule).best.complexity == complexity


def test_scores_are_minus_the_slope_of_log_loss() -> None:
    assert scores([1, 3, 4], [1.0, np.exp(-4), np.exp(-5)]) == pytest.approx([0.0, 2.0, 1.0])
    assert np.isfinite(scores([1, 2], [1.0, 0.0])).all()


def test_an_unknown_rule_names_the_known_ones() -> None:
    with pytest.raises(OptionError, match="'law', 'best', 'accuracy' or 'score'"):
        select([1], [1.0], [0.0], "nicest")


# ---- held-out rows

LOSSES, COSTS = [1.0, 0.6, 0.01, 0.009], [1, 3, 9, 15]


@pytest.mark.parametrize(
    ("r2", "pick"),
    [
        ([0.0, 0.4, 0.99, 0.991], 2),  # as without them
        ([None, None, None, None], 2),
        ([0.0, 0.4, -20.0, -21.0], 1),  # overfit
        ([0.0, 0.4, None, 0.991], 3),  # undefined on some of the rows
        ([0.0, -0.9, 0.99, 0.991], 2),  # a worse one that is not the pick changes nothing
        ([0.0, 0.4, 0.38, 0.39], 2),  # no worse than chance has it
    ],
)
def test_the_law_is_no_equation_that_simpler_ones_beat_on_held_out_rows(r2: Any, pick: Any) -> None:
    assert heeding(COSTS, LOSSES, scores(COSTS, LOSSES), r2) == pick


@pytest.mark.parametrize(
    ("r2", "pick"),
    [
        ([None, None, None, None], 1),
        ([0.0, 0.4, 0.5, 0.51], 1),
        ([0.0, -7.0, 0.5, 0.51], 3),  # overfit, so that the next shortest is taken
        ([0.0, None, 0.5, 0.51], 3),  # undefined on some of the rows
    ],
)
def test_where_noise_is_seen_the_shortest_description_is_the_pick(r2: Any, pick: Any) -> None:
    lengths = [9.0, 1.0, 5.0, 4.0]
    assert heeding(COSTS, LOSSES, scores(COSTS, LOSSES), r2, lengths=lengths) == pick


def test_a_front_whose_noise_is_known_picks_by_description() -> None:
    texts = ("x0", "2.345*x0", "2.345*x0 + sin(x0)", "2.345*x0 + sin(1.23*x0)*0.987")
    losses = (1.3, 1.1, 1.0, 0.999)
    candidates = [
        Equation(parse(text, ["x0"]), ("x0",), 1 + 3 * i, loss)
        for i, (text, loss) in enumerate(zip(texts, losses, strict=True))
    ]
    plain = Front.from_candidates(candidates, n_samples=1000)
    noisy = replace(plain, evidence=Evidence(noise=0.5))
    assert noisy.best_index == int(np.argmin(noisy.description_lengths)) == 2
    assert replace(noisy, model_selection="accuracy").best_index == 3
    assert replace(noisy, pick=1).best_index == 0


def test_a_pick_that_loses_more_than_the_law_would_gives_way_to_a_corner_that_does_not() -> None:
    points = (1, 1.0), (3, 0.02), (5, 5e-3), (9, 7e-5), (13, 5e-5), (16, 1e-5), (26, 8e-6)
    equations = front(*points).equations
    known = Evidence(noise_floor=1e-5, variance=1.0)
    assert Front(equations).best.complexity == 9
    assert Front(equations, evidence=known).best.complexity == 16
    assert Front(equations, evidence=replace(known, noise_floor=7e-6)).best.complexity == 16
    assert Front(equations, evidence=replace(known, noise_floor=1e-7)).best.complexity == 16  # 9 can be no law
    rough = front(*points[:5], (30, 4e-5)).equations
    assert Front(rough, evidence=replace(known, noise_floor=7e-6)).best.complexity == 9  # none is so good
    assert Front(equations, evidence=replace(known, noise_floor=1e-4)).best.complexity == 9


def test_a_simplest_equation_of_unknown_loss_hides_no_corner_and_alone_is_the_pick() -> None:
    assert bends([1, 3, 7, 9], [np.inf, 0.8, 1e-4, 9e-5])[0][1] == 2
    assert bends([1], [np.inf]) == []
    assert select([1], [np.inf], [0.0], "law") == 0


# Held-out R² of fronts of blocks without a law, of networks that have learned one, and of laws in noise.
@pytest.mark.parametrize(
    ("r2", "pick", "line", "expected"),
    [
        ([0.0, 0.25, 0.41, 0.6, 0.7, 0.72], 1, -math.inf, 4),  # a random network: the corner is one of chance
        ([0.0, 0.64, 0.8, 0.93, 0.95], 1, -math.inf, 3),
        ([0.0, 0.3, 0.7, 0.72], 1, 0.7, 2),  # 0.95 of the best would be less than a line explains
        ([0.0, 0.3, 0.69, 0.7, 0.72], 1, 0.7, 3),
        ([0.0, 0.3, 0.34, 0.33], 1, 0.34, 2),  # a line that is better than the pick, and nothing else is
        ([0.0, 0.91, 0.98, 0.99], 1, -math.inf, 1),  # a law that a network has learned so well
        ([0.0, 0.999, 0.9999, 0.99999], 1, -math.inf, 1),
        ([0.0, 0.5, 0.51, 0.515], 1, 0.49, 1),  # a law in noise: longer equations are no better but by chance
        ([0.0, 0.5, 0.51, None], 1, 0.51, 1),
        ([None, None], 1, -math.inf, 1),  # nothing was held out
        ([0.0, -math.inf, 0.6], 1, -math.inf, 2),
    ],
)
def test_a_pick_that_is_no_law_gives_way_to_an_approximation(r2: Any, pick: int, line: float, expected: int) -> None:
    assert approximation(pick, r2, line) == expected


def test_a_front_without_a_law_has_a_pick_that_is_no_worse_than_its_line() -> None:
    """Rows of a random network: (complexity, loss, held-out R²), the line among them."""
    points = [(1, 1.0, 0.0), (4, 0.6, 0.4), (15, 0.42, 0.55), (20, 0.4, 0.57), (40, 0.25, 0.56)]
    equations = [Equation(chain(c), ("x0",), c, loss, r2=r2) for c, loss, r2 in points]
    equations[3] = replace(equations[3], expr=parse("2*x0 + 1", ["x0"]))
    found = Front(tuple(equations))
    assert found.best.complexity == 20
    assert found.verdict == "approximation"
    assert Front(tuple(replace(eq, r2=None) for eq in equations)).best.complexity == 4


def test_a_pick_far_above_the_block_gives_way_to_a_corner_that_nearly_reaches_it() -> None:
    # x0² + 3*sin(x4) - 4 behind a network with dropout: a line says most of it, by a bend sharper than the law's.
    cost = [1, 2, 4, 6, 7, 9, 11, 14, 16, 17, 20, 23, 24]
    loss = [7.71, 0.527, 0.22, 0.157, 0.0696, 7.68e-3, 4.77e-3, 3.07e-3, 2.4e-3, 1.514e-3, 1.46e-3, 1.36e-3, 1.3e-3]
    known = scores(cost, loss), [None] * len(cost)
    assert cost[select(cost, loss, known[0], "law")] == 9
    assert cost[heeding(cost, loss, *known, reach=1.6e-3)] == 17
    assert cost[heeding(cost, loss, *known, reach=1.5e-3)] == 17  # the block's error is only about known
    assert cost[heeding(cost, loss, *known, reach=8e-3)] == 9
    assert cost[heeding(cost, loss, *known, reach=1e-4)] == 17  # no corner is near, and this is one of the best


def test_what_operators_cost_moves_no_bend() -> None:
    """Two outputs of a network that has learned x0² and sin(x4): a sine, which costs three, is one node more."""
    for rows in (
        {"x0": 7.04, "8.92*x0 - 4.37": 1.66, "8.21*x0*x0 - 4.96*x4": 0.1766, "8.88*x0*x0 - 3.91*x4 - 0.92": 1.445e-2}
        | {"8.88*x0*x0 - 4.56*sin(x4) - 0.78": 8.727e-3}
        | {"8.44*x0*x0 + 0.997*x4*x4 + 0.475*x0 - 4.9*x4 - 0.848": 7.78e-3},
        {"x4": 8.118, "4.31 - 8.95*x0": 1.672, "4.9*x4 - 8.3*x0*x0": 0.1502, "3.94*x4 - 8.91*x0*x0 + 0.84": 1.56e-2}
        | {"4.59*sin(x4) - 8.91*x0*x0 + 0.698": 1.047e-2}
        | {"4.88*x4 - 8.36*x0*x0 - 0.955*x4*x4 - 0.579*x0 + 0.793": 8.83e-3},
    ):
        names = ["x0", "x1", "x2", "x3", "x4"]
        for prices in ({}, {"complexity_of_operators": {"sin": 3}, "complexity_of_constants": 2}):
            options = SearchOptions.from_params(prices)
            trees = [parse(text, names) for text in rows]
            equations = [
                Equation(tree, tuple(names), options.complexity(tree), loss)
                for tree, loss in zip(trees, rows.values(), strict=True)
            ]
            assert "sin(x4)" in str(Front.from_candidates(equations).best)


def test_bends_are_those_of_the_points_in_any_order() -> None:
    extents, losses = [1, 3, 7, 9, 13], [1.0, 0.8, 1e-4, 9e-5, 7e-5]
    there = [(sharpness, extents[i]) for sharpness, i in bends(extents, losses)]
    order = [3, 0, 4, 2, 1]
    moved = [extents[i] for i in order]
    found = bends(moved, [losses[i] for i in order])
    assert [(sharpness, moved[i]) for sharpness, i in found] == there


def test_an_exact_equation_is_the_pick_however_long() -> None:
    # tanh around a line through 60 inputs, in float32: so long an equation makes no bend.
    cost, loss = [1, 5, 98, 130, 194, 242, 246], [0.5, 0.231, 5.8e-3, 1.5e-3, 1.5e-5, 5.0e-15, 4.9e-15]
    r2 = [0.0, 0.396, 0.985, 0.996, 0.99996, 0.9999991, 0.9999991]
    assert cost[select(cost, loss, scores(cost, loss), "law")] == 5
    assert cost[heeding(cost, loss, scores(cost, loss), r2)] == 242
    assert cost[heeding(cost[:-2], loss[:-2], scores(cost[:-2], loss[:-2]), r2[:-2])] == 5
    assert cost[heeding(cost, loss, scores(cost, loss), [None] * 7)] == 5  # nothing shows that it is more than a fit
    # What is exact on the rows alone, as interpolation is, is none.
    assert cost[heeding(cost, loss, scores(cost, loss), [*r2[:5], 0.9, 0.9])] == 5
