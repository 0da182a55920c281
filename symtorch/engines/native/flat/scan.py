"""Every bank expression in every context, by matrix products.

A context asks for the expression phi that best explains a target r through a known sensitivity D:

    minimise over a, q:  sum_s (r - a*D*phi - Q'q)^2

where the rows of Q span what free constants can explain anyhow. With D, Q and r projected off Q the
gain of phi has a closed form, ``(r.(D*phi))^2 / (|D*phi|^2 - |Q.(D*phi)|^2)``: three products of a
(contexts, rows) matrix with the (rows, expressions) matrix of the bank, tens of millions of pairs a
second on one core (parallel symbolic enumeration, doi 10.1038/s43588-025-00904-8, turned into linear
algebra).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from symtorch.engines.native.flat.bank import Bank
from symtorch.engines.native.flat.tuning import GuessTuning
from symtorch.engines.native.tuning import current

_CONTEXTS_AT_ONCE = 128
"""Contexts of one matrix product: speed only; more make the products larger than the caches."""
_ON_DEVICE = 16
"""How many times as many a GPU takes."""
_LARGER_BLOCKS = 8
"""How many times as large a block is there: its many small ones would leave it idle."""
_RESOLVED = 1e-7
"""Share of an error that float32 can tell from nothing."""
_INDEPENDENT = 1e-4
"""Share of an expression's square that must be left beside the nuisances: less is float32's rounding."""
_RANKED = 60000
"""Pairs that are looked through, the best, for some of every complexity."""


@dataclass(frozen=True)
class Contexts:
    """Contexts with the same number of nuisance rows.

    Attributes:
        D: (n, n_rows) sensitivity of the output to the place of phi.
        r: (n, n_rows) what is to be explained, in units of the output.
        Q: (n, q, n_rows) orthonormal rows; zero rows are padding.
        cost: (n,) complexity of everything but phi.
        scale: (n,) what turns a squared error of this context into one comparable between contexts.
    """

    D: np.ndarray
    r: np.ndarray
    Q: np.ndarray
    cost: np.ndarray
    scale: np.ndarray

    def __len__(self) -> int:
        return len(self.D)


@dataclass(frozen=True)
class Match:
    """An expression of the bank in a context, with the squared error that the pair leaves (scaled)."""

    error: float
    context: int
    index: int
    cost: float


class Scan:
    """The errors of all pairs, kept as the best of each block of the bank.

    Args:
        limit: how many expressions of the bank, the cheapest, are tried.
        stop: asked between matrix products; True ends the scan with what is done.
        first_block: expressions of the first block, the cheapest ones; None for the usual number.
    """

    def __init__(
        self, bank: Bank, contexts: Contexts, limit: int, stop: Callable[[], bool], first_block: int | None = None
    ) -> None:
        self.bank = bank
        self.contexts = contexts
        self.limit = min(limit, bank.n_unit)
        tuning, on_cpu = current(GuessTuning), bank.device.type == "cpu"
        block = tuning.block if on_cpu else _LARGER_BLOCKS * tuning.block
        self.batch = _CONTEXTS_AT_ONCE if on_cpu else _ON_DEVICE * _CONTEXTS_AT_ONCE
        # The first blocks are small, so that cheap expressions needn't compete with many.
        self.edges = [0]
        size = first_block or (tuning.first_block if on_cpu else _LARGER_BLOCKS * tuning.first_block)
        while self.edges[-1] < self.limit:
            self.edges.append(min(self.limit, self.edges[-1] + size))
            size = min(block, 2 * size)
        errors, indices = [], []
        for first in range(0, len(contexts), self.batch):
            error, index = self._errors(first)
            errors.append(error)
            indices.append(index)
            if stop():
                break
        self.errors = np.concatenate(errors)
        """(contexts done, blocks): least error within each block."""
        self.best = np.concatenate(indices)
        """(contexts done, blocks): which column of ``bank.unit`` has it."""

    def _errors(self, first: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(first, first + self.batch)
        D, r, Q = self.contexts.D[part], self.contexts.r[part], self.contexts.Q[part]
        n, q = Q.shape[:2]
        r = r - np.einsum("nq,nqs->ns", np.einsum("nqs,ns->nq", Q, r), Q)
        total = np.einsum("ns,ns->n", r, r)
        r = r / np.sqrt(np.maximum(total, 1e-300))[:, None]  # float32 must neither overflow nor underflow
        D = D / np.maximum(np.linalg.norm(D, axis=1, keepdims=True), 1e-300)
        left = self._to_device(np.concatenate([D * r, *(D * Q[:, j] for j in range(q))]))
        weights = self._to_device(D * D)
        gains, columns = [], []
        for start, end in zip(self.edges, self.edges[1:], strict=False):
            gain, column = self._gains(left, weights, n, q, start, end).max(1)
            gains.append(gain)
            columns.append(column + start)
        if not gains:  # an empty bank
            return np.zeros((n, 0)), np.zeros((n, 0), np.int64)
        best = torch.stack(gains, dim=1).cpu().numpy().astype(np.float64)
        # Errors under what float32 resolves are equally good.
        errors = np.maximum(1.0 - best, _RESOLVED) * (total * self.contexts.scale[part])[:, None]
        return errors, torch.stack(columns, dim=1).cpu().numpy()

    def _gains(self, left: torch.Tensor, weights: torch.Tensor, n: int, q: int, start: int, end: int) -> torch.Tensor:
        span = slice(start, end)
        with torch.autocast(self.bank.device.type, enabled=False):
            products = left @ self.bank.unit[:, span]
            norm = weights @ self.bank.unit_squared[:, span]
        floor = norm * _INDEPENDENT + 1e-30
        for j in range(q):
            on_nuisance = products[(j + 1) * n : (j + 2) * n]
            norm.addcmul_(on_nuisance, on_nuisance, value=-1)
        return products[:n].square_().div_(torch.maximum(norm, floor))

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float32, device=self.bank.device)


def choose(scans: list[Scan], per_cost: int, most: int, overall: int, largest: float) -> list[tuple[int, Match]]:
    """The best pairs of several scans: some of every complexity, and the best of all.

    Args:
        per_cost: so many of every complexity.
        most: so many in all.
        overall: the best so many, whatever their complexity.
        largest: no pair above this complexity.

    Returns:
        (number of the scan, the pair), best first.
    """
    errors, costs, sources = [], [], []
    for number, scan in enumerate(scans):
        n, blocks = scan.errors.shape
        errors.append(scan.errors.ravel())
        costs.append((scan.contexts.cost[:n, None] + scan.bank.unit_cost[scan.best]).ravel())
        where = np.indices((n, blocks)).reshape(2, -1)
        sources.append(np.vstack([np.full(n * blocks, number), where]))
    error, cost, source = np.concatenate(errors), np.concatenate(costs), np.concatenate(sources, axis=1)
    error = np.where(np.isfinite(error) & (cost <= largest + 2), error, np.inf)
    taken: Counter[int] = Counter()
    found: list[tuple[int, Match]] = []
    for j in np.lexsort((cost, error))[:_RANKED]:  # of equally good ones the cheapest
        if not np.isfinite(error[j]) or len(found) >= most:
            break
        bucket = int(cost[j])
        if taken[bucket] < per_cost or len(found) < overall:
            taken[bucket] += 1
            number, context, block = source[:, j]
            index = int(scans[number].bank.unit_index[scans[number].best[context, block]])
            found.append((int(number), Match(float(error[j]), int(context), index, float(cost[j]))))
    return found


def orthonormal(rows: list[np.ndarray], n_rows: int) -> np.ndarray:
    """(q, n_rows) orthonormal rows that span the given ones; fewer where those depend on each other."""
    kept = []
    for row in rows:
        norm = float(np.linalg.norm(row))
        if np.isfinite(norm) and norm > 1e-290:
            kept.append(row / norm)
    if not kept:
        return np.zeros((0, n_rows))
    _, singular, right = np.linalg.svd(np.array(kept), full_matrices=False)
    return right[singular > 1e-5 * singular[0]]
