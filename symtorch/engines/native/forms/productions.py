"""Ways of making an expression of one or two others, on values and as trees, with what each costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.equations import normal
from symtorch.equations.expr import Expr, Variable, substitute
from symtorch.equations.operators import Operator


@dataclass(frozen=True)
class Unary:
    """A way of making one expression from one: on values, and as a tree."""

    values: Callable[[torch.Tensor], torch.Tensor]
    build: Callable[[Expr], Expr]
    cost: float
    copies: int
    is_function: bool
    needs_sign: bool = False
    size: int = 1
    """Levels that it adds."""


@dataclass(frozen=True)
class Binary:
    """A way of making one expression from two."""

    values: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    build: Callable[[Expr, Expr], Expr]
    cost: float
    is_sum: bool = False
    is_function: bool = False


def _price(words: Vocabulary, tree: Expr) -> tuple[float, int] | None:
    """What writing a production costs beyond its arguments, and how often it repeats the first."""
    written = words.render(tree)
    if written is None:
        return None
    cost, copies = words.price(written)
    return cost, max(1, copies)


def unaries(words: Vocabulary) -> Iterator[Unary]:
    """What the user's operators make of one expression."""
    x = Variable(0)
    minus = normal.multiply([normal.NEGATIVE, x])

    def way(
        values: Callable[[torch.Tensor], torch.Tensor],
        tree: Expr,
        is_function: bool = False,
        needs_sign: bool = False,
        size: int = 1,
    ) -> Iterator[Unary]:
        price = _price(words, tree)
        if price is not None:
            yield Unary(values, _template(tree), *price, is_function, needs_sign, size)

    yield from way(torch.square, normal.power(x, 2.0))
    yield from way(torch.reciprocal, normal.power(x, -1.0))
    yield from way(torch.sqrt, normal.power(x, 0.5), needs_sign=True)
    yield from way(lambda v: torch.sqrt(-v), normal.power(minus, 0.5))
    yield from way(torch.rsqrt, normal.power(x, -0.5), needs_sign=True)
    for op in words.functions:
        yield from way(op.torch, normal.apply(op, [x]), is_function=True)
        if normal.parity(op) == 0 and not (op.row is not None and op.row.only_positive):
            yield from way(_of_minus(op), normal.apply(op, [minus]), is_function=True)
    yield from way(lambda v: v * v * v, normal.power(x, 3.0), size=2)


def binaries(words: Vocabulary) -> Iterator[Binary]:
    """What the user's operators make of two expressions."""
    x, y = Variable(0), Variable(1)

    def way(
        values: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        tree: Expr,
        is_sum: bool = False,
        is_function: bool = False,
    ) -> Iterator[Binary]:
        price = _price(words, tree)
        if price is not None:
            yield Binary(values, _template(tree), price[0], is_sum, is_function)

    yield from way(torch.mul, normal.multiply([x, y]))
    yield from way(torch.div, normal.multiply([x, normal.power(y, -1.0)]))
    yield from way(lambda a, b: b / a, normal.multiply([y, normal.power(x, -1.0)]))
    yield from way(torch.add, normal.add([x, y]), is_sum=True)
    yield from way(torch.sub, normal.add([x, normal.multiply([normal.NEGATIVE, y])]), is_sum=True)
    for op in words.binaries:
        yield from way(_paired(op, False), normal.apply(op, [x, y]), is_function=True)
        yield from way(_paired(op, True), normal.apply(op, [y, x]), is_function=True)


def _template(tree: Expr) -> Callable[..., Expr]:
    """What puts normal forms in the place of the variables."""
    return lambda *parts: normal.normalise(substitute(tree, parts))


def _of_minus(op: Operator) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda v: op.torch(-v)


def _paired(op: Operator, swap: bool) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    def values(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a, b = torch.broadcast_tensors(a, b)
        return op.torch(b, a) if swap else op.torch(a, b)

    return values
