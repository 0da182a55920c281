"""Equations computed together are what they are one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.codegen.torch_kernel import torch_kernel
from symtorch.equations import parse

NAMES = [f"x{i}" for i in range(16)]


def function(*texts: str) -> SymbolicFunction:
    return SymbolicFunction([parse(text, NAMES) for text in texts], len(NAMES))


def quadratics(n: int = 12, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(n):
        text = f"{rng.normal():.3f}"
        for _ in range(rng.integers(2, 9)):
            a, b = rng.integers(0, 16, 2)
            c = abs(rng.normal())
            text += rng.choice([f" + {c:.3f}*x{a}*x{b}", f" - {c:.3f}*x{a}", f" - ({c:.3f}*square(x{b}))"])
        texts.append(text)
    return texts


GATED = [f"silu(x{i})*x{8 + i}" for i in range(8)]
CASES = {
    "gated terms": GATED,
    "gated terms of columns that do not follow": GATED[::-1],
    "gated terms among others": [*GATED[:5], "exp(x0) + x1", *GATED[5:], "2.5", "x3/x4"],
    "sparse quadratics": quadratics(),
    "with constants alike": [f"2*x{i} + 3*x{i + 1}" for i in range(10)],
    "all of one column": [f"{i + 1}.5*tanh(x3)" for i in range(9)],
    "powers": [f"x{i}^2 - x{i}^3" for i in range(9)],
    "constants": [f"{i}.5" for i in range(9)],
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n_rows", [1, 7])
def test_together_they_are_what_they_are_one_by_one(name: Any, n_rows: Any) -> None:
    f = function(*CASES[name])
    assert f._alike is not None
    f = f.trainable_constants()
    x = torch.randn(n_rows, 16, dtype=torch.float64, requires_grad=True)
    alone = torch_kernel(f._program, 16)
    answer, expected = f(x), alone(x, f.constants)
    torch.testing.assert_close(answer, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(answer)
    wanted = [x, f.constants] if f.constants.numel() else [x]
    one, other = (torch.autograd.grad((y * weights).sum(), wanted, allow_unused=True) for y in (answer, expected))
    for a, b in zip(one, other, strict=True):
        zero = torch.zeros(1, dtype=torch.float64)
        torch.testing.assert_close(*torch.broadcast_tensors(zero if a is None else a, zero if b is None else b))


def test_few_and_different_equations_are_computed_one_by_one() -> None:
    assert function(*GATED[:3])._alike is None
    assert function("sin(x0)", "x1", "x2*x3", "exp(x4)", "1/x5", "x6^3", "sqrt(x7)", "log(x8)")._alike is None


def test_an_undefined_equation_does_not_reach_the_others() -> None:
    f = function(*quadratics(10), "1/x0", "exp(x1)")
    assert f._alike is not None
    x = torch.zeros(1, 16)
    x[0, 1] = 1000.0
    finite = torch.isfinite(f(x))[0]
    assert finite[:10].all()
    assert not finite[10:].any()


def test_it_can_be_copied_compiled_and_cast() -> None:
    f = function(*quadratics())
    x = torch.randn(3, 16)
    copy = torch.compile(f, backend="eager", fullgraph=True)
    torch.testing.assert_close(copy(x), f(x))
    assert f(x.to(torch.bfloat16)).dtype is torch.bfloat16
    torch.testing.assert_close(f.use_compiled(False)(x), f(x))
