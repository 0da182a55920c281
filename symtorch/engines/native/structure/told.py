"""How a law was found, in words: the functions that it was taken apart into, for people to look at.

An identity is shown by what its step joins: functions without a meaning are put in the place of its parts'
solutions, so that it reads ``f(x, y, z) = g(x - y)*h(z)`` whatever kind of step it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.problem import Problem
from symtorch.engines.native.structure.solutions import Solution
from symtorch.engines.native.structure.steps import Step
from symtorch.equations.expr import Call, Constant, Expr, Operator, Variable, substitute, to_text, transform, walk
from symtorch.equations.normal import normalise
from symtorch.equations.structure import DEEPEST, LONGEST, Structure

_LETTERS = "fghpqrstuvw"
_DIGITS = 4
_NOTHING = 1e-12
"""Constants below this are rounding: the columns of a search have ordinary sizes where a structure is told."""


@dataclass(frozen=True)
class Followed:
    """A step that was followed from a problem.

    Attributes:
        step: the step.
        parts: the problems that it has led to.
        solved: of each the solution that was thought the likeliest.
        joined: what has come of it for the problem.
    """

    step: Step
    parts: Sequence[Problem]
    solved: Sequence[Expr]
    joined: Sequence[Solution]


def structure_of(
    problem: Problem, law: Expr, followed: Mapping[Problem, Sequence[Followed]], words: Vocabulary, names: Sequence[str]
) -> Structure | None:
    """The way to a law; None if it was not found by taking the problem apart.

    Args:
        problem: the root.
        law: its solution, a normal form over its inputs.
        followed: by problem, what was tried.
        words: the user's operators, to write solutions in.
        names: of the root's inputs.
    """

    def text(expr: Expr) -> str:
        return to_text(expr, names, digits=_DIGITS)[:LONGEST]

    def written(expr: Expr, inputs: Sequence[Expr]) -> Expr:
        expr = normalise(transform(expr, _rounded))
        tree = words.render(expr)
        return substitute(expr if tree is None else tree, inputs)

    def told(problem: Problem, law: Expr, name: str, inputs: Sequence[Expr], depth: int) -> Structure:
        function, found = f"{name}({', '.join(map(text, inputs))})"[:LONGEST], text(written(law, inputs))
        way = _way(followed.get(problem, ()), law)
        if way is None or depth == DEEPEST:
            return Structure(function, found)
        functions = [_unknown(next(letters), part.n_inputs) for part in way.parts]
        identity = way.step.join([Call(op, tuple(map(Variable, range(op.arity)))) for op in functions])
        calls = {node.op: node for node in walk(identity) if isinstance(node, Call) and node.op in functions}
        places: dict[Expr, Expr] = {}
        parts, shown = [], list(inputs)
        for op, part, solution in zip(functions, way.parts, way.solved, strict=True):
            if op in calls:  # the user's operators write what is around and within it
                own = [written(argument, inputs) for argument in calls[op].args]
                parts.append(told(part, solution, op.name, own, depth + 1))
                places[calls[op]] = Variable(len(shown))
                shown.append(Call(op, tuple(own)))
        around = transform(identity, lambda node: places.get(node, node))
        return Structure(function, found, text(written(around, shown)), float(way.step.residual), tuple(parts))

    letters = _names({*names, *words.options.operators})
    whole = told(problem, law, next(letters), [Variable(i) for i in range(problem.n_inputs)], 0)
    return whole if whole.identity else None


def _rounded(node: Expr) -> Expr:
    """A constant to as many digits as are told, so that what is 1 or 0 for people leaves the form."""
    if not isinstance(node, Constant):
        return node
    return Constant(0.0 if abs(node.value) < _NOTHING else float(f"{node.value:.{_DIGITS}g}"))


def _way(tried: Sequence[Followed], law: Expr) -> Followed | None:
    """The step that a law came by."""
    return next((way for way in tried if any(solution.expr == law for solution in way.joined)), None)


def _names(taken: Collection[str]) -> Iterator[str]:
    """Names for functions, other than these."""
    for round_ in count():
        yield from (name for letter in _LETTERS if (name := letter + (str(round_) if round_ else "")) not in taken)


def _unknown(name: str, arity: int) -> Operator:
    """A function that nothing is known of."""

    def nothing(*arguments: Any) -> Any:
        return np.full_like(arguments[0], np.nan)

    return Operator(name, arity, nothing, nothing, nothing)
