"""Which solutions are likely to be laws."""

from __future__ import annotations

from symtorch.engines.native.forms.normal import normalise
from symtorch.engines.native.structure.solutions import Solution, convincing, front_of, likeliest
from symtorch.equations.expr import Variable
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
