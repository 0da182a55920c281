"""The operator table: what each operator is called and how each world computes it.

Every converter (parsing, evaluation, torch, SymPy, export, the engines) reads this table and nothing
else, so an operator is added in one place. Names are PySR's (that is, Julia's):
https://ai.damtp.cam.ac.uk/pysr/stable/operators/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from symtorch.errors import OptionError

if TYPE_CHECKING:
    from symtorch.equations.expr import Expr


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator.

    Two operators are equal if name and body are: a name means the same function everywhere, unless a
    user defines it.

    Attributes:
        name: PySR's name; for the infix operators the symbol.
        arity: number of arguments.
        numpy: arrays or float64 scalars -> array. NaN or infinity where undefined, never an error.
        torch: tensors -> tensor, any float dtype and device, differentiable.
        sympy: SymPy expressions -> SymPy expression.
        partials: ``partials(value, *args)``, the derivatives by each argument as NumPy arrays,
            given the operator's value there. None where it has none of use (floor, greater).
        precedence: of infix notation; None for function notation.
        body: for an operator that a user defined, its tree over ``Variable(0..arity-1)``.
    """

    name: str
    arity: int
    numpy: Callable[..., Any]
    torch: Callable[..., Any]
    sympy: Callable[..., Any]
    partials: Callable[..., tuple[Any, ...]] | None = None
    precedence: int | None = None
    body: Expr | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operator) and (self.name, self.body) == (other.name, other.body)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Operator({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # The functions of the table are lambdas; a name (and a body) says all there is to keep.
        return _restore, (self.name, self.arity, self.body)


def _restore(name: str, arity: int, body: Expr | None) -> Operator:
    return OPERATORS[name] if body is None else _from_body(name, arity, body)


OPERATORS: dict[str, Operator] = {}
"""Every operator by PySR's name."""

ALIASES = {"pow": "^", "**": "^", "plus": "+", "sub": "-", "mult": "*", "div": "/", "ln": "log", "Abs": "abs"}
"""Other spellings that are read as an operator of the table."""


def _add(name: str, arity: int, numpy: Any, torch: Any, sympy: Any, partials: Any = None, **more: Any) -> None:
    OPERATORS[name] = Operator(name, arity, numpy, torch, sympy, partials, **more)


def _sympy(name: str) -> Callable[..., Any]:
    """The SymPy function of that name, imported when it is first called."""

    def call(*args: Any) -> Any:
        import sympy

        return getattr(sympy, name)(*args)

    return call


def _power(x: Any, y: Any) -> Any:
    return np.power(np.asarray(x, dtype=np.float64), y)


def _power_partials(v: Any, x: Any, y: Any) -> tuple[Any, Any]:
    return y * _power(x, y - 1), v * np.log(x)


_add("+", 2, np.add, torch.add, lambda x, y: x + y, lambda v, x, y: (1.0, 1.0), precedence=1)
_add("-", 2, np.subtract, torch.sub, lambda x, y: x - y, lambda v, x, y: (1.0, -1.0), precedence=1)
_add("*", 2, np.multiply, torch.mul, lambda x, y: x * y, lambda v, x, y: (y, x), precedence=2)
_add("/", 2, np.divide, torch.div, lambda x, y: x / y, lambda v, x, y: (1 / y, -v / y), precedence=2)
_add("^", 2, _power, torch.pow, lambda x, y: x**y, _power_partials, precedence=4)
_add("neg", 1, np.negative, torch.neg, lambda x: -x, lambda v, x: (-1.0,))
_add("inv", 1, lambda x: np.divide(1.0, x), torch.reciprocal, lambda x: 1 / x, lambda v, x: (-v * v,))
_add("square", 1, np.square, torch.square, lambda x: x**2, lambda v, x: (2 * x,))
_add("cube", 1, lambda x: x * x * x, lambda x: x * x * x, lambda x: x**3, lambda v, x: (3 * x * x,))
_add("sqrt", 1, np.sqrt, torch.sqrt, _sympy("sqrt"), lambda v, x: (0.5 / v,))
_add("abs", 1, np.abs, torch.abs, _sympy("Abs"), lambda v, x: (np.sign(x),))
_add("exp", 1, np.exp, torch.exp, _sympy("exp"), lambda v, x: (v,))
_add("log", 1, np.log, torch.log, _sympy("log"), lambda v, x: (1 / x,))
_add("sin", 1, np.sin, torch.sin, _sympy("sin"), lambda v, x: (np.cos(x),))
_add("cos", 1, np.cos, torch.cos, _sympy("cos"), lambda v, x: (-np.sin(x),))
_add("tan", 1, np.tan, torch.tan, _sympy("tan"), lambda v, x: (1 + v * v,))
_add("sinh", 1, np.sinh, torch.sinh, _sympy("sinh"), lambda v, x: (np.cosh(x),))
_add("cosh", 1, np.cosh, torch.cosh, _sympy("cosh"), lambda v, x: (np.sinh(x),))
_add("tanh", 1, np.tanh, torch.tanh, _sympy("tanh"), lambda v, x: (1 - v * v,))


_DEFINITION = re.compile(r"^\s*([A-Za-z]\w*)\s*\(([^()]*)\)\s*=(?!=)\s*(.+?)\s*$", re.S)


def operator(spec: str, arity: int | None = None) -> Operator:
    """The operator that a user means by a name (``"sin"``) or a definition (``"inv(x) = 1/x"``).

    >>> operator("exp").arity
    1
    >>> float(operator("bump(x) = exp(-x^2)").numpy(np.float64(1.0))).__round__(6)
    0.367879

    Raises:
        OptionError: the operator isn't known, or its arity is not the expected one.
    """
    from symtorch.equations.parser import parse

    found: Operator | None
    if match := _DEFINITION.match(spec):
        name, parameters, text = match.groups()
        names = [p.strip() for p in parameters.split(",")]
        found = _from_body(name, len(names), parse(text, names))
    else:
        name = spec.strip()
        found = OPERATORS.get(ALIASES.get(name, name))
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


def _suggest(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."


def _from_body(name: str, arity: int, body: Expr) -> Operator:
    """An operator computed through its body; the table's own where the body is just that function."""
    from symtorch.equations.expr import Call, Constant, Variable

    def through(world: str, number: Callable[[float], Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            def rec(node: Expr) -> Any:
                if isinstance(node, Constant):
                    return number(node.value)
                if isinstance(node, Variable):
                    return args[node.index]
                assert isinstance(node, Call)
                return getattr(node.op, world)(*(rec(arg) for arg in node.args))

            return rec(body)

        return call

    def sympy_number(value: float) -> Any:
        import sympy

        return sympy.Integer(int(value)) if value.is_integer() else sympy.Float(value)

    built_in = OPERATORS.get(name)
    if built_in is not None and built_in.arity == arity:
        rng = np.random.default_rng(0)
        args = rng.uniform(0.1, 2.0, size=(arity, 16))
        if np.allclose(through("numpy", np.float64)(*args), built_in.numpy(*args), rtol=1e-12):
            return built_in

    def partials(value: Any, *args: Any) -> tuple[Any, ...]:
        tensors = [torch.as_tensor(np.asarray(a, dtype=np.float64)).clone().requires_grad_() for a in args]
        with torch.enable_grad():
            out = through("torch", lambda v: torch.tensor(v, dtype=torch.float64))(*tensors)
            grads = torch.autograd.grad(out.sum(), tensors, allow_unused=True)
        return tuple(np.zeros(t.shape) if g is None else g.numpy() for g, t in zip(grads, tensors, strict=True))

    return Operator(
        name,
        arity,
        through("numpy", np.float64),
        through("torch", lambda v: torch.tensor(v)),
        through("sympy", sympy_number),
        partials,
        body=body,
    )
