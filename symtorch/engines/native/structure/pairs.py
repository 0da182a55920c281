"""Two inputs that act as one: ``x0 - x1``, ``x0*x1``, ``x0/x1^2``, ``x0^2 + 3*x1^2``, ``1/x0 + 1/x1``.

All of these are sums ``p(x_i) + r*p(x_j)`` on a suitable scale p (identity, logarithm, square,
inverse), so one test serves: move both inputs along the line on which the sum stays, and see whether
the teacher's answer stays too. The slope r comes from the ratio of the derivatives on that scale and
is refined until the answers along the line agree best.

The scaling law ``f(a x_i, a^s x_j) = a^k f`` (that is, ``f = x_i^k h(x_j/x_i^s)``) is the same move on the
logarithmic scale, with an answer that grows by a known factor.

Tests of symmetry by asking: AI Feynman, arXiv 1905.11481; by gradients: AI Feynman 2.0, arXiv 2006.10782.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from symtorch.engines.native.structure.problem import Problem, mean_square, median

STEP = 1e-3
"""Step of the difference quotients, as a fraction of the range; only starting values depend on it."""

CLOSEST = 0.02
"""On the logarithmic scale inputs come no closer to zero than this fraction of their largest value."""


@dataclass(frozen=True)
class Scale:
    """A scale on which inputs are added: its function, its inverse on the branch of a sign, its slope."""

    name: str
    forward: Callable[[np.ndarray], np.ndarray]
    backward: Callable[[np.ndarray, np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]


SCALES = {
    s.name: s
    for s in (
        Scale("identity", lambda x: x, lambda p, sign: p, np.ones_like),
        Scale("log", lambda x: np.log(np.abs(x)), lambda p, sign: sign * np.exp(p), lambda x: 1 / x),
        Scale("square", np.square, lambda p, sign: sign * np.sqrt(np.maximum(p, 0.0)), lambda x: 2 * x),
        Scale("inverse", lambda x: 1 / x, lambda p, sign: 1 / p, lambda x: -1 / x**2),
    )
}


def span(scale: Scale, low: float, high: float, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The interval on the scale that an input of this range and of this sign can reach; empty if low > high."""
    if scale.name == "identity":
        return np.full(len(sign), low), np.full(len(sign), high)
    if scale.name == "inverse":
        if low <= 0 <= high:
            return np.ones(len(sign)), np.zeros(len(sign))
        return np.full(len(sign), 1 / high), np.full(len(sign), 1 / low)
    least = np.where(sign > 0, max(low, 0.0), max(-high, 0.0))
    most = np.where(sign > 0, high, -low)
    if scale.name == "square":
        return np.where(most > 0, least**2, 1.0), np.where(most > 0, most**2, 0.0)
    least = np.maximum(least, CLOSEST * max(abs(low), abs(high)))
    with np.errstate(all="ignore"):
        return np.log(least), np.where(most > 0, np.log(np.maximum(most, 1e-300)), -np.inf)


