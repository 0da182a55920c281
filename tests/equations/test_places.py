"""Places in a tree."""

from __future__ import annotations

from forms import read

from symtorch.equations.expr import Variable
from symtorch.equations.places import at, nodes, places, put


def test_places_are_the_nodes_by_their_ways_parents_first_without_exponents() -> None:
    expr = read("sin(x0)*(x1 + 2)^3 + exp(x0 - x1)/x2")
    found = list(places(expr))
    assert [path for path, _ in found] == sorted(path for path, _ in found)
    assert all(at(expr, path) is node for path, node in found)
    assert list(nodes(expr)) == [node for _, node in found]
    assert 3.0 not in [getattr(node, "value", None) for node in nodes(expr)]
    leaf = next(path for path, node in found if node == Variable(2))
    assert put(put(expr, leaf, Variable(7)), leaf, Variable(2)) == expr
