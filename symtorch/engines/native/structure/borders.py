"""Where a function jumps or bends: borders found by asking along lines, exact to the last digit.

On a line between two samples a jump or a kink stands out in the second differences; halving the piece of the
line around it tells which it is: the second difference of a jump stays, that of a kink halves with the step, that
of anything smooth falls with its square. Lines beside the first one meet the same border a little farther on, and
the points where they do span its plane (as planes of single units are read off networks of rectified linear units:
Carlini, Jagielski and Mironov 2020, arXiv 2003.04884; Rolnick and Kording 2020, arXiv 1910.00744).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.polynomial import polynomial

from symtorch.engines.native.forms.numbers import shortest_between
from symtorch.engines.native.structure.problem import Problem
from symtorch.engines.native.structure.tuning import tuning

Array = np.ndarray
Kind = Literal["jump", "kink"]

_SHOWN = 3
"""Halvings in which a second difference shows what it is."""
_EARLIEST, _LATEST = 1, 4
"""Halvings before these, in float32, where rounding is soon reached, and in float64."""
_SINGLE = float(np.finfo(np.float32).eps)
_DEEP = 60
"""Halvings until float64 has no number in between."""


@dataclass(frozen=True)
class Border:
    """A plane across which the function jumps or bends: ``normal.x > offset`` on one of its sides.

    Attributes:
        kind: jump or kink.
        normal: (d,) its largest coefficient is 1.
        offset: of the plane.
        size: height of the jump, or change of slope along the normal, at the points where it was met.
        steady: whether the size is the same everywhere.
        rounding: relative error of the teacher's answers by rounding.
    """

    kind: Kind
    normal: tuple[float, ...]
    offset: float
    size: float
    steady: bool
    rounding: float

    @property
    def blur(self) -> float:
        """Relative error of the size."""
        return 0.1 * _closeness(self.rounding)

    def u(self, Z: Array) -> Array:
        """Positive on one side, negative on the other."""
        return Z @ np.array(self.normal) - self.offset


def find_borders(problem: Problem, rng: np.random.Generator) -> list[Border]:
    """Planes across which the function jumps or bends, those that were met most often first."""
    lines = _Lines.between(problem, rng)
    rounding = _rounding(lines.values)
    chosen = lines.suspicious(rounding, problem.blur)[: tuning().border_lines]
    if len(chosen) == 0:
        return []
    met = _meet(problem, lines.start[chosen], lines.along[chosen], lines.window[chosen], rounding)
    planes = [plane for crossing in met for plane in _plane(problem, crossing, rounding)]
    return [border for group in _grouped(problem, planes, rounding) for border in _border(problem, group, rounding)]


@dataclass(frozen=True, eq=False)
class _Lines:
    """Lines between samples, and the answers on even steps along them.

    Attributes:
        start, along: (m, d); the lines are ``start + t*along`` for t from 0 to 1.
        values: (m, k + 1) answers.
        bend: (m,) largest second difference.
        usual: (m,) median second difference.
        window: (m, 2) the two steps of t around the largest.
    """

    start: Array
    along: Array
    values: Array
    bend: Array
    usual: Array
    window: Array

    @classmethod
    def between(cls, problem: Problem, rng: np.random.Generator) -> _Lines:
        numbers = tuning()
        order = rng.permutation(len(problem.Z))[: 2 * numbers.border_probes]
        half = len(order) // 2
        start, along = problem.Z[order[:half]], problem.Z[order[half : 2 * half]] - problem.Z[order[:half]]
        t = np.linspace(0.0, 1.0, numbers.border_steps + 1)
        values = _ask(problem, start[:, None] + t[:, None] * along[:, None])
        second = np.abs(np.diff(values, 2, axis=1))
        second = np.where(np.isfinite(second), second, -1.0)
        k = np.argmax(second, axis=1)
        usual = np.where((second >= 0.0).all(axis=1), np.median(second, axis=1), np.inf)
        return cls(start, along, values, second.max(axis=1), usual, np.stack([t[k], t[k + 2]], axis=1))

    def suspicious(self, rounding: float, blur: float) -> Array:
        """Numbers of the lines on which one second difference stands out."""
        noise = 8.0 * (rounding * np.abs(self.values).max(axis=1) + blur)
        return np.flatnonzero(self.bend > tuning().border_outlier * self.usual + noise)


@dataclass(frozen=True, eq=False)
class _Crossing:
    """A point of a line at which the function jumps or bends.

    Attributes:
        before, after: (d,) neighbouring points of a jump; the same point of a kink.
        along: (d,) the line's direction.
        width: of the piece of the line, as t, on which a kink was told from a curve.
        size: what it jumps by from before to after, or what its slope by t changes by.
    """

    kind: Kind
    before: Array
    after: Array
    along: Array
    width: float
    size: float


def _meet(problem: Problem, start: Array, along: Array, window: Array, rounding: float) -> list[_Crossing]:
    """What the lines meet within their windows of t; nothing of a line that is smooth there."""
    window = window.copy()
    first = _LATEST if rounding < _SINGLE else _EARLIEST
    bends = []
    for _ in range(first + _SHOWN + 1):
        window, bend = _halved(problem, start, along, window)
        bends.append(bend)
    with np.errstate(all="ignore"):
        ratio = bends[-1] / bends[first]
    few = 0.5**_SHOWN  # what the second difference of a kink falls to
    jumps, kinks = np.flatnonzero(ratio > 0.7), np.flatnonzero((ratio < 1.4 * few) & (ratio > 0.7 * few))
    out = _jumps(problem, start[jumps], along[jumps], window[jumps], bends[-1][jumps])
    return out + _kinks(problem, start[kinks], along[kinks], window[kinks], rounding)


def _halved(problem: Problem, start: Array, along: Array, window: Array) -> tuple[Array, Array]:
    """The half of each window around the largest second difference, and that."""
    t = window[:, :1] + np.linspace(0.0, 1.0, 5) * (window[:, 1:] - window[:, :1])
    values = _ask(problem, start[:, None] + t[..., None] * along[:, None])
    second = np.abs(np.diff(values, 2, axis=1))
    second = np.where(np.isfinite(second), second, -1.0)
    k, rows = np.argmax(second, axis=1), np.arange(len(start))
    return np.stack([t[rows, k], t[rows, k + 2]], axis=1), second[rows, k]


def _jumps(problem: Problem, start: Array, along: Array, window: Array, size: Array) -> list[_Crossing]:
    """Jumps between neighbouring numbers, by halving the piece that has the larger difference."""
    if len(start) == 0:
        return []
    t = window.copy()
    values = _ask(problem, start[:, None] + t[..., None] * along[:, None])
    for _ in range(_DEEP):
        middle = 0.5 * (t[:, 0] + t[:, 1])
        at = _ask(problem, (start + middle[:, None] * along)[:, None])[:, 0]
        first = np.abs(at - values[:, 0]) >= np.abs(values[:, 1] - at)
        t = np.where(first[:, None], np.stack([t[:, 0], middle], 1), np.stack([middle, t[:, 1]], 1))
        values = np.where(first[:, None], np.stack([values[:, 0], at], 1), np.stack([at, values[:, 1]], 1))
    height = values[:, 1] - values[:, 0]
    real = np.abs(height) > 0.7 * size
    points = start[:, None] + t[..., None] * along[:, None]
    return [
        _Crossing("jump", points[i, 0], points[i, 1], along[i], 0.0, float(height[i])) for i in np.flatnonzero(real)
    ]


def _kinks(problem: Problem, start: Array, along: Array, window: Array, rounding: float) -> list[_Crossing]:
    """Kinks where the cubics through the answers on either side meet."""
    out = []
    width = window[:, 1] - window[:, 0]
    steps = np.arange(4.0)
    left = window[:, :1] - steps * width[:, None]
    right = window[:, 1:] + steps * width[:, None]
    t = np.concatenate([left, right], axis=1)
    values = _ask(problem, start[:, None] + t[..., None] * along[:, None])
    for i in np.flatnonzero(np.isfinite(values).all(axis=1)):
        # In units of the window, from its middle.
        middle = 0.5 * (window[i, 0] + window[i, 1])
        s = (t[i] - middle) / width[i]
        below, above = (polynomial.polyfit(s[part], values[i, part], 3) for part in (slice(4), slice(4, 8)))
        gap, slope = above - below, polynomial.polyder(above - below)
        at = 0.0
        for _ in range(8):  # Newton's method
            at -= float(polynomial.polyval(at, gap)) / (float(polynomial.polyval(at, slope)) or 1e-300)
            at = min(max(at, -1.0), 1.0)
        bend = float(polynomial.polyval(at, slope))
        noise = 100.0 * rounding * float(np.abs(values[i]).max()) + problem.blur
        if abs(at) < 0.75 and abs(bend) > noise:
            point = start[i] + (middle + at * width[i]) * along[i]
            out.append(_Crossing("kink", point, point, along[i], float(width[i]), bend / width[i]))
    return out


@dataclass(frozen=True, eq=False)
class _Plane:
    """A plane as one crossing has it, in units of the inputs' widths, its largest coefficient 1."""

    unit: Array
    crossing: _Crossing


