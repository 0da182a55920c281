"""Equations as source text that needs nothing but its language: Python over torch, NumPy or JAX, and C.

>>> from symtorch.equations.parser import parse
>>> print(python_source([parse("2.5*x0^2 + sin(x1)", ["x0", "x1"])], ["x0", "x1"], "numpy"))
import numpy as np
<BLANKLINE>
<BLANKLINE>
def equations(x):
    \"\"\"(..., 2) -> (..., 1)\"\"\"
    x0 = x[..., 0]
    x1 = x[..., 1]
    t0 = np.multiply(x0, x0)
    t1 = np.multiply(2.5, t0)
    t2 = np.sin(x1)
    t3 = np.add(t1, t2)
    return np.stack(np.broadcast_arrays(t3, x[..., 0])[:1], axis=-1)
<BLANKLINE>
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from symtorch.codegen.printing import (
    Printer,
    c_number,
    c_printer,
    definitions,
    numpy_printer,
    of_type,
    python_number,
    tensor,
    torch_printer,
)
from symtorch.codegen.program import Input, Program, Slot, lower
from symtorch.equations.expr import Expr
from symtorch.equations.table import WORDS
from symtorch.errors import InputError

_IMPORTS = {"torch": "import torch", "numpy": "import numpy as np", "jax": "import jax.numpy as jnp"}
_MODULES = {"torch": "torch", "numpy": "np", "jax": "jnp"}


def python_source(
    exprs: Sequence[Expr], names: Sequence[str], language: str = "torch", function: str = "equations"
) -> str:
    """Python source of a function (..., n_inputs) -> (..., n_outputs) that needs ``language`` only.

    Args:
        exprs: one tree per output.
        names: name of each input column.
        language: "torch", "numpy" or "jax".
        function: what to call it.

    Raises:
        InputError: another language, or a name that is none.
    """
    if language not in _MODULES:
        raise InputError(f"language is {language!r}; expected one of {', '.join(map(repr, _MODULES))}.")
    _check_function_name(function)
    program = lower(exprs)
    reserved = {"x", "np", "jnp", "math", "torch", function, *(word.name for word in WORDS)}
    leaf = _leaf(program, _argument_names(names, reserved), python_number)
    printer = torch_printer(leaf, _new_tensor) if language == "torch" else numpy_printer(leaf, _MODULES[language])
    texts = printer.leaves(program)
    columns = sorted({value for value in program.values if isinstance(value, Input)}, key=lambda value: value.index)
    lines = [f"{leaf(column)} = x[..., {column.index}]" for column in columns]
    for count, (number, _, text) in enumerate(printer.steps(program, texts)):
        texts[number] = f"t{count}"
        lines.append(f"{texts[number]} = {text}")
    lines.append(f"return {_result(program, texts, language)}")
    body = "\n".join(f"    {line}" for line in lines)
    source = f'def {function}(x):\n    """(..., {len(names)}) -> (..., {len(exprs)})"""\n{body}\n'
    special = definitions(source, language) if language != "torch" else []
    head = ["import math", ""] if any("math." in text for text in special) else []
    return "\n".join([*head, _IMPORTS[language], *special]) + "\n\n\n" + source


def c_source(exprs: Sequence[Expr], names: Sequence[str], function: str = "equations") -> str:
    """C99 source of ``void equations(const double *x, double *y)``: one row in, one row out.

    Raises:
        InputError: ``function`` is not a name.
    """
    _check_function_name(function)
    program = lower(exprs)
    printer = c_printer(_leaf(program, [f"x[{j}]" for j in range(len(names))], c_number), "double")
    lines = _c_lines(program, printer)
    head = ["#include <math.h>", *(f"\n{text}" for text in definitions("\n".join(lines), "c"))]
    columns = ", ".join(f"x[{j}] {name}" for j, name in enumerate(names))
    body = "\n".join(f"    {line}" for line in lines)
    prelude = of_type("\n".join(head), "double")
    return f"{prelude}\n\n/* {columns} */\nvoid {function}(const double *x, double *y) {{\n{body}\n}}\n"


def _c_lines(program: Program, printer: Printer) -> list[str]:
    texts = printer.leaves(program)
    lines = []
    for number, _, text in printer.steps(program, texts):
        texts[number] = f"t{number}"
        lines.append(f"const double {texts[number]} = {text};")
    return lines + [f"y[{j}] = {texts[i]};" for j, i in enumerate(program.outputs)]


def _result(program: Program, texts: Sequence[str], language: str) -> str:
    """All outputs in the last dimension, also those that don't vary from row to row."""
    n_outputs, module = len(program.outputs), _MODULES[language]
    outputs = [texts[i] for i in program.outputs]
    if language == "torch":
        tensors = ", ".join(tensor(text, _new_tensor) for text in outputs)
        return f"torch.stack(torch.broadcast_tensors({tensors}, x[..., 0])[:{n_outputs}], dim=-1)"
    return f"{module}.stack({module}.broadcast_arrays({', '.join(outputs)}, x[..., 0])[:{n_outputs}], axis=-1)"


def _new_tensor(number: str) -> str:
    return f"x.new_tensor({number})"


def _leaf(program: Program, arguments: Sequence[str], number: Callable[[float], str]) -> Callable[[Input | Slot], str]:
    """How a leaf is written where the constants are numbers."""

    def leaf(value: Input | Slot) -> str:
        return arguments[value.index] if isinstance(value, Input) else number(program.constants[value.index])

    return leaf


def _check_function_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z_0-9]*", name):
        raise InputError(f"function is {name!r}; expected letters, digits and '_'.")


def _argument_names(names: Sequence[str], taken: set[str]) -> list[str]:
    """The user's names where they can stand in Python source beside ours, else x0, x1, ..."""
    clash = any(not re.fullmatch(r"[A-Za-z_]\w*", n) or n in taken or re.fullmatch(r"t\d+", n) for n in names)
    return [f"x{j}" for j in range(len(names))] if clash else list(names)
