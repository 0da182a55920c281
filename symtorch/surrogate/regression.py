"""Linear maps and coordinates from moments alone: reduced-rank regression, principal components, partial least squares.

All of it is float64 matrix algebra of the block's width; no row is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from symtorch.capture.moments import Halves, Moments

_SHRINKAGES = 10.0 ** np.arange(-7, 1.5, 0.5)
"""Ridge penalties that are tried, in units of the inputs' variances. The products that moments are sums of have
float32's digits, so that no less can be told from none."""

_TERMS_RIDGE = 1e-5
"""In units of their variances, for columns beside the inputs: units of a network can be nearly alike."""

_ITERATIONS = 500
_STILL = 1e-12


@dataclass(frozen=True, eq=False)
class LinearMap:
    """y = mean_y + (x - mean_x) @ reduce[:, :r] @ lift[:r], for every rank r.

    Attributes:
        mean_x: (d_x,).
        mean_y: (d_y,).
        reduce: (d_x, R), so that the coordinates have unit variance.
        lift: (R, d_y).
    """

    mean_x: np.ndarray
    mean_y: np.ndarray
    reduce: np.ndarray
    lift: np.ndarray

    @property
    def rank(self) -> int:
        """The highest rank."""
        return self.reduce.shape[1]

    def predict(self, x: np.ndarray, rank: int | None = None) -> np.ndarray:
        """(n, d_x) -> (n, d_y)."""
        r = self.rank if rank is None else min(rank, self.rank)
        return self.mean_y + (x - self.mean_x) @ self.reduce[:, :r] @ self.lift[:r]

    def residual(self, moments: Moments, rank: int) -> np.ndarray:
        """(d_y, d_y): covariance of what the map of this rank leaves of the outputs."""
        weights = self.reduce[:, :rank] @ self.lift[:rank]
        crossed = moments.xy.T @ weights
        left = moments.yy - crossed - crossed.T + weights.T @ moments.xx @ weights
        return (left + left.T) / (2 * moments.n)


