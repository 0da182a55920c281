"""Which powers of inputs stand before everything else, and which inputs enter as one, read off rows alone.

In ``y = x0*x1**2/x2 * h(x3 - x4, x5/x6)`` log|y| is a line in the logarithms of x0, x1 and x2, with whole or half
slopes, whatever h is, and those of x5 and x6 enter as their difference, beside a line. Laws of nature are mostly of
this form: a product of powers, times a function of few products without units (Buckingham 1914,
doi 10.1103/PhysRev.4.345), and of differences of places, angles or times.

So log|y| is fitted with a quadratic, in the inputs and in their logarithms, whose second-order coefficients say it.
Those of an input that is a factor, with others too, explain no more than chance does. Those of two inputs that enter as
one are in one proportion, each with each. They are joined then, and the fit, with fewer coefficients, is asked again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement, product
from typing import NamedTuple

import numpy as np

from symtorch.engines.native.fitting.tuning import PowersTuning
from symtorch.engines.native.tuning import current
from symtorch.equations import normal
from symtorch.equations.expr import Constant, Expr, Variable, substitute

Array = np.ndarray
Weights = Mapping[int, float]
"""{input: its exponent in a product, or its factor in a sum}."""

_TURNS = 3
"""Fits, each with the weights that the last one gives: two or three are enough."""
_TINY = 1e-300
_EXPONENTS = (1.0, -1.0, 2.0, -2.0)
_RATIOS = (1.0, 2.0, 0.5, 3.0, 1 / 3, 1.5, 2 / 3)
"""In what proportion exponents may be, the most usual first."""


@dataclass(frozen=True)
class Powers:
    """A product of powers before the rest, and the products that the rest is a function of.

    >>> X = np.random.default_rng(0).uniform(1.0, 3.0, (500, 6))
    >>> y = X[:, 0] ** 2 / X[:, 3] * np.exp(X[:, 1] / X[:, 2] - (X[:, 4] - X[:, 5]) ** 2)
    >>> powers = Powers.before(X, y)
    >>> powers.sums
    ({0: 1.0}, {1: 1.0}, {2: 1.0}, {3: 1.0}, {5: 1.0, 4: -1.0})
    >>> powers.factor, powers.products
    ({0: 2.0, 3: -1.0}, ({2: 1.0, 1: -1.0}, {4: 1.0}))

    Attributes:
        sums: sums and differences of inputs; inputs by themselves have the factor 1.
        factor: the powers of these sums that stand before the rest; maybe none.
        products: of these sums, that the rest is a function of.
    """

    sums: tuple[Weights, ...]
    factor: Weights
    products: tuple[Weights, ...]

    @classmethod
    def nothing(cls, n_inputs: int) -> Powers:
        """Where nothing is seen."""
        alone = tuple({i: 1.0} for i in range(n_inputs))
        return cls(alone, {}, alone)

    @classmethod
    def before(cls, X: Array, y: Array, join: bool = True) -> Powers:
        """What can be told of y (n,) on inputs (n, n_inputs); nothing where there are too few rows.

        Args:
            join: whether inputs that enter as one are joined.
        """
        tuning = current(PowersTuning)
        n, d = X.shape
        with np.errstate(all="ignore"):
            target = np.log(np.abs(y))
        known = np.isfinite(target)
        few = known.sum() < max(n / 2, tuning.rows_per_term * (1 + d) * (2 + d) / 2)
        if d > tuning.inputs or few or not (X.std(axis=0) > 0.0).all():
            return cls.nothing(d)
        if join and _Fit.of(_logarithms(X[known]), target[known]).square > tuning.unsaid * np.var(target[known]):
            return cls._of_one_product(X, y) or cls.before(X, y, join=False)
        X, target = X[known], target[known]
        sums = _sums(X, target) if join else cls.nothing(d).sums
        S = _values_of_sums(sums, X)
        single = _of_one_sign(S)
        L = _logarithms(S)
        fit = _Fit.of(L, target)
        factor: dict[int, float] = {}
        while True:
            taken = next(fit.factors(single), None)
            if taken is not None:
                i, factor[i] = taken
                fit = _Fit.of(L, target, tuple(p for p in fit.parts if i not in p))
                continue
            joint = min(fit.joints(single, _RATIOS), default=None) if join else None
            if joint is None:
                break
            fit = _Fit.of(L, target, fit.joined(joint))
        for part in fit.parts:
            factor |= fit.beside(part)
        return cls(sums, factor, tuple(_whole(part) for part in fit.parts))

    @classmethod
    def _of_one_product(cls, X: Array, y: Array) -> Powers | None:
        """The factor before a function of one product of all other inputs; None unless it is seen without derivatives.

        For where a quadratic says little, as of waves that run through many periods. Along the product neighbours are
        equal: the mean square of their differences (von Neumann 1941, doi 10.1214/aoms/1177731677) is next to nothing.
        """
        tuning = current(PowersTuning)
        alone = cls.before(X, y, join=False)
        inputs = [i for part in alone.products for i in part]
        if not 2 <= len(inputs) <= tuning.in_one_product or not all(_of_one_sign(X[:, inputs])):
            return None
        with np.errstate(all="ignore"):
            rest, L = y / alone.values(X), np.log(np.abs(X[:, inputs]))
        if not np.isfinite(rest).all():
            return None
        found = []
        for first, *others in product(_EXPONENTS, repeat=len(inputs)):
            if first > 0.0 and 1.0 in map(abs, (first, *others)):
                along = rest[np.argsort(L @ np.array([first, *others]))]
                found.append((float(np.mean(np.diff(along) ** 2) / (2.0 * np.var(rest))), (first, *others)))
        apart, exponents = min(found)
        if not apart <= tuning.neighbours:
            return None
        return cls(alone.sums, alone.factor, (dict(zip(inputs, exponents, strict=True)),))

    @property
    def is_nothing(self) -> bool:
        return not self.factor and all(len(part) == 1 for part in (*self.sums, *self.products))

    def values(self, X: Array) -> Array:
        """(n,): the factor, on rows (n, n_inputs); NaN where it has none."""
        return _value(self.factor, _values_of_sums(self.sums, X))

    def columns(self, X: Array) -> Array:
        """(n, n_left): the inputs of the rest."""
        S = _values_of_sums(self.sums, X)
        return np.column_stack([S[:, :0], *(_value(product, S) for product in self.products)])

    def outward(self, expr: Expr) -> Expr:
        """A function of the inputs of the rest, times the factor, as a function of all."""
        sums = [
            normal.add([normal.multiply([Constant(c), Variable(i)]) for i, c in part.items()]) for part in self.sums
        ]
        inside = [_written(product, sums) for product in self.products]
        return normal.multiply([_written(self.factor, sums), normal.normalise(substitute(expr, inside))])


def _values_of_sums(sums: Sequence[Weights], X: Array) -> Array:
    return np.column_stack([X[:, list(part)] @ np.array(list(part.values())) for part in sums])


def _value(product: Weights, S: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.prod([np.ones(len(S)), *(S[:, i] ** exponent for i, exponent in product.items())], axis=0)


def _written(product: Weights, sums: Sequence[Expr]) -> Expr:
    return normal.multiply([normal.power(sums[i], exponent) for i, exponent in product.items()])


def _of_one_sign(X: Array) -> list[bool]:
    return [bool(column.min() > 0.0 or column.max() < 0.0) for column in X.T]


def _logarithms(X: Array) -> Array:
    """Of the size of each column; those of both signs as they are."""
    return np.column_stack([np.log(np.abs(x)) if one else x for x, one in zip(X.T, _of_one_sign(X), strict=True)])


def _sums(X: Array, target: Array) -> tuple[Weights, ...]:
    """Inputs that enter as a sum or a difference joined, unless they might as well enter as a product."""
    tuning, single, d = current(PowersTuning), _of_one_sign(X), X.shape[1]
    as_products: dict[tuple[int, int], float] = {}
    for joint in _Fit.of(_logarithms(X), target).joints(single, _RATIOS):
        pair = (joint.first, joint.second)
        as_products[pair] = min(joint.against, as_products.get(pair, np.inf))
    fit = _Fit.of(X, target)
    while True:
        found = []
        for joint in fit.joints([True] * d, (1.0,)):
            pairs = [(min(i, k), max(i, k)) for i in fit.parts[joint.first] for k in fit.parts[joint.second]]
            other = min(as_products.get(pair, np.inf) for pair in pairs)
            if joint.against <= min(tuning.out_of_proportion, tuning.clearly * other):
                found.append(joint)
        if not found:
            return fit.parts
        fit = _Fit.of(X, target, fit.joined(min(found)))


def _whole(product: Weights) -> Weights:
    """The product to the power that makes all exponents whole."""
    for k in (1.0, 2.0, 3.0, 6.0):
        whole = {i: float(round(k * e)) for i, e in product.items()}
        if all(abs(k * e - whole[i]) < 1e-9 for i, e in product.items()):
            return whole
    return product


class _Joint(NamedTuple):
    """Two parts that enter as one, ``ratio*first + second``. The less what speaks against it, the better."""

    against: float
    first: int
    second: int
    ratio: float


@dataclass(frozen=True, eq=False)
class _Fit:
    """The quadratic: a line in all columns, and second-order terms of some sums of them.

    Attributes:
        parts: these sums; of logarithms they are products.
        c: coefficients: of 1, of each column, and of each pair of parts.
        inverse: of the normal matrix.
        square: residual sum of squares over the degrees of freedom.
    """

    parts: tuple[Weights, ...]
    c: Array
    inverse: Array
    square: float

    @classmethod
    def of(cls, L: Array, target: Array, parts: tuple[Weights, ...] | None = None) -> _Fit:
        """By weighted least squares: rows whose y is small tell less of its logarithm."""
        parts = Powers.nothing(L.shape[1]).sums if parts is None else parts
        M = L - L.mean(axis=0)
        G = [M[:, list(p)] @ np.array(list(p.values())) for p in parts]
        second = [u * v * (0.5 if u is v else 1.0) for u, v in combinations_with_replacement(G, 2)]
        A = np.column_stack([np.ones(len(M)), M, *second])
        size = np.linalg.norm(A, axis=0)
        A /= size
        root = np.ones(len(target))
        for _ in range(_TURNS):
            c, *_ = np.linalg.lstsq(A * root[:, None], target * root, rcond=None)
            along = A @ c
            order, squares = np.argsort(along), (target - along) ** 2
            low, high = order[: len(target) // 4], order[len(target) // 2 :]
            # What the quadratic misses is as large everywhere, noise of y is larger in the logarithm of a smaller one.
            own = float(np.median(squares[high]))
            noise = max(0.0, float(np.median(squares[low])) - own) * np.exp(2.0 * float(np.median(along[low])))
            level = np.exp(2.0 * np.maximum(along, np.quantile(target, 0.02)))
            root = 1.0 / np.sqrt(own + noise / level + _TINY)
            root /= np.sqrt(np.mean(root**2))
        B, b = A * root[:, None], target * root
        c, *_ = np.linalg.lstsq(B, b, rcond=None)
        square = float(np.sum((b - B @ c) ** 2)) / max(1, len(b) - B.shape[1])
        return cls(parts, c / size, np.linalg.pinv(B.T @ B) / np.outer(size, size), square)

    def _rows(self) -> Array:
        """(m, m, n_coefficients): [p, q] picks the second-order coefficient of products p and q."""
        m = len(self.parts)
        rows = np.zeros((m, m, len(self.c)))
        first = len(self.c) - m * (m + 1) // 2
        for k, (p, q) in enumerate(combinations_with_replacement(range(m), 2)):
            rows[p, q, first + k] = rows[q, p, first + k] = 1.0
        return rows

    def _gain(self, R: Array) -> float:
        """How far ``R @ c`` is from nothing, in units of chance (F)."""
        v = R @ self.c
        covariance = R @ self.inverse @ R.T
        return float(v @ np.linalg.lstsq(covariance, v, rcond=None)[0]) / len(v) / max(self.square, _TINY)

    def _slope(self, v: Array) -> tuple[float, float]:
        """What ``v @ c`` is, and its standard error."""
        return float(v @ self.c), float(np.sqrt(self.square * (v @ self.inverse @ v)))

    def factors(self, single: list[bool]) -> Iterator[tuple[int, float]]:
        """Inputs that are a factor, with their exponents."""
        tuning = current(PowersTuning)
        for part, row in zip(self.parts, self._rows(), strict=True):
            i, *more = part
            slope, error = self._slope(np.eye(len(self.c))[1 + i])
            # The less exactly a slope is known, the less is seen of what speaks against it.
            if more or not single[i] or self._gain(row) > tuning.chance * (1.0 - 0.5 * error / tuning.certain):
                continue
            exponent = round(2.0 * slope) / 2.0
            near = abs(slope - exponent) <= tuning.deviations * error + tuning.bias
            if near and error <= tuning.certain and 0.0 < abs(exponent) <= tuning.steepest:
                yield i, exponent

    def joints(self, single: list[bool], ratios: Sequence[float]) -> Iterator[_Joint]:
        """Parts that may enter as one, in these ratios or minus these."""
        tuning, rows = current(PowersTuning), self._rows()
        gains = [self._gain(row) for row in rows]
        for p, q in combinations(range(len(rows)), 2):
            least = min(gains[p], gains[q])
            if least <= tuning.chance or not all(single[i] for i in (*self.parts[p], *self.parts[q])):
                continue
            for size in ratios:
                unusual = 1.0 if size == 1.0 else 3.0 if size in (2.0, 0.5) else 10.0
                for ratio in (size, -size):
                    gain = self._gain(rows[p] - ratio * rows[q])
                    against = unusual * gain / least
                    by_chance = gain <= tuning.chance and against <= tuning.unseen
                    if by_chance or against <= tuning.out_of_proportion:
                        yield _Joint(against, p, q, ratio)

    def joined(self, joint: _Joint) -> tuple[Weights, ...]:
        """The parts, two of them joined."""
        raised = {i: joint.ratio * e for i, e in self.parts[joint.first].items()}
        one = {**self.parts[joint.second], **raised}
        return tuple(one if k == joint.second else p for k, p in enumerate(self.parts) if k != joint.first)

    def beside(self, product: Weights) -> dict[int, float]:
        """The factor that a product's inputs make besides: the shortest, since the rest may have any power of it."""
        tuning, unit = current(PowersTuning), np.eye(len(self.c))
        found = []
        for without in product if len(product) > 1 else ():
            beside: dict[int, float] = {}
            off = 0.0
            for i, exponent in product.items():
                slope, error = self._slope(unit[1 + i] - exponent / product[without] * unit[1 + without])
                nearest = round(2.0 * slope) / 2.0
                off = max(off, abs(slope - nearest) / (tuning.deviations * error + tuning.bias_beside))
                beside |= {i: nearest} if nearest else {}
            found.append((off > 1.0, len(beside), sum(map(abs, beside.values())), off, without, beside))
        return min(found)[-1] if found else {}
