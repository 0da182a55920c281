"""The simplest equations that a loss of the whole bears."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from symtorch import InputError
from symtorch.equations import Equation, Front
from symtorch.equations.expr import Constant
from symtorch.surrogate.choosing import mean_loss, simplest_within


def front(losses: Any, complexities: Any = None) -> Any:
    complexities = complexities or range(1, 2 * len(losses), 2)
    pairs = zip(complexities, losses, strict=True)
    return Front(tuple(Equation(Constant(float(c)), ("x0",), c, loss) for c, loss in pairs))


def additive(fronts: Any, weights: Any = None, base: Any = 1.0) -> Any:
    """A model's loss to which each output's own loss is added, with a weight; it counts how often it is asked."""

    def loss(complexities: Any) -> Any:
        loss.asked += 1
        return base + sum((weights or {}).get(i, 1.0) * fronts[i].at(c).loss for i, c in complexities.items())

    loss.asked = 0
    return loss


def test_the_output_that_matters_keeps_its_accuracy_and_the_other_gives_it_up() -> None:
    fronts = {0: front([1.0, 0.1, 0.0]), 1: front([1.0, 0.1, 0.0])}
    assert simplest_within(fronts, additive(fronts, {1: 1e-6}), 0.01) == {0: 5, 1: 1}


def test_what_saves_most_for_what_it_costs_goes_first() -> None:
    # Both rises alone are within the tolerance, together they are not.
    fronts = {0: front([0.06, 0.0], [1, 9]), 1: front([0.06, 0.0], [1, 3])}
    assert simplest_within(fronts, additive(fronts), 0.1) == {0: 1, 1: 3}


def test_where_a_long_step_is_too_much_a_shorter_one_is_taken() -> None:
    fronts = {0: front([0.06, 0.0], [1, 30]), 1: front([0.09, 0.03, 0.0])}
    assert simplest_within(fronts, additive(fronts), 0.1) == {0: 1, 1: 3}


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_within_the_tolerance_and_close_to_the_simplest_there_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fronts = {i: front(np.sort(rng.lognormal(-3.0, 2.0, size=5))[::-1].tolist()) for i in range(4)}
    loss = additive(fronts)
    limit = 1.1 * loss({i: f[-1].complexity for i, f in fronts.items()})
    chosen = simplest_within(fronts, loss, 0.1)
    assert loss(chosen) <= limit
    allowed = [
        sum(each)
        for each in itertools.product(*[f.complexities for f in fronts.values()])
        if loss(dict(zip(fronts, each, strict=True))) <= limit
    ]
    assert sum(chosen.values()) <= min(allowed) + 2


def test_a_few_questions_per_output() -> None:
    fronts = {i: front(np.geomspace(1.0, 1e-9, 30).tolist()) for i in range(50)}
    loss = additive(fronts)
    simplest_within(fronts, loss, 0.01)
    assert loss.asked <= 15 * len(fronts)


def test_of_exact_laws_rounding_alone_decides_nothing() -> None:
    fronts = {0: front([1.0, 1e-31, 0.9e-31])}
    assert simplest_within(fronts, additive(fronts, base=0.0), 0.01) == {0: 3}


def test_a_loss_below_zero_may_rise_too() -> None:
    fronts = {0: front([1.0, 0.05, 0.0])}
    assert simplest_within(fronts, additive(fronts, base=-10.0), 0.01) == {0: 3}


def test_undefined_equations_are_never_chosen() -> None:
    fronts = {0: front([0.3, 0.2, 0.1])}
    values = {1: 1.0, 3: math.inf, 5: 1.0}
    assert simplest_within(fronts, lambda chosen: values[chosen[0]], 0.5) in ({0: 1}, {0: 5})
    with pytest.raises(InputError, match="not finite with the most accurate"):
        simplest_within(fronts, lambda chosen: math.inf, 0.5)


def test_the_most_accurate_equation_need_not_be_the_last() -> None:
    fronts = {0: front([1.0, 0.0, math.inf])}  # the user's own formula stands there, on no data
    assert simplest_within(fronts, lambda chosen: {1: 2.0, 3: 1.0, 5: 9.0}[chosen[0]], 0.01) == {0: 3}


def test_an_equation_whose_loss_nobody_knows_is_the_most_accurate_where_the_model_says_so() -> None:
    fronts = {0: front([1.0, 0.1, math.inf]), 1: front([1.0, 0.0])}  # trained constants, within the model

    def loss(chosen: Any) -> Any:
        return {1: 2.0, 3: 1.5, 5: 1.0}[chosen[0]] + fronts[1].at(chosen[1]).loss

    assert simplest_within(fronts, loss, 0.01) == {0: 5, 1: 3}


@pytest.mark.parametrize("tolerance", [-0.1, math.inf, math.nan, None, True, "1 %"])
def test_a_tolerance_that_is_none(tolerance: Any) -> None:
    with pytest.raises(InputError, match="tolerance"):
        simplest_within({0: front([1.0])}, lambda chosen: 1.0, tolerance)


def test_the_loss_is_one_number() -> None:
    net = torch.nn.Linear(1, 1)
    assert mean_loss(net, [1.0, 3.0], lambda model, batch: torch.tensor([batch])) == 2.0
    assert mean_loss(net, [1.0], lambda model, batch: batch * math.nan) == math.inf
    with pytest.raises(InputError, match="one number"):
        mean_loss(net, [1.0], lambda model, batch: torch.ones(2))
