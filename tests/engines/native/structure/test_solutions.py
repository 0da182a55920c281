"""Which solutions are likely to be laws."""

from __future__ import annotations

import numpy as np
from structures import OPTIONS

from symtorch.engines.native.forms.simplify import forms_of
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.solutions import Points, Solution, convincing, front_of, likeliest
from symtorch.equations.expr import Variable
from symtorch.equations.normal import key, normalise
from symtorch.equations.parser import parse


def test_the_law_is_where_the_front_bends_and_convinces_only_near_the_floor() -> None:
    front = [Solution(Variable(0), c, loss) for c, loss in [(1, 0.8), (5, 0.3), (9, 1e-5), (14, 8e-6), (25, 3e-6)]]
    assert likeliest(front)[0].cost == 9
    assert convincing(front, 1e-5)
    assert not convincing(front, 1e-8)
    assert not convincing([], 1.0)
    assert convincing([Solution(Variable(0), 9, 1e-28)], 1e-31)
    close = parse("1.2*x/(3.4 + x) + 0.7*sin(2.1*x)", ["x"])
    assert not convincing([Solution(close, 9, 1e-15)], 1e-31)  # close, but the teacher is exact
    few = parse("2*x/sqrt(x + 3)", ["x"])  # no approximation by two numbers is so close: of a law with a guard in it
    assert convincing([Solution(normalise(few), 9, 1e-15)], 1e-31)
    assert [c.cost for c in front_of([*front, Solution(Variable(0), 12, 1e-4)])] == [1, 5, 9, 14, 25]


def test_a_likely_law_is_offered_without_the_constants_that_only_another_form_can_lose() -> None:
    rng = np.random.default_rng(0)
    Z = rng.uniform(0.5, 8.0, (400, 1))
    points = Points(Z, Z[:, 0] * (4 - Z[:, 0]) + 0.02 * np.sin(9 * Z[:, 0]), 0.0)
    words = Vocabulary(OPTIONS)
    (law, *_) = points.fitted([normalise(parse("4.1 - 0.99*(x0 - 2.1)^2", ["x0"]))], words, False)
    found = points.plainer(law, words)
    assert key(normalise(parse("x0*(4 - x0)", ["x0"]))) in [
        key(factored) for e in found for factored in forms_of(e, words, 20, 2.0)
    ]


def test_a_law_leaves_nothing_smooth() -> None:
    assert convincing([Solution(Variable(0), 9, 1e-4, 1e-4, rough=0.9)], 1e-5)
    assert not convincing([Solution(Variable(0), 9, 1e-4, 1e-4, rough=0.2)], 1e-5)


def test_a_product_of_parts_that_were_asked_for_apart_gets_its_size() -> None:
    Z = np.random.default_rng(0).uniform(-3, 3, (400, 3))
    points = Points(Z, Z[:, 0] * (1.23 / (Z[:, 1] ** 2 + 2.31) - 1.66 * Z[:, 2]), 0.0)
    apart = parse("0.09*x0*(1.82/(x1^2 + 2.31) - 2.456260162601626*x2)", ["x0", "x1", "x2"])
    (law,) = points.fitted([normalise(apart)], Vocabulary(OPTIONS), True)
    assert law.loss < 1e-25
