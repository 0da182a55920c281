"""First guesses: a target explained by one or two expressions of the bank and an outermost function.

    y = phi1 * g(a*phi + b)        y = a*phi + b*phi1 + c

With phi1 and g given, ``h = g^-1(y/phi1)`` is known on every row, and ``a*phi + b = h`` is a matter of
linear least squares with the weights that an error of h has in y. All phi of the bank are scored in
all contexts (phi1, g) by matrix products (:mod:`.scan`); the best pairs get their constants a, b, c in
closed form and go on to the fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.flat.bank import Bank
from symtorch.engines.native.flat.scan import Contexts, Match, Scan, choose
from symtorch.engines.native.flat.tuning import GuessTuning
from symtorch.engines.native.forms.inverses import Wrap, wraps
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.expr import Constant, Expr

Array = np.ndarray

_LINEAR = None
"""In the place of a wrap: the context ``y = a*phi + b*phi1 + c``."""


@dataclass(frozen=True)
class Kind:
    """Contexts of one form: which phi1 (-1 for none) and whether y/phi1 is negative there."""

    wrap: Wrap | None
    partner: Array
    negative: Array


class ContextBatch:
    """All contexts of one output, ready to be scanned."""

    def __init__(self, bank: Bank, y: Array, root_weights: Array | None, n_partners: int, grid: bool = True) -> None:
        self.bank = bank
        self.tuning = current(GuessTuning)
        self.y = y
        self.root = np.ones_like(y) if root_weights is None else root_weights
        cheapest = bank.order[:n_partners]
        # Functions with a constant inside are worth trying as a factor, however dear they are.
        others = np.setdiff1d(bank.grid if grid else [], cheapest)
        self.n_cheapest = 1 + len(cheapest)
        self.partners = np.concatenate([[-1], cheapest, others]).astype(np.int64)
        values = bank.raw[bank.indices(self.partners[1:])].cpu().numpy().astype(np.float64)
        self.values = np.vstack([np.ones((1, len(y))), values])
        words = bank.words
        affine = 2.0 + 2.0 * words.options.complexity_of_constants
        partner_cost = np.concatenate([[0.0], bank.cost[self.partners[1:]] + 1.0])
        total = float(np.sum((self.root * (y - _weighted_mean(y, self.root**2))) ** 2))
        self.total = max(total, 1e-300)
        self.sets: list[tuple[list[Kind], Contexts]] = []
        with np.errstate(all="ignore"):
            plain, flat = self._wrapped(wraps(words), affine, partner_cost)
        self._collect(plain)
        self._collect([self._linear(affine, partner_cost)])
        self.n_weighted = len(self.sets)
        """Sets before this one are ranked by the error in y, those from here on by the error in h."""
        self._collect(flat)

    def _collect(self, parts: list[tuple[Kind, Contexts]]) -> None:
        parts = [(kind, contexts) for kind, contexts in parts if len(contexts)]
        if parts:
            merged = Contexts(
                *(
                    np.concatenate([getattr(contexts, name) for _, contexts in parts])
                    for name in ("D", "r", "Q", "cost", "scale")
                )
            )
            self.sets.append(([kind for kind, _ in parts], merged))

    def _wrapped(
        self, all_wraps: list[Wrap], affine: float, partner_cost: Array
    ) -> tuple[list[tuple[Kind, Contexts]], list[tuple[Kind, Contexts]]]:
        """Contexts ``y = phi1*g(a*phi + b)``: weighted by sensitivity, and flat ones for heavy tails."""
        tuning = self.tuning
        ratio = self.y / self.values
        positive = (ratio > 0.0).mean(axis=1)
        plain, flat = [], []
        for wrap in all_wraps:
            if wrap.bounded:
                chosen = np.flatnonzero(np.abs(ratio[:1]).max(axis=1) <= tuning.steep)
            elif wrap.positive:
                chosen = np.flatnonzero((positive <= 1.0 - tuning.agree) | (positive >= tuning.agree))
            else:
                chosen = np.arange(len(ratio))
            if wrap.name not in ("id", "^-1"):
                chosen = chosen[chosen < self.n_cheapest]
            if len(chosen) == 0:
                continue
            negative = (positive[chosen] < 0.5) & wrap.positive
            r = np.where(negative[:, None], -ratio[chosen], ratio[chosen])
            h = wrap.inverse(r)
            D = np.abs(self.values[chosen]) * wrap.slope(r, h) * self.root
            usable = np.isfinite(h) & np.isfinite(D)
            enough = usable.mean(axis=1) >= tuning.defined
            chosen, negative = chosen[enough], negative[enough]
            D, h = np.where(usable, D, 0.0)[enough], np.where(usable, h, 0.0)[enough]
            norm = np.linalg.norm(D, axis=1)
            sound = norm > 0.0
            chosen, negative, D, h, norm = chosen[sound], negative[sound], D[sound], h[sound], norm[sound]
            if len(chosen) == 0:
                continue
            cost = partner_cost[chosen] + wrap.cost + affine
            kind = Kind(wrap, self.partners[chosen], negative)
            plain.append(
                (kind, Contexts(D, D * h, (D / norm[:, None])[:, None], cost, np.full(len(D), 1 / self.total)))
            )
            flat.append(self._flat(kind, D, h, cost))
        return plain, flat

    def _flat(self, kind: Kind, D: Array, h: Array, cost: Array) -> tuple[Kind, Contexts]:
        """Where a few rows would decide alone: match h itself, on the rows where it isn't extreme."""
        heavy = D.max(axis=1) > self.tuning.heavy * np.median(D, axis=1)
        middle = np.median(h, axis=1, keepdims=True)
        deviation = np.median(np.abs(h - middle), axis=1, keepdims=True) + 1e-300
        inside = (np.abs(h - middle) < self.tuning.extreme * deviation) & (D > 0.0)
        keep = heavy & (inside.mean(axis=1) > self.tuning.inside)
        D1 = inside[keep].astype(np.float64)
        r = D1 * h[keep]
        q = D1 / np.linalg.norm(D1, axis=1, keepdims=True)
        spread = np.sum((r - np.sum(r * q, axis=1, keepdims=True) * q) ** 2, axis=1)
        kept = Kind(kind.wrap, kind.partner[keep], kind.negative[keep])
        return kept, Contexts(D1, r, q[:, None], cost[keep], 1.0 / np.maximum(spread, 1e-300))

    def _linear(self, affine: float, partner_cost: Array) -> tuple[Kind, Contexts]:
        """Contexts ``y = a*phi + b*phi1 + c``."""
        n = self.n_cheapest - 1
        D = np.tile(self.root, (n, 1))
        one = self.root / np.linalg.norm(self.root)
        second = self.values[1 : n + 1] * self.root
        second = second - (second @ one)[:, None] * one
        second = second / np.maximum(np.linalg.norm(second, axis=1, keepdims=True), 1e-300)
        Q = np.stack([np.tile(one, (n, 1)), second], axis=1)
        cost = partner_cost[1 : n + 1] + affine + 1.0
        kind = Kind(_LINEAR, self.partners[1 : n + 1], np.zeros(n, bool))
        return kind, Contexts(D, np.tile(self.root * self.y, (n, 1)), Q, cost, np.full(n, 1 / self.total))

    def tree(self, kinds: list[Kind], contexts: Contexts, match: Match) -> Expr:
        """The pair as an expression, its linear constants by least squares."""
        i = match.context
        for kind in kinds:
            if i < len(kind.partner):
                break
            i -= len(kind.partner)
        partner, phi = int(kind.partner[i]), self.bank.expr(match.index)
        z = self.bank.values(match.index)
        if kind.wrap is _LINEAR:
            A = np.stack([np.ones_like(z), z, self.bank.values(partner)], axis=1) * self.root[:, None]
            c = np.linalg.lstsq(A, self.y * self.root, rcond=None)[0]
            return normal.add([Constant(c[0]), _times(c[1], phi), _times(c[2], self.bank.expr(partner))])
        D = contexts.D[match.context]
        c = np.linalg.lstsq(np.stack([D, D * z], axis=1), contexts.r[match.context], rcond=None)[0]
        out = kind.wrap.build(normal.add([Constant(c[0]), _times(c[1], phi)]))
        if kind.negative[i]:
            out = normal.multiply([normal.NEGATIVE, out])
        return out if partner < 0 else normal.multiply([self.bank.expr(partner), out])


