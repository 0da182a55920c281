"""How fast equations run as a forward pass: this library's function against the other ways.

    python benchmarks/forward.py                 # the table; some ten minutes on two cores
    python benchmarks/forward.py --outputs 64 --batch 8192
    python benchmarks/forward.py --outputs 64 --batch 8192 --train

Compared, interleaved in one run on the same equations, in inference, or with --train in a step of training
(forward, and backward to the inputs; the last way to the constants as well):

    per output   one sympy.lambdify function per output on columns of the input, stacked: the way of
                 torch-symbolic 1.0
    sympytorch   sympytorch.SymPyModule, where it is installed
    network      the network that the equations would replace: n_inputs-256-256-n_outputs, GELU
    eager        symtorch's SymbolicFunction
    compiled     the same as machine code: use_compiled(True)
    torch.compile  the eager one under torch.compile, with --torch-compile: minutes of compiling
    constants    with --train: the eager one, its constants trained

Two kinds of equations, of about twelve operations each: `independent` ones, which share no terms but
by chance, and `shared` ones, whose terms come from a pool with half as many terms as there are outputs,
as the outputs of one layer do.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import record
import sympy
import torch
from torch import Tensor, nn

from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.equations.expr import Call, Expr, walk
from symtorch.equations.parser import parse
from symtorch.equations.sympy_bridge import to_sympy

TERMS = (
    "{c}*x{i}", "x{i}*x{j}", "x{i}^3", "x{i}*x{j}*x{k}", "sin({c}*x{i} + x{j})", "sin(x{i})*sin({c}*x{j})",
    "exp({c}*x{i})*x{j}", "exp({c}*x{i}*x{j}) + x{k}", "sin(exp({c}*x{i}))", "inv(x{i}^2 + {p})",
    "x{i}*inv({p} + x{j}^2*x{k}^2)", "inv({p} + exp({c}*x{i}))",
)  # fmt: skip


def equations(n_outputs: int, n_inputs: int, kind: str, seed: int = 0) -> list[Expr]:
    """Sums of three terms times constants."""
    rng = np.random.default_rng(seed)
    names = [f"x{i}" for i in range(n_inputs)]

    def number(low: float, high: float) -> str:
        return f"{rng.uniform(low, high):.4f}"

    def term() -> str:
        i, j, k = rng.integers(n_inputs, size=3)
        return str(rng.choice(TERMS)).format(i=i, j=j, k=k, c=number(-0.5, 0.5), p=number(1, 2))

    pool = [term() for _ in range(max(4, n_outputs // 2))]
    texts = []
    for _ in range(n_outputs):
        terms = rng.choice(pool, 3, replace=False) if kind == "shared" else [term() for _ in range(3)]
        texts.append(" + ".join(f"{number(-2, 2)}*({t})" for t in terms))
    return [parse(text, names) for text in texts]


def per_output(exprs: list[Expr], n_inputs: int) -> Callable[[Tensor], Tensor]:
    """One lambdified function per output, each on its own columns, then stacked."""
    functions = []
    for expr in exprs:
        formula = to_sympy(expr, [f"x{i}" for i in range(n_inputs)])
        symbols = sorted(formula.free_symbols, key=str)
        functions.append((sympy.lambdify(symbols, formula, "torch"), [int(str(s)[1:]) for s in symbols]))

    def forward(x: Tensor) -> Tensor:
        return torch.stack([f(*[x[:, i] for i in columns]) for f, columns in functions], dim=1)

    return forward


def with_sympytorch(exprs: list[Expr], n_inputs: int) -> Callable[[Tensor], Tensor] | None:
    try:
        import sympytorch
    except ImportError:
        return None
    names = [f"x{i}" for i in range(n_inputs)]
    module = sympytorch.SymPyModule(expressions=[to_sympy(expr, names) for expr in exprs])
    return lambda x: module(**{name: x[:, i] for i, name in enumerate(names)})


def network(n_inputs: int, n_outputs: int) -> nn.Module:
    width = 256
    return nn.Sequential(
        nn.Linear(n_inputs, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, n_outputs)
    )


def cpu_seconds() -> float:
    """CPU time of this process and of the compilers that it has run."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measure(ways: dict[str, Callable[[Tensor], Tensor]], x: Tensor, seconds: float) -> dict[str, tuple[float, float]]:
    """Median (CPU, wall) seconds per call, the ways taking turns.

    Each round has an order of its own: whoever comes after the network finds the caches full of it.
    """
    rng = np.random.default_rng(0)
    names = list(ways)
    for way in ways.values():
        way(x)
    start = time.perf_counter()
    for way in ways.values():
        way(x)
    per_round = time.perf_counter() - start
    rounds = int(np.clip(seconds / max(per_round, 1e-9), 5, 1000))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for k in rng.permutation(len(names)):
            name = names[k]
            cpu, wall = time.process_time(), time.perf_counter()
            ways[name](x)
            times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {name: tuple(np.median(np.array(t), axis=0)) for name, t in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=int, nargs="+", default=[1, 8, 64, 512])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 64, 1024, 8192, 100_000])
    parser.add_argument("--inputs", type=int, default=32)
    parser.add_argument("--kind", nargs="+", default=["independent", "shared"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each cell of the table")
    parser.add_argument("--torch-compile", action="store_true")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--json", metavar="FILE", help="write every cell to this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {args.threads} threads, {args.inputs} inputs; milliseconds per call, CPU / wall")
    cells: list[dict[str, str | int | float]] = []
    with torch.set_grad_enabled(args.train):
        for kind in args.kind:
            for n_outputs in args.outputs:
                cells += run(kind, n_outputs, args)
    if args.json:
        record.keep(args.json, cells)


def training_step(way: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The way, and backward from the mean square of its outputs."""

    def step(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        loss = way(x).square().mean()
        loss.backward()
        return loss

    return step


def run(kind: str, n_outputs: int, args: argparse.Namespace) -> list[dict[str, str | int | float]]:
    """Measure and print one kind and number of equations; the cells that were printed."""
    exprs = equations(n_outputs, args.inputs, kind)
    n_operations = sum(isinstance(node, Call) for expr in exprs for node in walk(expr))
    print(f"\n{n_outputs} {kind} equations, {n_operations / n_outputs:.1f} operations each")
    start = time.perf_counter()
    function = SymbolicFunction(exprs, args.inputs)
    print(f"  made in {time.perf_counter() - start:.2f} s")
    ways: dict[str, Callable[[Tensor], Tensor]] = {"per output": per_output(exprs, args.inputs)}
    other = with_sympytorch(exprs, args.inputs)
    if other is not None:
        ways["sympytorch"] = other
    ways["network"] = network(args.inputs, n_outputs)
    ways["eager"] = function
    if args.train:
        ways["constants"] = SymbolicFunction(exprs, args.inputs).trainable_constants()
    else:
        ways["compiled"] = SymbolicFunction(exprs, args.inputs).use_compiled(True)
    if args.torch_compile:
        ways["torch.compile"] = torch.compile(function, fullgraph=True, dynamic=True)
    for name in ("compiled", "torch.compile"):
        if name in ways:
            cpu, wall = cpu_seconds(), time.perf_counter()
            ways[name](torch.randn(1000, args.inputs))
            print(f"  {name}: ready in {time.perf_counter() - wall:.1f} s wall, {cpu_seconds() - cpu:.1f} s CPU")
    x = torch.randn(1000, args.inputs)
    expected = ways["per output"](x)
    for name in ("sympytorch", "eager", "constants", "compiled", "torch.compile"):
        if name in ways:
            torch.testing.assert_close(ways[name](x), expected, rtol=1e-3, atol=1e-3)
    if args.train:
        ways = {name: training_step(way) for name, way in ways.items()}
    kept: list[dict[str, str | int | float]] = []
    for batch in args.batch:
        times = measure(ways, torch.randn(batch, args.inputs), args.seconds)
        cpu0, wall0 = times["per output"]
        cells = [
            f"{name} {1e3 * cpu:.3f} / {1e3 * wall:.3f} ({cpu0 / cpu:.1f}x / {wall0 / wall:.1f}x)"
            for name, (cpu, wall) in times.items()
        ]
        print(f"  batch {batch:>6}: " + ", ".join(cells), flush=True)
        kept += [
            {"kind": kind, "outputs": n_outputs, "batch": batch, "way": name, "cpu": float(cpu), "wall": float(wall)}
            for name, (cpu, wall) in times.items()
        ]
    return kept


if __name__ == "__main__":
    main()
