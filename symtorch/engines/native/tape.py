"""Expressions flattened to a list of instructions: values of every node, and derivatives by every node.

Reverse-mode differentiation, row by row: one sweep forth gives the value of each node on all rows, one
sweep back gives ``d output / d node`` on all rows. The columns that belong to constants are the
Jacobian of a fit, the others say how sensitive the output is at a place where something could be put
in (:mod:`.refine`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symtorch.engines.native.normal import (
    NEGATIVE,
    PLUS,
    POWER,
    TIMES,
    nice_exponent,
)
from symtorch.equations.expr import Call, Constant, Expr, Variable
from symtorch.equations.operators import Operator

Path = tuple[int, ...]
"""Where a node is: which argument to take, from the root down."""

_INPUT, _CONSTANT, _ADD, _MULTIPLY, _NEGATE, _POWER, _CALL = range(7)


@dataclass(frozen=True)
class Instruction:
    """One node: what it does (``code``), to which earlier results, and where it stands in the tree."""

    code: int
    args: tuple[int, ...]
    number: int
    """Column of an input, or position of a constant in the vector of constants."""
    exponent: float
    op: Operator | None
    path: Path


class Tape:
    """A normal form as instructions, its constants as a vector."""

    def __init__(self, expr: Expr) -> None:
        self.expr = expr
        self.instructions: list[Instruction] = []
        values: list[float] = []

        def emit(code: int, args: tuple[int, ...], path: Path, number: int = 0, exponent: float = 0.0,
                 op: Operator | None = None) -> int:  # fmt: skip
            self.instructions.append(Instruction(code, args, number, exponent, op, path))
            return len(self.instructions) - 1

        def rec(node: Expr, path: Path) -> int:
            if isinstance(node, Constant):
                values.append(node.value)
                return emit(_CONSTANT, (), path, len(values) - 1)
            if isinstance(node, Variable):
                return emit(_INPUT, (), path, node.index)
            assert isinstance(node, Call)
            if node.op == POWER and isinstance(node.args[1], Constant) and nice_exponent(node.args[1].value):
                return emit(_POWER, (rec(node.args[0], (*path, 0)),), path, exponent=node.args[1].value)
            if node.op == TIMES and node.args[0] == NEGATIVE:
                return emit(_NEGATE, (rec(node.args[1], (*path, 1)),), path)
            args = tuple(rec(arg, (*path, i)) for i, arg in enumerate(node.args))
            code = _ADD if node.op == PLUS else _MULTIPLY if node.op == TIMES else _CALL
            return emit(code, args, path, op=node.op)

        rec(expr, ())
        self.constants = np.array(values, dtype=np.float64)
        self.constant_nodes = [i for i, ins in enumerate(self.instructions) if ins.code == _CONSTANT]

    def is_constant(self, node: int) -> bool:
        return self.instructions[node].code == _CONSTANT

    def forward(self, columns: Sequence[np.ndarray], constants: np.ndarray) -> list[Any]:
        """Value of every node; a scalar where it doesn't depend on the inputs."""
        values: list[Any] = []
        for ins in self.instructions:
            code = ins.code
            if code == _INPUT:
                value = columns[ins.number]
            elif code == _CONSTANT:
                value = constants[ins.number]
            elif code == _ADD:
                value = values[ins.args[0]] + values[ins.args[1]]
            elif code == _MULTIPLY:
                value = values[ins.args[0]] * values[ins.args[1]]
            elif code == _NEGATE:
                value = -values[ins.args[0]]
            elif code == _POWER:
                value = fixed_power(values[ins.args[0]], ins.exponent)
            else:
                assert ins.op is not None
                value = ins.op.numpy(*(values[a] for a in ins.args))
            values.append(value)
        return values

    def backward(self, values: list[Any], n: int) -> list[Any]:
        """``d output / d node`` for every node, given what :meth:`forward` returned on ``n`` rows."""
        adjoints: list[Any] = [None] * len(values)
        adjoints[-1] = np.ones(n)
        for i in range(len(values) - 1, -1, -1):
            ins, g = self.instructions[i], adjoints[i]
            code, args = ins.code, ins.args
            if code == _ADD:
                adjoints[args[0]] = adjoints[args[1]] = g
            elif code == _MULTIPLY:
                adjoints[args[0]] = g * values[args[1]]
                adjoints[args[1]] = g * values[args[0]]
            elif code == _NEGATE:
                adjoints[args[0]] = -g
            elif code == _POWER:
                inner, e = values[args[0]], ins.exponent
                adjoints[args[0]] = g * (2.0 * inner if e == 2.0 else e * fixed_power(inner, e - 1.0))
            elif code == _CALL:
                assert ins.op is not None
                inputs = [values[a] for a in args]
                slopes = (
                    [np.zeros(()) for _ in args] if ins.op.partials is None else ins.op.partials(values[i], *inputs)
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
            if node.op == POWER and isinstance(node.args[1], Constant) and nice_exponent(node.args[1].value):
                return Call(POWER, (rec(node.args[0]), node.args[1]))
            if node.op == TIMES and node.args[0] == NEGATIVE:
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
