"""Equations for other programs: SymPy, LaTeX, NumPy, Python, C, JAX, ONNX, torch.export.

Every function takes the trees and the names of the input columns, so that it serves one output as
well as a whole block. The sources are self-contained: none of them needs symtorch.

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
from pathlib import Path
from typing import Any

import numpy as np
import torch

from symtorch.codegen.printing import leaf_name, step_text
from symtorch.codegen.program import Input, Literal, Program, Slot, Step, Value, lower
from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.equations.expr import Expr
from symtorch.errors import InputError

FORMATS = ("sympy", "latex", "numpy", "jax", "torch source", "numpy source", "jax source", "c", "onnx", "torch.export")

LANGUAGES = ("torch", "numpy", "jax")

_SPECIAL = {
    "numpy": {
        "erf": "erf = np.vectorize(math.erf, otypes=[float])",
        "erfc": "erfc = np.vectorize(math.erfc, otypes=[float])",
        "gamma": """\
@np.vectorize
def gamma(value):
    try:
        return math.gamma(value)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf""",
    },
    "jax": {name: f"from jax.scipy.special import {name}" for name in ("erf", "erfc", "gamma")},
}
"""Functions that NumPy has not, by language and name."""


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
    import sympy

    shown = []
    for formula in sympy_expressions(exprs, names):
        rounded = {number: sympy.Float(number, precision) for number in formula.atoms(sympy.Float)}
        shown.append(sympy.latex(formula.xreplace(rounded)))
    return shown


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
    if language not in LANGUAGES:
        raise InputError(f"language is {language!r}; expected one of {', '.join(map(repr, LANGUAGES))}.")
    _check_function_name(function)
    program = lower(exprs)
    arguments = _argument_names(names, taken={"x", "np", "jnp", "math", "torch", function, "erf", "erfc", "gamma"})
    table = "torch" if language == "torch" else "numpy"
    texts = _leaves(program, arguments, _python_number)
    lines = [f"{arguments[j]} = x[..., {j}]" for j in _columns(program)]
    n_columns = len(lines)
    for number, value in enumerate(program.values):
        if isinstance(value, Step):
            operands = texts
            if table == "torch":  # torch's functions take tensors, its arithmetic numbers as well
                operands = [
                    t if isinstance(v, (Input, Step)) else f"x.new_tensor({t})"
                    for t, v in zip(texts, program.values, strict=True)
                ]
            texts[number] = f"t{len(lines) - n_columns}"
            lines.append(f"{texts[number]} = {step_text(value, table, operands)}")
    n_outputs = len(exprs)
    results = ", ".join(texts[i] for i in program.outputs)
    module = {"torch": "torch", "numpy": "np", "jax": "np"}[language]
    if language == "torch":
        tensors = ", ".join(
            texts[i] if isinstance(program.values[i], (Input, Step)) else f"x.new_tensor({texts[i]})"
            for i in program.outputs
        )
        result = f"torch.stack(torch.broadcast_tensors({tensors}, x[..., 0])[:{n_outputs}], dim=-1)"
    else:
        result = f"{module}.stack({module}.broadcast_arrays({results}, x[..., 0])[:{n_outputs}], axis=-1)"
    body = "\n".join(f"    {line}" for line in [*lines, f"return {result}"])
    source = f'def {function}(x):\n    """(..., {len(names)}) -> (..., {n_outputs})"""\n{body}\n'
    if language == "jax":
        source = re.sub(r"\bnp\.", "jnp.", source)
    return _imports(source, language) + source


def _imports(source: str, language: str) -> str:
    special = [text for name, text in _SPECIAL.get(language, {}).items() if re.search(rf"(?<![.\w]){name}\(", source)]
    head = {"torch": "import torch", "numpy": "import numpy as np", "jax": "import jax.numpy as jnp"}[language]
    if language == "numpy" and special:
        head = "import math\n\n" + head
    return "\n".join([head, *special]) + "\n\n\n"


C_PRELUDE = """\
#include <math.h>

static double mod(double x, double y) {
    double r = fmod(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}
"""


def c_source(exprs: Sequence[Expr], names: Sequence[str], function: str = "equations") -> str:
    """C99 source of ``void equations(const double *x, double *y)``: one row in, one row out.

    Raises:
        InputError: ``function`` is not a name.
    """
    _check_function_name(function)
    program = lower(exprs)
    texts = _leaves(program, [f"x[{j}]" for j in range(len(names))], _c_number)
    lines = []
    for number, value in enumerate(program.values):
        if isinstance(value, Step):
            lines.append(f"const double t{number} = {step_text(value, 'c', texts).replace('(real)', '(double)')};")
            texts[number] = f"t{number}"
    lines += [f"y[{j}] = {texts[i]};" for j, i in enumerate(program.outputs)]
    prelude = C_PRELUDE if any("mod(" in line for line in lines) else "#include <math.h>\n"
    columns = ", ".join(f"x[{j}] {name}" for j, name in enumerate(names))
    body = "\n".join(f"    {line}" for line in lines)
    return f"{prelude}\n/* {columns} */\nvoid {function}(const double *x, double *y) {{\n{body}\n}}\n"


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


# ---- parts


def _check_function_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z_0-9]*", name):
        raise InputError(f"function is {name!r}; expected letters, digits and '_'.")


def _argument_names(names: Sequence[str], taken: set[str]) -> list[str]:
    """The user's names where they can stand in Python source beside ours, else x0, x1, ..."""
    clash = any(not re.fullmatch(r"[A-Za-z_]\w*", n) or n in taken or re.fullmatch(r"t\d+", n) for n in names)
    return [f"x{j}" for j in range(len(names))] if clash else list(names)


def _columns(program: Program) -> list[int]:
    return sorted({value.index for value in program.values if isinstance(value, Input)})


def _leaves(program: Program, arguments: Sequence[str], number: Callable[[float], str]) -> list[str]:
    """How each leaf is written, the constants as numbers; empty for the steps."""

    def text(value: Value) -> str:
        if isinstance(value, Input):
            return arguments[value.index]
        if isinstance(value, Slot):
            return number(program.constants[value.index])
        return number(value.value) if isinstance(value, Literal) else ""

    return [text(value) for value in program.values]


def _python_number(value: float) -> str:
    return repr(value) if np.isfinite(value) else f'float("{value}")'


def _c_number(value: float) -> str:
    text = leaf_name(Literal(value))
    return {"inf": "INFINITY", "-inf": "(-INFINITY)", "nan": "NAN"}.get(text, text)
