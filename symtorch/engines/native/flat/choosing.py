"""Candidates with steps, choices and kinks, from data: where the law jumps or bends, and what is on each side.

Nothing here is found by following a derivative: a step has none by its threshold. Thresholds come from sweeps
(:mod:`.sweeps`) over directions (inputs, their sums and differences, what the search has found so far), and
between two rows the shortest number is taken. What stands beside a step, or on either side of a choice,
comes from least squares with lines, squares and products, without the terms that it doesn't need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, combinations_with_replacement, islice, product

import numpy as np

from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.flat.sweeps import (
    Array,
    Threshold,
    best_kink,
    best_split,
    explained,
    hinges,
    orthonormal,
    separating,
)
from symtorch.engines.native.flat.tuning import ChoosingTuning
from symtorch.engines.native.forms.choices import Choices
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.expr import Call, Constant, Expr, Variable, evaluate
from symtorch.equations.operators import OPERATORS

_RELU = OPERATORS["relu"]


@dataclass(frozen=True, eq=False)
class Term:
    """An expression and its values on all rows."""

    expr: Expr
    values: Array


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of a search, as the sweeps want them.

    Attributes:
        X: (n, d).
        y: (n,).
        root: (n,) square roots of the weights, with mean square 1.
        worth: mean square that is left by what is worth writing out, at most.
    """

    X: Array
    y: Array
    root: Array
    worth: float = np.inf

    @classmethod
    def of(cls, X: Array, y: Array, weights: Array | None, worth: float = 1.0) -> Table:
        root = np.ones(len(y)) if weights is None else np.sqrt(weights / weights.mean())
        table = cls(X, y, root)
        return replace(table, worth=worth * table.scale)

    def rows(self, chosen: Array) -> Table:
        return Table(self.X[chosen], self.y[chosen], self.root[chosen], self.worth)

    @property
    def to_fit(self) -> Rows:
        return Rows.of(self.X, self.y, self.root**2)

    @property
    def scale(self) -> float:
        """Weighted mean square of y about its mean."""
        w = self.root**2
        return max(float(np.mean(w * (self.y - np.average(self.y, weights=w)) ** 2)), 1e-300)

    def term(self, expr: Expr) -> Term:
        with np.errstate(all="ignore"):
            return Term(expr, np.broadcast_to(evaluate(expr, self.X), len(self.y)))

    def weighted(self, terms: Sequence[Term]) -> Array:
        columns = [self.root * term.values for term in terms]
        return np.column_stack(columns) if columns else np.empty((len(self.y), 0))


def candidates(
    table: Table,
    words: Choices,
    across: Sequence[Expr],
    between: Sequence[Expr],
    stop: Callable[[], bool],
    rounds: int | None = None,
) -> Iterator[Expr]:
    """Normal forms with steps and kinks in the user's operators, fitted by least squares.

    Args:
        rounds: how many steps or kinks are added up, at most; with a limit nothing but lines stands beside them.
        across: expressions across which there may be steps and kinks, instead of the inputs and their sums.
        between: expressions that may stand beside them, instead of lines, squares and products.
        stop: asked now and then; True ends the search.
    """
    bases = list(_found_bases(table, between) if between else _plain_bases(table, rounds is None))
    directions = _finite(table, across) if across else list(_directions(table))
    sums: list[Rounds] = []
    pieces: list[Rounds] = []
    for basis in bases:
        if words.steps:
            sums.append(_sums_of_steps(table, words, basis, directions))
            if len(basis) <= _tuning().split:
                pieces.append(_choices(table, words, basis, directions, _tuning().levels if rounds is None else 1))
        if between or len(basis) > 1:  # a kink without a line beside it is a kink with a line that isn't needed
            sums.append(_sums_of_kinks(table, words, basis, directions))
    oblique = [_sums_of_oblique_kinks(table, words, basis, stop) for basis in bases[-2:]]
    if words.steps and not across:
        oblique.append(_oblique_steps(table, words))
    yield from _by_rounds([islice(kind, rounds) for kind in (*sums, *oblique, *pieces)], stop)


