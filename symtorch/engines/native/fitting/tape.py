"""Expressions flattened to a list of instructions: values of every node, and derivatives by every node.

Reverse-mode differentiation, row by row: one sweep forth gives the value of each node on all rows, one
sweep back gives ``d output / d node`` on all rows. The columns that belong to constants are the
Jacobian of a fit, the others say how sensitive the output is at a place where something could be put
in (:mod:`.refine`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from symtorch.equations.expr import Call, Constant, Expr, Variable
from symtorch.equations.normal import (
    NEGATIVE,
    PLUS,
    POWER,
    TIMES,
    nice_exponent,
)
from symtorch.equations.operators import Operator

Path = tuple[int, ...]
"""Where a node is: which argument to take, from the root down."""

_INPUT, _CONSTANT, _ADD, _MULTIPLY, _NEGATE, _POWER, _CALL = range(7)


class Instruction(NamedTuple):
    """One node: what it does (``code``), to which earlier results, and where it stands in the tree."""

    code: int
    args: tuple[int, ...]
    number: int
    """Column of an input, or position of a constant in the vector of constants."""
    exponent: float
    op: Operator | None
    path: Path
    moving: bool
    """Whether its value depends on a constant."""


class Tape:
    """A normal form as instructions, its constants as a vector."""

    def __init__(self, expr: Expr) -> None:
        self.expr = expr
        self.instructions: list[Instruction] = []
        self.constant_nodes: list[int] = []
        values: list[float] = []
        instructions = self.instructions

        def emit(code: int, args: tuple[int, ...], path: Path, number: int = 0, exponent: float = 0.0,
                 op: Operator | None = None) -> int:  # fmt: skip
            moving = code == _CONSTANT or any(instructions[a].moving for a in args)
            instructions.append(Instruction(code, args, number, exponent, op, path, moving))
            return len(instructions) - 1

        def rec(node: Expr, path: Path) -> int:
            if isinstance(node, Constant):
                values.append(node.value)
                self.constant_nodes.append(len(instructions))
                return emit(_CONSTANT, (), path, len(values) - 1)
            if isinstance(node, Variable):
                return emit(_INPUT, (), path, node.index)
            assert isinstance(node, Call)
            op, args = node.op, node.args
            if op is POWER and isinstance(args[1], Constant) and nice_exponent(args[1].value):
                return emit(_POWER, (rec(args[0], (*path, 0)),), path, exponent=args[1].value)
            if op is TIMES and args[0] == NEGATIVE:
                return emit(_NEGATE, (rec(args[1], (*path, 1)),), path)
            results = tuple([rec(arg, (*path, i)) for i, arg in enumerate(args)])
            code = _ADD if op is PLUS else _MULTIPLY if op is TIMES else _CALL
            return emit(code, results, path, op=op)

        rec(expr, ())
        self.constants = np.array(values, dtype=np.float64)
        self._all = list(enumerate(instructions))
        self._moving = [(i, ins) for i, ins in self._all if ins.moving]

    def is_constant(self, node: int) -> bool:
        return self.instructions[node].code == _CONSTANT

    def forward(
        self, columns: Sequence[np.ndarray], constants: np.ndarray, known: list[Any] | None = None
    ) -> list[Any]:
        """Value of every node; a scalar where it doesn't depend on the inputs.

        Args:
            known: values for other constants on the same rows: what depends on none is taken from there.
        """
        values: list[Any] = [None] * len(self.instructions) if known is None else known.copy()
        for i, (code, args, number, exponent, op, _, _) in self._all if known is None else self._moving:
            if code == _INPUT:
                values[i] = columns[number]
            elif code == _CONSTANT:
                values[i] = constants[number]
            elif code == _ADD:
                values[i] = values[args[0]] + values[args[1]]
            elif code == _MULTIPLY:
                values[i] = values[args[0]] * values[args[1]]
            elif code == _NEGATE:
                values[i] = -values[args[0]]
            elif code == _POWER:
                values[i] = fixed_power(values[args[0]], exponent)
            else:
                assert op is not None
                values[i] = op.numpy(*[values[a] for a in args])
        return values

    def backward(self, values: list[Any], constants_only: bool = False) -> list[Any]:
        """``d output / d node`` for every node, given what :meth:`forward` returned; scalars where all rows agree.

        Args:
            constants_only: leave out (None) the nodes that depend on no constant.
        """
        adjoints: list[Any] = [None] * len(values)
        adjoints[-1] = 1.0
        instructions = self.instructions
        for i, (code, args, _, e, op, _, _) in reversed(self._moving if constants_only else self._all):
            g = adjoints[i]
            if code <= _CONSTANT:
                continue
            if code == _ADD:
                adjoints[args[0]] = adjoints[args[1]] = g
            elif code == _MULTIPLY:
                a, b = args
                if not constants_only or instructions[a].moving:
                    adjoints[a] = g * values[b]
                if not constants_only or instructions[b].moving:
                    adjoints[b] = g * values[a]
            elif code == _NEGATE:
                adjoints[args[0]] = -g
            elif code == _POWER:
                inner, power = values[args[0]], values[i]
                if e == 2.0:
                    slope = 2.0 * inner
                elif e == -1.0:
                    slope = -(power * power)
                elif e == 0.5:
                    slope = 0.5 / power
                else:
                    slope = e * fixed_power(inner, e - 1.0)
                adjoints[args[0]] = g * slope
            else:
                assert op is not None
                slopes = (
                    [0.0] * len(args) if op.partials is None else op.partials(values[i], *[values[a] for a in args])
                )
                for a, slope in zip(args, slopes, strict=True):
                    adjoints[a] = g * slope
        return adjoints

    def rebuild(self, constants: np.ndarray) -> Expr:
        """The expression with these constants."""
        remaining = iter(constants.tolist())

        def rec(node: Expr) -> Expr:
            if isinstance(node, Constant):
                return Constant(next(remaining))
            if not isinstance(node, Call):
                return node
            if node.op is POWER and isinstance(node.args[1], Constant) and nice_exponent(node.args[1].value):
                return Call(POWER, (rec(node.args[0]), node.args[1]))
            if node.op is TIMES and node.args[0] == NEGATIVE:
                return Call(TIMES, (NEGATIVE, rec(node.args[1])))
            return Call(node.op, tuple(rec(arg) for arg in node.args))

        return rec(self.expr)


def fixed_power(value: Any, exponent: float) -> Any:
    """``value**exponent``, by the quickest way for the exponents that occur most."""
    if exponent == 2.0:
        return value * value
    if exponent == -1.0:
        return np.divide(1.0, value)
    if exponent == 0.5:
        return np.sqrt(value)
    if exponent == 3.0:
        return value * value * value
    if exponent == -0.5:
        return np.divide(1.0, np.sqrt(value))
    if exponent == -2.0:
        return np.divide(1.0, value * value)
    return np.power(value, exponent)
