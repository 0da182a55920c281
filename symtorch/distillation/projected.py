"""A wide block by a projection: what is searched for, and that no equation is used that least squares beat."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symtorch.capture import Captured
from symtorch.capture.gradients import Felt
from symtorch.capture.massive import MassiveRows
from symtorch.capture.moments import parts_of
from symtorch.distillation.asking import Ask, limited, tried
from symtorch.distillation.plan import Plan, distill
from symtorch.engines.base import Engine, ProgressCallback
from symtorch.engines.native.baseline.family import baselines
from symtorch.engines.native.fitting.losses import Loss, parse_loss
from symtorch.engines.native.outcome import loss_on_all
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import MIN_SAMPLES, Samples
from symtorch.equations.expr import Constant, Expr
from symtorch.equations.front import Equation, Front, Fronts
from symtorch.equations.names import check_names
from symtorch.errors import InputError, OptionError
from symtorch.surrogate.encodings import Projected, Projection
from symtorch.surrogate.encodings.gated import Units
from symtorch.surrogate.fidelity import judged, with_errors
from symtorch.surrogate.interface import Interface
from symtorch.surrogate.regression import LinearMap, Partialled, Regression
from symtorch.surrogate.report import Report, report

logger = logging.getLogger("symtorch")


@dataclass(frozen=True, eq=False)
class Projecting:
    """A block's data with the projection that was fitted to it.

    Attributes:
        regression: what the moments say.
        encoding: the projection.
        interface: with that encoding.
        captured: rows of the block.
        held_out: (n_rows,), which of them are held out.
    """

    regression: Regression
    encoding: Projected
    interface: Interface
    captured: Captured
    held_out: np.ndarray

    @classmethod
    def fit(
        cls,
        projection: Projection,
        skip: int | None,
        captured: Captured,
        held_out: float,
        seed: int,
        names: tuple[str, ...] | None = None,
        name: str = "block",
    ) -> Projecting:
        """Fit a projection to the captured moments.

        Args:
            projection: the request.
            skip: rank of the linear part; None for as many as the projection's inputs.
            captured: rows and moments.
            held_out: share of the rows that was left out of the moments.
            seed: by which it was drawn.
            names: of the coordinates that are searched; None for z0, z1, ...
            name: of the block, for messages.

        Raises:
            InputError: too few rows, values that aren't finite, or massive outputs that no gate tells apart.
        """
        captured = _without_massive(captured)
        apart = parts_of(captured.rows, held_out, seed) == 0
        n_apart = int(apart.sum())
        if captured.halves is None or len(apart) - n_apart < MIN_SAMPLES or (held_out and n_apart < 2):
            raise InputError(
                f"only {captured.n_rows} rows, {n_apart} of them held out; a projection needs at least "
                f"{MIN_SAMPLES} to fit to, and some to judge by. Pass more data."
            )
        bad = captured.n_rows - int(np.isfinite(np.concatenate([captured.X, captured.Y], axis=1)).all(axis=1).sum())
        if bad:
            raise InputError(
                f"{bad} of {captured.n_rows} captured rows hold NaN or infinite values. Clean the data, or pass "
                f"drop_nonfinite=True to leave such rows out."
            )
        halves, n_inputs = captured.halves, captured.layout.n_inputs
        units = halves.features if isinstance(halves.features, Units) else None
        regression = Regression(halves) if units is None else Partialled(halves, n_inputs)
        try:
            encoding = projection.fit(regression, skip, units, halves.massive)
        except InputError as error:
            raise InputError(f"block {name!r} has {error} No projection answers for such rows; leave it out.") from None
        if halves.massive is not None:
            _check_told_apart(encoding, captured.X, halves.massive, name)
            logger.info("block %r has %s; these are answered by a constant", name, halves.massive)
        variables = encoding.variable_names(n_inputs)
        if names is not None:
            n_own = len(variables) - encoding.n_variables + len(encoding.back)
            check_names(names, n_own)
            variables = (*names, *variables[n_own:])
        interface = Interface(captured.layout, captured.Y.shape[1], variables, encoding)
        return cls(regression.plain, encoding, interface, captured, apart)

    @property
    def n_free(self) -> int:
        """How many outputs there are to search for; the terms come after them."""
        return len(self.encoding.lift) - self.encoding.n_terms

    def samples(self, block: Any, ask: Ask = None) -> tuple[Samples, Samples | None] | None:
        """Rows to search on and rows to judge by, as the search sees them; None with nothing to search for.

        Args:
            block: to be asked.
            ask: what the user says of asking it.
        """
        encoding, captured = self.encoding, self.captured
        if not self.n_free:
            return None
        n, everything = len(encoding.back), self.everything()
        teacher, asking = limited(encoding, lambda: tried(captured, block, ask), ask)
        names = self.interface.variable_names[:n]
        samples = Samples(everything.X[:, :n], everything.Y[:, : self.n_free], None, names, teacher, asking=asking)
        return samples.take(~self.held_out), samples.take(self.held_out) if self.held_out.sum() >= MIN_SAMPLES else None

    def everything(self) -> Samples:
        """All rows with all variables and outputs, those of the terms among them."""
        encoding, captured = self.encoding, self.captured
        variables, targets = encoding.encode(captured.X), encoding.targets(captured.Y, captured.X)
        return Samples(variables, targets, None, self.interface.variable_names)

    def with_terms(self, fronts: Mapping[int, Front], options: SearchOptions) -> Fronts:
        """The fronts over all variables, and one for each term, of the term alone."""
        names = self.interface.variable_names
        found = {
            i: replace(front, equations=tuple(replace(eq, variable_names=names, signs=None) for eq in front.equations))
            for i, front in fronts.items()
        }
        n_rows = self.regression.moments.n
        for i, tree in enumerate(self.encoding.terms(), start=self.n_free):
            equation = Equation(tree, names, options.complexity(tree), 0.0, r2=1.0)
            found[i] = Front((equation,), options.model_selection, "block", "exact", n_rows)
        return Fronts(sorted(found.items()))

    def judging(self) -> Judging:
        """What a report needs, and no more."""
        rows = self.held_out if self.held_out.any() else ~self.held_out
        return Judging(
            self.interface,
            self.regression.reduced_rank,
            self.regression.moments.n,
            self.captured.X[rows],
            self.captured.Y[rows],
            self.captured.rows[rows],
            bool(self.held_out.any()),
        )


@dataclass(frozen=True, eq=False)
class Judging:
    """What a projection is judged by after its distillation.

    Attributes:
        interface: with the projection as its encoding.
        linear: the best linear maps of all ranks.
        n_fitted: rows that both were fitted to.
        X: (n, n_inputs), the rows to judge by.
        Y: (n, n_outputs), of the block there.
        rows: (n,), their numbers among all rows seen.
        held_out: whether those rows were held out.
    """

    interface: Interface
    linear: LinearMap
    n_fitted: int
    X: np.ndarray
    Y: np.ndarray
    rows: np.ndarray
    held_out: bool

    def is_of(self, interface: Interface | None) -> bool:
        """Whether that is the projection's, tuned or not."""
        return (
            interface is not None
            and isinstance(interface.encoding, Projected)
            and interface.variable_names == self.interface.variable_names
            and interface.encoding.arrays_alike(self.interface.encoding)
        )

    def report(self, name: str, block: Any, laws: Mapping[int, Expr], felt: Iterable[Felt] | None = None) -> Report:
        """How the projection with these equations compares with linear maps, by rows with gradients if given."""
        encoding = self.interface.encoding
        assert isinstance(encoding, Projected)
        rows = self.X, self.Y
        return report(name, block, self.linear, encoding, laws, self.n_fitted, rows, self.held_out, felt)