def _tuning() -> ChoosingTuning:
    return current(ChoosingTuning)


Rounds = Iterator[Iterable[Expr]]
"""Candidates of one kind, those with one step or kink first, then those with two, ..."""


def _by_rounds(kinds: Sequence[Rounds], stop: Callable[[], bool]) -> Iterator[Expr]:
    """The first round of every kind, then the second of every kind, ...: what is simple comes first."""
    left = list(kinds)
    while left:
        for kind in list(left):
            if stop():
                return
            found = next(kind, None)
            if found is None:
                left.remove(kind)
            else:
                yield from found


def _finite(table: Table, exprs: Sequence[Expr]) -> list[Term]:
    terms = map(table.term, exprs)
    return [term for term in terms if np.isfinite(term.values).all() and np.ptp(term.values) > 0.0]


def _plain_bases(table: Table, products: bool) -> Iterator[list[Term]]:
    """What may stand beside a step: a constant, a line, and also squares and products."""
    one = table.term(Constant(1.0))
    inputs = [table.term(Variable(i)) for i in range(table.X.shape[1])]
    yield [one]
    yield [*inputs, one]
    if products and len(inputs) <= _tuning().paired:
        pairs = combinations_with_replacement(range(len(inputs)), 2)
        yield [*(table.term(normal.multiply([Variable(i), Variable(j)])) for i, j in pairs), *inputs, one]


def _found_bases(table: Table, found: Sequence[Expr]) -> Iterator[list[Term]]:
    """The same of what was found: each by itself, and all with the inputs."""
    one = table.term(Constant(1.0))
    known = _finite(table, found)
    yield from ([term, one] for term in known)
    yield [*known, *(table.term(Variable(i)) for i in range(table.X.shape[1])), one]


def _directions(table: Table) -> Iterator[Term]:
    """The inputs, and the sums and differences of two."""
    inputs = [Variable(i) for i in range(table.X.shape[1])]
    yield from map(table.term, inputs)
    if len(inputs) <= _tuning().paired:
        for a, b in combinations(inputs, 2):
            yield table.term(normal.add([a, normal.multiply([normal.NEGATIVE, b])]))
            yield table.term(normal.add([a, b]))


def _sums_of_steps(table: Table, words: Choices, basis: list[Term], directions: list[Term]) -> Rounds:
    """The basis and steps, one after the other, each where it explains most."""
    terms, left = list(basis), np.inf
    one = [table.term(Constant(1.0))]
    for _ in range(_tuning().added):
        places = _ranked(table, directions, partial(_split, both=one, common=terms))
        if not places:
            return
        indicator = words.gate(_from(*places[0]), Constant(1.0))
        if indicator is None:
            return
        terms.append(table.term(indicator))
        expr, now = _fitted(table, terms)
        yield [expr]
        if now < _tuning().exact * table.scale or now > (1.0 - _tuning().in_vain) * left:
            return
        left = now


def _sums_of_kinks(table: Table, words: Choices, basis: list[Term], directions: list[Term]) -> Rounds:
    """The same with kinks; these have a derivative by the threshold, so that the search's own fit goes on."""
    terms, kinks, left = list(basis), [], np.inf
    for _ in range(_tuning().added):
        places = _ranked(table, directions, partial(_kink, common=terms))
        if not places:
            return
        u = _from(*places[0])
        kinks.append(u)
        terms.append(table.term(normal.apply(_RELU, [u])))
        coefficients, now = _coefficients(table, terms)
        yield _written(table, words, basis, coefficients, kinks) if now <= table.worth else ()
        if now < _tuning().exact * table.scale or now > (1.0 - _tuning().in_vain) * left:
            return
        left = now


