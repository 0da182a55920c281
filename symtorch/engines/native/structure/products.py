"""Functions of one input that are products of several: ``c * x^k * exp(a*x) * g(x)^m * h(x)^n``.

The logarithm of such a function is a sum, linear in the exponents, so that of many factors g and h, each with a
constant inside from a grid, the best two of every two kinds come from one Gram matrix. Weighted by the answers
themselves, errors of their logarithm count as errors of the answers, and zeros do no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations.expr import Constant, Expr, Variable, evaluate
from symtorch.equations.normal import EXP, LOG, add, apply, key, multiply, normalise, power
from symtorch.equations.operators import OPERATORS

_WAVES = np.arange(1.6, 40.0, 0.2)
"""Radians over the range of x."""
_SHIFTS = np.array([0.02, 0.06, 0.15, 0.3, 0.5, 0.8, 1.2, 1.8, 3.0])
"""Distance of the zero of x + b from the least x, as a share of the range; of x^2 + b the same, squared."""
_RATES = np.array([0.4, 0.8, 1.5, 3.0, 6.0, 12.0])
"""Exponents that exp(b*x) - 1 and exp(b*x) + 1 gain or lose over the range of x."""
_MOST_POWER = 4.0
"""Exponent of a factor above which it is an unlikely one."""
_PAIRS = 40
"""Pairs of kinds that are narrowed down."""
_NARROWED = 20
"""Steps by which the constants inside are narrowed down."""
_NUDGE = 1e-6
"""Relative change of a constant that tells its slope."""


@dataclass(frozen=True)
class _Kind:
    """Factors that differ by a constant b inside.

    Attributes:
        grid: rising values of b.
        logarithm: b -> log|factor| on the rows.
        write: b -> the factor.
    """

    grid: np.ndarray
    logarithm: Callable[[float], np.ndarray]
    write: Callable[[float], Expr]


@dataclass(frozen=True, eq=False)
class _Fit:
    """Least squares for the logarithm of the answers, weighted by these.

    Attributes:
        weight: (n,) sizes of the answers.
        fixed: (n, k) weighted columns of what every product has.
        target: (n,) weighted logarithm of the answers.
    """

    weight: np.ndarray
    fixed: np.ndarray
    target: np.ndarray

    def sizes(self, logarithms: list[np.ndarray]) -> tuple[float, np.ndarray]:
        """What is left, and the exponents, those of ``fixed`` first."""
        columns = np.column_stack([self.fixed, *(v * self.weight for v in logarithms)])
        if not np.isfinite(columns).all():
            return np.inf, np.zeros(columns.shape[1])
        sizes, *_ = np.linalg.lstsq(columns, self.target, rcond=None)
        return float(np.mean((columns @ sizes - self.target) ** 2)), sizes


def products_of_one(x: np.ndarray, y: np.ndarray, words: Vocabulary) -> list[Expr]:
    """Normal forms of products with starting values for their constants, the closest first.

    Args:
        x: (n,) the input.
        y: (n,) the answers.
    """
    with np.errstate(all="ignore"):
        usable = np.abs(y) > 1e-6 * np.abs(y).max()
        x, y = x[usable], y[usable]
        if len(y) < tuning().fewest:
            return []
        always, weight = list(_always(x, words)), np.abs(y)
        fixed = np.stack([weight, *(v * weight for v, _ in always)], axis=1)
        fit = _Fit(weight, fixed, np.log(weight) * weight)
        kinds = list(_kinds(x, words))
        found = [_narrowed(fit, (kinds[k], kinds[m]), [b, c]) for k, m, b, c in _best_pairs(fit, kinds)]
        found.sort(key=lambda item: item[0])
        made: dict[str, Expr] = {}
        for _, sizes, factors in found:
            expr = _written(sizes[1:], [write for _, write in always], factors, x, y)
            if expr is not None and words.render(expr) is not None:
                made.setdefault(key(expr), expr)
    return list(made.values())[: tuning().forms]


def _always(x: np.ndarray, words: Vocabulary) -> Iterator[tuple[np.ndarray, Callable[[float], Expr]]]:
    """What every product has: logarithms of a power and of an exponential, and how they are written by their size."""
    if (x != 0).all():
        steps = 2 if (x > 0).all() else 1
        yield np.log(np.abs(x)), lambda size: power(Variable(0), round(steps * size) / steps)
    if EXP in words.functions:
        yield x, lambda size: apply(EXP, [multiply([Constant(size), Variable(0)])])


def _kinds(x: np.ndarray, words: Vocabulary) -> Iterator[_Kind]:
    width = float(np.ptp(x))
    if OPERATORS["sin"] in words.functions:
        yield _Kind(_WAVES / width, lambda b: np.log(np.abs(np.sin(b * x))), lambda b: _of_multiple("sin", b))
    if OPERATORS["cos"] in words.functions:
        yield _Kind(_WAVES / width, lambda b: np.log(np.abs(np.cos(b * x))), lambda b: _of_multiple("cos", b))
    if OPERATORS["tanh"] in words.functions:
        yield _Kind(_WAVES[::8] / width, lambda b: np.log(np.abs(np.tanh(b * x))), lambda b: _of_multiple("tanh", b))
    if EXP in words.functions:
        rates = np.concatenate([-_RATES[::-1], _RATES]) / width
        yield _Kind(rates, lambda b: np.log(np.abs(np.expm1(b * x))), lambda b: _beside_one(b, -1.0))
        yield _Kind(rates, lambda b: np.log1p(np.exp(b * x)), lambda b: _beside_one(b, 1.0))
    for part in np.array_split(_SHIFTS, 3):
        yield from _shifted_kinds(x, part * width, LOG in words.functions)


def _shifted_kinds(x: np.ndarray, shifts: np.ndarray, logarithms: bool) -> Iterator[_Kind]:
    least, variable = float(x.min()), Variable(0)

    def shifted(b: float) -> Expr:
        return add([variable, Constant(b - least)])

    yield _Kind(shifts, lambda b: np.log(x - least + b), shifted)
    if logarithms:
        yield _Kind(shifts, lambda b: np.log(np.abs(np.log(x - least + b))), lambda b: apply(LOG, [shifted(b)]))
    yield _Kind(shifts**2, lambda b: np.log(x * x + b), lambda b: add([power(variable, 2.0), Constant(b)]))


def _beside_one(b: float, one: float) -> Expr:
    return add([apply(EXP, [multiply([Constant(b), Variable(0)])]), Constant(one)])


def _of_multiple(name: str, b: float) -> Expr:
    return apply(OPERATORS[name], [multiply([Constant(b), Variable(0)])])


def _best_pairs(fit: _Fit, kinds: list[_Kind]) -> list[tuple[int, int, float, float]]:
    """Of every two kinds the pair of factors that leaves least beside the fixed columns: kinds and constants."""
    label = np.concatenate([np.full(len(kind.grid), k) for k, kind in enumerate(kinds)])
    grid = np.concatenate([kind.grid for kind in kinds])
    logs = np.stack([kind.logarithm(float(b)) for kind in kinds for b in kind.grid], axis=1) * fit.weight[:, None]
    defined = np.isfinite(logs).all(axis=0)
    label, grid, logs = label[defined], grid[defined], logs[:, defined]
    Q, _ = np.linalg.qr(fit.fixed)
    logs = logs - Q @ (Q.T @ logs)
    logs /= np.maximum(np.sqrt((logs * logs).sum(axis=0)), 1e-300)
    G, on = logs.T @ logs, logs.T @ (fit.target - Q @ (Q.T @ fit.target))
    square = on**2
    gain = (square[:, None] + square - 2 * G * np.outer(on, on)) / np.maximum(1 - G * G, 1e-4)
    np.fill_diagonal(gain, 0.0)
    found = []
    for k, m in combinations_with_replacement(range(len(kinds)), 2):
        rows, columns = np.flatnonzero(label == k), np.flatnonzero(label == m)
        block = gain[np.ix_(rows, columns)]
        if block.size:
            i, j = np.unravel_index(int(np.argmax(block)), block.shape)
            found.append((float(block[i, j]), k, m, float(grid[rows[i]]), float(grid[columns[j]])))
    found.sort(reverse=True)
    return [(k, m, b, c) for _, k, m, b, c in found[:_PAIRS]]


def _narrowed(fit: _Fit, kinds: tuple[_Kind, _Kind], constants: list[float]) -> tuple[float, np.ndarray, list[Expr]]:
    """Both constants inside narrowed down by Gauss-Newton steps: what is left, the exponents, the factors."""

    def logarithms(constants: list[float]) -> list[np.ndarray]:
        return [kind.logarithm(b) for kind, b in zip(kinds, constants, strict=True)]

    here = logarithms(constants)
    left, sizes = fit.sizes(here)
    for _ in range(_NARROWED):
        moved = logarithms([b * (1 + _NUDGE) for b in constants])
        slopes = [e * (m - h) / (_NUDGE * b) for e, m, h, b in zip(sizes[-2:], moved, here, constants, strict=True)]
        _, step = fit.sizes([*here, *slopes])
        for share in (1.0, 0.3, 0.1, 0.02):
            near = [b * float(np.clip(1 + share * d / b, 0.5, 2)) for b, d in zip(constants, step[-2:], strict=True)]
            other, exponents = fit.sizes(there := logarithms(near))
            if other < left:
                break
        else:
            break
        constants, here, left, sizes = near, there, other, exponents
    return left, sizes, [kind.write(b) for kind, b in zip(kinds, constants, strict=True)]


def _written(
    sizes: np.ndarray, always: list[Callable[[float], Expr]], factors: list[Expr], x: np.ndarray, y: np.ndarray
) -> Expr | None:
    """The product with exponents that are halves of whole numbers; None for unlikely ones."""
    raised = [round(2 * float(e)) / 2 for e in sizes[-2:]]
    if max(map(abs, raised)) > _MOST_POWER:
        return None
    parts = [write(float(size)) for write, size in zip(always, sizes[:-2], strict=True)]
    product = multiply([*parts, *(power(factor, e) for factor, e in zip(factors, raised, strict=True))])
    values = evaluate(product, x[:, None])
    scale = float(values @ y / (values @ values))
    return normalise(multiply([Constant(scale), product])) if np.isfinite(scale) and scale else None
