"""Neural differential equations become the equations of motion: Lotka-Volterra and Lorenz from noisy trajectories.

The right-hand side is a network, trained through our own Runge-Kutta steps (RK4) to carry each measured state to the
following ones. It is distilled, and the constants of the equations are fitted to the same trajectories. Claims: the
equations have the terms of the true system and no others, with constants within 5 %; they forecast a fresh trajectory
longer than the network does, and what they do over a long time (quantiles of every coordinate) is nearer to the truth.

"lorenz-128" is Lorenz' system seen by 128 sensors. An autoencoder makes three coordinates of them, turned and stretched
as training has left them, in which the law is three quadratics of ten terms each. Linear algebra on these finds the
affine frame (X, V, W) in which they are sparse: X' = V, V' = -(s + 1)*V - X*W, W' = a*(s*X^2 + X*V) - b*W - c, with
the s and b of Lorenz. There a second network is trained, and distilled; of each front the simplest equation is taken
that meets the measured trajectories as well (`choose`). Claims: these terms are found, and no others than offsets of X,
V and W make; s + 1, s and b within 5 %; forecasts and long runs are better than that network's.

    python examples/dynamics.py [--systems lorenz] [--seed 0] [--plot dynamics.png]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

import symtorch

Field = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class System:
    """A system whose law is known.

    Attributes:
        field: the law, states (n, d) to their velocities (n, d).
        terms: for each coordinate the products of inputs that it has, with their factors.
        low, high: box of the starts.
        dt: time from one measured state to the next.
        settle: steps before measuring begins.
        noise: standard deviation of the measurements, relative to each coordinate's spread.
        forecast: steps of a forecast.
        long: steps of a long run.
    """

    names: tuple[str, ...]
    field: Field
    terms: tuple[dict[str, float], ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    dt: float
    settle: int
    noise: float
    forecast: int
    long: int


def lotka_volterra(u: Tensor) -> Tensor:
    x, y = u[..., 0], u[..., 1]
    return torch.stack([1.5 * x - x * y, 0.8 * x * y - 2 * y], dim=-1)


def lorenz(u: Tensor) -> Tensor:
    x, y, z = u[..., 0], u[..., 1], u[..., 2]
    return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], dim=-1)


SYSTEMS = {
    "lotka-volterra": System(
        ("x", "y"), lotka_volterra, ({"x": 1.5, "x*y": -1.0}, {"x*y": 0.8, "y": -2.0}),
        (1.0, 0.5), (4.0, 2.5), dt=0.1, settle=0, noise=0.01, forecast=600, long=600,
    ),
    "lorenz": System(
        ("x", "y", "z"), lorenz,
        ({"x": -10.0, "y": 10.0}, {"x": 28.0, "x*z": -1.0, "y": -1.0}, {"x*y": 1.0, "z": -8 / 3}),
        (-10.0, -10.0, 15.0), (10.0, 10.0, 35.0), dt=0.02, settle=100, noise=0.01, forecast=400, long=3000,
    ),
}  # fmt: skip


def step(field: Field, u: Tensor, dt: float) -> Tensor:
    """One step of the classical Runge-Kutta method."""
    k1 = field(u)
    k2 = field(u + dt / 2 * k1)
    k3 = field(u + dt / 2 * k2)
    k4 = field(u + dt * k3)
    return u + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def integrate(field: Field, start: Tensor, n: int, dt: float, within: int = 1) -> Tensor:
    """States (n + 1, batch, d) from starts (batch, d), each time step divided into so many."""
    states = [start]
    for _ in range(n):
        u = states[-1]
        for _ in range(within):
            u = step(field, u, dt / within)
        states.append(u)
    return torch.stack(states)


class Velocity(nn.Module):
    """A network (n, d) -> (n, d) in the units of the data: inputs and outputs of spread one inside."""

    def __init__(self, states: Tensor, speeds: Tensor, width: int = 32) -> None:
        super().__init__()
        d = states.shape[-1]
        self.layers = nn.Sequential(
            nn.Linear(d, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, d)
        ).double()
        self.middle, self.spread, self.scale = states.mean(dim=0), states.std(dim=0), speeds.std(dim=0)

    def forward(self, u: Tensor) -> Tensor:
        return self.scale * self.layers((u - self.middle) / self.spread)


def windows(trajectories: Tensor, length: int) -> Tensor:
    """All stretches of so many steps: (time, batch, d) -> (length + 1, many, d)."""
    cuts = [trajectories[i : i + length + 1] for i in range(0, len(trajectories) - length, 2)]
    return torch.cat(cuts, dim=1)


def misses(field: Field, stretches: Tensor, dt: float, spread: Tensor) -> Tensor:
    """Mean square by which a field misses measured states, in units of their spread, from the first of each stretch."""
    reached = integrate(field, stretches[0], len(stretches) - 1, dt)
    return ((reached[1:] - stretches[1:]) / spread).square().mean()


def train(net: nn.Module, stretches: Tensor, dt: float, spread: Tensor, adam: int, lbfgs: int) -> None:
    """Adam on random stretches, then L-BFGS on all."""
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=adam)
    for _ in range(adam):
        batch = stretches[:, torch.randint(stretches.shape[1], (128,))]
        optimizer.zero_grad()
        misses(net, batch, dt, spread).backward()
        optimizer.step()
        schedule.step()
    last = torch.optim.LBFGS(
        net.parameters(), max_iter=lbfgs, history_size=30, line_search_fn="strong_wolfe", tolerance_change=0
    )

    def closure() -> Tensor:
        last.zero_grad()
        loss = misses(net, stretches, dt, spread)
        loss.backward()
        return loss

    last.step(closure)


def horizon(found: Tensor, truth: Tensor, spread: Tensor) -> float:
    """Mean number of steps until a forecast (time, batch, d) is off by a fifth of the spread."""
    off = ((found - truth) / spread).square().mean(dim=-1).sqrt()
    off = torch.where(off.isfinite(), off, torch.inf) > 0.2
    first = torch.where(off.any(dim=0), off.double().argmax(dim=0), len(off))
    return float(first.double().mean())


def quantile_error(found: Tensor, truth: Tensor, spread: Tensor) -> float:
    """Mean difference of the quantiles of all coordinates in the second half of a run, in units of the spread."""
    levels = np.linspace(0.02, 0.98, 49)
    late = (run[len(run) // 2 :].nan_to_num(1e9).flatten(0, 1).numpy() for run in (found, truth))
    ours, theirs = (torch.from_numpy(np.quantile(run, levels, axis=0)) for run in late)
    return float(((ours - theirs) / spread).abs().mean())


def coefficients(equation: symtorch.Equation) -> dict[str, float]:
    """Factors of the products of inputs in an equation that is a polynomial."""
    import sympy

    symbols = sympy.symbols(equation.variable_names, real=True)
    polynomial = sympy.Poly(sympy.expand(equation.sympy()), *symbols)
    products = {}
    for powers, factor in polynomial.terms():
        names = [name for name, power in zip(equation.variable_names, powers, strict=True) for _ in range(power)]
        products["*".join(names)] = float(factor)
    return products


def study(system: System, seed: int, adam: int, lbfgs: int, n: int) -> tuple[list[str], dict[str, Tensor]]:
    """Measure, train, distill, integrate. Returns claims that failed, and what is drawn."""
    torch.manual_seed(seed)
    low, high = (torch.tensor(end, dtype=torch.float64) for end in (system.low, system.high))

    def starts(many: int) -> Tensor:
        return integrate(system.field, low + (high - low) * torch.rand(many, len(low)), system.settle, 0.02)[-1]

    true = integrate(system.field, starts(n), 60, system.dt, within=4)
    spread = true.flatten(0, 1).std(dim=0)
    measured = true + system.noise * spread * torch.randn_like(true)
    stretches = windows(measured, 4)
    speeds = (measured[1:] - measured[:-1]).flatten(0, 1) / system.dt
    net = Velocity(measured.flatten(0, 1), speeds)
    started = time.process_time()
    train(net, stretches, system.dt, spread, adam, lbfgs)
    trained = time.process_time()

    block = symtorch.SymbolicModel(net, "velocity")
    block.distill(
        measured.flatten(0, 1), engine="native", progress=False, max_rows=2000,
        fit_params={"variable_names": list(system.names)},
        sr_params={"binary_operators": ["+", "-", "*"], "unary_operators": [], "random_state": seed},
    )  # fmt: skip
    print(f"  training {trained - started:.0f} CPU-s, distilling {time.process_time() - trained:.0f} CPU-s")
    for name, front in zip(system.names, block.fronts.values(), strict=True):
        print(f"    d{name}/dt = {front.best}    ({front.verdict})")
    block.switch_to_symbolic(compile=False)
    block.fit_constants(None, stretches, lambda field, batch: misses(field, batch, system.dt, spread), steps=30)
    print("  constants fitted to the trajectories:")
    failed = []
    for i, (name, terms) in enumerate(zip(system.names, system.terms, strict=True)):
        found = coefficients(block.equation(i))
        true_law = " + ".join(f"{factor:.5g}*{term}" for term, factor in terms.items())
        print(f"    d{name}/dt = {block.equation(i)}    (true: {true_law})")
        if set(found) != set(terms):
            failed.append(f"d{name}/dt has the terms {', '.join(found)}; true are {', '.join(terms)}")
        elif any(abs(found[term] / terms[term] - 1) > 0.05 for term in terms):
            failed.append(f"constants of d{name}/dt are off by more than 5 %")

    wrong, curves = compared({"network": net, "equations": block}, system, starts, spread)
    return failed + wrong, curves


def compared(
    fields: dict[str, Field],
    system: System,
    starts: Callable[[int], Tensor],
    spread: Tensor,
    seen: Callable[[Tensor], Tensor] = lambda states: states,
) -> tuple[list[str], dict[str, Tensor]]:
    """Forecasts and long runs of network and equations, in the coordinates in which true states are seen."""
    with torch.no_grad():
        fresh, many = starts(20), starts(400)
        truth = seen(integrate(system.field, fresh, system.forecast, system.dt, within=4))
        runs = {who: integrate(field, truth[0], system.forecast, system.dt) for who, field in fields.items()}
        reach = {who: horizon(run, truth, spread) * system.dt for who, run in runs.items()}
        truth_long = seen(integrate(system.field, many, system.long, system.dt, within=2))
        long = {who: integrate(field, truth_long[0], system.long, system.dt) for who, field in fields.items()}
        off = {who: quantile_error(run, truth_long, spread) for who, run in long.items()}
    print(f"  forecast good for: network {reach['network']:.2f}, equations {reach['equations']:.2f} units of time")
    print(f"  long run off by (quantiles): network {off['network']:.2%}, equations {off['equations']:.2%}")
    failed = []
    if not reach["equations"] > reach["network"]:
        failed.append("the equations forecast no longer than the network")
    if not off["equations"] < off["network"]:
        failed.append("the equations' long run is no nearer to the truth than the network's")
    return failed, {"truth": truth[:, 0], **{who: run[:, 0] for who, run in runs.items()}}


# ---- the same behind 128 sensors

SENSORS = 128


@dataclass(frozen=True)
class Frame:
    """Affine coordinates u = T z + t of the coordinates z."""

    T: Tensor
    t: Tensor

    def of(self, z: Tensor) -> Tensor:
        return z @ self.T.T + self.t

    def field(self, velocity: Field) -> Field:
        """A velocity in z as one in u."""
        back = torch.linalg.inv(self.T).T
        return lambda u: velocity((u - self.t) @ back) @ self.T.T


def quadratics(velocity: Field, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Least squares: constants (3,), matrix (3, 3) and symmetric quadratic part (3, 3, 3) of a velocity at z (n, 3)."""
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    products = torch.stack([z[:, i] * z[:, j] for i, j in pairs], dim=1)
    design = torch.cat([torch.ones(len(z), 1).to(z), z, products], dim=1)
    with torch.no_grad():
        found = torch.linalg.lstsq(design, velocity(z)).solution
    quadratic = torch.zeros(3, 3, 3).to(z)
    for weights, (i, j) in zip(found[4:], pairs, strict=True):
        quadratic[:, i, j] += weights / 2
        quadratic[:, j, i] += weights / 2
    return found[0], found[1:4].T, quadratic