def _written(
    table: Table, words: Choices, basis: Sequence[Term], coefficients: Array, kinks: Sequence[Expr]
) -> Iterator[Expr]:
    """A sum of basis and kinks in the cheapest ways that the user's operators allow.

    It is fitted before: what cancels depends on where exactly the kinks are.
    """
    sizes = coefficients[len(basis) :].tolist()
    bare = [normal.multiply([Constant(c), normal.apply(_RELU, [u])]) for c, u in zip(sizes, kinks, strict=True)]
    total, _ = fit(
        normal.add([_sum(basis, coefficients[: len(basis)]), *bare]), table.to_fit, steps=_tuning().fit_steps
    )
    constant, found = normal.terms(normal.normalise(total))
    parts: list[tuple[float, Expr]] = []
    rest: list[Expr] = [Constant(_round(constant))]
    for c, term in found:
        if isinstance(term, Call) and term.op is _RELU:
            parts.append((c, _rounded(normal.multiply([Constant(abs(c)), term.args[0]]))))
        else:
            rest.append(normal.multiply([Constant(_round(c)), term]))
    for turned, beside in _orientations(parts, normal.add(rest))[: _tuning().ways]:
        ways = [beside] if _is_short(words, beside, *(v for _, v in turned)) else []
        for c, v in turned:
            write = words.positive_part if c > 0.0 else words.without_positive_part
            ways = [written for way in ways for written in write(v, way, most=_tuning().ways)]
        yield from ways


def _orientations(kinks: Sequence[tuple[float, Expr]], rest: Expr) -> list[tuple[list[tuple[float, Expr]], Expr]]:
    """The kinks and the rest with some kinks from the other side, max(v, 0) = v + max(-v, 0); fewest terms first."""
    out = []
    for flips in product((False, True), repeat=len(kinks)):
        turned = [
            (c, normal.multiply([normal.NEGATIVE, v]) if flip else v) for flip, (c, v) in zip(flips, kinks, strict=True)
        ]
        moved = [
            normal.multiplied_out(normal.multiply([Constant(math.copysign(1.0, c)), v]))
            for flip, (c, v) in zip(flips, kinks, strict=True)
            if flip
        ]
        beside = _rounded(normal.add([rest, *moved]))
        out.append((turned, beside))
    return sorted(out, key=lambda item: len(normal.terms(item[1])[1]) + (normal.terms(item[1])[0] != 0.0))


def _choices(table: Table, words: Choices, basis: list[Term], directions: list[Term], levels: int) -> Rounds:
    """One round: choices between sums of the basis."""
    yield [expr for expr, _ in _pieces(table, words, basis, directions, levels)]


def _pieces(
    table: Table, words: Choices, basis: list[Term], directions: list[Term], levels: int
) -> list[tuple[Expr, float]]:
    """Choices between sums of the basis, those that explain most first, with the mean square left over."""
    if len(table.y) < max(_tuning().fewest, 3 * len(basis)):
        return []
    places = _ranked(table, directions, partial(_split, both=basis, common=[]))[: _tuning().tried]
    out = []
    for direction, threshold in places:
        above = direction.values > threshold.value
        sides = [_side(table, words, basis, directions, rows, levels - 1) for rows in (above, ~above)]
        if None in sides:
            continue
        (f, left_f), (g, left_g) = (side for side in sides if side is not None)
        share = float(np.mean(above))
        left = share * left_f + (1.0 - share) * left_g
        if left > table.worth or not _is_short(words, f, g):
            continue
        ways = [write(f, g) for write in _selections(table, words, f, g, left)]
        for expr in (*ways, words.choice(_from(direction, threshold), f, g)):
            if expr is not None:
                out.append((expr, left))
    return sorted(out, key=lambda item: item[1])


