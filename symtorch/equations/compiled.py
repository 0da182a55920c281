"""Equations as a torch module: all outputs in one function, equal subterms computed once.

The trees are lowered to a program (:mod:`symtorch.equations.program`), which is printed once as a
Python function over torch calls. The text comes from operator names and integers only, never from
what a user wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from symtorch.equations.expr import Expr, Variable, constants, walk, with_constants
from symtorch.equations.operators import Operator
from symtorch.equations.program import Input, Literal, Program, Slot, Step, lower
from symtorch.errors import InputError

Kernel = Callable[[Tensor, Tensor], Tensor]
"""(x: (n, n_inputs), constants of x's dtype) -> (n, n_outputs)."""


class SymbolicFunction(nn.Module):
    """Equations as one differentiable function of their inputs.

    The constants are one parameter vector, ``constants``, frozen until ``requires_grad_()`` or
    :meth:`trainable_constants` says otherwise. It stays in float64 whatever the module is cast to
    (``half()`` would lose the equations' digits) and is rounded to the input's precision on use.
    Inputs in half precision are computed in float32 and the results rounded once, at the end.

    Exponents that are integers or halves belong to an equation's form and are no parameters.

    >>> from symtorch.equations.parser import parse
    >>> f = SymbolicFunction([parse("2*x0 + 1", ["x0", "x1"]), parse("x0*x1", ["x0", "x1"])], 2)
    >>> f(torch.tensor([[1.0, 5.0]]))
    tensor([[3., 5.]])

    Args:
        exprs: one tree per output.
        n_inputs: number of input columns.

    Raises:
        InputError: no trees, or a tree over columns that there aren't.
    """

    constants: nn.Parameter

    def __init__(self, exprs: Sequence[Expr], n_inputs: int) -> None:
        super().__init__()
        if not exprs:
            raise InputError("a symbolic function needs at least one equation.")
        for i, expr in enumerate(exprs):
            beyond = {node.index for node in walk(expr) if isinstance(node, Variable) and node.index >= n_inputs}
            if beyond:
                raise InputError(f"equation {i} uses columns {sorted(beyond)}, but there are {n_inputs} inputs.")
        self.n_inputs = n_inputs
        self._exprs = tuple(exprs)
        self._build()
        values = torch.tensor(self._program.constants, dtype=torch.float64)
        self.constants = nn.Parameter(values, requires_grad=False)

    def _build(self) -> None:
        self._program = lower(self._exprs)
        self._kernel = torch_kernel(self._program)

    @property
    def n_outputs(self) -> int:
        """Number of equations."""
        return len(self._exprs)

    def forward(self, x: Tensor) -> Tensor:
        """(..., n_inputs) -> (..., n_outputs), in x's dtype.

        Raises:
            InputError: the last dimension of x is not n_inputs.
        """
        if x.ndim == 0 or x.shape[-1] != self.n_inputs:
            raise InputError(f"x has shape {tuple(x.shape)}; expected (..., {self.n_inputs}).")
        dtype = x.dtype if x.dtype.is_floating_point else torch.get_default_dtype()
        working = torch.promote_types(dtype, torch.float32)
        rows = x.reshape(-1, self.n_inputs).to(working)
        y = self._kernel(rows, self.constants.to(working))
        return y.to(dtype).reshape(*x.shape[:-1], self.n_outputs)

    def expressions(self) -> list[Expr]:
        """The equations with the constants that the module has now.

        A constant that nobody has changed keeps every digit it came with.
        """
        if self.constants.is_meta:
            return list(self._exprs)
        now = self.constants.detach()
        then = torch.tensor(self._program.constants, dtype=torch.float64)
        # Compared in the parameter's own precision, so that a cast is not taken for a change.
        changed = now.cpu() != then.to(now.dtype)
        values = torch.where(changed, now.cpu().to(torch.float64), then).tolist()
        trees = []
        for expr, slots in zip(self._exprs, self._program.slots, strict=True):
            own = constants(expr)
            trees.append(with_constants(expr, [c if s is None else values[s] for c, s in zip(own, slots, strict=True)]))
        return trees

    def trainable_constants(self, trainable: bool = True) -> SymbolicFunction:
        """Let an optimizer change the constants (or freeze them again); returns the module."""
        self.constants.requires_grad_(trainable)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SymbolicFunction:
        def keep_exact(t: Tensor) -> Tensor:
            try:
                moved = fn(t)
            except TypeError:  # a device without float64 (MPS)
                return fn(t.to(torch.float32))
            if t.is_meta and not moved.is_meta:  # to_empty(): the trees know what belongs there
                return torch.tensor(self._program.constants, dtype=t.dtype, device=moved.device)
            return moved if moved.dtype == t.dtype else t.to(moved.device)

        return super()._apply(keep_exact, recurse)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__() if hasattr(super(), "__getstate__") else self.__dict__.copy()
        return {key: value for key, value in state.items() if key not in ("_kernel", "_program")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._build()

    def extra_repr(self) -> str:
        return f"n_inputs={self.n_inputs}, n_outputs={self.n_outputs}, constants={len(self._program.constants)}"


def torch_kernel(program: Program) -> Kernel:
    """The program as a torch function."""
    names: list[str] = []
    lines: list[str] = []
    scope: dict[str, Any] = {"torch": torch}
    functions: dict[Operator, int] = {}
    for i, value in enumerate(program.values):
        if isinstance(value, Input):
            names.append(f"x{value.index}")
        elif isinstance(value, Slot):
            names.append(f"c{value.index}")
        elif isinstance(value, Literal):
            names.append(repr(value.value))
        else:
            assert isinstance(value, Step)
            args = [names[a] for a in value.args]
            if value.op.precedence is not None:
                text = f" {value.op.name.replace('^', '**')} ".join(args)
            else:
                function = f"f{functions.setdefault(value.op, len(functions))}_{value.op.name}"
                scope[function] = value.op.torch
                text = f"{function}({', '.join(args)})"
            names.append(f"t{i}")
            lines.append(f"t{i} = {text}")
    used = sorted({v.index for v in program.values if isinstance(v, Input)})
    head = [f"x{i} = x[:, {i}]" for i in used]
    if program.constants:
        head.append(f"{', '.join(f'c{i}' for i in range(len(program.constants)))}, = c.unbind()")
    head.append("zero = torch.zeros_like(x[:, 0])")
    outputs = ", ".join(f"zero + {names[i]}" if _is_number(program, i) else names[i] for i in program.outputs)
    body = [*head, *lines, f"return torch.stack([{outputs}], -1)"]
    source = "def kernel(x, c):\n" + "\n".join(f"    {line}" for line in body)
    exec(compile(source, "<symtorch>", "exec"), scope)
    return scope["kernel"]


def _is_number(program: Program, number: int) -> bool:
    """Whether a value doesn't depend on the inputs."""
    value = program.values[number]
    if isinstance(value, Step):
        return all(_is_number(program, arg) for arg in value.args)
    return not isinstance(value, Input)
