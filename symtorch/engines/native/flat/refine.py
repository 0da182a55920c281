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

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.fitting.archive import Archive, Candidate, depth
from symtorch.engines.native.fitting.tape import Path, Tape
from symtorch.engines.native.flat.bank import Bank
from symtorch.engines.native.flat.scan import Contexts, Scan, choose, orthonormal
from symtorch.engines.native.flat.tuning import GuessTuning, RefineTuning
from symtorch.engines.native.forms.inverses import Wrap, undo, wraps
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.expr import Call, Constant, Expr
from symtorch.equations.places import at, put

Array = np.ndarray

_REPLACING = ("id", "^-1", "^0.5", "^-0.5", "^2", "exp")
"""Outermost functions that a replacement may have; more are found by mutation."""


_TINY = 1e-290
"""A norm that nothing should be divided by."""


@dataclass(frozen=True, eq=False)
class Hole:
    """A place in an expression, and what is asked for there: ``r = a*D*phi`` up to the rows of Q.

    Attributes:
        expr, path: the place.
        D, r, Q, cost: see :class:`.Contexts`, on the bank's rows.
        wrap: the function around what replaces the node; None where something is inserted.
        multiply: what is inserted is a factor ``1 + a*phi``, else a term ``a*phi``.
        negative: the function enters with a minus.
    """

    expr: Expr
    path: Path
    D: Array
    r: Array
    Q: Array
    cost: float
    wrap: Wrap | None = None
    multiply: bool = False
    negative: bool = False

    def filled(self, phi: Expr, z: Array) -> Expr:
        """The expression with phi, whose values are z, in the hole, its new constants by least squares."""
        if self.wrap is not None:
            c = np.linalg.lstsq(np.stack([self.D, self.D * z], axis=1), self.r, rcond=None)[0]
            new = self.wrap.build(normal.add([Constant(float(c[0])), _times(c[1], phi)]))
            if self.negative:
                new = normal.multiply([normal.NEGATIVE, new])
            return put(self.expr, self.path, new)
        a = np.linalg.lstsq(np.vstack([self.Q, self.D * z]).T, self.r, rcond=None)[0][-1]
        node, inserted = at(self.expr, self.path), _times(a, phi)
        if self.multiply:
            return put(self.expr, self.path, normal.multiply([node, normal.add([Constant(1.0), inserted])]))
        return put(self.expr, self.path, normal.add([node, inserted]))


def refine(
    archive: Archive,
    bank: Bank,
    columns: tuple[Array, ...],
    y: Array,
    root_weights: Array | None,
    limit: int,
    stop: Callable[[], bool],
) -> list[Expr]:
    """New candidates from the best expressions that have not been refined yet.

    Args:
        archive: where the expressions come from; those taken are marked as expanded.
        columns: the inputs on the bank's rows.
        y, root_weights: (n_rows,) target and square roots of weights on the bank's rows.
        limit: how many expressions of the bank to try.
        stop: whether time is up.
    """
    root = np.ones_like(y) if root_weights is None else root_weights
    by_nuisances: dict[int, list[Hole]] = {}
    with np.errstate(all="ignore"):
        for candidate in expandable(archive):
            archive.expanded.add(normal.key(candidate.expr))
            for hole in holes(candidate, bank.words, columns, y, root):
                by_nuisances.setdefault(len(hole.Q), []).append(hole)
    total = max(float(np.sum((root * (y - np.average(y, weights=root**2))) ** 2)), 1e-300)
    groups = [by_nuisances[n] for n in sorted(by_nuisances)]
    scans = []
    for group in groups:
        D, r, Q = (np.array([getattr(hole, name) for hole in group]) for name in ("D", "r", "Q"))
        cost, scale = np.array([hole.cost for hole in group]), np.full(len(group), 1.0 / total)
        scans.append(Scan(bank, Contexts(D, r, Q, cost, scale), limit, stop))
        if stop():
            break
    if not scans:
        return []
    tuning = current(RefineTuning)
    largest = float(bank.words.options.maxsize)
    chosen = choose(scans, tuning.per_size, tuning.most, current(GuessTuning).overall, largest)
    return [
        groups[number][match.context].filled(bank.expr(match.index), bank.values(match.index))
        for number, match in chosen
    ]