def _selections(
    table: Table, words: Choices, f: Expr, g: Expr, left: float
) -> Iterator[Callable[[Expr, Expr], Expr | None]]:
    """The larger or the smaller of the two, where that says no less than the choice."""
    first, second = table.term(f).values, table.term(g).values
    for of_two, write in ((np.maximum, words.larger), (np.minimum, words.smaller)):
        errors = table.root * (of_two(first, second) - table.y)
        if float(np.mean(errors**2)) <= 1.1 * left + _tuning().exact * table.scale:
            yield write


def _is_short(words: Choices, *exprs: Expr) -> bool:
    """Whether these can be parts of an expression that the user allows at all."""
    trees = [words.words.render(expr) for expr in exprs]
    cost = sum(words.words.cost(tree) for tree in trees if tree is not None)
    return None not in trees and cost <= _tuning().cancels * words.words.options.maxsize


def _side(
    table: Table, words: Choices, basis: list[Term], directions: list[Term], rows: Array, levels: int
) -> tuple[Expr, float] | None:
    """One side of a choice: a sum of the basis, or a choice again."""
    own = table.rows(rows)
    if len(own.y) < 3:
        return None
    terms = [Term(term.expr, term.values[rows]) for term in basis]
    expr, left = _fitted(own, terms)
    if left > 1e-3 * table.scale and levels > 0:
        inner = [Term(term.expr, term.values[rows]) for term in directions]
        deeper = _pieces(own, words, terms, inner, levels)
        if deeper and deeper[0][1] < 0.1 * left:
            return deeper[0]
    return expr, left


def _oblique_steps(table: Table, words: Choices) -> Rounds:
    """One step between two constants across any plane."""
    levels = np.quantile(table.y, [0.02, 0.98])
    if levels[0] == levels[1] or table.X.shape[1] < 2:
        return
    high = table.y > levels.mean()
    centre, width = table.X.mean(axis=0), table.X.std(axis=0)
    width = np.where(width > 0.0, width, 1.0)
    w = separating(np.column_stack([(table.X - centre) / width, np.ones(len(table.y))]), high)
    slopes = w[:-1] / width
    if not slopes.any() or not np.isfinite(w).all():
        return
    slopes = slopes / np.abs(slopes).max()
    direction = Term(_linear(slopes), table.X @ slopes)
    threshold = _split(table, direction, np.arange(len(table.y)), [table.term(Constant(1.0))], [])
    indicator = None if threshold is None else words.gate(_from(direction, threshold), Constant(1.0))
    if indicator is not None:
        yield [_fitted(table, [table.term(indicator), table.term(Constant(1.0))])[0]]


def _sums_of_oblique_kinks(table: Table, words: Choices, basis: list[Term], stop: Callable[[], bool]) -> Rounds:
    """Sums of kinks across any planes, the planes of all found together by turns."""
    A = np.column_stack([table.X, np.ones(len(table.y))])
    inputs = [table.term(Variable(i)) for i in range(table.X.shape[1])]
    known = {term.expr for term in basis}
    basis = [*basis, *(term for term in (*inputs, table.term(Constant(1.0))) if term.expr not in known)]
    common, y, starts = table.weighted(basis), table.root * table.y, list(_starts(A))
    beams: list[list[Array]] = [[]]
    left = np.inf
    for _ in range(_tuning().added):
        turned = []
        for beam in beams:
            if stop():
                return
            turned += [hinges(A, table.root, y, common, [*beam, start]) for start in starts]
        ranked = sorted((item for item in turned if item is not None), key=lambda item: item[1])
        if not ranked or ranked[0][1] > (1.0 - _tuning().in_vain) * left:
            return
        left = ranked[0][1]
        beams = _different([planes for planes, _ in ranked])[: _tuning().beam]
        exprs = [_linear(w[:-1], float(w[-1])) for w in beams[0]]
        coefficients, _ = _coefficients(table, [*basis, *(table.term(normal.apply(_RELU, [u])) for u in exprs)])
        yield _written(table, words, basis, coefficients, exprs) if left <= table.worth else ()
        if left < _tuning().exact * table.scale:
            return


