"""Quotients of polynomials, in the inputs or in waves of them, found outright: ``y = G(P/Q)``.

What is rational in one input shows on a line along it: with enough terms ``P - f*Q`` vanishes at all points, a linear
problem whose null vector holds the coefficients. The least such degrees of every input, and of all together, say
which terms the whole may have; one more null vector gives their sizes. A wave in an input, P and Q of ``sin(k*x)`` and
``cos(k*x)``, is the same problem in other terms, and so is an answer that is a known function G of a quotient.

A smooth function comes close to quotients of high degree, each degree better by some factor. A quotient is at once
exact: the drop in the last degree tells the two apart. Teachers that err have no such drop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product

import numpy as np

from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.outright import Outright
from symtorch.engines.native.structure.outside import outside
from symtorch.engines.native.structure.problem import Problem, mean_square
from symtorch.engines.native.structure.steps import Finder
from symtorch.engines.native.structure.terms import Sum, Term
from symtorch.engines.native.structure.tuning import is_formula, tuning
from symtorch.equations.expr import Expr, evaluate
from symtorch.equations.normal import multiply, normalise, power
from symtorch.equations.operators import OPERATORS

_POINTS = 48
"""Points of a line."""
_NODES = np.cos(np.pi * (np.arange(_POINTS) + 0.5) / _POINTS)
"""Where they are (Chebyshev), from -1 to 1."""
_MOST_ALONE = (8, 6)
_MOST_POWERS = (5, 4)
_MOST_WAVES = (2, 2)
"""Highest degrees of P and of Q that are tried: of a function of one input, of one of several, of waves."""
_MOST_OF_ROWS = 5
"""Inputs of rows alone, at most."""
_TOTALS = ((1, 1), (2, 1), (1, 2), (2, 2), (3, 2), (2, 3))
"""Degrees of P and of Q that are tried on these."""
_EXACT = 1e-12
"""Smallest singular value, relative to the largest, that is rounding."""
_ROUNDING = 1e-13
"""Singular values below this are all the same."""
_DROP = 1e4
"""What the last degree must gain at least; smooth functions on lines of usual lengths gain up to some hundred."""
_DIGITS = 5
"""Significant digits of a coefficient that counts as simple."""

Degrees = tuple[int, int]
"""Of P and of Q."""


@dataclass(frozen=True)
class _Axis:
    """One input: whether waves of it count, and to which degrees."""

    waves: bool
    degrees: Degrees


def quotient_finder(words: Vocabulary) -> Finder:
    """Finds quotients in several inputs that can be written."""

    def find(evidence: Evidence) -> Iterator[Outright]:
        yield from _quotients(evidence.problem, evidence.rng, words)

    return Finder(find, outright=True)


def quotients_of_one(x: np.ndarray, y: np.ndarray, words: Vocabulary) -> list[Expr]:
    """The quotient that a function of one input is, in as few terms as are exact; empty if it is none.

    Args:
        x: (n,) the input.
        y: (n,) the answers.
    """
    few = slice(None, 4 * _POINTS)
    for way in outside(words, y):
        g = way.forward(y)
        axis = _axis(x[few], g[few], _MOST_ALONE, words)
        if axis is not None and axis.degrees != (0, 0):
            found = _solved(x[:, None], g, [axis], axis.degrees, words)
            if found is not None and is_formula(mean_square(evaluate(way.written(found), x[:, None]) - y) / np.var(y)):
                return [normalise(way.written(found))]
    return []


def quotients_of_rows(Z: np.ndarray, y: np.ndarray, words: Vocabulary) -> list[Expr]:
    """The quotient that rows without noise are, of the least degree; empty if they are none.

    Here nobody can be asked along lines, so degrees and waves are tried one after the other.

    Args:
        Z: (n, n_inputs) the inputs.
        y: (n,) the targets.
    """
    d = Z.shape[1]
    if d > _MOST_OF_ROWS:
        return []
    sets = [(), *((i,) for i in range(d)), *combinations(range(d), 2)] if _wave_names(words) else [()]
    for way in islice(outside(words, y), 2):
        g = way.forward(y)
        for total, waves in product(_TOTALS, sets):
            axes = [_Axis(i in waves, (1, 1) if i in waves else total) for i in range(d)]
            n = 2 * sum(len(_terms(axes, total[k], k)) for k in (0, 1)) + 20
            found = _solved(Z[:n], g[:n], axes, total, words) if n <= len(Z) // 3 else None
            if found is not None and is_formula(mean_square(evaluate(way.written(found), Z) - y) / np.var(y)):
                return [normalise(way.written(found))]
    return []


def _quotients(problem: Problem, rng: np.random.Generator, words: Vocabulary) -> Iterator[Outright]:
    d = problem.n_inputs
    rows = problem.Z[rng.permutation(len(problem.Z))[:2]]
    lines = [_line(problem, row, [i]) for row in rows for i in range(d)]
    answers = [problem.ask(line, 0) for line in lines]
    for way in outside(words, problem.y):
        axes = _axes(lines, [way.forward(y) for y in answers], d, words)
        if axes is None:
            continue
        straight = [i for i in range(d) if not axes[i].waves]
        Z = _diagonal(problem, rows[0], straight, rng)
        total = _total(Z[:, straight], way.forward(problem.ask(Z, 0)), [axes[i].degrees for i in straight])
        terms = [_terms(axes, total[k], k) for k in (0, 1)]
        n_terms = len(terms[0]) + len(terms[1])
        if n_terms > tuning().most_terms:
            continue
        Z = _questions(problem, n_terms, rng)
        found = _solved(Z, way.forward(problem.ask(Z, 0)), axes, total, words)
        if found is None:
            continue
        expr = normalise(way.written(found))
        residual = mean_square(evaluate(expr, problem.Z) - problem.y) / problem.scale
        if is_formula(residual):
            yield Outright(expr, tuning().prior_quotient if way.plain else tuning().prior_inside, max(residual, 1e-32))
            return


# ---- lines


def _line(problem: Problem, row: np.ndarray, columns: Sequence[int], shares: Sequence[float] = (1.0,)) -> np.ndarray:
    """Points on which these inputs run through their ranges, or shares of them; the others are a row's."""
    out = np.tile(row, (_POINTS, 1))
    for i, share in zip(columns, shares, strict=True):
        middle, half = (problem.low[i] + problem.high[i]) / 2, (problem.high[i] - problem.low[i]) / 2
        out[:, i] = middle + share * half * _NODES
    return out