def sparse_frame(velocity: Field, z: Tensor) -> Frame:
    """Where Lorenz' equations are sparse: X whose velocity is linear, V which is that, W which multiplies X in V'."""
    z_mean, z_spread = z.mean(dim=0), z.std(dim=0)
    inner = Frame(torch.diag(1 / z_spread), -z_mean / z_spread)
    constants, linear, quadratic = quadratics(inner.field(velocity), inner.of(z))
    x = torch.linalg.svd(quadratic.flatten(1))[0][:, -1]  # no quadratic part in this direction
    x = x / inner.of(z).matmul(x).std()
    v = linear.T @ x
    # v's quadratic part is -(x . z)(w . z), up to the network's errors.
    parts = [(torch.outer(x, axis) + torch.outer(axis, x)) / 2 for axis in torch.eye(3).to(z)]
    of_v = torch.einsum("i,ijk->jk", v, quadratic)
    w = -torch.linalg.lstsq(torch.stack(parts).flatten(1).T, of_v.flatten()[:, None]).solution[:, 0]
    T = torch.stack([x, v, w])
    # Where V' = ... - (X + p)*(W + q), offsets of X and W take in what is linear there.
    there = linear @ torch.linalg.inv(T)
    t = torch.stack([-(v @ there[:, 2]), x @ constants, -(v @ there[:, 0])])
    return Frame(T @ inner.T, T @ inner.t + t)