def _without_massive(captured: Captured) -> Captured:
    """Without the rows of massive outputs, which are not searched nor judged."""
    massive = None if captured.halves is None else captured.halves.massive
    if massive is None:
        return captured
    kept = ~massive.among(captured.Y)
    return replace(captured, X=captured.X[kept], Y=captured.Y[kept], rows=captured.rows[kept])


def _check_told_apart(encoding: Projected, X: np.ndarray, massive: MassiveRows, name: str) -> None:
    """Raise where the gate takes ordinary rows for massive ones."""
    taken = int(encoding.is_massive(X).sum())
    if taken:
        raise InputError(
            f"block {name!r} has {massive}; by their inputs, {taken} of {len(X)} other rows can't be told from them. "
            f"No projection answers for such rows; leave it out."
        )


def distill_projected(
    plan: Plan,
    samples: Samples,
    engine: Engine,
    progress: ProgressCallback | None,
    active: Sequence[int],
    held_out: Samples | None,
) -> Fronts:
    """As :func:`symtorch.distillation.plan.distill`, with least squares on every front.

    Args:
        samples: the rows to search on.
        held_out: the rows to judge by; None for none.
    """
    found = distill(replace(plan, held_out=0.0), samples, engine, progress, active, held_out)
    fronts = Fronts(against_least_squares(found, samples, held_out, plan.options))
    if plan.options.squared_error:  # the picks may be others now
        fronts = with_errors(fronts, samples)
    engine.keep(fronts)
    return fronts


