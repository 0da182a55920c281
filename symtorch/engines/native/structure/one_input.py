"""Functions of one input, by linear least squares: ``y = G^-1(a*phi(x) + b)``.

Most pieces that a decomposition ends in are a power, an exponential, a logarithm, a wave, or one of
these inside a power or an exponential, or a sum of one with a line. On the scale G of the answers the
former are straight lines in phi, so all pairs (G, phi) are fitted in closed form; the latter have one
constant inside, for which a grid of values is fitted at once. Only what is none of these needs a search.
Weights 1/G' make errors on the scale G count as errors of the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from functools import cache, partial

import numpy as np

from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations.expr import Constant, Expr, Variable
from symtorch.equations.normal import EXP, LOG, add, apply, key, multiply, power
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
_BENDS = np.geomspace(0.4, 40.0, 24)
"""Exponents that exp(b*x) gains in a curve that it bends or ends."""
_SHIFTS = np.array([0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.2, 3.5, 6.0])
"""Distance of the zero of x + b from the least x, as a share of the range."""

_Form = tuple[float, Callable[[], Expr]]
"""Relative loss with the price of the constants, and how to write the expression."""


def _priced(loss: float, n_constants: int) -> float:
    """The loss with a price for every constant; losses that are all rounding are the same."""
    return max(loss, tuning().form_rounding) * tuning().constant_price ** n_constants


@dataclass(frozen=True)
class _Scale:
    """A scale of the answers: G and its slope, and the expression of its inverse."""

    forward: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[Expr], Expr]
    signed: bool = True


def _power_scale(m: float) -> _Scale:
    return _Scale(lambda y: y**m, lambda y: m * y ** (m - 1), lambda e: power(e, 1 / m), m != -1)


_RECIPROCAL = _power_scale(-1.0)
_SCALES = [
    _Scale(lambda y: y, np.ones_like, lambda e: e, False),
    _RECIPROCAL,
    *(_power_scale(m) for m in (2.0, -2.0, 0.5, -0.5, -2.0 / 3.0)),
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
        if abs(rate) * np.abs(x).max() < tuning().largest_exponent:
            yield np.exp(rate * x), partial(apply, EXP, [multiply([Constant(float(rate)), variable])])


def one_input_forms(x: np.ndarray, y: np.ndarray, words: Vocabulary) -> list[Expr]:
    """Normal forms with starting values for their constants, accurate for their size.

    Args:
        x: (n,) the input.
        y: (n,) the answers, not constant.
        words: what may be written; the rest is left out.
    """
    with np.errstate(all="ignore"):
        found = list(_lines(x, y))
        if not found or min(loss for loss, _ in found) > tuning().form_found:
            found += [*_with_a_line(x, y), *_curves(x, y), *_two_waves(x, y)]
    found.sort(key=lambda item: item[0])
    written = list(_priced_in_words(found[: tuning().forms_written], words, tuning().form_worst))
    # The simplest for their accuracy first, then the most accurate of the others.
    front: list[tuple[float, Expr]] = []
    rest: list[tuple[float, Expr]] = []
    for _, loss, expr in sorted(written, key=lambda item: item[:2]):
        (front if not front or loss < front[-1][0] else rest).append((loss, expr))
    rest.sort(key=lambda item: item[0])
    return [expr for _, expr in (front[::-1] + rest)[: tuning().forms]]


def resembling(x: np.ndarray, y: np.ndarray, words: Vocabulary, within: float) -> list[Expr]:
    """Normal forms that are a function of one input but for this loss: the best of each shape, the cheapest first.

    Args:
        x, y, words: as of :func:`one_input_forms`.
        within: loss up to which a form is taken, relative to the variance of y.
    """
    with np.errstate(all="ignore"):
        found = [*_lines(x, y), *_with_a_line(x, y), *_curves(x, y)]
    found = sorted((form for form in found if form[0] <= within), key=lambda item: item[0])
    shapes: dict[str, tuple[float, Expr]] = {}
    for cost, _, expr in _priced_in_words(found, words, within):
        shapes.setdefault(key(expr), (cost, expr))
    return [expr for _, expr in sorted(shapes.values(), key=lambda item: item[0])]


def _priced_in_words(found: Iterable[_Form], words: Vocabulary, worst: float) -> Iterator[tuple[float, float, Expr]]:
    """(cost, loss, expression) of the forms that can be written and lose no more than this."""
    for loss, build in found:
        tree = words.render(expr := build()) if loss <= worst else None
        if tree is not None:
            yield words.cost(tree), loss, expr


def _lines(x: np.ndarray, y: np.ndarray) -> Iterator[_Form]:
    """Every ``G(y) = a*phi(x) + b``, and those through zero."""
    one_sign = float(np.sign(y[0])) if (np.sign(y) == np.sign(y[0])).all() and y[0] != 0 else 0.0
    variance = float(np.var(y))
    for scale in _SCALES:
        if (scale.signed and one_sign == 0) or (scale is _RECIPROCAL and not y.all()):
            continue
        sign = one_sign if scale.signed else 1.0
        target, weight = scale.forward(sign * y), 1 / np.abs(scale.slope(sign * y))
        weight = np.minimum(weight, 100 * np.median(weight))
        if not (np.isfinite(target).all() and np.isfinite(weight).all()):
            continue
        for phi, write in _bases(x):
            for columns in ([phi, np.ones_like(phi)], [phi]):
                weighted = np.stack(columns, axis=1) * weight[:, None]
                solution, *_ = np.linalg.lstsq(weighted, target * weight, rcond=None)
                loss = float(np.mean((weighted @ solution - target * weight) ** 2)) / variance
                if np.isfinite(loss):  # equal losses are rounding
                    form = partial(_written_line, sign, scale, write, solution)
                    yield _priced(loss, len(columns) - 1), form


def _written_line(sign: float, scale: _Scale, write: Callable[[], Expr], solution: np.ndarray) -> Expr:
    """``sign * G^-1(a*phi(x) + b)``."""
    slope, *offset = solution.tolist()
    return multiply(
        [Constant(sign), scale.inverse(add([multiply([Constant(slope), write()]), *map(Constant, offset)]))]
    )


def _with_a_line(x: np.ndarray, y: np.ndarray) -> Iterator[_Form]:
    """Every ``a*x^p + b*x + c``, and those through zero; a parabola by its vertex, too."""
    variance = float(np.var(y))
    one = np.ones_like(x)
    for p in _POWERS:
        if p == 1.0 or not ((x > 0).all() or (float(p).is_integer() and (p > 0 or (x < 0).all()))):
            continue
        for columns in ([x**p, x, one], [x**p, x]):
            stacked = np.stack(columns, axis=1)
            size = np.sqrt((stacked**2).sum(axis=0))
            solution = np.linalg.lstsq(stacked / size, y, rcond=None)[0] / size
            loss = float(np.mean((stacked @ solution - y) ** 2)) / variance
            if np.isfinite(loss):
                a, b, c = (*solution.tolist(), 0.0)[:3]
                yield _priced(loss, len(columns) - 1), partial(_written_with_a_line, p, a, b, c)
                if p == 2.0 and len(columns) == 3 and a != 0.0:
                    yield _priced(loss, len(columns) - 1), partial(_parabola, a, -b / (2.0 * a), c - b * b / (4.0 * a))


def _written_with_a_line(p: float, a: float, b: float, c: float) -> Expr:
    variable = Variable(0)
    line = [multiply([Constant(b), variable]), Constant(c)]
    return add([multiply([Constant(a), power(variable, p)]), *line])


def _parabola(a: float, vertex: float, least: float) -> Expr:
    """``a*(x - vertex)^2 + least``."""
    return add([multiply([Constant(a), power(add([Variable(0), Constant(-vertex)]), 2.0)]), Constant(least)])


class _In(Flag):
    """What a sum is made of: the two curves of a family, and the line ``a*x + b``. Columns of a fit in this order."""

    FIRST = auto()
    SECOND = auto()
    LINE = auto()
    CONSTANT = auto()


_F, _S, _X, _C = _In
_STRAIGHT: dict[_In, Callable[[np.ndarray], np.ndarray]] = {_X: lambda x: x, _C: np.ones_like}


@dataclass(frozen=True)
class _Family:
    """Two curves of x with one constant b inside, fitted in sums with each other and with a line.

    Attributes:
        grid: rising values of b to begin with.
        curves: (x, b) -> values of the first and of the second curve; b may be (k, 1), for k values at once.
        write: (b, size of the first, size of the second) -> expression of the curves' sum.
        sums: which are fitted.
    """

    grid: np.ndarray
    curves: Callable[[np.ndarray, np.ndarray | float], tuple[np.ndarray, np.ndarray]]
    write: Callable[[float, float, float], Expr]
    sums: tuple[_In, ...]

    def columns(self, members: _In, x: np.ndarray, curves: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
        values = dict(zip((_F, _S), curves, strict=True))
        return [values[member] if member in values else _STRAIGHT[member](x) for member in members]

    def written(self, members: _In, b: float, sizes: np.ndarray) -> Expr:
        """The sum as an expression, given the size of every member."""
        size = dict.fromkeys(_In, 0.0) | dict(zip(members, sizes.tolist(), strict=True))
        line = [multiply([Constant(size[_X]), Variable(0)]), Constant(size[_C])]
        return add([self.write(b, size[_F], size[_S]), *line])


def _families(x: np.ndarray) -> list[_Family]:
    width, largest = float(np.ptp(x)), float(np.abs(x).max())
    rates = np.sort(np.concatenate([-_RATES, _RATES])) / width
    waves, poles, bells = _WAVES / width, _POLES * width**2, _BELLS / width**2
    exponents = rates[np.abs(rates) * largest < tuning().largest_exponent]
    wave = (_F, _S, _F | _C, _S | _C, _F | _S, _F | _S | _C, _F | _X, _S | _X, _F | _S | _X | _C)
    pole = (_F, _S, _F | _C, _S | _C, _F | _X, _S | _X, _F | _S)
    exponential = (_F | _C, _F | _X, _F | _X | _C, _S, _S | _C, _F | _S)
    return [
        _Family(waves, lambda x, b: (np.sin(b * x), np.cos(b * x)), _wave, wave),
        _Family(poles, lambda x, b: (1 / (x * x + b), x / (x * x + b)), _pole, pole),
        _Family(exponents, lambda x, b: (np.exp(b * x), x * np.exp(b * x)), _exponential, exponential),
        _Family(bells, lambda x, b: (np.exp(-b * x * x),) * 2, _bell, (_F, _F | _C, _F | _X)),
        _shifted(x),
        _Family(exponents, lambda x, b: (np.exp(b * x), np.exp(2.0 * b * x)), _squared_exponential, (_F | _S | _C,)),
        *_saturating(x),
    ]


def _saturating(x: np.ndarray) -> list[_Family]:
    """Curves that an exponential bends or ends: on the scale of the answers, since where they are small their
    inverses are all noise."""
    width = float(np.ptp(x))
    rates = _BENDS / width
    tanh = _Family(rates, lambda x, b: (np.tanh(b * x),) * 2, _tanh, (_F, _F | _C, _F | _X))
    if not ((x > 0).all() or (x < 0).all()):
        return [tanh]
    rates = rates[rates * float(np.abs(x).max()) < tuning().largest_exponent]
    inverse = width / _BENDS
    inverse = np.sort(inverse[inverse < tuning().largest_exponent * float(np.abs(x).min())])
    bend = (_F, _F | _C, _S, _S | _C)
    return [
        tanh,
        _Family(rates, lambda x, b: (1 / np.tanh(b * x), 1 / np.tanh(b * x) - 1 / (b * x)), _cotangent, bend),
        _Family(rates, lambda x, b: (1 / np.expm1(b * x), x / np.expm1(b * x)), partial(_occupation, 1.0), bend),
        _Family(inverse, lambda x, b: (1 / np.expm1(b / x), 1 / x / np.expm1(b / x)), partial(_occupation, -1.0), bend),
    ]


def _shifted(x: np.ndarray) -> _Family:
    """Logarithms and roots of ``x + b - least x``: the constant inside is positive."""
    least = float(x.min())

    def curves(x: np.ndarray, b: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        inside = x - least + b
        return np.log(inside), np.sqrt(inside)

    def write(b: float, logarithm: float, root: float) -> Expr:
        inside = add([Variable(0), Constant(b - least)])
        return add(
            [multiply([Constant(logarithm), apply(LOG, [inside])]), multiply([Constant(root), power(inside, 0.5)])]
        )

    return _Family(_SHIFTS * float(np.ptp(x)), curves, write, (_F, _F | _C, _F | _X, _S | _C, _S | _X))


def _wave(b: float, sine: float, cosine: float) -> Expr:
    """``sine*sin(b*x) + cosine*cos(b*x)``, as one wave where it has both."""
    angle: Expr = multiply([Constant(b), Variable(0)])
    if sine and cosine:
        angle = add([angle, Constant(math.atan2(cosine, sine))])
        return multiply([Constant(math.hypot(sine, cosine)), apply(OPERATORS["sin"], [angle])])
    return multiply([Constant(sine or cosine), apply(OPERATORS["sin" if sine else "cos"], [angle])])


def _pole(b: float, even: float, odd: float) -> Expr:
    """``(even + odd*x)/(x^2 + b)``."""
    above = add([Constant(even), multiply([Constant(odd), Variable(0)])])
    return multiply([above, power(add([power(Variable(0), 2.0), Constant(b)]), -1.0)])


def _exponential(b: float, constant: float, slope: float) -> Expr:
    """``(constant + slope*x)*exp(b*x)``."""
    factor = add([Constant(constant), multiply([Constant(slope), Variable(0)])])
    return multiply([factor, apply(EXP, [multiply([Constant(b), Variable(0)])])])


def _squared_exponential(b: float, size: float, square: float) -> Expr:
    """``size*exp(b*x) + square*exp(b*x)^2`` with the square completed."""
    exponential = apply(EXP, [multiply([Constant(b), Variable(0)])])
    if not square:
        return multiply([Constant(size), exponential])
    shift = size / (2.0 * square)
    return add(
        [
            multiply([Constant(square), power(add([exponential, Constant(shift)]), 2.0)]),
            Constant(-square * shift * shift),
        ]
    )


def _tanh(b: float, size: float, _: float) -> Expr:
    """``size*tanh(b*x)``."""
    return multiply([Constant(size), apply(OPERATORS["tanh"], [multiply([Constant(b), Variable(0)])])])


def _cotangent(b: float, size: float, less: float) -> Expr:
    """``(size + less)/tanh(b*x) - less/(b*x)``."""
    angle = multiply([Constant(b), Variable(0)])
    inverse = multiply([Constant(size + less), power(apply(OPERATORS["tanh"], [angle]), -1.0)])
    return add([inverse, multiply([Constant(-less / b), power(Variable(0), -1.0)])])


def _occupation(p: float, b: float, constant: float, slope: float) -> Expr:
    """``(constant + slope*x^p)/(exp(b*x^p) - 1)``."""
    argument = power(Variable(0), p)
    above = add([Constant(constant), multiply([Constant(slope), argument])])
    below = add([apply(EXP, [multiply([Constant(b), argument])]), Constant(-1.0)])
    return multiply([above, power(below, -1.0)])


def _bell(b: float, size: float, _: float) -> Expr:
    """``size*exp(-b*x^2)``."""
    return multiply([Constant(size), apply(EXP, [multiply([Constant(-b), power(Variable(0), 2.0)])])])


def _curves(x: np.ndarray, y: np.ndarray) -> Iterator[_Form]:
    """The sums of a curve and a line that come closest, b fitted roughly."""
    variance = float(np.var(y))
    tried: list[tuple[float, _Family, _In, int]] = []
    for family in _families(x):
        if not len(family.grid):
            continue
        curves = family.curves(x, family.grid[:, None])
        for members in family.sums:
            left = _left(family.columns(members, x, curves), y)
            best = int(np.argmin(left))
            tried.append((_priced(float(left[best]) / variance, len(members)), family, members, best))
    tried.sort(key=lambda item: item[0])
    for _, family, members, k in tried[: tuning().curves_narrowed]:
        b, loss, sizes = _narrowed(family, members, k, x, y)
        yield _priced(loss / variance, len(members)), partial(family.written, members, b, sizes)


def _narrowed(family: _Family, members: _In, k: int, x: np.ndarray, y: np.ndarray) -> tuple[float, float, np.ndarray]:
    """b near its k-th value on the grid, close enough for a fit to start in the right valley; loss and sizes there."""

    @cache
    def fitted(b: float) -> tuple[float, np.ndarray]:
        columns = np.stack(family.columns(members, x, family.curves(x, b)), axis=1)
        sizes, *_ = np.linalg.lstsq(columns, y, rcond=None)
        return float(np.mean((columns @ sizes - y) ** 2)), sizes

    grid = family.grid
    b, step = float(grid[k]), float(grid[min(k + 1, len(grid) - 1)] - grid[max(k - 1, 0)]) / 2
    for _ in range(12):
        near = [b, *(c for c in (b - step, b + step) if c * b > 0.09 * b * b)]
        b, step = min(near, key=lambda c: fitted(c)[0]), 0.6 * step
    return b, *fitted(b)


def _two_waves(x: np.ndarray, y: np.ndarray) -> Iterator[_Form]:
    """The closest sums of two waves of different frequencies: of two sines, of two cosines, of any two.

    For every pair of frequencies at once, the normal equations of ``y = sum_k c_k wave_k(x)``.
    """
    frequencies = _WAVES / float(np.ptp(x))
    n, variance = len(frequencies), float(np.var(y))
    waves = np.stack([np.sin(frequencies[:, None] * x), np.cos(frequencies[:, None] * x)])
    first, second = np.triu_indices(n, 1)
    products = np.einsum("aik,bjk->abij", waves, waves, optimize=True)
    on_y = waves @ y
    sine, cosine = 0, 1
    for kinds in ([sine], [cosine], [sine, cosine]):
        columns = [(kind, f) for f in (first, second) for kind in kinds]
        G = np.stack([np.stack([products[a, b, i, j] for b, j in columns], -1) for a, i in columns], -2)
        rhs = np.stack([on_y[kind, f] for kind, f in columns], axis=-1)
        G += 1e-6 * len(x) * np.eye(len(columns))  # neighbours on the grid are nearly the same wave
        solution = np.linalg.solve(G, rhs[..., None])[..., 0]
        best = int(np.argmax((rhs * solution).sum(axis=1)))
        loss = float(y @ y - rhs[best] @ solution[best]) / len(x) / variance
        sizes = np.zeros((2, 2))
        sizes[:, kinds] = solution[best].reshape(2, -1)
        two = (float(frequencies[first[best]]), float(frequencies[second[best]]))
        # From the grid the fit comes much closer: that counts in advance.
        yield _priced(loss * tuning().grid_gain, 3 * len(kinds)), partial(_sum_of_waves, two, sizes)


def _sum_of_waves(frequencies: tuple[float, float], sizes: np.ndarray) -> Expr:
    return add([_wave(b, float(sine), float(cosine)) for b, (sine, cosine) in zip(frequencies, sizes, strict=True)])


def _left(columns: Sequence[np.ndarray], y: np.ndarray) -> np.ndarray:
    """(k,) what k least-squares problems leave of y on average; the columns are (n,), or (k, n)."""
    stacked = np.stack(np.broadcast_arrays(*columns), axis=-1)
    # With orthonormal columns the part of y in their span is a sum of squares.
    Q = np.linalg.qr(stacked).Q
    return (y @ y - (np.einsum("knq,n->kq", Q, y) ** 2).sum(axis=1)) / len(y)
