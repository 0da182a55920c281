"""What was found for one output, offered to the others.

The outputs of one layer are often sums of the same terms: the components of a force, features read by
several neurons, a pair of laws in a rotated basis. The terms of every output's best equations make a
pool, and every other output is fitted as a sum over the pool by orthogonal matching pursuit (Pati,
Rezaiifar and Krishnaprasad 1993, doi 10.1109/ACSSC.1993.342465): the term that explains most of what
is left joins, what it shares with the others is projected out, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.fitting.levenberg_marquardt import Rows
from symtorch.engines.native.forms import normal
from symtorch.equations.expr import Constant, Expr, evaluate

_EQUATIONS = 3
"""Equations of each output whose terms are offered, the most accurate ones."""
_WORTH_SHARING = 0.3
"""Relative loss above which an equation has nothing to offer."""
_MOST_TERMS = 6
_LEAST_GAIN = 0.02
"""Share of what is left that a further term must explain."""


def terms_found(archives: Sequence[Archive]) -> list[Expr]:
    """The terms of the best equations of all outputs, and those equations as wholes, each once."""
    pool: dict[Expr, None] = {}
    for archive in archives:
        best = sorted((c for c in archive.pareto() if c.loss < _WORTH_SHARING), key=lambda c: c.loss)[:_EQUATIONS]
        for candidate in best:
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
    root = np.ones(len(rows)) if rows.weights is None else np.sqrt(rows.weights)
    usable = np.isfinite(values).all(axis=1)
    columns = np.where(usable[:, None], values, 0.0) * root
    one = root / np.linalg.norm(root)
    left = rows.y * root
    left = left - (left @ one) * one
    spread = float(np.abs(left).max())
    free = columns - (columns @ one)[:, None] * one
    size = np.linalg.norm(free, axis=1)
    usable &= size > 1e-9 * np.linalg.norm(columns, axis=1)
    chosen: list[int] = []
    for _ in range(min(_MOST_TERMS, int(usable.sum()))):
        norm = np.linalg.norm(free, axis=1)
        with np.errstate(all="ignore"):
            # What the terms chosen already say almost wholly has only rounding left to offer.
            gain = np.where(usable & (norm > 1e-6 * size), (free @ left) ** 2 / norm**2, 0.0)
        best = int(np.argmax(gain))
        if not gain[best] > _LEAST_GAIN * (left @ left):
            return
        direction = free[best] / norm[best]
        left = left - (left @ direction) * direction
        free = free - (free @ direction)[:, None] * direction
        usable[best] = False
        chosen.append(best)
        A = np.column_stack([root, *(columns[i] for i in chosen)])
        c = np.linalg.lstsq(A, rows.y * root, rcond=None)[0]
        parts = [normal.multiply([Constant(float(b)), pool[i]]) for b, i in zip(c[1:], chosen, strict=True)]
        # A constant that is rounding would only cost the complexity that the sum may need.
        offset = float(c[0]) if abs(c[0]) > 1e-9 * spread else 0.0
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
