"""A new operator is one row, and then everything knows it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from symtorch.codegen import export
from symtorch.codegen.c_compiler import compiler
from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.engines.native import NativeEngine
from symtorch.engines.native.flat.bank import Bank
from symtorch.engines.native.forms.inverses import undo, wraps
from symtorch.engines.native.forms.productions import unaries
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations import normal
from symtorch.equations.expr import Call, Variable, evaluate, to_text
from symtorch.equations.operators import ALIASES, OPERATORS, add, remove
from symtorch.equations.parser import parse
from symtorch.equations.suggest import suggest
from symtorch.equations.sympy_bridge import to_sympy
from symtorch.equations.table import Row
from symtorch.errors import OptionError, ParseError

# Of navigation, sin²(x/2); and of map projections, the latitude on Mercator's map.
HAVERSINE = Row(
    "haversin", 1, "torch.sin(x / 2) ** 2", "np.sin(x / 2) ** 2", "sin(x / 2) * sin(x / 2)", "sympy.sin(x / 2)**2",
    "0.5 * np.sin(x)", aliases=("hav",), parity=1, period=2 * np.pi,
    inverse="2 * np.arcsin(np.sqrt(v)); -2 * np.arcsin(np.sqrt(v))",
)  # fmt: skip
GUDERMANN = Row(
    "gd", 1, "torch.atan(torch.sinh(x))", "np.arctan(np.sinh(x))", "atan(sinh(x))", "sympy.atan(sympy.sinh(x))",
    "1 / np.cosh(x)", parity=-1, inverse="np.arcsinh(np.tan(v))", flattens=True, suggested=True,
)  # fmt: skip
NAMES = ["a", "b"]
SPACE = {"binary_operators": ["+", "-", "*"], "unary_operators": ["haversin", "gd"], "maxsize": 20}


@pytest.fixture(autouse=True)
def rows() -> Iterator[None]:
    for row in (HAVERSINE, GUDERMANN):
        add(row)
    yield
    for row in (HAVERSINE, GUDERMANN):
        remove(row.name)


@pytest.fixture
def X() -> np.ndarray:
    return np.random.default_rng(0).uniform(-2.0, 2.0, size=(300, 2))


def law(X: np.ndarray) -> np.ndarray:
    return 1.5 * np.sin(X[:, 0] / 2) ** 2 - np.arctan(np.sinh(0.7 * X[:, 1]))


TEXT = "1.5*hav(a) - gd(0.7*b)"


def test_it_is_read_printed_and_computed(X: np.ndarray) -> None:
    tree = parse(TEXT, NAMES)
    assert to_text(tree, NAMES) == "1.5*haversin(a) - gd(0.7*b)"
    np.testing.assert_allclose(evaluate(tree, X), law(X), rtol=1e-14)
    point = {"a": 0.3, "b": -1.2}
    assert float(to_sympy(tree, NAMES).subs({s: point[s.name] for s in to_sympy(tree, NAMES).free_symbols})) == (
        pytest.approx(law(np.array([[0.3, -1.2]]))[0], rel=1e-12)
    )


def test_torch_has_its_gradient(X: np.ndarray) -> None:
    f = SymbolicFunction([parse(TEXT, NAMES)], 2)
    x = torch.tensor(X, requires_grad=True)
    torch.testing.assert_close(f(x)[:, 0], torch.tensor(law(X)), rtol=1e-12, atol=1e-13)
    assert torch.autograd.gradcheck(f, torch.tensor(X[:5], requires_grad=True))


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_machine_code(X: np.ndarray, dtype: torch.dtype) -> None:
    f = SymbolicFunction([parse(TEXT, NAMES)], 2).use_compiled(True)
    accuracy = 1e-5 if dtype == torch.float32 else 1e-12
    y = f(torch.tensor(X, dtype=dtype))[:, 0]
    torch.testing.assert_close(y, torch.tensor(law(X), dtype=dtype), rtol=accuracy, atol=accuracy)


@pytest.mark.parametrize("language", ["numpy", "torch"])
def test_exported_sources_need_no_symtorch(X: np.ndarray, language: str) -> None:
    scope: dict[str, Any] = {}
    exec(export.python_source([parse(TEXT, NAMES)], NAMES, language), scope)
    y = scope["equations"](X if language == "numpy" else torch.tensor(X))
    np.testing.assert_allclose(np.asarray(y)[:, 0], law(X), rtol=1e-12)


def test_the_native_search_finds_a_law_with_it(X: np.ndarray) -> None:
    options = SearchOptions.from_params({**SPACE, "random_state": 0})
    samples = Samples(
        X, np.stack([law(X), np.arctan(np.sinh(X[:, 0] * X[:, 1] + 0.5))], axis=1), variable_names=tuple(NAMES)
    )
    for front in NativeEngine().search(samples, options):
        assert front.best.loss < 1e-20
        assert "gd(" in str(front.best)


def test_the_search_uses_what_the_row_says(X: np.ndarray) -> None:
    words = Vocabulary(SearchOptions.from_params(SPACE))
    assert "gd" in [wrap.name for wrap in wraps(words)]  # one inverse: it can be taken off from outside
    assert "haversin" not in [wrap.name for wrap in wraps(words)]  # two in a period
    gd, haversine = OPERATORS["gd"], OPERATORS["haversin"]
    assert normal.normalise(Call(haversine, (parse("-2*a", NAMES),))) == normal.normalise(parse("hav(2*a)", NAMES))
    assert sum(unary.is_function for unary in unaries(words)) == 2  # of -x they are nothing new
    x = X[:, 0]
    for op, present in ((gd, x), (haversine, x), (haversine, 8.0 * x)):
        undone = undo(Call(op, (Variable(0),)), 0, op.numpy(present), present * (1 + 1e-9))
        assert undone is not None
        assert op.partials is not None
        argument, slope = undone
        np.testing.assert_allclose(argument, present, atol=1e-6)
        np.testing.assert_allclose(slope, np.abs(op.partials(op.numpy(present), present)[0]), atol=1e-6)
    # A periodic function is offered at the frequencies of waves.
    bank = Bank(X, words, 4000, 4, torch.device("cpu"))
    rates = {"haversin": 0, "gd": 0}
    for index in bank.grid:
        tree = bank.expr(int(index))
        if isinstance(tree, Call) and tree.op.name in rates:
            rates[tree.op.name] += 1
    assert rates["haversin"] > 1.5 * rates["gd"] > 0


def test_it_is_suggested(X: np.ndarray) -> None:
    y = 2.0 * np.arctan(np.sinh(1.3 * X[:, 1] - 0.4)) + 1.0
    assert suggest(X, y, NAMES)[0].function == "gd"


def test_it_goes_to_other_processes() -> None:
    blob = pickle.dumps(parse(TEXT, NAMES))
    code = (
        "import pickle, sys, numpy as np; from symtorch.equations.expr import evaluate; "
        "print(evaluate(pickle.load(sys.stdin.buffer), np.array([[0.3, -1.2]]))[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=blob, capture_output=True, check=True)
    assert float(done.stdout) == pytest.approx(law(np.array([[0.3, -1.2]]))[0], rel=1e-14)


def test_it_can_be_taken_back_and_the_librarys_own_can_not() -> None:
    remove("gd")
    with pytest.raises(ParseError, match="'gd'"):
        parse("gd(a)", NAMES)
    add(GUDERMANN)
    with pytest.raises(OptionError, match="'sin'"):
        remove("sin")
    assert "sin" in OPERATORS
    assert "hav" in ALIASES


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Row("sin", 1, "torch.sin", "np.sin", "sin", "sympy.sin"), "'sin' already"),
        (Row("own", 1, "torch.sin", "np.sin", "sin", "sympy.sin", aliases=("ln",)), "'ln' already"),
        (Row("own", 1, "torch.sin(", "np.sin", "sin", "sympy.sin"), "SyntaxError"),
        (Row("own", 1, "torch.sin", "np.sinus", "sin", "sympy.sin"), "sinus"),
        (Row("own", 1, "torch.sin", "np.sin", "sin", "sympy.sin", inverse="np.arcsin(v)"), "partials"),
    ],
)
def test_a_row_that_can_not_be_used_says_why(row: Row, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        add(row)
    assert OPERATORS.get(row.name) is not row
    assert row.name == "sin" or row.name not in OPERATORS
