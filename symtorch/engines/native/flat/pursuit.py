"""Several terms under one function, found one after the other: ``y = phi1 * g(a*phi2 + b*phi3 + ... + c)``.

Matching pursuit (Mallat and Zhang 1993, doi 10.1109/78.258082) in the space of ``g^-1(y/phi1)``: for every
outermost function g the bank's expressions that explain it best are kept, a second is sought beside each
of them, then a third; in the end each term may be replaced by a better one (Jain, Tewari and Dhillon 2011,
arXiv 1106.2774). Errors are counted once in units of y and once in units of the function's argument,
because a law with a near-pole has all its variance in a few rows.

The factor phi1 is read off the logarithm of y, where a product is a sum: an expression of the bank with the
sign of y, times powers of inputs whose exponents are a regression's slopes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from symtorch.engines.native.flat.bank import Bank
from symtorch.engines.native.flat.scan import Contexts, Scan, orthonormal
from symtorch.engines.native.forms import normal
from symtorch.engines.native.forms.inverses import Wrap, wraps
from symtorch.equations.expr import Constant, Expr, Variable, evaluate

Array = np.ndarray
Terms = tuple[int, ...]
"""Expressions of the bank, in the order of their numbers."""

_TERMS = 3
_BEAM = 4
"""Sets of terms of one target that are continued, beside the best of every cost."""
_CANDIDATES = 40
_PROMISING = 4
"""Targets, the best ones, whose terms are replaced one by one."""
_FINEST = 8
"""Expressions of the first block of the bank, of which one is kept."""
_NOTHING = 1e-6
"""A share of the variance that float32 can't tell from nothing."""
_SIGNED = 2000
"""Expressions of the bank, the cheapest ones, that may have the sign of the target."""
_AGREE = 0.98
_MAX_INPUTS = 40
"""Inputs above which no exponents are estimated."""
_MAX_QUADRATIC = 8
"""Inputs of which all squares and products are allowed for beside the powers."""


@dataclass(frozen=True)
class _Target:
    """What the terms have to add up to: ``y = factor * g(h)``, with the weight of an error of h."""

    factor: Expr | None
    wrap: Wrap
    negative: bool
    h: Array
    D: Array
    cost: float


def pursue(
    bank: Bank,
    y: Array,
    root_weights: Array | None,
    factors: list[Expr],
    values: list[Array],
    limit: int,
    stop: Callable[[], bool],
) -> list[Expr]:
    """Candidates for one output, with up to three terms under each function that can be undone.

    Args:
        bank: the building blocks, over the same rows as ``y``.
        y: (n_rows,) the target.
        root_weights: (n_rows,) square roots of the rows' weights, or None.
        factors, values: what may stand before the function, and its values on these rows.
        limit: how many expressions of the bank may be terms.
        stop: whether time is up.
    """
    root = np.ones_like(y) if root_weights is None else root_weights
    with np.errstate(all="ignore"):
        targets = _targets(bank, y, root, factors, values)
    sets: list[set[Terms]] = [{()} for _ in targets]
    found: list[dict[Terms, float]] = [{} for _ in targets]
    for size in range(1, _TERMS + 2):
        for known, ranked in zip(found, _extended(bank, targets, sets, limit, stop), strict=True):
            known.update(ranked)
        if stop():
            break
        if size < _TERMS:
            sets = [
                {terms for terms, error in known.items() if len(terms) == size and error > _NOTHING} for known in found
            ]
        else:
            sets = _without_one(found)
    order = sorted(
        (max(error, _NOTHING), target.cost + _cost(bank, terms), number, terms)
        for number, (target, known) in enumerate(zip(targets, found, strict=True))
        for terms, error in _best(known)
    )
    return [_built(bank, targets[number], terms) for *_, number, terms in order[:_CANDIDATES]]


