"""Two inputs that meet in a quadratic and in a function of another: ``f(u, v) = P(u, v) + h(Q(u, v))``.

Where the quadratic P is taken off, the gradient is along Q's: ``(f_u - P_u)*Q_v = (f_v - P_v)*Q_u``. Multiplied out
this is linear in the coefficients of Q and in those of the polynomial ``P_u*Q_v - P_v*Q_u``, so that a null vector
has them all. ``1.35*u*v + 5.5*sin((u - 1)*(v - 1))`` is of this kind, and so is all that knows only ``(u - 1)*(v + 2)``
or ``u^2 + (v - 1)^2``.

Derivatives are of eighth order, close to rounding: the teacher must be exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from symtorch.engines.native.structure.evidence import Evidence
from symtorch.engines.native.structure.problem import Problem
from symtorch.engines.native.structure.steps import Step
from symtorch.engines.native.structure.tuning import tuning
from symtorch.equations.expr import Constant, Expr, Variable, substitute
from symtorch.equations.normal import add, multiply, normalise, power

_STENCIL = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
"""Weights of the differences over 2, 4, 6 and 8 steps; what is left out is of eighth order."""
_STEPS = (3e-3, 1e-3)
"""Steps that are tried, as a share of the range: truncation against rounding."""
_HOLDS = 1e-9
"""Smallest singular value, relative to the largest, at which the identity holds."""
_ONLY = 1e3
"""How many times as large the next one must be: of several such Q other identities are the plainer ones."""
_TINY = 1e-7
"""Coefficients below this share of the largest are none."""
_PLACES = 24
"""Places on the curve ``Q = z`` that are tried; the first within the ranges is asked."""

Coefficients = tuple[float, float, float, float, float]
"""Of u^2, u*v, v^2, u, v."""


def _monomials(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.stack([u * u, u * v, v * v, u, v])


@dataclass(frozen=True)
class Quadric(Step):
    """``f = P(u, v) + h(Q(u, v))`` with quadratic P and Q that have no constant."""

    P: Coefficients
    Q: Coefficients
    residual: float
    contrast: float

    @property
    def prior(self) -> float:
        return tuning().prior_rescale

    def parts(self, problem: Problem) -> list[Problem]:
        z = np.array(self.Q) @ _monomials(*problem.Z.T) + self._shift

        def ask(Z: np.ndarray, replica: int) -> np.ndarray:
            u, v = _on_curve(problem, self.Q, Z[:, 0] - self._shift, replica)
            return problem.ask(np.column_stack([u, v]), replica) - np.array(self.P) @ _monomials(u, v)

        return [problem.below(z[:, None], ask)]

    def join(self, solved: Sequence[Expr]) -> Expr:
        inner = normalise(substitute(solved[0], [_written(self.Q, self._shift)]))
        return add([_written(self.P), inner])

    @property
    def _shift(self) -> float:
        """The constant with which Q is a product, or a sum of two squares."""
        a, b, c, d, e = self.Q
        if b and not (a or c):
            return d * e / b
        if a and c and not b:
            return d * d / (4 * a) + e * e / (4 * c)
        return 0.0


def _written(coefficients: Coefficients, shift: float = 0.0) -> Expr:
    """The quadratic plus this constant; as a product or as squares where that is their constant."""
    a, b, c, d, e = coefficients
    u, v = Variable(0), Variable(1)
    if shift and b:
        return multiply([Constant(b), add([u, Constant(e / b)]), add([v, Constant(d / b)])])
    if shift:
        squares = [(a, u, d / (2 * a)), (c, v, e / (2 * c))]
        return add([multiply([Constant(k), power(add([x, Constant(s)]), 2.0)]) for k, x, s in squares])
    monomials = [power(u, 2.0), multiply([u, v]), power(v, 2.0), u, v]
    return add([multiply([Constant(k), m]) for k, m in zip(coefficients, monomials, strict=True)])


def find_quadrics(evidence: Evidence) -> Iterator[Quadric]:
    """The one Q of a function of two inputs, linear if that is enough; nothing if there is none or more than one."""
    problem = evidence.problem
    if problem.n_inputs != 2:
        return
    size = np.maximum(np.abs(problem.high), np.abs(problem.low))
    best: tuple[float, Coefficients, Coefficients] | None = None
    for step in _STEPS:
        gradient = _gradient(problem, step)
        for found in (_null(problem.Z, gradient, size, linear) for linear in (True, False)):
            if found is not None:
                best = found if best is None or found[0] < best[0] else best
                break
    if best is not None:
        left, P, Q = best
        yield Quadric(P, Q, max(left**2, 1e-32), max(left**2, 1e-32))


def _gradient(problem: Problem, step: float) -> np.ndarray:
    """(2, m) derivatives; NaN too close to the border."""
    out = np.zeros((2, len(problem.Z)))
    for i in (0, 1):
        h = step * (problem.high[i] - problem.low[i])
        for k, weight in enumerate(_STENCIL, start=1):
            forth, back = problem.Z.copy(), problem.Z.copy()
            forth[:, i] += k * h
            back[:, i] -= k * h
            out[i] += weight * (problem.ask(forth, 0) - problem.ask(back, 0)) / h
    return out


def _null(
    Z: np.ndarray, gradient: np.ndarray, size: np.ndarray, linear: bool
) -> tuple[float, Coefficients, Coefficients] | None:
    """What the identity misses, P and Q; None if it doesn't hold, or for more than one Q."""
    usable = np.isfinite(gradient).all(axis=0)
    if usable.sum() < 3 * tuning().fewest:
        return None
    (u, v), (fu, fv) = (Z[usable] / size).T, gradient[:, usable] * size[:, None]
    one = np.ones_like(u)
    straight = [-fv, fu]
    curved = [-2 * u * fv, u * fu - v * fv, 2 * v * fu]
    rest = [one, u, v] if linear else [one, u, v, u * u, u * v, v * v]
    A = np.stack([*([] if linear else curved), *straight, *rest], axis=1)
    scale = np.sqrt((A * A).sum(axis=0))
    if not scale.all():
        return None
    _, singular, rows = np.linalg.svd(A / scale, full_matrices=False)
    if singular[-1] > _HOLDS * singular[0] or singular[-2] < _ONLY * max(singular[-1], _HOLDS * singular[0] * 1e-2):
        return None
    vector = rows[-1] / scale
    q = np.concatenate([np.zeros(3), vector[:2]]) if linear else vector[:5]
    q = np.where(np.abs(q) > _TINY * np.abs(q).max(), q, 0.0)
    if not np.abs(q).max() > 0:
        return None
    R = -vector[2:] if linear else -vector[5:]
    units = np.array([size[0] ** 2, size[0] * size[1], size[1] ** 2, size[0], size[1]])
    p = _polynomial(q, np.concatenate([R, np.zeros(6 - len(R))]), units)
    if p is None:
        return None
    q = q / units
    lead = q[np.flatnonzero(q)[0]]
    return float(singular[-1] / singular[0]), _simple(p), _simple(q / lead)


