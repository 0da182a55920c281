"""The user's own formulas in the place of what was found, and the equations of a block for elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from symtorch.capture.rows import Captured
from symtorch.engines.options import SearchOptions
from symtorch.equations import Equation, parse
from symtorch.equations.expr import Expr, evaluate, to_text
from symtorch.equations.operators import Operator
from symtorch.equations.textbook import signs_of
from symtorch.errors import InputError, StateError
from symtorch.state import Node, read_expr
from symtorch.surrogate.constants import refit
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.interface import Interface

Data = tuple[np.ndarray, np.ndarray]
"""Variables (n, n_variables) and searched outputs (n, n_searched) of a distillation."""


def encoded(captured: Captured, interface: Interface) -> Data:
    """Captured rows as the search saw them."""
    encoding = interface.encoding
    X = encoding.encode(torch.from_numpy(captured.X)).numpy()
    return np.asarray(X, dtype=np.float64), encoding.targets(captured.Y, captured.X)


def own_equation(
    found: Findings,
    interface: Interface,
    output: int,
    formula: Any,
    data: Data | None,
    refit_constants: bool,
    complexity: int | None,
) -> Equation:
    """A formula of the user's as an equation of an output.

    Args:
        found: what it will stand beside; its operators are known, and how complexity is counted.
        interface: what its variables are.
        output: index of the output.
        formula: text or a SymPy expression over the equations' variables.
        data: to judge it by, or to fit its constants to; None for none.
        refit_constants: fit its constants to the data first.
        complexity: what it is called by; None for what the search options say.

    Raises:
        ParseError: the formula can't be read.
        InputError: there is no such output, a constant is not finite, or there is no data to fit to.
    """
    check_output(output, interface.n_searched)
    if complexity is not None and (not isinstance(complexity, int) or complexity < 1):
        raise InputError(f"complexity is {complexity!r}; expected a number of nodes, at least 1.")
    names, operators = interface.variable_names, found.operators
    if isinstance(formula, str):
        expr = parse(formula, names, operators)
    else:
        from symtorch.equations.sympy_bridge import from_sympy

        expr = from_sympy(formula, names)
    _check_storable(expr, names, operators)
    loss = math.inf
    if data is not None:
        X, y = data[0], data[1][:, output]
        if refit_constants:
            expr = refit(expr, X, y)
        error = float(np.mean((evaluate(expr, X) - y) ** 2))
        loss = error if math.isfinite(error) else math.inf
    counted = SearchOptions.counting(found.options).complexity(expr) if complexity is None else complexity
    own = Equation(expr, names, counted, loss, signs=None if data is None else signs_of(data[0]))
    return own.with_errors(X, y) if data is not None and refit_constants else own


def judged_on(equations: Sequence[Equation], X: np.ndarray, y: np.ndarray) -> list[Equation]:
    """The equations with their mean squared errors on these rows; those that aren't finite there are left out."""
    losses = [float(np.mean((equation.predict(X) - y) ** 2)) for equation in equations]
    return [replace(eq, loss=loss) for eq, loss in zip(equations, losses, strict=True) if math.isfinite(loss)]


def check_output(output: int, n_outputs: int) -> None:
    """Raise InputError unless there is such an output."""
    if output not in range(n_outputs):
        raise InputError(f"output {output!r} is out of range; there are outputs 0..{n_outputs - 1}.")


def _check_storable(expr: Expr, names: tuple[str, ...], operators: Sequence[Operator]) -> None:
    """A formula must come back from a saved state, where numbers are finite."""
    try:
        read_expr(Node(to_text(expr, names), "the formula"), names, list(operators))
    except StateError as error:
        raise InputError(str(error)) from None


def in_block_inputs(found: Findings, outputs: Sequence[int] | None = None) -> tuple[list[Expr], tuple[str, ...]]:
    """The chosen equations of the block's outputs, over its own inputs, and the names of those.

    Args:
        found: what they are chosen from.
        outputs: which ones, in which order; None for all that have been distilled.

    Raises:
        NotDistilledError: nothing has been.
        InputError: no outputs, or a variable is made by a Python function, which can't be written out.
    """
    interface = found.require()
    interface.check_written()
    if outputs is not None and (not isinstance(outputs, Sequence) or not outputs):
        raise InputError(f"outputs is {outputs!r}; expected a list of at least one output, or None for all.")
    wanted = interface.complete(found.fronts) if outputs is None else list(outputs)
    for output in wanted:
        check_output(output, interface.n_outputs)
    laws = {i: found.in_block_inputs(found.equation(i)) for i in interface.encoding.needed(wanted)}
    exprs = interface.encoding.combine({i: law.expr for i, law in laws.items()}, wanted)
    return exprs, next(iter(laws.values())).variable_names
