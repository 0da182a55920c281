"""The numbers that steer the flat search: one dataclass for each of its stages.

A number without another reason was found by trial on the laws of ``benchmarks/laws.py``. What
``benchmarks/sensitivity.py`` showed, with the cases data:coulomb and data:heat (not each number with both; some with
learned:gravity, too), is said in one word: *steady* numbers may be halved and doubled, and every pick stays;
*unread* ones play no part in these cases; where neither is said, it was not run.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchTuning:
    """What the stages of the schedule are given to do."""

    bank_rows: int = 128
    """Rows that the bank has values on. Scans cost in proportion; a dozen constants need several times as many.
    Steady; half of them save 14 % of the time, twice as many cost 14 %."""
    few_rows: int = 256
    """Rows of the first fit of a candidate. Steady."""
    small_size: int = 12000
    """Expressions of the small bank, that most laws need no more than. Steady; half of them save 29 % of the time,
    twice as many cost 26 %."""
    small_level: int = 5
    """Largest level of its expressions. At 2 data:coulomb is lost; steady upwards."""
    large_size: int = 60000
    """Expressions of the large bank. Unread."""
    large_level: int = 7
    """Largest level of its expressions; with few operators there are no more below. Unread."""

    chosen_first: float = 1e-3
    """Share of the variance that a first guess with a step or a kink may leave: before there is a bank, such are made
    for laws that are nothing else. A threshold that is off by the gap between two of n rows leaves about 1/n."""
    chosen_across: int = 40
    """Expressions of the bank, the cheapest, across which steps and kinks are looked for."""
    chosen_between: int = 3
    """Equations so far that may be a side of a choice."""

    threshold_turns: int = 4
    """Turns in which thresholds are moved and the other constants fitted, at most; two or three are enough."""

    partners: int = 150
    """Expressions of the small bank that may stand beside another one in a first guess, the cheapest. Steady."""
    large_partners: int = 400
    """The same of the large bank."""
    guesses: int = 120
    """First guesses from the small bank that are fitted. Steady."""
    large_guesses: int = 200
    """The same from the large bank."""
    guesses_per_size: int = 5
    """Of each complexity, beside the best whatever their size. Steady."""
    sketch_partners: int = 40
    """Partners where a law is known and only simple approximations of it are wanted. Steady."""
    sketch_size: int = 4000
    """Expressions of the bank for those, the cheapest. Steady."""
    sketch_guesses: int = 80
    """Guesses for those. Steady."""
    sketched_in_full: int = 8
    """Outputs of one search up to which each has functions with a constant inside among the partners; of more, those
    whose law is known do without, which takes a tenth off a search for 32: three of their fronts had one line less."""

    hinted: float = 0.4
    """Part of the time that is left which those have who give hints."""

    offer_steps: int = 30
    """Steps of the fit of what comes from elsewhere: a guess of the user's, a law found by asking."""
    enlarged: int = 12
    """Equations of the front that are given one more constant, the most accurate. Steady."""
    enlarged_steps: int = 20
    """Steps of their first fit: the new constant starts where it does nothing. Steady."""
    mutated: int = 4
    """Expressions that are mutated in a round, one after the other: what one brings may be the next. Unread."""
    mutated_steps: int = 10
    """Steps of the first fit of what mutation makes: hundreds at a time. Unread."""
    mutated_price: float = 0.35
    """What a unit of complexity costs when one of the front is chosen for mutation; above the usual price, since the
    law is more often one step away from small ones. Unread."""
    progress: float = 0.03
    """A round that lowers the front by less than this was in vain: in decades, on average over all sizes. Unread."""
    outlier: float = 10.0
    """Largest weight that a robust loss gives a row of a scan, in units of the median one."""


@dataclass(frozen=True)
class FinishTuning:
    """How closely the front is looked at in the end."""

    share: float = 0.05
    """Fits of shortened forms, and of neighbours, as a share of the shapes that the search has tried."""
    least: int = 60
    """The same after a search that was over at once: the neighbours of one point."""
    forms: int = 40
    """Forms of each point that algebra looks at."""
    longer: float = 2.0
    """How much longer than the point one of these may be: with a constant less it is as short."""
    price: float = 0.35
    """What a unit of complexity costs where points are ranked; the points at bends come first."""
    steps: int = 12
    """Steps of the first fit."""


@dataclass(frozen=True)
class BankTuning:
    """What the bank is made of."""

    sum_level: int = 5
    """Largest level at which sums are made; the scans make the others, with their coefficients. Steady."""
    function_level: int = 3
    """Largest level at which functions of two arguments are made. Unread."""
    cube_level: int = 4
    """Largest level at which cubes are made. Steady."""
    grid_level: int = 4
    """Level at which functions with a constant inside join. At 8, where no bank comes to it, data:heat is lost;
    steady downwards."""
    grid_inputs: int = 16
    """Inputs that such functions are made of, the first ones. Steady."""
    rates: tuple[float, ...] = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
    """Factors of an input inside a function, over its standard deviation; steps that a fit can reach across. Steady."""
    frequencies: tuple[float, ...] = (
        0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0, 8.0
    )  # fmt: skip
    """The same inside a periodic function. A fit finds a frequency from about a quarter of a period, over the range
    of the input, away. Halved, data:heat is lost; steady upwards."""
    offsets: tuple[float, ...] = (0.02, 0.1, 0.3, 0.6, 1.2)
    """Offsets b of ``1/(x^2 + b)``, and from the third on rates of ``exp(-b*x^2)``, over the mean of x^2. Steady."""
    far: float = 5.0
    """An input whose mean is so many standard deviations from 0 is offered centred, too. Steady."""


