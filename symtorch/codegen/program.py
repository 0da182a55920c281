"""Lowering: several trees become one straight-line program in which equal subterms are computed once.

A program is what gets printed as a torch function, or exported as Python, NumPy or C source. Its
values are numbered: inputs, constants, literal numbers, then the results of the steps in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from symtorch.equations.expr import Call, Constant, Expr, Variable, fold
from symtorch.equations.operators import OPERATORS, Operator, from_row
from symtorch.equations.table import Row

MAX_MULTIPLIED_POWER = 64
"""Integer powers up to this one become multiplications."""


@dataclass(frozen=True, slots=True)
class Input:
    """Column ``index`` of the input."""

    index: int


@dataclass(frozen=True, slots=True)
class Slot:
    """Entry ``index`` of the vector of constants."""

    index: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A number that belongs to the form of the equation, such as the 3 of x^3; never trained."""

    value: float


@dataclass(frozen=True, slots=True)
class Step:
    """An operator applied to earlier values, by their numbers."""

    op: Operator
    args: tuple[int, ...]


Value = Input | Slot | Literal | Step


@dataclass(frozen=True)
class Program:
    """Trees as one sequence of steps.

    Attributes:
        values: what each number stands for; the arguments of a step come before it.
        outputs: number of each tree's value.
        constants: the vector of constants.
        slots: for each tree, which entry of ``constants`` each of its constants is (in the order of
            :func:`symtorch.equations.expr.walk`), or None for one that belongs to the tree's form.
    """

    values: tuple[Value, ...]
    outputs: tuple[int, ...]
    constants: tuple[float, ...]
    slots: tuple[tuple[int | None, ...], ...]

    def depends_on_inputs(self) -> list[bool]:
        """For each value, whether it varies from row to row."""
        varies: list[bool] = []
        for value in self.values:
            varies.append(any(varies[a] for a in value.args) if isinstance(value, Step) else isinstance(value, Input))
        return varies

    def uses(self) -> Counter[int]:
        """How often each value is an argument or an output."""
        counts = Counter(self.outputs)
        for value in self.values:
            if isinstance(value, Step):
                counts.update(value.args)
        return counts


def is_structural(exponent: Expr) -> bool:
    """Whether an exponent belongs to the form of the equation: integers and halves do."""
    return isinstance(exponent, Constant) and (2 * exponent.value).is_integer()


def lower(exprs: Sequence[Expr]) -> Program:
    """The trees as one program.

    Equal subterms become one value, constants included: ``2.5*x0`` in two trees is one product with
    one constant. Constants of different subterms stay separate, however equal their values are.
    """
    lowering = _Lowering()
    lowered = [lowering.tree(expr) for expr in exprs]
    return Program(
        tuple(lowering.values),
        tuple(number for number, _ in lowered),
        tuple(lowering.constants),
        tuple(slots for _, slots in lowered),
    )


Slots = tuple[int | None, ...]
Part = tuple[int, Slots] | Constant
"""A lowered subterm: its number and the slots of its constants; a bare constant waits for its term."""


