"""Neighbours of an expression: another exponent, another function, one node less or more.

They reach what neither contexts nor refinement express, because the tree changes inside while
everything around stays: ``sin`` instead of ``cos``, a square that should have been a root, a sum that
should have been a product.
"""

from __future__ import annotations

from collections.abc import Iterator

from symtorch.engines.native.forms.tuning import FormsTuning
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.expr import Call, Constant, Expr, Variable
from symtorch.equations.places import places, put

_EXPONENTS = (-2.0, -1.5, -1.0, -0.5, 0.5, 1.5, 2.0, 3.0)


def neighbours(expr: Expr, words: Vocabulary) -> Iterator[Expr]:
    """Every expression one change away, each shape once."""
    exponents = [e for e in _EXPONENTS if words.render(normal.power(Variable(0), e)) is not None]
    seen = {normal.key(expr)}
    for path, node in places(expr):
        for new in _instead_of(node, words, exponents):
            changed = normal.normalise(put(expr, path, new))
            shape = normal.key(changed)
            if shape not in seen:
                seen.add(shape)
                yield changed


def _instead_of(node: Expr, words: Vocabulary, exponents: list[float]) -> Iterator[Expr]:
    if isinstance(node, Constant):
        return
    tried = words.functions[: current(FormsTuning).functions]
    functions = [op for op in tried if not (isinstance(node, Call) and op is node.op)]
    if not isinstance(node, Call):
        powers = [normal.power(node, e) for e in exponents if e in (-1.0, 2.0, 3.0)]
        yield from powers
        yield from (normal.multiply([Constant(0.5), power]) for power in powers)  # in a sum it may weigh less
        yield from (normal.apply(op, [node]) for op in functions)
        return
    first = node.args[0]
    if normal.is_power(node):
        yield first
        yield from (normal.power(first, e) for e in exponents)
        yield from (normal.apply(op, [first]) for op in functions)
        if words.render(normal.power(Variable(0), 0.7)) is not None:
            exponent = node.args[1]
            assert isinstance(exponent, Constant)
            yield Call(normal.POWER, (first, Constant(exponent.value + 0.01)))  # an exponent to be fitted
    elif node.op in (normal.PLUS, normal.TIMES):
        other = normal.TIMES if node.op is normal.PLUS else normal.PLUS
        a, b = node.args
        yield a
        yield b
        yield Call(other, (a, b))
        minus, under = normal.multiply([normal.NEGATIVE, b]), normal.power(b, -1.0)
        yield normal.add([a, minus])
        yield normal.multiply([a, under])
        yield normal.multiply([b, normal.power(a, -1.0)])
        yield from (normal.power(node, e) for e in exponents if e in (-1.0, 2.0, 0.5, -0.5))
        yield from (normal.apply(op, [node]) for op in functions)
    elif node.op.arity == 1:
        yield first
        yield from (normal.apply(op, [first]) for op in functions)
        yield from (normal.power(first, e) for e in exponents if e in (-1.0, 2.0, 0.5))
        yield from (normal.power(node, e) for e in exponents if e in (-1.0, 2.0))
    else:
        yield from node.args
        yield Call(node.op, node.args[::-1])
