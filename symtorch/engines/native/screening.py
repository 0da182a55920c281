"""Which inputs an output depends on: of many, the few that a search can handle.

With a teacher it is asked: an input that may be shuffled among the rows without changing the answer
doesn't matter. That costs one question per input and row, and sees any dependence (permutation
importance, Breiman, doi 10.1023/A:1010933404324).

Without one, dependence shows in the data: in the mean of the output, its square or its logarithm over
bins of an input (the correlation ratio), in which a product of two inputs leaves a trace that no
correlation has; and in the correlation with products of inputs. Each statistic is measured in units of
what it is for shuffled outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from symtorch.engines.native.tuning import current
from symtorch.engines.samples import Samples, Teacher


@dataclass(frozen=True)
class ScreeningTuning:
    """When inputs are screened, and what with."""

    inputs: int = 10
    """More inputs than these are screened: the bank of ten holds all products of two, hardly any of four."""
    asked_rows: int = 128
    """Rows that the teacher is asked with each input shuffled."""
    negligible: float = 1e-3
    """An input with less than this share of the largest effect is left out: a millionth of the variance."""
    rows: int = 4000
    """Rows that statistics are taken over: a correlation of 0.05 stands out of chance."""
    bins: int = 8
    """Bins of an input over which means are compared: each has 500 rows, and a wave of two periods still shows."""
    shuffles: int = 8
    """Shuffled outputs whose largest statistic stands for chance: of d inputs that don't matter, one passes a kind
    of statistic about once in so many searches."""


@dataclass(frozen=True)
class Group:
    """Outputs that are searched together, on the inputs that matter to any of them."""

    outputs: tuple[int, ...]
    columns: tuple[int, ...]


def group(
    samples: Samples,
    outputs: Sequence[int],
    k: int | None,
    seed: int,
    stop: Callable[[], bool] = lambda: False,
) -> list[Group]:
    """Outputs put together as long as all their inputs are few.

    Args:
        outputs: columns of Y that are to be searched.
        k: at most so many inputs; None for all where there are few.
        stop: whether time is up; outputs that have not been looked at by then are in no group.
    """
    n = samples.n_inputs
    most = k or current(ScreeningTuning).inputs
    if n <= most:
        return [Group(tuple(outputs), tuple(range(n)))] if outputs else []
    scores = relevance(samples, outputs, seed, stop)
    groups: list[tuple[list[int], set[int]]] = []
    for output, score in zip(outputs, scores, strict=False):
        order = np.argsort(-score, kind="stable")[:most]
        chosen = {int(i) for i in order if score[i] > 0.0} or {int(order[0])}
        for members, columns in groups:
            if len(columns | chosen) <= most:
                members.append(output)
                columns |= chosen
                break
        else:
            groups.append(([output], chosen))
    return [Group(tuple(members), tuple(sorted(columns))) for members, columns in groups]


def relevance(
    samples: Samples, outputs: Sequence[int], seed: int, stop: Callable[[], bool] = lambda: False
) -> np.ndarray:
    """(outputs, inputs): how much each input matters, 0 where nothing shows that it does.

    Args:
        stop: whether time is up; there are fewer rows then, those of the first outputs.
    """
    rng, tuning = np.random.default_rng(seed), current(ScreeningTuning)
    if samples.teacher is not None:
        effect = _by_asking(samples.X, samples.teacher, rng, stop)
        if effect is None:
            return np.empty((0, samples.n_inputs))
        asked = effect[:, list(outputs)].T
        if np.isfinite(asked).all() and (asked.max(axis=1) > 0.0).all():
            largest = asked.max(axis=1, keepdims=True)
            return np.where(asked > tuning.negligible * largest, asked, 0.0)
    rows = rng.permutation(samples.n_samples)[: tuning.rows]
    X = samples.X[rows]
    scores: list[np.ndarray] = []
    for k in outputs:
        if stop():
            break
        scores.append(_by_data(X, samples.Y[rows, k], rng))
    return np.array(scores).reshape(len(scores), samples.n_inputs)


def _by_asking(
    X: np.ndarray, teacher: Teacher, rng: np.random.Generator, stop: Callable[[], bool]
) -> np.ndarray | None:
    """(inputs, outputs): root mean square change of the answer when an input is shuffled; None if time is up."""
    X = X[rng.permutation(len(X))[: current(ScreeningTuning).asked_rows]]
    answer = np.asarray(teacher(X), dtype=np.float64)
    other = X[rng.permutation(len(X))]
    effect = np.empty((X.shape[1], answer.shape[1]))
    for i in range(X.shape[1]):
        if stop():
            return None
        changed = X.copy()
        changed[:, i] = other[:, i]
        effect[i] = np.sqrt(np.mean((np.asarray(teacher(changed), dtype=np.float64) - answer) ** 2, axis=0))
    return effect


def _by_data(X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(inputs,): the largest statistic of each input over the largest of shuffled outputs, 0 if under it."""
    tuning = current(ScreeningTuning)
    ranks = np.argsort(np.argsort(X, axis=0), axis=0)
    bins = (ranks * tuning.bins) // len(X)
    centred = X - X.mean(axis=0)
    spread = centred.std(axis=0)
    Z = centred / np.where(spread > 0.0, spread, 1.0)
    shuffled = [_statistics(Z, bins, y[rng.permutation(len(y))]) for _ in range(tuning.shuffles)]
    by_chance = np.maximum(np.max(shuffled, axis=(0, 2)), 1e-300)  # one level for each kind of statistic
    score = np.max(_statistics(Z, bins, y) / by_chance[:, None], axis=0)
    return np.where(score > 1.0, score, 0.0)


def _statistics(Z: np.ndarray, bins: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(kinds, inputs): correlation ratios of y, (y - mean)^2 and log|y|, and the best product's correlation."""
    y = y - y.mean()
    seen = [y, y * y, np.log(np.abs(y) + 1e-3 * np.abs(y).max())]
    kinds = [_correlation_ratio(bins, values) for values in seen]
    unit = (y - y.mean()) / max(float(y.std()), 1e-300)
    products = np.abs((Z * unit[:, None]).T @ Z) / len(y)
    return np.stack([*kinds, products.max(axis=1)])


def _correlation_ratio(bins: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(inputs,): variance of the means over the bins of an input, as a share of the variance of all."""
    values = values - values.mean()
    between = np.zeros(bins.shape[1])
    for b in range(int(bins.max()) + 1):
        inside = bins == b
        count = np.maximum(inside.sum(axis=0), 1)
        between += (values @ inside) ** 2 / count
    return between / max(float(values @ values), 1e-300)