def _polynomial(q: np.ndarray, R: np.ndarray, units: np.ndarray) -> np.ndarray | None:
    """P with ``P_u*Q_v - P_v*Q_u = R`` in the fewest terms; a multiple of Q makes no difference.

    Args:
        q: coefficients of Q.
        R: of 1, u, v, u^2, u*v, v^2.
        units: of P's coefficients in the end.
    """
    a, b, c, d, e = q
    M = np.array(
        [  # columns: P = u^2, u*v, v^2, u, v
            [0, 0, 0, e, -d],
            [2 * e, -d, 0, b, -2 * a],
            [0, e, -2 * d, 2 * c, -b],
            [2 * b, -2 * a, 0, 0, 0],
            [4 * c, 0, -4 * a, 0, 0],
            [0, 2 * c, -2 * b, 0, 0],
        ]
    )
    p, *_ = np.linalg.lstsq(M, R, rcond=1e-10)
    largest = np.abs(R).max()
    if np.abs(M @ p - R).max() > 1e-6 * max(largest, _TINY * np.abs(q).max()):
        return None
    if largest < _TINY * np.abs(q).max():
        return np.zeros(5)
    # What P may be moved by: Q, and Q^2 where Q is linear. As many terms as that can be taken out.
    _, singular, rows = np.linalg.svd(M)
    free = rows[int((singular > 1e-8 * singular[0]).sum()) :]
    tried = [p / units]
    for out in combinations(range(5), len(free)):
        if abs(np.linalg.det(free[:, out])) > 1e-6:
            moved = p - np.linalg.solve(free[:, out].T, p[list(out)]) @ free
            tried.append(np.where(np.abs(moved) > _TINY * np.abs(moved).max(), moved, 0.0) / units)
    return min(tried, key=lambda p: (np.count_nonzero(p), sum(len(f"{k:.6g}") for k in p)))


def _simple(coefficients: np.ndarray) -> Coefficients:
    """With six digits where that is what they are."""
    coefficients = coefficients + 0.0  # no negative zeros
    rounded = [float(f"{k:.6g}") for k in coefficients]
    a, b, c, d, e = (
        r if abs(r - k) <= _TINY * abs(k) else float(k) for r, k in zip(rounded, coefficients, strict=True)
    )
    return a, b, c, d, e


def _on_curve(problem: Problem, q: Coefficients, z: np.ndarray, replica: int) -> tuple[np.ndarray, np.ndarray]:
    """For every z a point within the ranges with ``Q = z``; NaN where none of the places tried has one."""
    a, b, c, d, e = q
    u, v = np.full(len(z), np.nan), np.full(len(z), np.nan)
    low, high = problem.low, problem.high
    for k in range(_PLACES):
        place = (0.5 + 0.6180339887498949 * (k + 7 * replica)) % 1.0
        for solved, (square, line, other, rest) in enumerate(((a, d, c, e), (c, e, a, d))):
            held = 1 - solved
            fixed = low[held] + place * (high[held] - low[held])
            slope, constant = line + b * fixed, other * fixed**2 + rest * fixed - z
            with np.errstate(all="ignore"):
                root = np.sqrt(slope**2 - 4 * square * constant)
                roots = (
                    [(-slope + root) / (2 * square), (-slope - root) / (2 * square)] if square else [-constant / slope]
                )
            for found in roots:
                new = np.isnan(u) & (found >= low[solved]) & (found <= high[solved])
                (u if solved == 0 else v)[new] = found[new]
                (v if solved == 0 else u)[new] = fixed
    return u, v