def _without_one(found: list[dict[Terms, float]]) -> list[set[Terms]]:
    """The largest sets of the most promising targets without one of their terms, for another to take its place."""
    least = [min(known.values(), default=np.inf) for known in found]
    promising = sorted(range(len(found)), key=lambda i: least[i])[:_PROMISING]
    out: list[set[Terms]] = [set() for _ in found]
    for number in promising:
        if least[number] > _NOTHING:
            full = [terms for terms in found[number] if len(terms) == _TERMS]
            out[number] = {terms[:i] + terms[i + 1 :] for terms in full for i in range(_TERMS)} - set(found[number])
    return out


def _best(known: dict[Terms, float]) -> list[tuple[Terms, float]]:
    """The best few sets of every size."""
    out: list[tuple[Terms, float]] = []
    for size in range(1, _TERMS + 1):
        out += sorted((item for item in known.items() if len(item[0]) == size), key=lambda item: item[::-1])[:2]
    return out


def _targets(bank: Bank, y: Array, root: Array, factors: list[Expr], values: list[Array]) -> list[_Target]:
    words = bank.words
    out = []
    for factor, value in [(None, np.ones_like(y)), *zip(factors, values, strict=True)]:
        ratio = y / value
        positive = float((ratio > 0.0).mean())
        written = None if factor is None else words.render(factor)
        cost = 0.0 if written is None else words.cost(written) + 1.0
        for wrap in wraps(words):
            if wrap.positive and 1.0 - _AGREE < positive < _AGREE:
                continue
            if factor is None and wrap.name == "id":  # sums are what refinement is for
                continue
            negative = wrap.positive and positive < 0.5
            r = -ratio if negative else ratio
            if wrap.bounded and np.abs(r).max() > 20.0:
                continue
            h = wrap.inverse(r)
            slope = np.abs(value) * wrap.slope(r, h) * root
            for D in (slope, _even(slope, h)):
                usable = np.isfinite(h) & np.isfinite(D) & (D > 0.0)
                if usable.mean() >= 0.9:
                    D, known = np.where(usable, D, 0.0), np.where(usable, h, 0.0)
                    out.append(_Target(factor, wrap, negative, known, D, cost + wrap.cost))
    return out


def _even(slope: Array, h: Array) -> Array:
    """Equal weights on the rows where the argument isn't extreme."""
    middle = np.median(h)
    inside = np.abs(h - middle) < 40.0 * np.median(np.abs(h - middle))
    return np.where(np.isfinite(slope) & inside, 1.0, 0.0)


def _extended(
    bank: Bank, targets: list[_Target], sets: list[set[Terms]], limit: int, stop: Callable[[], bool]
) -> list[dict[Terms, float]]:
    """For every target its best sets of terms with one term more, and the share of the variance that each leaves."""
    owners, chosen, parts = [], [], []
    values = {i: bank.values(i) for i in {i for group in sets for terms in group for i in terms}}
    for number, (target, group) in enumerate(zip(targets, sets, strict=True)):
        D, r = target.D, target.D * target.h
        spread = float(np.sum((r - D * (D @ r) / (D @ D)) ** 2))
        for terms in sorted(group):
            Q = orthonormal([D, *(D * values[i] for i in terms)], len(D))
            if len(Q) == 1 + len(terms) and spread > 0.0:
                owners.append(number)
                chosen.append(terms)
                parts.append((D, r, Q, target.cost, 1.0 / spread))
    best: list[dict[Terms, float]] = [{} for _ in targets]
    if not parts:
        return best
    D, r, Q, cost, scale = (np.array(column) for column in zip(*parts, strict=True))
    scan = Scan(bank, Contexts(D, r, Q, cost, scale), limit, stop, _FINEST)
    for row, number, terms in zip(range(len(scan.errors)), owners, chosen, strict=False):
        for error, column in zip(scan.errors[row], scan.best[row], strict=True):
            more = tuple(sorted((*terms, int(bank.unit_index[column]))))
            if np.isfinite(error):
                best[number][more] = min(float(error), best[number].get(more, np.inf))
    return [_beam(bank, found) for found in best]


