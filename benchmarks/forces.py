"""Are forces found from raw positions, behind networks that are a few per cent off?

    python benchmarks/forces.py                      # a spring, tanh and GELU, three seeds each
    python benchmarks/forces.py --forces charge 1/r 1/r^2 spring --off 0.03 --json forces.json
    python benchmarks/forces.py --forces charge 1/r^2 --without cube     # r*r^2 has to be found as such

As the messages of a graph network have them: two bodies in a plane, the coordinates x1, y1, x2, y2 the four inputs,
and of charges q1, q2 two more; the outputs are the components of the force that the second exerts on the first. A
spring has stiffness 2 and rest length 1, (x2 - x1)*(2 - 2/r); the others are (x2 - x1)/r^2, (x2 - x1)/r^3 and
-q1*q2*(x2 - x1)/r^3. Nobody says that differences matter or what r is. The first body is in a square of side 3, the
second 0.3 to 2.2 away. Networks of two hidden layers of 64 units learn it from 20,000 rows, until they are off by the
wanted share of the force's standard deviation or for 10,000 batches; they are kept in a temporary folder. The search
asks the network.

A pick is the law if it becomes exact once its constants are fitted to the law's own answers. ``error`` is the
root of the mean square on 4,000 fresh points against the law, relative to the law's standard deviation.
"""

from __future__ import annotations

import argparse
import itertools
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
from symtorch.equations import Equation
from symtorch.equations.normal import normalise

SIDE, NEAR, FAR = 3.0, 0.3, 2.2
R = "sqrt(square(x2 - x0) + square(x3 - x1))"
FORCES = {
    "charge": f"(-x4*x5/cube({R}))",
    "1/r": f"1/square({R})",
    "1/r^2": f"1/cube({R})",
    "spring": f"(2 - 2/{R})",
}
"""What the difference of the positions is multiplied by."""
ACTIVATIONS = ("Tanh", "GELU")
OFF = (0.02,)
UNARY = ["sqrt", "square", "cube"]
PARAMS = {"binary_operators": ["+", "-", "*", "/"], "unary_operators": UNARY, "verbosity": 0}


@dataclass(frozen=True)
class Force:
    """One of the forces.

    Attributes:
        name: one of :data:`FORCES`.
        laws: its components, over the inputs.
    """

    name: str
    laws: tuple[Law, Law]

    @classmethod
    def of(cls, name: str) -> Force:
        charges = 2 * (name == "charge")
        low, high = (-FAR,) * 4 + (0.5,) * charges, (SIDE + FAR,) * 4 + (2.0,) * charges
        along_x, along_y = (
            Law(f"{name} along {axis}", f"({there} - {here})*{FORCES[name]}", low, high)
            for axis, here, there in (("x", "x0", "x2"), ("y", "x1", "x3"))
        )
        return cls(name, (along_x, along_y))

    @property
    def n_inputs(self) -> int:
        return len(self.laws[0].low)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """(n, n_inputs) -> (n, 2)."""
        return np.concatenate([law(X) for law in self.laws], axis=1)

    def draw(self, n: int, seed: int) -> np.ndarray:
        """(n, n_inputs) positions of two bodies, and charges from 0.5 to 2 where they have some."""
        rng = np.random.default_rng(seed)
        first, r, angle = (
            rng.uniform(0, SIDE, (n, 2)),
            rng.uniform(NEAR, FAR, (n, 1)),
            rng.uniform(0, 2 * np.pi, (n, 1)),
        )
        second = first + r * np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
        return np.concatenate([first, second, rng.uniform(0.5, 2.0, (n, self.n_inputs - 4))], axis=1)


@dataclass(frozen=True)
class Result:
    """What was found for one component behind one network; errors are relative root mean squares."""

    force: str
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


def off(answer: Callable[[np.ndarray], np.ndarray], force: Force) -> float:
    """How far answers (n, n_inputs) -> (n, 2) are from the law."""
    X = force.draw(4000, 90_000)
    truth = force(X)
    return float(np.sqrt(((answer(X) - truth) ** 2).mean() / truth.var(axis=0).mean()))


def error_of(equation: Equation, force: Force, k: int) -> float:
    """How far an equation of output k is from the law."""
    X = force.draw(4000, 90_000)
    truth = force(X)[:, k]
    error = float(np.sqrt(np.mean((equation.predict(X) - truth) ** 2)) / truth.std())
    return error if np.isfinite(error) else np.inf


