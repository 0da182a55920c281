"""Which of the numbers that steer the native search matter? Each is halved and doubled on a fixed set of laws.

    python benchmarks/sensitivity.py                                  # every number: hours
    python benchmarks/sensitivity.py --stages SearchTuning PursuitTuning
    python benchmarks/sensitivity.py --stages GuessTuning --fields block agree --json block.json
    python benchmarks/sensitivity.py --cases data:coulomb learned:heat --seeds 0 1

Protocol. A case is a way of searching and a law of problems.py: ``asked:`` with the law as the teacher, ``data:``
from 1,000 rows alone, ``learned:`` with a trained network as the teacher; ``sums:3`` are three outputs of
many_outputs at once, from 1,000 rows alone. The default set has laws that end in the first stages, laws that need
pursuit, and networks; one pass over it takes about 20 CPU-seconds. It is searched once with the numbers as they are,
then once more for every number of every stage (a field of its dataclass) halved, and doubled; all else, seeds
included, stays. The first pass notes which numbers each case reads, and only cases that read a number are searched
again for it. Whole numbers stay whole and at least 1. Numbers between one half and three halves, which are shares of
the rows or factors of a loss, are moved to half and twice what they are off 1. Of a tuple all numbers are scaled at
once.

A line says what differs from the first pass: laws lost or won (the default pick is the law as laws.py
judges it), other picks, the geometric mean of the ratios of the picks' errors where the teacher is a network,
and the ratio of the CPU times of the cases that read the number. Picks that differ but are laws all the same
are other forms of one law. A number whose halves and doubles change no case does not matter on this set; that is
a reason to remove it only if a reader would miss nothing.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import laws
import numpy as np
import problems
import record
import torch

from symtorch.engines.native.fitting.tuning import FittingTuning
from symtorch.engines.native.flat.tuning import (
    BankTuning,
    ChoosingTuning,
    GuessTuning,
    PursuitTuning,
    RefineTuning,
    SearchTuning,
    SharingTuning,
)
from symtorch.engines.native.forms.tuning import FormsTuning
from symtorch.engines.native.screening import ScreeningTuning
from symtorch.engines.native.structure.tuning import StructureTuning
from symtorch.engines.native.task import TaskTuning
from symtorch.engines.native.tuning import tuned
from symtorch.engines.samples import Samples

STAGES: tuple[type, ...] = (
    FormsTuning,
    FittingTuning,
    SearchTuning,
    BankTuning,
    ChoosingTuning,
    GuessTuning,
    RefineTuning,
    PursuitTuning,
    SharingTuning,
    StructureTuning,
    ScreeningTuning,
    TaskTuning,
)
CASES = (
    "asked:newton",
    "asked:II.6.15a",
    "asked:I.16.6",
    "data:gravity",
    "data:heat",
    "data:coulomb",
    "data:spring",
    "data:relativity",
    "learned:gravity",
    "learned:III.17.37",
    "learned:I.44.4",
    "sums:3",
)


Case = tuple[str, int]
"""A way and a law, and the seed."""


@dataclass(frozen=True)
class Outcome:
    """One case searched once."""

    found: bool
    error: float
    pick: str
    seconds: float


@dataclass(frozen=True)
class Change:
    """One number changed, and what the cases make of it."""

    stage: str
    field: str
    value: Any
    changed_to: Any
    cases: int
    lost: list[str]
    won: list[str]
    other_picks: list[str]
    error_ratio: float
    time_ratio: float


def solve(case: str, seed: int) -> Outcome:
    """Search a case, and judge the default pick of every output as laws.py does."""
    way, name = case.split(":")
    members = problems.many_outputs(int(name)) if way == "sums" else [problems.LAWS[name]]
    teacher, network = None, 0.0
    if way == "learned":
        teacher, network = problems.learned(members[0], **problems.LEARNED.get(name, {}))
    if way == "sums":
        X = members[0].draw(1000, seed)
        samples = Samples(X, np.hstack([law(X) for law in members]))
    else:
        samples = problems.samples(members[0], teacher, seed, queries=way != "data")
    fronts, seconds = laws.search(samples, seed)
    results = [
        laws.judge(way, law, seed, seconds, front, float(samples.Y[:, k].var()), network, algebra=False)
        for k, (law, front) in enumerate(zip(members, fronts, strict=True))
    ]
    return Outcome(
        all(result.found for result in results),
        max(result.error for result in results),
        "; ".join(result.equation for result in results),
        seconds,
    )


def scaled(value: Any, factor: float) -> Any:
    """A number of a Tuning halved or doubled; see the protocol.

    >>> scaled(3, 0.5), scaled(1, 0.5), scaled(0.2, 2.0), scaled(0.98, 2.0), scaled(1.02, 0.5), scaled((0.6, 2.0), 2.0)
    (2, 1, 0.4, 0.96, 1.01, (1.2, 4.0))
    """
    if isinstance(value, tuple):
        return tuple(part * factor if isinstance(part, float) else scaled(part, factor) for part in value)
    if isinstance(value, int):
        return max(1, round(value * factor))
    if 0.5 < value < 1.5 and value != 1.0:
        return round(1.0 + (value - 1.0) * factor, 12)
    return value * factor


@contextmanager
def noting(seen: set[tuple[str, str]]) -> Iterator[None]:
    """Note (stage, field) of every number that is read inside."""

    def read(self: Any, name: str) -> Any:
        seen.add((type(self).__name__, name))
        return object.__getattribute__(self, name)

    for stage in STAGES:
        stage.__getattribute__ = read  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        for stage in STAGES:
            del stage.__getattribute__


def compare(before: dict[Case, Outcome], after: dict[Case, Outcome]) -> dict[str, Any]:
    """What differs in the cases that were searched again, as a :class:`Change` names it."""
    both = {f"{way}/{seed}": (before[way, seed], new) for (way, seed), new in after.items()}
    ratios = [
        math.log(new.error / old.error)
        for name, (old, new) in both.items()
        if name.startswith("learned:") and old.error > 0.0 and new.error > 0.0
    ]
    return {
        "cases": len(both),
        "lost": [name for name, (old, new) in both.items() if old.found and not new.found],
        "won": [name for name, (old, new) in both.items() if not old.found and new.found],
        "other_picks": [name for name, (old, new) in both.items() if old.pick != new.pick],
        "error_ratio": math.exp(sum(ratios) / len(ratios)) if ratios else 1.0,
        "time_ratio": sum(new.seconds for _, new in both.values()) / sum(old.seconds for old, _ in both.values())
        if both
        else 1.0,
    }


def variations(stages: Sequence[type], names: Sequence[str]) -> Iterator[tuple[Any, str, Any, Any]]:
    """(changed stage, field, its value, what it is changed to), every number halved and doubled."""
    for stage in stages:
        usual = stage()
        for field in fields(stage):
            value = getattr(usual, field.name)
            if names and field.name not in names:
                continue
            for factor in (0.5, 2.0):
                other = scaled(value, factor)
                if other != value:
                    yield replace(usual, **{field.name: other}), field.name, value, other


def short(value: Any) -> str:
    return f"{value[0]:g}, ..." if isinstance(value, tuple) else f"{value:g}"


def line(change: Change) -> str:
    moved = f"{short(change.value)} -> {short(change.changed_to)}"
    words = [
        f"{word} {', '.join(cases)}"
        for word, cases in (("lost", change.lost), ("won", change.won), ("other picks", change.other_picks))
        if cases
    ]
    return (
        f"{change.stage:>16} {change.field:>18} {moved:>22} {change.error_ratio:8.2f} {change.time_ratio:6.2f}  "
        f"{'; '.join(words) or ('-' if change.cases else 'no case reads it')}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", choices=[s.__name__ for s in STAGES], help="only these")
    parser.add_argument("--fields", nargs="+", default=[], help="only these fields")
    parser.add_argument("--cases", nargs="+", default=list(CASES), help="other cases, as data:LAW")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--json", metavar="FILE", help="write every change to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    before: dict[Case, Outcome] = {}
    read: dict[Case, set[tuple[str, str]]] = {}
    for case in itertools.product(args.cases, args.seeds):
        with noting(read.setdefault(case, set())):
            before[case] = outcome = solve(*case)
        mark = "law" if outcome.found else "no law"
        print(f"{case[0]:>24} {mark:>6} {outcome.error:8.1e} {outcome.seconds:6.1f} CPU-s  {outcome.pick[:70]}")
    print(f"\n{'stage':>16} {'number':>18} {'changed':>22} {'errors':>8} {'times':>6}  what differs", flush=True)
    chosen = [stage for stage in STAGES if args.stages is None or stage.__name__ in args.stages]
    changes: list[Change] = []
    for changed, name, value, other in variations(chosen, args.fields):
        readers = [case for case in before if (type(changed).__name__, name) in read[case]]
        with tuned(changed):
            after = {case: solve(*case) for case in readers}
        changes.append(Change(type(changed).__name__, name, value, other, **compare(before, after)))
        print(line(changes[-1]), flush=True)
        if args.json:
            record.keep(args.json, [asdict(change) for change in changes])
    print(f"\n{len(changes)} changes, {time.process_time() - started:.0f} CPU-s")


if __name__ == "__main__":
    main()
