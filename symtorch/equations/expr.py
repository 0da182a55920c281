"""Expressions: small immutable trees, the one representation that all of symtorch works on.

A tree is kept exactly as the search found it (``x0*x0`` stays a product, ``x1 - x1`` stays a
difference), because its complexity, its rounding and its place on a Pareto front depend on that.
SymPy, which rewrites what it is given, is a view: :func:`symtorch.equations.sympy_bridge.to_sympy`.

>>> from symtorch.equations.parser import parse
>>> expr = parse("2.5*cos(x1) + x0^2", ["x0", "x1"])
>>> to_text(expr, ["mass", "angle"])
'2.5*cos(angle) + mass^2'
>>> evaluate(expr, np.array([[3.0, 0.0]]))
array([11.5])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from symtorch.equations.numerals import written
from symtorch.equations.table import Row
from symtorch.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator; those that there are stand in :mod:`symtorch.equations.operators`.

    Two operators are equal if name and body are: a name means the same function everywhere, unless a
    user defines it.

    Attributes:
        name: PySR's name; for the infix operators the symbol.
        arity: number of arguments.
        numpy: arrays or float64 scalars -> array. NaN or infinity where undefined, never an error.
        torch: tensors -> tensor, any float dtype and device, differentiable.
        sympy: SymPy expressions -> SymPy expression.
        partials: ``partials(value, *args)``, the derivatives by each argument as NumPy arrays,
            given the operator's value there. None where it has none of use (floor, greater).
        inverse: ``inverse(value)``, the arguments that have this value, as NumPy arrays: one, or all
            in one period. None where it can't be undone.
        precedence: of infix notation; None for function notation.
        body: for an operator that a user defined, its tree over ``Variable(0..arity-1)``.
        row: for an operator of the table, its row.
    """

    name: str
    arity: int
    numpy: Callable[..., Any]
    torch: Callable[..., Any]
    sympy: Callable[..., Any]
    partials: Callable[..., tuple[Any, ...]] | None = None
    inverse: Callable[[Any], tuple[Any, ...]] | None = None
    precedence: int | None = None
    body: Expr | None = None
    row: Row | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operator) and (self.name, self.body) == (other.name, other.body)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Operator({self.name!r})"


class Expr:
    """Base of the three node types. Nodes are immutable, hashable and compared by value."""

    __slots__ = ()

    @property
    def children(self) -> tuple[Expr, ...]:
        """The argument subtrees, left to right; empty for a leaf."""
        return ()


@dataclass(frozen=True, slots=True, init=False)
class Constant(Expr):
    """A number, a Python float whatever it was made of: NumPy's own are written otherwise, and act otherwise."""

    value: float

    def __init__(self, value: float) -> None:
        # As for a call: a search makes millions, and the slot is filled by itself in two thirds of the time.
        _set_value(self, value if type(value) is float else float(value))


