"""Physics-informed networks become closed forms: four PDEs, two ODEs and an inverse problem.

Each network is trained on the residual of its equation and on initial and boundary values, never on the solution
inside. Claims, for every case: the default pick of the front is the solution, with constants within 1 %; fitted to the
residual of the equation, they are within 1e-4 of the true ones; their error bars, from the networks of several seeds,
contain the truth. In the inverse problem the diffusivity is unknown, and ten measured points tell it.

    python examples/pinn_family.py [--cases heat wave] [--seed 0] [--plot pinn_family.png]
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import symtorch

Model = Callable[[Tensor], Tensor]
Field = Callable[[Tensor], Tensor]


def slope(u: Tensor, points: Tensor, i: int = 0) -> Tensor:
    """Derivative of u (n, 1) by input i at points (n, d): (n, 1)."""
    return torch.autograd.grad(u.sum(), points, create_graph=True)[0][:, i : i + 1]


@dataclass(frozen=True)
class Case:
    """A differential equation whose solution is known.

    Attributes:
        residual: (u, points) -> what vanishes, (n, 1); ``diffusivity`` is given to that of the inverse problem.
        solution: as text over the inputs, its constants as fields ``{0}, {1}, ...``.
        truth: those constants.
        box: range of each input; the last one is time.
        operators: that are searched.
        moving: whether the time derivative at the start is given, too (equations of second order in time).
        measured: points inside that are known; with them the diffusivity is unknown.
    """

    law: str
    residual: Callable[..., Tensor]
    solution: str
    truth: tuple[float, ...]
    box: tuple[tuple[float, float], ...]
    operators: dict[str, Any] = field(default_factory=dict)
    moving: bool = False
    measured: int = 0

    @property
    def names(self) -> list[str]:
        return ["x", "t"][-len(self.box) :]

    def text(self, constants: Sequence[float] | np.ndarray | None = None, digits: int = 17) -> str:
        values = self.truth if constants is None else constants
        return self.solution.format(*(f"{value:.{digits}g}" for value in values))

    def over_inputs(self) -> str:
        """The true solution over ``x0, x1``, as a block's inputs are called."""
        return re.sub(r"\b[xt]\b", lambda name: f"x{self.names.index(name[0])}", self.text())

    def exact(self, points: Tensor) -> Tensor:
        """The solution at points (n, d): (n, 1)."""
        columns = {name: points[:, i : i + 1] for i, name in enumerate(self.names)}
        known = {"sin": torch.sin, "cos": torch.cos, "exp": torch.exp, "tanh": torch.tanh}
        return eval(self.text(), known, columns)

    def points(self, n: int, generator: torch.Generator, wider: float = 1.0) -> Tensor:
        """Random points of the box, or of one as much wider."""
        low, high = torch.tensor(self.box, dtype=torch.float64).T
        return low + (high - low) * wider * torch.rand(n, len(self.box), dtype=torch.float64, generator=generator)


def heat(u: Tensor, points: Tensor, diffusivity: Any = 0.2) -> Tensor:
    return slope(u, points, 1) - diffusivity * slope(slope(u, points, 0), points, 0)


def wave(u: Tensor, points: Tensor) -> Tensor:
    return slope(slope(u, points, 1), points, 1) - 0.8**2 * slope(slope(u, points, 0), points, 0)


def advection_diffusion(u: Tensor, points: Tensor) -> Tensor:
    u_x = slope(u, points, 0)
    return slope(u, points, 1) + 0.5 * u_x - 0.05 * slope(u_x, points, 0)


def burgers(u: Tensor, points: Tensor) -> Tensor:
    u_x = slope(u, points, 0)
    return slope(u, points, 1) + u * u_x - 0.1 * slope(u_x, points, 0)


def oscillator(u: Tensor, points: Tensor) -> Tensor:
    velocity = slope(u, points)
    return slope(velocity, points) + 0.6 * velocity + (2.0**2 + 0.3**2) * u


def logistic(u: Tensor, points: Tensor) -> Tensor:
    return slope(u, points) - 1.2 * u * (1 - u / 2)


