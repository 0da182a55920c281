"""Does ``front.verdict`` say the right thing: a law, an approximation, or nothing?

    python benchmarks/verdicts.py                    # both halves
    python benchmarks/verdicts.py --half tuning      # what thresholds may be set by
    python benchmarks/verdicts.py --half last        # looked at only when all else is decided
    python benchmarks/verdicts.py --kinds noise-1 rough --json verdicts.json
    python benchmarks/verdicts.py --every 3          # a third of them

The kinds of cases:

    exact       laws that are asked                 data        laws by their rows alone
    noise-1     rows with 1 % of noise              noise-10    with 10 % (of the standard deviation)
    good        networks of the laws, asked         rough       small networks of few, noisy rows, asked
    obeying     good networks of a difference, a distance or some inputs, which obey that to the last digit
    random      networks without a law, asked       random-data their rows alone
    random-10   those with 10 % of noise            nothing     pure noise
    linear      linear layers, asked and not        constant    outputs that do not vary

The truth of a case where there is a law is in its pick, by the rule of ``networks.py``: the law, if its error against
the law is below a tenth of the block's own, or if it becomes exact once its constants are fitted to the law and is no
longer than the textbook's form + 4; else an approximation, and nothing where it does not explain a tenth of the law.
Networks without a law have only approximations, noise has nothing. The same search gets every case: 500 to 1,000 rows,
a fifth of them held out, a time limit (``--seconds``). Laws and networks alternate between the two halves.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice

import networks
import numpy as np
import record
import torch
from problems import HELD_OUT, LEARNED, SEARCH_SPACE, TABLE, Law, learned

from symtorch import SymbolicModel
from symtorch.distillation.plan import Plan, distill
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.front import Equation, Front

KINDS = "exact data noise-1 noise-10 good rough obeying random random-data random-10 nothing linear constant".split()
VERDICTS = ("law", "approximation", "none")
N_ROWS = 1000
TEXTBOOK = {law.name: law for law in (*TABLE, *HELD_OUT)}
EASY = ["expsin", "gravity", "damped", "planck", "I.27.6", "I.18.4", "I.37.4", "III.15.14", "III.17.37", "I.40.1"]
HARD = ["pysr", "heat", "relativity", "I.12.11", "II.6.15a", "I.34.14", "II.11.27", "II.35.21"]


@dataclass(frozen=True)
class Case:
    """Something to distill, and what the right verdict on a pick is.

    Attributes:
        kind: one of KINDS.
        name: of the case.
        half: "tuning" or "last".
        find: (seconds) -> the front.
        truth: (pick) -> the right verdict.
    """

    kind: str
    name: str
    half: str
    find: Callable[[int], Front]
    truth: Callable[[Equation], str]


@dataclass(frozen=True)
class Result:
    """One case: what was found, what was said of it and on which evidence, and what would have been right."""

    kind: str
    name: str
    half: str
    truth: str
    verdict: str
    because: str
    unexplained: float | None
    least: float | None
    floor: float | None
    sharpness: float
    confirmed: bool | None
    rows_asked: int
    stop_reason: str
    seconds: float
    equation: str


def _params(seconds: int) -> dict:
    return {**SEARCH_SPACE, "random_state": 0, "verbosity": 0, "progress": False, "timeout_in_seconds": seconds}


def asked(block: Callable[[np.ndarray], np.ndarray] | torch.nn.Module, X: np.ndarray) -> Callable[[int], Front]:
    """The front of a block's first output, by asking it."""

    def find(seconds: int) -> Front:
        data = torch.as_tensor(X, dtype=torch.float32) if isinstance(block, torch.nn.Module) else X
        front = SymbolicModel(block, "block").distill(
            data, output_dim=0, sr_params=_params(seconds), engine="native", ask=True
        )
        assert isinstance(front, Front)
        return front

    return find


def from_data(X: np.ndarray, y: np.ndarray) -> Callable[[int], Front]:
    """The front of an output (n_rows,) by its rows alone."""

    def find(seconds: int) -> Front:
        plan = Plan.make(sr_params=_params(seconds), engine="native")
        return distill(plan, Samples(X, y[:, None]), plan.engine)[0]

    return find


def of_law(law: Law, network: float = 0.0) -> Callable[[Equation], str]:
    """The right verdict on a pick where there is a law; ``network`` is the block's error against it."""

    def truth(pick: Equation) -> str:
        error = networks.error_of(pick, law)
        short = pick.complexity <= SearchOptions.from_params(SEARCH_SPACE).complexity(law.expr) + 4
        if error < max(0.1 * network, 1e-12) or (short and networks.becomes_exact(pick, law)):
            return "law"
        return "approximation" if error < 0.9 else "none"

    return truth


