"""What units are worth: laws from noisy rows, searched with X_units and y_units and without.

    python benchmarks/units.py                          # both sets
    python benchmarks/units.py --set tuning --seconds 20 --json units.json

Protocol: laws of ``feynman.csv`` in which every quantity with a unit is an input, with the operators and the rows of
``srbench.py``: 1,000 rows, normal noise of 10 % of the output's root mean square, nothing to ask. Each is searched
twice with the same seed and limit. It counts as found where the pick's error against the law on 10,000 fresh rows is at
most what fitting constants to such noise explains, as in ``srbench.py``; "front" says the same of some equation of the
front. The engine was developed on the laws called "tuning"; those called "held out" were looked at in the end.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, dataclass

import numpy as np
import record
import torch
from srbench import SEARCH_SPACE, Law, allowed, error, laws

from symtorch.engines.native import NativeEngine
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples

# Of the inputs in the order of feynman.csv, then of the output.
TUNING = {
    "I.15.3t": "m m/s m/s s -> s",
    "I.32.17": "F/m m/s V/m m 1/s 1/s -> W",
    "I.41.16": "1/s K J*s J/K m/s -> J/m^2",
    "II.6.15a": "F/m C*m m m m m -> V/m",
    "II.11.17": "1/m^3 J/K K 1 C*m V/m -> 1/m^3",
    "II.36.38": "A*m^2 T J/K K 1 F/m m/s A/m -> 1",
    "III.9.52": "C*m V/m s J*s 1/s 1/s -> 1",
    "bonus-2": "kg J*m J*s J 1 1 -> 1/m",
    "bonus-6": "F/m J*s kg 1 1 C J -> 1",
    "bonus-12": "C m V m F/m -> N",
    "bonus-16": "kg m/s kg*m/s C kg*m/(C*s) V -> J",
    "bonus-18": "m^3/(kg*s^2) 1 m 1/s m/s -> kg/m^3",
}
HELD_OUT = {
    "I.9.18": "kg kg m^3/(kg*s^2) m m m m m m -> N",
    "I.15.3x": "m m/s m/s s -> m",
    "I.24.6": "kg 1/s 1/s m -> J",
    "I.40.1": "1/m^3 kg m K m/s^2 J/K -> 1/m^3",
    "I.50.26": "m 1/s s 1 -> m",
    "II.2.42": "W/(m*K) K K m^2 m -> W",
    "II.11.3": "C V/m kg 1/s 1/s -> m",
    "II.21.32": "C F/m m m/s m/s -> V",
    "II.35.21": "1/m^3 A*m^2 T J/K K -> A/m",
    "III.4.33": "J*s 1/s J/K K -> J",
    "bonus-4": "kg J J J*s m -> m/s",
    "bonus-8": "J kg m/s 1 -> J",
    "bonus-13": "C m m 1 F/m -> V",
    "bonus-17": "kg 1/s kg*m/s m m 1 -> J",
}


@dataclass(frozen=True)
class Result:
    """One law, with units or without."""

    law: str
    held_out: bool
    units: bool
    noise: float
    seed: int
    seconds: float
    error: float
    found: bool
    on_front: bool
    equation: str


def run(law: Law, units: str, given: bool, noise: float, seed: int, seconds: float) -> Result:
    X = law.draw(1000, seed)
    Y = law(X)
    Y = Y + noise * np.sqrt(np.mean(Y**2)) * np.random.default_rng(seed + 1).normal(size=Y.shape)
    inputs, output = units.split(" -> ")
    engine = NativeEngine().bind({"X_units": inputs.split(), "y_units": output} if given else {})
    options = SearchOptions.from_params(SEARCH_SPACE | {"random_state": seed, "timeout_in_seconds": seconds})
    started = time.process_time()
    (front,) = engine.search(Samples(X, Y, variable_names=law.names), options)
    took = time.process_time() - started
    fresh = law.draw(10_000, seed + 90_000)
    enough, off = allowed(noise, law, fresh), error(front.best, law, fresh)
    on_front = any(error(eq, law, fresh) <= enough for eq in front)
    held_out = law.name in HELD_OUT
    return Result(law.name, held_out, given, noise, seed, took, off, off <= enough, on_front, str(front.best))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=["tuning", "held out", "all"], default="all")
    parser.add_argument("--laws", nargs="+", default=[], help="only these")
    parser.add_argument("--noise", type=float, default=0.1, help="as a share of the output's root mean square")
    parser.add_argument("--seconds", type=float, default=20.0, help="limit of each search")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--json", metavar="FILE", help="write every result to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    known = {law.name: law for which in ("feynman", "bonus") for law in laws(which)}
    sets = {"tuning": TUNING, "held out": HELD_OUT}
    chosen = {name: u for which, own in sets.items() if args.set in (which, "all") for name, u in own.items()}
    results = []
    for name, units in chosen.items():
        for seed in args.seeds if not args.laws or name in args.laws else ():
            for given in (False, True):
                r = run(known[name], units, given, args.noise, seed, args.seconds)
                results.append(r)
                word = "found" if r.found else "front" if r.on_front else ""
                print(f"{name:>9} {'units' if given else '':5} {r.seconds:5.1f} {r.error:8.1e} {word:5}  {r.equation}")
    for which, own in sets.items():
        for given in (False, True):
            these = [r for r in results if r.law in own and r.units == given]
            if these:
                counts = f"{sum(r.found for r in these)} found, {sum(r.on_front for r in these)} on the front"
                print(f"{which}, {'with' if given else 'without'} units: {counts} of {len(these)}")
    if args.json:
        record.keep(args.json, [asdict(r) for r in results])


if __name__ == "__main__":
    main()