def _plane(problem: Problem, crossing: _Crossing, rounding: float) -> list[_Plane]:
    """The plane through a crossing, if lines beside its own meet one; empty for curved borders."""
    d, numbers = problem.n_inputs, tuning()
    width = problem.high - problem.low
    if d == 1:
        return [_Plane(np.ones(1), crossing)]
    here = 0.5 * (crossing.before + crossing.after)
    reach = numbers.border_reach
    start = here + numbers.border_beside * np.diag(width)
    along = np.tile(crossing.along, (d, 1))
    t = np.linspace(-reach, reach, numbers.border_steps + 1)
    values = _ask(problem, start[:, None] + t[:, None] * along[:, None])
    second = np.abs(np.diff(values, 2, axis=1))
    if not np.isfinite(second).all():
        return []
    k = np.argmax(second, axis=1)
    met = _meet(problem, start, along, np.stack([t[k], t[k + 2]], axis=1), rounding)
    beside = [c for c in met if c.kind == crossing.kind]
    if len(beside) < d:
        return []
    moves = np.array([0.5 * (c.before + c.after) - here for c in beside]) / width
    _, singular, right = np.linalg.svd(moves)
    if singular[-1] > _closeness(rounding) * singular[0] or (d > 2 and singular[-2] < 1e-3 * singular[0]):
        return []
    unit = right[-1] / right[-1][np.argmax(np.abs(right[-1]))]
    return [_Plane(np.where(np.abs(unit) > _closeness(rounding), unit, 0.0), crossing)]


