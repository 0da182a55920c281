# ruff: noqa: T201
"""Wrap, distill, switch, run, train, save, load, unwrap, time and again: memory, descriptors and memory maps stay flat.

    python tests/campaigns/cycles.py --seconds 3600

Every cycle has another network and other equations, so each compiles a library of its own. What the process holds is
noted once per tenth of the time, and must not grow from the fifth tenth to the last by more than ``ALLOWED``.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import random
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from formula_engine import FormulaEngine

import symtorch


@dataclass(frozen=True)
class Held:
    """What the process holds: resident MB, file descriptors, memory maps, threads, entries among temporary files."""

    megabytes: float
    descriptors: int
    maps: int
    threads: int
    temporary: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
        return cls(
            int(status["VmRSS"].split()[0]) / 1024,
            len(os.listdir("/proc/self/fd")),
            len(Path("/proc/self/maps").read_text().splitlines()),
            int(status["Threads"]),
            len(os.listdir(tempfile.gettempdir())),
        )


ALLOWED = Held(megabytes=25.0, descriptors=0, maps=12, threads=0, temporary=0)
"""Growth that is none: what the allocator keeps, and arenas it has not given back."""


def cycle(rng: random.Random, folder: Path, native: bool) -> None:
    """One life of a block."""
    width = rng.randrange(3, 6)
    X = torch.randn(64, width)
    model: Any = nn.Sequential(nn.Linear(width, 2), nn.Tanh(), nn.Linear(2, 2))
    symtorch.wrap(model, "0")
    a, b = rng.uniform(-2, 2), rng.uniform(0.1, 2)
    engine: Any = FormulaEngine(f"{a!r}", f"x0*{a!r} + {b!r}", f"sin(x1*{a!r}) + x0^2/({b!r} + x2^2)")
    options: dict[str, Any] = {}
    if native:
        engine, options = "native", {"niterations": 1, "timeout_in_seconds": 1, "random_state": rng.randrange(1000)}
    how: dict[str, Any] = {"variable_transforms": ["x0 + x1", "x2^2", "x0*x2"]} if rng.random() < 0.3 else {}
    symtorch.distill(model, X, engine=engine, sr_params=options, save_path=folder, **how)
    block = model[0]
    block.switch_to_symbolic(compile=rng.choice((True, False, "auto")), guard=rng.choice(("none", "block")))
    model(X)
    with torch.no_grad():
        model(X)
    block.surrogate.function.trainable_constants()
    model(X).sum().backward()
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    buffer.seek(0)
    model.load_state_dict(torch.load(buffer, weights_only=True))
    with torch.no_grad():
        model(X)
    block.save(folder / "block.symtorch")
    symtorch.SymbolicModel.load(folder / "block.symtorch", trusted=True)
    block.switch_to_block()
    model(X)
    symtorch.unwrap(model, model[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    rng, n = random.Random(args.seed), 0
    notes: list[Held] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="symtorch-cycles-") as outer:
        tempfile.tempdir = str(Path(outer))  # so that what is left there is ours
        folder = Path(outer) / "own"
        folder.mkdir()
        while (passed := time.monotonic() - began) < args.seconds:
            cycle(rng, folder, native=n % 20 == 7)
            n += 1
            if passed >= len(notes) * args.seconds / 10:
                notes.append(Held.now())
                print(f"{n:>6} cycles: {notes[-1]}", flush=True)
        notes.append(Held.now())
        tempfile.tempdir = None
    growth = [last - half for half, last in zip(astuple(notes[len(notes) // 2]), astuple(notes[-1]), strict=True)]
    wrong = [g > most for g, most in zip(growth, astuple(ALLOWED), strict=True)]
    print(f"{n:,} cycles in {args.seconds:,.0f} s (seed {args.seed}); growth in the second half: {Held(*growth)}")
    sys.exit(any(wrong))


if __name__ == "__main__":
    main()