UNIT = ((0.0, 1.0), (0.0, 1.0))
CASES = {
    "heat": Case(
        "u_t = 0.2 u_xx", heat, "sin({0}*x)*exp(-{1}*t)", (math.pi, 0.2 * math.pi**2), UNIT
    ),
    "wave": Case(
        "u_tt = 0.8² u_xx", wave, "sin({0}*x)*cos({1}*t)", (math.pi, 0.8 * math.pi), ((0.0, 1.0), (0.0, 1.5)),
        {"unary_operators": ["sin", "cos", "exp"]}, moving=True,
    ),
    "advection-diffusion": Case(
        "u_t + 0.5 u_x = 0.05 u_xx", advection_diffusion, "sin({0}*x - {1}*t)*exp(-{2}*t)",
        (math.pi, 0.5 * math.pi, 0.05 * math.pi**2), ((0.0, 2.0), (0.0, 1.5)),
        {"binary_operators": ["+", "-", "*"], "unary_operators": ["sin", "exp"]},
    ),
    "burgers": Case(
        "u_t + u u_x = 0.1 u_xx", burgers, "{0} - {1}*tanh({2}*x - {3}*t)", (0.5, 0.5, 2.5, 1.25),
        ((-1.0, 1.5), (0.0, 1.5)), {"binary_operators": ["+", "-", "*"], "unary_operators": ["tanh", "exp"]},
    ),
    "oscillator": Case(
        "u_tt + 0.6 u_t + 4.09 u = 0", oscillator, "exp(-{0}*t)*cos({1}*t)", (0.3, 2.0), ((0.0, 5.0),),
        {"unary_operators": ["sin", "cos", "exp"]}, moving=True,
    ),
    "logistic": Case(
        "u_t = 1.2 u (1 - u/2)", logistic, "{0}/(exp(-{1}*t) + {2})", (2 / 9, 1.2, 1 / 9), ((0.0, 5.0),),
        {"binary_operators": ["+", "-", "*", "/"], "unary_operators": ["exp"]},
    ),
    "inverse": Case(
        "u_t = D u_xx, D unknown", heat, "sin({0}*x)*exp(-{1}*t)", (math.pi, 0.35 * math.pi**2), UNIT, measured=10
    ),
}  # fmt: skip


class Loss:
    """What a case demands of a model: residual inside, initial and boundary values, measured points."""

    def __init__(self, case: Case, generator: torch.Generator) -> None:
        self.case = case
        self.diffusivity = nn.Parameter(torch.tensor(0.1, dtype=torch.float64)) if case.measured else None
        start = case.points(60, generator)
        start[:, -1] = case.box[-1][0]
        sides = [case.points(60, generator) for _ in case.box[:-1] for _ in range(2)]
        for i, side in enumerate(sides):
            side[:, i // 2] = case.box[i // 2][i % 2]
        self.start = start
        self.known = torch.cat([start, *sides, case.points(case.measured, generator)])
        self.values = case.exact(self.known)
        speed = start.clone().requires_grad_()
        self.speed = slope(case.exact(speed), speed, len(case.box) - 1).detach()

    def __call__(self, model: Model, inside: Tensor) -> Tensor:
        points = inside.detach().clone().requires_grad_()
        known = {} if self.diffusivity is None else {"diffusivity": self.diffusivity}
        total = self.case.residual(model(points), points, **known).square().mean()
        total = total + 10 * (model(self.known) - self.values).square().mean()
        if self.case.moving:
            start = self.start.clone().requires_grad_()
            total = total + 10 * (slope(model(start), start, len(self.case.box) - 1) - self.speed).square().mean()
        return total

    def refining(self, model: Model, inside: Tensor) -> Tensor:
        """The same of equations: the unknown diffusivity is the one that suits them best."""
        if self.diffusivity is None:
            return self(model, inside)
        points = inside.detach().clone().requires_grad_()
        u = model(points)
        u_t, u_xx = slope(u, points, 1), slope(slope(u, points, 0), points, 0)
        best = (u_t * u_xx).sum() / (u_xx * u_xx).sum()
        return (u_t - best * u_xx).square().mean() + 10 * (model(self.known) - self.values).square().mean()


def train(case: Case, loss: Loss, generator: torch.Generator, adam: int, lbfgs: int) -> nn.Module:
    """A network of three tanh layers, in float64: Adam, then L-BFGS."""
    width = 24
    first = nn.Linear(len(case.box), width)
    net = nn.Sequential(first, nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)).double()
    low, high = torch.tensor(case.box, dtype=torch.float64).T
    with torch.no_grad():  # inputs from -2 to 2 at the first layer
        first.weight.mul_(4 / (high - low))
        first.bias.sub_(first.weight @ ((low + high) / 2))
    parameters = [*net.parameters(), *([] if loss.diffusivity is None else [loss.diffusivity])]
    inside = case.points(250, generator)
    optimizer: torch.optim.Optimizer = torch.optim.Adam(parameters, lr=5e-3)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(net, inside)
        value.backward()
        return value

    for _ in range(adam):
        closure()
        optimizer.step()
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=lbfgs, history_size=50, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0
    )
    optimizer.step(closure)
    return net


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        pick: the default pick, as text.
        form: share of the pick's variance, over a box twice as wide, that the solution's form does not explain.
        picked: constants of the pick, read in the solution's form.
        refined: the same after they were fitted to the differential equation.
        mean, bar: of the constants over networks of several seeds, and the half-width of their 99 % interval.
        error: relative errors of the network and of the refined equation.
        unlearned: networks that were left out, since they had not learned their equation.
    """

    pick: str
    form: float
    picked: np.ndarray
    refined: np.ndarray
    mean: np.ndarray
    bar: np.ndarray
    error: tuple[float, float]
    unlearned: int

    def claims(self, truth: np.ndarray) -> dict[str, bool]:
        return {
            "the pick has the solution's form": self.form < 1e-6,
            "its constants are within 1 %": bool((abs(self.picked / truth - 1) < 0.01).all()),
            "refined, within 1e-4": bool((abs(self.refined / truth - 1) < 1e-4).all()),
            "error bars contain the truth": bool((abs(self.mean - truth) <= self.bar).all()),
            "and are under 2 % of it": bool((self.bar < 0.02 * abs(truth)).all()),
        }


LEARNED = 0.01
"""Loss above which a network has got stuck, mostly near a solution that is constant: it is trained anew."""

T_99 = {2: 63.657, 3: 9.925, 4: 5.841, 5: 4.604, 6: 4.032, 7: 3.707, 8: 3.499}
"""Half-widths of 99 % intervals of Student's t with n - 1 degrees of freedom, by n."""