def is_law(equation: Equation, force: Force, k: int) -> bool:
    """Whether the equation is the law of output k once its constants are fitted to the law's own answers."""
    X = force.draw(500, 91_000)
    y = force(X)[:, k]
    return bool(fit(normalise(equation.expr), Rows.of(X, y), steps=60)[1] < 1e-12 * y.var())


def network(
    force: Force, activation: str, seed: int, wanted: float, width: int = 64, most: int = 10_000
) -> torch.nn.Module:
    """A network (n, n_inputs) -> (n, 2), trained until it is at most that far off, or for so many batches."""
    torch.manual_seed(seed)
    unit = getattr(torch.nn, activation)
    layers = [
        torch.nn.Linear(force.n_inputs, width),
        unit(),
        torch.nn.Linear(width, width),
        unit(),
        torch.nn.Linear(width, 2),
    ]
    net = torch.nn.Sequential(*layers)
    name = f"{force.name.replace('/', '-')}-{activation}-{seed}-{wanted}-{width}-{most}.pt"
    path = Path(tempfile.gettempdir()) / "symtorch-benchmarks" / name
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
        return net.requires_grad_(False)
    X = force.draw(20_000, 500 + seed)
    inputs, targets = torch.as_tensor(X).float(), torch.as_tensor(force(X)).float()
    optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
    for step in range(most):
        rows = torch.randint(0, len(X), (256,))
        optimizer.param_groups[0]["lr"] = 4e-3 * 0.5 ** (step / 1500)
        optimizer.zero_grad()
        ((net(inputs[rows]) - targets[rows]) ** 2).mean().backward()
        optimizer.step()
        if step % 250 == 249 and off(lambda X: net(torch.as_tensor(X).float()).detach().numpy(), force) < wanted:
            break
    path.parent.mkdir(exist_ok=True)
    torch.save(net.state_dict(), path)
    return net.requires_grad_(False)


def run(force: Force, activation: str, seed: int, wanted: float, params: dict = PARAMS) -> list[Result]:
    net = network(force, activation, seed, wanted)
    X = torch.as_tensor(force.draw(1000, 700 + seed)).float()
    block = SymbolicModel(net, force.name)
    started = time.process_time()
    block.distill(X, sr_params=params | {"random_state": seed}, engine="native")
    spent, fronts = time.process_time() - started, block.fronts
    far = off(lambda X: net(torch.as_tensor(X).float()).numpy(), force)
    return [
        Result(
            force.name,
            activation,
            seed,
            k,
            far,
            error_of(front.best, force, k),
            is_law(front.best, force, k),
            any(is_law(equation, force, k) for equation in front),
            spent / len(fronts),
            str(front.verdict),
            str(front.best),
        )
        for k, front in fronts.items()
    ]


def line(r: Result) -> str:
    law = "yes" if r.is_law else "front" if r.in_front else "no"
    return (
        f"{r.force:>6} {r.activation:>5} {r.seed:4} {'xy'[r.output]:>3} {r.network:8.1e} {r.error:8.1e} {law:>6} "
        f"{r.seconds:6.1f}  {r.equation[:90]}  ({r.verdict[:60]})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forces", nargs="+", choices=FORCES, default=["spring"])
    parser.add_argument("--activations", nargs="+", choices=ACTIVATIONS, default=list(ACTIVATIONS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--off", nargs="+", type=float, default=list(OFF), help="how far networks are off")
    parser.add_argument("--without", nargs="+", choices=UNARY, default=[], help="not allowed")
    parser.add_argument("--json", metavar="FILE", help="write every result to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(" force  act. seed     network     pick   law?  CPU-s  pick")
    params = PARAMS | {"unary_operators": [name for name in UNARY if name not in args.without]}
    results = []
    for case in itertools.product(map(Force.of, args.forces), args.activations, args.seeds, args.off):
        for result in run(*case, params):
            results.append(result)
            print(line(result), flush=True)
    print()
    for name in args.forces:
        own = [r for r in results if r.force == name]
        print(f"{name}: {sum(r.is_law for r in own)} of {len(own)} picks are the law")
    if args.json:
        record.keep(args.json, [asdict(r) for r in results])


if __name__ == "__main__":
    main()