def _grouped(problem: Problem, planes: Sequence[_Plane], rounding: float) -> list[list[_Plane]]:
    """Crossings of the same plane, the largest group first; a plane that was met only once is none."""
    width, close = problem.high - problem.low, 30.0 * _closeness(rounding)
    groups: list[list[_Plane]] = []
    for plane in planes:
        for group in groups:
            known = group[0]
            apart = np.abs((plane.crossing.before - known.crossing.before) / width @ known.unit)
            if (
                plane.crossing.kind == known.crossing.kind
                and np.abs(plane.unit - known.unit).max() < close
                and apart < close
            ):
                group.append(plane)
                break
        else:
            groups.append([plane])
    return sorted((group for group in groups if len(group) > 1), key=len, reverse=True)


def _border(problem: Problem, group: Sequence[_Plane], rounding: float) -> list[Border]:
    """The plane of a group, as exact as its crossings are."""
    width = problem.high - problem.low
    units = np.array([plane.unit for plane in group])
    normal = np.median(units, axis=0) / width
    normal = _plain(normal / normal[np.argmax(np.abs(normal))])
    inputs = np.flatnonzero(normal)
    crossings = [plane.crossing for plane in group]
    if len(inputs) == 1:
        normal = np.where(normal != 0.0, 1.0, 0.0)
        offset = _threshold(problem, int(inputs[0]), crossings)
    else:
        offset = float(np.median([0.5 * (c.before + c.after) @ normal for c in crossings]))
        offset = _plain(np.array([offset]))[0]
        offset = 0.0 if abs(offset) < _closeness(rounding) * 1e-3 * float(np.abs(normal * width).max()) else offset
    if offset is None:
        return []
    # Across the plane towards the side where the normal points.
    across = np.array([c.along @ normal for c in crossings])
    sizes = np.array([c.size for c in crossings])
    sizes = sizes * np.sign(across) if crossings[0].kind == "jump" else sizes / np.abs(across)
    spread = float(np.ptp(sizes))
    steady = spread <= 100.0 * _closeness(rounding) * float(np.abs(sizes).max())
    return [
        Border(
            crossings[0].kind,
            tuple(normal.tolist()),
            float(offset),
            float(np.median(sizes)),
            bool(steady),
            rounding,
        )
    ]


