"""Laws by their dimensions: a monomial of the inputs times a function of dimensionless groups.

A law in which every quantity with a unit is an input, natural constants among them, can be written so (Buckingham
1914, doi 10.1103/PhysRev.4.345): its groups are as many as its inputs less the rank of their dimensions, two in the
place of six inputs for ``n*exp(-m*g*h/(k*T))``. In so few variables a law shows through noise that hides it among all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations

import numpy as np

from symtorch.engines.native.runner import Runner
from symtorch.engines.native.screening import Group
from symtorch.engines.native.task import Task
from symtorch.engines.native.tuning import current
from symtorch.engines.native.units import Dimensions
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.dimensions import Dimension
from symtorch.equations.expr import Expr, Variable, evaluate, substitute
from symtorch.equations.normal import multiply, normalise, power


@dataclass(frozen=True)
class DimensionalTuning:
    """How much of a search goes by dimensions."""

    share: float = 0.3
    """Part of the time and of the rounds of a search that is spent in the groups."""
    most_choices: int = 2000
    """Choices of inputs to measure the others by that are compared; there are 126 for nine inputs of rank four."""


@dataclass(frozen=True)
class Coordinates:
    """An output as ``scale*f(groups)``.

    >>> from symtorch.equations.dimensions import dimension
    >>> from symtorch.equations.expr import to_text
    >>> inputs = [dimension(unit) for unit in ("kg", "m/s", "m/s")]
    >>> found = Coordinates.of(inputs, dimension("J"), np.ones((1, 3)))
    >>> [to_text(expr, ["m", "v", "c"]) for expr in (found.scale, *found.groups)]
    ['m*v^2', 'v^(-1)*c']

    Attributes:
        scale: a monomial of the inputs that has the output's dimension.
        groups: monomials without one; the inputs that have none are among them.
    """

    scale: Expr
    groups: tuple[Expr, ...]

    @classmethod
    def of(cls, inputs: Sequence[Dimension], output: Dimension, X: np.ndarray) -> Coordinates | None:
        """The shortest ones; None where no monomial has the output's dimension, or nothing is gained.

        Args:
            inputs, output: dimensions.
            X: (n, n_inputs), on which all of them must be finite.
        """
        measures = [i for i, own in enumerate(inputs) if any(own) and _has_one_sign(X[:, i])]
        best: tuple[Fraction, Coordinates] | None = None
        for chosen in _bases(inputs, measures):
            exponents = [_in_terms(inputs, chosen, own) for own in inputs]
            scale = _in_terms(inputs, chosen, output)
            if scale is None or None in exponents:
                continue
            others = [(i, e) for i, e in enumerate(exponents) if i not in chosen and e is not None]
            cost = sum((_length(e) for e in (scale, *(e for _, e in others))), Fraction(0))
            if best is None or cost < best[0]:
                groups = tuple(multiply([Variable(i), _monomial(chosen, [-q for q in e])]) for i, e in others)
                best = cost, cls(_monomial(chosen, scale), groups)
        return None if best is None else best[1]


def laws_by_dimensions(
    samples: Samples, k: int, dimensions: Dimensions, options: SearchOptions, seconds: float | None, seed: int
) -> list[Expr]:
    """Normal forms that may be the law of output k, by what is known of dimensions: a scale times a function of groups.

    Args:
        samples: rows alone.
        k: position of the output.
        seconds: that are left for it, of which a part is taken; None for no limit.
    """
    output = dimensions.of_output(samples, k)
    if dimensions.inputs is None or output is None:
        return []
    coordinates = Coordinates.of(dimensions.inputs, output, samples.X)
    if coordinates is None:
        return []
    with np.errstate(all="ignore"):
        scale = np.broadcast_to(evaluate(coordinates.scale, samples.X), samples.n_samples)
        columns = [np.broadcast_to(evaluate(group, samples.X), len(scale)) for group in coordinates.groups]
        target = samples.Y[:, k] / scale
    if not columns or np.ptp(target) <= 1e-12 * np.abs(target).max():
        return [coordinates.scale]
    if not all(np.isfinite(column).all() for column in (target, *columns)):
        return []
    share = current(DimensionalTuning).share
    own = np.ones(len(scale)) if samples.weights is None else samples.weights
    weights = own * scale**2 / np.mean(scale**2)  # errors are those of the output
    reduced = Samples(np.column_stack(columns), target[:, None], weights)
    options = replace(
        options,
        complexity_of_variables=1,
        niterations=max(1, round(share * options.niterations)),
        early_stop_condition=None,
        guesses=None,
    )
    everything = Group((0,), tuple(range(len(columns))))
    runner = Runner(
        Task.make(reduced, everything, options, {0: []}, seed), None if seconds is None else share * seconds
    )
    runner.run()
    if runner.interrupted:
        raise KeyboardInterrupt
    (trees,) = runner.found().trees
    groups = list(coordinates.groups)
    return [normalise(multiply([coordinates.scale, normalise(substitute(tree, groups))])) for tree in trees]


def _bases(inputs: Sequence[Dimension], measures: Sequence[int]) -> list[tuple[int, ...]]:
    """As many inputs as the rank of all dimensions, such that all can be measured by them."""
    rank = _rank([own for own in inputs if any(own)])
    found = [
        chosen
        for _, chosen in zip(range(current(DimensionalTuning).most_choices), combinations(measures, rank), strict=False)
        if _rank([inputs[i] for i in chosen]) == rank
    ]
    return found if rank else []


def _rank(rows: Sequence[Dimension]) -> int:
    return int(np.linalg.matrix_rank(np.array(rows, dtype=np.float64))) if rows else 0


def _in_terms(inputs: Sequence[Dimension], chosen: tuple[int, ...], wanted: Dimension) -> list[Fraction] | None:
    """Exponents of the chosen inputs, whose product has a dimension; None where none has."""
    columns = np.array([inputs[i] for i in chosen], dtype=np.float64).T
    solved = np.linalg.lstsq(columns, np.array(wanted, dtype=np.float64), rcond=None)[0]
    exponents = [Fraction(float(e)).limit_denominator(12) for e in solved]
    got = [sum(e * inputs[i][b] for e, i in zip(exponents, chosen, strict=True)) for b in range(len(wanted))]
    return exponents if tuple(got) == tuple(wanted) else None


def _monomial(chosen: Sequence[int], exponents: Sequence[Fraction]) -> Expr:
    return multiply([power(Variable(i), float(e)) for i, e in zip(chosen, exponents, strict=True) if e])


def _length(exponents: Sequence[Fraction]) -> Fraction:
    """What it takes to write a monomial: its exponents, broken ones twice."""
    return sum((abs(e) if e.denominator == 1 else 2 * abs(e) + 1 for e in exponents), Fraction(0))


def _has_one_sign(column: np.ndarray) -> bool:
    return bool((column > 0.0).all() or (column < 0.0).all())
