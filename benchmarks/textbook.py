"""Whether a law is printed as a textbook prints it: the picks of the 120 Feynman laws beside their formulas.

    python benchmarks/textbook.py                                  # all 120, asked
    python benchmarks/textbook.py --every 3 --json textbook.json
    python benchmarks/textbook.py --laws I.12.1 II.11.27

Protocol: the laws of ``feynman.csv`` as in ``srbench.py``, with its operators; 1,000 rows, and the law itself
may be asked. The text of the engine's default pick is printed beside the formula of the table, with one word:

``same``      equal up to the order of terms and factors and the placing of signs: both are brought into one
              form that drops these (:mod:`symtorch.equations.canonical`), and the forms are equal, constants
              to nine digits;
``simpler``   the same function on fresh rows, at a lower complexity (PySR's count in these operators) than the
              formula: the table's are as AI Feynman typed them, ``x0*x3*x4*x2/(x1/(2*pi))``, and complexity is
              what a front is sorted by, so that no textbook form is preferred that costs more;
``unlike``    the same function, as complex as the formula or more;
``not found`` another function.

Beside ``simpler`` and ``unlike`` stand the kinds of steps that lead from the formula to the pick or back, the fewest
that do: ``cancelled`` (powers and numbers joined), ``factors`` (a factor or a denominator drawn out of a sum, or taken
into one), ``division`` (a term of a numerator by itself, or one as a correction to another), ``squares`` (completed),
``roots``, ``angles``, ``exponentials``, ``logarithms``. They are found by the engine's own algebra; ``?`` where that
finds no way in two kinds.

Constants of a formula are multiplied together, ``1/(4*pi)`` is one number. Nothing is multiplied out,
factored, collected, or put over one denominator: what differs there is ``simpler`` or ``unlike``.
"""

from __future__ import annotations

import argparse
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
from symtorch.equations.normal import normalise

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
    judgement: str
    way: str
    seconds: float
    pick: str
    textbook: str


def judged(pick: Equation, law: Law) -> str:
    """The word for a pick; see the head of this file."""
    if error(pick, law, law.draw(10_000, 90_000)) > FOUND:
        return "not found"
    found, textbook = canonical(pick.expr), canonical(law.expr)
    if found == textbook and np.allclose(found.numbers, textbook.numbers, rtol=1e-9, atol=0.0):
        return "same"
    words = Vocabulary(SearchOptions.from_params(SEARCH_SPACE))
    written = words.render(normalise(law.expr))  # None where it takes another operator, as acos
    return "simpler" if written is not None and pick.complexity < words.complexity(written) else "unlike"


def way(pick: Equation, law: Law) -> str:
    """The kinds of steps that lead from the formula to the pick or back."""
    words = Vocabulary(SearchOptions.from_params(SEARCH_SPACE))
    ends = normalise(law.expr), normalise(pick.expr)
    goals = [canonical(end) for end in ends]
    if goals[0] == goals[1]:
        return "cancelled"
    for n in (1, 2):
        for kinds in combinations(STEPS, n):
            steps = [rule for kind in kinds for rule in STEPS[kind]]
            for end, goal in zip(ends, reversed(goals), strict=True):
                forms = forms_of(end, words, FORMS, LONGER, steps)
                if any(canonical(normalise(form)) == goal for form in forms):
                    return ", ".join(kinds)
    return "?"


def run(law: Law, seconds: float, seed: int) -> Result:
    front, took = search(law, 0.0, True, seed, seconds)
    text = str(Equation(law.expr, law.names, 0, 0.0))
    judgement = judged(front.best, law)
    steps = way(front.best, law) if judgement in ("simpler", "unlike") else ""
    return Result(law.name, judgement, steps, took, str(front.best), text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="limit of each search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--laws", nargs="+", default=[], help="only these")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--json", metavar="FILE", help="write every result to this file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [law for which in ("feynman", "bonus") for law in laws(which)]
    chosen = [law for law in chosen if not args.laws or law.name in args.laws][args.offset :: args.every]
    results = []
    for law in chosen:
        r = run(law, args.seconds, args.seed)
        results.append(r)
        print(f"{r.law:>10} {r.seconds:5.1f} {r.judgement:>9}  {r.pick}\n{'':>27}  {r.textbook}", flush=True)
        if r.way:
            print(f"{'':>27}  by: {r.way}", flush=True)
    counts = Counter(r.judgement for r in results)
    words = ", ".join(f"{counts[word]} {word}" for word in ("same", "simpler", "unlike", "not found"))
    print(f"\n{len(results)} laws: {words}")
    ways = Counter(r.way for r in results if r.way)
    print("ways: " + ", ".join(f"{n} {way}" for way, n in ways.most_common()))
    if args.json:
        record.keep(args.json, [asdict(r) for r in results])


if __name__ == "__main__":
    main()