def random_network(seed: int, n_inputs: int) -> torch.nn.Module:
    """Two hidden layers drawn so that units bend on (-2, 2), as training leaves them; no law behind them."""
    torch.manual_seed(seed)
    unit = (torch.nn.Tanh, torch.nn.ReLU, torch.nn.SiLU)[seed % 3]
    layers = [torch.nn.Linear(n_inputs, 24), unit(), torch.nn.Linear(24, 24), unit(), torch.nn.Linear(24, 1)]
    net = torch.nn.Sequential(*layers)
    for layer in net:
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.normal_(layer.weight, std=1.5 / layer.in_features**0.5)
            torch.nn.init.uniform_(layer.bias, -1, 1)
    return net.requires_grad_(False)


def cases() -> Iterator[Case]:
    """All cases, kind by kind; every second one is of the half ``last``."""
    made = {kind: list(make()) for kind, make in _MAKERS.items()}
    for kind, members in made.items():
        for number, (name, find, truth) in enumerate(members):
            yield Case(kind, name, ("tuning", "last")[number % 2], find, truth)


Made = Iterator[tuple[str, Callable[[int], Front], Callable[[Equation], str]]]


def _exact() -> Made:
    for name in (*EASY[:6], *HARD):
        law = TEXTBOOK[name]
        yield name, asked(law, law.draw(N_ROWS, 1)), of_law(law)


def _data(noise: float) -> Made:
    for number, name in enumerate((*EASY, *HARD[:4])):
        law = TEXTBOOK[name]
        X = law.draw(N_ROWS, 2)
        y = law(X)[:, 0]
        y = y + noise * y.std() * np.random.default_rng(number).normal(size=len(y))
        # What noise leaves of the constants is the law's all the same: it need not be exact by error.
        yield name, from_data(X, y), of_law(law, noise**2)


def _good() -> Made:
    for name in (*LEARNED, "I.27.6", "I.37.4"):
        law = TEXTBOOK[name]
        teacher, error = learned(law, **LEARNED.get(name, {"steps": 4000}))
        yield name, asked(teacher, law.draw(N_ROWS, 3)), of_law(law, error)


def _rough() -> Made:
    for number, case in enumerate(islice(networks.cases("tuning"), 40)):
        if number % 5 in (0, 3):
            X, teacher, error = networks.teacher_of(case)
            yield f"{case.law.name}-{case.activation}", asked(teacher, X), of_law(case.law, error)


def _obeying() -> Made:
    wide = ((-1, -1, 1), (1, 1, 3))
    for name, inner, encode, law in (
        (
            "difference",
            Law("", "x1*exp(-1*square(x0))", (-2, 1), (2, 3)),
            lambda x: np.stack([x[:, 0] - x[:, 1], x[:, 2]], axis=1),
            Law("", "x2*exp(-1*square(x0 - x1))", *wide),
        ),
        (
            "some-inputs",
            Law("", "x0*x1/(x0 + x1)", (1, 1), (3, 3)),
            lambda x: x[:, :2],
            Law("", "x0*x1/(x0 + x1)", (1, 1, -1, 0), (3, 3, 1, 1)),
        ),
        (
            "distance",
            Law("", "x1/(x0 + 0.5)", (0, 1), (8, 3)),
            lambda x: np.stack([square_distance(x), x[:, 3]], axis=1),
            Law("", "x3/(square(x0 - x1) + square(x2) + 0.5)", (-1, -1, -2, 1), (1, 1, 2, 3)),
        ),
        (
            "ratio",
            Law("", "x1*sin(2*x0)", (0.3, 1), (3, 3)),
            lambda x: np.stack([x[:, 0] / x[:, 1], x[:, 2]], axis=1),
            Law("", "x2*sin(2*x0/x1)", (1, 1, 1), (3, 3, 3)),
        ),
    ):
        network, error = learned(inner, steps=4000)
        for dtype in (np.float64, np.float32):
            block = lambda x, network=network, encode=encode, dtype=dtype: network(encode(x)).astype(dtype)  # noqa: E731
            yield f"{name}-{np.dtype(dtype).itemsize * 8}", asked(block, law.draw(N_ROWS, 5)), of_law(law, error)


def square_distance(x: np.ndarray) -> np.ndarray:
    return (x[:, 0] - x[:, 1]) ** 2 + x[:, 2] ** 2


def _random(by_asking: bool, noise: float = 0.0) -> Made:
    for seed in range(12):
        n_inputs = 1 + seed % 5
        net = random_network(seed, n_inputs)
        X = np.random.default_rng(seed).uniform(-2, 2, (N_ROWS, n_inputs))
        y = net(torch.as_tensor(X, dtype=torch.float32))[:, 0].numpy().astype(float)
        y = y + noise * y.std() * np.random.default_rng(50 + seed).normal(size=len(y))
        # With one input a sum of tanh can be short enough to be written out, but these have 24 and 24 units.
        yield f"net{seed}-{n_inputs}", asked(net, X) if by_asking else from_data(X, y), lambda pick: "approximation"


