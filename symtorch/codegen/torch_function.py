"""Equations as a torch module: all outputs in one function, equal subterms computed once.

The trees are lowered to a program (:mod:`symtorch.codegen.program`), which is printed once as a
Python function over torch calls (:mod:`symtorch.codegen.torch_kernel`), and as a C function where that
is asked for and pays (:mod:`symtorch.codegen.c_kernel`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from symtorch.codegen.alike import alike_kernel
from symtorch.codegen.c_compiler import compiler
from symtorch.codegen.c_kernel import NativeKernel
from symtorch.codegen.program import lower
from symtorch.codegen.torch_kernel import Kernel, torch_kernel
from symtorch.equations.expr import Expr, Variable, constants, walk, with_constants
from symtorch.errors import CompilerError, InputError, listed

logger = logging.getLogger("symtorch.equations")

CALL_ROWS = 4000
"""What a call of a torch function costs beside its rows, in rows."""

AUTO_WORK = 150_000_000
"""Values computed, in rows, in the time that the compiler takes to start; it takes as long for each 200 values."""


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
                raise InputError(
                    f"equation {i} uses columns [{listed(sorted(beyond))}], but there are {n_inputs} inputs."
                )
        self.n_inputs = n_inputs
        self.compiled: bool | str = False
        self._held: frozenset[int] = frozenset()
        self._exprs = tuple(exprs)
        self._build()
        values = torch.tensor(self._program.constants, dtype=torch.float64)
        self.constants = nn.Parameter(values, requires_grad=False)

    def _build(self) -> None:
        self._program = lower(self._exprs)
        self._alike = alike_kernel(self._exprs, self._program, self.n_inputs)
        self._kernel = self._alike or torch_kernel(self._program, self.n_inputs)
        self._choose()
        self._native: NativeKernel | None = None
        self._work = 0
        self._optimized: Kernel | None = None

    @property
    def n_outputs(self) -> int:
        """Number of equations."""
        return len(self._exprs)

    def forward(self, x: Tensor, live: Tensor | None = None) -> Tensor:
        """(..., n_inputs) -> (..., n_outputs), in x's dtype.

        Args:
            x: (..., n_inputs).
            live: () of bool; where it is False, no gradient reaches the constants.

        Raises:
            InputError: the last dimension of x is not n_inputs.
        """
        if x.ndim == 0 or x.shape[-1] != self.n_inputs:
            raise InputError(f"x has shape {tuple(x.shape)}; expected (..., {self.n_inputs}).")
        if self._alone is not None and x.dtype == torch.float32 and x.ndim <= 2:
            return self._alone(x, x)  # for one row, all that is left out here counts
        dtype = x.dtype if x.dtype.is_floating_point else torch.get_default_dtype()
        working = dtype if dtype == torch.float64 else torch.float32
        rows = x if x.ndim == 2 else x.reshape(-1, self.n_inputs)
        y = self._compute(rows if dtype == working == x.dtype else rows.to(working), self._values(live).to(working))
        y = y if dtype == working else y.to(dtype)
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], self.n_outputs)

    def _choose(self) -> None:
        """The kernel that serves always: of equations of one form, in their order, and without constants."""
        alone = None if self._alike is None or self.compiled is True else self._alike.alone
        self._alone = None if self._program.constants else alone

    def _values(self, live: Tensor | None) -> Tensor:
        values: Tensor = self.constants
        if self._held and values.requires_grad:
            held = torch.tensor([i in self._held for i in range(len(values))], device=values.device)
            values = torch.where(held, values.detach(), values)
        return values if live is None else torch.where(live, values, values.detach())

    def hold(self, positions: Sequence[Sequence[int]]) -> None:
        """Name constants that training must not change: for each equation, positions in ``constants(expr)``."""
        slots = (own[k] for own, held in zip(self._program.slots, positions, strict=True) for k in held)
        self._held = frozenset(slot for slot in slots if slot is not None)

    def _compute(self, rows: Tensor, values: Tensor) -> Tensor:
        """(n, n_inputs), constants of the same dtype -> (n, n_outputs), by the means that serve best here."""
        if not self.compiled or not is_plain(rows):  # a tracer or a transform must see torch's own operations
            return self._kernel(rows, values)
        if rows.device.type != "cpu":
            if self.compiled == "auto":  # torch.compile takes many seconds, and nobody has asked for them
                return self._kernel(rows, values)
            return self._for_device()(rows, values)
        if torch.is_grad_enabled() and (rows.requires_grad or values.requires_grad):  # C has no derivatives
            return self._kernel(rows, values)
        fast = self._alike is not None and self._alike.is_plain
        if self.compiled == "auto" and (fast or not self._pays(rows.shape[0])):
            return self._kernel(rows, values)
        try:
            return self._in_c()(rows, values)
        except CompilerError as error:
            if self.compiled != "auto":  # whoever wants it compiled is to know that it is not
                raise
            logger.warning("The equations are not compiled: %s", error)
            self.compiled = False
            return self._kernel(rows, values)

    def _pays(self, n_rows: int) -> bool:
        """Whether the equations have run, this call included, for about as long as compiling them takes."""
        if self._native is not None:
            return True
        n_values = len(self._program.values)
        self._work += n_values * (n_rows + CALL_ROWS)
        return self._work >= AUTO_WORK * (1 + n_values / 200)

    def _in_c(self) -> NativeKernel:
        if self._native is None:
            self._native = NativeKernel(self._program, self.n_inputs)
        return self._native

    def _for_device(self) -> Kernel:
        if self._optimized is None:
            self._optimized = torch.compile(self._kernel, fullgraph=True, dynamic=True)
        return self._optimized

    def use_compiled(self, compiled: bool | str = "auto") -> SymbolicFunction:
        """Choose how the equations are computed; returns the module.

        On a CPU, compiled equations are machine code made by the system's C compiler when they are
        first called (a second or two for 64 outputs); calls that need a gradient still go through
        torch. On other devices they go through ``torch.compile``. Inside ``torch.compile``,
        ``torch.export`` or ``torch.func`` the choice has no effect.

        Args:
            compiled: True, False, or "auto": compiled on a CPU where there is a compiler, once the
                equations have run for about as long as compiling takes.

        Raises:
            InputError: another value.
            CompilerError: True on a machine without a C compiler, for a module on its CPU.
        """
        if compiled not in (True, False, "auto"):
            raise InputError(f"compile is {compiled!r}; expected True, False or 'auto'.")
        if compiler() is None and self.constants.device.type == "cpu":
            if compiled is True:
                raise CompilerError("no C compiler was found (looked for $CC, cc, gcc and clang).")
            compiled = False
        self.compiled = compiled
        self._choose()
        return self

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
        made = ("_program", "_alike", "_kernel", "_alone", "_native", "_optimized")
        return {key: value for key, value in self.__dict__.items() if key not in made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._build()

    def extra_repr(self) -> str:
        return f"n_inputs={self.n_inputs}, n_outputs={self.n_outputs}, constants={len(self._program.constants)}"


def is_plain(x: Tensor) -> bool:
    """Whether x is a tensor that holds numbers, and nothing watches what is done with it."""
    return (
        not torch.compiler.is_compiling()
        and type(x) in (Tensor, nn.Parameter)
        and not torch.jit.is_tracing()
        and not _in_transform()
    )


def _in_transform() -> bool:
    """Whether this is called within torch.func, or with forward-mode differentiation."""
    return torch._C._functorch.peek_interpreter_stack() is not None or torch.autograd.forward_ad._current_level >= 0


def gradient_wanted(*tensors: Tensor) -> bool:
    """Whether what is computed from these may be differentiated."""
    if not torch.compiler.is_compiling() and _in_transform():
        return True
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
