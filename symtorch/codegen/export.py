"""Equations for other programs: SymPy, LaTeX, NumPy, Python, C, JAX, ONNX, torch.export.

Every function takes the trees and the names of the input columns, so that it serves one output as
well as a whole block. The sources are self-contained: none of them needs symtorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from symtorch.codegen.sources import c_source, python_source
from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.equations.expr import Expr
from symtorch.errors import InputError

FORMATS = ("sympy", "latex", "numpy", "jax", "torch source", "numpy source", "jax source", "c", "onnx", "torch.export")


def export(form: str, exprs: Sequence[Expr], names: Sequence[str], path: str | Path | None = None) -> Any:
    """The equations in one of :data:`FORMATS`.

    Args:
        form: "sympy" and "latex" give a list with one item per equation; "numpy" and "jax" a function
            (..., n_inputs) -> (..., n_outputs); the sources and "c" text; "torch.export" a program; "onnx" a file.
        exprs: one tree per output.
        names: name of each input column.
        path: where to write it; needed for "onnx", and possible for the sources.

    Returns:
        what ``form`` says; for a file its path.

    Raises:
        InputError: another form, or ONNX without a path.
    """
    check_form(form, path)
    if form == "onnx":
        assert path is not None
        return onnx(exprs, names, path)
    if form.endswith("source") or form == "c":
        text = c_source(exprs, names) if form == "c" else python_source(exprs, names, form.split()[0])
        if path is None:
            return text
        Path(path).write_text(text, encoding="utf-8")
        return Path(path)
    make = {
        "sympy": sympy_expressions,
        "latex": latex,
        "numpy": numpy_function,
        "jax": jax_function,
        "torch.export": exported_program,
    }
    return make[form](exprs, names)


def check_form(form: str, path: str | Path | None) -> None:
    """Raise InputError unless this is a format, with a path where it is a file."""
    if form not in FORMATS:
        raise InputError(f"form is {form!r}; expected one of {', '.join(map(repr, FORMATS))}.")
    if form == "onnx" and path is None:
        raise InputError("ONNX goes to a file; pass path.")


def sympy_expressions(exprs: Sequence[Expr], names: Sequence[str]) -> list[Any]:
    """SymPy expressions over real symbols of these names."""
    from symtorch.equations.sympy_bridge import to_sympy

    return [to_sympy(expr, names) for expr in exprs]


def latex(exprs: Sequence[Expr], names: Sequence[str], precision: int = 4) -> list[str]:
    """LaTeX of each equation, its constants rounded to ``precision`` significant digits."""
    from symtorch.equations import sympy_bridge

    return [sympy_bridge.latex(expr, names, precision) for expr in exprs]


def numpy_function(exprs: Sequence[Expr], names: Sequence[str]) -> Callable[[np.ndarray], np.ndarray]:
    """A NumPy function (..., n_inputs) -> (..., n_outputs), in float64."""
    scope: dict[str, Any] = {}
    exec(compile(python_source(exprs, names, "numpy"), "<symtorch>", "exec"), scope)

    def function(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return scope["equations"](np.asarray(x, dtype=np.float64))

    return function


def jax_function(exprs: Sequence[Expr], names: Sequence[str]) -> Callable[[Any], Any]:
    """A JAX function (..., n_inputs) -> (..., n_outputs), to be jitted, mapped and differentiated.

    Raises:
        InputError: JAX is not installed.
    """
    try:
        import jax  # noqa: F401
    except ImportError:
        raise InputError("JAX is not installed; install it with: pip install 'torch-symbolic[jax]'") from None
    scope: dict[str, Any] = {}
    exec(compile(python_source(exprs, names, "jax"), "<symtorch>", "exec"), scope)
    return scope["equations"]


def exported_program(exprs: Sequence[Expr], names: Sequence[str], dtype: torch.dtype = torch.float32) -> Any:
    """A ``torch.export`` program (batch, n_inputs) -> (batch, n_outputs), with a free batch size."""
    module = SymbolicFunction(exprs, len(names)).eval()
    example = torch.ones(2, len(names), dtype=dtype)
    return torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def onnx(exprs: Sequence[Expr], names: Sequence[str], path: str | Path, dtype: torch.dtype = torch.float32) -> Path:
    """Write an ONNX model with input ``x`` (batch, n_inputs) and output ``y`` (batch, n_outputs).

    Raises:
        InputError: the packages that torch.onnx needs are not installed.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise InputError("ONNX export needs onnxscript; install it with: pip install 'torch-symbolic[onnx]'") from None
    path = Path(path)
    module = SymbolicFunction(exprs, len(names)).eval()
    torch.onnx.export(
        module,
        (torch.ones(2, len(names), dtype=dtype),),
        str(path),
        input_names=["x"],
        output_names=["y"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return path