def study_sensors(seed: int, adam: int, lbfgs: int, n: int) -> tuple[list[str], dict[str, Tensor]]:
    """The study of Lorenz' system from 128 numbers a state."""
    system = SYSTEMS["lorenz"]
    torch.manual_seed(seed)
    low, high = (torch.tensor(end, dtype=torch.float64) for end in (system.low, system.high))

    def starts(many: int) -> Tensor:
        return integrate(system.field, low + (high - low) * torch.rand(many, 3), system.settle, 0.02)[-1]

    true = integrate(system.field, starts(n), 60, system.dt, within=4)
    weights = torch.randn(SENSORS, 3, dtype=torch.float64) / true.flatten(0, 1).std(dim=0)
    offsets = torch.randn(SENSORS, dtype=torch.float64)
    sensors = true @ weights.T + offsets
    sensors = sensors + 0.05 * torch.randn_like(sensors)
    encoder, decoder = nn.Linear(SENSORS, 3).double(), nn.Linear(3, SENSORS).double()
    started = time.process_time()
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=4 * adam)
    for _ in range(4 * adam):
        batch = sensors.flatten(0, 1)[torch.randint(sensors[..., 0].numel(), (256,))]
        optimizer.zero_grad()
        (decoder(encoder(batch)) - batch).square().mean().backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        measured = encoder(sensors)
    u, frame = measured, Frame(torch.eye(3).double(), torch.zeros(3).double())
    for _ in range(2):  # what is small in the coordinates as they come is learned only where it has a unit of its own
        net = Velocity(u.flatten(0, 1), (u[1:] - u[:-1]).flatten(0, 1) / system.dt)
        train(net, windows(u, 4), system.dt, u.flatten(0, 1).std(dim=0), adam, lbfgs)
        inner = sparse_frame(net, u.flatten(0, 1))
        u, frame = inner.of(u), Frame(inner.T @ frame.T, inner.of(frame.t))
    trained = time.process_time()

    block, names = symtorch.SymbolicModel(inner.field(net), "velocity"), ("X", "V", "W")
    block.distill(
        u.flatten(0, 1), engine="native", progress=False, max_rows=2000, fit_params={"variable_names": list(names)},
        sr_params={"binary_operators": ["+", "-", "*"], "unary_operators": [], "random_state": seed},
    )  # fmt: skip
    print(f"  training {trained - started:.0f} CPU-s, distilling {time.process_time() - trained:.0f} CPU-s")
    for name, front in zip(names, block.fronts.values(), strict=True):
        print(f"    d{name}/dt = {front.best}    ({front.verdict})")
    stretches, u_spread = windows(u, 4), u.flatten(0, 1).std(dim=0)

    def missed(field: Field, batch: Tensor) -> Tensor:
        return misses(field, batch, system.dt, u_spread)

    block.switch_to_symbolic(block.choose(None, stretches, missed, tolerance=0.1), compile=False)
    block.fit_constants(None, windows(u, 12), missed, steps=100)  # longer, so that small errors of constants show
    print("  constants fitted to the trajectories:")
    failed = []
    terms = ({"V"}, {"V", "X*W"}, {"X*X", "X*V", "W", ""})
    found = [coefficients(block.equation(i)) for i in range(3)]
    offsets_make = ({""}, {"X", "W", ""}, {"X", "V"})
    for i, (name, offset) in enumerate(zip(names, offsets_make, strict=True)):
        print(f"    d{name}/dt = {block.equation(i)}")
        if not terms[i] <= set(found[i]) <= terms[i] | offset:
            failed.append(f"d{name}/dt has the terms {', '.join(found[i])}; true are {', '.join(terms[i])}")
    if not failed:
        numbers = {"s + 1": (-found[1]["V"], 11.0), "b": (-found[2]["W"], 8 / 3)}
        numbers["s"] = (found[2]["X*X"] / found[2]["X*V"] * found[0]["V"], 10.0)
        print("    " + ", ".join(f"{name} = {here:.4g} (true {there:.4g})" for name, (here, there) in numbers.items()))
        failed += [f"{name} is {a:.4g}" for name, (a, b) in numbers.items() if abs(a / b - 1) > 0.05]

    def seen(states: Tensor) -> Tensor:
        return frame.of(encoder(states @ weights.T + offsets))

    fields: dict[str, Field] = {"network": inner.field(net), "equations": block}
    wrong, curves = compared(fields, system, starts, u_spread, seen)
    return failed + wrong, curves


