"""Ground-truth laws as SRBench has them: 120 of Feynman's lectures and 14 of Strogatz's ODEs, with and without noise.

    python benchmarks/srbench.py                                   # from 1,000 rows alone, without noise, 60 s each
    python benchmarks/srbench.py --ask --seconds 10                # the law itself may be asked
    python benchmarks/srbench.py --noise 0 0.001 0.01 0.1 --json srbench.json
    python benchmarks/srbench.py --every 6 --offset 1              # each sixth law, from the second

Laws: the Feynman Symbolic Regression Database with its ranges (Udrescu and Tegmark, arXiv 1905.11481; the
20 bonus laws too), in ``feynman.csv``; the seven two-state systems of ODE-Strogatz as La Cava et al. give
them (arXiv 2107.14351), here on uniform rows of a box instead of 400 points on four trajectories.

Protocol: 1,000 rows, uniform in the law's ranges; ``noise`` is the standard deviation of what is added to
the target, as a share of its root mean square. One search with the operators below, all laws the same, and
a wall-clock limit. What counts is the engine's default pick:

``error``     its squared error against the law, without noise, on 10,000 fresh rows, as a share of the
              law's variance is at most 1e-10 + 0.02 noise² (of the mean square): what fitting the constants
              of a law of the right form leaves;
``symbolic``  as SRBench counts a solution: with constants rounded to three decimals, the difference from
              the law, or the ratio to it, simplifies to a constant ("?" where SymPy takes more than 20 s).

Seconds are CPU-seconds of this process. The limit is on the clock, so run one at a time on a free core, or with
``--cpu``, which counts the limit in CPU-seconds too.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import record
import torch
from laws import limit

from symtorch.engines.native import NativeEngine
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations import Equation, Front, parse
from symtorch.equations.expr import Expr, evaluate

SEARCH_SPACE = {
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["square", "sqrt", "exp", "log", "sin", "cos", "tanh", "asin"],
    "complexity_of_operators": {},
    "maxsize": 50,
}

STROGATZ = {
    "bacterial-1": ("20 - x - x*y/(1 + 0.5*x^2)", "x:3:20 y:3:20"),
    "bacterial-2": ("10 - x*y/(1 + 0.5*x^2)", "x:3:20 y:3:20"),
    "bar-magnets-1": ("0.5*sin(x - y) - sin(x)", "x:0:6.28 y:0:6.28"),
    "bar-magnets-2": ("0.5*sin(y - x) - sin(y)", "x:0:6.28 y:0:6.28"),
    "glider-1": ("-0.05*x^2 - sin(y)", "x:1:8 y:-3:3"),
    "glider-2": ("x - cos(y)/x", "x:1:8 y:-3:3"),
    "lotka-volterra-1": ("3*x - 2*x*y - x^2", "x:0.5:8 y:0.5:8"),
    "lotka-volterra-2": ("2*y - x*y - y^2", "x:0.5:8 y:0.5:8"),
    "predator-prey-1": ("x*(4 - x - y/(1 + x))", "x:0.5:8 y:0.5:15"),
    "predator-prey-2": ("y*(x/(1 + x) - 0.075*y)", "x:0.5:8 y:0.5:15"),
    "shear-flow-1": ("cos(x)*cos(y)/sin(y)", "x:-3:3 y:0.3:2.8"),
    "shear-flow-2": ("(cos(y)^2 + 0.1*sin(y)^2)*sin(x)", "x:-3:3 y:0.3:2.8"),
    "van-der-pol-1": ("10*(y - (x^3/3 - x))", "x:-2:2 y:-1.5:1.5"),
    "van-der-pol-2": ("-x/10", "x:-2:2 y:-1.5:1.5"),
}


@dataclass(frozen=True)
class Law:
    """A law over named inputs, and the box that they are drawn from."""

    name: str
    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    expr: Expr

    @classmethod
    def read(cls, name: str, formula: str, variables: str) -> Law:
        """``variables`` as ``name:low:high``, separated by spaces."""
        parts = [part.split(":") for part in variables.split()]
        own = [part[0] for part in parts]
        names = tuple(f"x{i}" for i in range(len(own)))  # beta, gamma and I mean something else elsewhere
        low, high = (tuple(float(part[k]) for part in parts) for k in (1, 2))
        return cls(name, names, low, high, parse(formula, own))

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return evaluate(self.expr, X)[:, None]

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Rows (n, n_inputs) on which the law is defined."""
        rng = np.random.default_rng(seed)
        X = rng.uniform(self.low, self.high, (2 * n, len(self.low)))
        return X[np.isfinite(self(X)[:, 0])][:n]


@dataclass(frozen=True)
class Result:
    """One search."""

    law: str
    noise: float
    asked: bool
    seed: int
    seconds: float
    error: float
    found: bool
    symbolic: str
    on_front: bool
    stop_reason: str
    complexity: int
    equation: str


def laws(which: str) -> list[Law]:
    """Of "feynman", "bonus", "120" (both), "strogatz", or all."""
    with open(Path(__file__).with_name("feynman.csv"), encoding="utf-8") as file:
        feynman = [Law.read(row["name"], row["formula"], row["variables"]) for row in csv.DictReader(file)]
    sets = {
        "feynman": [law for law in feynman if not law.name.startswith("bonus")],
        "bonus": [law for law in feynman if law.name.startswith("bonus")],
        "120": feynman,
        "strogatz": [Law.read(name, *text) for name, text in STROGATZ.items()],
    }
    return sets[which] if which in sets else [*sets["120"], *sets["strogatz"]]


