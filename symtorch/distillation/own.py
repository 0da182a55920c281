"""Equations that a user has set outlive a new distillation: they join its fronts, and stay the picks."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from symtorch.distillation.plan import Plan
from symtorch.engines.samples import Samples
from symtorch.equations.front import Equation, Front, Fronts
from symtorch.errors import listed
from symtorch.surrogate.fidelity import judged
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.interface import Interface

logger = logging.getLogger("symtorch")


def with_own(
    fronts: Mapping[int, Front],
    before: Findings,
    interface: Interface,
    plan: Plan,
    samples: Samples,
    held_out: Samples | None,
) -> Fronts:
    """New fronts with the equations that the user has set before, judged on the data of the new distillation.

    Args:
        fronts: {output: Front} as they were found.
        before: what there was; equations over other variables can't join.
        interface: what the variables of the new fronts are.
        plan: the request.
        samples: the rows that were searched, and judged on where none are given apart.
        held_out: the rows that were judged on, where they are not a part of the samples.
    """
    kept = {i: before.fronts[i] for i in fronts if any(eq.own for eq in before.fronts.get(i, ()))}
    if not kept or not before.can_stand_beside(interface):
        return Fronts(fronts)
    if held_out is None and plan.held_out:
        samples, held_out = samples.split(plan.held_out, seed=plan.seed)
    joined = dict(fronts)
    for i, earlier in kept.items():
        own = [_on(eq, samples, i, plan.options.squared_error) for eq in earlier if eq.own]
        new = judged(Front(tuple(own)), held_out, i).equations
        others = [eq for eq in fronts[i] if eq.expr not in [mine.expr for mine in own]]
        # Of equal complexity the user's come first, as where they were set.
        equations = tuple(sorted([*new, *others], key=lambda eq: eq.complexity))
        joined[i] = replace(fronts[i], equations=equations, pick=earlier.pick)
    picked = [i for i, front in kept.items() if front.pick is not None]
    logger.info("outputs %s: what set_equation has set stays the pick", listed(picked))
    return Fronts(joined)


def _on(equation: Equation, samples: Samples, output: int, squared: bool) -> Equation:
    """The equation with its loss on these rows, where that is the squared error."""
    if not squared:
        return replace(equation, loss=math.inf, score=0.0)
    error = (equation.predict(samples.X) - samples.Y[:, output]) ** 2
    loss = float(np.average(error, weights=samples.weights))
    return replace(equation, loss=loss if math.isfinite(loss) else math.inf, score=0.0)
