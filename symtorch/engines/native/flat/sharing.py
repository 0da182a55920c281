"""What was found for one output, offered to the others.

The outputs of one layer are often sums of the same terms: the components of a force, features read by
several neurons, a pair of laws in a rotated basis. The terms of every output's best equations make a
pool, and every other output is fitted as a sum over the pool by forward selection.

Or they are one law of other inputs: the components of a vector differ by an exchange of coordinates, ``x0`` for
``x1`` and ``x2`` for ``x3``. So the equations at the sharpest bends of every front are tried for the other outputs
with inputs exchanged in pairs, and their constants fitted anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice

import numpy as np

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.fitting.levenberg_marquardt import Rows
from symtorch.engines.native.fitting.selection import forward_selection
from symtorch.engines.native.flat.tuning import SharingTuning
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.description import extent
from symtorch.equations.expr import Constant, Expr, Variable, evaluate, substitute, variables
from symtorch.equations.selection import bends

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


def laws_found(archives: Sequence[Archive]) -> list[Expr]:
    """The equations of several inputs at the sharpest bends of all outputs' fronts, each once."""
    tuning = current(SharingTuning)
    laws: dict[Expr, None] = {}
    for archive in archives:
        front = archive.pareto()
        # With nothing at all the loss is the constant's, 1, so the first equation can be a law too.
        corners = bends([0.0, *(extent(c.tree) for c in front)], [1.0, *(c.loss for c in front)])
        sharpest = [front[position - 1] for _, position in corners[: tuning.bends]]
        laws.update(dict.fromkeys(c.expr for c in sharpest if c.loss < tuning.worth and len(variables(c.expr)) > 1))
    return list(laws)


def exchanges(inputs: Sequence[int], n_inputs: int) -> Iterator[list[int]]:
    """For every input the one that takes its place, where inputs change places in pairs: none, one pair, two, ...

    >>> list(exchanges([0, 1], 3))
    [[0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1]]

    Args:
        inputs: of each pair at least one is among these.
        n_inputs: that there are.
    """
    among = set(inputs)
    pairs = [(i, j) for i, j in combinations(range(n_inputs), 2) if i in among or j in among]
    for n_pairs in range(n_inputs // 2 + 1):
        for chosen in _disjoint(pairs, n_pairs):
            places = list(range(n_inputs))
            for i, j in chosen:
                places[i], places[j] = j, i
            yield places


def _disjoint(pairs: Sequence[tuple[int, int]], n: int) -> Iterator[list[tuple[int, int]]]:
    """Choices of n pairs that have nothing in common."""
    if n == 0:
        yield []
        return
    for position, first in enumerate(pairs):
        others = [pair for pair in pairs[position + 1 :] if not set(pair) & set(first)]
        yield from ([first, *more] for more in _disjoint(others, n - 1))


def exchanged_for(
    which: Sequence[int], laws: Sequence[Expr], archives: Sequence[Archive], X: np.ndarray
) -> dict[int, list[Expr]]:
    """Candidates for these outputs: each law with the inputs exchanged with which it is most like them, if any.

    A law comes as it is and with a size: the second of two components may have the other sign.

    Args:
        which: positions of the outputs that candidates are wanted for.
        laws: normal forms that were found for any output.
        archives: of all outputs.
        X: (n, n_inputs), the archives' rows.
    """
    tuning = current(SharingTuning)
    found: dict[int, list[Expr]] = {k: [] for k in which}
    if not which:
        return found
    rows = slice(tuning.exchange_rows)
    Y = np.stack([archives[k].rows.y[rows] for k in which])
    for law in laws:
        ways = list(islice(exchanges(variables(law), X.shape[1]), tuning.exchanges))
        moved = X[rows][:, np.array(ways)].swapaxes(0, 1).reshape(-1, X.shape[1])
        with np.errstate(all="ignore"):
            values = np.broadcast_to(evaluate(law, moved), len(moved)).reshape(len(ways), -1)
            alike = np.abs(_standardised(values) @ _standardised(Y).T)
            sizes = values @ Y.T / (values**2).sum(axis=1, keepdims=True)
        alike = np.where(np.isfinite(alike) & np.isfinite(sizes), alike, 0.0)
        for position, (k, way) in enumerate(zip(which, alike.argmax(axis=0), strict=True)):
            own = substitute(law, [Variable(i) for i in ways[way]])
            size = float(sizes[way, position])
            found[k] += [normal.normalise(own), normal.multiply([Constant(size), normal.normalise(own)])]
    return found


def _standardised(values: np.ndarray) -> np.ndarray:
    """Rows less their means, of length 1."""
    free = values - values.mean(axis=1, keepdims=True)
    return free / np.linalg.norm(free, axis=1, keepdims=True)
