"""Blocks without a neat law: is what comes ever worse than least squares, and is the time limit kept?

    python benchmarks/dirty.py                          # everything
    python benchmarks/dirty.py linear tanh64 --json dirty.json

Rough, noisy, wide and lawless blocks, through the public interface. For each case and limit:

``pick``, ``end``: median over the outputs, and the worst, of R² on 2,000 fresh rows: of the default pick, and of the
most accurate equation of the front. ``line``, ``quad``: the same of least squares on the same rows, through all
inputs, and by forward selection among all inputs, squares and products until the Bayesian information criterion
rises. ``short`` counts the outputs whose front's end is worse than the better of the two by more than 0.01.
``CPU``: seconds of the search; ``over``: those after its limit had passed on the clock. Every case runs in a process
of its own, on one thread, and is killed after ten times its limit and 60 s, or 15 minutes where it has none.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import combinations_with_replacement
from queue import Empty

import numpy as np
import record
import torch
from torch import nn

import symtorch
from symtorch.equations.front import Front

Array = np.ndarray

OPERATORS = {
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["square", "exp", "sin", "tanh", "relu"],
    "complexity_of_operators": {},
}
_ROWS = 2000
_FRESH = 2000
_QUADRATIC_OUTPUTS = 8
"""Outputs that the quadratic reference is fitted for, the first ones: it is slow."""
_MOST_TERMS = 40


@dataclass(frozen=True)
class Case:
    """A block, what it is called with, and how it is searched.

    Attributes:
        block: () -> a module or a function of the rows; with noise it is not asked, only its rows are there.
        n_inputs: of the rows.
        limits: seconds, each a search of its own; None for no limit.
        uniform: draw the inputs from (0, 1), not from the standard normal distribution.
        noise: standard deviation of what is added to the answers.
    """

    block: Callable[[], nn.Module | Callable[[Array], Array]]
    n_inputs: int
    limits: tuple[float | None, ...]
    uniform: bool = False
    noise: float = 0.0


@dataclass(frozen=True)
class Result:
    """One search; R² are the median over the outputs and the worst."""

    case: str
    limit: float | None
    outputs: int
    cpu: float
    over: float
    pick: tuple[float, float]
    end: tuple[float, float]
    line: tuple[float, float]
    quadratic: tuple[float, float]
    short: int
    sizes: tuple[int, int]
    reasons: dict[str, int]


def friedman1(X: Array) -> Array:
    """Friedman 1991; ten inputs of which five matter."""
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    return y[:, None]


def friedman1_roughened(X: Array) -> Array:
    """The same with 0.6 % of a smooth error, as a network's."""
    rng = np.random.default_rng(5)
    bumps = np.sin(X @ rng.normal(0.0, 4.0, (10, 8)) + rng.uniform(0.0, 6.0, 8)).sum(axis=1, keepdims=True)
    return friedman1(X) + 0.03 * 5.0 / 2.0 * bumps


def network(n_inputs: int, hidden: int, n_outputs: int) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        first, last = nn.Linear(n_inputs, hidden), nn.Linear(hidden, n_outputs)
        nn.init.normal_(first.weight, std=1.5 / n_inputs**0.5)
        return nn.Sequential(first, nn.Tanh(), last)

    return make


def rough(n_inputs: int, widths: tuple[int, ...], n_outputs: int, unit: type[nn.Module]) -> Callable[[], nn.Module]:
    """A random network with biases of all sizes, whose answers no short equation gives."""

    def make() -> nn.Module:
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((n_inputs, *widths)):
            linear = nn.Linear(before, after)
            nn.init.normal_(linear.weight, std=1.5 / before**0.5)
            nn.init.normal_(linear.bias, std=0.5)
            layers += [linear, unit()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], n_outputs))

    return make


