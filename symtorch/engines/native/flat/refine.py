"""Refinement: what should stand at each place of a good expression, and does the bank have it?

Every node of an expression becomes a hole, in two ways.

Insertion, ``node + a*phi`` or ``node*(1 + a*phi)``: to first order the output changes by
``a*phi*d out/d node``. Scored on the part of the residual that the expression's own constants can't
explain, that is, orthogonally to their Jacobian.

Replacement, ``node -> g(a*phi + b)``: the target is propagated back through the tree to the node by
inverting one operator after the other (geometric semantic back-propagation: Pawlak, Wieloch and
Krawiec, doi 10.1109/TEVC.2014.2341697), with the sensitivity that says what an error there costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.fitting.archive import Archive, Candidate
from symtorch.engines.native.fitting.tape import Path, Tape
from symtorch.engines.native.flat.bank import Bank
from symtorch.engines.native.flat.scan import Contexts, Match, Scan, choose, orthonormal
from symtorch.engines.native.forms import normal
from symtorch.engines.native.forms.inverses import Wrap, undo, wraps
from symtorch.engines.native.forms.places import at, put
from symtorch.equations.expr import Call, Constant, Expr

Array = np.ndarray

_REPLACING = ("id", "^-1", "^0.5", "^-0.5", "^2", "exp")
"""Outermost functions that a replacement may have; more are found by mutation."""


@dataclass(frozen=True)
class Hole:
    """A place in an expression, and what is asked for there."""

    expr: Expr
    path: Path
    wrap: Wrap | None
    """None for an insertion."""
    multiply: bool = False
    negative: bool = False


@dataclass
class _Holes:
    holes: list[Hole]
    D: list[Array]
    r: list[Array]
    Q: list[Array]
    cost: list[float]

    def add(self, hole: Hole, D: Array, r: Array, Q: Array, cost: float) -> None:
        self.holes.append(hole)
        self.D.append(D)
        self.r.append(r)
        self.Q.append(Q)
        self.cost.append(cost)


def refine(
    archive: Archive,
    bank: Bank,
    columns: tuple[Array, ...],
    y: Array,
    root_weights: Array | None,
    limit: int,
    stop: Callable[[], bool],
    beam: int = 16,
    per_cost: int = 6,
    most: int = 200,
) -> list[Expr]:
    """New candidates from the best expressions that have not been refined yet.

    Args:
        archive: where the expressions come from; those taken are marked as expanded.
        columns: the inputs on the bank's rows.
        y, root_weights: (n_rows,) target and square roots of weights on the bank's rows.
        limit: how many expressions of the bank to try.
        beam: how many expressions to refine.
    """
    root = np.ones_like(y) if root_weights is None else root_weights
    found = _Holes([], [], [], [], [])
    chosen = expandable(archive, beam)
    with np.errstate(all="ignore"):
        for candidate in chosen:
            archive.expanded.add(normal.key(candidate.expr))
            _open(found, candidate, bank, columns, y, root)
    if not found.holes:
        return []
    total = max(float(np.sum((root * (y - np.average(y, weights=root**2))) ** 2)), 1e-300)
    n_nuisances = np.array([len(q) for q in found.Q])
    scans, members = [], []
    for q in np.unique(n_nuisances):
        rows = np.flatnonzero(n_nuisances == q)
        contexts = Contexts(
            np.array([found.D[i] for i in rows]),
            np.array([found.r[i] for i in rows]),
            np.array([found.Q[i] for i in rows]).reshape(len(rows), q, len(y)),
            np.array([found.cost[i] for i in rows]),
            np.full(len(rows), 1.0 / total),
        )
        scans.append(Scan(bank, contexts, limit, stop))
        members.append(rows)
        if stop():
            break
    largest = float(bank.words.options.maxsize)
    chosen_pairs = choose(scans, per_cost, most, 40, largest)
    return [_filled(found, int(members[number][match.context]), match, bank) for number, match in chosen_pairs]


def expandable(archive: Archive, beam: int) -> list[Candidate]:
    """The best expressions not expanded yet: all of the front, then those near it and good for their size.

    The front comes first as a whole, since a small equation may be one step from the law while the many
    variations of a large one look better.
    """
    ranked = []
    for shape, candidate in archive.found.items():
        if shape in archive.expanded or normal.key(candidate.expr) in archive.expanded:
            continue
        behind = math.log(candidate.loss + 1e-14) - math.log(archive.level(candidate.complexity) + 1e-14)
        ranked.append((behind, candidate.merit(), shape, candidate))
    ranked.sort(key=lambda item: item[:3])
    front = [item for item in ranked if item[0] <= 0.0]
    near = sorted(ranked[len(front) : 6 * beam], key=lambda item: item[1:3])
    return [candidate for *_, candidate in [*front, *near][:beam]]


def _open(found: _Holes, candidate: Candidate, bank: Bank, columns: tuple[Array, ...], y: Array, root: Array) -> None:
    """All holes of one expression."""
    n = len(y)
    tape = Tape(candidate.expr)
    results = tape.forward(columns, tape.constants)
    values = [np.broadcast_to(v, (n,)) for v in results]
    slopes: list[Array | None] = [
        None if a is None else np.broadcast_to(a, (n,)) * root for a in tape.backward(results)
    ]
    residual = (y - values[-1]) * root
    if not np.isfinite(residual).all():
        return
    own = [slope for i in tape.constant_nodes if (slope := slopes[i]) is not None and np.isfinite(slope).all()]
    at_path = {ins.path: i for i, ins in enumerate(tape.instructions)}
    words = bank.words
    price = 2.0 + words.options.complexity_of_constants
    usable = [wrap for wrap in wraps(words) if wrap.name in _REPLACING]
    seen: set[tuple[float, ...]] = set()

    def new(D: Array) -> bool:
        norm = float(np.linalg.norm(D))
        if not np.isfinite(norm) or norm < 1e-290:
            return False
        mark = tuple(np.round(np.abs(D[:8] / norm), 6))
        if mark in seen:
            return False
        seen.add(mark)
        return True

    for i in range(len(tape.instructions) - 1, -1, -1):
        ins, D = tape.instructions[i], slopes[i]
        if D is None or not np.isfinite(D).all():
            continue
        if new(D):
            found.add(
                Hole(candidate.expr, ins.path, None),
                D,
                residual,
                orthonormal([*own, D], n),
                candidate.complexity + price,
            )
        if tape.is_constant(i):
            continue
        if new(D * values[i]):
            Q = orthonormal([*own, D * values[i]], n)
            found.add(
                Hole(candidate.expr, ins.path, None, multiply=True), D * values[i], residual, Q,
                candidate.complexity + price + 1.0,
            )  # fmt: skip
        if ins.path:
            without = candidate.complexity - words.cost(words.render(at(candidate.expr, ins.path)) or candidate.tree)
            wanted, weight = wanted_at(candidate.expr, ins.path, lambda path: values[at_path[path]], y)
            _replacements(found, candidate.expr, ins.path, wanted, weight * root, usable, without + price + 1.0)


def _replacements(
    found: _Holes, expr: Expr, path: Path, wanted: Array, weight: Array, usable: list[Wrap], cost: float
) -> None:
    known = np.isfinite(wanted) & np.isfinite(weight)
    if known.mean() < 0.95:
        return
    positive = float((wanted[known] > 0.0).mean())
    for wrap in usable:
        if wrap.positive and 0.02 < positive < 0.98:
            continue
        negative = wrap.positive and positive <= 0.5
        target = np.where(known, -wanted if negative else wanted, np.nan)
        h = wrap.inverse(target)
        D = weight * wrap.slope(target, h)
        defined = np.isfinite(h) & np.isfinite(D)
        if defined.mean() < 0.93:
            continue
        D, h = np.where(defined, D, 0.0), np.where(defined, h, 0.0)
        norm = float(np.linalg.norm(D))
        if np.isfinite(norm) and norm > 1e-290:
            found.add(Hole(expr, path, wrap, negative=negative), D, D * h, (D / norm)[None], cost + wrap.cost)


def wanted_at(expr: Expr, path: Path, value: Callable[[Path], Array], y: Array) -> tuple[Array, Array]:
    """Semantic back-propagation: the value that a node should have for the tree to give ``y``.

    Args:
        value: path of a node -> its present values.

    Returns:
        The value wanted on each row, NaN where there is none, and ``|d y / d node|`` there.
    """
    wanted, weight = y.copy(), np.ones_like(y)
    here: Path = ()
    node = expr
    for step in path:
        assert isinstance(node, Call)
        child = (*here, step)
        if node.op is normal.PLUS:
            wanted = wanted - value((*here, 1 - step))
        elif node.op is normal.TIMES:
            if node.args[0] == normal.NEGATIVE:
                wanted = -wanted
            else:
                other = value((*here, 1 - step))
                wanted, weight = wanted / other, weight * np.abs(other)
        else:
            undone = undo(node, step, wanted, value(child))
            if undone is None:
                return np.full_like(y, np.nan), weight
            wanted, weight = undone[0], weight * undone[1]
        node, here = node.args[step], child
    return wanted, weight


def _filled(found: _Holes, number: int, match: Match, bank: Bank) -> Expr:
    """The expression with the bank's expression in the hole, its new constants by least squares."""
    hole, D, r = found.holes[number], found.D[number], found.r[number]
    phi, z = bank.expr(match.index), bank.values(match.index)
    if hole.wrap is not None:
        c = np.linalg.lstsq(np.stack([D, D * z], axis=1), r, rcond=None)[0]
        new = hole.wrap.build(normal.add([Constant(float(c[0])), _times(c[1], phi)]))
        if hole.negative:
            new = normal.multiply([normal.NEGATIVE, new])
    else:
        Q = found.Q[number]
        c = np.linalg.lstsq(np.vstack([Q, D * z]).T, r, rcond=None)[0]
        node = at(hole.expr, hole.path)
        if hole.multiply:
            new = normal.multiply([node, normal.add([Constant(1.0), _times(c[-1], phi)])])
        else:
            new = normal.add([node, _times(c[-1], phi)])
    return put(hole.expr, hole.path, new)


def _times(c: float, expr: Expr) -> Expr:
    return normal.multiply([Constant(float(c)), expr])


def with_more_constants(expr: Expr) -> Iterator[Expr]:
    """The expression with one more free constant: a shift or a factor at one of its nodes."""
    seen = {normal.key(expr)}
    stack: list[tuple[Path, Expr]] = [((), expr)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, Call):
            inner = node.args[:1] if normal.is_power(node) else node.args
            stack.extend(((*path, i), arg) for i, arg in enumerate(inner))
        if isinstance(node, Constant):
            continue
        for new in (normal.add([node, Constant(1e-3)]), normal.multiply([Constant(1.001), node])):
            changed = normal.normalise(put(expr, path, new))
            shape = normal.key(changed)
            if shape not in seen:
                seen.add(shape)
                yield changed