def read_constants(case: Case, function: Any, points: Tensor) -> tuple[np.ndarray, float]:
    """Constants with which the solution's form is nearest to a function, and the share of variance that it misses."""
    reader = symtorch.SymbolicModel(function, "reader")
    equation = reader.set_equation(0, case.over_inputs(), inputs=points, refit_constants=True)
    with torch.no_grad():
        values = function(points) if isinstance(function, nn.Module) else torch.from_numpy(function(points.numpy()))
    missed = torch.from_numpy(equation.predict(points.numpy())) - values.reshape(-1)
    constants = np.array([abs(constant.value) for constant in equation.constants])
    return constants, float(missed.square().mean() / values.var())


def study(case: Case, seed: int, networks: int, adam: int, lbfgs: int) -> Outcome:
    """Train, distill, refine, and read the same constants from networks of other seeds."""
    readings: list[np.ndarray] = []
    unlearned, attempt = 0, 100 * seed
    while len(readings) < networks:
        torch.manual_seed(attempt)
        generator = torch.Generator().manual_seed(attempt)
        attempt += 1
        demands = Loss(case, generator)
        trained = train(case, demands, generator, adam, lbfgs)
        samples = case.points(1000, generator)
        if float(demands(trained, samples).detach()) > LEARNED:
            unlearned += 1
            if unlearned > networks:
                raise RuntimeError(f"{unlearned} networks have not learned {case.law}")
            continue
        readings.append(read_constants(case, trained, samples)[0])
        if len(readings) == 1:
            net, loss, points = trained, demands, samples
    block = symtorch.SymbolicModel(net, "u")
    block.distill(
        points, sr_params={"random_state": seed, **case.operators}, fit_params={"variable_names": case.names},
        engine="native", progress=False,
    )  # fmt: skip
    pick = block.fronts[0].best
    wide = case.points(1000, torch.Generator().manual_seed(seed), wider=2.0)
    picked, form = read_constants(case, pick.predict, wide)
    network = relative_error(case, block, wide / 2)
    block.switch_to_symbolic()
    block.fit_constants(None, points[:500], loss.refining)
    refined, _ = read_constants(case, block.equation(0).predict, wide)
    bar = T_99[networks] * np.std(readings, axis=0, ddof=1) / math.sqrt(networks)
    error = network, relative_error(case, block, wide / 2)
    return Outcome(str(pick), form, picked, refined, np.mean(readings, axis=0), bar, error, unlearned)


