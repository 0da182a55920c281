"""Reads equations from text without ever running it.

Equations come from files and from other programs, so the text goes through Python's own ``ast`` and
a whitelist: numbers, known names, known operators. Nothing is evaluated.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Sequence

from symtorch.equations.expr import Call, Constant, Expr, Variable
from symtorch.equations.operators import ALIASES, OPERATORS, Operator
from symtorch.errors import ParseError

MAX_LENGTH = 20_000
"""Longest text that is read, in characters."""

MAX_DEPTH = 200
"""Deepest nesting that is read."""

_INFIX: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "^"}
_NUMBERS = {"pi": math.pi, "E": math.e, "inf": math.inf, "nan": math.nan}


def parse(text: str, names: Sequence[str], operators: Iterable[Operator] = ()) -> Expr:
    """The tree of an equation.

    ``^`` and ``**`` both mean a power. ``pi`` and ``E`` are numbers unless they are variables.

    >>> parse("x0*sin(2*x1)", ["x0", "x1"]).op
    Operator('*')

    Args:
        text: infix text.
        names: name of each input column, in order.
        operators: user-defined operators beside those of the table.

    Raises:
        ParseError: the text is no equation; the message says what in it was not understood.
    """
    if not isinstance(text, str):
        raise ParseError(f"an equation must be text, got {type(text).__name__}.")
    if len(text) > MAX_LENGTH:
        raise ParseError(f"the text has {len(text):,} characters; at most {MAX_LENGTH:,} are read.")
    nesting = deepest = 0
    for char in text:
        nesting += (char == "(") - (char == ")")
        deepest = max(deepest, nesting)
    if deepest > MAX_DEPTH:
        raise ParseError(f"parentheses are nested {deepest} deep; at most {MAX_DEPTH} are read.")
    try:
        root = ast.parse(text.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ParseError(f"{_shorten(text)!r} is not an equation: {error}.") from None
    index = {name: i for i, name in enumerate(names)}
    known = OPERATORS | {op.name: op for op in operators}

    def call(name: str, args: list[ast.expr], level: int) -> Expr:
        op = known.get(name) or known.get(ALIASES.get(name, name))
        if op is None:
            raise ParseError(f"function {name!r} in {_shorten(text)!r} is not known.")
        if len(args) != op.arity:
            raise ParseError(f"{name!r} takes {op.arity} argument(s), got {len(args)} in {_shorten(text)!r}.")
        return Call(op, tuple(rec(arg, level + 1) for arg in args))

    def rec(node: ast.expr, level: int) -> Expr:
        if level > MAX_DEPTH:
            raise ParseError(f"the equation is nested more than {MAX_DEPTH} deep.")
        match node:
            case ast.Constant(value=bool()):
                pass
            case ast.Constant(value=int() | float() as value):
                try:
                    return Constant(float(value))
                except OverflowError:
                    raise ParseError(f"the number {_shorten(str(value))} is too large.") from None
            case ast.Name(id=name) if name in index:
                return Variable(index[name])
            case ast.Name(id=name) if name in _NUMBERS:
                return Constant(_NUMBERS[name])
            case ast.Name(id=name):
                raise ParseError(f"name {name!r} in {_shorten(text)!r} is not one of the variables {list(names)}.")
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return rec(operand, level + 1)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = rec(operand, level + 1)
                return Constant(-inner.value) if isinstance(inner, Constant) else Call(OPERATORS["neg"], (inner,))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _INFIX:
                return call(_INFIX[type(op)], [left, right], level)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return call(name, args, level)
        raise ParseError(f"{type(node).__name__} is not allowed in an equation: {_shorten(text)!r}.")

    try:
        return rec(root, 0)
    except RecursionError:
        raise ParseError("the equation is nested too deeply.") from None


def _shorten(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
