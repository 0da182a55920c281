"""The form of an equation that a textbook would print: the same function, written for people.

Complexity is what a front is sorted by, so each of its equations stands in its shortest form:
``x0*(x0 - 2*x1*cos(x2)) + x1^2`` for the law of cosines, ``(1 - cos(x))/(1 - cos(y))`` for a quotient of squared
sines. What people look for is something else: few symbols, but also few brackets, no bracket in a bracket's term,
no fraction below a fraction's line, one root over a quotient, factors in front of sums, a correction as one to 1.
:func:`textbook` looks among the forms that algebra leads to (:mod:`.rewriting`) for the one that is easiest to read.

Reading is counted as a typesetter sees it: every symbol once, and beside them what makes a formula hard to take in.
Nothing but the look changes: the equation's own tree, its complexity and its constants stay.

>>> from symtorch.equations.expr import to_text
>>> from symtorch.equations.parser import parse
>>> names = ["a", "b", "t"]
>>> [to_text(textbook(parse(text, names)), names, digits=5) for text in ("a*(a - 2*b*cos(t)) + b*b", "a*t - b*t")]
['a^2 + b^2 - 2*a*b*cos(t)', 't*(a - b)']
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from symtorch.equations import rules
from symtorch.equations.expr import Constant, Expr, evaluate, size, transform, variables
from symtorch.equations.normal import normalise
from symtorch.equations.numerals import rounded
from symtorch.equations.readable import effort, written
from symtorch.equations.rewriting import explored

LARGEST = 60
"""Nodes of a normal form up to which forms are looked for; nobody reads longer ones for their form."""

FORMS, PASSES, DETOUR = 150, 4, 3.0
"""Forms that are looked at from each that is easier to read than those before, how often that begins anew, and how
much harder to read one may be that still leads to others."""

_RULES = (
    *rules.SHORTENING,
    rules.take_out,
    rules.turned_inverse,
    rules.hyperbolic_one,
)


def signs_of(X: np.ndarray) -> tuple[int, ...]:
    """The sign of each column of X (n_samples, n_inputs): 1, -1, or 0 where it has both.

    >>> signs_of(np.array([[1.0, -2.0, 3.0], [0.0, -1.0, -3.0]]))
    (1, -1, 0)
    """
    return tuple(np.where((X >= 0.0).all(axis=0), 1, np.where((X <= 0.0).all(axis=0), -1, 0)).tolist())


@lru_cache(maxsize=1024)
def textbook(expr: Expr, signs: tuple[int, ...] | None = None) -> Expr:
    """The form of an expression that is easiest to read; it has the same values.

    Args:
        expr: any tree.
        signs: of each input, where a form must have the same values: 1, -1, or 0 for either; None for all either.

    Returns:
        A tree in any operators, each with its own complexity; the expression itself where it is too long, or no form
        could be compared with it.
    """
    start = normalise(transform(expr, _rounded))
    if size(start) > LARGEST:
        return expr
    X = _points(expr, signs)
    values = evaluate(expr, X)
    if np.isfinite(values).sum() < _FEWEST:
        return expr
    best = expr
    for _ in range(PASSES):
        found = _easiest(start, X, values)
        if found is None:
            return best
        form, best = found
        if form == start:
            return best
        start = form
    return best


def _easiest(start: Expr, X: np.ndarray, values: np.ndarray) -> tuple[Expr, Expr] | None:
    """The form with these values that is easiest to read of those a few steps away, and how it is written."""
    trees: dict[Expr, Expr] = {}

    def price(form: Expr) -> float:
        tree = written(form).tree
        if tree in trees:
            return math.inf  # another normal form of what is written alike
        trees[tree] = form
        return effort(form)

    met = explored(start, price, _RULES, FORMS, DETOUR)
    for tree, form in sorted(trees.items(), key=lambda item: met.get(item[1], math.inf)):
        if _same(evaluate(tree, X), values):
            return form, tree
    return None


_FEWEST = 8
"""Points at which an expression must be defined for forms to be compared with it."""
_POINTS = 48
_SAME = 1e-9


def _points(expr: Expr, signs: tuple[int, ...] | None) -> np.ndarray:
    """Points at which forms are compared, of some sizes and of the signs that there are."""
    rng = np.random.default_rng(0)
    n = max(variables(expr), default=-1) + 1
    X = np.concatenate([rng.uniform(0.3, largest, (_POINTS, n)) for largest in (3.0, 3.0, 0.95)])
    either = rng.choice((-1.0, 1.0), X.shape)
    either[: _POINTS // 2] = 1.0  # roots of products of many inputs are seldom defined
    known = np.zeros(n) if signs is None or len(signs) < n else np.array(signs[:n], dtype=np.float64)
    return np.asarray(X * np.where(known == 0.0, either, known))


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether values agree but for rounding, defined in the same places."""
    finite = np.isfinite(b)
    if not np.array_equal(np.isfinite(a), finite):
        return False
    sizes = np.abs(b[finite])
    return bool((np.abs(a[finite] - b[finite]) <= _SAME * (sizes + np.median(sizes))).all())


def _rounded(node: Expr) -> Expr:
    return Constant(rounded(node.value)) if isinstance(node, Constant) else node
