"""What was found for one output, offered to the others.

The outputs of one layer are often sums of the same terms: the components of a force, features read by
several neurons, a pair of laws in a rotated basis. The terms of every output's best equations make a
pool, and every other output is fitted as a sum over the pool by forward selection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.fitting.levenberg_marquardt import Rows
from symtorch.engines.native.fitting.selection import forward_selection
from symtorch.engines.native.flat.tuning import SharingTuning
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.expr import Constant, Expr, evaluate

_CONSTANT = 1e-9
"""What varies less than this, relative to its size, is a constant up to rounding."""


def terms_found(archives: Sequence[Archive]) -> list[Expr]:
    """The terms of the best equations of all outputs, and those equations as wholes, each once."""
    tuning = current(SharingTuning)
    pool: dict[Expr, None] = {}
    for archive in archives:
        best = sorted((c for c in archive.pareto() if c.loss < tuning.worth), key=lambda c: c.loss)
        for candidate in best[: tuning.equations]:
            _, parts = normal.terms(candidate.expr)
            whole = normal.add([normal.multiply([Constant(c), term]) for c, term in parts])
            pool.update(dict.fromkeys([*(term for _, term in parts), whole]))
    return list(pool)


def sums_of(pool: Sequence[Expr], values: np.ndarray, rows: Rows) -> Iterator[Expr]:
    """Sums of one term of the pool, of two, ..., with a constant, fitted by least squares to ``rows.y``.

    Args:
        pool: m terms.
        values: (m, n) their values on the rows.
        rows: whose targets are fitted.
    """
    tuning = current(SharingTuning)
    root = np.ones(len(rows)) if rows.weights is None else np.sqrt(rows.weights)
    one = root / np.linalg.norm(root)
    columns = np.where(np.isfinite(values).all(axis=1)[:, None], values, 0.0) * root
    free = columns - (columns @ one)[:, None] * one
    usable = np.flatnonzero(np.linalg.norm(free, axis=1) > _CONSTANT * np.linalg.norm(columns, axis=1))
    target = rows.y * root
    target = target - (target @ one) * one
    spread = float(np.abs(target).max())
    for positions in forward_selection(free[usable].T, target, tuning.terms, least_of_left=tuning.least_gain):
        chosen = usable[positions]
        A = np.column_stack([root, *(columns[i] for i in chosen)])
        c = np.linalg.lstsq(A, rows.y * root, rcond=None)[0]
        parts = [normal.multiply([Constant(float(b)), pool[i]]) for b, i in zip(c[1:], chosen, strict=True)]
        # A constant that is rounding would only cost the complexity that the sum may need.
        offset = float(c[0]) if abs(c[0]) > _CONSTANT * spread else 0.0
        yield normal.add([*parts, Constant(offset)])


def sums_for(which: Sequence[int], archives: Sequence[Archive], X: np.ndarray) -> dict[int, list[Expr]]:
    """Candidates for these outputs, made of what all outputs have found.

    Args:
        which: positions of the outputs that candidates are wanted for.
        archives: of all outputs.
        X: (n, n_inputs), the archives' rows.
    """
    pool = terms_found(archives)
    if not pool:
        return {k: [] for k in which}
    with np.errstate(all="ignore"):
        values = np.stack([np.broadcast_to(evaluate(term, X), (len(X),)) for term in pool])
        return {k: list(sums_of(pool, values, archives[k].rows)) for k in which}
