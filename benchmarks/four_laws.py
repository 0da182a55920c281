"""Four laws from 1,000 rows of data each, by the native engine on one core, without asking anything.

    python benchmarks/four_laws.py [--seeds 0 1 2]

Prints per law and seed: CPU seconds, 1 - R² on 2,000 fresh points inside the box, whether the default pick
is the law exactly (SymPy says that the difference is zero once constants are rounded to nine digits, and
the values agree on fresh points inside the box and a fifth beyond it), and the pick itself. A fifth row is
the heat equation's solution with the smooth error of a trained network, searched with the default
operators: there the pick counts if it has the law's form with every constant within 1 %.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from symtorch.engines.native import NativeEngine
from symtorch.equations.expr import Constant, Expr, constants, evaluate, to_sympy, to_text, transform
from symtorch.equations.parser import parse
from symtorch.options import SearchOptions
from symtorch.samples import Samples

ROWS, FRESH = 1000, 2000
OPERATORS = {
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["square", "sqrt", "exp", "log", "sin", "cos"],
}
LAWS = {
    "2*cos(x3) + x0^2 - 2": ([-3.0] * 5, [3.0] * 5),
    "x0*x1/(x2^2 + 0.1)": ([-3.0] * 5, [3.0] * 5),
    "x0^3/(exp(x0*x1) - 1)": ([1.0, 1.0], [3.0, 3.0]),
    "x0*x1/sqrt(1 - x1^2/x2^2)": ([1.0, 1.0, 3.0], [5.0, 2.0, 10.0]),
}
HEAT = "1.03*sin(3.14*x0)*exp(-1.97*x1)"


def same(found: Expr, law: Expr, low: np.ndarray, high: np.ndarray, names: list[str]) -> bool:
    """Whether the equation is the law: by SymPy, and by its values inside and around the box."""
    import sympy

    rounded = transform(found, lambda n: Constant(float(f"{n.value:.9g}")) if isinstance(n, Constant) else n)
    difference = sympy.nsimplify(to_sympy(rounded, names) - to_sympy(law, names), rational=True)
    span = 0.2 * (high - low)
    X = np.random.default_rng(2).uniform(low - span, high + span, (FRESH, len(low)))
    truth, values = evaluate(law, X), evaluate(found, X)
    defined = np.isfinite(truth)
    close = np.allclose(values[defined], truth[defined], rtol=1e-6, atol=1e-9)
    return bool(close and sympy.simplify(difference) == 0)


def run(text: str, low: list[float], high: list[float], seed: int) -> None:
    names = [f"x{i}" for i in range(len(low))]
    law = parse(text, names)
    box = np.array(low), np.array(high)
    X = np.random.default_rng(seed).uniform(*box, (ROWS, len(low)))
    options = SearchOptions.from_params({**OPERATORS, "random_state": seed})
    started = time.process_time()
    (front,) = NativeEngine().search(Samples(X, evaluate(law, X)[:, None]), options)
    seconds = time.process_time() - started
    fresh = np.random.default_rng(1000 + seed).uniform(*box, (FRESH, len(low)))
    truth = evaluate(law, fresh)
    missed = np.mean((front.best.predict(fresh) - truth) ** 2) / np.var(truth)
    verdict = "exact" if same(front.best.expr, law, *box, names) else "NOT"
    print(f"{text:28} {seed:4} {seconds:6.1f} s {missed:9.1e}  {verdict:6} {front.best}")


def run_heat(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.uniform(0.0, 1.0, (ROWS, 2))
    phase, rate = rng.uniform(0.0, 3.0, 2), rng.uniform(2.0, 6.0, 2)
    error = 1e-3 * np.sin(rate[0] * X[:, 0] + phase[0]) * np.cos(rate[1] * X[:, 1] + phase[1])
    truth = evaluate(parse(HEAT, ["x0", "x1"]), X)
    options = SearchOptions.from_params({"random_state": seed})
    started = time.process_time()
    (front,) = NativeEngine().search(Samples(X, (truth + error)[:, None]), options)
    seconds = time.process_time() - started
    found = sorted(constants(front.best.expr))
    shape = to_text(transform(front.best.expr, lambda n: Constant(1.0) if isinstance(n, Constant) else n), ["x0", "x1"])
    expected = len(found) == 3 and np.allclose(found, sorted([1.03, 3.14, -1.97]), rtol=0.01)
    verdict = "law" if expected and "sin" in shape and "exp" in shape else "NOT"
    missed = np.mean((front.best.predict(X) - truth) ** 2) / np.var(truth)
    print(f"{HEAT[:24] + ' +1e-3':28} {seed:4} {seconds:6.1f} s {missed:9.1e}  {verdict:6} {front.best}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = arguments.parse_args().seeds
    print(f"{'law':28} {'seed':>4} {'CPU':>8} {'1 - R²':>9}  pick")
    for text, (low, high) in LAWS.items():
        for seed in seeds:
            run(text, low, high, seed)
    for seed in seeds:
        run_heat(seed)


if __name__ == "__main__":
    main()
