"""The numbers that steer the baseline, each with what it means and why it is what it is."""

from __future__ import annotations

from dataclasses import dataclass

from symtorch.engines.native.tuning import current


@dataclass(frozen=True)
class BaselineTuning:
    """How far least squares goes, and how much time it takes.

    Losses are shares of the outputs' variance.

    Attributes:
        ladder: numbers of terms that are fitted, beside the best number: a few for each doubling.
        most_terms: terms of a sum at most: what has more is for machines, not for reading.
        worth: an equation is fitted and kept if its loss is less than this share of that of all simpler ones ...
        worth_last: ... or less than this, if it is the most accurate of all.
        better: a link counts if it leaves less than this share of what lines and quadratics leave.
        solved: loss below which nothing more is tried: the square of float32's rounding, and some.
        exact: loss below which all that is left is float64's rounding, and coefficients may be rounded.
        nothing: a part of an exact equation that is a smaller share of the whole is rounding.
        features: squares, products and inputs that forward selection chooses from: its Gram matrix costs a second
            for 10,000 rows of 1,000.
        screened_rows: rows on which products are screened where there are more.
        screened_work: multiplications that this may take, about a second's.
        few_rows, rows_per_parameter: rows of the first fits of a link: at least so many, and so many for each constant.
        rows: rows of the fit of a link that counts.
        link_inputs: inputs of a link; of more those with the largest weights in a line. A step costs their square.
        steepness, offsets: of a function along a direction, in units of the spread there: where fits start.
        margin: how far beyond the outputs, as a share of their range, the bounds of a bounded function are put.
        undone: share of the rows on which a function's inverse must be defined.
        hopeful: a start is followed if its loss is less than so many times the line's.
        first_steps: successive halving: steps, and how many links go so far for each output.
        followed: links that are followed to the end.
        steps, sparse_steps, last_steps: steps of the full fit, of that with fewer inputs, and of its end on more rows.
        slow: steps in a row without progress after which a fit is at its end.
        most_rows: rows of sums, drawn from all. Coefficients are then known to 0.4 % of the noise.
        least_rows: however little time there is.
        work: products of an input and an output, over all rows, that a second of the time limit is enough for.
        share, large_share: parts of the time limit that all this may take, the larger one where a search has less
            than ``searched`` seconds for each output and could do nothing with them.
        searched: see there; the search of an easy law takes as long.
        fitting: share of that time that goes to fitting; the rest is for writing down what was fitted.
        tamed: how often the weights of a line are renewed where the loss is not the squared one.
    """

    ladder: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192)
    most_terms: int = 200
    worth: float = 0.95
    worth_last: float = 0.999
    better: float = 0.95
    solved: float = 1e-12
    exact: float = 1e-24
    nothing: float = 1e-12
    features: int = 400
    screened_rows: int = 512
    screened_work: int = 1 << 31
    few_rows: int = 256
    rows_per_parameter: int = 6
    rows: int = 4096
    link_inputs: int = 128
    steepness: tuple[float, ...] = (0.3, 1.0, 3.0)
    offsets: tuple[float, ...] = (-1.5, 0.0, 1.5)
    margin: float = 0.05
    undone: float = 0.9
    hopeful: float = 1.5
    first_steps: tuple[tuple[int, int], ...] = ((6, 99), (12, 5))
    followed: int = 2
    steps: int = 30
    sparse_steps: int = 8
    last_steps: int = 4
    slow: int = 5
    most_rows: int = 65536
    least_rows: int = 1000
    work: float = 2e8
    share: float = 0.3
    large_share: float = 0.8
    searched: float = 0.5
    fitting: float = 0.5
    tamed: int = 12


def tuning() -> BaselineTuning:
    """The numbers that hold here."""
    return current(BaselineTuning)