def relative_error(case: Case, model: Model, points: Tensor) -> float:
    with torch.no_grad():
        truth = case.exact(points)
        return float((model(points) - truth).norm() / truth.norm())


def draw(outcomes: dict[str, Outcome], path: str) -> None:
    """The solutions, and how far constants are from the true ones before and after they were refined."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(11, 5), layout="constrained")
    for axis, name in zip(axes.flat, outcomes, strict=False):
        case = CASES[name]
        ends = [torch.linspace(low, high, 80, dtype=torch.float64) for low, high in case.box]
        points = torch.stack(torch.meshgrid(*ends, indexing="ij"), dim=-1).reshape(-1, len(ends))
        solution = case.exact(points).reshape([80] * len(ends))
        if len(ends) == 2:
            extent = (*case.box[0], *case.box[1])
            axis.imshow(solution.T, origin="lower", extent=extent, aspect="auto", cmap="inferno")
            axis.set(title=name, xlabel="x", ylabel="t")
        else:
            axis.plot(ends[0], solution, color="tab:red")
            axis.set(title=name, xlabel="t", ylabel="u")
    axis = axes.flat[-1]
    for i, (name, outcome) in enumerate(outcomes.items()):
        truth = np.array(CASES[name].truth)
        for values, colour, label in (
            (outcome.picked, "tab:blue", "default pick"),
            (outcome.refined, "tab:orange", "refined on the equation"),
        ):
            deviations = np.maximum(abs(values / truth - 1), 1e-16)
            axis.semilogy([i] * len(truth), deviations, "o", color=colour, ms=4, label=label if i == 0 else None)
    axis.axhline(1e-2, color="tab:blue", lw=0.8, ls="--")
    axis.axhline(1e-4, color="tab:orange", lw=0.8, ls="--")
    axis.set(title="error of constants")
    axis.set_xticks(range(len(outcomes)), [name[:9] for name in outcomes], rotation=45, ha="right")
    axis.legend(fontsize=7, loc="center left")
    figure.savefig(path, dpi=75)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", type=int, default=5, help="networks of each case that the error bars are from")
    parser.add_argument("--plot", default="", help="where the picture goes")
    parser.add_argument("--smoke", action="store_true", help="one case, three networks")
    args = parser.parse_args()
    if not 2 <= args.networks <= max(T_99):
        parser.error(f"--networks is 2 to {max(T_99)}")
    if args.smoke:
        args.cases, args.networks = ["oscillator"], 3
    torch.set_num_threads(1)  # networks so small gain nothing from more
    started, failed, outcomes = time.process_time(), [], {}
    for name in args.cases:
        case = CASES[name]
        outcome = outcomes[name] = study(case, args.seed, args.networks, adam=300, lbfgs=400)
        truth = np.array(case.truth)
        print(f"\n{name}: {case.law}")
        print(f"  default pick  {outcome.pick}")
        print(f"  refined       {case.text(outcome.refined, digits=7)}")
        print(f"  true          {case.text(digits=7)}")
        bars = (f"{m:.6g} ± {b:.1g} (true {t:.6g})" for m, b, t in zip(outcome.mean, outcome.bar, truth, strict=True))
        print(f"  {args.networks} networks    " + ", ".join(bars))
        if outcome.unlearned:
            print(f"  ({outcome.unlearned} more had not learned their equation, and were left out)")
        if case.measured:
            found, known = (c[1] / c[0] ** 2 for c in (outcome.refined, truth))
            print(f"  diffusivity   {found:.6g} from {case.measured} points (true {known:.6g})")
        print("  relative error of the network {:.1e}, of the refined equation {:.1e}".format(*outcome.error))
        wrong = [claim for claim, holds in outcome.claims(truth).items() if not holds]
        failed += [f"{name}: {claim}" for claim in wrong]
        print("  claims hold" if not wrong else "  NOT: " + "; ".join(wrong), flush=True)
    print(f"\n{len(args.cases)} cases, seed {args.seed}, {time.process_time() - started:.0f} CPU-s")
    if args.plot:
        draw(outcomes, args.plot)
    if failed:
        sys.exit("claims that failed: " + "; ".join(failed))


if __name__ == "__main__":
    main()