def against_least_squares(
    fronts: Mapping[int, Front], train: Samples, held_out: Samples | None, options: SearchOptions
) -> dict[int, Front]:
    """Fronts of which every equation beats all simpler ones on held-out rows, those of least squares among them.

    Args:
        fronts: {output: Front} as they were found.
        train: the rows that were searched on.
        held_out: the rows to judge by; None to judge by the loss.
        options: of the search.
    """
    loss = _loss(options)
    columns = list(fronts)
    ours: list[list[Expr]] = [[] for _ in columns]
    if loss is not None:
        found = baselines(train.X, train.Y[:, columns], options, loss=loss, seed=options.random_state or 0)
        ours = [
            [Constant(float(train.Y[:, i].mean())), *(w.tree for w in each)]
            for i, each in zip(columns, found, strict=True)
        ]
    amended = {}
    for (i, front), trees in zip(fronts.items(), ours, strict=True):
        made = [_equation(tree, train, i, options, loss) for tree in trees] if loss is not None else []
        equations = judged(replace(front, equations=(*front.equations, *made)), held_out, i).equations
        info = {
            name: getattr(front, name)
            for name in ("engine", "stop_reason", "n_samples", "seconds", "folder", "evidence")
        }
        kept = equations if held_out is None else _better_and_better(equations)
        amended[i] = Front.from_candidates(kept, model_selection=options.model_selection, **info)
    return amended


def _loss(options: SearchOptions) -> Loss | None:
    """What the search minimises; None for a loss that only another engine knows."""
    try:
        return parse_loss(options.elementwise_loss)
    except OptionError:
        return None


def _equation(tree: Expr, train: Samples, output: int, options: SearchOptions, loss: Loss) -> Equation:
    value = loss_on_all(tree, train, train.Y[:, output], loss)
    return Equation(tree, train.variable_names, options.complexity(tree), value)


def _better_and_better(equations: Sequence[Equation]) -> list[Equation]:
    """By rising complexity the equations that explain more of the held-out rows, and lose less on the others too.

    What fits the others better than a more complex equation, and the held-out ones worse, is fitted to chance.
    """
    rising: list[Equation] = []
    for eq in sorted(equations, key=lambda eq: (eq.complexity, -_explained(eq))):
        if not rising or _explained(eq) > _explained(rising[-1]):
            rising.append(eq)
    kept = rising[-1:]
    for eq in reversed(rising[:-1]):
        if eq.loss > kept[0].loss:
            kept.insert(0, eq)
    return kept


def _explained(eq: Equation) -> float:
    return -np.inf if eq.r2 is None else eq.r2