class _Lowering:
    def __init__(self) -> None:
        self.values: list[Value] = []
        self.number_of: dict[Value, int] = {}
        self.constants: list[float] = []
        self.terms: dict[tuple[object, ...], tuple[int, Slots]] = {}

    def tree(self, expr: Expr) -> tuple[int, Slots]:
        part = fold(expr, self.part)
        return self.slot(part) if isinstance(part, Constant) else part

    def part(self, node: Expr, parts: list[Part]) -> Part:
        if isinstance(node, Constant):
            return node
        if isinstance(node, Variable):
            return self.value(Input(node.index)), ()
        assert isinstance(node, Call)
        # A constant is told apart by the term that it stands in: the same number elsewhere is another
        # parameter. So it gets its slot only once the term has turned out to be new.
        key = node.op, *(part if isinstance(part, Constant) else part[0] for part in parts)
        if key not in self.terms:
            self.terms[key] = self.term(node, parts)
        return self.terms[key]

    def term(self, node: Call, parts: list[Part]) -> tuple[int, Slots]:
        exponent = parts[-1]
        if node.op.name == "^" and isinstance(exponent, Constant) and is_structural(exponent):
            base, slots = self.slot(parts[0]) if isinstance(parts[0], Constant) else parts[0]
            return self.power(base, exponent.value), (*slots, None)
        args = [self.slot(part) if isinstance(part, Constant) else part for part in parts]
        return self.apply(node.op, *(number for number, _ in args)), tuple(s for _, slots in args for s in slots)

    def slot(self, constant: Constant) -> tuple[int, Slots]:
        self.constants.append(constant.value)
        index = len(self.constants) - 1
        return self.value(Slot(index)), (index,)

    def value(self, value: Value) -> int:
        if value not in self.number_of:
            self.number_of[value] = len(self.values)
            self.values.append(value)
        return self.number_of[value]

    def apply(self, op: Operator, *args: int) -> int:
        if op.body is not None:
            return self.inline(op.body, args)
        given = [self.values[arg] for arg in args]
        numbers = [value.value for value in given if isinstance(value, Literal)]
        if len(numbers) == len(given):
            with np.errstate(all="ignore"):
                return self.value(Literal(float(op.numpy(*(np.float64(x) for x in numbers)))))
        if op.row is not None and op.row.power is not None and op.row.power > 1.0:
            return self.power(args[0], op.row.power)
        if op.name == "^" and isinstance(given[1], Literal) and is_structural(Constant(given[1].value)):
            return self.power(args[0], given[1].value)
        return self.value(Step(op, args))

    def inline(self, body: Expr, args: Sequence[int]) -> int:
        """The body of a user's operator; its numbers belong to the operator, so they are literals."""

        def rule(node: Expr, numbers: list[int]) -> int:
            if isinstance(node, Constant):
                return self.value(Literal(node.value))
            if isinstance(node, Variable):
                return args[node.index]
            assert isinstance(node, Call)
            return self.apply(node.op, *numbers)

        return fold(body, rule)

    def power(self, base: int, exponent: float) -> int:
        """Powers by multiplication and square roots; the rest by the operator."""
        if abs(exponent) > MAX_MULTIPLIED_POWER:
            return self.value(Step(OPERATORS["^"], (base, self.value(Literal(exponent)))))
        if exponent < 0:
            return self.apply(OPERATORS["inv"], self.power(base, -exponent))
        if exponent == 0:
            return self.value(Literal(1.0))
        if exponent == 0.5:
            return self.apply(OPERATORS["sqrt"], base)
        if exponent == 1:
            return base
        if exponent % 1:
            return self.apply(OPERATORS["*"], self.power(base, exponent - 0.5), self.power(base, 0.5))
        half = self.power(base, exponent // 2)
        square = self.apply(OPERATORS["*"], half, half)
        return square if exponent % 2 == 0 else self.apply(OPERATORS["*"], square, base)


FMS = from_row(Row("fms", 3, "torch.addcmul(z, x, y, value=-1)", "z - x * y", "z - x * y", "z - x * y"))
"""``z - x*y``; made by :func:`contract` only."""


def contract(program: Program) -> Program:
    """Sums of products as one operation each: ``a + b*c`` becomes ``fma(b, c, a)``.

    Only where nothing else needs the product. The steps that are left over are dropped.
    """
    uses = program.uses()
    varies = program.depends_on_inputs()
    values = list(program.values)

    def product(number: int) -> Step | None:
        value = values[number]
        alone = isinstance(value, Step) and value.op.name == "*" and uses[number] == 1 and varies[number]
        return value if alone else None  # type: ignore[return-value]

    for i, value in enumerate(values):
        if not isinstance(value, Step) or value.op.name not in "+-":
            continue
        first, second = value.args
        if factors := product(second):
            values[i] = Step(OPERATORS["fma"] if value.op.name == "+" else FMS, (*factors.args, first))
        elif (factors := product(first)) and value.op.name == "+":
            values[i] = Step(OPERATORS["fma"], (*factors.args, second))
    return without_dead_steps(replace(program, values=tuple(values)))


def without_dead_steps(program: Program) -> Program:
    """The same program with the steps gone whose value nothing needs."""
    needed = set(program.outputs)
    for i in range(len(program.values) - 1, -1, -1):
        value = program.values[i]
        if i in needed and isinstance(value, Step):
            needed.update(value.args)
    kept = [i for i in range(len(program.values)) if i in needed]
    new = {old: i for i, old in enumerate(kept)}
    values = [program.values[i] for i in kept]
    moved = [replace(v, args=tuple(new[a] for a in v.args)) if isinstance(v, Step) else v for v in values]
    return replace(program, values=tuple(moved), outputs=tuple(new[i] for i in program.outputs))
