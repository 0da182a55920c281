"""Laws in networks: what is found behind small networks that have learned a law from few, noisy rows?

    python benchmarks/networks.py --every 3                      # a third of the 80 cases for tuning
    python benchmarks/networks.py --cases held-out --every 7     # looked at only when all else is decided
    python benchmarks/networks.py --laws well heat --activations ReLU --json networks.json
    python benchmarks/networks.py --engine mypackage.search:MyEngine
    python benchmarks/networks.py --export cases --cases held-out   # write the cases, search nothing

Sixty laws, each behind four networks. ``networks.csv`` has the laws in their textbook form with the box that their
rows are drawn from, uniformly. Of every law each network sees 500, 1,000, 3,000 or 10,000 rows, whose answers have
normal noise of 0, 1, 2 or 5 % of their standard deviation; which, is fixed by the place of the law in the list. The
networks have two hidden layers of 48 units of ReLU, tanh, GELU or SiLU and are trained with AdamW, a cosine schedule
and a weight decay of 1e-4, for 3,000 batches of 256 rows; ``--well`` trains them on 10,000 rows without noise for
20,000 batches instead. They are kept in a folder (``--cache``), so only the first run trains. The search may ask the
network at any input, and has the network's answers on the first 2,000 of the rows that it was trained on.

Errors are mean squares on 4,000 fresh points of the box against the law, relative to the law's variance. The pick
is the law if its error is below a tenth of the network's, or if it becomes exact once its constants are fitted to
the law itself and it is no longer than the textbook's form + 4. ``front`` is the best error of the whole front,
and ``held`` in the column of the law says that the front has the law, though it isn't the pick. A pick is ``worse``
if its error is more than twice the network's: whoever distilled would have done better to keep the network. The
verdict is ``front.verdict``, with a question mark where it takes an approximation for the law or the law for one.

Two thirds of the laws are ``held-out``: no number of the engine was chosen by them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import record
import torch
from problems import SEARCH_SPACE, Law

from symtorch.engines import Engine
from symtorch.engines.native import NativeEngine
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations import Equation
from symtorch.equations.normal import normalise

ACTIVATIONS = ("ReLU", "Tanh", "GELU", "SiLU")
ROWS = (500, 1000, 3000, 10_000)
NOISE = (0.0, 0.01, 0.02, 0.05)
SETS = ("tuning", "held-out")
CACHE = Path(tempfile.gettempdir()) / "symtorch-benchmarks"
MOST_ROWS = 2000
"""Rows that the search has the network's answers on, at most."""


@dataclass(frozen=True)
class Case:
    """A law as one network knows it."""

    law: Law
    activation: str
    n_rows: int
    noise: float
    seed: int
    steps: int = 3000

    @property
    def name(self) -> str:
        return f"{self.law.name}-{self.activation}"

    def well(self) -> Case:
        """The same law as a network knows it that has had all the rows and time that it needs."""
        return replace(self, n_rows=10_000, noise=0.0, steps=20_000)


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
    on_front: bool
    seconds: float
    complexity: int
    stop_reason: str
    verdict: str
    equation: str

    @property
    def is_judged_right(self) -> bool:
        """Whether ``front.verdict`` calls the pick a law exactly if it is the law."""
        return (self.verdict == "law") == self.is_law

    @property
    def worse(self) -> bool:
        return self.error > 2 * self.network