CASES = {
    "linear": Case(lambda: nn.Linear(32, 2), 32, (None,)),
    "tanh64": Case(lambda: nn.Sequential(nn.Linear(64, 64), nn.Tanh()), 64, (20.0,)),
    "wide8": Case(network(32, 64, 8), 32, (2.0, 20.0)),
    "lawless": Case(network(5, 32, 1), 5, (None,)),
    "friedman-noise": Case(lambda: friedman1, 10, (None,), uniform=True, noise=1.0),
    "friedman-rough": Case(lambda: friedman1_roughened, 10, (None,), uniform=True),
    "outputs48": Case(network(16, 64, 48), 16, (2.0, 20.0)),
    "outputs576": Case(network(16, 64, 576), 16, (2.0, 20.0)),
    "outputs1000": Case(network(16, 64, 1000), 16, (2.0, 20.0)),
    "inputs64": Case(network(64, 64, 1000), 64, (2.0, 20.0)),
    "inputs64-1": Case(network(64, 64, 1), 64, (2.0, 20.0)),
    "inputs64-256": Case(network(64, 64, 256), 64, (2.0, 20.0)),
    "relu8": Case(rough(8, (32,), 2, nn.ReLU), 8, (20.0,)),
    "relu32": Case(rough(32, (64,), 2, nn.ReLU), 32, (20.0,)),
    "gelu16": Case(rough(16, (64,), 2, nn.GELU), 16, (20.0,)),
    "tanh8-deep": Case(rough(8, (32, 32), 2, nn.Tanh), 8, (20.0,)),
    "relu16-deep": Case(rough(16, (32, 32), 2, nn.ReLU), 16, (20.0,)),
    "silu24": Case(rough(24, (48,), 2, nn.SiLU), 24, (20.0,)),
}


def run(case: Case, name: str, limit: float | None) -> Result:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    block = case.block()
    draw = rng.uniform if case.uniform else rng.standard_normal
    X, fresh = (draw(size=(n, case.n_inputs)).astype(np.float32).astype(np.float64) for n in (_ROWS, _FRESH))
    Y, truth = (_answers(block, rows) for rows in (X, fresh))
    Y = Y + case.noise * rng.standard_normal(Y.shape)
    params = {**OPERATORS, "random_state": 0, "verbosity": 0, "progress": False, "timeout_in_seconds": limit}
    params = {key: value for key, value in params.items() if value is not None}
    passed: list[float] = []
    signal.signal(signal.SIGALRM, lambda *_: passed.append(time.process_time()))
    started = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, limit or 0.0)
    if case.noise:
        regressor = symtorch.SymbolicRegressor(engine="native", **params).fit(X, Y[:, 0])
        found: dict[int, Front] = {0: regressor.fronts_[0]}
    else:
        model = symtorch.SymbolicModel(block, name)
        fronts_by_output = model.distill(torch.tensor(X, dtype=torch.float32), engine="native", sr_params=params)
        assert isinstance(fronts_by_output, dict)
        found = fronts_by_output
    ended = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    fronts = [found[k] for k in range(Y.shape[1])]
    pick = np.array([_r2(front.best.predict(fresh), y) for front, y in zip(fronts, truth.T, strict=True)])
    end = np.array([_r2(front[-1].predict(fresh), y) for front, y in zip(fronts, truth.T, strict=True)])
    line, quadratic = by_least_squares(X, Y, fresh, truth)
    better = np.maximum(line[: len(quadratic)], quadratic)
    reference = np.concatenate([better, line[len(quadratic) :]])
    reasons = [front.stop_reason for front in fronts]
    sizes = [front.best.complexity for front in fronts]
    return Result(
        name,
        limit,
        len(fronts),
        ended - started,
        ended - passed[0] if passed else 0.0,
        _summary(pick),
        _summary(end),
        _summary(line),
        _summary(quadratic),
        int(np.sum(end < reference - 0.01)),
        (min(sizes), max(sizes)),
        {reason: reasons.count(reason) for reason in sorted(set(reasons))},
    )


def _answers(block: nn.Module | Callable[[Array], Array], X: Array) -> Array:
    if not isinstance(block, nn.Module):
        return np.asarray(block(X))
    with torch.no_grad():
        return block(torch.tensor(X, dtype=torch.float32)).double().numpy()


def _r2(prediction: Array, y: Array) -> float:
    with np.errstate(all="ignore"):
        return float(1.0 - np.mean((prediction - y) ** 2) / np.var(y))


