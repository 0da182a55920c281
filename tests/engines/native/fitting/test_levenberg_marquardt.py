"""The tape of an expression, and the fit of its constants."""

from __future__ import annotations

import numpy as np
from forms import points, read, trees
from hypothesis import given, settings

from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.fitting.tape import Tape
from symtorch.equations import normal
from symtorch.equations.expr import Expr, constants, evaluate


@settings(max_examples=100, deadline=None, derandomize=True)
@given(trees)
def test_tape_agrees_with_the_operator_table_and_its_slopes_with_differences(tree: Expr) -> None:
    form = normal.normalise(tree)
    tape = Tape(form)
    X = points(20)
    columns = tuple(X.T)
    with np.errstate(all="ignore"):
        values = tape.forward(columns, tape.constants)
        out = np.broadcast_to(values[-1], (20,))
        np.testing.assert_allclose(out, evaluate(form, X), rtol=1e-9, equal_nan=True)
        if not (np.isfinite(out).all() and np.abs(out).max() < 1e4):
            return
        slopes = tape.backward(values)
        for number, node in enumerate(tape.constant_nodes):
            step = 1e-6 * max(1.0, abs(tape.constants[number]))
            shift = np.zeros_like(tape.constants)
            shift[number] = step
            up, down = (tape.forward(columns, tape.constants + s * shift)[-1] for s in (1, -1))
            expected, slope = np.broadcast_to((up - down) / (2 * step), (20,)), np.broadcast_to(slopes[node], (20,))
            sound = np.isfinite(expected) & (np.abs(expected) < 1e4)
            np.testing.assert_allclose(slope[sound], expected[sound], rtol=1e-3, atol=1e-3)


def test_fit_finds_the_constants() -> None:
    X = points(200)
    y = evaluate(read("1.7*x0^2/(x2^2 + 0.5) + 2.2*sin(1.3*x1 + 0.2)"), X)
    found, loss = fit(normal.normalise(read("1.1*x0^2/(x2^2 + 0.4) + 2*sin(1.2*x1 + 0.1)")), Rows.of(X, y))
    assert loss < 1e-20
    np.testing.assert_allclose(sorted(constants(found))[1:3], [0.2, 0.5], rtol=1e-6)


def test_weights_decide_what_is_fitted() -> None:
    X = points(100)
    y = np.where(np.arange(100) < 50, 2.0, 4.0) * X[:, 0]
    weights = np.where(np.arange(100) < 50, 1.0, 0.0)
    found, _ = fit(read("1.5*x0"), Rows.of(X, y, weights))
    np.testing.assert_allclose(constants(found), [2.0])
