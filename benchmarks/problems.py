"""The laws that the native engine is measured on, with teachers that know them exactly or have learned them.

Three sets:

``TABLE``: the ten laws that the engine was developed on, and ``many_outputs``, layers of sums that share inputs.
``LEARNED``: two of them that a network is trained on; the network is the teacher.
``HELD_OUT``: twenty laws of the Feynman lectures, in the numbering and with the ranges of AI Feynman
(arXiv 1905.11481), written down here before the engine was first run on any of them.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from symtorch.engines.samples import Samples
from symtorch.equations import parse
from symtorch.equations.expr import Expr, evaluate

SEARCH_SPACE = {
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["square", "cube", "sqrt", "exp", "log", "sin", "cos", "tanh"],
    "complexity_of_operators": {},
    "maxsize": 40,
}


@dataclass(frozen=True)
class Law:
    """A law in its textbook form, and the box that its inputs are drawn from, uniformly."""

    name: str
    text: str
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def names(self) -> list[str]:
        return [f"x{i}" for i in range(len(self.low))]

    @property
    def expr(self) -> Expr:
        return parse(self.text, self.names)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return evaluate(self.expr, X)[:, None]

    def draw(self, n_samples: int, seed: int, stretch: float = 1.0) -> np.ndarray:
        """Inputs (n_samples, n_inputs); ``stretch`` widens the box about its centre."""
        low, high = np.array(self.low), np.array(self.high)
        margin = (stretch - 1) * (high - low) / 2
        return np.random.default_rng(seed).uniform(low - margin, high + margin, (n_samples, len(low)))


def _law(name: str, text: str, *ranges: tuple[float, float], n_inputs: int = 0) -> Law:
    boxes = ranges * n_inputs if n_inputs else ranges
    return Law(name, text, tuple(b[0] for b in boxes), tuple(b[1] for b in boxes))


_WIDE = (-3.0, 3.0)
_R = "sqrt(square(x0) + square(x1) + 0.01)"
TABLE = [
    _law("pysr", "2*cos(x3) + square(x0) - 2", _WIDE, n_inputs=5),
    _law("gravity", "x0*x1/(square(x2) + 0.1)", _WIDE, n_inputs=5),
    _law("expsin", "exp(-0.3*x0)*sin(2*x1)", _WIDE, n_inputs=5),
    _law("heat", "exp(-1*square(x0))*sin(3.141592653589793*x1) + 0.5*x2", _WIDE, n_inputs=5),
    _law("spring", f"1.5*(1 - 1/{_R})*x0", _WIDE, n_inputs=5),
    _law("newton", "x0*x1/(square(x2) + square(x3) + square(x4))", (1, 3), n_inputs=5),
    _law(
        "coulomb",
        "x0*x1*(x2 - x3)/cube(sqrt(square(x2 - x3) + square(x4 - x5) + 0.01))",
        *[(0.5, 2)] * 2,
        *[(-2, 2)] * 4,
    ),
    _law("damped", "1.5*exp(-0.4*x0)*cos(3*x1 + 0.5)", (-2, 2), n_inputs=2),
    _law("planck", "cube(x0)/(exp(x0*x1) - 1)", (1, 3), n_inputs=2),
    _law("relativity", "x0*x1/sqrt(1 - square(x1/x2))", (1, 5), (1, 2), (3, 10)),
]
LEARNED: dict[str, dict[str, Any]] = {name: {"steps": 12000} for name in ("heat", "gravity")}
"""How the networks of the two laws are trained."""

HELD_OUT = [
    _law("I.12.11", "x0*(x1 + x2*x3*sin(x4))", (1, 5), n_inputs=5),
    _law("I.13.12", "x0*x1*x2*(1/x4 - 1/x3)", (1, 5), n_inputs=5),
    _law("I.16.6", "(x0 + x1)/(1 + x0*x1/square(x2))", (1, 5), n_inputs=3),
    _law("I.18.4", "(x0*x2 + x1*x3)/(x0 + x1)", (1, 5), n_inputs=4),
    _law("I.24.6", "0.25*x0*(square(x1) + square(x2))*square(x3)", (1, 3), n_inputs=4),
    _law("I.27.6", "1/(1/x0 + x1/x2)", (1, 5), n_inputs=3),
    _law("I.30.3", "x0*square(sin(x2*x1/2)/sin(x1/2))", (1, 5), (1, 5), (1, 5)),
    _law(
        "I.32.17",
        "4.1887902047863905*x0*x1*square(x2*x3*square(x4)/(square(x4) - square(x5)))",
        *[(1, 2)] * 5,
        (3, 5),
    ),
    _law("I.34.14", "(1 + x1/x0)/sqrt(1 - square(x1/x0))*x2", (3, 10), (1, 2), (1, 5)),
    _law("I.37.4", "x0 + x1 + 2*sqrt(x0*x1)*cos(x2)", (1, 5), n_inputs=3),
    _law("I.40.1", "x0*exp(-1*x1*x4*x2/(x5*x3))", (1, 5), n_inputs=6),
    _law("I.44.4", "x0*x1*x2*log(x4/x3)", (1, 5), n_inputs=5),
    _law(
        "II.6.15a",
        "0.238732414637843*x1/x0*x5*sqrt(square(x3) + square(x4))/(square(x2)*cube(x2))",
        (1, 3),
        n_inputs=6,
    ),
    _law("II.11.27", "x0*x1/(1 - x0*x1/3)*x2*x3", (0, 1), (0, 1), (1, 2), (1, 2)),
    _law("II.24.17", "sqrt(square(x0/x1) - square(3.141592653589793/x2))", (4, 6), (1, 2), (2, 4)),
    _law("II.35.21", "x0*x1*tanh(x1*x2/(x3*x4))", (1, 5), n_inputs=5),
    _law("III.4.33", "x0*x1/6.283185307179586/(exp(x0*x1/(6.283185307179586*x2*x3)) - 1)", (1, 5), n_inputs=4),
    _law("III.10.19", "x0*sqrt(square(x1) + square(x2) + square(x3))", (1, 5), n_inputs=4),
    _law("III.15.14", "square(x0)/(2*x1*square(x2))", (1, 5), n_inputs=3),
    _law("III.17.37", "x0*(1 + x1*cos(x2))", (1, 5), n_inputs=3),
]
"""Inputs of each law in the order of AI Feynman's table; h stands for the quantum, not for h-bar."""

