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
from symtorch.engines.native.flat.tuning import GuessTuning, PursuitTuning
from symtorch.engines.native.forms.inverses import Wrap, wraps
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.expr import Constant, Expr, Variable, evaluate

Array = np.ndarray
Terms = tuple[int, ...]
"""Expressions of the bank, in the order of their numbers."""

_NOTHING = 1e-6
"""A share of the variance that float32 can't tell from nothing."""


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
    tuning = current(PursuitTuning)
    root = np.ones_like(y) if root_weights is None else root_weights
    with np.errstate(all="ignore"):
        targets = _targets(bank, y, root, factors, values)
    sets: list[set[Terms]] = [{()} for _ in targets]
    found: list[dict[Terms, float]] = [{} for _ in targets]
    for size in range(1, tuning.terms + 2):
        for known, ranked in zip(found, _extended(bank, targets, sets, limit, stop), strict=True):
            known.update(ranked)
        if stop():
            break
        if size < tuning.terms:
            sets = [
                {terms for terms, error in known.items() if len(terms) == size and error > _NOTHING} for known in found
            ]
        else:
            sets = _without_one(found, tuning)
    order = sorted(
        (max(error, _NOTHING), target.cost + _cost(bank, terms), number, terms)
        for number, (target, known) in enumerate(zip(targets, found, strict=True))
        for terms, error in _best(known, tuning)
    )
    return [_built(bank, targets[number], terms) for *_, number, terms in order[: tuning.candidates]]


def _without_one(found: list[dict[Terms, float]], tuning: PursuitTuning) -> list[set[Terms]]:
    """The largest sets of the most promising targets without one of their terms, for another to take its place."""
    least = [min(known.values(), default=np.inf) for known in found]
    promising = sorted(range(len(found)), key=lambda i: least[i])[: tuning.promising]
    out: list[set[Terms]] = [set() for _ in found]
    for number in promising:
        if least[number] > _NOTHING:
            full = [terms for terms in found[number] if len(terms) == tuning.terms]
            fewer = {terms[:i] + terms[i + 1 :] for terms in full for i in range(tuning.terms)}
            out[number] = fewer - set(found[number])
    return out


def _best(known: dict[Terms, float], tuning: PursuitTuning) -> list[tuple[Terms, float]]:
    """The best few sets of every size."""
    out: list[tuple[Terms, float]] = []
    for size in range(1, tuning.terms + 1):
        sized = (item for item in known.items() if len(item[0]) == size)
        out += sorted(sized, key=lambda item: item[::-1])[: tuning.per_size]
    return out


def _targets(bank: Bank, y: Array, root: Array, factors: list[Expr], values: list[Array]) -> list[_Target]:
    words, undoing = bank.words, current(GuessTuning)
    out = []
    for factor, value in [(None, np.ones_like(y)), *zip(factors, values, strict=True)]:
        ratio = y / value
        positive = float((ratio > 0.0).mean())
        written = None if factor is None else words.render(factor)
        cost = 0.0 if written is None else words.cost(written) + 1.0
        for wrap in wraps(words):
            if wrap.positive and 1.0 - undoing.agree < positive < undoing.agree:
                continue
            if factor is None and wrap.name == "id":  # sums are what refinement is for
                continue
            negative = wrap.positive and positive < 0.5
            r = -ratio if negative else ratio
            if wrap.bounded and np.abs(r).max() > undoing.steep:
                continue
            h = wrap.inverse(r)
            slope = np.abs(value) * wrap.slope(r, h) * root
            for D in (slope, _even(slope, h, undoing.extreme)):
                usable = np.isfinite(h) & np.isfinite(D) & (D > 0.0)
                if usable.mean() >= undoing.defined:
                    D, known = np.where(usable, D, 0.0), np.where(usable, h, 0.0)
                    out.append(_Target(factor, wrap, negative, known, D, cost + wrap.cost))
    return out


def _even(slope: Array, h: Array, extreme: float) -> Array:
    """Equal weights on the rows where the argument isn't extreme."""
    middle = np.median(h)
    inside = np.abs(h - middle) < extreme * np.median(np.abs(h - middle))
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
    scan = Scan(bank, Contexts(D, r, Q, cost, scale), limit, stop, current(PursuitTuning).first_block)
    for row, number, terms in zip(range(len(scan.errors)), owners, chosen, strict=False):
        for error, column in zip(scan.errors[row], scan.best[row], strict=True):
            more = tuple(sorted((*terms, int(bank.unit_index[column]))))
            if np.isfinite(error):
                best[number][more] = min(float(error), best[number].get(more, np.inf))
    return [_beam(bank, found, current(PursuitTuning).beam) for found in best]


def _beam(bank: Bank, found: dict[Terms, float], beam: int) -> dict[Terms, float]:
    """The best sets of terms, and the best of every cost: a cheap one may need but one term more."""
    kept: dict[Terms, float] = {}
    costs: set[int] = set()
    for terms, error in sorted(found.items(), key=lambda item: (max(item[1], _NOTHING), _cost(bank, item[0]))):
        cost = int(_cost(bank, terms))
        if len(kept) < beam or cost not in costs:
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
    tuning, agree = current(PursuitTuning), current(GuessTuning).agree
    some = y[bank_rows]
    signs: list[Expr | None] = [None]
    if 1.0 - agree < (some > 0.0).mean() < agree:
        cheapest = bank.order[: tuning.signed]
        same = (np.sign(bank.raw[bank.indices(cheapest)].cpu().numpy()) == np.sign(some)).mean(axis=1)
        signs += [bank.expr(int(i)) for i in cheapest[(same > agree) | (same < 1.0 - agree)][: tuning.signs]]
    with np.errstate(all="ignore"):
        powers = _powers(X[:, : tuning.powers], tuning.quadratic)
        out = []
        for sign in signs:
            part = np.ones_like(y) if sign is None else evaluate(sign, X)
            exponents = _exponents(powers, np.log(np.abs(y / part)), X.shape[1], tuning)
            factors = [normal.power(Variable(i), e) for i, e in exponents.items()]
            if sign is not None:
                factors.append(sign)
            if factors:
                out.append(normal.multiply(factors))
    kept = {normal.key(factor): factor for factor in out if bank.words.render(factor) is not None}
    return list(kept.values())


def _powers(X: Array, most_quadratic: int) -> Array:
    """Columns of the regression: the logarithm of every input, 1, and smooth functions of those with both signs."""
    both = [column / np.abs(column).max() for column in X.T if column.min() < 0.0 < column.max()]
    if len(both) <= most_quadratic:
        quadratic = [a * b for a, b in combinations_with_replacement(both, 2)]
    else:
        quadratic = [a * a for a in both]
    return np.column_stack([np.log(np.abs(X)), np.ones(len(X)), *both, *quadratic])


def _exponents(powers: Array, target: Array, n_inputs: int, tuning: PursuitTuning) -> dict[int, float]:
    """The slopes that a half or whole number explains, and no 0."""
    if n_inputs > tuning.powers:
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
        near = abs(slopes[i] - exponent) < tuning.deviations * errors[i] + 1e-6
        if 0.0 < abs(exponent) <= tuning.steepest and errors[i] < tuning.certain and near:
            out[i] = exponent
    return out
