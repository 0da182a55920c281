"""Is the force of a spring found from the raw positions of its ends, behind networks that are a few per cent off?

    python benchmarks/spring.py                      # tanh and GELU, three seeds each
    python benchmarks/spring.py --activations GELU --seeds 0 --json spring.json

Two points in a plane, their coordinates x1, y1, x2, y2 the four inputs; the outputs are the components of the force
that a spring of stiffness 2 and rest length 1 between them exerts on the first, (x2 - x1)*(2 - 2/r) and
(y2 - y1)*(2 - 2/r). Nobody says that differences matter or what r is. The first point is in a square of side 3, the
second 0.3 to 2.2 away. Networks of two hidden layers of 64 units learn it from 20,000 rows, until they are off by the
wanted share of the force's standard deviation or for 10,000 batches; they are kept in a temporary folder. The search
asks the network.

A pick is the law if it becomes exact once its constants are fitted to the law's own answers. ``error`` is the
root of the mean square on 4,000 fresh points against the law, relative to the law's standard deviation.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import record
import torch
from problems import Law

from symtorch import SymbolicModel
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.forms.normal import normalise
from symtorch.equations import Equation

NAMES = ["x1", "y1", "x2", "y2"]
SIDE, NEAR, FAR = 3.0, 0.3, 2.2
R = "sqrt(square(x2 - x0) + square(x3 - x1))"
LAWS = [
    Law(f"force along {axis}", f"({there} - {here})*(2 - 2/{R})", (-FAR,) * 4, (SIDE + FAR,) * 4)
    for axis, here, there in (("x", "x0", "x2"), ("y", "x1", "x3"))
]
ACTIVATIONS = ("Tanh", "GELU")
OFF = (0.02,)
PARAMS = {"binary_operators": ["+", "-", "*", "/"], "unary_operators": ["sqrt", "square"], "verbosity": 0}


@dataclass(frozen=True)
class Result:
    """What was found for one component behind one network; errors are relative root mean squares."""

    activation: str
    seed: int
    output: int
    network: float
    error: float
    is_law: bool
    in_front: bool
    seconds: float
    verdict: str
    equation: str


def draw(n: int, seed: int) -> np.ndarray:
    """(n, 4) positions of two points."""
    rng = np.random.default_rng(seed)
    first, r, angle = rng.uniform(0, SIDE, (n, 2)), rng.uniform(NEAR, FAR, (n, 1)), rng.uniform(0, 2 * np.pi, (n, 1))
    return np.concatenate([first, first + r * np.concatenate([np.cos(angle), np.sin(angle)], axis=1)], axis=1)


def force(X: np.ndarray) -> np.ndarray:
    """(n, 4) -> (n, 2)."""
    return np.concatenate([law(X) for law in LAWS], axis=1)


def off(answer: Callable[[np.ndarray], np.ndarray]) -> float:
    """How far answers (n, 4) -> (n, 2) are from the law."""
    X = draw(4000, 90_000)
    truth = force(X)
    return float(np.sqrt(((answer(X) - truth) ** 2).mean() / truth.var(axis=0).mean()))


def error_of(equation: Equation, k: int) -> float:
    """How far an equation of output k is from the law."""
    X = draw(4000, 90_000)
    truth = force(X)[:, k]
    error = float(np.sqrt(np.mean((equation.predict(X) - truth) ** 2)) / truth.std())
    return error if np.isfinite(error) else np.inf


def is_law(equation: Equation, k: int) -> bool:
    """Whether the equation is the law of output k once its constants are fitted to the law's own answers."""
    X = draw(500, 91_000)
    y = force(X)[:, k]
    return bool(fit(normalise(equation.expr), Rows.of(X, y), steps=60)[1] < 1e-12 * y.var())


def network(activation: str, seed: int, wanted: float, width: int = 64, most: int = 10_000) -> torch.nn.Module:
    """A network (n, 4) -> (n, 2) that has been trained until it is at most that far off, or for so many batches."""
    torch.manual_seed(seed)
    unit = getattr(torch.nn, activation)
    layers = [torch.nn.Linear(4, width), unit(), torch.nn.Linear(width, width), unit(), torch.nn.Linear(width, 2)]
    net = torch.nn.Sequential(*layers)
    path = (
        Path(tempfile.gettempdir()) / "symtorch-benchmarks" / f"spring-{activation}-{seed}-{wanted}-{width}-{most}.pt"
    )
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
        return net.requires_grad_(False)
    X = draw(20_000, 500 + seed)
    inputs, targets = torch.as_tensor(X).float(), torch.as_tensor(force(X)).float()
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    for step in range(most):
        rows = torch.randint(0, len(X), (256,))
        optimizer.param_groups[0]["lr"] = 4e-3 * 0.5 ** (step / 1500)
        optimizer.zero_grad()
        ((net(inputs[rows]) - targets[rows]) ** 2).mean().backward()
        optimizer.step()
        if step % 250 == 249 and off(lambda X: net(torch.as_tensor(X).float()).detach().numpy()) < wanted:
            break
    path.parent.mkdir(exist_ok=True)
    torch.save(net.state_dict(), path)
    return net.requires_grad_(False)


def run(activation: str, seed: int, wanted: float) -> list[Result]:
    net = network(activation, seed, wanted)
    X = torch.as_tensor(draw(1000, 700 + seed)).float()
    block = SymbolicModel(net, "spring")
    started = time.process_time()
    block.distill(X, sr_params=PARAMS | {"random_state": seed}, engine="native")
    spent, fronts = time.process_time() - started, block.fronts
    far = off(lambda X: net(torch.as_tensor(X).float()).numpy())
    results = []
    for k in range(len(LAWS)):
        best = fronts[k].best
        results.append(
            Result(
                activation,
                seed,
                k,
                far,
                error_of(best, k),
                is_law(best, k),
                any(is_law(equation, k) for equation in fronts[k]),
                spent / len(LAWS),
                str(fronts[k].verdict),
                str(best),
            )
        )
    return results


def line(r: Result) -> str:
    law = "yes" if r.is_law else "front" if r.in_front else "no"
    return (
        f"{r.activation:>5} {r.seed:4} {'xy'[r.output]:>3} {r.network:8.1e} {r.error:8.1e} {law:>6} {r.seconds:6.1f}  "
        f"{r.equation[:90]}  ({r.verdict[:60]})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activations", nargs="+", choices=ACTIVATIONS, default=list(ACTIVATIONS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--off", nargs="+", type=float, default=list(OFF), help="how far networks are off")
    parser.add_argument("--json", metavar="FILE", help="write every result to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(" act. seed     network     pick   law?  CPU-s  pick")
    results = []
    for wanted in args.off:
        for activation in args.activations:
            for seed in args.seeds:
                for result in run(activation, seed, wanted):
                    results.append(result)
                    print(line(result), flush=True)
    print(f"\n{sum(r.is_law for r in results)} of {len(results)} picks are the law")
    if args.json:
        record.keep(args.json, [asdict(r) for r in results])


if __name__ == "__main__":
    main()
