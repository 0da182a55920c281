"""Functions of one input, by linear least squares: ``y = G^-1(a*phi(x) + b)``.

Most pieces that a decomposition ends in are a power, an exponential, a logarithm, a wave, or one of
these inside a power or an exponential, or a sum of one with a line. On the scale G of the answers the
former are straight lines in phi, so all pairs (G, phi) are fitted in closed form; the latter have one
constant inside, for which a grid of values is fitted at once. Only what is none of these needs a search.
Weights 1/G' make errors on the scale G count as errors of the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from symtorch.engines.native.forms.normal import EXP, LOG, add, apply, multiply, power
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.equations.expr import Constant, Expr, Variable
from symtorch.equations.operators import OPERATORS

_POWERS = (1.0, 2.0, 3.0, -1.0, -2.0, -3.0, 0.5, -0.5, 1.5, -1.5, 4.0)
_RATES = np.array([0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0])
"""Exponents that exp(b*x) gains over the range of x."""
_WAVES = np.arange(1.6, 40.0, 0.4)
"""Radians that sin(b*x) runs through over the range of x; through less, any curve is a wave."""
_POLES = np.array([1e-3, 3e-3, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2])
"""b of 1/(x^2 + b), as a share of the range of x, squared."""
_BELLS = np.geomspace(1.0, 160.0, 12)
"""Exponents that exp(-b*x^2) loses over the range of x, if that begins at zero."""
REFINED = 8
LOOKED_AT = 60
_EXACT = 1e-20
_GOOD_ENOUGH = 0.3
"""Relative squared error above which a form is not worth a fit."""


@dataclass(frozen=True)
class _Scale:
    """A scale of the answers: G and its slope, and the expression of its inverse."""

    forward: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[Expr], Expr]
    signed: bool = True


def _power_scale(m: float) -> _Scale:
    return _Scale(lambda y: y**m, lambda y: m * y ** (m - 1), lambda e: power(e, 1 / m), m != -1)


_SCALES = [
    _Scale(lambda y: y, np.ones_like, lambda e: e, False),
    *(_power_scale(m) for m in (-1.0, 2.0, -2.0, 0.5, -0.5, -2.0 / 3.0)),
    _Scale(np.log, lambda y: 1 / y, lambda e: apply(EXP, [e])),
]


def _bases(x: np.ndarray) -> Iterator[tuple[np.ndarray, Callable[[], Expr]]]:
    """Values of every phi on the rows, and how to write it."""
    variable, width = Variable(0), float(np.ptp(x))
    for p in _POWERS:
        if (x > 0).all() or (float(p).is_integer() and (p > 0 or (x < 0).all())):
            yield x**p, partial(power, variable, p)
    if (x > 0).all():
        yield np.log(x), lambda: apply(LOG, [variable])
    for rate in np.concatenate([_RATES, -_RATES]) / width:
        if abs(rate) * np.abs(x).max() < 50:
            yield np.exp(rate * x), partial(apply, EXP, [multiply([Constant(float(rate)), variable])])


def one_input_forms(x: np.ndarray, y: np.ndarray, words: Vocabulary, most: int = 8) -> list[Expr]:
    """Normal forms with starting values for their constants, accurate for their size.

    Args:
        x: (n,) the input.
        y: (n,) the answers, not constant.
        words: what may be written; the rest is left out.
        most: how many at most.
    """
    with np.errstate(all="ignore"):
        found = list(_lines(x, y))
        if not found or min(loss for loss, _ in found) > _EXACT:
            found += [*_curves(x, y), *_two_waves(x, y)]
    found.sort(key=lambda item: item[0])
    written: list[tuple[float, float, Expr]] = []
    for loss, build in found[:LOOKED_AT]:
        tree = words.render(expr := build()) if loss <= _GOOD_ENOUGH else None
        if tree is not None:
            written.append((words.cost(tree), loss, expr))
    # The simplest for their accuracy first, then the most accurate of the others.
    front: list[tuple[float, Expr]] = []
    rest: list[tuple[float, Expr]] = []
    for _, loss, expr in sorted(written, key=lambda item: item[:2]):
        (front if not front or loss < front[-1][0] else rest).append((loss, expr))
    rest.sort(key=lambda item: item[0])
    return [expr for _, expr in (front[::-1] + rest)[:most]]


def _lines(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[float, Callable[[], Expr]]]:
    """Relative loss and expression of every ``G(y) = a*phi(x) + b``, and of those through zero."""
    one_sign = float(np.sign(y[0])) if (np.sign(y) == np.sign(y[0])).all() and y[0] != 0 else 0.0
    variance = float(np.var(y))
    for scale in _SCALES:
        if (scale.signed and one_sign == 0) or (scale is _SCALES[1] and not y.all()):
            continue
        sign = one_sign if scale.signed else 1.0
        target, weight = scale.forward(sign * y), 1 / np.abs(scale.slope(sign * y))
        weight = np.minimum(weight, 100 * np.median(weight))
        if not (np.isfinite(target).all() and np.isfinite(weight).all()):
            continue
        for phi, write in _bases(x):
            for offset in (True, False):
                columns = np.stack([phi, np.ones_like(phi)] if offset else [phi], axis=1) * weight[:, None]
                solution, *_ = np.linalg.lstsq(columns, target * weight, rcond=None)
                loss = float(np.mean((columns @ solution - target * weight) ** 2)) / variance

                def build(solution: np.ndarray = solution, write=write, scale=scale, sign=sign) -> Expr:  # type: ignore[no-untyped-def]
                    parts = [multiply([Constant(float(solution[0])), write()])]
                    parts += [Constant(float(b)) for b in solution[1:]]
                    return multiply([Constant(sign), scale.inverse(add(parts))])

                if np.isfinite(loss):
                    # A constant more must earn its place; equal losses are rounding.
                    yield max(loss, 1e-24) * (1.3 if offset else 1.0), build


@dataclass(frozen=True)
class _Family:
    """Curves of x with one constant b inside, fitted in sums with each other and with a line.

    Attributes:
        grid: rising values of b to begin with.
        values: (x, b) -> values of the curves by letter; b may be (k, 1), for k values at once.
        write: (b, coefficients by letter) -> expression of the curves' sum.
        sums: which curves together, by letter; ``1`` is a constant, ``x`` the input itself.
    """

    grid: np.ndarray
    values: Callable[[np.ndarray, np.ndarray | float], dict[str, np.ndarray]]
    write: Callable[[float, dict[str, float]], Expr]
    sums: tuple[str, ...]


def _families(x: np.ndarray) -> list[_Family]:
    width, largest = float(np.ptp(x)), float(np.abs(x).max())
    rates = np.sort(np.concatenate([-_RATES, _RATES])) / width
    return [
        _Family(
            _WAVES / width,
            lambda x, b: {"s": np.sin(b * x), "c": np.cos(b * x)},
            _wave,
            ("s", "c", "s1", "c1", "sc", "sc1", "sx", "cx", "scx1"),
        ),
        _Family(
            _POLES * width**2,
            lambda x, b: {"p": 1 / (x * x + b), "q": x / (x * x + b)},
            _pole,
            ("p", "q", "p1", "q1", "px", "qx", "pq"),
        ),
        _Family(
            rates[np.abs(rates) * largest < 50],
            lambda x, b: {"e": np.exp(b * x), "f": x * np.exp(b * x)},
            _exponential,
            ("e1", "ex", "ex1", "f", "f1", "ef"),
        ),
        _Family(_BELLS / width**2, lambda x, b: {"g": np.exp(-b * x * x)}, _bell, ("g", "g1", "gx")),
    ]


def _wave(b: float, size: dict[str, float]) -> Expr:
    angle: Expr = multiply([Constant(b), Variable(0)])
    sine, cosine = size.get("s", 0.0), size.get("c", 0.0)
    if sine and cosine:
        angle = add([angle, Constant(math.atan2(cosine, sine))])
        return multiply([Constant(math.hypot(sine, cosine)), apply(OPERATORS["sin"], [angle])])
    return multiply([Constant(sine or cosine), apply(OPERATORS["sin" if sine else "cos"], [angle])])


def _pole(b: float, size: dict[str, float]) -> Expr:
    above = add([Constant(size.get("p", 0.0)), multiply([Constant(size.get("q", 0.0)), Variable(0)])])
    return multiply([above, power(add([power(Variable(0), 2.0), Constant(b)]), -1.0)])


def _exponential(b: float, size: dict[str, float]) -> Expr:
    factor = add([Constant(size.get("e", 0.0)), multiply([Constant(size.get("f", 0.0)), Variable(0)])])
    return multiply([factor, apply(EXP, [multiply([Constant(b), Variable(0)])])])


def _bell(b: float, size: dict[str, float]) -> Expr:
    return multiply([Constant(size["g"]), apply(EXP, [multiply([Constant(-b), power(Variable(0), 2.0)])])])


def _curves(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[float, Callable[[], Expr]]]:
    """Relative loss and expression of the sums of a curve and a line that come closest, b fitted roughly."""
    variance = float(np.var(y))
    line = {"1": np.ones_like(x), "x": x}
    tried: list[tuple[float, _Family, str, int]] = []
    for family in _families(x):
        curves = family.values(x, family.grid[:, None]) if len(family.grid) else {}
        for names in family.sums if curves else ():
            left = _left([curves.get(n, line.get(n)) for n in names], y)  # type: ignore[misc]
            best = int(np.argmin(left))
            tried.append((float(left[best]) / variance * 1.3 ** len(names), family, names, best))
    tried.sort(key=lambda item: item[0])
    for _, family, names, k in tried[:REFINED]:

        def fitted(b: float, family: _Family = family, names: str = names) -> tuple[float, np.ndarray]:
            columns = np.stack([(line | family.values(x, b))[n] for n in names], axis=1)
            solution, *_ = np.linalg.lstsq(columns, y, rcond=None)
            return float(np.mean((columns @ solution - y) ** 2)) / variance, solution

        grid = family.grid
        b, step = float(grid[k]), float(grid[min(k + 1, len(grid) - 1)] - grid[max(k - 1, 0)]) / 2
        for _ in range(12):  # narrow b down so that the fit starts in the right valley
            near = [b, *(c for c in (b - step, b + step) if c * b > 0.09 * b * b)]
            b, step = min(near, key=lambda c: fitted(c)[0]), 0.6 * step
        loss, solution = fitted(b)

        def build(b: float = b, family: _Family = family, names: str = names, solution: np.ndarray = solution) -> Expr:
            size = dict(zip(names, solution.tolist(), strict=True))
            straight = [multiply([Constant(size.pop("x", 0.0)), Variable(0)]), Constant(size.pop("1", 0.0))]
            return add([family.write(b, size), *straight])

        yield max(loss, 1e-24) * 1.3 ** len(names), build


def _two_waves(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[float, Callable[[], Expr]]]:
    """The same for sums of two waves of different frequencies: of two sines, of two cosines, of any two."""
    frequencies = _WAVES / float(np.ptp(x))
    n, variance = len(frequencies), float(np.var(y))
    waves = np.stack([np.sin(frequencies[:, None] * x), np.cos(frequencies[:, None] * x)])
    first, second = np.triu_indices(n, 1)
    products = np.einsum("aik,bjk->abij", waves, waves, optimize=True)
    on_y = waves @ y
    for parts in ("s", "c", "sc"):
        kinds = ["sc".index(part) for part in parts]
        columns = [(k, f) for f in (first, second) for k in kinds]
        G = np.stack([np.stack([products[a, b, i, j] for b, j in columns], -1) for a, i in columns], -2)
        rhs = np.stack([on_y[k, f] for k, f in columns], axis=-1)
        G += 1e-6 * len(x) * np.eye(len(columns))  # neighbours on the grid are nearly the same wave
        solution = np.linalg.solve(G, rhs[..., None])[..., 0]
        best = int(np.argmax((rhs * solution).sum(axis=1)))
        loss = float(y @ y - rhs[best] @ solution[best]) / len(x) / variance

        def build(parts: str = parts, best: int = best, size: np.ndarray = solution[best]) -> Expr:
            halves = zip((first[best], second[best]), np.split(size, 2), strict=True)
            return add([_wave(float(frequencies[f]), dict(zip(parts, c.tolist(), strict=True))) for f, c in halves])

        # From the grid the fit comes much closer: that counts in advance.
        yield max(loss * 1e-3, 1e-24) * 1.3 ** (3 * len(parts)), build


def _left(columns: Sequence[np.ndarray], y: np.ndarray) -> np.ndarray:
    """(k,) what k least-squares problems leave of y on average; the columns are (n,), or (k, n)."""
    stacked = np.stack(np.broadcast_arrays(*columns), axis=-1)
    # With orthonormal columns the part of y in their span is a sum of squares.
    Q = np.linalg.qr(stacked).Q
    return (y @ y - (np.einsum("knq,n->kq", Q, y) ** 2).sum(axis=1)) / len(y)