def along(
    problem: Problem, i: int, j: int, scale: Scale, r: float, total: np.ndarray, signs: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values of the two inputs with ``p(x_i) + r*p(x_j) = total``, at this place (0 to 1) of the possible ones.

    Args:
        signs: (2, m) signs of the two inputs.

    Returns:
        Two (m,) arrays, NaN where no such values lie in the inputs' ranges.
    """
    pi = span(scale, problem.low[i], problem.high[i], signs[0])
    pj = span(scale, problem.low[j], problem.high[j], signs[1])
    ends = np.sort(np.stack([total - r * pj[0], total - r * pj[1]]), axis=0)
    least, most = np.maximum(pi[0], ends[0]), np.minimum(pi[1], ends[1])
    width = most - least
    slack = 1e-9 * (np.abs(most) + np.abs(least))
    possible = (width >= -slack) & (pi[0] <= pi[1]) & (pj[0] <= pj[1])
    p = np.where(possible, least + place * width, np.nan)
    with np.errstate(all="ignore"):
        return scale.backward(p, signs[0]), scale.backward((total - p) / r, signs[1])


@dataclass(frozen=True)
class Pair:
    """The finding that f depends on inputs i and j through ``p(x_i) + r*p(x_j)`` alone.

    Attributes:
        divisor: i or j if that is so only after a division by that input: a component of a central
            force is ``x_i*h(x_i^2 + x_j^2)``.
        residual: mean squared change of the answers along the line, halved, relative to their variance.
        contrast: the same, relative to the change that moving one of the two alone makes.
    """

    i: int
    j: int
    scale: str
    r: float
    residual: float
    contrast: float
    divisor: int | None = None


@dataclass(frozen=True)
class Scaling:
    """The finding that ``f = x_i^k * h(x_j/x_i^s, others)``; residual and contrast as for a :class:`Pair`."""

    i: int
    j: int
    s: int
    k: float
    residual: float
    contrast: float


def gradients(problem: Problem) -> np.ndarray:
    """(d, m) central difference quotients."""
    out = np.empty((problem.n_inputs, len(problem.Z)))
    for i in range(problem.n_inputs):
        h = STEP * (problem.high[i] - problem.low[i])
        forth, back = problem.Z.copy(), problem.Z.copy()
        forth[:, i] += h
        back[:, i] -= h
        out[i] = (problem.ask(forth, 0) - problem.ask(back, 0)) / (2 * h)
    return out


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, float]:
    """Median of the quotient where the denominator is not small, and its relative spread."""
    with np.errstate(all="ignore"):
        usable = np.isfinite(numerator) & (np.abs(denominator) > 0.2 * median(np.abs(denominator)))
        if usable.sum() < 20:
            return 0.0, np.inf
        quotient = numerator[usable] / denominator[usable]
    middle = float(np.median(quotient))
    return middle, float(np.median(np.abs(quotient - middle)) / max(abs(middle), 1e-300))


def find_pairs(problem: Problem, gradient: np.ndarray, rng: np.random.Generator) -> Iterator[Pair]:
    """Every pair of inputs whose derivatives have a fixed ratio on one of the scales, tested."""
    d = problem.n_inputs
    for i in range(d):
        for j in range(i + 1, d):
            for name, scale in SCALES.items():
                both = np.stack([problem.low[[i, j]], problem.high[[i, j]]])
                far = np.abs(both).max()
                if name == "inverse" and (np.abs(both).min() < 0.1 * far or (both[0] * both[1] < 0).any()):
                    continue
                with np.errstate(all="ignore"):
                    slope_i = gradient[i] / scale.slope(problem.Z[:, i])
                    slope_j = gradient[j] / scale.slope(problem.Z[:, j])
                r, spread = ratio(slope_j, slope_i)
                if spread > 0.5 or not 1e-3 < abs(r) < 1e3:
                    continue
                pair = _refined(problem, i, j, scale, r, rng)
                if pair is not None:
                    yield pair


def find_divided_pairs(problem: Problem, gradient: np.ndarray, rng: np.random.Generator) -> Iterator[Pair]:
    """Pairs that act as a sum or a sum of squares once the answers are divided by one of the two."""
    d = problem.n_inputs
    for n in range(d):
        with np.errstate(all="ignore"):
            share = problem.y / problem.Z[:, n]
        for other in range(d):
            if other == n:
                continue
            i, j = min(n, other), max(n, other)
            for name in ("identity", "square"):
                scale = SCALES[name]
                with np.errstate(all="ignore"):
                    slope = {
                        m: (gradient[m] - (share if m == n else 0.0)) / scale.slope(problem.Z[:, m]) for m in (i, j)
                    }
                r, spread = ratio(slope[j], slope[i])
                if spread < 0.3 and 1e-3 < abs(r) < 1e3:
                    refined = _refined(problem, i, j, scale, r, rng, n)
                    if refined is not None:
                        yield replace(refined, divisor=n)


def _refined(
    problem: Problem, i: int, j: int, scale: Scale, r: float, rng: np.random.Generator, divisor: int | None = None
) -> Pair | None:
    """The pair with its slope snapped to an integer where that does as well, else refined."""
    if scale.name == "log" and abs(r) < 0.75:  # x0*sqrt(x1) is better had as x1*x0^2
        i, j, r = j, i, 1 / r
    moves = _Moves(problem, i, j, scale, rng, divisor)
    snapped = float(np.sign(r) * max(1, round(abs(r))))
    if abs(r / snapped - 1) > 0.25 or abs(snapped) > 4:
        snapped = 0.0
    if scale.name == "log":
        return moves.finding(snapped) if snapped else None
    if abs(snapped) != 1:
        snapped = 0.0
    nice = moves.finding(snapped) if snapped else None
    if nice is not None and nice.residual < 1e-16:
        return nice
    free = moves.finding(moves.best(r))
    return nice if nice is not None and nice.residual <= 3 * free.residual else free


class _Moves:
    """Moves along ``p(x_i) + r*p(x_j)``, to the same places for every r."""

    def __init__(
        self, problem: Problem, i: int, j: int, scale: Scale, rng: np.random.Generator, divisor: int | None
    ) -> None:
        self.problem, self.i, self.j, self.scale, self.divisor = problem, i, j, scale, divisor
        self.place = rng.uniform(0.02, 0.98, len(problem.Z))
        self.signs = np.sign(problem.Z[:, [i, j]].T)
        with np.errstate(all="ignore"):
            self.p, self.q = scale.forward(problem.Z[:, i]), scale.forward(problem.Z[:, j])

    def move(self, r: float) -> tuple[np.ndarray, np.ndarray]:
        return along(self.problem, self.i, self.j, self.scale, r, self.p + r * self.q, self.signs, self.place)

    def change(self, xi: np.ndarray | None, xj: np.ndarray | None) -> np.ndarray:
        """Change of the answers (or of their quotient by the divisor, times the divisor) by moving one or both.

        An answer that counts f times as much here as there errs f times as much: such changes are made
        comparable with a change of two answers that count alike.
        """
        Z = self.problem.Z.copy()
        if xi is not None:
            Z[:, self.i] = xi
        if xj is not None:
            Z[:, self.j] = xj
        answers = self.problem.ask(Z, 0)
        if self.divisor is None:
            return answers - self.problem.y
        with np.errstate(all="ignore"):
            factor = self.problem.Z[:, self.divisor] / Z[:, self.divisor]
            return (answers * factor - self.problem.y) / np.sqrt((1 + factor**2) / 2)

    def best(self, r: float) -> float:
        """Gauss-Newton on r for the smallest change along the line."""
        change = self.change(*self.move(r))
        for _ in range(4):
            slope = (self.change(*self.move(r * (1 + 1e-4))) - change) / (1e-4 * r)
            usable = np.isfinite(slope) & np.isfinite(change)
            if usable.sum() < 20:
                break
            cut = np.quantile(np.abs(change[usable]), 0.95)
            usable &= np.abs(np.nan_to_num(change, nan=np.inf)) <= cut
            step = -(slope[usable] @ change[usable]) / max(slope[usable] @ slope[usable], 1e-300)
            trial = r + float(np.clip(step, -0.3 * abs(r), 0.3 * abs(r)))
            new = self.change(*self.move(trial))
            if not mean_square(new) < mean_square(change):
                break
            r, change = trial, new
        return r

    def finding(self, r: float) -> Pair:
        xi, xj = self.move(r)
        change = mean_square(self.change(xi, xj)) / 2
        alone = min(mean_square(self.change(xi, None)), mean_square(self.change(None, xj)))
        contrast = change / max(alone, 1e-300) if np.isfinite(alone) else np.inf
        return Pair(self.i, self.j, self.scale.name, r, change / self.problem.scale, contrast)


def find_scalings(problem: Problem, gradient: np.ndarray, rng: np.random.Generator) -> Iterator[Scaling]:
    """Every ordered pair of inputs that the function scales with, tested."""
    Z, y = problem.Z, problem.y
    for i in range(problem.n_inputs):
        if problem.low[i] <= 0 <= problem.high[i]:
            continue
        for j in range(problem.n_inputs):
            if j == i:
                continue
            columns = np.stack([Z[:, i] * gradient[i], Z[:, j] * gradient[j], y], axis=1)
            columns = columns[np.isfinite(columns).all(axis=1)]
            if len(columns) < 20:
                continue
            (a, b), *_ = np.linalg.lstsq(columns[:, :2], columns[:, 2], rcond=None)
            if abs(a) < 0.2 or abs(b) < 1e-3 * abs(a):
                continue
            k, s = round(2 / a) / 2, round(b / a)
            if k == 0 or s == 0 or abs(k) > 4 or abs(s) > 3 or abs(1 / a - k) > 0.2 or abs(b / a - s) > 0.2:
                continue
            yield _scaling(problem, Scaling(i, j, s, k, np.inf, np.inf), rng)


def _scaling(problem: Problem, found: Scaling, rng: np.random.Generator) -> Scaling:
    """The scaling with its residual: f(a x_i, a^s x_j)/a^k against f, for factors that stay in range."""
    i, j, s, k = found.i, found.j, found.s, found.k
    log = SCALES["log"]
    Z, y = problem.Z, problem.y
    place = rng.uniform(0.02, 0.98, len(Z))
    signs = np.sign(Z[:, [i, j]].T)
    with np.errstate(all="ignore"):
        total = log.forward(Z[:, j]) - s * log.forward(Z[:, i])
        xj, xi = along(problem, j, i, log, -s, total, signs[::-1], place)
        factor = np.abs(xi / Z[:, i]) ** k
    moved, alone = Z.copy(), Z.copy()
    moved[:, i], moved[:, j] = xi, xj
    alone[:, i] = xi
    # An answer of size f/factor errs by 1/factor of the teacher's error: count what explains the change.
    change = mean_square((problem.ask(moved, 0) / factor - y) / np.sqrt((1 + factor**-2) / 2)) / 2
    effect = min(mean_square(problem.ask(moved, 0) - y), mean_square(problem.ask(alone, 0) / factor - y))
    contrast = change / max(effect, 1e-300) if np.isfinite(effect) else np.inf
    return replace(found, residual=change / problem.scale, contrast=contrast)