def _nothing() -> Made:
    for seed in range(10):
        rng = np.random.default_rng(100 + seed)
        X = rng.uniform(-2, 2, ((60, 200, 500, 1000)[seed % 4], 1 + seed % 4))
        yield f"noise{seed}", from_data(X, rng.normal(size=len(X))), lambda pick: "none"


def _linear() -> Made:
    for seed, n_inputs in enumerate((1, 3, 5, 8)):
        torch.manual_seed(seed)
        net = torch.nn.Linear(n_inputs, 1).requires_grad_(False)
        X = np.random.default_rng(seed).normal(size=(N_ROWS, n_inputs))
        y = net(torch.as_tensor(X, dtype=torch.float32))[:, 0].numpy().astype(float)
        truth = _linear_truth(X, y)
        yield f"linear{n_inputs}-asked", asked(net, X), truth
        yield f"linear{n_inputs}-data", from_data(X, y), truth


def _linear_truth(X: np.ndarray, y: np.ndarray) -> Callable[[Equation], str]:
    return lambda pick: "law" if np.mean((pick.predict(X) - y) ** 2) < 1e-10 * y.var() else "approximation"


def _constant() -> Made:
    X = np.random.default_rng(0).normal(size=(N_ROWS, 2))
    for value in (0.0, 3.25, -1e6, 1e-9):
        yield f"{value:g}", asked(_constant_block(value), X), lambda pick: "law"


def _constant_block(value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.full(len(x), value)


_MAKERS: dict[str, Callable[[], Made]] = {
    "exact": _exact,
    "data": lambda: _data(0.0),
    "noise-1": lambda: _data(0.01),
    "noise-10": lambda: _data(0.1),
    "good": _good,
    "rough": _rough,
    "obeying": _obeying,
    "random": lambda: _random(True),
    "random-data": lambda: _random(False),
    "random-10": lambda: _random(False, 0.1),
    "nothing": _nothing,
    "linear": _linear,
    "constant": _constant,
}


def run(case: Case, seconds: int) -> Result:
    started = time.process_time()
    front = case.find(seconds)
    spent = time.process_time() - started
    verdict = front.verdict
    return Result(
        case.kind,
        case.name,
        case.half,
        case.truth(front.best),
        verdict.kind,
        verdict.because,
        verdict.unexplained,
        verdict.least,
        verdict.noise_floor,
        verdict.sharpness,
        verdict.confirmed,
        front.rows_asked,
        front.stop_reason,
        spent,
        str(front.best),
    )


def line(r: Result) -> str:
    mark = "" if r.truth == r.verdict else "  <--"

    def number(value: float | None) -> str:
        return f"{'':8}" if value is None else f"{value:8.1e}"

    figures = f"{number(r.unexplained)} {number(r.least)} {number(r.floor)} {r.sharpness:6.1f} {r.confirmed!s:>5}"
    return (
        f"{r.half:>6} {r.kind:>11} {r.name:>18} {r.truth:>13} {r.verdict:>13} {figures} {r.rows_asked:6} "
        f"{r.seconds:6.1f} {r.stop_reason:>10} {r.equation[:50]}{mark}"
    )


def table(results: list[Result], title: str) -> str:
    """The confusion table: what was right by row, what was said by column; and the kinds with mistakes."""
    rows = [f"{title}: {sum(r.truth == r.verdict for r in results)} of {len(results)} verdicts are right"]
    rows.append(f"{'right':>15} | said: " + "  ".join(f"{v:>13}" for v in VERDICTS))
    for truth in VERDICTS:
        counts = [sum(r.truth == truth and r.verdict == said for r in results) for said in VERDICTS]
        rows.append(f"{truth:>15} |       " + "  ".join(f"{count:13}" for count in counts))
    for kind in KINDS:
        members = [r for r in results if r.kind == kind]
        if members:
            right = sum(r.truth == r.verdict for r in members)
            rows.append(f"{kind:>15} | {right} of {len(members)}")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=("tuning", "last"), help="only this one")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--every", type=int, default=1, help="each N-th case; if odd, of both halves")
    parser.add_argument("--offset", type=int, default=0, help="the first of these")
    parser.add_argument("--seconds", type=int, default=20, help="time limit of each search")
    parser.add_argument("--json", metavar="FILE", help="write every result to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    results = []
    chosen = [case for case in cases() if case.kind in args.kinds and args.half in (None, case.half)]
    for case in chosen[args.offset :: args.every]:
        results.append(run(case, args.seconds))
        print(line(results[-1]), flush=True)
        if args.json:
            record.keep(args.json, [asdict(r) for r in results])
    for half in ("tuning", "last"):
        if members := [r for r in results if r.half == half]:
            print("\n" + table(members, half))


if __name__ == "__main__":
    main()
