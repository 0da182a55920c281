"""Laws found outright: the test of the identity has the whole expression, and no smaller problem is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symtorch.engines.native.structure.problem import Problem
from symtorch.engines.native.structure.steps import Step
from symtorch.equations.expr import Expr


@dataclass(frozen=True)
class Outright(Step):
    """A function that is this expression.

    Attributes:
        expr: its normal form.
        worth: the kind's :attr:`prior`.
        residual: what the expression misses, relative to the variance of the answers.
        contrast: the same: without any structure it would miss all.
    """

    expr: Expr
    worth: float
    residual: float

    @property
    def contrast(self) -> float:  # type: ignore[override]
        return self.residual

    @property
    def prior(self) -> float:
        return self.worth

    def parts(self, problem: Problem) -> list[Problem]:
        return []

    def join(self, solved: Sequence[Expr]) -> Expr:
        return self.expr
