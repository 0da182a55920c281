"""Laws of kinds that look like nothing simple: whether asking finds what they are made of.

    python benchmarks/kinds.py                         # ten kinds, twelve laws, seeds 0 to 2, 20 s each
    python benchmarks/kinds.py --laws quartics --seeds 0
    python benchmarks/kinds.py --last                  # five further laws that development does not look at

Protocol: 1,000 rows, uniform in the box of the law, exact answers, and the law may be asked. One search with the
operators below, all laws the same, and a wall-clock limit. A law is found if the engine's default pick is it:
squared error on 10,000 fresh rows at most 1e-12 of the variance. Seconds are CPU-seconds of this process. A kind
counts as found if all its laws are, with every seed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import asdict, dataclass

import numpy as np
import record
import torch
from problems import Law

from symtorch.engines.native import NativeEngine
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples

SEARCH_SPACE = {
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["square", "cube", "sqrt", "exp", "log", "sin", "cos", "tanh", "acos"],
    "complexity_of_operators": {},
    "maxsize": 80,
}


@dataclass(frozen=True)
class Kind:
    """A law, and what it is an example of."""

    kind: str
    law: Law

    @classmethod
    def of(cls, kind: str, name: str, text: str, *box: tuple[float, float]) -> Kind:
        return cls(kind, Law(name, text, tuple(low for low, _ in box), tuple(high for _, high in box)))


_ANGLE = (-3.0, 3.0)

LAWS = [
    Kind.of("bilinear + function of one", "bilinear", "1.35*x0*x1 + 5.5*sin((x0 - 1)*(x1 - 1))", *[(-3, 3)] * 2),
    Kind.of("p + q + f*g", "low-rank", "exp(0.6*x0) + cube(x1) + sin(2*x0)*x1/(square(x1) + 1)", *[(-2, 2)] * 2),
    Kind.of(
        "inverse of a sum of squares",
        "inverse",
        "1/(1.3 + " + " + ".join(f"square(x{i} - 0.7)" for i in range(5)) + ")",
        *[(-1, 2)] * 5,
    ),
    Kind.of(
        "two quartics",
        "quartics",
        "(square(square(x0)) - 2*cube(x0) + x0 + 3)/(square(square(x0)) + 1.5*square(x0) + 2)",
        (-3, 3),
    ),
    Kind.of("four factors", "factors", "exp(-0.3*x0)*sin(1.5*x1)*(square(x2) + 1)*log(x3 + 3)", *[(-2, 2)] * 4),
    Kind.of("four factors", "shared", "cube(x0)*exp(-0.7*x0)*cos(1.3*x0)*log(x0 + 2)", (0.2, 6)),
    Kind.of(
        "long polynomial",
        "legendre",
        "(231*square(cube(x0)) - 315*square(square(x0)) + 105*square(x0) - 5)/16",
        (-1, 1),
    ),
    Kind.of(
        "long polynomial",
        "quartic",
        "square(square(x0)) - 3*square(x0)*x1 + 2*x0*x1 + 0.5*cube(x1)*x0 - square(square(x1)) + 4*x1 - 7",
        *[(-2, 2)] * 2,
    ),
    Kind.of(
        "double pendulum",
        "pendulum",
        "(-29.43*sin(x0) - 9.81*sin(x0 - 2*x1) - 2*sin(x0 - x1)*(square(x3) + square(x2)*cos(x0 - x1)))"
        "/(3 - cos(2*x0 - 2*x1))",
        *[_ANGLE] * 2,
        *[(-2, 2)] * 2,
    ),
    Kind.of(
        "n slits",
        "slits",
        "x0*square(sin(x1/2)/(x1/2)*sin(x2*x3/2)/sin(x3/2))",
        (1, 5),
        (1, 5),
        (1, 5),
        (1, 5),
    ),
    Kind.of("aberration", "aberration", "acos((cos(x0) - x1/x2)/(1 - x1/x2*cos(x0)))", (0.3, 2.8), (1, 3), (4, 6)),
    Kind.of("orbit", "orbit", "x0*(1 - square(x1))/(1 + x1*cos(x2 - x3))", (1, 3), (0.2, 0.8), (0, 6), (0, 6)),
]

LAST = [
    Kind.of("bilinear + function of one", "bilinear", "0.4*x0*x1 - 1.2*exp(-0.5*(x0 + 0.5)*(x1 - 2))", *[(-1, 2)] * 2),
    Kind.of("p + q + f*g", "low-rank", "log(x0 + 1) - square(x1) + sqrt(x0)*cos(1.7*x1)", (0.5, 4), (-3, 3)),
    Kind.of(
        "two quartics",
        "quartics",
        "(2*square(square(x0)) + 5*square(x0) - 3*x0)/(square(square(x0)) - x0 + 4)",
        (-2, 3),
    ),
    Kind.of("four factors", "shared", "x0*exp(-0.4*x0)*sin(1.1*x0)*(square(x0) + 3)", (0.5, 6)),
    Kind.of(
        "double pendulum",
        "pendulum",
        "(2*sin(x0 - x1)*(2*square(x2) + 19.62*cos(x0) + square(x3)*cos(x0 - x1)))/(3 - cos(2*x0 - 2*x1))",
        *[_ANGLE] * 2,
        *[(-2, 2)] * 2,
    ),
]


@dataclass(frozen=True)
class Result:
    """One search."""

    kind: str
    law: str
    seed: int
    seconds: float
    error: float
    found: bool
    stop_reason: str
    complexity: int
    textbook: int
    equation: str


def run(kind: Kind, seed: int, seconds: float) -> Result:
    law = kind.law
    X = law.draw(1000, seed)
    options = SearchOptions.from_params(
        SEARCH_SPACE | {"random_state": seed, "timeout_in_seconds": seconds, "verbosity": 0}
    )
    started = time.process_time()
    (front,) = NativeEngine().search(Samples(X, law(X), teacher=law), options)
    took = time.process_time() - started
    fresh = law.draw(10_000, seed + 90_000)
    truth = law(fresh)[:, 0]
    error = float(np.mean((front.best.predict(fresh) - truth) ** 2) / np.var(truth))
    textbook = SearchOptions.from_params(SEARCH_SPACE).complexity(law.expr)
    return Result(
        kind.kind,
        law.name,
        seed,
        took,
        error,
        error <= 1e-12,
        front.stop_reason,
        front.best.complexity,
        textbook,
        str(front.best),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--last", action="store_true", help="five further laws of the same kinds")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--laws", nargs="+", default=[], help="only these")
    parser.add_argument("--json", metavar="FILE", help="write every result to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("       law seed  CPU-s    error found    stopped   size  pick")
    results = []
    for kind in LAST if args.last else LAWS:
        if args.laws and kind.law.name not in args.laws:
            continue
        for seed in args.seeds:
            r = run(kind, seed, args.seconds)
            results.append(r)
            print(
                f"{r.law:>10} {r.seed:4} {r.seconds:6.1f} {r.error:8.1e} {'yes' if r.found else 'no':>5} "
                f"{r.stop_reason:>10} {r.complexity:3}/{r.textbook:2}  {r.equation}",
                flush=True,
            )
    kinds = dict.fromkeys(r.kind for r in results)
    found = [kind for kind in kinds if all(r.found for r in results if r.kind == kind)]
    seconds = [r.seconds for r in results]
    print(
        f"\n{len(found)} of {len(kinds)} kinds, {sum(r.found for r in results)} of {len(results)} searches; "
        f"CPU-s median {statistics.median(seconds):.1f}, longest {max(seconds):.1f}"
    )
    if args.json:
        record.keep(args.json, [asdict(r) for r in results])


if __name__ == "__main__":
    main()