def _diagonal(problem: Problem, row: np.ndarray, columns: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Points of a line on which all these inputs move, in a direction of no symmetry."""
    shares = rng.uniform(0.6, 1.0, len(columns)) * rng.choice([-1.0, 1.0], len(columns))
    return _line(problem, row, columns, shares.tolist())


def _axes(lines: Sequence[np.ndarray], answers: Sequence[np.ndarray], d: int, words: Vocabulary) -> list[_Axis] | None:
    """What every input is, from two lines along each; None if one of them is nothing."""
    axes = []
    for i in range(d):
        along = [_axis(lines[k][:, i], answers[k], _MOST_POWERS, words) for k in (i, i + d)]
        first, second = along
        if first is None or second is None:
            return None
        waves = any(axis.waves for axis in (first, second))
        if first.waves != second.waves and (0, 0) not in (first.degrees, second.degrees):
            return None
        p, q = (max(first.degrees[k], second.degrees[k]) for k in (0, 1))
        axes.append(_Axis(waves, (p, q)))
    return axes


def _axis(x: np.ndarray, g: np.ndarray, most: Degrees, words: Vocabulary) -> _Axis | None:
    """What a function of one input is a quotient of, in the fewest terms; None if of nothing."""
    usable = np.isfinite(g)
    if usable.sum() < 0.75 * len(x):
        return None
    x, g = x[usable], g[usable]
    middle, half = (x.max() + x.min()) / 2, max((x.max() - x.min()) / 2, 1e-300)
    t = (x - middle) / half
    powers = _least(np.cos(np.arange(max(most) + 1)[:, None] * np.arccos(np.clip(t, -1, 1))), g, most, 1)
    waves = None
    if _wave_names(words) and (powers is None or sum(powers) > 1):
        k = np.arange(1, max(_MOST_WAVES) + 1)[:, None] * x
        columns = np.stack([np.cos(k), np.sin(k)], axis=1).reshape(-1, len(x))
        waves = _least(np.vstack([np.ones_like(x), columns]), g, _MOST_WAVES, 2)
    if waves is not None and (powers is None or 2 * sum(waves) < sum(powers)):
        return _Axis(True, waves)
    return None if powers is None else _Axis(False, powers)


def _least(basis: np.ndarray, g: np.ndarray, most: Degrees, per_degree: int) -> Degrees | None:
    """The degrees of the quotient with the fewest terms that is exact; None if none is, or all come ever closer.

    Args:
        basis: (k, n) values, by rising degree.
        per_degree: rows of the basis that a degree has, after the first.
    """
    weight = 1 / np.maximum(1.0, np.abs(g) / max(float(np.median(np.abs(g))), 1e-300))

    def left(p: int, q: int) -> float:
        above, below = basis[: 1 + per_degree * p], basis[: 1 + per_degree * q]
        return _smallest(np.vstack([above, g * below]).T * weight[:, None])

    if left(*most) > _EXACT:
        return None
    before = np.inf
    for total in range(sum(most) + 1):
        tried = [(left(total - q, q), q) for q in range(min(total, most[1]) + 1) if total - q <= most[0]]
        best = min(tried)[0]
        exact = [q for loss, q in tried if loss <= _EXACT]
        if exact:
            return (total - exact[0], exact[0]) if before > _DROP * max(best, _ROUNDING) else None
        before = best
    return None


def _smallest(A: np.ndarray) -> float:
    """The smallest singular value of the matrix with columns of one size, relative to the largest."""
    size = np.sqrt((A * A).sum(axis=0))
    if not (np.isfinite(size).all() and size.all()):
        return 0.0 if np.isfinite(size).all() else np.inf
    singular = np.linalg.svd(A / size, compute_uv=False)
    return float(singular[-1] / singular[0])


def _total(Z: np.ndarray, g: np.ndarray, degrees: Sequence[Degrees]) -> Degrees:
    """Degrees in all inputs together, as a line on which all of them move tells; else the sum of their own."""
    most = sum(p for p, _ in degrees), sum(q for _, q in degrees)
    if len(degrees) < 2 or sum(most) == 0 or not np.isfinite(g).all() or sum(most) > _POINTS // 3:
        return most
    found = _least(np.cos(np.arange(max(most) + 1)[:, None] * np.arccos(_NODES)), g, most, 1)
    return most if found is None else found


# ---- the whole


def _terms(axes: Sequence[_Axis], total: int, k: int) -> list[Term]:
    """The terms that P (k = 0) or Q (k = 1) may have."""
    exponents = product(*([0] if axis.waves else range(axis.degrees[k] + 1) for axis in axes))
    low = [e for e in exponents if sum(e) <= total]
    reach = [range(-axis.degrees[k], axis.degrees[k] + 1) if axis.waves else range(1) for axis in axes]
    # Of opposite frequencies one is enough.
    angles = [w for w in product(*reach) if next((v for v in w if v), 0) >= 0]
    return [Term(e, w, sine) for e in low for w in angles for sine in ((False, True) if any(w) else (False,))]


def _questions(problem: Problem, n_terms: int, rng: np.random.Generator) -> np.ndarray:
    """Points with the inputs of different rows together, half as many again as there are terms."""
    n = max(len(problem.Z), 3 * n_terms // 2 + 20)
    return np.column_stack([column[rng.integers(len(column), size=n)] for column in problem.Z.T])


def _solved(Z: np.ndarray, g: np.ndarray, axes: Sequence[_Axis], total: Degrees, words: Vocabulary) -> Expr | None:
    """The quotient with the least terms of these degrees; None if it isn't exact."""
    usable = np.isfinite(g)
    Z, g = Z[usable], g[usable]
    above, below = (_terms(axes, total[k], k) for k in (0, 1))
    if len(g) < len(above) + len(below) + 5:
        return None
    weight = 1 / np.maximum(1.0, np.abs(g) / max(float(np.median(np.abs(g))), 1e-300))
    A = np.stack([*(t.values(Z) for t in above), *(-g * t.values(Z) for t in below)], axis=1) * weight[:, None]
    sizes = _null(A)
    if sizes is None:
        return None
    split, kept = len(above), np.abs(sizes) > 0
    if not kept[:split].any() or not kept[split:].any():
        return None
    names = _wave_names(words) or ("sin", "cos")

    def written(sizes: np.ndarray) -> Expr:
        P, Q = (
            Sum(tuple(t for t, size in zip(terms, part, strict=True) if size), part[part != 0]).written(names)
            for terms, part in ((above, sizes[:split]), (below, sizes[split:]))
        )
        return multiply([P, power(Q, -1.0)])

    sizes = _scaled(sizes, split)
    exprs = [written(rounded) for rounded in (_rounded(sizes), sizes)]
    misses = [mean_square(evaluate(expr, Z) - g) / max(float(np.var(g)), 1e-300) for expr in exprs]
    k = 0 if misses[0] <= max(tuning().as_good * misses[1], 1e-28) else 1
    return exprs[k] if is_formula(misses[k]) else None


def _null(A: np.ndarray) -> np.ndarray | None:
    """The null vector of the matrix, zero where it needs not be; None if there is none, or more than one."""
    size = np.sqrt((A * A).sum(axis=0))
    kept = np.flatnonzero(size > 0)
    for _ in range(4):
        _, singular, rows = np.linalg.svd(A[:, kept] / size[kept], full_matrices=False)
        if singular[-1] > _EXACT * singular[0] or (len(kept) > 1 and singular[-2] < 100 * singular[-1]):
            return None
        vector = rows[-1]
        blur = 1e-14 * singular[0] / singular[-2] if len(kept) > 1 else 0.0
        needed = np.abs(vector) > min(max(blur, 1e-12), 1e-5) * np.abs(vector).max()
        if needed.all():
            break
        kept = kept[needed]
    out = np.zeros(A.shape[1])
    out[kept] = vector / size[kept] if len(vector) == len(kept) else 0.0
    return out


def _scaled(sizes: np.ndarray, split: int) -> np.ndarray:
    """The coefficients over the one that leaves most of them simple; one of Q's, of equals."""
    order = [*range(split, len(sizes)), *range(split)]
    tried = [sizes / sizes[k] for k in order if sizes[k]]
    simple = [sum(_is_simple(c) for c in found if c) for found in tried]
    return tried[int(np.argmax(simple))]


def _rounded(sizes: np.ndarray) -> np.ndarray:
    return np.array([float(f"{c:.{_DIGITS}g}") if _is_simple(c) else c for c in sizes])


def _is_simple(c: float) -> bool:
    return abs(float(f"{c:.{_DIGITS}g}") - c) <= 1e-9 * abs(c)


def _wave_names(words: Vocabulary) -> tuple[str, str] | None:
    """How sine and cosine are written: by themselves or by each other; None if not at all."""
    names = [name for name in ("sin", "cos") if OPERATORS[name] in words.functions]
    if not names:
        return None
    return ("sin" if "sin" in names else "cos"), ("cos" if "cos" in names else "sin")