@dataclass(frozen=True)
class GuessTuning:
    """How targets are brought through the inverse of an outermost function, and pairs are chosen from a scan."""

    block: int = 1024
    """Expressions of the bank of which a scan keeps the best one for each context. Steady."""
    first_block: int = 128
    """The same among the cheapest expressions; each block is twice as large as the last, up to ``block``. Steady."""
    overall: int = 40
    """Pairs that are taken whatever their complexity, the best. Steady."""
    agree: float = 0.98
    """Share of the rows that must have one sign where a function has no negative values: some rows of noise.
    Steady."""
    steep: float = 20.0
    """Largest target of a function whose inverse grows as an exponential does. Steady."""
    defined: float = 0.93
    """Share of the rows on which a target must have an inverse. Steady; the four stages that ask for it had numbers
    between 0.9 and 0.95, and find the same with one."""
    heavy: float = 6.0
    """Largest weight of a row over the median one above which a few rows would decide alone. Steady."""
    extreme: float = 40.0
    """Rows whose target is so many median deviations from the median are left out where all weigh the same.
    Steady."""
    inside: float = 0.9
    """Share of the rows that must be left then. Steady."""


@dataclass(frozen=True)
class RefineTuning:
    """How many expressions are refined, and what with."""

    beam: int = 16
    """Expressions that are refined in one go. Steady."""
    per_size: int = 6
    """Candidates of each complexity, beside the best whatever their size. Steady."""
    most: int = 200
    """Candidates in all. Steady."""


@dataclass(frozen=True)
class PursuitTuning:
    """How terms under one function are pursued."""

    terms: int = 3
    """Terms under the function. Steady; with 6 a search takes twice as long."""
    beam: int = 4
    """Sets of terms of one target that are continued, beside the best of every cost. Steady."""
    candidates: int = 40
    """Expressions that are fitted in the end. Steady."""
    promising: int = 4
    """Targets, the best ones, whose terms are replaced one by one. Steady."""
    per_size: int = 2
    """Sets of each number of terms that a target offers in the end. Steady."""
    first_block: int = 8
    """Expressions of the first block of the bank, of which one is kept. Steady."""

    signed: int = 2000
    """Expressions of the bank, the cheapest ones, that may have the sign of the target. Steady."""
    signs: int = 3
    """How many of those are taken as factors. Steady."""
    powers: int = 40
    """Inputs above which no exponents are estimated: a regression needs several rows for each. Steady."""
    quadratic: int = 8
    """Inputs of both signs of which all squares and products are allowed for beside the powers. Steady."""
    steepest: float = 3.0
    """Largest exponent of a factor. Steady."""
    certain: float = 0.15
    """Largest standard error of an exponent: halves, half a unit apart, must be told from each other. Steady."""
    deviations: float = 2.5
    """Standard errors that an exponent may be off the half or whole number it is taken for. Steady."""


@dataclass(frozen=True)
class SharingTuning:
    """What the outputs offer each other."""

    equations: int = 3
    """Equations of each output whose terms are offered, the most accurate ones. Steady for sums:3."""
    worth: float = 0.3
    """Relative loss above which an equation has nothing to offer. Steady for sums:3."""
    terms: int = 6
    """Terms of a sum. Steady for sums:3."""
    least_gain: float = 0.02
    """Share of what is left that a further term must explain. Steady for sums:3."""
    bends: int = 2
    """Bends of each front whose equations are tried for other outputs, the sharpest."""
    exchanges: int = 1000
    """Ways to exchange inputs in pairs that a law is tried with, those of fewest pairs: all of up to eight inputs."""
    exchange_rows: int = 128
    """Rows on which these are compared, as many as the bank's."""


@dataclass(frozen=True)
class ChoosingTuning:
    """Steps, choices and kinks from data; what has no other reason keeps the cost below that of the contexts."""

    rows: int = 1000
    """Rows that directions are compared on; the threshold on the best of them is found on all."""
    paired: int = 6
    """Inputs of which sums and differences are directions, and squares and products terms, at most."""
    split: int = 11
    """Terms of which each side of a choice has its own coefficients, at most."""
    added: int = 3
    """Steps or kinks that are added up, at most."""
    beam: int = 3
    """Sets of planes that are continued by one more."""
    in_vain: float = 0.02
    """A step or kink that explains less of what was left than this isn't worth the next one."""
    levels: int = 2
    """Choices within each other."""
    tried: int = 2
    """Directions, the best ones, of which a choice is followed."""
    fewest: int = 12
    """Rows that a choice is looked for on, at least."""
    ways: int = 2
    """Ways of writing a kink that are followed, the cheapest."""
    fit_steps: int = 12
    """Steps of the fit before a sum of kinks is written: what cancels depends on where exactly they are."""
    cancels: float = 2.0
    """How much longer than allowed the parts of an expression may be: terms of one may cancel those of another."""
    exact: float = 1e-20
    """Share of the variance under which all is explained: float64's rounding, squared, with a long margin."""
    zero: float = 1e-11
    """Coefficients below this are rounding, in units of the law's own numbers."""
