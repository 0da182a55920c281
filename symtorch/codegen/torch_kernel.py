"""Equations as a Python function over torch calls.

The text comes from the operator table and from integers only, never from what a user wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from symtorch.codegen.printing import tensor, torch_printer
from symtorch.codegen.program import Input, Program, Slot, Step, contract

Kernel = Callable[[Tensor, Tensor], Tensor]
"""(x: (n, n_inputs), constants of x's dtype) -> (n, n_outputs)."""


def torch_kernel(program: Program, n_inputs: int) -> Kernel:
    """The program as a torch function."""
    program = contract(program)
    lines, names = _body(program)
    return _function("x, c", [*_arguments(program, n_inputs), *lines, f"return {_result(program, names)}"])


def elementwise(program: Program) -> Callable[..., Tensor]:
    """A program of one output as a torch function of as many tensors as it has inputs, of shapes that broadcast."""
    program = contract(program)
    lines, names = _body(program)
    inputs = [f"x{value.index}" for value in program.values if isinstance(value, Input)]
    return _function("*x", [f"{', '.join(sorted(inputs, key=_number))}, = x", "x = x[0]", *lines,
                            f"return {names[program.outputs[0]]}"])  # fmt: skip


def _number(name: str) -> int:
    return int(name[1:])


def _body(program: Program) -> tuple[list[str], list[str]]:
    """The lines of the steps, and what each value is called."""
    printer = torch_printer(_leaf, _as_tensor)
    names = printer.leaves(program)
    last_use = {arg: i for i, value in enumerate(program.values) if isinstance(value, Step) for arg in value.args}
    lines: list[str] = []
    for number, step, text in printer.steps(program, names):
        names[number] = f"t{number}"
        lines.append(f"{names[number]} = {text}")
        # What is let go of stays in the cache for the next result.
        dead = {names[a] for a in step.args if last_use[a] == number and a not in program.outputs}
        lines += [f"del {name}" for name in sorted(dead) if name[0] == "t"]
    return lines, names


def _function(arguments: str, lines: list[str]) -> Callable[..., Tensor]:
    source = f"def kernel({arguments}):\n" + "\n".join(f"    {line}" for line in lines)
    scope: dict[str, Any] = {"torch": torch}
    exec(compile(source, "<symtorch>", "exec"), scope)
    return scope["kernel"]


def _leaf(value: Input | Slot) -> str:
    return f"x{value.index}" if isinstance(value, Input) else f"c{value.index}"


def _as_tensor(number: str) -> str:
    return f"torch.full((), {number}, dtype=x.dtype, device=x.device)"


def _arguments(program: Program, n_inputs: int) -> list[str]:
    """Lines that take the arguments apart."""
    uses = program.uses()
    columns = {v.index: uses[number] for number, v in enumerate(program.values) if isinstance(v, Input)}
    # A column of a row-major matrix is slow to read. Where many are read, all are made contiguous at
    # once, which costs about as much as reading each of them once.
    if sum(columns.values()) > n_inputs:
        lines = ["columns = x.T.contiguous()", *(f"x{i} = columns[{i}]" for i in columns)]
    else:
        lines = [f"x{i} = x[:, {i}]{'.contiguous()' if used > 1 else ''}" for i, used in columns.items()]
    if program.constants:
        lines.append(f"{', '.join(f'c{i}' for i in range(len(program.constants)))}, = c.unbind()")
    return lines


def _result(program: Program, names: list[str]) -> str:
    """All outputs as one matrix."""
    varies = program.depends_on_inputs()
    alone = program.outputs[0]
    if len(program.outputs) == 1 and varies[alone] and isinstance(program.values[alone], Step):
        return f"{names[alone]}.unsqueeze(-1)"  # no copy; an input itself must be one
    outputs = [names[i] if varies[i] else f"{tensor(names[i], _as_tensor)}.expand(x.shape[0])" for i in program.outputs]
    # Copying rows and transposing once is about twice as fast as writing column by column.
    return f"torch.stack([{', '.join(outputs)}]).T.contiguous()"
