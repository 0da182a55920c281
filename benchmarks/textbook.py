"""Whether a law is shown as a textbook prints it: the picks of the 120 Feynman laws beside their formulas.

    python benchmarks/textbook.py                                  # all 120, asked
    python benchmarks/textbook.py --every 3 --json textbook.json
    python benchmarks/textbook.py --laws I.12.1 II.11.27

Protocol: the laws of ``feynman.csv`` as in ``srbench.py``, with its operators; 1,000 rows, and the law itself
may be asked. What is shown of the engine's default pick (``Equation.textbook``, with the signs that the rows have)
is printed beside the formula of the table, with one word:

``same``      equal up to the order of terms and factors, the placing of signs, and numbers that multiply one
              another: both are brought into one form that drops these (:mod:`symtorch.equations.canonical`), and
              the forms are equal, constants to nine digits;
``unlike``    the same function on fresh rows;
``not found`` another function.

The equation itself, whose complexity is the front's axis, stands in its shortest form, and on a line of its own
where that is not the one shown; how many of these are the table's is printed as well.

Beside ``unlike`` stand the kinds of steps that lead from the formula to the form or back, the fewest that do:
``cancelled`` (powers and numbers joined), ``factors`` (a factor or a denominator drawn out of a sum, or taken into
one), ``division`` (a term of a numerator by itself, or one as a correction to another), ``squares`` (completed),
``roots``, ``angles``, ``exponentials``, ``logarithms``. They are found by algebra; ``?`` where that finds no way in
two kinds.

Nothing is multiplied out, factored, collected, or put over one denominator before forms are compared: what differs
there is ``unlike``. The table types some laws as they were convenient to type (``x0*x3*x4*x2/(x1/(2*pi))``, which
counts as ``2*pi*x0*x2*x3*x4/x1``), most as the source prints them; it alone counts here, though of some laws other
books print other forms (``sqrt((c + v)/(c - v))``).

The weights of what makes a form hard to read (:mod:`symtorch.equations.readable`) were chosen on the laws at even
places of the table; the counts of both halves are printed apart.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
import record
import torch
from srbench import SEARCH_SPACE, Law, error, laws, search

from symtorch.engines.native.forms.simplify import forms_of
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.options import SearchOptions
from symtorch.equations import Equation, rules
from symtorch.equations.canonical import canonical
from symtorch.equations.expr import Expr, to_text
from symtorch.equations.normal import normalise
from symtorch.equations.textbook import signs_of, textbook

FOUND = 1e-20
"""Squared error on fresh rows, as a share of the law's variance, up to which two functions are the same."""

FORMS, LONGER = 150, 6.0
"""Forms of a formula that are looked at for a way to the pick, and how much longer they may be."""

STEPS = {
    "factors": (rules.multiply_out, rules.extract, rules.gather, rules.absorb, rules.flip),
    "division": (rules.take_out, rules.divide_out),
    "squares": (rules.complete_square,),
    "roots": (rules.common_power,),
    "angles": (rules.one_wave, rules.half_angle, rules.quarter_turns),
    "exponentials": (rules.hyperbolic, rules.exponential),
    "logarithms": (rules.join_logs, rules.exp_of_logs),
}

# ---- the laws


@dataclass(frozen=True)
class Result:
    """One law."""

    law: str
    place: int
    judgement: str
    way: str
    seconds: float
    display_seconds: float
    shown: str
    equation: str
    textbook: str
    equation_is_same: bool


def judged(pick: Equation, form: Expr, law: Law) -> str:
    """The word for what is shown of a pick; see the head of this file."""
    if error(pick, law, law.draw(10_000, 90_000)) > FOUND:
        return "not found"
    return "same" if alike(form, law.expr) else "unlike"


def alike(one: Expr, other: Expr) -> bool:
    """Whether two trees differ by no more than the order of terms and factors, and signs."""
    a, b = canonical(one), canonical(other)
    return a == b and np.allclose(a.numbers, b.numbers, rtol=1e-9, atol=0.0)


def way(form: Expr, law: Law) -> str:
    """The kinds of steps that lead from the formula to the form or back."""
    words = Vocabulary(SearchOptions.from_params(SEARCH_SPACE))
    ends = normalise(law.expr), normalise(form)
    goals = [canonical(end) for end in ends]
    if goals[0] == goals[1]:
        return "cancelled"
    for n in (1, 2):
        for kinds in combinations(STEPS, n):
            steps = [rule for kind in kinds for rule in STEPS[kind]]
            for end, goal in zip(ends, reversed(goals), strict=True):
                forms = forms_of(end, words, FORMS, LONGER, steps)
                if any(canonical(normalise(other)) == goal for other in forms):
                    return ", ".join(kinds)
    return "?"


def run(law: Law, place: int, seconds: float, seed: int) -> Result:
    front, took = search(law, 0.0, True, seed, seconds)
    pick = front.with_signs(signs_of(law.draw(1_000, seed))).best
    start = time.process_time()
    form = textbook(pick.expr, pick.signs)
    display = time.process_time() - start
    judgement = judged(pick, form, law)
    return Result(
        law.name,
        place,
        judgement,
        way(form, law) if judgement == "unlike" else "",
        took,
        display,
        pick.textbook,
        str(pick),
        to_text(law.expr, law.names, digits=5),
        judgement != "not found" and alike(pick.expr, law.expr),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="limit of each search")
    parser.add_argument("--cpu", action="store_true", help="the limit is one of CPU-seconds: for a busy machine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--laws", nargs="+", default=[], help="only these")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="write every result to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.cpu:
        time.monotonic = time.process_time  # by which every part of a search tells the time
    chosen = [item for item in enumerate(laws("120"), start=1) if not args.laws or item[1].name in args.laws]
    results = []
    for place, law in chosen[args.offset :: args.every]:
        r = run(law, place, args.seconds, args.seed)
        results.append(r)
        print(f"{r.law:>10} {r.seconds:5.1f} {r.judgement:>9}  {r.shown}\n{'':>27}  {r.textbook}", flush=True)
        if r.equation != r.shown:
            print(f"{'':>27}  found as: {r.equation}", flush=True)
        if r.way:
            print(f"{'':>27}  by: {r.way}", flush=True)
    counts = Counter(r.judgement for r in results)
    print(f"\n{len(results)} laws: " + ", ".join(f"{counts[word]} {word}" for word in ("same", "unlike", "not found")))
    for parity, half in (
        ("even", [r for r in results if r.place % 2 == 0]),
        ("odd", [r for r in results if r.place % 2]),
    ):
        print(f"at {parity} places: {sum(r.judgement == 'same' for r in half)} of {len(half)} same")
    print(f"equations as they were found: {sum(r.equation_is_same for r in results)} same")
    ways = Counter(r.way for r in results if r.way)
    print("ways: " + ", ".join(f"{n} {way}" for way, n in ways.most_common()))
    spent = [1e3 * r.display_seconds for r in results]
    print(f"looking for the form: median {statistics.median(spent):.0f} ms, at most {max(spent):.0f} ms")
    if args.json:
        record.keep(args.json, [asdict(r) for r in results])


if __name__ == "__main__":
    main()