LAWS = {law.name: law for law in TABLE + HELD_OUT}


def many_outputs(n_outputs: int, n_inputs: int = 6, seed: int = 7) -> list[Law]:
    """The outputs of a layer: sums of two or three sine, product and ratio terms over shared inputs."""
    rng = np.random.default_rng(seed)
    laws = []
    for k in range(n_outputs):
        terms = []
        for _ in range(rng.integers(2, 4)):
            kind = rng.choice(["sin", "product", "ratio"])
            i, j = rng.choice(n_inputs, 2, replace=False)
            c = np.round(rng.uniform(0.5, 2.0) * rng.choice([-1, 1]), 2)
            a = np.round(rng.uniform(0.5, 2.5), 2)
            b = np.round(rng.uniform(1.0, 3.0), 2)
            body = {"sin": f"sin({a}*x{i})", "product": f"x{i}*x{j}", "ratio": f"x{i}/(square(x{j}) + {b})"}[kind]
            terms.append(f"{c}*{body}")
        laws.append(_law(f"sum{k}", " + ".join(terms), _WIDE, n_inputs=n_inputs))
    return laws


def learned(
    law: Law, steps: int = 6000, width: int = 64, seed: int = 0, activation: type[torch.nn.Module] = torch.nn.SiLU
) -> tuple[Callable, float]:
    """A small network that has learned the law, kept in a temporary folder once trained.

    Two hidden layers, trained with Adam and a cosine schedule on 20,000 points of the box, in
    float32; asked in float64.

    Returns:
        The network as a teacher, (n, n_inputs) -> (n, 1), and its 1 - R² against the law on fresh points.
    """
    recipe = f"{law.text}|{law.low}|{law.high}|{steps}|{width}|{seed}|{activation.__name__}"
    path = Path(tempfile.gettempdir()) / "symtorch-benchmarks" / (hashlib.sha256(recipe.encode()).hexdigest() + ".pt")
    low, high = np.array(law.low), np.array(law.high)
    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Linear(len(low), width),
        activation(),
        torch.nn.Linear(width, width),
        activation(),
        torch.nn.Linear(width, 1),
    )
    X = law.draw(20_000, seed + 1000)
    y = law(X)
    mean, scale = float(y.mean()), float(y.std())
    standard = lambda X: torch.as_tensor((X - (low + high) / 2) / ((high - low) / 2))  # noqa: E731
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
    else:
        inputs, targets = standard(X).float(), torch.as_tensor((y - mean) / scale).float()
        optimizer = torch.optim.Adam(net.parameters(), lr=4e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            rows = torch.randint(0, len(X), (1024,))
            loss = ((net(inputs[rows]) - targets[rows]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        path.parent.mkdir(exist_ok=True)
        torch.save(net.state_dict(), path)
    net = net.double().requires_grad_(False)

    def teacher(X: np.ndarray) -> np.ndarray:
        return net(standard(np.asarray(X, dtype=np.float64))).numpy() * scale + mean

    fresh = law.draw(4000, seed + 2000)
    truth = law(fresh)
    return teacher, float(((teacher(fresh) - truth) ** 2).mean() / truth.var())


def samples(law: Law, teacher: Callable | None, seed: int, n_samples: int = 1000, queries: bool = True) -> Samples:
    """What a search gets: inputs of the box, the teacher's answers, and the teacher if it may be asked."""
    X = law.draw(n_samples, seed)
    answer = law if teacher is None else teacher
    return Samples(X, answer(X), teacher=answer if queries else None)
