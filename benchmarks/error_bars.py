"""Error bars of constants: how often the truth is within them.

Each law is evaluated on 500 rows, normal noise of 1 and 5 % of the law's standard deviation is added, and for each
of some seeds

- "fitted": the law's own form is fitted, from constants 5 % off the true ones;
- "found": the native engine searches the noisy rows alone, and its pick counts where its form is the law's: where
  its constants can be fitted to the law without noise up to rounding, which says what their true values are.

Then each constant that has a standard error is compared with its true value: coverage is the share of them within
one and within two standard errors (68 and 95 % for errors that are normal and right). Constants that the search has
made simple numbers have no errors; how many of those are not the true ones is counted.

    python benchmarks/error_bars.py --seeds 20 --found-seeds 4
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import record
from problems import SEARCH_SPACE, Law

from symtorch.engines.native import NativeEngine
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.expr import constants, with_constants
from symtorch.equations.front import Equation
from symtorch.equations.normal import normalise
from symtorch.equations.uncertainty import is_exact
from symtorch.surrogate.fidelity import with_errors


def _law(name: str, text: str, *boxes: tuple[float, float]) -> Law:
    low, high = zip(*boxes, strict=True)
    return Law(name, text, low, high)


# The numbers are no simple ones, so that a search does not take them as exact.
LAWS = [
    _law("line", "1.974*x0 - 0.337*x1 + 5.613", (-2, 2), (-2, 2)),
    _law("parabola", "0.8137*x0^2 - 1.417*x0 + 0.2718", (-2, 3)),
    _law("product", "2.317*x0*x1 + 0.731*x2", (1, 4), (1, 4), (-3, 3)),
    _law("pole", "3.271*x0/(x1 + 0.4139)", (1, 5), (0.5, 4)),
    _law("decay", "4.117*exp(-0.5713*x0) + 0.6131", (0, 6)),
    _law("wave", "1.713*sin(2.147*x0 + 0.3171)", (0, 5)),
    _law("power", "1.317*x0^1.713", (0.5, 4)),
    _law("root", "sqrt(2.317*x0 + 1.119*x1^2)", (0.5, 4), (0.5, 4)),
    _law("bell", "2.713*exp(-(x0 - 1.317)^2/0.8191)", (-1, 4)),
    _law("saturation", "5.319*x0/(x0 + 2.171)", (0.2, 10)),
]


@dataclass(frozen=True)
class Result:
    """One law, one noise, one seed.

    Attributes:
        way: "fitted" or "found".
        off: of each constant with a finite error, (value - truth)/error.
        open: constants whose error is infinite or not known.
        wrong: constants that were taken as exact, and are not the true ones.
        same_form: whether the equation has the law's form; False for another law.
    """

    law: str
    way: str
    noise: float
    seed: int
    off: tuple[float, ...] = ()
    open: int = 0
    wrong: int = 0
    same_form: bool = True


def compared(equation: Equation, truth: list[float]) -> dict[str, Any]:
    """The constants of an equation with errors against the true ones."""
    pairs = list(zip(equation.constants, truth, strict=True))
    known = [(c, t) for c, t in pairs if c.standard_error is not None]
    finite = [(c.value, c.standard_error, t) for c, t in known if c.standard_error and math.isfinite(c.standard_error)]
    return {
        "off": tuple((value - t) / error for value, error, t in finite),
        "open": len(known) - len(finite),
        "wrong": sum(c.standard_error is None and not math.isclose(c.value, t, rel_tol=1e-6) for c, t in pairs),
    }


def data(law: Law, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, the law on them, and the law with noise."""
    X = law.draw(500, seed)
    y = law(X)[:, 0]
    return X, y, y + noise * y.std() * np.random.default_rng([seed, round(1e6 * noise)]).normal(size=len(y))


def fitted(law: Law, noise: float, seed: int) -> Result:
    X, _, noisy = data(law, noise, seed)
    form = normalise(law.expr)
    truth = constants(form)
    off = 1.0 + 0.05 * np.random.default_rng(seed).normal(size=len(truth))
    start = [t if is_exact(t) else t * o for t, o in zip(truth, off.tolist(), strict=True)]
    expr, _ = fit(with_constants(form, start), Rows.of(X, noisy), steps=200)
    equation = Equation(expr, tuple(law.names), 1, 0.0).with_errors(X, noisy)
    return Result(law.name, "fitted", noise, seed, **compared(equation, truth))


def found(law: Law, noise: float, seed: int) -> Result:
    X, y, noisy = data(law, noise, seed)
    samples = Samples(X, noisy[:, None], None, tuple(law.names))
    options = SearchOptions.from_params({**SEARCH_SPACE, "random_state": seed, "timeout_in_seconds": 20.0})
    front = with_errors({0: NativeEngine().search(samples, options)[0]}, samples)[0]
    true, left = fit(front.best.expr, Rows.of(X, y), steps=500)
    if not left <= 1e-16 * y.var():
        return Result(law.name, "found", noise, seed, same_form=False)
    return Result(law.name, "found", noise, seed, **compared(front.best, constants(true)))


def line(results: list[Result], name: str) -> str:
    off = np.abs([value for r in results for value in r.off])
    same = [r for r in results if r.same_form]
    within = [f"{100 * np.mean(off <= k):5.1f}" if len(off) else "    -" for k in (1, 2)]
    return (
        f"{name:28} {len(same):>4} of {len(results):<4} {len(off):>9} {within[0]} {within[1]}   "
        f"{sum(r.open for r in same):>4} {sum(r.wrong for r in same):>5}"
    )


def table(results: list[Result]) -> Iterator[str]:
    """Rows of the table: each law, and all together, by way and noise."""
    yield f"{'':28} {'the law':>12} {'constants':>9} {'<= 1':>5} {'<= 2':>5}   {'open':>4} {'wrong':>5}"
    for way in dict.fromkeys(r.way for r in results):
        for noise in dict.fromkeys(r.noise for r in results):
            these = [r for r in results if r.way == way and r.noise == noise]
            for law in dict.fromkeys(r.law for r in these):
                yield line([r for r in these if r.law == law], f"{way} {100 * noise:g} % {law}")
            yield line(these, f"{way} {100 * noise:g} %")
    yield line(results, "all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="of the forms that are fitted")
    parser.add_argument("--found-seeds", type=int, default=4, help="of the searches")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.01, 0.05])
    parser.add_argument("--json", metavar="FILE", help="write every result there as well")
    args = parser.parse_args()
    ways = [(fitted, args.seeds), (found, args.found_seeds)]
    results = [run(law, noise, seed) for run, n in ways for noise in args.noise for law in LAWS for seed in range(n)]
    print("\n".join(table(results)))
    if args.json:
        record.keep(args.json, [asdict(r) for r in results])


if __name__ == "__main__":
    main()
