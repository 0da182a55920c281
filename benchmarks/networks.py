"""What is found behind rough teachers: small networks that have learned a law from few, noisy rows?

    python benchmarks/networks.py                    # the cases for tuning
    python benchmarks/networks.py --cases last       # looked at only when all else is decided
    python benchmarks/networks.py --laws well --activations ReLU --json networks.json

Each law is written in its textbook form with the box that its rows are drawn from. Of every law each network
sees 500, 1,000 or 2,000 rows, whose answers have noise of 0, 1, 2 or 5 % of their standard deviation; which, is
fixed by the case's place in the list. The networks have two hidden layers of 48 units of ReLU, tanh, GELU or SiLU
and are trained with AdamW, a cosine schedule and a weight decay of 1e-4, for 3,000 batches of 256 rows. They are kept
in a temporary folder. The search asks the network and has the rows that it was trained on, without the noise.

Errors are mean squares on 4,000 fresh points of the box against the law, relative to the law's variance. A pick
is the law if its error is below a tenth of the network's, or if it becomes exact once its constants are fitted
to the law itself and is no longer than the textbook's form + 4. ``front`` is the best error of the whole front.

Cases are of two kinds: ``tuning``, which thresholds may be set by, and ``last``, which are there to see whether
what was tuned holds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from problems import SEARCH_SPACE, Law

from symtorch.engines.native import NativeEngine
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.forms.normal import normalise
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations import Equation

ACTIVATIONS = ("ReLU", "Tanh", "GELU", "SiLU")
ROWS = (500, 1000, 2000)
NOISE = (0.0, 0.01, 0.02, 0.05)


def _law(name: str, text: str, *boxes: tuple[float, float]) -> Law:
    return Law(name, text, tuple(b[0] for b in boxes), tuple(b[1] for b in boxes))


LAWS = {
    "tuning": [
        _law("radiation", "cube(x0)/(exp(x0/x1) - 1)", (0.5, 5), (0.5, 2)),
        _law("well", "x0*square(1 - exp(-1.3*(x1 - 1.2)))", (1, 3), (0.5, 4)),
        _law("saturation", "x0*x1/(x2 + x1)", (1, 4), (0.2, 5), (0.5, 2)),
        _law("beat", "cos(2*x0) + cos(2.6*x0) + 0.5*x1", (-3, 3), (-2, 2)),
        _law("flutter", "x0*sin(x1*x2) + 0.5*x3", (1, 3), (0.5, 2), (0.5, 3), (-2, 2)),
        _law("quantum", "x0*x1/(exp(x0*x1/x2) - 1)", (1, 5), (1, 5), (1, 5)),
        _law("momentum", "x0*x1/sqrt(1 - square(x1/x2))", (1, 5), (1, 2), (3, 10)),
        _law("orientation", "x0*(1/tanh(x1*x2) - 1/(x1*x2))", (1, 5), (0.5, 3), (0.5, 3)),
        _law("response", "x0*(cos(x1*x2) + x3*square(cos(x1*x2)))", (1, 3), (1, 3), (1, 3), (0, 1)),
        _law("attraction", "x0*x1/(square(x2 - x3) + 0.5)", (1, 3), (1, 3), (-2, 2), (-2, 2)),
    ],
    "last": [
        _law("pendulum", "6.283185307179586*sqrt(x0/x1)*(1 + square(x2)/16)", (0.5, 3), (5, 15), (0, 1.5)),
        _law("barrier", "x0*exp(-1*x1/x2)", (1, 3), (0.5, 3), (0.5, 2)),
        _law("distance", "sqrt(square(x0 - x1) + square(x2 - x3))", (0, 2), (3, 5), (0, 2), (3, 5)),
    ],
}


@dataclass(frozen=True)
class Case:
    """A law as one network knows it."""

    law: Law
    activation: str
    n_rows: int
    noise: float
    seed: int


@dataclass(frozen=True)
class Result:
    """What a search found; errors relative to the variance of the law."""

    law: str
    activation: str
    n_rows: int
    noise: float
    network: float
    error: float
    front: float
    is_law: bool
    seconds: float
    complexity: int
    stop_reason: str
    equation: str


def cases(kind: str) -> Iterator[Case]:
    for number, law in enumerate(LAWS[kind]):
        for k, activation in enumerate(ACTIVATIONS):
            yield Case(law, activation, ROWS[(number + k) % 3], NOISE[(number + 2 * k + number // 4) % 4], number)


def teacher_of(case: Case) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray], float]:
    """The rows, the network as (n, n_inputs) -> (n, 1), and its error against the law."""
    law = case.law
    X = law.draw(case.n_rows, 500 + case.seed)
    y = law(X)
    noisy = y + case.noise * y.std() * np.random.default_rng(case.seed).normal(size=y.shape)
    low, width, mean, scale = np.array(law.low), np.ptp([law.low, law.high], axis=0), noisy.mean(), noisy.std()
    net = _trained(case, 2 * (X - low) / width - 1, (noisy - mean) / scale)

    def teacher(X: np.ndarray) -> np.ndarray:
        inputs = torch.as_tensor(2 * (np.asarray(X, dtype=np.float64) - low) / width - 1)
        return net(inputs).numpy() * scale + mean

    fresh = law.draw(4000, 90_000)
    truth = law(fresh)
    return X, teacher, float(((teacher(fresh) - truth) ** 2).mean() / truth.var())


def _trained(case: Case, X: np.ndarray, y: np.ndarray, width: int = 48, steps: int = 3000) -> torch.nn.Module:
    recipe = f"{case.law.text}|{case.law.low}|{case.law.high}|{case.activation}|{len(X)}|{case.noise}|{case.seed}"
    name = hashlib.sha256(f"{recipe}|{width}|{steps}".encode()).hexdigest()
    path = Path(tempfile.gettempdir()) / "symtorch-benchmarks" / f"{name}.pt"
    torch.manual_seed(case.seed)
    unit = getattr(torch.nn, case.activation)
    layers = [torch.nn.Linear(X.shape[1], width), unit(), torch.nn.Linear(width, width), unit()]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
        return net.double().requires_grad_(False)
    inputs, targets = torch.as_tensor(X).float(), torch.as_tensor(y).float()
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(0, len(X), (256,))
        optimizer.zero_grad()
        ((net(inputs[rows]) - targets[rows]) ** 2).mean().backward()
        optimizer.step()
        schedule.step()
    path.parent.mkdir(exist_ok=True)
    torch.save(net.state_dict(), path)
    return net.double().requires_grad_(False)


def error_of(equation: Equation, law: Law) -> float:
    fresh = law.draw(4000, 90_000)
    truth = law(fresh)[:, 0]
    error = float(np.mean((equation.predict(fresh) - truth) ** 2) / truth.var())
    return error if np.isfinite(error) else np.inf


def becomes_exact(equation: Equation, law: Law) -> bool:
    """Whether the equation is the law once its constants are fitted to the law's own answers."""
    X = law.draw(500, 91_000)
    y = law(X)[:, 0]
    return bool(fit(normalise(equation.expr), Rows.of(X, y), steps=60)[1] < 1e-12 * y.var())


