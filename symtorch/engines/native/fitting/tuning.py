"""The numbers that steer how candidates are fitted, kept and cleaned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FittingTuning:
    """Of the archive, of cleaning, and of Levenberg-Marquardt.

    What is a matter of rounding (:data:`.EXACT` and the like) is no choice and stands where it is used. Each number was
    halved and doubled with ``benchmarks/sensitivity.py`` on data:heat, and its pick stayed every time.
    """

    first_steps: int = 4
    """Steps of the first look at a candidate, on few rows."""
    hopeless: float = 1e3
    """A candidate that is so many times worse than the front after the first steps isn't fitted further."""
    quick_steps: int = 12
    """Steps on few rows in all, and then again on all rows, where a stage asks for no other number."""
    per_size: int = 4
    """Candidates of each complexity in one batch that go on to all rows, the best on few."""
    far: float = 4.0
    """One that is so many times worse than the front on few rows is remembered as it is: all rows won't mend it."""
    least_gain: float = 0.999
    """What an equation's loss must be to that of simpler ones, at most, to enter the front; less is rounding."""
    price: float = 0.12
    """What a unit of complexity costs when expressions of all sizes are ranked, in units of log(loss)."""

    slack: float = 1.02
    """A constant that improves the loss by less than this factor isn't worth its place."""
    most_refits: int = 60
    """Refits that cleaning one expression may take."""
    clean_steps: int = 10
    """Steps of each such refit; it starts near its end."""
    snap_within: float = 2e-3
    """A constant this close to a simple number, relatively, is tried as that number; the data decide."""
    snap_closely: float = 1e-6
    """A constant this close to one of the 1,400 numbers of :mod:`.numerals` is tried as that number. About 250 of them
    lie within a factor of e, so one in two thousand constants comes so close by chance."""
    huge: float = 1e3
    """A coefficient beside which a term without one may be negligible."""

    most_reductions: int = 12
    """Steps in which an expression that is too long is brought down to size."""
    reduced: int = 2
    """Expressions of one offer that are brought down to size where they are too long, the first ones."""

    rounded: float = 100.0
    """Units of rounding, of the type in which equations run, by which each of their values may be off."""
    lost_running: float = 1e-6
    """What running in that type may lose besides, as a share of the best constant's loss."""
    lost_share: float = 0.1
    """The same as a share of the equation's own loss, where that is more."""

    with_slopes: int = 40
    """Expressions beside the front that are judged again where derivatives are known, the most promising by values."""

    damping: float = 1e-3
    """Lambda at first, in units of the scaled normal matrix's diagonal of ones (Marquardt 1963 has 1e-2)."""
    raised: float = 8.0
    """By which factor lambda is raised where a step makes the loss worse."""
    lowered: float = 10.0
    """By which factor it is lowered after a step that was good (Marquardt's own 10)."""
    most_raises: int = 6
    """How often it is raised within one step before the fit is taken to be at its end."""
    slow: float = 1e-4
    """A relative gain below which a step was slow."""
    most_slow: int = 2
    """Slow steps in a row that are borne."""


@dataclass(frozen=True)
class InterpolantTuning:
    """Of the smooth function that stands in for a teacher where there are rows alone."""

    rows: int = 1000
    """Rows that it goes through: its cost grows with their cube, a tenth of a second for these."""
    few_rows: int = 350
    """Rows that its widths and its noise are taken from: some forty steps with these take half a second."""
    steps: int = 40
    """Steps of that at most. In most cases it ends before."""
    inputs: int = 12
    """Inputs at most: among more, rows are too far from each other."""
    left: float = 0.5
    """Share of the variance, at most, that may be left of rows predicted from the others: noise, and its own error."""


@dataclass(frozen=True)
class PowersTuning:
    """When an input is taken for a power before everything else, and inputs for a product; see :mod:`.powers`."""

    inputs: int = 12
    """Inputs at most: the terms grow with their square."""
    rows_per_term: float = 4.0
    """Rows for each term of the quadratic that the logarithms are fitted with, at least."""
    chance: float = 4.0
    """What may be explained by what should be nothing, in units of what chance explains."""
    deviations: float = 3.0
    """Standard errors that a slope may be off the half or whole number that it is taken for."""
    bias: float = 0.01
    """The same beside them, for what the quadratic misses."""
    certain: float = 0.12
    """Largest standard error of a slope: halves, half a unit apart, must be told from each other."""
    steepest: float = 6.0
    """Largest exponent."""
    out_of_proportion: float = 0.06
    """Share of what either explains that may speak against a joint: the quadratic is no more than an approximation.
    Of more unusual proportions than 1 a third of that, or a tenth."""
    unseen: float = 0.12
    """The same where no more speaks against it than chance does."""
    clearly: float = 1.0
    """What speaks against a sum at most, relative to what speaks against a product of the same inputs."""
    unsaid: float = 0.5
    """Share of the logarithm's variance that a quadratic leaves, from which on it doesn't tell what enters as one."""
    in_one_product: int = 5
    """Inputs of which all products are looked at, at most: their number is half of 4 to the power of that."""
    neighbours: float = 0.1
    """Mean square of differences between neighbours along such a product, over that of any two rows: noise is most of
    it, and the best of 500 products that mean nothing has more than 0.8."""
    bias_beside: float = 0.05
    """What a slope beside a joint may be off besides its error."""