def _summary(values: Array) -> tuple[float, float]:
    return float(np.median(values)), float(np.min(values))


def by_least_squares(X: Array, Y: Array, fresh: Array, truth: Array) -> tuple[Array, Array]:
    """R² on fresh rows: of lines for every output, and of sparse quadratics for the first ones."""

    def line(rows: Array) -> Array:
        return np.column_stack([rows, np.ones(len(rows))])

    def squares(rows: Array) -> Array:
        pairs = combinations_with_replacement(range(rows.shape[1]), 2)
        return np.column_stack([rows, *(rows[:, i] * rows[:, j] for i, j in pairs)])

    predicted = line(fresh) @ np.linalg.lstsq(line(X), Y, rcond=None)[0]
    lines = np.array([_r2(p, y) for p, y in zip(predicted.T, truth.T, strict=True)])
    A, B = squares(X), squares(fresh)
    centre, spread = A.mean(axis=0), A.std(axis=0)
    A, B = (A - centre) / spread, (B - centre) / spread
    quadratics = [_forward(A, y, B, t) for y, t in zip(Y.T[:_QUADRATIC_OUTPUTS], truth.T, strict=False)]
    return lines, np.array(quadratics)


def _forward(A: Array, y: Array, B: Array, truth: Array) -> float:
    """R² of forward selection, stopped by the Bayesian information criterion."""
    n = len(y)
    chosen: list[int] = []
    residual, best, kept, predicted = y - y.mean(), np.inf, 0.0, 0.0
    for size in range(_MOST_TERMS):
        criterion = n * np.log(np.mean(residual**2)) + size * np.log(n)
        if criterion >= best:
            break
        best = criterion
        kept = predicted
        chosen.append(int(np.argmax(np.abs(A.T @ residual))))
        columns = np.array(chosen)
        c = np.linalg.lstsq(A[:, columns], y - y.mean(), rcond=None)[0]
        residual = y - y.mean() - A[:, columns] @ c
        predicted = _r2(B[:, columns] @ c + y.mean(), truth)
    return kept


def _in_process(case: str, limit: float | None, queue: multiprocessing.Queue) -> None:
    seconds = 900 if limit is None else round(10 * limit + 60)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    queue.put(run(CASES[case], case, limit))


def line(r: Result) -> str:
    def pair(values: tuple[float, float]) -> str:
        return f"{values[0]:7.4f} {max(values[1], -99.0):7.4f}"

    limit = "-" if r.limit is None else f"{r.limit:g}"
    reasons = ", ".join(f"{count} {reason}" for reason, count in r.reasons.items())
    return (
        f"{r.case:>15} {r.outputs:5} {limit:>5} {r.cpu:7.1f} {r.over:5.1f}  "
        f"{pair(r.pick)}  {pair(r.end)}  {pair(r.line)}  {pair(r.quadratic)} "
        f"{r.short:5}  {r.sizes[0]}-{r.sizes[1]}  {reasons}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="only these")
    parser.add_argument("--json", metavar="FILE", help="write every result to this file")
    arguments = parser.parse_args()
    from dirty import _in_process  # by its module's name, which other processes can import

    context = multiprocessing.get_context("spawn")
    results = []
    print(
        f"{'case':>15} {'outs':>5} {'limit':>5} {'CPU':>7} {'over':>5}  "
        f"{'pick':>15}  {'end':>15}  {'line':>15}  {'quad':>15} "
        "short  size of the picks, reasons"
    )
    for name in arguments.cases or CASES:
        for limit in CASES[name].limits:
            queue = context.Queue()
            process = context.Process(target=_in_process, args=(name, limit, queue))
            process.start()
            result = None
            while result is None and (process.is_alive() or not queue.empty()):
                try:
                    result = queue.get(timeout=1.0)
                except Empty:
                    continue
            process.join()
            if result is None:
                print(f"{name:>15} {'':5} {limit or '-':>5}  no result: killed", flush=True)
            else:
                results.append(result)
                print(line(result), flush=True)
    if arguments.json:
        record.keep(arguments.json, [asdict(r) for r in results])


if __name__ == "__main__":
    main()
