"""Operators that a user means by a name, or writes as a definition."""

from __future__ import annotations

import copyreg
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from symtorch.equations.expr import Call, Constant, Expr, Variable, fold
from symtorch.equations.operators import ALIASES, OPERATORS, Operator, add
from symtorch.equations.parser import parse
from symtorch.equations.table import ROWS, Row
from symtorch.errors import OptionError, ParseError

DEFINED = {
    "sqrt_abs": "sqrt_abs(x) = sqrt(abs(x))",
    "log_abs": "log_abs(x) = log(abs(x))",
    "log2_abs": "log2_abs(x) = log2(abs(x))",
    "log10_abs": "log10_abs(x) = log10(abs(x))",
    "log1p_abs": "log1p_abs(x) = log(abs(x) + 1)",
    "acosh_abs": "acosh_abs(x) = acosh(abs(x) + 1)",
    "pow_abs": "pow_abs(x, y) = abs(x)^y",
}
"""Operators that PySR has for old equations; they are read by their definitions."""


_DEFINITION = re.compile(r"^\s*([A-Za-z]\w*)\s*\(([^()]*)\)(?:\s*where\b[^=]*)?\s*=(?!=)\s*(.+?)\s*$", re.S)


_JULIA_FUNCTION = re.compile(r"^\s*function\s+([A-Za-z]\w*)\s*\(([^()]*)\)(.+?)\s*end\s*$", re.S)


def operator(spec: str, arity: int | None = None, mappings: Mapping[str, Callable[..., Any]] | None = None) -> Operator:
    """The operator that a user means by a name (``"sin"``) or a definition (``"inv(x) = 1/x"``).

    >>> operator("exp").arity
    1
    >>> float(operator("bump(x) = exp(-x^2)").numpy(np.float64(1.0))).__round__(6)
    0.367879

    Args:
        spec: the name or the definition.
        arity: how many arguments it must have; None for any number.
        mappings: SymPy functions by operator name. They say what a definition means that is more
            Julia than a formula (``"f(x) = x > 0 ? x : 0"``), and how the others are shown in SymPy.

    Raises:
        OptionError: the operator isn't known, or its arity is not the expected one.
        ParseError: its definition can't be read, and there is no mapping for it.
    """
    found: Operator | None
    if (match := _DEFINITION.match(spec)) or (match := _JULIA_FUNCTION.match(spec)):
        found = _defined(mappings or {}, *match.groups())
    else:
        name = spec.strip()
        found = OPERATORS.get(ALIASES.get(name, name))
        if found is None and name in DEFINED:
            return operator(DEFINED[name], arity)
    if found is None:
        raise OptionError(
            f"operator {spec!r} is not known. {_suggest(name, OPERATORS)} "
            f"Your own is written as a definition: 'name(x) = 1/(1 + x^2)'."
        )
    if arity is not None and found.arity != arity:
        kind = {1: "unary", 2: "binary"}
        raise OptionError(
            f"operator {spec!r} is {kind.get(found.arity, found.arity)}, but stands among the "
            f"{kind.get(arity, arity)} operators."
        )
    return found


def _defined(mappings: Mapping[str, Callable[..., Any]], name: str, parameters: str, text: str) -> Operator:
    """An operator by its formula, or else by its SymPy function."""
    names = [p.partition("::")[0].strip() for p in parameters.split(",")]
    mapping = mappings.get(name)
    try:
        found = from_body(name, len(names), parse(text, names))
    except ParseError as error:
        if mapping is None:
            raise ParseError(
                f"the definition of operator {name!r} is more than a formula of the known functions ({error}) "
                f"Say what it means: extra_sympy_mappings={{{name!r}: lambda {', '.join(names)}: ...}}."
            ) from error
        return _from_mapping(name, names, mapping)
    return found if mapping is None or found.body is None else replace(found, sympy=mapping)


def _from_mapping(name: str, parameters: list[str], mapping: Callable[..., Any]) -> Operator:
    """An operator by its SymPy function."""
    import sympy

    from symtorch.equations.sympy_bridge import from_sympy

    try:
        formula = mapping(*(sympy.Symbol(parameter, real=True) for parameter in parameters))
        body = from_sympy(formula, parameters)
    except Exception as error:
        raise OptionError(f"extra_sympy_mappings[{name!r}] can't be used as an operator: {error}") from error
    return replace(from_body(name, len(parameters), body), sympy=mapping)


def _suggest(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."


def from_body(name: str, arity: int, body: Expr) -> Operator:
    """An operator computed through its body; the table's own where the body is just that function."""

    def through(world: str, number: Callable[[float], Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            def rule(node: Expr, values: list[Any]) -> Any:
                if isinstance(node, Constant):
                    return number(node.value)
                if isinstance(node, Variable):
                    return args[node.index]
                assert isinstance(node, Call)
                return getattr(node.op, world)(*values)

            return fold(body, rule)

        return call

    def sympy_number(value: float) -> Any:
        from symtorch.equations.sympy_bridge import number

        return number(value)

    built_in = OPERATORS.get(name)
    if built_in is not None and built_in.arity == arity:
        args = np.random.default_rng(0).uniform(-3.0, 3.0, size=(arity, 64))
        with np.errstate(all="ignore"):
            ours, theirs = built_in.numpy(*args), through("numpy", np.float64)(*args)
        if np.allclose(ours, theirs, rtol=1e-12, atol=0.0, equal_nan=True):
            return built_in

    # In float64, since a number without dimensions takes on the precision of the tensor it meets.
    in_torch = through("torch", lambda value: torch.tensor(value, dtype=torch.float64, device="cpu"))

    def partials(value: Any, *args: Any) -> tuple[Any, ...]:
        tensors = [
            torch.as_tensor(np.asarray(a, dtype=np.float64), device="cpu").clone().requires_grad_() for a in args
        ]
        with torch.enable_grad():
            out = in_torch(*tensors)
            grads = torch.autograd.grad(out.sum(), tensors, allow_unused=True) if out.requires_grad else [None] * arity
        return tuple(np.zeros(t.shape) if g is None else g.numpy() for g, t in zip(grads, tensors, strict=True))

    return Operator(
        name, arity, through("numpy", np.float64), in_torch, through("sympy", sympy_number), partials, body=body
    )


def _restore(name: str, arity: int, body: Expr | None) -> Operator:
    return OPERATORS[name] if body is None else from_body(name, arity, body)


def _restore_added(row: Row) -> Operator:
    """In another process, an operator that a program has added may not be known yet."""
    known = OPERATORS.get(row.name)
    return known if known is not None and known.row == row else add(row)


def _reduce(op: Operator) -> tuple[Any, ...]:
    # The functions of the table are lambdas; a name (and a body, or a row) says all there is to keep.
    if op.row is not None and op.row not in ROWS:
        return _restore_added, (op.row,)
    return _restore, (op.name, op.arity, op.body)


copyreg.pickle(Operator, _reduce)  # here, so that the table knows nothing of definitions