def draw(curves: dict[str, dict[str, Tensor]], path: str) -> None:
    """The last coordinate of a fresh trajectory: true, forecast by the network and by the equations."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(curves), 1, figsize=(8, 2.4 * len(curves)), layout="constrained", squeeze=False)
    for axis, (name, runs) in zip(axes.flat, curves.items(), strict=True):
        system = SYSTEMS[name.removesuffix("-128")]
        time_axis = torch.arange(len(runs["truth"])) * system.dt
        for who, colour, style in (("network", "tab:blue", "-"), ("equations", "tab:red", "-"), ("truth", "k", "--")):
            axis.plot(time_axis, runs[who][:, -1], style, color=colour, lw=1.2, label=who)
        axis.set(title=name, ylabel="last coordinate" if name.endswith("-128") else system.names[-1])
    axes[-1, 0].set_xlabel("time")
    axes[0, 0].legend(fontsize=8, loc="upper right")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    systems = [*SYSTEMS, "lorenz-128"]
    parser.add_argument("--systems", nargs="+", choices=systems, default=systems)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", default="", help="where the picture goes")
    parser.add_argument("--smoke", action="store_true", help="too little training for any claim")
    args = parser.parse_args()
    adam, lbfgs, n = (60, 5, 6) if args.smoke else (1000, 200, 24)
    torch.set_num_threads(1)  # networks so small gain nothing from more
    failed: list[str] = []
    curves: dict[str, dict[str, Tensor]] = {}
    for name in ["lotka-volterra"] if args.smoke else args.systems:
        print(f"\n{name}")
        if name in SYSTEMS:
            wrong, curves[name] = study(SYSTEMS[name], args.seed, adam, lbfgs, n)
        else:
            wrong, curves[name] = study_sensors(args.seed, adam, lbfgs, n)
        print("  claims hold" if not wrong else "  NOT: " + "; ".join(wrong), flush=True)
        failed += [f"{name}: {what}" for what in wrong]
    if args.plot:
        draw(curves, args.plot)
    if failed and not args.smoke:
        sys.exit("claims that failed: " + "; ".join(failed))


if __name__ == "__main__":
    main()