def allowed(noise: float, law: Law, X: np.ndarray) -> float:
    """The error, as a share of the law's variance, that counts as found."""
    truth = law(X)
    return 1e-10 + 0.02 * noise**2 * float(np.mean(truth**2) / np.var(truth))


def error(equation: Equation, law: Law, X: np.ndarray) -> float:
    """Squared error against the law on these rows, as a share of its variance."""
    truth = law(X)[:, 0]
    squares = (equation.predict(X) - truth) ** 2
    return float(np.mean(squares) / np.var(truth)) if np.isfinite(squares).all() else float("inf")


def is_solution(equation: Equation, law: Law) -> str:
    """ "yes" if difference or ratio is a constant once numbers are rounded to three decimals, "no", or "?"."""
    import sympy

    def rounded(expr: sympy.Expr) -> sympy.Expr:
        numbers = {number: sympy.Float(round(float(number), 3), 4) for number in expr.atoms(sympy.Float)}
        return sympy.nsimplify(expr.xreplace(numbers), rational=True)

    try:
        with limit(20):
            positive = {
                sympy.Symbol(name, real=True): sympy.Symbol(name, positive=low > 0, real=True)
                for name, low in zip(law.names, law.low, strict=True)
            }
            found = rounded(sympy.simplify(equation.sympy().subs(positive)))
            truth = rounded(Equation(law.expr, law.names, 0, 0.0).sympy().subs(positive))
            for way in (found - truth, found / truth):
                if sympy.simplify(way).is_constant():
                    return "yes"
            return "no"
    except Exception:
        return "?"


def search(law: Law, noise: float, ask: bool, seed: int, seconds: float) -> tuple[Front, float]:
    """The front of one law, and the CPU-seconds that it took."""
    X = law.draw(1000, seed)
    Y = law(X)
    scale = float(np.sqrt(np.mean(Y**2)))
    Y = Y + noise * scale * np.random.default_rng(seed + 1).normal(size=Y.shape)
    teacher = law if ask and noise == 0.0 else None
    options = SearchOptions.from_params(
        SEARCH_SPACE | {"random_state": seed, "timeout_in_seconds": seconds, "verbosity": 0}
    )
    started = time.process_time()
    (front,) = NativeEngine().search(Samples(X, Y, variable_names=law.names, teacher=teacher), options)
    return front, time.process_time() - started


def run(law: Law, noise: float, ask: bool, seed: int, seconds: float, algebra: bool) -> Result:
    front, took = search(law, noise, ask, seed, seconds)
    fresh = law.draw(10_000, seed + 90_000)
    enough, off = allowed(noise, law, fresh), error(front.best, law, fresh)
    found = off <= enough
    return Result(
        law.name,
        noise,
        ask,
        seed,
        took,
        off,
        found,
        is_solution(front.best, law) if algebra else "",
        found or any(error(eq, law, fresh) <= enough for eq in front),
        front.stop_reason,
        front.best.complexity,
        str(front.best),
    )


def summary(results: list[Result]) -> Iterator[str]:
    for noise in sorted({r.noise for r in results}):
        chosen = [r for r in results if r.noise == noise]
        seconds = [r.seconds for r in chosen]
        symbolic = sum(r.symbolic == "yes" for r in chosen)
        yield (
            f"noise {noise:g}: {sum(r.found for r in chosen)} of {len(chosen)} by error, {symbolic} by algebra, "
            f"{sum(r.on_front for r in chosen)} on the front; CPU-s median {statistics.median(seconds):.1f}, "
            f"longest {max(seconds):.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=["feynman", "bonus", "120", "strogatz", "all"], default="all")
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0])
    parser.add_argument("--ask", action="store_true", help="the law may be asked; without noise only")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cpu", action="store_true", help="the limit is one of CPU-seconds: for a busy machine")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--laws", nargs="+", default=[], help="only these")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--no-algebra", action="store_true", help="skip SymPy")
    parser.add_argument("--json", metavar="FILE", help="write every result to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.cpu:
        time.monotonic = time.process_time  # by which every part of a search tells the time
    chosen = [law for law in laws(args.set) if not args.laws or law.name in args.laws][args.offset :: args.every]
    print("       law  noise seed  CPU-s    error  found  sym  stopped     size  pick")
    results = []
    for noise in args.noise:
        for seed in args.seeds:
            for law in chosen:
                r = run(law, noise, args.ask, seed, args.seconds, not args.no_algebra)
                results.append(r)
                mark = "yes" if r.found else ("front" if r.on_front else "no")
                print(
                    f"{r.law:>16} {r.noise:6g} {r.seed:4} {r.seconds:6.1f} {r.error:8.1e} {mark:>6} {r.symbolic:>4} "
                    f"{r.stop_reason:>10} {r.complexity:5}  {r.equation[:90]}",
                    flush=True,
                )
    print()
    for text in summary(results):
        print(text)
    if args.json:
        record.keep(args.json, [asdict(r) for r in results])


if __name__ == "__main__":
    main()
