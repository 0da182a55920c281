"""What a search costs: against the number of outputs, rows and inputs, with the memory it takes.

    python benchmarks/scaling.py [outputs] [rows] [inputs] [--quick] [--teacher] [--jobs N]

Every case runs in a process of its own, on one thread, and prints CPU seconds, how many outputs have their
law exactly (1 - R² < 1e-12 on 2,000 fresh points), and the most memory that the process held.

outputs: sums of sines, products and ratios over six shared inputs; rows: one law with 1 % of noise (found
means 1 - R² of the noiseless law < 1e-4); inputs: a law of four inputs among many that don't matter.
``--teacher`` lets the engine ask the law itself, as it asks a block. ``--jobs N`` searches for several outputs a
second time in N workers that have been started before, and prints both wall clocks, the CPU seconds of the longest
part (what the wall clock would be on idle cores), the machine's load, and whether the equations are the same.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from symtorch.engines.native.parallel import Packet
    from symtorch.engines.native.task import Found
    from symtorch.equations.front import Front

Function = Callable[[np.ndarray], np.ndarray]

OUTPUTS, ROWS, INPUTS = (1, 8, 32, 128), (1_000, 10_000, 100_000, 1_000_000), (2, 8, 32, 256)
OPERATORS = {
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["square", "sqrt", "exp", "log", "sin", "cos"],
}


def layer(n_outputs: int, seed: int = 7) -> Function:
    """Each output the sum of two or three terms ``c*sin(a*xi)``, ``c*xi*xj`` or ``c*xi/(xj^2 + b)``."""
    rng = np.random.default_rng(seed)
    outputs = []
    for _ in range(n_outputs):
        terms = []
        for _ in range(rng.integers(2, 4)):
            kind = rng.choice(["sin", "product", "ratio"])
            i, j = rng.choice(6, 2, replace=False)
            c = np.round(rng.uniform(0.5, 2.0) * rng.choice([-1, 1]), 2)
            a, b = np.round(rng.uniform(0.5, 2.5), 2), np.round(rng.uniform(1.0, 3.0), 2)
            terms.append((kind, i, j, c, a, b))
        outputs.append(terms)

    def value(X: np.ndarray, kind: str, i: int, j: int, c: float, a: float, b: float) -> np.ndarray:
        if kind == "sin":
            return c * np.sin(a * X[:, i])
        return c * X[:, i] * X[:, j] if kind == "product" else c * X[:, i] / (X[:, j] ** 2 + b)

    return lambda X: np.column_stack([sum(value(X, *term) for term in terms) for terms in outputs])


def ratio(X: np.ndarray) -> np.ndarray:
    return X[:, :1] * X[:, 1:2] / (X[:, 2:3] ** 2 + 0.1)


def among(n_inputs: int) -> Function:
    """A law of at most four inputs, spread over all."""
    i, j, k, m = (round(f * (n_inputs - 1)) for f in (0.1, 0.4, 0.6, 0.9))
    return lambda X: X[:, [i]] * X[:, [j]] + np.sin(X[:, [k]]) * X[:, [m]]


def case(name: str, size: int, teacher: bool, jobs: int, queue: multiprocessing.Queue) -> None:
    from symtorch.engines.native import NativeEngine
    from symtorch.engines.options import SearchOptions
    from symtorch.engines.samples import Samples

    rng = np.random.default_rng(11)
    n_rows, n_inputs, noise, enough = 1000, 6, 0.0, 1e-12
    if name == "outputs":
        f = layer(size)
    elif name == "rows":
        f, n_rows, n_inputs, noise, enough = ratio, size, 5, 0.01, 1e-4
    else:
        f, n_inputs = among(size), size
    X = rng.uniform(-3.0, 3.0, (n_rows, n_inputs))
    Y = f(X)
    Y = Y + noise * Y.std(axis=0) * rng.normal(size=Y.shape)
    samples = Samples(X, Y, teacher=f if teacher else None)
    options = SearchOptions.from_params({**OPERATORS, "random_state": 0})
    started, clock = time.process_time(), time.perf_counter()
    fronts = NativeEngine().search(samples, options)
    seconds, wall = time.process_time() - started, time.perf_counter() - clock
    fresh = rng.uniform(-3.0, 3.0, (2000, n_inputs))
    truth = f(fresh)
    missed = [np.mean((g.best.predict(fresh) - y) ** 2) / np.var(y) for g, y in zip(fronts, truth.T, strict=True)]
    queue.put((seconds, sum(m < enough for m in missed), len(missed)))
    # Linux says kibibytes, macOS bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    queue.put(peak)
    if jobs > 1:
        queue.put((wall, *in_workers(jobs, lambda: NativeEngine().search(samples, options), fronts)))


def in_workers(jobs: int, search: Callable[[], list[Front]], expected: list[Front]) -> tuple[float, float, float, int]:
    """Seconds of a search in workers, CPU seconds of its longest part, the load, and how many fronts are expected."""
    import joblib

    from symtorch.engines.native import parallel as workers

    with tempfile.TemporaryDirectory() as folder, joblib.parallel_config("loky", n_jobs=jobs):
        joblib.Parallel(batch_size=1)(joblib.delayed(start_worker)() for _ in range(2 * jobs))
        workers._search = partial(timed_part, folder)
        clock = time.perf_counter()
        fronts = search()
        shared = time.perf_counter() - clock
        longest = max(float(path.read_text()) for path in Path(folder).iterdir())
    same = sum([e.text for e in g] == [e.text for e in h] for g, h in zip(fronts, expected, strict=True))
    return shared, longest, os.getloadavg()[0], same


def start_worker() -> None:
    import symtorch.engines.native.parallel  # noqa: F401  (loaded before the clock starts)

    time.sleep(0.5)  # so that every worker gets one


def timed_part(folder: str, packet: Packet) -> tuple[int, Found | str]:
    from symtorch.engines.native import parallel as workers

    started = time.process_time()
    found = workers._search(packet)
    (Path(folder) / str(packet.number)).write_text(str(time.process_time() - started))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=["outputs", "rows", "inputs", []])
    parser.add_argument("--quick", action="store_true", help="leave the largest size of each out")
    parser.add_argument("--teacher", action="store_true", help="let the engine ask the law")
    parser.add_argument("--jobs", type=int, default=1, help="search for several outputs again in so many workers")
    arguments = parser.parse_args()
    from scaling import case  # by its module's name, which workers can import

    sizes = {"outputs": OUTPUTS, "rows": ROWS, "inputs": INPUTS}
    context = multiprocessing.get_context("spawn")
    print(f"{'':8} {'size':>9} {'CPU':>9} {'found':>10} {'memory':>9}")
    for name in arguments.what or sizes:
        for size in sizes[name][: -1 if arguments.quick else None]:
            jobs = arguments.jobs if name == "outputs" and size > 1 else 1
            queue = context.Queue()
            process = context.Process(target=case, args=(name, size, arguments.teacher, jobs, queue))
            process.start()
            seconds, found, n = queue.get()
            memory = queue.get()
            print(f"{name:8} {size:9,} {seconds:7.1f} s {found:4} of {n:3} {memory:6.2f} GB", flush=True)
            if jobs > 1:
                wall, shared, longest, load, same = queue.get()
                print(
                    f"{'':8} {jobs} workers: {shared:.1f} s against {wall:.1f} s, {wall / shared:.2f} times as fast; "
                    f"CPU of the longest part {longest:.1f} s, {seconds / longest:.2f} times less; load {load:.1f}; "
                    f"{same} of {n} fronts the same",
                    flush=True,
                )
            process.join()


if __name__ == "__main__":
    main()