def _threshold(problem: Problem, i: int, crossings: Sequence[_Crossing]) -> float | None:
    """The threshold of one input: for a jump the shortest number that says the same as the teacher."""
    places = np.array([0.5 * (c.before[i] + c.after[i]) for c in crossings])
    if crossings[0].kind == "kink":
        return float(_plain(np.array([np.median(places)]))[0])
    rows = np.array([c.before for c in crossings])
    wide = 1e-6 * max(float(problem.high[i] - problem.low[i]), float(np.abs(places).max()))
    low, high = float(places.min()) - wide, float(places.max()) + wide

    def at(value: float) -> Array:
        moved = rows.copy()
        moved[:, i] = value
        return problem.ask(moved, 0)

    below, above = at(low), at(high)
    sure = np.flatnonzero(np.isfinite(below) & np.isfinite(above) & (below != above))
    if len(sure) == 0:
        return None
    row = int(sure[np.argmax(np.abs(above - below)[sure])])
    rows, below, above = rows[row : row + 1], below[row], above[row]
    while low < (middle := 0.5 * (low + high)) < high:
        answer = float(at(middle)[0])
        if abs(answer - below) <= abs(answer - above):
            low = middle
        else:
            high = middle
    return _as_precise(low, high)


def _as_precise(low: float, high: float) -> float:
    """The threshold of a jump between two neighbouring numbers, in the precision in which the teacher computes.

    If these two are different numbers in float32, that is no coincidence: the teacher rounds its input to that.
    Every number that is rounded to the last one below the jump is the threshold as well.
    """
    for dtype in (np.float16, np.float32):
        with np.errstate(over="ignore"):
            last, first = dtype(low), dtype(high)
        if last < first and np.isfinite(first):
            before = float(np.nextafter(last, dtype(-np.inf)))
            return shortest_between(0.5 * (before + float(last)), high)
    return shortest_between(low, high)


def _plain(values: Array) -> Array:
    """Numbers without the last digits, where these say nothing else."""
    short = np.array([float(f"{value:.9g}") for value in values])
    return np.where(np.abs(short - values) <= 1e-10 * np.abs(values).max(initial=1e-300), short, values)


def _closeness(rounding: float) -> float:
    """What a direction may be off by when its points are known to rounding."""
    return max(1e-8, 300.0 * rounding)


def _rounding(values: Array) -> float:
    """Relative rounding of the answers: float32's if they are all float32's numbers, else float64's."""
    finite = values[np.isfinite(values)]
    telling = finite[finite != np.round(finite, 3)]
    if len(telling) and (telling.astype(np.float32) == telling).all():
        return _SINGLE
    return float(np.finfo(np.float64).eps)


def _ask(problem: Problem, points: Array) -> Array:
    """Answers at (m, k, d) points, (m, k)."""
    return problem.ask(points.reshape(-1, points.shape[-1]), 0).reshape(points.shape[:-1])
