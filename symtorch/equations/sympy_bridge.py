"""Trees as SymPy expressions, and SymPy expressions (a user's formula, PySR's result) as trees.

SymPy is imported with this module, so it is imported by nothing but functions that need it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy
from sympy.logic.boolalg import BooleanAtom

from symtorch.equations.expr import Call, Constant, Expr, Variable, fold
from symtorch.equations.numerals import written
from symtorch.equations.operators import ALIASES, OPERATORS
from symtorch.equations.sympy_words import LARGEST_INTEGER, number
from symtorch.errors import ParseError, listed


def to_sympy(expr: Expr, names: Sequence[str]) -> Any:
    """The tree as a SymPy expression over real symbols of these names."""
    symbols = [sympy.Symbol(name, real=True) for name in names]

    # With each part goes its value where it holds no variable: 9^9^9^9 would keep SymPy's exact
    # integers busy for ever, so what overflows float64 (or has no real value) is settled here.
    def rule(node: Expr, parts: list[tuple[Any, float | None]]) -> tuple[Any, float | None]:
        if isinstance(node, Constant):
            return number(node.value), node.value
        if isinstance(node, Variable):
            return symbols[node.index], None
        assert isinstance(node, Call)
        values = [value for _, value in parts if value is not None]
        value = None
        if len(values) == len(parts):
            with np.errstate(all="ignore"):
                value = float(node.op.numpy(*(np.float64(v) for v in values)))
            if not abs(value) < LARGEST_INTEGER:
                return number(value), value
        return node.op.sympy(*(part for part, _ in parts)), value

    return fold(expr, rule)[0]


def latex(expr: Expr, names: Sequence[str], precision: int) -> str:
    """The tree in LaTeX, constants as a textbook writes them or rounded to ``precision`` significant digits."""
    shown = to_sympy(expr, names)
    return sympy.latex(shown.xreplace({n: _shown(n, precision) for n in shown.atoms(sympy.Float)}))


def _shown(value: Any, precision: int) -> Any:
    numeral = written(float(value), precision)
    if numeral is None:
        return sympy.Float(value, precision)
    return numeral.sympy() if value > 0 else -numeral.sympy()


# ---- the way back

_RELATIONS = {
    sympy.StrictGreaterThan: "greater",
    sympy.StrictLessThan: "less",
    sympy.GreaterThan: "greater_equal",
    sympy.LessThan: "less_equal",
}
_RECIPROCALS = {"sec": "cos", "csc": "sin", "cot": "tan", "sech": "cosh", "csch": "sinh", "coth": "tanh"}


def from_sympy(expr: Any, names: Sequence[str]) -> Expr:
    """The tree of a SymPy expression.

    >>> from symtorch.equations.expr import to_text
    >>> x, y = sympy.symbols("x y")
    >>> to_text(from_sympy(sympy.Max(1.0, x) / sympy.sqrt(y), ["x", "y"]), ["x", "y"])
    'max(1, x)/sqrt(y)'

    Args:
        expr: over symbols of these names.
        names: name of each input column, in order.

    Raises:
        ParseError: it holds a function, a number or a symbol that no tree can.
    """
    try:
        return _Reader(names).read(sympy.sympify(expr, strict=True))  # strict: never from text, which it would run
    except sympy.SympifyError:
        raise ParseError(f"expected a SymPy expression, got {type(expr).__name__}; text is read by parse().") from None
    except RecursionError:
        raise ParseError("the SymPy expression is nested too deeply.") from None


class _Reader:
    def __init__(self, names: Sequence[str]) -> None:
        self.index = {name: i for i, name in enumerate(names)}

    def read(self, e: Any) -> Expr:
        if isinstance(e, sympy.Symbol):
            if e.name not in self.index:
                raise ParseError(f"symbol {e.name!r} is not one of the variables {listed(self.index)}.")
            return Variable(self.index[e.name])
        if isinstance(e, BooleanAtom):
            return Constant(1.0 if e else 0.0)
        if e.is_Number or e.is_NumberSymbol:
            return Constant(float(e))
        if isinstance(e, sympy.Add):
            return self._sum(e)
        if isinstance(e, sympy.Mul):
            return self._product(e)
        if isinstance(e, sympy.Pow):
            return self._power(e.base, e.exp)
        return self._function(e)

    def _call(self, name: str, *args: Expr) -> Expr:
        return Call(OPERATORS[name], args)

    def _chain(self, name: str, terms: Sequence[Expr]) -> Expr:
        """A binary operator over many arguments, from the left."""
        result = terms[0]
        for term in terms[1:]:
            result = self._call(name, result, term)
        return result

    def _sum(self, e: Any) -> Expr:
        terms = e.as_ordered_terms()
        # Start with a positive term, so that -x + y is read as y - x.
        terms.sort(key=lambda term: bool(term.could_extract_minus_sign()))
        result = self.read(terms[0])
        for term in terms[1:]:
            negative = bool(term.could_extract_minus_sign())
            result = self._call("-" if negative else "+", result, self.read(-term if negative else term))
        return result

    def _product(self, e: Any) -> Expr:
        above: list[Any] = []
        below: list[Any] = []
        for factor in e.as_ordered_factors():
            inverse = isinstance(factor, sympy.Pow) and factor.exp.is_Number and factor.exp.is_negative
            (below if inverse else above).append(1 / factor if inverse else factor)
        negative = bool(above) and above[0] == -1
        above = above[1:] if negative else above
        top = self._chain("*", [self.read(f) for f in above]) if above else Constant(1.0)
        result = top
        if below:
            result = self._call("/", top, self._chain("*", [self.read(f) for f in below]))
        return self._call("neg", result) if negative else result

    def _power(self, base: Any, exponent: Any) -> Expr:
        if base == sympy.E:
            return self._call("exp", self.read(exponent))
        if exponent == sympy.Rational(1, 2):
            return self._call("sqrt", self.read(base))
        if exponent == -1:
            return self._call("inv", self.read(base))
        return self._call("^", self.read(base), self.read(exponent))

    def _function(self, e: Any) -> Expr:
        name = type(e).__name__
        if type(e) in _RELATIONS:
            return self._call(_RELATIONS[type(e)], *map(self.read, e.args))
        if isinstance(e, sympy.Piecewise):
            return self._piecewise(e)
        if isinstance(e, (sympy.And, sympy.Or)):
            return self._chain(f"logical_{name.lower()}", [self.read(arg) for arg in e.args])
        if isinstance(e, sympy.Not):
            return self._call("logical_not", self.read(e.args[0]))
        if isinstance(e, (sympy.Equality, sympy.Unequality)):
            return self._equality(e)
        if isinstance(e, (sympy.Max, sympy.Min)):
            return self._chain(name.lower(), [self.read(arg) for arg in e.args])
        if isinstance(e, sympy.Heaviside) and e.args[1:] and e.args[1] != sympy.Rational(1, 2):
            raise ParseError(f"{e} has its own value at 0; write Piecewise instead.")
        if name in _RECIPROCALS:
            return self._call("inv", self._call(_RECIPROCALS[name], self.read(e.args[0])))
        op = OPERATORS.get(name) or OPERATORS.get(ALIASES.get(name, name))
        args = e.args[: op.arity] if op is not None else e.args
        if op is None or len(args) != op.arity:
            raise ParseError(f"{name} in the SymPy expression {e} has no operator here.")
        return self._call(op.name, *map(self.read, args))

    def _equality(self, e: Any) -> Expr:
        left, right = map(self.read, e.args)
        same = self._call(
            "logical_and", self._call("greater_equal", left, right), self._call("less_equal", left, right)
        )
        return same if isinstance(e, sympy.Equality) else self._call("logical_not", same)

    def _piecewise(self, e: Any) -> Expr:
        *cases, last = e.args
        if last[1] == True:  # noqa: E712 (SymPy's true is no bool)
            result = self.read(last[0])
        else:
            cases, result = list(e.args), Constant(math.nan)
        for value, holds in reversed(cases):
            result = self._call("ifelse", self.read(holds), self.read(value), result)
        return result
