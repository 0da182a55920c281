"""Lowering: several trees become one straight-line program in which equal subterms are computed once.

A program is what gets printed as a torch function, or exported as Python, NumPy or C source. Its
values are numbered: inputs, constants, literal numbers, then the results of the steps in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symtorch.equations.expr import Call, Constant, Expr, Variable
from symtorch.equations.operators import OPERATORS, Operator

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


def is_structural(exponent: Expr) -> bool:
    """Whether an exponent belongs to the form of the equation: integers and halves do."""
    return isinstance(exponent, Constant) and (2 * exponent.value).is_integer()


def lower(exprs: Sequence[Expr]) -> Program:
    """The trees as one program.

    Equal subterms become one value, constants included: ``2.5*x0`` in two trees is one product with
    one constant. Constants of different subterms stay separate, however equal their values are.
    """
    return _Lowering().run(exprs)


class _Lowering:
    def __init__(self) -> None:
        self.values: list[Value] = []
        self.number_of: dict[Value, int] = {}
        self.constants: list[float] = []
        self.of_term: dict[tuple[Operator, tuple[object, ...]], tuple[int, tuple[int | None, ...]]] = {}

    def run(self, exprs: Sequence[Expr]) -> Program:
        lowered = [self.tree(expr) for expr in exprs]
        return Program(
            tuple(self.values),
            tuple(number for number, _ in lowered),
            tuple(self.constants),
            tuple(slots for _, slots in lowered),
        )

    def tree(self, expr: Expr) -> tuple[int, tuple[int | None, ...]]:
        """Number of the tree's value, and the slots of its constants."""
        if isinstance(expr, Constant):
            return self.slot(expr)
        if isinstance(expr, Variable):
            return self.value(Input(expr.index)), ()
        assert isinstance(expr, Call)
        return self.term(expr)

    def term(self, expr: Call) -> tuple[int, tuple[int | None, ...]]:
        power = expr.op.name == "^" and is_structural(expr.args[1])
        free = expr.args[:1] if power else expr.args
        # A constant is told apart by the term that it stands in, so its slot is made after the term
        # has turned out to be new.
        inner = [None if isinstance(arg, Constant) else self.tree(arg) for arg in free]
        key = (
            expr.op,
            tuple(arg if known is None else known[0] for arg, known in zip(expr.args, [*inner, None], strict=False)),
        )
        if key not in self.of_term:
            args = [self.slot(arg) if known is None else known for arg, known in zip(free, inner, strict=True)]  # type: ignore[arg-type]
            slots = [slot for _, slots in args for slot in slots]
            if power:
                assert isinstance(expr.args[1], Constant)
                number, slots = self.power(args[0][0], expr.args[1].value), [*slots, None]
            else:
                number = self.apply(expr.op, *(number for number, _ in args))
            self.of_term[key] = number, tuple(slots)
        number, slots_of_first = self.of_term[key]
        return number, slots_of_first

    def slot(self, constant: Constant) -> tuple[int, tuple[int | None, ...]]:
        self.constants.append(constant.value)
        index = len(self.constants) - 1
        return self.value(Slot(index)), (index,)

    def value(self, value: Value) -> int:
        if value not in self.number_of:
            self.number_of[value] = len(self.values)
            self.values.append(value)
        return self.number_of[value]

    def apply(self, op: Operator, *args: int) -> int:
        if op.name == "square":
            return self.apply(OPERATORS["*"], args[0], args[0])
        if op.name == "cube":
            return self.power(args[0], 3.0)
        return self.value(Step(op, args))

    def power(self, base: int, exponent: float) -> int:
        """Powers by multiplication and square roots; the rest by the operator."""
        if abs(exponent) > MAX_MULTIPLIED_POWER or not (2 * exponent).is_integer():
            return self.apply(OPERATORS["^"], base, self.value(Literal(exponent)))
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
