"""Functions of one input, by linear least squares: ``y = G^-1(a*phi(x) + b)``.

Most pieces that a decomposition ends in are a power, an exponential, a logarithm, a wave, or one of
these inside a power or an exponential. On the scale G of the answers they are straight lines in phi,
so all pairs (G, phi) are fitted at once in closed form, in milliseconds, and only what is none of these
needs a search. Weights 1/G' make errors on the scale G count as errors of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from symtorch.engines.native.normal import EXP, LOG, add, apply, multiply, power
from symtorch.engines.native.vocabulary import Vocabulary
from symtorch.equations.expr import Constant, Expr, Variable
from symtorch.equations.operators import OPERATORS

_POWERS = (1.0, 2.0, 3.0, -1.0, -2.0, -3.0, 0.5, -0.5, 1.5, -1.5, 4.0)
_RATES = np.array([0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0])
"""Exponents that exp(b*x) gains over the range of x."""
_WAVES = np.arange(1.6, 40.0, 0.4)
"""Radians that sin(b*x) runs through over the range of x; through less, any curve is a wave."""
LOOKED_AT = 60
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
        found = [*_lines(x, y), *_waves(x, y)]
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


def _waves(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[float, Callable[[], Expr]]]:
    """``a*sin(b*x + c) + d`` for the frequency that fits best, as a sine or a cosine, with and without c and d."""
    width, variance = float(np.ptp(x)), float(np.var(y))

    def fitted(b: float, names: str) -> tuple[float, np.ndarray]:
        made = {"s": np.sin(b * x), "c": np.cos(b * x), "1": np.ones_like(x)}
        columns = np.stack([made[n] for n in names], axis=1)
        solution, *_ = np.linalg.lstsq(columns, y, rcond=None)
        return float(np.mean((columns @ solution - y) ** 2)) / variance, solution

    for names in ("s", "c", "s1", "c1", "sc", "sc1"):
        b = min(_WAVES / width, key=lambda b: fitted(b, names)[0])
        step = 0.4 / width
        for _ in range(12):  # narrow the frequency down so that the fit starts in the right valley
            b = max(min((b - step, b, b + step), key=lambda b: fitted(b, names)[0]), 1.2 / width)
            step *= 0.6
        loss, solution = fitted(b, names)

        def build(b: float = b, names: str = names, solution: np.ndarray = solution) -> Expr:
            offset = [Constant(float(solution[-1]))] if names.endswith("1") else []
            angle: Expr = multiply([Constant(float(b)), Variable(0)])
            sine = OPERATORS["cos" if names.startswith("c") else "sin"]
            size = float(solution[0])
            if names.startswith("sc"):
                size = float(np.hypot(solution[0], solution[1]))
                angle = add([angle, Constant(float(np.arctan2(solution[1], solution[0])))])
            return add([multiply([Constant(size), apply(sine, [angle])]), *offset])

        yield max(loss, 1e-24) * 1.3 ** len(names), build
