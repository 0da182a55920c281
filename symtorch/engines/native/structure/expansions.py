"""One input told apart from all others in several terms: ``f = sum_k phi_k(x_i)*g_k(others)``, the phi known.

As a matrix of values, with x_i along one side and rows of the other inputs along the other, such a function has the
rank of its number of terms, and its columns span the same space as the phi do. A function is one of the phi if it lies
in that space; with as many of them as the rank has, the g are known too: a linear problem at every row.
``p(u) + q(v) + f(u)*g(v)`` is of rank three, with 1, p and f on one side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.problem import Ask, Problem
from symtorch.engines.native.structure.steps import Finder, Step
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations.expr import Constant, Expr, Variable, evaluate, substitute
from symtorch.equations.normal import EXP, LOG, add, apply, multiply, normalise, power
from symtorch.equations.operators import OPERATORS

_POINTS = 32
"""Values of the input."""
_FEW_ROWS, _ROWS = 10, 24
"""Rows of the others, at first and then."""
_MOST_RANK = 6
_ZERO, _GAP = 1e-12, 1e4
"""Singular values below this share of the largest are zero, if the last of the others is this many times as large."""
_IN = 1e-9
"""Sine of the angle between a function and the space below which it is in the space."""
_ROUNDING = 1e-14
"""Error of a g, relative to the answers and to the weights that it is their sum by."""
_POWERS = (0.0, 1.0, 2.0, 3.0, -1.0, 4.0, 0.5, -2.0, 5.0, 6.0, 1.5, -0.5)
_MINIMA = 4
"""Values of a constant inside, of each kind of function, that are narrowed down."""
_SECTIONS, _FIRST_SECTIONS = 74, 14
"""Golden sections of the interval around such a value, to float64's rounding; by the first it is a thousandth."""
_HOPELESS = 0.1
"""Share of the angle that must be gone by then: one that comes to nothing falls with the width of the interval."""


