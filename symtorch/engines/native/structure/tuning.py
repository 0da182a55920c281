"""The numbers that steer the search for structure, each with what it means and why it is what it is."""

from __future__ import annotations

from dataclasses import dataclass

from symtorch.engines.native.tuning import current


@dataclass(frozen=True)
class StructureTuning:
    """Numbers of the search for structure.

    Losses, residuals and floors are squared errors relative to the variance of the answers. A number without
    another reason was found by trial on the laws of ``benchmarks/laws.py``; ``benchmarks/sensitivity.py`` says
    which of them matter.

    Attributes:
        test_rows: rows that every identity is tested on. The relative spread of a mean of squares over n rows is
            sqrt(2/n), 9 % here: far less than the factors that decide.
        piece_rows: points that a piece is fitted to.
        replicas: answers that a piece of a noisy teacher is the mean of; the error falls with their square root.
        margin: how far beyond the range of the samples a question may lie, as a share of the range.
        dropped: share of the largest squares that a mean leaves out: a network's corners, a law's poles.
        uncorrelated: largest correlation of two inputs of a filled box; that of independent inputs is below
            this for more than 100 samples (three times 1/sqrt(n) is 0.3 at 100 and 0.09 at 1,000).
        formula: below this the teacher is a formula, and what is left is rounding. Float64's is 1e-32, and
            teachers that subtract, divide and take powers lose some digits.
        decades: of the loss that each number of a form must win, at least, for it to be the law of a formula although
            it misses more than rounding; an approximation's win two or three.
        rounding: what an identity of a formula may miss: rounding, made larger by small denominators.
        worst: above this no structure can be trusted: the teacher is as bad as that, or it obeys none of the
            identities that were tested, and nothing is known of its error.
        finer: a step that is followed last has its turn beside a plain one if its residual is below this share of
            the plain one's: a function of rank two is nearly a sum, where what is between its inputs is weak.
        testified: what the law's own steps see counts up to this many times what any step of the whole sees that
            testifies. Behind twenty-seven networks the least such is 0.1 to 2.4 times the error, mostly 0.5 to 1.
        spread: what may lie above the floor and still be the floor: errors differ from place to place.
        inherited: a piece's floor is at most this many times that of the function that it comes from.
        contrast: an identity must hold this much better than the effect that it could have missed.
        telling: share of ``contrast`` below which a test counts as one that could have failed: only such tell
            the floor.
        rank_contrast: ``contrast`` for functions of rank two: many smooth functions come near to that.
        idle_gap: inputs are idle that do this many times less than the weakest of the others.
        idle_alone: a function of one input is constant if what the input does is below this share of the bound.
        most_tested_inputs: a function of more inputs, idle ones left out, isn't tested pair by pair: the tests grow
            with the square of their number.
        difference: step of the difference quotients, as a share of the range; only starting values depend on it.
        closest: on the logarithmic scale inputs come no closer to zero than this share of their largest value.
        steady: relative spread of the ratio of two derivatives above which it isn't fixed.
        steady_divided: the same after a division, which fits more functions by chance.
        small: denominators of a ratio below this share of their median are left out.
        fewest: usable rows below which a ratio or a fit says nothing.
        largest_slope: the slope of a sum of two inputs lies between its inverse and this.
        snap: a slope within this share of a whole number is tried as that number.
        snap_exponent: the same, absolute, for the exponents of a scaling law.
        as_good: a plain number stands for a fitted one if the residual is at most this many times as large. The
            fitted one is favoured by chance; the factor is that of two such noisy tests.
        prior_sum, prior_product, prior_merge, prior_rescale, prior_power, prior_line, prior_rank_two,
            prior_divided_rank_two, prior_never_meet: how many decades of contrast a kind of step is worth in
            advance. Pieces apart are the easiest to solve and to read, pieces that share inputs the hardest.
        prior_quotient, prior_inside: the same of a quotient of polynomials that was found outright, and of one that
            is inside another function.
        prior_half_merge: the same of a merge beside a function of one input.
        prior_expansion: the same of several terms in known functions of one input.
        most_terms: terms of a quotient that are fitted at once.
        least_evidence: contrasts below this are all the same: the structure holds.
        floor_evidence: so are those below this many times the floor.
        widths: steps that are followed at each depth.
        pieces: pieces that the flat search is given, at most; plans end when they are used up.
        further: the same once a plan has brought something that may be the law.
        most_flat_inputs: a root of more inputs that shows no structure is left to the flat search on the samples.
        shortened: laws that are brought to their shortest form.
        combinations: choices of one solution per piece that are all fitted.
        all_combinations: the same from the whole fronts of the pieces, where their likeliest solutions made no law.
        most_noise: loss above which nothing is taken for a law.
        visible: the loss of a law may exceed the floor by this factor: an error that keeps the structure
            doesn't show in tests of the structure.
        seen: the loss of a law may exceed by this factor what the steps that led to it see of the teacher's error.
            Behind networks that have learned twenty-two laws of ``benchmarks/problems.py`` these see 0.5 to 2.3 times
            the error in eighteen cases, and the loss of the right law is 0.9 to 1.8 times the error.
        visible_piece: as ``visible``, early in the flat search for a piece.
        rough: share of a law's loss that a quadratic leaves, at least: what is smoother than that is no
            error of a network (:mod:`.remainder`).
        plainer: an equation that no law was seen to be is offered without constants, too, with which it loses up to
            this many times less.
        slow: fall of log(loss) per unit of complexity that fitting a teacher's error brings, at most.
        slow_start: fall of log(loss) that is never enough to doubt a law: two losses within a factor of two.
        better: a dearer solution stays if its loss is at most this many times the cheaper one's.
        exact_goal, goal_noise, goal_floor: the flat search for a piece ends at this loss, for an exact piece; at this
            many times the error of the piece's answers as their replicas tell it, and of the floor, for others.
        witnesses: steps of the whole that are asked what they see of the error, at most.
        level_floor: the error of a piece is taken for at least this share of the floor.
        price_per_input: pieces that a piece of several inputs counts as, per input, if it remains without a law. It
            is as dear as the flat search of the whole, and other plans mostly end at the same piece.
        answered: share of the points of a piece that must have an answer.
        visible_late: as ``visible``, once the flat search on the samples themselves has found nothing better.
        seen_late: as ``seen``, once the flat search on the samples themselves has found nothing better: an error of
            functions of one input is what no identity sees.
        kept: a law counts as kept by the user's operators if it loses at most this many times more on the samples.
        compared: rows on which the teacher's answers are compared with the outputs.
        limit_compared: where few rows may be asked, this share of them (one in so many) is spent on that.
        stranger: a teacher that differs from the outputs by more than this is not theirs.
        forms: forms of one input that are fitted.
        forms_written: forms of one input that are written out and priced in the user's operators.
        form_found: loss at which a straight line is the law, and nothing else need be tried.
        resembling: loss up to which one function of one input is taken for another that a rough network may have meant.
        resembled: how many of these are fitted, the cheapest first.
        looks, looked_at, alike: how often functions of one input are replaced in an equation, one at a time; in how
            many results of the look before, the shortest; up to how many times its loss.
        others: candidates of one such look, at most: a long equation of an output without a law has many parts.
        form_rounding: losses of forms below this are all the same.
        form_worst: loss above which a form is not worth a fit.
        curves_narrowed: curves for which the constant inside is narrowed down.
        constant_price: a constant more must lower the loss of a form by this factor. Fitting noise lowers it by
            n/(n - 1); the rest is for the form, which is one of many.
        grid_gain: what a fit that starts from a grid of frequencies gains, at least.
        largest_exponent: exp of more is out of the range of any sensible law.
        prior_border: see the other priors; what is left of a law without a border has as many inputs as before.
        border_probes: lines that are searched for jumps and kinks.
        border_steps: even steps along each. Two borders closer than that are not told apart at first.
        border_lines: lines with something on them that are looked at closely.
        border_outlier: how many times the median second difference of its line a suspicious one is.
        border_beside: how far beside a line those lie that tell the border's direction, as a share of the range.
        border_reach: how far along these the border is looked for, as a share of the line.
        pruned: a shorter solution stays if its loss is at most this many times the longer one's.
    """

    test_rows: int = 240
    piece_rows: int = 400
    replicas: int = 8
    margin: float = 0.02
    dropped: float = 0.05
    uncorrelated: float = 0.2
    formula: float = 1e-14
    decades: float = 4.0
    rounding: float = 1e-12
    worst: float = 3e-3
    finer: float = 0.1
    testified: float = 3.0
    spread: float = 30.0
    inherited: float = 3.0
    contrast: float = 0.05
    telling: float = 0.5
    rank_contrast: float = 2e-3
    idle_gap: float = 5.0
    idle_alone: float = 1e-3
    most_tested_inputs: int = 16
    difference: float = 1e-3
    closest: float = 0.02
    steady: float = 0.5
    steady_divided: float = 0.3
    small: float = 0.2
    fewest: int = 20
    largest_slope: float = 1e3
    snap: float = 0.25
    snap_exponent: float = 0.2
    as_good: float = 3.0
    prior_sum: float = 2.0
    prior_product: float = 1.5
    prior_merge: float = 1.5
    prior_rescale: float = 0.5
    prior_power: float = 0.0
    prior_line: float = 0.0
    prior_rank_two: float = -1.0
    prior_divided_rank_two: float = -1.25
    prior_never_meet: float = -1.5
    prior_border: float = 1.0
    prior_quotient: float = 1.0
    prior_inside: float = -0.5
    prior_half_merge: float = 0.25
    prior_expansion: float = -0.5
    most_terms: int = 320
    border_probes: int = 24
    border_steps: int = 32
    border_lines: int = 12
    border_outlier: float = 4.0
    border_beside: float = 0.02
    border_reach: float = 0.15
    least_evidence: float = 1e-9
    floor_evidence: float = 10.0
    widths: tuple[int, ...] = (3, 2, 2, 1)
    pieces: int = 10
    further: int = 3
    most_flat_inputs: int = 3
    shortened: int = 3
    combinations: int = 24
    all_combinations: int = 64
    most_noise: float = 3e-2
    visible: float = 60.0
    visible_late: float = 600.0
    seen: float = 2.0
    visible_piece: float = 10.0
    rough: float = 0.5
    plainer: float = 1.1
    slow: float = 0.2
    slow_start: float = 0.7
    better: float = 0.95
    pruned: float = 20.0
    exact_goal: float = 1e-20
    goal_noise: float = 2.0
    goal_floor: float = 0.3
    witnesses: int = 4
    level_floor: float = 0.1
    price_per_input: int = 2
    answered: float = 0.5
    seen_late: float = 30.0
    kept: float = 2.0
    compared: int = 256
    limit_compared: int = 8
    stranger: float = 0.1
    forms: int = 8
    forms_written: int = 60
    form_found: float = 1e-20
    resembling: float = 3e-2
    resembled: int = 24
    looks: int = 2
    looked_at: int = 3
    alike: float = 3.0
    others: int = 400
    form_rounding: float = 1e-24
    form_worst: float = 0.3
    curves_narrowed: int = 8
    constant_price: float = 1.3
    grid_gain: float = 1e-3
    largest_exponent: float = 50.0


def tuning() -> StructureTuning:
    """The numbers that hold here."""
    return current(StructureTuning)


def is_formula(error: float) -> bool:
    """Whether a teacher of this relative squared error is a formula, so that nothing but rounding is left."""
    return error < tuning().formula
