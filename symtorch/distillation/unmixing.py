"""Which linear combinations of a block's outputs are simple functions of its inputs.

A combination ``w . f(x)`` is simple by a test where something vanishes for it: an input is idle, two inputs act apart,
an input acts linearly, nothing happens where two inputs are equal or one is zero. For each test the outputs have a
vector v(x) that is zero in the direction w wherever they pass it, so that w lies in the null space of E[v v^T]: a test
gives all of its directions by one small eigenvalue problem, whatever the function is. The directions in most null
spaces at once are taken first, until there are as many as outputs.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symtorch.capture.rows import Teacher
from symtorch.errors import AskLimitError
from symtorch.surrogate.encodings import Encoding, Identity, Mixing

logger = logging.getLogger("symtorch")

ROWS = 192
"""Rows for each question of a test. The eigenvalues that matter are orders of magnitude from the others."""

VANISHES = 3e-3
"""Share of the mean violation below which a direction passes a test: networks that err by 2 % pass their own laws'."""

NEGLIGIBLE = 1e-6
"""Share of the outputs' variance below which a direction of them is a constant."""

MOST_PAIRED = 12
"""Inputs of which pairs are tested, those that matter most: the tests grow with their square."""

MOST_SPACES = 200
"""Subspaces that are looked at."""

ROUNDING = 1e-12
"""Shares below this are rounding."""

APART = 0.2
"""Sine of the angle by which directions must differ, where all outputs have unit variance and no correlation."""


@dataclass(frozen=True)
class _Space:
    """Directions that pass the same tests: basis (n, dimension), orthonormal, and the tests' numbers."""

    basis: np.ndarray
    tests: frozenset[int]


def unmixed(
    Y: np.ndarray,
    X: np.ndarray,
    ask: Teacher | None,
    n_laws: int | None = None,
    inner: Encoding | None = None,
    seed: int = 0,
) -> Mixing:
    """The mixing that suits a block.

    Args:
        Y: (n_rows, n_outputs), of the block.
        X: (n_rows, n_inputs).
        ask: the block as a function of its inputs; None where it can't be asked: then the directions are those in
            which the outputs vary most, or the outputs themselves where all of them count.
        n_laws: how many; None for as many as there are outputs, less those that only repeat others.
        inner: the encoding of the inputs.
        seed: of the questions.
    """
    mean = Y.mean(axis=0)
    whiten = _whitening(Y - mean, n_laws)  # (n_laws, n_outputs)
    inner = Identity() if inner is None else inner
    if not len(whiten):  # constants
        return Mixing.along(np.eye(Y.shape[1]), mean, inner)
    spaces: list[_Space] = []
    if ask is not None:
        try:
            spaces = _spaces(list(_violations(X, lambda x: (ask(x) - mean) @ whiten.T, seed)))
        except AskLimitError:
            logger.info("too few rows may be asked to find out how the outputs are mixed")
    rows = _directions(spaces, _unit(np.linalg.pinv(whiten))) @ whiten
    # Scaled and ordered so that outputs that are simple themselves stay what they are.
    share = np.abs(rows) * np.std(Y, axis=0)
    rows /= rows[np.arange(len(rows)), share.argmax(axis=1)][:, None]
    rows[share < ROUNDING * share.max(axis=1, keepdims=True)] = 0.0
    in_order = np.argsort(share.argmax(axis=1), kind="stable")
    mixing = Mixing.along(rows[in_order], None, inner, _sizes(Y))
    # Of the mean only what the laws can't say: a law's own constant is part of it.
    rest = mean - mean @ mixing.directions.T @ mixing.matrix
    rest[np.abs(rest) < 1e3 * ROUNDING * np.abs(Y).max(axis=0)] = 0.0
    return replace(mixing, mean=rest)


def _whitening(Y: np.ndarray, n_laws: int | None) -> np.ndarray:
    """(k, n_outputs): to uncorrelated combinations of unit variance, of those that vary at all."""
    scale = _sizes(Y)
    _, sizes, rows = np.linalg.svd(Y / scale / np.sqrt(len(Y)), full_matrices=False)
    kept = sizes**2 > NEGLIGIBLE * float(np.sum(sizes**2))
    most = len(sizes) if n_laws is None else n_laws
    return np.asarray((rows / np.where(kept, sizes, 1.0)[:, None])[kept][:most] / scale)


def _sizes(Y: np.ndarray) -> np.ndarray:
    sizes = Y.std(axis=0)
    sizes[sizes == 0.0] = 1.0
    return np.asarray(sizes)


# ---- what may vanish


