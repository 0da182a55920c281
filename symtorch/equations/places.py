"""Places in a tree: every node by the way to it, and what happens when another one is put there."""

from __future__ import annotations

from collections.abc import Iterator

from symtorch.equations import normal
from symtorch.equations.expr import Call, Expr


def places(expr: Expr) -> Iterator[tuple[tuple[int, ...], Expr]]:
    """Every node with its path, parents first; exponents of powers are no places."""
    stack: list[tuple[tuple[int, ...], Expr]] = [((), expr)]
    while stack:
        path, node = stack.pop()
        yield path, node
        if isinstance(node, Call):
            n = 1 if normal.is_power(node) else len(node.args)
            stack.extend([((*path, i), node.args[i]) for i in range(n - 1, -1, -1)])


def nodes(expr: Expr) -> Iterator[Expr]:
    """Every node at one of the :func:`places`."""
    stack = [expr]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, Call):
            stack.extend(node.args[:1] if normal.is_power(node) else node.args[::-1])


def at(expr: Expr, path: tuple[int, ...]) -> Expr:
    """The node at a path."""
    for i in path:
        expr = expr.children[i]
    return expr


def put(expr: Expr, path: tuple[int, ...], new: Expr) -> Expr:
    """The tree with another node at a path; not normalised."""
    if not path:
        return new
    assert isinstance(expr, Call)
    args = list(expr.args)
    args[path[0]] = put(args[path[0]], path[1:], new)
    return Call(expr.op, tuple(args))