@dataclass(frozen=True, slots=True)
class Variable(Expr):
    """Column ``index`` of the input matrix; its name is the business of whoever prints it."""

    index: int


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Call(Expr):
    """An operator applied to ``op.arity`` arguments."""

    op: Operator
    args: tuple[Expr, ...]
    _hash: int = field(init=False, repr=False)

    # A sum of a thousand terms is a thousand levels deep, so nothing here recurses: the hash is made
    # with the node, comparing walks, and pickling writes the tree in postfix order.

    def __init__(self, op: Operator, args: tuple[Expr, ...]) -> None:
        # A search makes millions of nodes. The slots are filled by themselves, which takes two thirds of the time that
        # a frozen dataclass takes; an operator's hash is that of its name, and asking it for it costs another call.
        _set_op(self, op)
        _set_args(self, args)
        _set_hash(self, hash((op.name, args)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Call) or self._hash != other._hash:
            return False
        pairs: list[tuple[Call, Call]] = [(self, other)]
        while pairs:
            one, two = pairs.pop()
            if (one.op is not two.op and one.op != two.op) or len(one.args) != len(two.args):
                return False
            for a, b in zip(one.args, two.args, strict=True):
                if a is b:  # most often the same subtree, not one like it
                    continue
                if type(a) is Call:
                    if type(b) is not Call or a._hash != b._hash:
                        return False
                    pairs.append((a, b))
                elif a != b:
                    return False
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_tokens, (_tokens(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> Call:
        return self

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.args


_set_value = Constant.__dict__["value"].__set__
_set_op, _set_args, _set_hash = (Call.__dict__[name].__set__ for name in ("op", "args", "_hash"))


def _tokens(expr: Expr) -> tuple[float | int | Operator, ...]:
    """The tree in postfix order."""
    tokens: list[float | int | Operator] = []

    def rule(node: Expr, _: list[None]) -> None:
        if isinstance(node, Call):
            tokens.append(node.op)
        else:
            assert isinstance(node, (Constant, Variable))
            tokens.append(node.value if isinstance(node, Constant) else node.index)

    fold(expr, rule)
    return tuple(tokens)


def _from_tokens(tokens: tuple[float | int | Operator, ...]) -> Expr:
    stack: list[Expr] = []
    for token in tokens:
        if isinstance(token, float):
            stack.append(Constant(token))
        elif isinstance(token, int):
            stack.append(Variable(token))
        else:
            first = len(stack) - token.arity
            stack[first:] = [Call(token, tuple(stack[first:]))]
    return stack[0]


def walk(expr: Expr) -> Iterator[Expr]:
    """Every node of the tree, parents before children, left to right."""
    stack = [expr]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, Call):
            stack.extend(node.args[::-1])


def fold(expr: Expr, rule: Callable[[Expr, list[T]], T]) -> T:
    """A value for the tree, from the leaves up: ``rule(node, values of its children)`` at every node."""
    stack: list[tuple[Expr, bool]] = [(expr, False)]
    values: list[T] = []
    while stack:
        node, ready = stack.pop()
        children = node.children
        if not children:
            values.append(rule(node, []))
        elif ready:
            first = len(values) - len(children)
            values[first:] = [rule(node, values[first:])]
        else:
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(children))
    return values[0]


def transform(expr: Expr, rule: Callable[[Expr], Expr]) -> Expr:
    """Rebuild the tree from the leaves up, with ``rule`` applied to every rebuilt node."""

    def rebuild(node: Expr, args: list[Expr]) -> Expr:
        if isinstance(node, Call) and any(new is not old for new, old in zip(args, node.args, strict=True)):
            node = Call(node.op, tuple(args))
        return rule(node)

    return fold(expr, rebuild)


def substitute(expr: Expr, inputs: Sequence[Expr]) -> Expr:
    """Put ``inputs[i]`` in the place of every ``Variable(i)``."""
    return transform(expr, lambda node: inputs[node.index] if isinstance(node, Variable) else node)


def depth(expr: Expr) -> int:
    """Number of nodes on the longest way from the root to a leaf; 1 for a leaf."""
    return fold(expr, lambda node, depths: 1 + max(depths, default=0))


def size(expr: Expr) -> int:
    """Number of nodes."""
    return sum(1 for _ in walk(expr))


def constants(expr: Expr) -> list[float]:
    """Values of the constants, in the order of :func:`walk`."""
    return [node.value for node in walk(expr) if isinstance(node, Constant)]


def with_constants(expr: Expr, values: Sequence[float]) -> Expr:
    """The same tree with its constants replaced, in the order of :func:`walk`."""
    remaining = iter(values)
    return transform(expr, lambda node: Constant(float(next(remaining))) if isinstance(node, Constant) else node)


def variables(expr: Expr) -> list[int]:
    """Sorted indices of the input columns that the tree uses."""
    return sorted({node.index for node in walk(expr) if isinstance(node, Variable)})


def evaluate(expr: Expr, X: np.ndarray) -> np.ndarray:
    """Value of the tree on the rows of ``X``, in float64.

    Undefined results (the logarithm of a negative number, division by zero) are NaN or infinite,
    without a warning.

    Args:
        X: (n_samples, n_inputs).

    Returns:
        (n_samples,), float64.
    """
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2:
        raise InputError(f"X has shape {X.shape}; expected (n_samples, n_inputs).")

    def rule(node: Expr, values: list[Any]) -> Any:
        if isinstance(node, Constant):
            return np.float64(node.value)
        if isinstance(node, Variable):
            return X[:, node.index]
        assert isinstance(node, Call)
        return node.op.numpy(*values)

    with np.errstate(all="ignore"):
        out = fold(expr, rule)
    return np.array(np.broadcast_to(out, (len(X),)), dtype=np.float64)


_ATOM, _MINUS, _TIMES = 100, 3, 2
"""Precedence of whatever never needs parentheses, of a leading minus (under powers, over products), of a product."""


def to_text(expr: Expr, names: Sequence[str], digits: int | None = None) -> str:
    """The tree as infix text, which :func:`symtorch.equations.parser.parse` reads back exactly.

    Args:
        names: name of each input column.
        digits: significant digits of the constants, for people: ``x + (-2)*y`` reads ``x - 2*y``,
            ``(-1)*x`` and ``neg(x)`` read ``-x``, ``x*(y*z)`` reads ``x*y*z``, and 1.5707963267948966 reads ``pi/2``.
            None for all that float64 carries, which is what makes the round trip exact.
    """

    def number(value: float) -> tuple[str, int]:
        if not math.isfinite(value):
            return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan"), _MINUS if value < 0.0 else _ATOM
        numeral = None if digits is None else written(value, digits)
        if numeral is not None:
            outside = numeral.text.partition("sqrt(")[0]
            text, precedence = numeral.text, _TIMES if set("*/") & set(outside) else _ATOM
            return (f"-{text}", min(precedence, _MINUS)) if value < 0.0 else (text, precedence)
        text = repr(value) if digits is None else f"{value:.{digits}g}"
        return text[:-2] if text.endswith(".0") else text, _MINUS if text.startswith("-") else _ATOM

    def rule(node: Expr, parts: list[tuple[str, int]]) -> tuple[str, int]:
        if isinstance(node, Constant):
            return number(node.value)
        if isinstance(node, Variable):
            return names[node.index], _ATOM
        assert isinstance(node, Call)
        op = node.op
        if op.name == "neg" and digits is not None:  # for people
            text, precedence = parts[0]
            return (f"-({text})" if precedence < _TIMES or text.startswith("-") else f"-{text}"), _TIMES
        if op.precedence is None:
            return f"{op.name}({', '.join(text for text, _ in parts)})", _ATOM
        left, right = parts
        # Left-associative: an equal precedence on the right needs parentheses to come back as the
        # same tree. Powers get them on both sides, since Python's ** groups the other way.
        tight = op.precedence + 1 if op.name == "^" else op.precedence
        a = left[0] if left[1] >= tight else f"({left[0]})"
        flat = digits is not None and op.name in "+*" and right[1] == op.precedence
        b = right[0] if right[1] > op.precedence or flat else f"({right[0]})"
        if digits is not None and op.name == "*" and a == "-1":
            return b[1:] if b.startswith("-") else f"-{b}", op.precedence
        symbol, gap = op.name, " " if op.name in "+-" else ""
        if b.startswith("-"):
            if gap and digits is not None:  # for people: x - 2*y, though the tree says x + (-2)*y
                symbol, b = ("-" if symbol == "+" else "+"), b[1:]
            else:
                b = f"({b})"
        return f"{a}{gap}{symbol}{gap}{b}", op.precedence

    return fold(expr, rule)[0]
