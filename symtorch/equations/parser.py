"""Reads equations from text without ever running it.

Equations come from files and from other programs, so the text goes through Python's own ``ast`` and
a whitelist: numbers, known names, known operators. Nothing is evaluated.
"""

from __future__ import annotations

import ast
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from symtorch.equations.expr import Call, Constant, Expr, Variable, size
from symtorch.equations.names import InputNames
from symtorch.equations.operators import ALIASES, OPERATORS, Operator
from symtorch.errors import ParseError, listed

MAX_LENGTH = 100_000
"""Longest text that is read, in characters."""

MAX_DEPTH = 100
"""Deepest nesting that is read. A sum or product of many terms is not nested, however long it is."""

_INFIX: dict[type, str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "^", ast.Mod: "mod",
    ast.Gt: "greater", ast.Lt: "less", ast.GtE: "greater_equal", ast.LtE: "less_equal",
    ast.And: "logical_and", ast.Or: "logical_or",
}  # fmt: skip
_NUMBERS = {"pi": math.pi, "E": math.e, "inf": math.inf, "nan": math.nan}
_BRACKETS = re.compile(r"[()\[\]{}]")


def parse(text: str, names: Sequence[str], operators: Iterable[Operator] = ()) -> Expr:
    """The tree of an equation.

    Written as Python writes it, with PySR's, SymPy's or NumPy's function names. ``^`` and ``**`` both
    mean a power. ``pi`` and ``E`` are numbers unless they are variables. Comparisons, ``and``, ``or``,
    ``not``, ``a if c else b`` and SymPy's ``Piecewise((a, c), (b, True))`` are read as well.

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
    for bracket in _BRACKETS.findall(text):
        nesting += 1 if bracket in "([{" else -1
        deepest = max(deepest, nesting)
    if deepest > MAX_DEPTH:
        raise ParseError(f"parentheses are nested {deepest} deep; at most {MAX_DEPTH} are read.")
    try:
        root = ast.parse(text.strip().replace("^", "**"), mode="eval").body
        return _Reader(text, names, operators).read(root, 0)
    except (MemoryError, RecursionError):
        raise ParseError(f"{_shorten(text)!r} is nested too deeply, or has too many terms.") from None
    except (SyntaxError, ValueError) as error:
        if isinstance(error, ParseError):
            raise
        raise ParseError(f"{_shorten(text)!r} is not an equation: {_shorten(str(error))}.") from None


class _Reader:
    def __init__(self, text: str, names: Sequence[str], operators: Iterable[Operator]) -> None:
        self.text = _shorten(text)
        self.names = names
        self.position = positions(names)
        self.own = {op.name: op for op in operators}
        self.may_repeat = len(text)

    def read(self, node: ast.expr, level: int) -> Expr:
        if level > MAX_DEPTH:
            raise ParseError(f"the equation is nested more than {MAX_DEPTH} deep.")
        below = level + 1
        match node:  # the most frequent ones first
            case ast.BinOp():
                return self.chain(node, level)
            case ast.Name(id=name):
                return self.name(name)
            case ast.Constant(value=bool(value)):
                return Constant(float(value))
            case ast.Constant(value=int() | float() as value):
                return self.number(value)
            case ast.Call(func=ast.Name(id="Piecewise"), args=cases, keywords=[]):
                return self.piecewise(cases, below)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self.call(name, [self.read(arg, below) for arg in args])
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.read(operand, below)
                return Constant(-inner.value) if isinstance(inner, Constant) else self.call("neg", [inner])
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.read(operand, below)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self.call("logical_not", [self.read(operand, below)])
            case ast.BoolOp(op=op, values=values):
                return self.fold(_INFIX[type(op)], [self.read(value, below) for value in values])
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _INFIX for op in ops):
                return self.comparisons(ops, [self.read(side, below) for side in (left, *others)])
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return self.call("ifelse", [self.read(part, below) for part in (test, body, otherwise)])
        raise ParseError(f"{type(node).__name__} is not allowed in an equation: {self.text!r}.")

    def number(self, value: float) -> Constant:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isinf(number):
            raise ParseError(f"a number in {self.text!r} is too large for float64.")
        return Constant(number)

    def name(self, name: str) -> Expr:
        index = self.position(name)
        if index is not None:
            return Variable(index)
        if name in _NUMBERS:
            return Constant(_NUMBERS[name])
        raise ParseError(f"name {name!r} in {self.text!r} is not one of the variables {listed(self.names[:1000])}.")

    def chain(self, node: ast.expr, level: int) -> Expr:
        """Infix operators from the left, without a level per term: a + b + c + ..."""
        rest: list[ast.BinOp] = []
        while isinstance(node, ast.BinOp):
            if type(node.op) not in _INFIX:
                raise ParseError(f"{type(node.op).__name__} is not allowed in an equation: {self.text!r}.")
            rest.append(node)
            node = node.left
        result = self.read(node, level + 1)
        for binary in reversed(rest):
            result = self.call(_INFIX[type(binary.op)], [result, self.read(binary.right, level + 1)])
        return result

    def call(self, name: str, args: list[Expr]) -> Expr:
        op = self.own.get(name) or OPERATORS.get(name)
        if op is None:
            alias = ALIASES.get(name, name)
            op = self.own.get(alias) or OPERATORS.get(alias)
        if op is None:
            raise ParseError(f"function {name!r} in {self.text!r} is not known.")
        if op.row is not None and op.row.variadic and len(args) > 2:
            return self.fold(op.name, args)
        if len(args) != op.arity:
            raise ParseError(f"{name!r} takes {op.arity} argument(s), got {len(args)} in {self.text!r}.")
        return Call(op, tuple(args))

    def comparisons(self, ops: list[ast.cmpop], sides: list[Expr]) -> Expr:
        """``a < b < c`` says ``a < b and b < c``: what stands in the middle stands in the tree twice."""
        self.may_repeat -= sum(size(side) for side in sides[1:-1])
        if self.may_repeat < 0:
            raise ParseError(f"comparisons are chained inside each other in {self.text!r}; write them with 'and'.")
        pairs = zip(ops, sides, sides[1:], strict=False)
        return self.fold("logical_and", [self.call(_INFIX[type(op)], [a, b]) for op, a, b in pairs])

    def fold(self, name: str, args: list[Expr]) -> Expr:
        """A binary operator over many arguments, from the left."""
        result = args[0]
        for arg in args[1:]:
            result = self.call(name, [result, arg])
        return result

    def piecewise(self, cases: list[ast.expr], level: int) -> Expr:
        result: Expr = Constant(math.nan)
        for case in reversed(cases):
            if not isinstance(case, ast.Tuple) or len(case.elts) != 2:
                raise ParseError(f"Piecewise takes pairs (value, condition), in {self.text!r}.")
            value, holds = (self.read(part, level) for part in case.elts)
            always = isinstance(holds, Constant) and holds.value > 0
            result = value if always else self.call("ifelse", [holds, value, result])
        return result


def positions(names: Sequence[str]) -> Callable[[str], int | None]:
    """Which column a name in a parsed text means; None for none."""
    return names.position if isinstance(names, InputNames) else _index(tuple(names)).get


@lru_cache(maxsize=16)
def _index(names: tuple[str, ...]) -> dict[str, int]:
    # Python's grammar brings identifiers into this form.
    return {name if name.isascii() else unicodedata.normalize("NFKC", name): i for i, name in enumerate(names)}


def _shorten(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
