"""Places in a tree: every node by the way to it, and what happens when another one is put there."""

from __future__ import annotations

from collections.abc import Iterator

from symtorch.engines.native.forms import normal
from symtorch.equations.expr import Call, Expr


def places(expr: Expr, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Expr]]:
    """Every node with its path, parents first; exponents of powers are no places."""
    yield path, expr
    if normal.is_power(expr):
        yield from places(expr.children[0], (*path, 0))
    else:
        for i, child in enumerate(expr.children):
            yield from places(child, (*path, i))


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