def run(case: Case, seconds: int) -> Result:
    X, teacher, network = teacher_of(case)
    options = SearchOptions.from_params(
        SEARCH_SPACE | {"random_state": 0, "verbosity": 0, "timeout_in_seconds": seconds}
    )
    started = time.process_time()
    (front,) = NativeEngine().search(Samples(X, teacher(X), teacher=teacher), options)
    spent = time.process_time() - started
    best, law = front.best, case.law
    error = error_of(best, law)
    short = best.complexity <= SearchOptions.from_params(SEARCH_SPACE).complexity(law.expr) + 4
    is_law = error < 0.1 * network or (short and becomes_exact(best, law))
    return Result(
        law.name,
        case.activation,
        case.n_rows,
        case.noise,
        network,
        error,
        min(error_of(equation, law) for equation in front),
        is_law,
        spent,
        best.complexity,
        front.stop_reason or "",
        str(best),
    )


def line(r: Result) -> str:
    worse = "worse" if r.error > 2 * r.network else ""
    return (
        f"{r.law:>11} {r.activation:>5} {r.n_rows:5} {r.noise:5.2f} {r.network:8.1e} {r.error:8.1e} {r.front:8.1e} "
        f"{'yes' if r.is_law else 'no':>4} {worse:>5} {r.seconds:6.1f} {r.stop_reason:>10}  {r.equation[:80]}"
    )


def summary(results: list[Result]) -> str:
    worse = [r for r in results if r.error > 2 * r.network]
    seconds = [r.seconds for r in results]
    return (
        f"{sum(r.is_law for r in results)} of {len(results)} picks are the law; {len(worse)} are worse than twice the "
        f"network's error ({sum(r.front <= 2 * r.network for r in worse)} of these though the front holds better); "
        f"CPU-s median {statistics.median(seconds):.1f}, longest {max(seconds):.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", choices=list(LAWS), default="tuning")
    parser.add_argument("--laws", nargs="+", default=[], help="only these")
    parser.add_argument("--activations", nargs="+", choices=ACTIVATIONS, default=list(ACTIVATIONS))
    parser.add_argument("--seconds", type=int, default=120, help="time limit of each search")
    parser.add_argument("--json", metavar="FILE", help="write every result to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("        law   act.  rows noise  network     pick    front  law?         CPU-s       stop  pick")
    results = []
    for case in cases(args.cases):
        if case.activation in args.activations and (not args.laws or case.law.name in args.laws):
            results.append(run(case, args.seconds))
            print(line(results[-1]), flush=True)
    print("\n" + summary(results))
    if args.json:
        Path(args.json).write_text(json.dumps([asdict(r) for r in results], indent=1))


if __name__ == "__main__":
    main()
