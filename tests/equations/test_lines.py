"""Equations that are lines, recognised."""

import numpy as np

from symtorch.equations.expr import constants, evaluate
from symtorch.equations.lines import line_of
from symtorch.equations.parser import parse


def test_a_line_is_known_by_its_sums_and_says_what_the_tree_does() -> None:
    rng = np.random.default_rng(0)
    X, names = rng.normal(size=(50, 3)), ["a", "b", "c"]
    for text in ("2*a - (b*3 - 1.5) + c + c", "-(a - 4)", "a", "7.5", "0.5*a - (-0.25)*c"):
        expr = parse(text, names)
        line = line_of(expr)
        assert line is not None, text
        np.testing.assert_allclose(line.predict(X), evaluate(expr, X), rtol=1e-13, atol=1e-13)
        assert len(line.places) == len(constants(expr))
    for text in ("a*b", "2*(a + b)", "a/2", "sin(a)", "a^2", "2*3*a"):
        assert line_of(parse(text, names)) is None, text


def test_what_is_in_columns_that_a_line_does_not_use_makes_no_difference() -> None:
    X = np.array([[1.0, 2.0, np.nan], [np.inf, 1.0, 0.0]])
    line = line_of(parse("2*a - b", ["a", "b", "c"]))
    assert line is not None
    np.testing.assert_array_equal(line.predict(X), [0.0, np.inf])
