"""Of the forms of a law that cost the same, the one that a textbook would print.

Complexity is what a law is chosen by, so nothing here makes one dearer. But many forms cost the same:
``x0*exp(u) - x0`` and ``x0*(exp(u) - 1)``, ``sqrt((x2/x1)^2 - 1)*x1/x2`` and ``sqrt(1 - (x1/x2)^2)``,
``0.0796*x0/x1`` and ``x0/(4*pi*x1)``. People take the form in which each quantity stands once, numbers are
few and short, quotients aren't put into one another, and a correction is one to 1.

>>> from symtorch.engines.options import SearchOptions
>>> from symtorch.equations.expr import to_text
>>> from symtorch.equations.parser import parse
>>> space = {"unary_operators": ["exp"], "binary_operators": ["+", "-", "*", "/"]}
>>> words = Vocabulary(SearchOptions.from_params(space))
>>> law = parse("x0*exp(x1) - x0", ["x0", "x1"])
>>> to_text(most_readable(normalise(law), words, np.ones((1, 2)))[1], ["x0", "x1"])
'x0*(exp(x1) - 1)'
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from symtorch.engines.native.forms.renderer import Renderer
from symtorch.engines.native.forms.simplify import RULES, forms_of, shortest
from symtorch.engines.native.forms.tuning import FormsTuning
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.tuning import current
from symtorch.equations.expr import Call, Constant, Expr, Variable, evaluate, fold, transform
from symtorch.equations.normal import normalise
from symtorch.equations.numerals import effort, rounded, written
from symtorch.equations.operators import Operator
from symtorch.equations.rewriting import same_values
from symtorch.equations.rules import divide_out, take_out

_PER_CLUTTER = 1e-3
"""What a unit of clutter counts beside one of complexity: it decides between what costs the same."""
_PER_VARIABLE = 0.5
"""What reading a variable takes once more, where a long decimal is 1."""
_NEGATIVE = 0.5
"""Of a number with a sign of its own, ``x*(-2)``."""
_WITHIN = 0.4
"""Of a quotient right above or below a line, ``(a/b)/c``, or in a sum there."""
_ABS = 1.0
_MINUS_NUMBER = 0.1
"""Of ``u - 1`` beside ``1 - u``."""
_ONE_OVER = 0.2
"""Of ``1/u``, a line for one quantity."""
_ONE_AND = -0.25
"""Of ``1 + u`` and ``1 - u``: a correction to what is simple."""


def most_readable(expr: Expr, words: Vocabulary, X: np.ndarray, share: float = 1.0) -> tuple[Expr, Expr] | None:
    """The form of a law that reads best of the cheapest ones, as normal form and as tree.

    Args:
        expr: a normal form.
        words: the user's operators.
        X: (n, n_inputs) samples, on which the form has the same values.
        share: of the usual number of forms that are looked at.

    Returns:
        None where the law can't be written.
    """
    tuning, values = current(FormsTuning), evaluate(expr, X)
    expr = shortest(normalise(transform(expr, _rounded)), words, X, round(share * tuning.forms))
    own = words.legal(expr)
    if own is None:
        return None
    ranked: list[tuple[float, int, Expr, Expr]] = []
    renderers = _renderers(words)
    for form in forms_of(expr, words, round(share * tuning.read), 0.5, (take_out, divide_out, *RULES)):
        for tree in _written(form, words, renderers):
            if words.complexity(tree) <= words.complexity(own) and words.options.violation(tree) is None:
                ranked.append((words.cost(tree) + _PER_CLUTTER * clutter(tree), len(ranked), form, tree))
    for _, _, form, tree in sorted(ranked, key=lambda item: item[:2]):
        if same_values(evaluate(tree, X), values):
            return form, tree
    return expr, own


def _renderers(words: Vocabulary) -> list[Renderer]:
    """What writes coefficients outside of sums, and what does so inside where that costs no more."""

    def cost(tree: Expr) -> float:
        return words.cost(tree) + _PER_CLUTTER * clutter(tree)

    operators = words.options.operators
    return [Renderer(words.arithmetic, operators, cost, words.ways_to_raise, ties=ties) for ties in (False, True)]


def _written(form: Expr, words: Vocabulary, renderers: list[Renderer]) -> Iterator[Expr]:
    """A form in the user's operators, in every renderer's way."""
    for renderer in renderers:
        tree = renderer.render(form)
        if tree is not None:
            yield arranged(transform(tree, _rounded), words)


def _rounded(node: Expr) -> Expr:
    return Constant(rounded(node.value)) if isinstance(node, Constant) else node


def clutter(tree: Expr) -> float:
    """What a reader stumbles over in a tree.

    >>> from symtorch.equations.parser import parse
    >>> clutter(parse("x*(y - 1)", ["x", "y"])) < clutter(parse("x*y - x", ["x", "y"]))
    True
    """

    def rule(node: Expr, parts: list[float]) -> float:
        return _own(node) + sum(parts)

    return fold(tree, rule)


def _own(node: Expr) -> float:
    if isinstance(node, Variable):
        return _PER_VARIABLE
    if isinstance(node, Constant):
        return effort(node.value) + _NEGATIVE * (node.value < 0.0)
    assert isinstance(node, Call)
    name = node.op.name
    if name in ("+", "-"):
        number, other = node.args[::-1] if name == "+" else node.args
        if number == Constant(1.0) and not _is_number_over(other):
            return _ONE_AND
        return _MINUS_NUMBER * (name == "-" and isinstance(node.args[1], Constant))
    if name == "/":
        return _WITHIN * sum(map(_has_quotient, node.args)) + _ONE_OVER * (node.args[0] == Constant(1.0))
    return _ABS * (name == "abs")


def _is_number_over(node: Expr) -> bool:
    """Whether it is a number over something: ``1 - 3/(u + 2)`` corrects nothing, it is ``(u - 1)/(u + 2)``."""
    return isinstance(node, Call) and node.op.name == "/" and isinstance(node.args[0], Constant)


def _has_quotient(node: Expr) -> bool:
    """Whether a quotient is a factor, or a term of a factor; a number may be written as one."""
    if isinstance(node, Constant):
        numeral = written(node.value)
        return numeral is not None and numeral.is_quotient
    if not isinstance(node, Call) or node.op.name not in "+-*/":
        return False
    return node.op.name == "/" or any(map(_has_quotient, node.args))


def arranged(tree: Expr, words: Vocabulary) -> Expr:
    """The tree with the number of each quotient above or below the line, where it reads better."""
    times, divide = words.arithmetic.times, words.arithmetic.divide
    if times is None or divide is None:
        return tree

    def arrange(node: Expr, is_whole: bool) -> Expr:
        """``is_whole``: not a factor of a product that has its own number."""
        if not isinstance(node, Call):
            return node
        is_product = node.op in (times, divide)
        node = _moved(node, times, divide, words) if is_product and is_whole else node
        return Call(node.op, tuple(arrange(arg, not is_product) for arg in node.args))

    return arrange(tree, True)


def _moved(node: Call, times: Operator, divide: Operator, words: Vocabulary) -> Call:
    """A product or a quotient with its number on the other side of the line, if that reads better."""
    above, below = (node, None) if node.op is times else node.args
    value, rest = _leading(above, times)
    if rest is None or value in (0.0, 1.0, -1.0):
        return node
    under = Constant(rounded(1.0 / value))
    moved = Call(divide, (rest, under if below is None else Call(times, (under, below))))
    better = _is_whole(under.value) and clutter(moved) + _PER_LINE * (below is None) < clutter(node)
    return moved if better and words.cost(moved) <= words.cost(node) else node


def _leading(above: Expr, times: Operator) -> tuple[float, Expr | None]:
    """The number that a chain of products begins with, and the others."""
    if not (isinstance(above, Call) and above.op is times):
        return 1.0, None
    first, last = above.args
    if isinstance(first, Constant):
        return first.value, last
    value, rest = _leading(first, times)
    return value, None if rest is None else Call(times, (rest, last))


def _is_whole(value: float) -> bool:
    """Whether a number is written without a point and without a line: ``3``, ``4*pi``, ``sqrt(2)``."""
    numeral = written(value)
    return float(value).is_integer() if numeral is None else not numeral.is_quotient


_PER_LINE = 0.1
"""Of a quotient where there was a product: ``x/2`` beside ``0.5*x``."""
