"""What the numbers of an equation win, which tells a law from an approximation behind a network.

A network's error is smooth, so a longer equation always fits some of it, and one that only looks like the law may be
as near to the network as the law is. What an approximation can't do is to be cheap: it buys accuracy with numbers, at
about the same price all along its front. A law gets far more for each of its numbers than any simpler equation does.

    decades = -log10(share of the variance that is left) / (numbers + 1)

A number is a constant of more than two digits; the one that is added stands for the choice of the form. Behind 26
networks of ``benchmarks/networks.py`` (those of tuning, every third) laws win 1.2 to 40 times the decades of the best
simpler equation, 20 of 22 at least 1.5 times, and what only looks like a law 0.5 to 1.5 times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from symtorch.equations.description import numbers
from symtorch.equations.expr import Expr

OUTSTANDING = 1.5
"""So many times the decades of any simpler equation a law wins by each number, at least."""

DIGIT = 2.0
"""Or so many decades for each number: an approximation of a smooth function wins about a digit, squared, by each."""

ALONE = 0.8
"""Decades that each number of a law wins, at least, where nothing but this tells it from an approximation. Any value
from 0.7 to 0.85 says the same of 153 fronts, most of networks; at 0.6 an approximation is called a law, and from 0.9 to
1 one law is called an approximation, at 1 three more, springs behind networks that are 3 % off."""

_LEAST = 1e-14
"""Shares below this are rounding."""


def decades(tree: Expr, share: float) -> float:
    """What each number of an equation wins that leaves this share of the variance; 0 where that is not defined.

    >>> from symtorch.equations.parser import parse
    >>> [decades(parse(text, ["x"]), 1e-4) for text in ("x*exp(2*x)", "1.234*x*exp(2*x)")]
    [4.0, 2.0]
    """
    if not math.isfinite(share):
        return 0.0
    return max(0.0, -math.log10(max(share, _LEAST))) / (numbers(tree) + 1)


def stands_out(trees: Sequence[Expr], shares: Sequence[float], position: int) -> bool:
    """Whether each number of an equation wins far more than those of the simpler ones do, or more than a digit.

    >>> from symtorch.equations.parser import parse
    >>> trees = [parse(text, ["x"]) for text in ("x", "1.234*x", "x*exp(x)", "1.234*x*exp(1.234*x) - 0.1234")]
    >>> [stands_out(trees, [0.5, 0.2, 1e-4, 5e-5], i) for i in (1, 2, 3)]
    [False, True, False]

    Args:
        trees: equations of a front, the simplest first.
        shares: of the variance that they leave.
        position: of the equation in question.
    """
    simpler = max((decades(trees[i], shares[i]) for i in range(position)), default=0.0)
    own = decades(trees[position], shares[position])
    n = numbers(trees[position])
    return own >= OUTSTANDING * simpler or own * (n + 1) > DIGIT * n


def stands_alone(trees: Sequence[Expr], shares: Sequence[float], position: int) -> bool:
    """Whether an equation stands out, and no other one, simpler or longer, wins more by each of its numbers.

    >>> from symtorch.equations.parser import parse
    >>> trees = [parse(text, ["x"]) for text in ("x", "x*exp(x)", "1.234*x*exp(x) + 0.123", "x*exp(x)/(x + 0.123)")]
    >>> [stands_alone(trees, shares, 1) for shares in ([0.5, 1e-2, 1e-3, 9e-4], [0.5, 1e-2, 1e-3, 1e-5])]
    [True, False]

    Arguments as of :func:`stands_out`.
    """
    own = decades(trees[position], shares[position])
    others = [decades(tree, share) for i, (tree, share) in enumerate(zip(trees, shares, strict=True)) if i != position]
    return own >= max(ALONE, *others) and stands_out(trees, shares, position)
