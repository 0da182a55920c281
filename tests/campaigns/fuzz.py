# ruff: noqa: T201
"""States of every kind of model, changed where it hurts: each loads and runs, or is refused and changes nothing.

    python tests/campaigns/fuzz.py --seconds 3600

Changes know the document: numbers get other numbers, equations other tokens, lists lose, double and swap members,
and parts of one model's document get into another's. What goes wrong is written to ``--keep``, a file each.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import random
import resource
import sys
import time
import traceback
from collections import Counter, namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from formula_engine import FormulaEngine

from symtorch import SymbolicModel
from symtorch.equations.definitions import operator
from symtorch.errors import StateError, SymTorchError

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
FORMULAS = ("0.5", "x0*1.5 - 1/3", "sin(x0)*x1^2 + max(x1, x2)", "exp(-x2)/(x1^2 + 0.1) + (x0 > 0.25)*x1")
SLOW = 5.0
"""CPU seconds within which a document of some kilobytes must be read or refused."""

Pair = namedtuple("Pair", "value rest")


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def distilled(engine: Any = None, block: Any = None, **more: Any) -> SymbolicModel:
    torch.manual_seed(0)
    model = SymbolicModel(block or network(), "block")
    model.distill(X, engine=engine or FormulaEngine(*FORMULAS), **more)
    return model


# ---- every kind of model


def plain() -> SymbolicModel:
    return distilled()


def switched() -> SymbolicModel:
    model = distilled()
    model.switch_to_symbolic([4, 10], compile=False)
    return model


def guarded_by_the_block() -> SymbolicModel:
    model = distilled(FormulaEngine("1", "log(x0)"))
    model.switch_to_symbolic(4, guard="block")
    return model


def guarded_by_an_error() -> SymbolicModel:
    model = distilled(FormulaEngine("1", "x0/(x1^2 + 1)"))
    model.switch_to_symbolic(4, guard="raise")
    return model


def local() -> SymbolicModel:
    model = distilled(SLIME=True, slime_params={"x": X[0].numpy()})
    model.distill(X, engine=FormulaEngine(*FORMULAS[:2]))
    model.switch_to_symbolic(7, SLIME=True)
    return model


def trained() -> SymbolicModel:
    model = distilled()
    model.switch_to_symbolic(10)
    assert model.surrogate is not None
    model.surrogate.function.trainable_constants()
    with torch.no_grad():
        model.surrogate.function.constants.add_(0.125)
    return model


def pruned() -> SymbolicModel:
    model = distilled()
    model.setup_pruning(2, 1, 4)
    model.prune(3, X)
    model.switch_to_symbolic(7)
    return model


def with_formulas() -> SymbolicModel:
    engine = FormulaEngine("0.5", "a - 1.5", "sin(a)*r^2")
    model = distilled(engine, variable_transforms={"a": "x0 - x2", "r": "sqrt(x0^2 + x1^2) + 0.01"})
    model.switch_to_symbolic(7)
    return model


def with_functions() -> SymbolicModel:
    engine = FormulaEngine("0.5", "a - 1.5", "a*r")
    model = distilled(engine, variable_transforms={"a": "x0 - x2", "r": lambda x: x[:, 0].abs()})
    model.switch_to_symbolic(7)
    return model


def with_operators() -> SymbolicModel:
    bump = operator("bump(x, y) = exp(-x^2/(1 + y^2))")
    model = distilled(FormulaEngine("0.5", "bump(x0, x1 + 2) + bump(x1, 1)", operators=[bump]))
    model.switch_to_symbolic(4)
    return model


class Parts(nn.Module):
    """Returns a named tuple, and takes an argument that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> Any:
        return Pair(self.inner(x) * scale, None)


def with_parts() -> SymbolicModel:
    model = distilled(block=Parts(), output_index=0)
    model.switch_to_symbolic(7)
    return model


KINDS: tuple[Callable[[], SymbolicModel], ...] = (
    plain, switched, guarded_by_the_block, guarded_by_an_error, local, trained, pruned, with_formulas,
    with_functions, with_operators, with_parts,
)  # fmt: skip

# ---- changes

NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    20,
    64,
    1000,
    65_536,
    65_537,
    1 << 22,
    1 << 24,
    1 << 62,
    1 << 63,
    10**400,
    0.5,
    1e-320,
    1e308,
)
TEXTS = (
    "", "x0", "a", "nan", "inf", "x0.__class__", "__import__('os')", "9**9**9**9", "x0" + "+x0" * 3000, "(" * 200,
    "sin", "torch:_inductor", "cuda:0", "meta", "float32", "complex64", "\x00", "é", "\ud800", "𝔵", "block", "local",
)  # fmt: skip
TOKENS = (
    "x0",
    "x1",
    "x2",
    "a",
    "r",
    "bump(",
    "sin(",
    "(",
    ")",
    "+",
    "*",
    "/",
    "^",
    "<",
    ",",
    "1e308",
    "0",
    "-",
    " if ",
    " else ",
    "a0",
)


