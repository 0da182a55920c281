"""Four laws from 1,000 rows, on one core: seconds, 1 - R², exact or not; from the data alone, and asking the function.

    python benchmarks/four_laws.py [--seeds 0 1 2] [--json FILE]

"Exact" means that the default pick of the front equals the law: by its value on 2,000 fresh points, drawn from
a box half as large again, to 1e-8 of the law's range there, and symbolically where SymPy can tell.
"""

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import record
import sympy
import torch
from problems import LAWS, SEARCH_SPACE, Law

from symtorch import Front, SearchOptions, SymbolicModel
from symtorch.engines import ProgressCallback
from symtorch.engines.native import NativeEngine
from symtorch.engines.samples import Samples
from symtorch.equations.sympy_bridge import to_sympy

FOUR = ("pysr", "gravity", "planck", "relativity")


class DataOnly(NativeEngine):
    """The native engine without the function that the rows come from."""

    def search(self, samples: Samples, options: SearchOptions, progress: ProgressCallback | None = None) -> list[Front]:
        return super().search(replace(samples, teacher=None), options, progress)


ENGINES = {"data": DataOnly(), "asks": NativeEngine()}


def measure(law: Law, seed: int, way: str) -> dict[str, Any]:
    """One search on the law as a plain function that is wrapped, distilled and read."""
    block = SymbolicModel(lambda X: law(X)[:, 0], law.name)
    started, cpu = time.perf_counter(), time.process_time()
    block.distill(
        law.draw(1000, seed),
        sr_params=SEARCH_SPACE | {"random_state": seed},
        engine=ENGINES[way],
        held_out=0,  # all 1,000 rows are searched; the fresh points judge
    )
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    front = block.fronts[0]
    fresh = law.draw(2000, seed + 1000, stretch=1.5)
    truth, found = law(fresh)[:, 0], front.predict(fresh)
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(truth)
        error = np.abs(found - truth)[usable].max() / np.ptp(truth[usable])
    difference = sympy.nsimplify(sympy.simplify(front.sympy() - to_sympy(law.expr, law.names)), tolerance=1e-9)
    return {
        "law": law.name,
        "way": way,
        "seed": seed,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "1-R²": front.best.loss / float(np.var(law(law.draw(1000, seed)))),
        "error_on_fresh_points": float(error),
        "exact": bool(error < 1e-8),
        "symbolically_equal": bool(difference == 0),
        "found": str(front.best),
        "stopped": front.stop_reason,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", help="write the rows to this file too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print(f"{'law':10} {'way':4} seed {'s':>6} {'CPU s':>6} {'1-R²':>8} {'fresh':>8} exact symbolic  found")
    for name in FOUR:
        for way in ENGINES:
            for seed in args.seeds:
                row = measure(LAWS[name], seed, way)
                rows.append(row)
                print(
                    f"{name:10} {way:4} {seed:4} {row['seconds']:6.1f} {row['cpu_seconds']:6.1f} {row['1-R²']:8.0e} "
                    f"{row['error_on_fresh_points']:8.0e} {row['exact']!s:5} {row['symbolically_equal']!s:8}  "
                    f"{row['found']}",
                    flush=True,
                )
    for way in ENGINES:
        mine = [row for row in rows if row["way"] == way]
        cpu = [row["cpu_seconds"] for row in mine]
        exact = sum(row["exact"] for row in mine)
        print(f"{way}: {exact} of {len(mine)} exact; CPU s: median {np.median(cpu):.1f}, most {max(cpu):.1f}")
    if args.json:
        record.keep(args.json, rows)


if __name__ == "__main__":
    main()