def _violations(X: np.ndarray, f: Teacher, seed: int) -> Iterator[np.ndarray]:
    """E[v v^T] (k, k) of each test. Answers that are not finite say nothing of it."""
    rng = np.random.default_rng(seed)
    x = X[rng.permutation(len(X))[:ROWS]]
    other = X[rng.integers(len(X), size=len(x))]
    here = f(x)

    def at(**columns: Any) -> np.ndarray:
        """The answers with these columns changed."""
        changed = x.copy()
        for name, values in columns.items():
            changed[:, int(name[1:])] = values
        return f(changed)

    def moment(v: np.ndarray) -> np.ndarray:
        v = v[np.isfinite(v).all(axis=1)]
        return v.T @ v / len(v) if len(v) >= len(x) // 2 else np.full((here.shape[1],) * 2, np.nan)

    there = [at(**{f"x{i}": other[:, i]}) for i in range(x.shape[1])]
    matters = [float(np.nanmean((answers - here) ** 2)) for answers in there]
    inputs = sorted(np.argsort(matters)[::-1][:MOST_PAIRED].tolist())
    for i in range(x.shape[1]):
        yield moment(there[i] - here)
    for i in inputs:
        yield moment(there[i] + here - 2.0 * at(**{f"x{i}": (x[:, i] + other[:, i]) / 2.0}))
        if X[:, i].min() < 0.0 < X[:, i].max():
            yield moment(_centred(at(**{f"x{i}": 0.0})))
    for i, j in itertools.combinations(inputs, 2):
        yield moment(at(**{f"x{i}": other[:, i], f"x{j}": other[:, j]}) - there[i] - there[j] + here)
        if max(X[:, i].min(), X[:, j].min()) < min(X[:, i].max(), X[:, j].max()):
            yield moment(_centred(at(**{f"x{i}": x[:, j]})))


def _centred(values: np.ndarray) -> np.ndarray:
    return np.asarray(values - np.nanmean(np.where(np.isfinite(values), values, np.nan), axis=0))


# ---- directions for which most vanishes


def _spaces(violations: Sequence[np.ndarray]) -> list[_Space]:
    """The null spaces of the tests that tell directions apart, and where they meet."""
    telling = []
    for A in violations:
        sizes = np.linalg.eigvalsh(A) if np.isfinite(A).all() else np.zeros(1)
        if sizes[-1] > VANISHES and sizes[0] <= VANISHES * min(1.0, float(np.mean(sizes))):
            telling.append(A / min(1.0, float(np.mean(sizes))))

    def space(tests: Iterable[int]) -> _Space | None:
        sizes, vectors = np.linalg.eigh(sum((telling[t] for t in tests), np.zeros_like(violations[0])))
        basis = vectors[:, sizes <= VANISHES * len(list(tests))]
        if not basis.shape[1]:
            return None
        passed = [t for t, A in enumerate(telling) if np.linalg.eigvalsh(basis.T @ A @ basis)[-1] <= VANISHES]
        return _Space(basis, frozenset(passed))

    found = {s.tests: s for t in range(len(telling)) if (s := space([t])) is not None and s.tests}
    for a in list(found):
        for b in list(found):
            if len(found) < MOST_SPACES and (s := space(sorted(a | b))) is not None:
                found.setdefault(s.tests, s)
    return sorted(found.values(), key=lambda s: (-len(s.tests), s.basis.shape[1]))


def _directions(spaces: Sequence[_Space], axes: np.ndarray) -> np.ndarray:
    """As many independent directions (k, k) as there can be: those of the simplest spaces, then the axes.

    Args:
        spaces: the simplest first.
        axes: (n_outputs, k), the outputs themselves; they are preferred in a space that has many directions.
    """
    k = axes.shape[1]
    chosen = np.zeros((0, k))
    span = np.zeros((k, 0))
    for basis in [*(s.basis for s in spaces), np.eye(k)]:
        within = axes @ basis @ basis.T
        for _ in range(basis.shape[1]):
            lengths = np.linalg.norm(within, axis=1)
            apart = np.linalg.norm(within - within @ span @ span.T, axis=1) / np.maximum(lengths, ROUNDING)
            best = int(np.argmax(np.where(apart > APART, lengths, 0.0)))
            if len(chosen) == k or not (apart[best] > APART and lengths[best] > ROUNDING):
                break
            chosen = np.concatenate([chosen, _unit(within[best : best + 1])])
            span = np.linalg.qr(chosen.T)[0]
    # What is left, if anything, is what the directions so far say nothing of.
    rest = np.linalg.svd(span.T)[2][len(chosen) :] if len(chosen) else np.eye(k)
    return np.concatenate([chosen, rest])


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), ROUNDING))