def laws(which: str) -> Iterator[tuple[int, Law]]:
    """The laws of a set, each with its place in the list of all, from which everything random of it is drawn."""
    with open(Path(__file__).with_name("networks.csv"), encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if row["cases"] == which:
                box = [tuple(map(float, part.split(":"))) for part in row["ranges"].split()]
                yield number, Law(row["name"], row["formula"], tuple(b[0] for b in box), tuple(b[1] for b in box))


def cases(which: str) -> Iterator[Case]:
    for number, law in laws(which):
        for k, activation in enumerate(ACTIVATIONS):
            yield Case(law, activation, ROWS[(number + k) % 4], NOISE[(number + 2 * k + number // 4) % 4], number)


Teacher = Callable[[np.ndarray], np.ndarray]


def teacher_of(case: Case, cache: Path = CACHE) -> tuple[np.ndarray, Teacher, float]:
    """The rows, the network as (n, n_inputs) -> (n, 1), and its error against the law."""
    law, net = case.law, _network(case, cache)
    X, noisy = _answers(case)
    mean, scale = noisy.mean(), noisy.std()

    def teacher(X: np.ndarray) -> np.ndarray:
        return net(torch.as_tensor(_scaled(X, law))).numpy() * scale + mean

    fresh = law.draw(4000, 90_000)
    truth = law(fresh)
    return X[:MOST_ROWS], teacher, float(((teacher(fresh) - truth) ** 2).mean() / truth.var())


def _answers(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """What the network learns from: rows, and the law's answers with noise."""
    X = case.law.draw(case.n_rows, 500 + case.seed)
    y = case.law(X)
    return X, y + case.noise * y.std() * np.random.default_rng(case.seed).normal(size=y.shape)


def _scaled(X: np.ndarray, law: Law) -> np.ndarray:
    """Inputs as the network takes them: the law's box from -1 to 1."""
    return 2 * (np.asarray(X, dtype=np.float64) - law.low) / np.ptp([law.low, law.high], axis=0) - 1


def _network(case: Case, cache: Path, width: int = 48) -> torch.nn.Sequential:
    """The case's network, float64, over scaled inputs and answers: from the cache, or trained anew."""
    law = case.law
    recipe = f"{law.text}|{law.low}|{law.high}|{case.activation}|{case.n_rows}|{case.noise}|{case.seed}"
    path = cache / f"{hashlib.sha256(f'{recipe}|{width}|{case.steps}'.encode()).hexdigest()}.pt"
    torch.manual_seed(case.seed)
    unit = getattr(torch.nn, case.activation)
    layers = [torch.nn.Linear(len(law.low), width), unit(), torch.nn.Linear(width, width), unit()]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(width, 1))
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
    else:
        X, y = _answers(case)
        _train(
            net, torch.as_tensor(_scaled(X, law)).float(), torch.as_tensor((y - y.mean()) / y.std()).float(), case.steps
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), path)
    return net.double().requires_grad_(False)


def _train(net: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor, steps: int) -> None:
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(0, len(inputs), (256,))
        optimizer.zero_grad()
        ((net(inputs[rows]) - targets[rows]) ** 2).mean().backward()
        optimizer.step()
        schedule.step()


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


def is_law(equation: Equation, law: Law, network: float) -> bool:
    """Whether an equation is the law, for one that was distilled from a network of this error."""
    if error_of(equation, law) < 0.1 * network:
        return True
    textbook = SearchOptions.from_params(SEARCH_SPACE).complexity(law.expr)
    return equation.complexity <= textbook + 4 and becomes_exact(equation, law)


def run(case: Case, engine: Engine, seconds: float, cache: Path = CACHE) -> Result:
    X, teacher, network = teacher_of(case, cache)
    options = SearchOptions.from_params(
        SEARCH_SPACE | {"random_state": 0, "verbosity": 0, "timeout_in_seconds": seconds}
    )
    started = time.process_time()
    (front,) = engine.search(Samples(X, teacher(X), teacher=teacher), options)
    spent = time.process_time() - started
    best, law = front.best, case.law
    found = is_law(best, law, network)
    return Result(
        law.name,
        case.activation,
        case.n_rows,
        case.noise,
        network,
        error_of(best, law),
        min(error_of(equation, law) for equation in front),
        found,
        found or any(is_law(equation, law, network) for equation in front),
        spent,
        best.complexity,
        front.stop_reason or "",
        front.verdict.kind,
        str(best),
    )


def line(r: Result) -> str:
    mark = "yes" if r.is_law else ("held" if r.on_front else "no")
    return (
        f"{r.law:>12} {r.activation:>5} {r.n_rows:5} {r.noise:5.2f} {r.network:8.1e} {r.error:8.1e} {r.front:8.1e} "
        f"{mark:>4} {'worse' if r.worse else '':>5} {r.seconds:6.1f} {r.stop_reason:>10} "
        f"{r.verdict:>13}{' ' if r.is_judged_right else '?'} {r.equation[:80]}"
    )


def summary(results: list[Result], seconds: float) -> str:
    worse, spent = [r for r in results if r.worse], [r.seconds for r in results]
    held = sum(r.front <= 2 * r.network for r in worse)
    early = sum(r.front > 2 * r.network and r.seconds < 0.9 * seconds for r in worse)
    return (
        f"{sum(r.is_law for r in results)} of {len(results)} picks are the law, {sum(r.on_front for r in results)} "
        f"fronts have it, {sum(r.is_judged_right for r in results)} verdicts are right; "
        f"{len(worse)} picks are worse than twice the network's error ({held} of these though the "
        f"front holds better, {early} with time left); CPU-s median {statistics.median(spent):.1f}, "
        f"longest {max(spent):.1f}"
    )


def export(case: Case, folder: Path, cache: Path) -> None:
    """Write a case as ``<law>-<activation>.npz``, for programs that are no engine of ours.

    In it: rows ``X`` (n, n_inputs) and the network's answers ``y`` (n,) on them; the points ``fresh`` of the protocol
    and ``truth``, the law's values there; ``error``, the network's; ``formula``; and the network itself, which answers
    ``f(f(x @ W1.T + b1) @ W2.T + b2) @ W3.T + b3`` with f its ``activation``.
    """
    X, teacher, error = teacher_of(case, cache)
    fresh = case.law.draw(4000, 90_000)
    law, noisy = case.law, _answers(case)[1]
    first, second, last = (m for m in _network(case, cache) if isinstance(m, torch.nn.Linear))
    (W1, b1), (W2, b2), (W3, b3) = ((m.weight.numpy(), m.bias.numpy()) for m in (first, second, last))
    low, width = np.array(law.low), np.ptp([law.low, law.high], axis=0)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / f"{case.name}.npz",
        X=X,
        y=teacher(X)[:, 0],
        fresh=fresh,
        truth=law(fresh)[:, 0],
        error=error,
        formula=law.text,
        activation=case.activation,
        W1=2 * W1 / width,
        b1=b1 - W1 @ (2 * low / width + 1),
        W2=W2,
        b2=b2,
        W3=W3 * noisy.std(),
        b3=b3 * noisy.std() + noisy.mean(),
    )


def engine_of(name: str) -> Engine:
    """The engine of ``module:Class``; the native one for an empty name."""
    if not name:
        return NativeEngine()
    module, _, attribute = name.partition(":")
    made: Engine = getattr(importlib.import_module(module), attribute)()
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", choices=SETS, default="tuning")
    parser.add_argument("--laws", nargs="+", default=[], help="only these")
    parser.add_argument("--activations", nargs="+", choices=ACTIVATIONS, default=list(ACTIVATIONS))
    parser.add_argument("--every", type=int, default=1, help="each N-th case; if odd, of all activations")
    parser.add_argument("--offset", type=int, nargs="+", default=[0], help="the first of these; several for more")
    parser.add_argument("--well", action="store_true", help="networks of 10,000 rows, no noise and 20,000 batches")
    parser.add_argument("--engine", default="", metavar="MODULE:CLASS", help="a subclass of symtorch.engines.Engine")
    parser.add_argument("--seconds", type=float, default=60.0, help="time limit of each search")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="FOLDER", help="where trained networks are kept")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="write the cases there, and search nothing")
    parser.add_argument("--json", metavar="FILE", help="write every result to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    wanted = [
        case.well() if args.well else case
        for case in cases(args.cases)
        if case.activation in args.activations and (not args.laws or case.law.name in args.laws)
    ]
    numbers = {number for first in args.offset for number in range(first, len(wanted), args.every)}
    chosen = [wanted[number] for number in sorted(numbers)]
    if args.export:
        for case in chosen:
            export(case, args.export, args.cache)
        return
    engine = engine_of(args.engine)
    print(
        "         law   act.  rows noise  network     pick    front law?         CPU-s       stop       verdict  pick"
    )
    results = []
    for case in chosen:
        results.append(run(case, engine, args.seconds, args.cache))
        print(line(results[-1]), flush=True)
    print("\n" + summary(results, args.seconds))
    if args.json:
        record.keep(args.json, [asdict(r) for r in results])


if __name__ == "__main__":
    main()
