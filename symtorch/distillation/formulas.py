"""The user's own formulas in the place of what was found, suggestions for them, and equations for elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from symtorch.capture.rows import Captured
from symtorch.codegen.export import check_form, export
from symtorch.equations import Equation, Front, parse
from symtorch.equations.expr import Expr, evaluate, size, to_text
from symtorch.equations.operators import Operator
from symtorch.equations.suggest import FORMS, Suggestion, suggest
from symtorch.errors import InputError, StateError
from symtorch.state import Node, read_expr
from symtorch.surrogate.constants import refit
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.module import Surrogate


class Formulas:
    """What a SymbolicModel has for formulas that come from, or go to, somewhere else."""

    surrogate: Surrogate | None
    _cache: tuple[str, Captured] | None
    _use_symbolic: bool
    _chosen: Findings

    def _findings(self, SLIME: bool) -> Findings:
        raise NotImplementedError

    def set_equation(
        self, output: int, formula: Any, refit_constants: bool = False, complexity: int | None = None
    ) -> Equation:
        """Put a formula of one's own in an output's place; it joins the output's front and is the chosen one.

        >>> from symtorch import SymbolicModel
        >>> block = SymbolicModel(lambda x: np.exp(0.5 * x), "growth")
        >>> fronts = block.distill(np.random.default_rng(0).normal(size=(200, 1)))
        >>> print(block.set_equation(0, "exp(0.4*x0)", refit_constants=True))
        exp(0.5*x0)

        Args:
            output: index of the output.
            formula: text or a SymPy expression over the equations' variables.
            refit_constants: fit its constants to the data of the last distillation first.
            complexity: what it is called by; by default its number of nodes. An equation of the front
                that has this complexity gives way.

        Raises:
            ParseError: the formula can't be read.
            InputError: there is no such output, a constant is not finite, or there is no data to fit to.
        """
        found = self._findings(False)
        interface = found.require()
        _check_output(output, interface.n_outputs)
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
        if refit_constants or self._cache is not None:
            X, Y = self._data(found)
            if refit_constants:
                expr = refit(expr, X, Y[:, output])
            error = float(np.mean((evaluate(expr, X) - Y[:, output]) ** 2))
            loss = error if math.isfinite(error) else math.inf
        equation = Equation(expr, names, size(expr) if complexity is None else complexity, loss)
        _put(found, output, equation)
        if self._use_symbolic and found is self._chosen:
            self._switch_again()
        elif found is self._chosen:
            self.surrogate = None  # made from the equation that was there before
        return equation

    def _switch_again(self) -> None:
        raise NotImplementedError

    def suggest(self, output: int, functions: Sequence[str] = FORMS, top: int | None = 5) -> list[Suggestion]:
        """The forms a*f(b*x + c) + d of one variable that fit an output best; see :func:`symtorch.equations.suggest`.

        One of them is put in place with ``set_equation(output, suggestion.text)``.

        Raises:
            InputError: there is no such output, or no data: distill first, in this process.
        """
        found = self._findings(False)
        X, Y = self._data(found)
        _check_output(output, Y.shape[1])
        return suggest(X, Y[:, output], found.require().variable_names, functions, top)

    def export(self, form: str, path: str | Path | None = None, outputs: Sequence[int] | None = None) -> Any:
        """The chosen equations for another program, over the block's own inputs.

        Args:
            form: "sympy" and "latex" give a list with one item per output; "numpy" and "jax" a function
                (..., n_inputs) -> (..., n_outputs); "torch source", "numpy source", "jax source" and "c" text
                that needs no symtorch; "torch.export" a program; "onnx" a file.
            path: where to write it; needed for "onnx", and possible for the sources.
            outputs: which ones, in which order; None for all that have been distilled.

        Returns:
            what ``form`` says; for a file its path.

        Raises:
            InputError: another form; or a variable is made by a Python function, which can't be written out.
        """
        check_form(form, path)
        found = self._findings(False)
        found.require()
        if outputs is not None and (not isinstance(outputs, Sequence) or not outputs):
            raise InputError(f"outputs is {outputs!r}; expected a list of at least one output, or None for all.")
        chosen = list(found.fronts if outputs is None else outputs)
        equations = [found.in_block_inputs(found.equation(i)) for i in chosen]
        return export(form, [eq.expr for eq in equations], equations[0].variable_names, path)

    def _data(self, found: Findings) -> tuple[np.ndarray, np.ndarray]:
        """Variables and outputs of the last distillation."""
        transforms = found.require().transforms
        if self._cache is None:
            raise InputError("there is no data; it is kept by distill(...) until clear_cache(), and in no file.")
        data = self._cache[1]
        X = data.X if transforms is None else transforms(torch.from_numpy(data.X)).numpy()
        return np.asarray(X, dtype=np.float64), data.Y


def _check_output(output: int, n_outputs: int) -> None:
    if output not in range(n_outputs):
        raise InputError(f"output {output!r} does not exist; there are outputs 0..{n_outputs - 1}.")


def _check_storable(expr: Expr, names: tuple[str, ...], operators: Sequence[Operator]) -> None:
    """A formula must come back from a saved state, where numbers are finite."""
    try:
        read_expr(Node(to_text(expr, names), "the formula"), names, list(operators))
    except StateError as error:
        raise InputError(str(error)) from None


def _put(found: Findings, output: int, equation: Equation) -> None:
    """Make an equation part of its output's front, and the chosen one."""
    front = found.fronts.get(output)
    if front is None:
        front = Front((equation,), engine="user")
    else:
        others = [eq for eq in front.equations if eq.complexity != equation.complexity]
        front = replace(front, equations=tuple(sorted([*others, equation], key=lambda eq: eq.complexity)))
    found.fronts = dict(sorted((found.fronts | {output: front}).items()))
    found.complexities[output] = equation.complexity
