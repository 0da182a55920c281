"""Equations of the same form computed together: sixty-four times ``silu(g)*u`` are three operations, not two hundred.

Each equation is taken apart into a signed sum of terms. Terms that differ only in their variables and constants are
computed at once, as columns of one matrix, and a product with a matrix of signs adds them up. What has no company of
its kind goes through the ordinary kernel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symtorch.codegen.program import Program, lower
from symtorch.codegen.torch_kernel import Kernel, elementwise, torch_kernel
from symtorch.equations.expr import Call, Constant, Expr, Variable, transform, walk

FEWEST_EQUATIONS = 8
"""Fewer equations are computed one after the other: there is not enough to win."""

FEWEST_ALIKE = 4
"""Terms of a form that are worth operations of their own."""

_TAME = frozenset("* neg square cube silu gelu relu sigmoid tanh sin cos atan erf erfc abs softplus sign".split())
"""Operators that are finite wherever their arguments are, and stay so: a term that is not would reach, by way of
the product of signs, equations that it is no part of."""

Leaf = tuple[str, int]
"""A variable ("x", column) or a constant ("c", slot)."""


@dataclass(frozen=True)
class Term:
    """A term of an equation.

    Attributes:
        output: number of the equation.
        sign: 1.0 or -1.0.
        form: the tree with its leaves numbered from the left.
        leaves: what they are.
    """

    output: int
    sign: float
    form: Expr
    leaves: tuple[Leaf, ...]

    @property
    def kind(self) -> Hashable:
        """What terms that are computed together have in common."""
        return self.form, tuple(kind for kind, _ in self.leaves)


def alike_kernel(exprs: Sequence[Expr], program: Program, n_inputs: int) -> Together | None:
    """A kernel that computes terms of equal form together; None where few are.

    Args:
        exprs: the trees.
        program: of these trees, whose constants the kernel takes.
        n_inputs: number of input columns.
    """
    if len(exprs) < FEWEST_EQUATIONS:
        return None
    apart = [_terms(i, expr, program.slots[i]) for i, expr in enumerate(exprs)]
    groups: dict[Hashable, list[Term]] = defaultdict(list)
    for terms in apart:
        for term in terms or ():
            groups[term.kind].append(term)
    # An equation is computed this way where all its terms have company.
    together = {i for i, terms in enumerate(apart) if terms and all(len(groups[t.kind]) >= FEWEST_ALIKE for t in terms)}
    if 2 * len(together) < len(exprs):
        return None
    rest = [i for i in range(len(exprs)) if i not in together]
    columns = [[t for t in group if t.output in together] for group in groups.values()]
    return Together([group for group in columns if group], exprs, program, rest, n_inputs)


class Together:
    """The kernel: groups of terms, the other equations, and how they make the outputs.

    Attributes:
        is_plain: whether each equation is one term with company: then it is as fast as machine code.
        alone: the only group, where its columns are the outputs; takes one row (n_inputs,), too.
    """

    def __init__(
        self, groups: list[list[Term]], exprs: Sequence[Expr], program: Program, rest: list[int], n_inputs: int
    ) -> None:
        self._groups = [_Group(group) for group in groups]
        terms = [term for group in groups for term in group]
        made = sorted({term.output for term in terms})
        self._signs: Tensor | None = None
        if len(made) == len(terms) and all(term.sign > 0 for term in terms):  # each equation is one term
            made = [term.output for term in terms]
        else:
            self._signs = torch.zeros(len(terms), len(made))
            for k, term in enumerate(terms):
                self._signs[k, made.index(term.output)] = term.sign
        self._rest: Kernel | None = None
        if rest:
            lowered = lower([exprs[i] for i in rest])
            self._rest = torch_kernel(lowered, n_inputs)
            known: dict[int | None, int | None] = {}
            for own, slots in zip(lowered.slots, (program.slots[i] for i in rest), strict=True):
                known.update(zip(own, slots, strict=True))
            self._slots = torch.tensor([known[k] for k in range(len(lowered.constants))], dtype=torch.long)
        self.is_plain = self._signs is None and not rest
        order = torch.tensor([*made, *rest]).argsort()
        self._order = None if torch.equal(order, torch.arange(len(order))) else order
        self.alone = self._groups[0] if self.is_plain and self._order is None and len(groups) == 1 else None

    def __call__(self, x: Tensor, constants: Tensor) -> Tensor:
        parts = [group(x, constants) for group in self._groups]
        values = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        if self._signs is not None:
            values = values @ self._signs.to(values)
        if self._rest is not None:
            # Beside the product, not in it: an undefined value times zero is undefined.
            values = torch.cat([values, self._rest(x, constants[self._slots.to(x.device)])], dim=1)
        return values if self._order is None else values.index_select(1, self._order.to(x.device))


class _Group:
    """Terms of one form as columns of one matrix."""

    def __init__(self, terms: list[Term]) -> None:
        leaves = list(zip(*(term.leaves for term in terms), strict=True))
        self._n = len(terms)
        self._take = [_Taken(leaf[0][0], [k for _, k in leaf]) for leaf in leaves]
        self._form = elementwise(lower([terms[0].form]))
        self._is_whole = any(take.is_of_rows and take.width == len(terms) for take in self._take)

    def __call__(self, x: Tensor, constants: Tensor) -> Tensor:
        values = self._form(*[take(x, constants) for take in self._take])
        return values if self._is_whole else values.expand(*x.shape[:-1], self._n)


class _Taken:
    """Columns of x, or entries of the constants, in the order of the terms; a view of them where they follow.

    Attributes:
        is_of_rows: whether they are columns of x.
        width: how many there are; 1 where it is the same for all terms.
    """

    def __init__(self, kind: str, numbers: list[int]) -> None:
        self.is_of_rows = kind == "x"
        self._first, n = numbers[0], len(numbers)
        self.width = 1 if numbers == [self._first] * n else n
        self._follow = numbers[: self.width] == list(range(self._first, self._first + self.width))
        self._numbers = torch.tensor(numbers)

    def __call__(self, x: Tensor, constants: Tensor) -> Tensor:
        source = x if self.is_of_rows else constants
        if self._follow:
            return source.narrow(-1, self._first, self.width)
        return source.index_select(-1, self._numbers.to(x.device))


def _terms(output: int, expr: Expr, slots: Sequence[int | None]) -> list[Term] | None:
    """The terms of a sum; None where one of them is not tame."""
    remaining = iter(slots)
    slot_of = {id(node): next(remaining) for node in walk(expr) if isinstance(node, Constant)}
    if len(slot_of) < len(slots):  # one node in two places, which has two slots
        return None
    signed: list[tuple[float, Expr]] = []
    stack: list[tuple[float, Expr]] = [(1.0, expr)]
    while stack:
        sign, node = stack.pop()
        if isinstance(node, Call) and node.op.name in "+-" and node.op.body is None:
            stack += [(sign, node.args[0]), (sign if node.op.name == "+" else -sign, node.args[1])]
        else:
            signed.append((sign, node))
    found = [_term(output, sign, node, slot_of) for sign, node in signed]
    return None if any(term is None for term in found) else [term for term in found if term is not None]


def _term(output: int, sign: float, tree: Expr, slot_of: dict[int, int | None]) -> Term | None:
    leaves: list[Leaf] = []

    def numbered(node: Expr) -> Expr:
        if isinstance(node, Variable):
            leaves.append(("x", node.index))
        elif isinstance(node, Constant) and (slot := slot_of[id(node)]) is not None:
            leaves.append(("c", slot))
        else:
            return node
        return Variable(len(leaves) - 1)

    if any(isinstance(n, Call) and not _is_tame(n) for n in walk(tree)):
        return None
    form = transform(tree, numbered)
    return Term(output, sign, form, tuple(leaves)) if leaves else None


def _is_tame(node: Call) -> bool:
    if node.op.body is not None:
        return False
    if node.op.name == "^":
        exponent = node.args[1]
        return isinstance(exponent, Constant) and exponent.value in (2.0, 3.0)
    return node.op.name in _TAME or node.op.name in "+-"