def _different(found: Sequence[list[Array]]) -> list[list[Array]]:
    """Without those that end in the same planes, in any order and direction."""
    kept: dict[frozenset[tuple[float, ...]], list[Array]] = {}
    for planes in found:
        units = (w / w[np.argmax(np.abs(w))] for w in planes)
        kept.setdefault(frozenset(tuple(np.round(unit, 6)) for unit in units), planes)
    return list(kept.values())


def _starts(A: Array) -> Iterator[Array]:
    """Planes through the middle of the data, across every input and every pair of inputs."""
    middle, width, d = np.median(A, axis=0), np.maximum(A.std(axis=0), 1e-300), A.shape[1] - 1
    across: list[dict[int, float]] = [{i: 1.0} for i in range(d)]
    across += [{i: 1.0, j: sign} for i, j in combinations(range(min(d, _tuning().paired)), 2) for sign in (1.0, -1.0)]
    for signs in across:
        w = np.zeros(d + 1)
        for i, sign in signs.items():
            w[i] = sign / width[i]
        w[-1] = -float(w[:-1] @ middle[:-1])
        yield w


# ---- places and coefficients


def _ranked(
    table: Table, directions: Sequence[Term], sweep: Callable[[Table, Term, Array], Threshold | None]
) -> list[tuple[Term, Threshold]]:
    """The best threshold of every direction, those that explain most first; of most only about."""
    every = np.arange(len(table.y))
    few = (
        every
        if len(every) <= _tuning().rows
        else np.sort(np.random.default_rng(0).permutation(every)[: _tuning().rows])
    )
    places = [(u, place) for u in directions if (place := sweep(table, u, few)) is not None]
    places.sort(key=lambda item: -item[1].gain)
    if few is every:
        return places
    return [(u, sweep(table, u, every) or place) for u, place in places[: _tuning().tried]]


def _split(table: Table, u: Term, rows: Array, both: Sequence[Term], common: Sequence[Term]) -> Threshold | None:
    y = table.root * table.y
    return best_split(u.values[rows], y[rows], table.weighted(both)[rows], table.weighted(common)[rows])


def _kink(table: Table, u: Term, rows: Array, common: Sequence[Term]) -> Threshold | None:
    y = (table.root * table.y)[rows]
    Q = orthonormal(table.weighted(common)[rows])
    return best_kink(u.values[rows], table.root[rows], y - Q @ (Q.T @ y), Q)


def _from(direction: Term, threshold: Threshold) -> Expr:
    return normal.add([direction.expr, Constant(-threshold.value)])


def _coefficients(table: Table, terms: Sequence[Term]) -> tuple[Array, float]:
    return explained(table.weighted(terms), table.root * table.y)


def _fitted(table: Table, terms: Sequence[Term]) -> tuple[Expr, float]:
    coefficients, left = _coefficients(table, terms)
    return _sum(terms, coefficients), left


def _sum(terms: Sequence[Term], coefficients: Array) -> Expr:
    pairs = zip(map(_round, coefficients.tolist()), terms, strict=True)
    return normal.add([normal.multiply([Constant(c), term.expr]) for c, term in pairs if c != 0.0])


def _rounded(total: Expr) -> Expr:
    """A sum with rounded coefficients."""
    constant, found = normal.terms(total)
    parts = [normal.multiply([Constant(_round(c)), term]) for c, term in found]
    return normal.add([*parts, Constant(_round(constant))])


def _round(value: float) -> float:
    """Without what rounding has added, so that what should cancel does; the fit that follows is exact again."""
    return float(f"{value:.9g}") if abs(value) > _tuning().zero else 0.0


def _linear(slopes: Array, constant: float = 0.0) -> Expr:
    least = _tuning().zero * float(np.abs(slopes).max())
    parts = [normal.multiply([Constant(float(c)), Variable(i)]) for i, c in enumerate(slopes) if abs(c) > least]
    return normal.add([*parts, Constant(constant)])