def expandable(archive: Archive) -> list[Candidate]:
    """The best expressions not expanded yet: all of the front, then those that are good for their size.

    The front comes first as a whole, since a small equation may be one step from the law while the many
    variations of a large one look better.
    """
    tuning = current(RefineTuning)
    ranked = []
    for shape, candidate in archive.found.items():
        if shape in archive.expanded or normal.key(candidate.expr) in archive.expanded:
            continue
        behind = candidate.depth - depth(archive.level(candidate.complexity))
        ranked.append((behind, archive.merit(candidate, archive.tuning.price), shape, candidate))
    ranked.sort(key=lambda item: item[1:3])
    # Of noisy rows many are better than the front by less than a place on it takes: none of them goes before it.
    front = [item for item in ranked if item[0] <= 0.0]
    near = [item for item in ranked if item[0] > 0.0]
    return [candidate for *_, candidate in [*front, *near][: tuning.beam]]


def holes(candidate: Candidate, words: Vocabulary, columns: tuple[Array, ...], y: Array, root: Array) -> Iterator[Hole]:
    """Every hole of an expression, those at its leaves last.

    Args:
        columns: the inputs on the bank's rows.
        y, root: (n_rows,) the target, and square roots of weights.
    """
    expr, n = candidate.expr, len(y)
    tape = Tape(expr)
    results = tape.forward(columns, tape.constants)
    values = [np.broadcast_to(v, (n,)) for v in results]
    slopes = [None if a is None else np.broadcast_to(a, (n,)) * root for a in tape.backward(results)]
    residual = (y - values[-1]) * root
    if not np.isfinite(residual).all():
        return
    own = [slope for i in tape.constant_nodes if (slope := slopes[i]) is not None and np.isfinite(slope).all()]
    node_at = {instruction.path: i for i, instruction in enumerate(tape.instructions)}
    usable = [wrap for wrap in wraps(words) if wrap.name in _REPLACING]
    price = 2.0 + words.options.complexity_of_constants  # of the new constant, and of what joins it
    asked = _Asked()
    for i in range(len(tape.instructions) - 1, -1, -1):
        path, D = tape.instructions[i].path, slopes[i]
        if D is None or not np.isfinite(D).all():
            continue
        if asked.first(D):
            yield Hole(expr, path, D, residual, orthonormal([*own, D], n), candidate.complexity + price)
        if tape.is_constant(i):
            continue
        in_proportion = D * values[i]
        if asked.first(in_proportion):
            Q = orthonormal([*own, in_proportion], n)
            cost = candidate.complexity + price + 1.0
            yield Hole(expr, path, in_proportion, residual, Q, cost, multiply=True)
        if path:
            node = words.render(at(expr, path)) or candidate.tree
            wanted, weight = wanted_at(expr, path, lambda path: values[node_at[path]], y)
            cost = candidate.complexity - words.cost(node) + price + 1.0
            yield from _replacements(expr, path, wanted, weight * root, usable, cost)


class _Asked:
    """What was asked already: holes whose sensitivities differ by a factor find the same."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def first(self, D: Array) -> bool:
        """Whether a sensitivity is usable and new, up to a factor."""
        norm = float(np.linalg.norm(D))
        if not np.isfinite(norm) or norm < _TINY:
            return False
        unit = D / norm
        unit = np.round(unit * np.sign(unit[np.argmax(np.abs(unit))]), 6) + 0.0  # no -0, which has other bytes
        mark = unit.tobytes()
        if mark in self._seen:
            return False
        self._seen.add(mark)
        return True


def _replacements(
    expr: Expr, path: Path, wanted: Array, weight: Array, usable: list[Wrap], cost: float
) -> Iterator[Hole]:
    """Holes ``g(a*phi + b)`` in the place of a node that should have the values ``wanted``."""
    tuning = current(GuessTuning)
    known = np.isfinite(wanted) & np.isfinite(weight)
    if known.mean() < tuning.defined:
        return
    positive = float((wanted[known] > 0.0).mean())
    for wrap in usable:
        if wrap.positive and 1.0 - tuning.agree < positive < tuning.agree:
            continue
        negative = wrap.positive and positive <= 0.5
        target = np.where(known, -wanted if negative else wanted, np.nan)
        h = wrap.inverse(target)
        D = weight * wrap.slope(target, h)
        defined = np.isfinite(h) & np.isfinite(D)
        if defined.mean() < tuning.defined:
            continue
        D, h = np.where(defined, D, 0.0), np.where(defined, h, 0.0)
        norm = float(np.linalg.norm(D))
        if np.isfinite(norm) and norm > _TINY:
            yield Hole(expr, path, D, D * h, (D / norm)[None], cost + wrap.cost, wrap, negative=negative)


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
