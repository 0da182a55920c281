import ctypes
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import torch

from symtorch.codegen import export
from symtorch.codegen.c_compiler import compiler
from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.equations.definitions import operator
from symtorch.equations.parser import parse
from symtorch.equations.table import ROWS
from symtorch.errors import InputError

NAMES = ["speed", "angle", "mass"]
TEXTS = [
    "2.5*sin(angle) + speed^2 - exp(2)", "mass^(-3)*speed + angle^2.37", "3.0", "max(1.0, mass) - 0.3*speed*angle",
    "speed",
    "mod(neg(speed), mass) + erf(angle)", "Piecewise((speed, angle > 1), (mass, True))", "2^speed", "speed^1.5",
]  # fmt: skip
EVERYTHING = [f"{row.name}({', '.join(NAMES[: row.arity])})" for row in ROWS if row.precedence is None]
EVERYTHING += ["speed + angle", "speed - angle", "speed*angle", "speed/angle", "speed^angle"]


def trees(texts: Any = TEXTS) -> Any:
    return [parse(text, NAMES) for text in texts]


def rows(n: Any = 50) -> Any:
    return torch.rand(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 + 0.2


def of_module(exprs: Any, x: Any) -> Any:
    return SymbolicFunction(exprs, 3)(x)


def run(source: Any, function: Any = "equations") -> Any:
    scope: dict[str, Any] = {}
    exec(source, scope)
    return scope[function]


@pytest.mark.parametrize("texts", [TEXTS, EVERYTHING], ids=["some", "every operator"])
def test_numpy(texts: Any) -> None:
    x = rows()
    y = export.numpy_function(trees(texts), NAMES)(x.numpy())
    torch.testing.assert_close(torch.tensor(y), of_module(trees(texts), x), rtol=1e-10, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("texts", [TEXTS, EVERYTHING], ids=["some", "every operator"])
def test_torch_source(texts: Any) -> None:
    x = rows()
    source = export.python_source(trees(texts), NAMES, "torch")
    assert "symtorch" not in source
    torch.testing.assert_close(run(source)(x), of_module(trees(texts), x), rtol=1e-10, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("language", ["torch", "numpy"])
def test_sources_run_without_symtorch(language: Any, tmp_path: Path) -> None:
    path = tmp_path / "law.py"
    path.write_text(export.python_source(trees(), NAMES, language, "law"))
    make = {
        "torch": "import torch; x = torch.ones(4, 3, dtype=torch.float64)",
        "numpy": "import numpy; x = numpy.ones((4, 3))",
    }
    code = (
        f"import sys; sys.modules['symtorch'] = None; from law import law; {make[language]}; print(law(x)[0].tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    expected = of_module(trees(), torch.ones(1, 3, dtype=torch.float64))[0]
    np.testing.assert_allclose(eval(done.stdout), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 4, 3), (0, 3)])
def test_sources_take_any_leading_shape(shape: tuple[int, ...]) -> None:
    x = torch.ones(shape, dtype=torch.float64)
    assert run(export.python_source(trees(), NAMES, "torch"))(x).shape == (*shape[:-1], len(TEXTS))
    assert export.numpy_function(trees(), NAMES)(x.numpy()).shape == (*shape[:-1], len(TEXTS))


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
@pytest.mark.parametrize("texts", [TEXTS, EVERYTHING], ids=["some", "every operator"])
def test_c(texts: Any, tmp_path: Path) -> None:
    path, library = tmp_path / "law.c", tmp_path / "law.so"
    path.write_text(export.c_source(trees(texts), NAMES, "law"))
    command = [compiler(), "-std=c99", "-Wall", "-Werror", "-O1", "-fPIC", "-shared", path, "-o", library, "-lm"]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    x = np.ascontiguousarray(rows().numpy())
    y = np.empty((len(x), len(texts)))
    law = ctypes.CDLL(str(library)).law
    for row, result in zip(x, y, strict=True):
        law(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(result.ctypes.data))
    expected = of_module(trees(texts), torch.tensor(x))
    torch.testing.assert_close(torch.tensor(y), expected, rtol=1e-10, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("texts", [TEXTS, EVERYTHING], ids=["some", "every operator"])
def test_jax(texts: Any) -> None:
    jax = pytest.importorskip("jax")
    x = rows(20).float()
    function = jax.jit(export.jax_function(trees(texts), NAMES))
    expected = of_module(trees(texts), x)
    y = torch.tensor(np.array(function(x.numpy())))
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4, equal_nan=True)
    assert jax.vmap(jax.jacrev(function))(x.numpy()).shape == (20, len(texts), 3)


def test_jax_source_names_jax_only() -> None:
    source = export.python_source(trees(EVERYTHING), NAMES, "jax")
    compile(source, "source", "exec")
    assert "np." not in source.replace("jnp.", "")
    assert "from jax.scipy.special import gamma" in source


@pytest.mark.filterwarnings("ignore")  # torch.onnx's own
def test_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    path = export.onnx(trees(), NAMES, tmp_path / "law.onnx")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for n in (1, 7, 50):
        x = rows(n).float()
        (y,) = session.run(["y"], {"x": x.numpy()})
        torch.testing.assert_close(torch.tensor(y), of_module(trees(), x), rtol=1e-4, atol=1e-5)


def test_exported_program(tmp_path: Path) -> None:
    path = tmp_path / "law.pt2"
    torch.export.save(export.exported_program(trees(), NAMES), path)
    x = rows(33).float()
    torch.testing.assert_close(torch.export.load(path).module()(x), of_module(trees(), x))


def test_sympy_and_latex() -> None:
    exprs = trees(["2.123456*speed^2 + sin(angle)", "speed/mass"])
    x = rows(5)
    symbols = sympy.symbols(" ".join(NAMES), real=True)
    by_sympy = sympy.lambdify(symbols, export.sympy_expressions(exprs, NAMES), "numpy")(*x.numpy().T)
    np.testing.assert_allclose(np.stack(by_sympy, -1), of_module(exprs, x), rtol=1e-12)
    first, second = export.latex(exprs, NAMES, precision=3)
    assert "2.12 speed^{2}" in first
    assert second == r"\frac{speed}{mass}"


def test_names_that_would_clash_give_way() -> None:
    names = ["x", "t1", "np"]
    expr = parse("x + 2*t1 + np", names)
    source = export.python_source([expr], names, "numpy")
    np.testing.assert_allclose(run(source)(np.array([[1.0, 2.0, 3.0]])), [[8.0]])


def test_users_operators_are_written_out() -> None:
    bump = operator("bump(a) = exp(-0.5*a^2)")
    expr = parse("3*bump(speed)", NAMES, [bump])
    x = rows(5)
    torch.testing.assert_close(run(export.python_source([expr], NAMES, "torch"))(x), of_module([expr], x))
    assert "bump" not in export.c_source([expr], NAMES)


def test_odd_numbers_are_written_so_that_they_are_read() -> None:
    exprs = trees(["inf - speed", "nan*speed", "(-1e300)*speed", "(-2.5)^angle"])
    x = rows(4)
    for language in ("numpy", "torch"):
        source = export.python_source(exprs, NAMES, language)
        with np.errstate(all="ignore"):
            y = run(source)(x.numpy() if language == "numpy" else x)
        torch.testing.assert_close(torch.as_tensor(y), of_module(exprs, x), equal_nan=True)
    assert "INFINITY" in export.c_source(exprs, NAMES)


def test_bad_arguments_say_what_was_expected() -> None:
    with pytest.raises(InputError, match="'fortran'"):
        export.python_source(trees(), NAMES, "fortran")
    with pytest.raises(InputError, match="letters"):
        export.c_source(trees(), NAMES, "law(); evil")
    with pytest.raises(InputError, match="letters"):
        export.python_source(trees(), NAMES, "numpy", "law\n")