class Regression:
    """The linear maps that moments say are best.

    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> y = x @ np.array([[2.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    >>> halves = Halves(Moments.of(x[::2], y[::2]), Moments.of(x[1::2], y[1::2]))
    >>> best = Regression(halves).reduced_rank
    >>> best.rank, bool(np.allclose(best.predict(x), y, atol=1e-5))
    (1, True)

    Args:
        halves: of the rows to fit to.

    Attributes:
        moments: of all these rows.
        plain: the same without further columns; see :class:`Partialled`.
    """

    def __init__(self, halves: Halves) -> None:
        self._halves = halves
        self.moments = halves.whole
        self.plain: Regression = self

    @cached_property
    def shrinkage(self) -> float:
        """The ridge penalty, in units of the inputs' variances, by which each half predicts the other best.

        A half needs twice as much as the whole, since what rounding and chance make of the moments falls with n.
        """
        first, second = self._halves.first, self._halves.second
        scale = _deviations(self.moments)
        errors = _errors(first, second, scale) + _errors(second, first, scale)
        best = int(np.argmin(errors))
        return float(_SHRINKAGES[best] if best == 0 else _SHRINKAGES[best] / 2)

    @cached_property
    def reduced_rank(self) -> LinearMap:
        """For every rank the linear map of least squared error (Izenman, J. Multivariate Analysis 5, 1975).

        With a ridge penalty as in Mukherjee and Zhu, Statistical Analysis and Data Mining 4 (2011); the maps
        of all ranks are then the leading parts of one.
        """
        moments, scale = self.moments, _deviations(self.moments)
        values, vectors = _eigen(moments.xx / moments.n / np.outer(scale, scale))
        crossed = vectors.T @ (moments.xy / moments.n / scale[:, None])
        weights = (vectors @ (crossed / (values + self.shrinkage)[:, None])) / scale[:, None]
        # (W' K W) with K W = X'Y is what the outputs owe to the inputs.
        explained, directions = _eigen(weights.T @ moments.xy / moments.n)
        most = min(weights.shape)
        known = explained[:most] > 1e-12 * max(float(explained[0]), 0.0)
        kept = directions[:, :most][:, known]
        return self._map(weights @ kept, kept.T)

    def principal_inputs(self, n: int) -> np.ndarray:
        """(d_x, <= n): the directions in which the inputs vary most, so that coordinates have unit variance."""
        _, vectors = _eigen(self.moments.xx)
        return self.scaled(vectors[:, :n])[0]

    def partial_least_squares(self, n: int) -> np.ndarray:
        """(d_x, <= n): the weights of SIMPLS (de Jong, Chemometrics and Intelligent Laboratory Systems 18, 1993)."""
        moments = self.moments
        left = moments.xy.copy()
        weights: list[np.ndarray] = []
        basis: list[np.ndarray] = []
        for _ in range(min(n, len(moments.xx))):
            direction = _leading(left)
            variance = direction @ moments.xx @ direction
            if np.linalg.norm(left) <= 1e-9 * np.linalg.norm(moments.xy) or variance <= 0:
                break
            weights.append(direction / np.sqrt(variance))
            loading = moments.xx @ weights[-1]
            for earlier in (*basis, *basis):  # twice, for the digits
                loading = loading - earlier * (earlier @ loading)
            loading /= np.linalg.norm(loading)
            basis.append(loading)
            left -= np.outer(loading, loading @ left)
        return self.scaled(np.stack(weights, axis=1) if weights else np.zeros((len(left), 0)))[0]

    def back(self, reduce: np.ndarray) -> np.ndarray:
        """(k, d_x): the regression of the inputs on their coordinates: where a point of these is likeliest."""
        covered = reduce.T @ self.moments.xx
        return np.linalg.solve(covered @ reduce, covered) if reduce.shape[1] else np.zeros((0, len(reduce)))

    def _map(self, reduce: np.ndarray, lift: np.ndarray) -> LinearMap:
        scaled, deviations = self.scaled(reduce)
        known = deviations > 0
        return LinearMap(self.moments.mean_x, self.moments.mean_y, scaled, deviations[known, None] * lift[known])

    def scaled(self, reduce: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The directions along which something varies, scaled to unit variance; and all standard deviations."""
        variances = np.einsum("ij,ij->j", reduce, self.moments.xx @ reduce) / self.moments.n
        deviations = np.sqrt(np.maximum(variances, 0.0))
        known = deviations > 1e-7 * deviations.max(initial=0.0)
        return reduce[:, known] / deviations[known], np.where(known, deviations, 0.0)


class Partialled(Regression):
    """Linear maps of the inputs beside further columns h, each of which has its own weights in the outputs.

        y = mean_y + (x - mean_x) @ reduce[:, :r] @ lift[:r] + (h - mean_h) @ weights(r)

    The columns are regressed out of inputs and outputs first, which makes the two parts of the least squares one
    (Frisch and Waugh, Econometrica 1, 1933).

    Args:
        halves: moments of the inputs with those columns after them.
        n_inputs: how many of the columns are inputs.
    """

    def __init__(self, halves: Halves, n_inputs: int) -> None:
        whole = halves.whole
        plain = Regression(halves.of_inputs(n_inputs))
        self.mean_terms = whole.mean_x[n_inputs:]
        inner, scale = whole.xx[n_inputs:, n_inputs:], _deviations(whole)[n_inputs:]
        inner = inner + np.diag(_TERMS_RIDGE * whole.n * scale**2)
        known = np.concatenate([whole.xx[n_inputs:, :n_inputs], whole.xy[n_inputs:]], axis=1)
        solved = np.linalg.solve(inner, known)
        self._of_x, self._of_y = solved[:, :n_inputs], solved[:, n_inputs:]
        super().__init__(Halves(self._without_terms(halves.first), self._without_terms(halves.second)))
        self.plain = plain
        self.moments = replace(self.moments, mean_x=whole.mean_x[:n_inputs], mean_y=whole.mean_y)

    def _without_terms(self, moments: Moments) -> Moments:
        """Of what the columns leave of inputs and outputs."""
        n = moments.xx.shape[0] - len(self.mean_terms)
        to_x = np.concatenate([np.eye(n), -self._of_x])
        to_y = self._of_y
        xh_y = moments.xy - moments.xx[:, n:] @ to_y
        h_y = moments.xy[n:].T @ to_y
        yy = moments.yy - h_y - h_y.T + to_y.T @ moments.xx[n:, n:] @ to_y
        mean_y = moments.mean_y - moments.mean_x[n:] @ to_y
        return Moments(moments.n, moments.mean_x @ to_x, mean_y, to_x.T @ moments.xx @ to_x, to_x.T @ xh_y, yy)

    @cached_property
    def reduced_rank(self) -> LinearMap:
        """As without the columns, for what they leave; coordinates of the inputs have unit variance."""
        best = super().reduced_rank
        reduce, deviations = self.plain.scaled(best.reduce)
        return replace(best, reduce=reduce, lift=deviations[deviations > 0, None] * best.lift[deviations > 0])

    def weights(self, rank: int) -> np.ndarray:
        """(k, d_y): of the columns, beside the linear map of this rank."""
        best = self.reduced_rank
        return self._of_y - self._of_x @ best.reduce[:, :rank] @ best.lift[:rank]


def principal(covariance: np.ndarray, n: int, negligible: float) -> np.ndarray:
    """(<= n, d): the leading principal directions, each as long as its standard deviation.

    Args:
        covariance: (d, d).
        n: how many at most.
        negligible: a variance that is none.
    """
    values, vectors = _eigen(covariance)
    kept = values[:n] > negligible
    return (vectors[:, :n][:, kept] * np.sqrt(values[:n][kept])).T


def _deviations(moments: Moments) -> np.ndarray:
    """(d_x,) of the inputs; 1 for one that does not vary."""
    deviations = np.sqrt(np.maximum(np.diag(moments.xx), 0.0) / moments.n)
    return np.where(deviations > 1e-12 * deviations.max(initial=0.0), deviations, 1.0)


def _eigen(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, falling and not negative, and eigenvectors of a symmetric matrix."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


def _errors(one: Moments, other: Moments, scale: np.ndarray) -> np.ndarray:
    """For each penalty, what the fit to the one leaves of the other, but for a part that is the same for all."""
    values, vectors = _eigen(one.xx / one.n / np.outer(scale, scale))
    crossed = vectors.T @ (one.xy / one.n / scale[:, None])
    inputs = vectors.T @ (other.xx / other.n / np.outer(scale, scale)) @ vectors
    outputs = vectors.T @ (other.xy / other.n / scale[:, None])
    quadratic, linear = (crossed @ crossed.T) * inputs, np.einsum("ij,ij->i", crossed, outputs)
    gains = 1.0 / (values[:, None] + _SHRINKAGES)
    return np.einsum("ip,ij,jp->p", gains, quadratic, gains, optimize=True) - 2 * linear @ gains


def _leading(matrix: np.ndarray) -> np.ndarray:
    """The leading left singular vector, by power iteration from the longest column."""
    vector = matrix[:, int(np.argmax(np.einsum("ij,ij->j", matrix, matrix)))]
    vector = vector / (np.linalg.norm(vector) or 1.0)
    for _ in range(_ITERATIONS):
        new = matrix @ (matrix.T @ vector)
        length = np.linalg.norm(new)
        if not length:
            break
        new /= length
        still = np.abs(new - vector).max() <= _STILL
        vector = new
        if still:
            break
    return vector
