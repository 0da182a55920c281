"""How long a message is that says an equation and what it leaves: the shortest is the pick where noise is seen.

Minimum description length, as Bartlett, Desmond and Ferreira use it for equations (Exhaustive Symbolic Regression,
arXiv 2211.11461): a longer equation is worth its place if it saves more in the residuals than it costs itself.
In nats, for n rows with independent Gaussian noise of unknown variance:

    n/2 · log(loss)                 the residuals,
    nodes · log(symbols)            the tree: every node is one of the symbols that equations are made of,
    constants/2 · log(n)            constants, to the precision in which n rows tell them (Schwarz 1978,
                                    doi 10.1214/aos/1176344136); numbers of at most two digits are symbols.

The best of a million trees that mean nothing explains about 2·log(1e6) = 28 units of chi-squared by chance, and the
price is of that size: what is gained by looking for long is paid for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from symtorch.equations.expr import Call, Constant, Expr, size, walk


def lengths(trees: Sequence[Expr], losses: Sequence[float], n_inputs: int, n_rows: int) -> list[float]:
    """Description lengths, in nats, of equations for the same rows; they are comparable with each other only.

    >>> from symtorch.equations.parser import parse
    >>> trees = [parse(text, ["x0"]) for text in ("2.345*x0", "2.345*x0 + 0.123*sin(3.21*x0)")]
    >>> [lengths(trees, [1.0, loss], 1, 1000)[1] < lengths(trees, [1.0, loss], 1, 1000)[0] for loss in (0.98, 0.9)]
    [False, True]

    Args:
        trees: of the equations.
        losses: mean squared errors of the same equations; what isn't finite is infinitely long.
        n_inputs: inputs that there are, whether an equation has them or not.
        n_rows: rows that the losses are over.
    """
    functions = {node.op.name for tree in trees for node in walk(tree) if isinstance(node, Call)}
    of_a_node = math.log(len(functions) + n_inputs + 1)
    return [
        _of_tree(tree, of_a_node, 0.5 * math.log(max(1, n_rows))) + _of_rest(loss, n_rows)
        for tree, loss in zip(trees, losses, strict=True)
    ]


def extent(tree: Expr) -> int:
    """Nodes of a tree, constants counted twice: a simple measure of its length, whatever rows there are.

    >>> from symtorch.equations.parser import parse
    >>> extent(parse("2.5*x0 + 1", ["x0"])), extent(parse("sin(x0)", ["x0"]))
    (7, 2)
    """
    return sum(2 if isinstance(node, Constant) else 1 for node in walk(tree))


def numbers(tree: Expr) -> int:
    """Constants of a tree of more than two digits: the others are symbols of a law as much as its operators are.

    >>> from symtorch.equations.parser import parse
    >>> numbers(parse("0.25*x0*sin(3.1395*x0 + 2)", ["x0"]))
    1
    """
    return sum(_is_fitted(node) for node in walk(tree))


def _of_tree(tree: Expr, of_a_node: float, of_a_constant: float) -> float:
    return of_a_node * size(tree) + of_a_constant * numbers(tree)


def _is_fitted(node: Expr) -> bool:
    """Whether a node is a constant of more digits than are read as a symbol."""
    return isinstance(node, Constant) and node.value != float(f"{node.value:.2g}")


def _of_rest(loss: float, n_rows: int) -> float:
    if not math.isfinite(loss):
        return math.inf
    return 0.5 * n_rows * math.log(loss) if loss > 0.0 else -math.inf
