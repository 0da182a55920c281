"""Normal forms."""

from __future__ import annotations

import numpy as np
import pytest
from forms import NAMES, assert_same_values, read, trees
from hypothesis import given, settings

from symtorch.equations import normal
from symtorch.equations.expr import Expr, constants, to_text


@settings(max_examples=150, deadline=None, derandomize=True)
@given(trees)
def test_normal_form_keeps_the_values_and_is_its_own_normal_form(tree: Expr) -> None:
    form = normal.normalise(tree)
    if all(np.isfinite(c) and 1e-6 < abs(c) < 1e6 for c in constants(form)):
        assert_same_values(tree, form)
        assert normal.key(normal.normalise(form)) == normal.key(form)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("x0 - x0", "0"),
        ("1/(1/x0)", "x0"),
        ("x0*x1/x0", "x1"),
        ("exp(x0)*exp(x1)", "exp(x0 + x1)"),
        ("sqrt(x0)*sqrt(x0)", "x0"),
        ("2*(3 + x0)", "2*x0 + 6"),
        ("sin(0 - x0)*(0 - 1)", "sin(x0)"),
        ("sqrt(x0^2)", "(x0^2)^0.5"),
    ],
)
def test_normal_forms(text: str, form: str) -> None:
    assert to_text(normal.normalise(read(text)), NAMES) == form


def test_shapes_are_equal_whatever_the_constants() -> None:
    a, b = (normal.normalise(read(text)) for text in ("3/(2 + 4*x0)", "0.1/(x0 - 7)"))
    assert normal.key(a) == normal.key(b)
