"""Forms of an expression that algebra leads to, the cheapest first.

A best-first search over what the rules of :mod:`.rules` make of a normal form, at any place in it; which forms are
cheap is for the caller to say. (Equality saturation, POPL 2009, doi 10.1145/1480881.1480915, without the graph:
laws are small.)
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from symtorch.equations import normal
from symtorch.equations.expr import Constant, Expr
from symtorch.equations.normal import REMEMBERED
from symtorch.equations.places import nodes, places, put
from symtorch.equations.rules import SAME, Rule


def explored(
    expr: Expr, price: Callable[[Expr], float], rules: tuple[Rule, ...], most: int, detour: float
) -> dict[Expr, float]:
    """Forms of an expression and what each costs.

    The search begins at the expression and at what it is multiplied out, from where a polynomial is a few steps away.

    Args:
        expr: a normal form.
        price: what a form costs.
        rules: what leads from form to form.
        most: how many are looked at.
        detour: by how much more than the expression a form may cost that still leads to others.
    """
    start = price(expr)
    met = {expr: start}
    out = normal.multiplied_out(expr)
    if _sound(out):
        met.setdefault(out, price(out))
    heap = [(cost, -len(met) + number, form) for number, (form, cost) in enumerate(met.items())]
    heapq.heapify(heap)
    count = 0
    while heap and count < most:
        _, _, cheapest = heapq.heappop(heap)
        for form in rewritten(cheapest, rules):
            if form in met:
                continue
            count += 1
            met[form] = cost = price(form)
            if cost <= start + detour:  # a way to a cheap form may lead over dearer ones, but not much dearer
                heapq.heappush(heap, (cost, count, form))
            if count >= most:
                break
    return met


def rewritten(expr: Expr, rules: tuple[Rule, ...]) -> Iterator[Expr]:
    """Every form that one rule at one place makes of a normal form."""
    for path, node in places(expr):
        for new in _by_rules(node, rules):
            form = normal.normalise(put(expr, path, new))
            if _sound(form):
                yield form


@lru_cache(maxsize=REMEMBERED)
def _by_rules(node: Expr, rules: tuple[Rule, ...]) -> tuple[Expr, ...]:
    """What rules make of a node, wherever it stands: the forms of a law share most of their nodes."""
    return tuple(dict.fromkeys(new for rule in rules for new in rule(node)))


def _sound(expr: Expr) -> bool:
    return all(math.isfinite(node.value) for node in nodes(expr) if isinstance(node, Constant))


def same_values(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two expressions have the same values on the samples, up to rounding; undefined in the same places."""
    finite = np.isfinite(b)
    if not np.array_equal(np.isfinite(a), finite):
        return False
    size = float(np.sqrt(np.mean(b[finite] ** 2))) if finite.any() else 0.0
    return bool((np.abs(a[finite] - b[finite]) <= SAME * (size + np.abs(b[finite]))).all())
