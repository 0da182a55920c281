"""The shortest way to write a law in the user's operators.

A decomposition leaves forms such as ``x1*sqrt(x0^2/x1^2 + 1)``. Rules of algebra lead from one form of
an expression to others: a factor goes into a sum or comes out of it, a sum is multiplied out or put
over one denominator, sines and cosines of one angle become one wave, logarithms join. A best-first
search over the forms, with the user's complexity as the cost, keeps the cheapest one met, which is
then compared with the original on the samples: some rules hold for some signs only, and the data
decide. (Equality saturation, POPL 2009, doi 10.1145/1480881.1480915, without the graph: laws are small.)

>>> from symtorch.equations.normal import normalise
>>> from symtorch.equations.expr import to_text
>>> from symtorch.equations.parser import parse
>>> from symtorch.engines.options import SearchOptions
>>> space = {"unary_operators": ["sqrt", "square"], "binary_operators": ["+", "-", "*", "/"]}
>>> words = Vocabulary(SearchOptions.from_params(space))
>>> ugly = normalise(parse("x1*sqrt(x0^2/x1^2 + 1)", ["x0", "x1"]))
>>> X = np.random.default_rng(0).uniform(1, 2, (50, 2))
>>> to_text(words.render(shortest(ugly, words, X)), ["x0", "x1"])
'sqrt(square(x0) + square(x1))'
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from symtorch.engines.native.forms.choices import idea
from symtorch.engines.native.forms.tuning import FormsTuning
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.tuning import current
from symtorch.equations import rules as algebra
from symtorch.equations.expr import Call, Constant, Expr, Variable, evaluate, variables
from symtorch.equations.normal import LOG, add, apply, factors, is_product, is_sum, multiply, power, terms
from symtorch.equations.places import nodes
from symtorch.equations.rewriting import explored, same_values
from symtorch.equations.rules import Rule

_FURTHER = 0.5
"""A form must be so much cheaper for the search to begin anew from it: a long way goes over several shorter forms."""


def shortest(expr: Expr, words: Vocabulary, X: np.ndarray, most: int | None = None) -> Expr:
    """The cheapest form of an expression that was met among so many, with the same values on X.

    Args:
        expr: a normal form.
        words: the user's operators; forms that can't be written are passed through but not returned.
        X: (n, n_inputs) samples.
        most: how many are looked at, from each form that is cheaper than those before; by default
            :attr:`.FormsTuning.forms`.
    """
    most = current(FormsTuning).forms if most is None else most
    constant, groups = _independent(expr)
    if len(groups) <= 1:
        return _shortest(expr, words, X, most)
    others = [Variable(min(variables(groups[k - 1][0]), default=0)) for k in range(len(groups))]
    for _ in range(2):  # a constant that is left over in one group may be of use in another that came before
        before = constant
        for k, beside in enumerate(others):
            group = add([*groups[k], Constant(constant)])
            constant, found = terms(_shortest(group, words, X, most, beside))
            groups[k] = [multiply([Constant(c), term]) for c, term in found]
        if constant == before:
            break
    whole = add([*itertools.chain(*groups), Constant(constant)])
    return whole if _cost(whole, words) < _cost(expr, words) and words.legal(whole) is not None else expr


def _independent(expr: Expr) -> tuple[float, list[list[Expr]]]:
    """The constant of a sum, and its terms, those together that algebra could join.

    Those share an input or a coefficient, or are logarithms. Terms of different inputs are only longer over one
    denominator, or one in the other's bracket; and all forms of them together are as many as the product of each's.
    """
    if not is_sum(expr):
        return 0.0, []
    constant, found = terms(expr)
    groups: list[tuple[set[Hashable], list[Expr]]] = []
    for c, term in found:
        joint: set[Hashable] = {*variables(term)}
        if abs(c) != 1.0:
            joint.add(f"{abs(c):.9g}")
        if isinstance(term, Call) and term.op == LOG:
            joint.add(LOG.name)
        members = [multiply([Constant(c), term])]
        for group in [group for group in groups if group[0] & joint]:
            groups.remove(group)
            joint, members = joint | group[0], [*group[1], *members]
        groups.append((joint, members))
    return constant, [members for _, members in groups]


def _shortest(expr: Expr, words: Vocabulary, X: np.ndarray, most: int, beside: Expr | None = None) -> Expr:
    """:func:`shortest` of what is one whole, or stands beside another term of a sum."""
    values = evaluate(expr, X)
    while True:
        start, met = _met(expr, words, most, RULES, beside)
        shorter = (form for form in sorted(met, key=lambda form: met[form]) if met[form] < start)
        found = next((form for form in shorter if _is_same(form, values, words, X)), None)
        if found is None:
            return expr
        expr = found
        if start - met[found] < _FURTHER:
            return expr


def _is_same(form: Expr, values: np.ndarray, words: Vocabulary, X: np.ndarray) -> bool:
    return same_values(evaluate(form, X), values) and words.legal(form) is not None


def forms_of(
    expr: Expr, words: Vocabulary, most: int, longer: float, rules: Sequence[Rule] | None = None
) -> list[Expr]:
    """The expression and forms that algebra makes of it, the cheapest first; some hold for some signs only.

    Args:
        expr: a normal form.
        most: how many are looked at.
        longer: by how much more than the expression one may cost.
        rules: what leads from form to form; by default :data:`RULES`.
    """
    start, met = _met(expr, words, most, RULES if rules is None else rules)
    return sorted((form for form, cost in met.items() if cost <= start + longer), key=lambda form: met[form])


def _met(
    expr: Expr, words: Vocabulary, most: int, rules: Sequence[Rule], beside: Expr | None = None
) -> tuple[float, dict[Expr, float]]:
    """The cost of an expression, and the forms of it met by a best-first search, with what each costs.

    It begins at the expression and at what it is multiplied out, from where a polynomial is a few steps away.

    Args:
        beside: another term of the sum that it is part of, where a sign costs nothing; None where it stands alone.
    """

    def price(form: Expr) -> float:
        return _cost(form if beside is None else add([form, beside]), words)

    met = explored(expr, price, tuple(rules), most, current(FormsTuning).detour)
    return met[expr], met


def _cost(expr: Expr, words: Vocabulary) -> float:
    tree = words.render(expr)
    if tree is None:
        return 2.0 * sum(1 for _ in nodes(expr))
    # Of two forms that cost the same, the one with fewer constants, then the one without negative ones.
    numbers = [node.value for node in nodes(tree) if isinstance(node, Constant)]
    return words.cost(tree) + 0.01 * len(numbers) + 0.001 * sum(value < 0 for value in numbers)


def into_condition(node: Expr) -> Iterator[Expr]:
    """``a*cond(u, b) -> cond(u, a*b)``: a factor goes where the condition holds."""
    if not is_product(node):
        return
    c, found = factors(node)
    for k, (base, exponent) in enumerate(found):
        if exponent == 1.0 and isinstance(base, Call) and idea(base.op) == "cond":
            rest = [power(b, e) for i, (b, e) in enumerate(found) if i != k]
            yield apply(base.op, [base.args[0], multiply([Constant(c), *rest, base.args[1]])])


RULES: tuple[Rule, ...] = (*algebra.SHORTENING, into_condition)