def _beam(bank: Bank, found: dict[Terms, float]) -> dict[Terms, float]:
    """The best sets of terms, and the best of every cost: a cheap one may need but one term more."""
    kept: dict[Terms, float] = {}
    costs: set[int] = set()
    for terms, error in sorted(found.items(), key=lambda item: (max(item[1], _NOTHING), _cost(bank, item[0]))):
        cost = int(_cost(bank, terms))
        if len(kept) < _BEAM or cost not in costs:
            costs.add(cost)
            kept[terms] = error
    return kept


def _cost(bank: Bank, terms: Terms) -> float:
    return float(sum(bank.cost[i] for i in terms))


def _built(bank: Bank, target: _Target, terms: Terms) -> Expr:
    """The terms as an expression, their coefficients by least squares."""
    columns = [target.D, *(target.D * bank.values(i) for i in terms)]
    c = np.linalg.lstsq(np.stack(columns, axis=1), target.D * target.h, rcond=None)[0]
    addends = [normal.multiply([Constant(float(k)), bank.expr(i)]) for k, i in zip(c[1:], terms, strict=True)]
    out = target.wrap.build(normal.add([Constant(float(c[0])), *addends]))
    if target.negative:
        out = normal.multiply([normal.NEGATIVE, out])
    return out if target.factor is None else normal.multiply([target.factor, out])


# ---- what stands before the function


def likely_factors(bank: Bank, X: Array, y: Array, bank_rows: Array) -> list[Expr]:
    """Products of powers that y may have as a factor.

    Args:
        X: (n, d) inputs.
        y: (n,) the target.
        bank_rows: which of the rows the bank is made of.
    """
    some = y[bank_rows]
    signs: list[Expr | None] = [None]
    if 1.0 - _AGREE < (some > 0.0).mean() < _AGREE:
        cheapest = bank.order[:_SIGNED]
        agree = (np.sign(bank.raw[bank._t(cheapest)].cpu().numpy()) == np.sign(some)).mean(axis=1)
        signs += [bank.expr(int(i)) for i in cheapest[(agree > _AGREE) | (agree < 1.0 - _AGREE)][:3]]
    with np.errstate(all="ignore"):
        powers = _powers(X[:, :_MAX_INPUTS])
        out = []
        for sign in signs:
            part = np.ones_like(y) if sign is None else evaluate(sign, X)
            exponents = _exponents(powers, np.log(np.abs(y / part)), X.shape[1])
            factors = [normal.power(Variable(i), e) for i, e in exponents.items()]
            if sign is not None:
                factors.append(sign)
            if factors:
                out.append(normal.multiply(factors))
    kept = {normal.key(factor): factor for factor in out if bank.words.render(factor) is not None}
    return list(kept.values())


def _powers(X: Array) -> Array:
    """Columns of the regression: the logarithm of every input, 1, and smooth functions of those with both signs."""
    both = [column / np.abs(column).max() for column in X.T if column.min() < 0.0 < column.max()]
    if len(both) <= _MAX_QUADRATIC:
        quadratic = [a * b for a, b in combinations_with_replacement(both, 2)]
    else:
        quadratic = [a * a for a in both]
    return np.column_stack([np.log(np.abs(X)), np.ones(len(X)), *both, *quadratic])


def _exponents(powers: Array, target: Array, n_inputs: int) -> dict[int, float]:
    """The slopes that a half or whole number explains, and no 0."""
    if n_inputs > _MAX_INPUTS:
        return {}
    sound = np.isfinite(target) & np.isfinite(powers).all(axis=1)
    A, b = powers[sound], target[sound]
    if len(b) <= 2 * A.shape[1]:
        return {}
    slopes, _, rank, _ = np.linalg.lstsq(A, b, rcond=None)
    if rank < A.shape[1]:
        return {}
    noise = np.sum((b - A @ slopes) ** 2) / (len(b) - A.shape[1])
    errors = np.sqrt(noise * np.diag(np.linalg.inv(A.T @ A)))
    out = {}
    for i in range(n_inputs):
        exponent = round(2.0 * slopes[i]) / 2.0
        if 0.0 < abs(exponent) <= 3.0 and errors[i] < 0.15 and abs(slopes[i] - exponent) < 2.5 * errors[i] + 1e-6:
            out[i] = exponent
    return out