def first_guesses(
    bank: Bank,
    y: Array,
    root_weights: Array | None,
    n_partners: int,
    limit: int,
    stop: Callable[[], bool],
    per_cost: int,
    most: int,
    grid: bool = True,
) -> list[Expr]:
    """Expressions for one output, best first within each kind of context.

    Args:
        bank: the building blocks, over the same rows as ``y``.
        y: (n_rows,) the target.
        root_weights: (n_rows,) square roots of the rows' weights, or None.
        n_partners: how many expressions of the bank may be phi1.
        limit: how many may be phi.
        stop: whether time is up.
        per_cost, most: how many guesses of each complexity, and in all.
        grid: whether functions with a constant inside may be phi1 however dear they are.
    """
    batch = ContextBatch(bank, y, root_weights, n_partners, grid)
    largest = float(bank.words.options.maxsize)
    scans = [Scan(bank, contexts, limit, stop) for _, contexts in batch.sets]
    flat = batch.n_weighted
    out = []
    overall = min(batch.tuning.overall, most // 3)  # the others by complexity, so that simple ones are among them
    for part, share in ((range(flat), 1), (range(flat, len(scans)), 2)):
        chosen = [scans[i] for i in part]
        if chosen:
            picked = choose(chosen, max(1, per_cost // share), most // share, overall // share, largest)
            for number, match in picked:
                kinds, contexts = batch.sets[part[number]]
                out.append(batch.tree(kinds, contexts, match))
    return out


def _times(c: float, expr: Expr) -> Expr:
    return normal.multiply([Constant(float(c)), expr])


def _weighted_mean(y: Array, weights: Array) -> float:
    return float(np.sum(weights * y) / np.sum(weights))