@dataclass(frozen=True)
class Expansion(Step):
    """``f = sum_k members_k(x_i)*g_k(others)``.

    Attributes:
        members: normal forms over one variable.
    """

    i: int
    n_inputs: int
    members: tuple[Expr, ...]
    residual: float
    contrast: float

    @property
    def prior(self) -> float:
        return tuning().prior_expansion

    @property
    def others(self) -> list[int]:
        return [q for q in range(self.n_inputs) if q != self.i]

    def parts(self, problem: Problem) -> list[Problem]:
        others, x, weights = problem.Z[:, self.others], *self._weights(problem)
        size = float(np.sqrt(np.nanmean(problem.y**2)))
        return [
            problem.below(others, self._share(problem, x, row), _ROUNDING * size * float(np.abs(row).sum()))
            for row in weights
        ]

    def join(self, solved: Sequence[Expr]) -> Expr:
        names = [Variable(q) for q in self.others]
        return add(
            [
                multiply([normalise(substitute(phi, [Variable(self.i)])), normalise(substitute(g, names))])
                for phi, g in zip(self.members, solved, strict=True)
            ]
        )

    def _weights(self, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
        """Values of x_i, and the weights with which the answers there add up to each g."""
        x = _nodes(problem, self.i, 3 * len(self.members) + 2)
        return x, np.linalg.pinv(np.stack([evaluate(phi, x[:, None]) for phi in self.members], axis=1))

    def _share(self, problem: Problem, x: np.ndarray, weights: np.ndarray) -> Ask:
        def ask(Z: np.ndarray, replica: int) -> np.ndarray:
            full = np.empty((len(x), len(Z), self.n_inputs))
            full[:, :, self.others] = Z
            full[:, :, self.i] = x[:, None]
            answers = problem.ask(full.reshape(-1, self.n_inputs), replica).reshape(len(x), len(Z))
            return np.asarray(weights @ answers)

        return ask


def expansion_finder(words: Vocabulary) -> Finder:
    """Finds expansions in functions that can be written."""

    def find(evidence: Evidence) -> Iterator[Expansion]:
        problem = evidence.problem
        for i in range(problem.n_inputs if problem.n_inputs > 1 else 0):
            found = _members(problem, i, words)
            if found is not None:
                members, left = found
                yield Expansion(i, problem.n_inputs, members, max(left**2, 1e-32), max(left**2, 1e-32))

    return Finder(find, outright=True)


def _nodes(problem: Problem, i: int, n: int) -> np.ndarray:
    """(n,) Chebyshev points of an input's range."""
    middle, half = (problem.high[i] + problem.low[i]) / 2, (problem.high[i] - problem.low[i]) / 2
    return np.asarray(middle + half * np.cos(np.pi * (np.arange(n) + 0.5) / n))


def _members(problem: Problem, i: int, words: Vocabulary) -> tuple[tuple[Expr, ...], float] | None:
    """Functions of the input that span what the answers do along it, and the share of the answers that is left."""
    x = _nodes(problem, i, _POINTS)
    for rows in (problem.Z[:_FEW_ROWS], problem.Z[:_ROWS]):  # the rank of most functions is too high for a few rows
        full = np.repeat(rows[None], _POINTS, axis=0)
        full[:, :, i] = x[:, None]
        table = problem.ask(full.reshape(-1, problem.n_inputs), 0).reshape(_POINTS, len(rows))
        table = table[:, np.isfinite(table).all(axis=0)]
        if table.shape[1] <= _MOST_RANK:
            return None
        U, singular, _ = np.linalg.svd(table, full_matrices=False)
        rank = int((singular > _ZERO * singular[0]).sum())
        if not 2 <= rank <= _MOST_RANK or singular[rank - 1] < _GAP * max(singular[rank], _ZERO * 0.1 * singular[0]):
            return None
    space = U[:, :rank]
    within = max(_IN, 1e-14 * singular[0] / singular[rank - 1])
    members: list[Expr] = []
    values = np.empty((_POINTS, 0))
    with np.errstate(all="ignore"):
        for expr in _candidates(x, space, within, words):
            more = np.column_stack([values, evaluate(expr, x[:, None])])
            size = np.linalg.svd(more / np.sqrt((more * more).sum(axis=0)), compute_uv=False)
            if size[-1] > 1e-6:
                members, values = [*members, expr], more
            if len(members) == rank:
                return tuple(members), float(singular[rank] / singular[0])
    return None


@dataclass(frozen=True)
class _Kind:
    """Functions with a constant b inside; one or two that come as a sum.

    Attributes:
        grid: rising values of b.
        curves: b -> (n, 1) or (n, 2) values.
        write: b and the size of each curve -> the sum.
    """

    grid: np.ndarray
    curves: Callable[[float], np.ndarray]
    write: Callable[[float, np.ndarray], Expr]


def _candidates(x: np.ndarray, space: np.ndarray, within: float, words: Vocabulary) -> Iterator[Expr]:
    """Functions in the space, the simplest first."""
    variable = Variable(0)
    for p in _POWERS:
        defined = (x > 0).all() or (p.is_integer() and (p >= 0 or x.all()))
        if defined and _outside(space, (x**p)[:, None])[0] < within:
            yield power(variable, p)
    if LOG in words.functions and (x > 0).all() and _outside(space, np.log(x)[:, None])[0] < within:
        yield apply(LOG, [variable])
    for kind in _kinds(x):
        angles = [_outside(space, kind.curves(float(b)))[0] for b in kind.grid]
        padded = np.array([np.inf, *np.nan_to_num(angles, nan=np.inf, posinf=np.inf), np.inf])
        minima = np.flatnonzero((padded[1:-1] <= padded[:-2]) & (padded[1:-1] <= padded[2:]) & (padded[1:-1] < 1))
        for k in sorted(minima, key=lambda k: padded[k + 1])[:_MINIMA]:
            b, angle, sizes = _narrowed(kind, int(k), space)
            expr = normalise(kind.write(b, sizes))
            if angle < within and words.render(expr) is not None:
                yield expr


def _outside(space: np.ndarray, curves: np.ndarray) -> tuple[float, np.ndarray]:
    """Sine of the least angle between a sum of the curves and the space, and their sizes in that sum."""
    size = np.sqrt((curves * curves).sum(axis=0))
    if not (np.isfinite(size).all() and size.all()):
        return np.inf, size
    own = curves / size
    apart = own - space @ (space.T @ own)
    if own.shape[1] == 1:
        return float(np.sqrt((apart * apart).sum())), 1 / size
    # The least of |apart*s|/|own*s|, a generalised eigenvalue, by whitening the curves themselves.
    Q, R = np.linalg.qr(own)
    _, singular, rows = np.linalg.svd(Q - space @ (space.T @ Q), full_matrices=False)
    sizes = np.linalg.solve(R, rows[-1]) / size
    return float(singular[-1]), sizes


def _narrowed(kind: _Kind, k: int, space: np.ndarray) -> tuple[float, float, np.ndarray]:
    """The constant near its k-th value on the grid that is closest to the space: it, the angle, the sizes."""
    grid = kind.grid
    low, high = float(grid[max(k - 1, 0)]), float(grid[min(k + 1, len(grid) - 1)])
    share = (np.sqrt(5) - 1) / 2

    def angle(b: float) -> float:
        return _outside(space, kind.curves(b))[0]

    left, right = high - share * (high - low), low + share * (high - low)
    on_left, on_right = angle(left), angle(right)
    best, worst = min((on_left, left), (on_right, right)), max(on_left, on_right)
    for step in range(_SECTIONS):
        # The golden section: the better of the two points is one of the next two.
        if on_left <= on_right:
            high, right, on_right = right, left, on_left
            left = high - share * (high - low)
            on_left = angle(left)
            best = min(best, (on_left, left))
        else:
            low, left, on_left = left, right, on_right
            right = low + share * (high - low)
            on_right = angle(right)
            best = min(best, (on_right, right))
        if step == _FIRST_SECTIONS and best[0] > _HOPELESS * worst:
            break
    b = _simple(best[1])
    return (b, *_outside(space, kind.curves(b)))


def _simple(value: float) -> float:
    """With six digits, where that is what it is."""
    rounded = float(f"{value:.6g}")
    return rounded if abs(rounded - value) < 1e-8 * abs(value) else float(value)


def _kinds(x: np.ndarray) -> Iterator[_Kind]:
    width, least, largest = float(np.ptp(x)), float(x.min()), float(np.abs(x).max())
    rates = np.concatenate([-np.geomspace(8, 0.15, 16), np.geomspace(0.15, 8, 16)]) / width
    rates = rates[np.abs(rates) * largest < tuning().largest_exponent]
    waves, shifts = np.arange(0.6, 30.0, 0.3) / width, np.geomspace(0.01, 8, 24) * width
    squares, slopes = np.geomspace(1e-3, 4, 24) * width**2, np.geomspace(0.3, 20, 16) / width

    def columns(*curves: Callable[[float], np.ndarray]) -> Callable[[float], np.ndarray]:
        return lambda b: np.stack([curve(b) for curve in curves], axis=1)

    yield _Kind(rates, columns(lambda b: np.exp(b * x)), _exponential)
    yield _Kind(waves, columns(lambda b: np.sin(b * x), lambda b: np.cos(b * x)), _wave)
    yield _Kind(shifts, columns(lambda b: 1 / (x - least + b)), partial(_shifted, -least, None, -1.0))
    yield _Kind(shifts, columns(lambda b: np.log(x - least + b)), partial(_shifted, -least, "log", 1.0))
    yield _Kind(shifts, columns(lambda b: np.sqrt(x - least + b)), partial(_shifted, -least, None, 0.5))
    yield _Kind(squares, columns(lambda b: 1 / (x * x + b), lambda b: x / (x * x + b)), _pole)
    yield _Kind(slopes, columns(lambda b: np.tanh(b * x)), _tanh)
    yield _Kind(slopes**2, columns(lambda b: np.exp(-b * x * x)), _bell)
    yield _Kind(rates, columns(lambda b: np.exp(b * x), lambda b: x * np.exp(b * x)), _exponential)
    yield _Kind(squares, columns(lambda b: np.sqrt(x * x + b)), _root)


def _exponential(b: float, sizes: np.ndarray) -> Expr:
    """``(1 + s*x)*exp(b*x)``, up to a factor."""
    line = add(
        [Constant(float(s)) if k == 0 else multiply([Constant(float(s)), Variable(0)]) for k, s in enumerate(sizes)]
    )
    factor = line if len(sizes) > 1 else Constant(1.0)
    return multiply([factor, apply(EXP, [multiply([Constant(b), Variable(0)])])])


def _wave(b: float, sizes: np.ndarray) -> Expr:
    sine, cosine = sizes / np.abs(sizes).max()
    angle: Expr = multiply([Constant(b), Variable(0)])
    if abs(cosine) < 1e-8:
        return apply(OPERATORS["sin"], [angle])
    if abs(sine) < 1e-8:
        return apply(OPERATORS["cos"], [angle])
    return apply(OPERATORS["sin"], [add([angle, Constant(float(np.arctan2(cosine, sine)))])])


def _shifted(least: float, name: str | None, exponent: float, b: float, sizes: np.ndarray) -> Expr:
    inside = add([Variable(0), Constant(_simple(b + least))])
    return apply(OPERATORS[name], [inside]) if name else power(inside, exponent)


def _pole(b: float, sizes: np.ndarray) -> Expr:
    even, odd = (float(s) if abs(s) > 1e-8 * np.abs(sizes).max() else 0.0 for s in sizes)
    scale = odd or even
    above = add([Constant(even / scale), multiply([Constant(odd / scale), Variable(0)])])
    return multiply([above, power(add([power(Variable(0), 2.0), Constant(b)]), -1.0)])


def _tanh(b: float, sizes: np.ndarray) -> Expr:
    return apply(OPERATORS["tanh"], [multiply([Constant(b), Variable(0)])])


def _bell(b: float, sizes: np.ndarray) -> Expr:
    return apply(EXP, [multiply([Constant(-b), power(Variable(0), 2.0)])])


def _root(b: float, sizes: np.ndarray) -> Expr:
    return power(add([power(Variable(0), 2.0), Constant(b)]), 0.5)