def ways(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, part in inner for place in ways(part, (*way, key)))]


def at(value: Any, way: tuple[Any, ...]) -> Any:
    for key in way:
        value = value[key]
    return value


def new_text(text: str, rng: random.Random) -> str:
    if rng.random() < 0.4:
        return rng.choice(TEXTS)
    i = rng.randrange(len(text) + 1)
    token = rng.choice(TOKENS) * rng.choice((1, 1, 1, 30))
    return text[:i] + token + text[i + rng.choice((0, 0, 1, 3)) :]


def new_value(old: Any, other: Any, rng: random.Random) -> Any:
    """Something in the old one's place: near it, of its kind, or from anywhere in another document."""
    if rng.random() < 0.2:
        return copy.deepcopy(at(other, rng.choice(ways(other))))
    if isinstance(old, bool):
        return not old
    if isinstance(old, (int, float)):
        return rng.choice((*NUMBERS, -old, old + 1, old * 2))
    if isinstance(old, str):
        return new_text(old, rng)
    if isinstance(old, list) and old:
        new = list(old)
        i, j = rng.randrange(len(new)), rng.randrange(len(new))
        match rng.randrange(4):
            case 0:
                del new[i]
            case 1:
                new.insert(i, copy.deepcopy(new[j]))
            case 2:
                new[i], new[j] = new[j], new[i]
            case 3:
                new *= rng.choice((2, 10, 300))
        return new
    if isinstance(old, dict) and old:
        kept = dict(old)
        del kept[rng.choice(sorted(old))]
        return kept
    return rng.choice((None, True, 0, "x0", [], {}, [[]]))


def changed(document: Any, other: Any, rng: random.Random) -> Any:
    document = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        way = rng.choice(ways(document)[1:] or [()])
        if not way:
            return document
        at(document, way[:-1])[way[-1]] = new_value(at(document, way), other, rng)
    return document


# ---- what must hold


def load(original: SymbolicModel, data: bytes) -> str:
    """Load into a copy: "loaded" or "refused"; anything else raises."""
    model = copy.deepcopy(original)
    before = original.state_dict()
    modules = set(sys.modules)
    state = {"_extra_state": torch.from_numpy(np.frombuffer(data, np.uint8).copy())}
    began = time.process_time()
    try:
        model.load_state_dict({key: torch.zeros_like(value) for key, value in before.items()} | state)
    except StateError:
        after = model.state_dict()
        assert all(torch.equal(after[key], before[key]) for key in before), "refused, but changed"
        return "refused"
    finally:
        seconds = time.process_time() - began
        assert seconds < SLOW, f"{seconds:.1f} s for {len(data):,} bytes"
    assert not any(name.startswith("torch._inductor") for name in {*sys.modules} - modules), "torch._inductor imported"
    use(model)
    again = copy.deepcopy(original)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.get_extra_state(), model.get_extra_state()), "another state after loading it again"
    return "loaded"


def use(model: SymbolicModel) -> None:
    """What a user does with a model; errors of ours are answers too."""
    assert str(model)
    for fronts in (model.fronts, model.slime_fronts):
        for front in fronts.values():
            assert str(front)
            assert np.shape(front.predict(np.zeros((2, len(front[0].variable_names))))) == (2,)
    with contextlib.suppress(SymTorchError):
        model(X)
    with contextlib.suppress(SymTorchError):
        model.switch_to_symbolic(compile=False)
        model(X)
    model.switch_to_block()
    with contextlib.suppress(SymTorchError):  # a mask may be for another number of outputs
        model(X)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(args.seed)
    models = {make.__name__: make() for make in KINDS}
    documents = {name: json.loads(bytes(model.get_extra_state().numpy())) for name, model in models.items()}
    counts: Counter[str] = Counter()
    for name, document in documents.items():
        assert load(models[name], json.dumps(document).encode()) == "loaded", name
    end = time.monotonic() + args.seconds
    n = 0
    while time.monotonic() < end:
        name, n = rng.choice(list(models)), n + 1
        document = changed(documents[name], documents[rng.choice(list(models))], rng)
        data = json.dumps(document).encode()
        try:
            counts[f"{name}: {load(models[name], data)}"] += 1
        except Exception as error:
            what = f"{type(error).__name__}: {str(error)[:200]}"
            counts[f"{name}: WRONG"] += 1
            args.keep.mkdir(exist_ok=True)
            (args.keep / f"{args.seed}-{n}-{name}.json").write_bytes(data)
            print(f"{n}: {name}: {what}\n{traceback.format_exc(limit=-4)}", flush=True)
    for what, count in sorted(counts.items()):
        print(f"{count:>7}  {what}")
    wrong = sum(count for what, count in counts.items() if what.endswith("WRONG"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{n:,} states in {args.seconds:,.0f} s (seed {args.seed}), {wrong} with something wrong; peak {peak:,.0f} MB"
    )
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
