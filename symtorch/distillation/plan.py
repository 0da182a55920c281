"""One request to distill: checked before any data is moved, then turned into samples and fronts."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from symtorch.capture import Captured
from symtorch.capture.moments import Choose
from symtorch.capture.rows import Counted, Trial
from symtorch.distillation.asking import Ask, check_ask, limit_of, limited, tried, with_evidence
from symtorch.distillation.growth import search
from symtorch.distillation.journal import Journalled
from symtorch.distillation.unmixing import unmixed
from symtorch.engines.base import Engine, ProgressCallback
from symtorch.engines.options import SearchOptions, is_option
from symtorch.engines.registry import resolve
from symtorch.engines.samples import MIN_SAMPLES, Samples
from symtorch.equations.expr import Constant
from symtorch.equations.front import Equation, Front, Fronts
from symtorch.equations.textbook import signs_of
from symtorch.errors import InputError, OptionError, listed, warn_caller
from symtorch.local.neighbourhood import DEFAULT_SLIME_PARAMS, Neighbourhood
from symtorch.surrogate.encodings import (
    Encoding,
    Fit,
    Gated,
    Identity,
    Mixing,
    Projection,
    Transform,
    Transforms,
    check_transforms,
)
from symtorch.surrogate.fidelity import judged, with_errors
from symtorch.surrogate.interface import Interface

LONGEST_NAME = 255
"""Bytes that file systems take as the name of a file or folder."""


@dataclass(frozen=True)
class Plan:
    """A checked request: what to search for, on what variables, with which engine.

    Its fields are the arguments of :meth:`symtorch.SymbolicModel.distill`; ``encoding`` makes one for the data,
    but where there is a ``projection``, which :mod:`.projected` fits.
    ``column_names`` are those of the data, where it is a DataFrame: names for the block's inputs, if they fit.
    """

    options: SearchOptions
    engine: Engine
    output_dim: int | None
    encoding: Fit
    variable_names: tuple[str, ...] | None
    weights: np.ndarray | None
    held_out: float
    save_path: Path | None = None
    resume: bool = False
    ask: Ask = None
    column_names: tuple[str, ...] | None = None
    projection: Projection | None = None
    skip: int | None = None
    gradients: np.ndarray | None = None
    terms: Gated | None = None
    mixing: bool | int = False

    @classmethod
    def make(
        cls,
        *,
        output_dim: int | None = None,
        variable_transforms: Sequence[Transform] | Mapping[str, Transform] | None = None,
        sr_params: Mapping[str, Any] | None = None,
        fit_params: Mapping[str, Any] | None = None,
        engine: str | Engine | Any = "auto",
        held_out: float = 0.2,
        save_path: str | Path | None = None,
        resume: bool = False,
        encoding: Encoding | Fit | None = None,
        projection: Projection | None = None,
        skip: int | str | None = "auto",
        terms: Gated | None = None,
        mixing: bool | int = False,
        ask: Ask = None,
        **unknown: Any,
    ) -> Plan:
        """Check everything that can be checked without data.

        Args:
            unknown: arguments that there are not; an error says what may be meant.
        """
        if unknown:
            raise _no_argument(next(iter(unknown)), unknown)
        chosen = resolve(engine)
        if projection is not None:
            # A coordinate has seldom a law: the pick is what explains most, unless the user wants another.
            sr_params = {"model_selection": "accuracy", **(sr_params or {})}
        options = SearchOptions.from_params(sr_params, chosen.parameters)
        if fit_params is not None and not isinstance(fit_params, Mapping):
            raise InputError(
                f"fit_params is a {type(fit_params).__name__}; expected a dict, as {{'variable_names': ['a', 'b']}}."
            )
        fit = dict(fit_params or {})
        names = fit.pop("variable_names", None)
        weights = fit.pop("weights", None)
        gradients = fit.pop("gradients", None)
        _check_takes_gradients(gradients, chosen, projection)
        if fit:  # what the engine alone understands
            chosen = chosen.bind(fit_params=fit)
        chosen.check(options)
        if isinstance(variable_transforms, Mapping) and names is not None:
            raise InputError("variable_transforms given by name and variable_names too; give the names once.")
        fit_encoding = _encoding_of(variable_transforms, names, encoding)
        _check_projection(projection, skip, variable_transforms is not None or encoding is not None, weights)
        _check_terms(terms, projection)
        _check_mixing(mixing, projection)
        check_ask(ask)
        if not 0 <= held_out < 1:
            raise InputError(f"held_out is {held_out}; expected a share of the rows, at least 0 and under 1.")
        if output_dim is not None and (isinstance(output_dim, bool) or not isinstance(output_dim, int)):
            raise InputError(f"output_dim is {output_dim!r}; expected the index of an output, or None for all.")
        return cls(
            options,
            chosen,
            output_dim,
            fit_encoding,
            None if names is None else tuple(names),
            None if weights is None else _numpy(weights),
            held_out,
            _usable(save_path, resume),
            resume,
            ask,
            projection=projection,
            skip=None if isinstance(skip, str) else skip or 0,
            gradients=None if gradients is None else _numpy(gradients),
            terms=terms,
            mixing=mixing,
        )

    @property
    def moments(self) -> float | None:
        """For :func:`symtorch.capture.capture`: the share of rows to hold out of moments; None for no moments."""
        return None if self.projection is None else self.held_out

    def features(self, blocks: Mapping[str, Any]) -> Callable[[str], Choose] | None:
        """For :func:`symtorch.capture.capture`: what decides on the columns beside a block's inputs; None for none."""
        terms = self.terms
        return None if terms is None else lambda name: terms.choose(blocks[name], name)

    @property
    def seed(self) -> int:
        """Seed of everything around the search; the search itself takes the option."""
        return self.options.random_state or 0

    def samples(self, captured: Captured, block: Any, trial: Trial | None = None) -> tuple[Samples, Interface]:
        """The captured rows as the engine's samples, and what their columns mean.

        Args:
            trial: what has come of trying the block out; None to do that here.
        """
        n_inputs, X, Y = captured.layout.n_inputs, captured.X, captured.Y
        encoding, trial = self._fitted(captured, block, trial)
        # Torch modules have torch transforms, as everything around them; plain callables NumPy's.
        variables = _numpy(encoding.encode(torch.from_numpy(X) if isinstance(block, nn.Module) else X))
        names = self.variable_names or self._names_of(encoding, n_inputs)
        _check_transformed(variables, X, names)
        teacher, asking = limited(encoding, lambda: trial or tried(captured, block, self.ask), self.ask)
        weights = None if self.weights is None else captured.rows_of(self.weights)
        running = captured.layout.result.running
        samples = Samples(
            variables,
            encoding.targets(Y, X),
            weights,
            names,
            teacher,
            dtype=running,
            asking=asking,
            gradients=self._gradients_of(captured, encoding),
        )
        return samples, Interface(captured.layout, Y.shape[1], samples.variable_names, encoding)

    def _gradients_of(self, captured: Captured, encoding: Encoding) -> np.ndarray | None:
        """The user's derivatives of the rows that were kept."""
        if self.gradients is None:
            return None
        if not isinstance(encoding, Identity):
            raise InputError("fit_params has gradients by the block's inputs, but the search is on other variables.")
        return captured.rows_of(self.gradients, "gradients")

    def _fitted(self, captured: Captured, block: Any, known: Trial | None) -> tuple[Encoding, Trial | None]:
        """The encoding for these rows, and what has come of trying the block out by then."""
        encoding = self.encoding(captured.X, captured.Y)
        if self.mixing is False:
            return encoding, known
        trial = tried(captured, block, self.ask) if known is None else known
        limit = limit_of(self.ask)
        ask = None
        if trial.teacher is not None:
            ask = Counted(trial.teacher, None if limit is None else max(0, limit - trial.rows) // 2)
        n_laws = None if self.mixing is True else self.mixing
        mixed = unmixed(captured.Y, captured.X, ask, n_laws, encoding, self.seed)
        return mixed, trial if ask is None else replace(trial, rows=trial.rows + ask.rows)

    def _names_of(self, encoding: Encoding, n_inputs: int) -> tuple[str, ...]:
        """Names of the variables, where the user gives none."""
        given = self.column_names
        own = isinstance(encoding.inner if isinstance(encoding, Mixing) else encoding, Identity)
        if given is not None and len(given) == n_inputs and own:
            return given
        return encoding.variable_names(n_inputs)

    def local_samples(
        self, captured: Captured, block: Any, around: Neighbourhood
    ) -> tuple[Samples, Samples | None, Interface]:
        """Samples around a point, of the data and new ones; and as many other new ones to judge by.

        The rows of the data are judged as well: equations are to be right on both, and where the block's answer is all
        the same on the new points that weigh most, these alone tell one equation from another by chance.
        """
        if self.gradients is not None:
            raise InputError("gradients were given, but SLIME draws new rows around x; leave one of them out.")
        if self.weights is not None:
            raise InputError("weights were given, but around a point SLIME weighs the rows; leave one of them out.")
        trial = self._trial_around(captured, block, around)
        teacher = trial.teacher
        if teacher is None:
            raise InputError(
                "the block can't be asked at new points around x: its output for a row depends on other rows, on "
                "chance, or on arguments that are no tensors. Distill it without a point x."
            )
        rng = np.random.default_rng(self.seed)
        encoding, asked = self._fitted(captured, block, trial)
        trial = asked or trial
        near = around.near(captured.X)
        var = around.variance(captured.X[near])

        def around_x(real: np.ndarray) -> tuple[Captured, np.ndarray]:
            new = around.draw(max(around.num_synthetic, MIN_SAMPLES - len(real)), var, rng)
            X = np.concatenate([captured.X[real], new])
            Y = np.concatenate([captured.Y[real], teacher(new)])
            weights = np.concatenate([np.full(len(real), around.real_weighting), around.weights(new, var)])
            return replace(captured, X=X, Y=Y, rows=np.arange(len(X)), n_seen=len(X)), weights

        local, weights = around_x(near)
        fresh, fresh_weights = around_x(near)
        trial = replace(trial, rows=trial.rows + local.n_rows + fresh.n_rows - 2 * len(near))  # with the new points
        here = replace(self, encoding=lambda X, Y: encoding, mixing=False)
        train, interface = replace(here, weights=weights).samples(local, block, trial)
        held_out = None
        if fresh_weights[
            len(near) :
        ].any():  # in very many dimensions every new point is so far away that its weight is zero
            held_out = replace(here, weights=fresh_weights).samples(fresh, block, trial)[0]
        return replace(train, asking=replace(train.asking, tried=trial.rows)), held_out, interface

    def _trial_around(self, captured: Captured, block: Any, around: Neighbourhood) -> Trial:
        """The block as a function, for new points around one, of which there are twice as many as are drawn."""
        limit = limit_of(self.ask)
        if self.ask is False or (limit is not None and limit < 4 * around.num_synthetic):
            raise InputError(
                f"ask is {self.ask!r}, but around a point x the block is asked at {around.num_synthetic} new points, "
                f"twice. Leave ask out, allow {4 * around.num_synthetic}, or lower num_synthetic."
            )
        return tried(captured, block, True if self.ask is None else self.ask)

    def outputs(self, n_outputs: int, active: Sequence[int] | None = None) -> list[int]:
        """The outputs to search for, checked against those that there are and that pruning has kept."""
        if self.output_dim is None:
            return list(range(n_outputs) if active is None else active)
        if not 0 <= self.output_dim < n_outputs:
            raise InputError(f"output_dim {self.output_dim} is out of range; the block has outputs 0..{n_outputs - 1}.")
        if active is not None and self.output_dim not in active:
            raise InputError(f"output_dim {self.output_dim} has been pruned and is zero; there are {list(active)}.")
        return [self.output_dim]

    def journalled(self, name: str, interface: Interface, suffix: str = "") -> Engine:
        """The engine, keeping the fronts of the block of this name in ``save_path``, if there is one.

        Args:
            interface: what the fronts' variables are.
            suffix: tells apart kinds of distillation of one block.
        """
        if self.save_path is None:
            return self.engine
        folder = self.save_path / _folder_name(name)
        return Journalled(self.engine, folder, interface, suffix, self.resume)


def _folder_name(name: str) -> str:
    """The name of a block as one of a folder; one that is too long for that is cut, and told apart by its hash."""
    plain = re.sub(r"[^\w.-]+", "_", name).strip(".")
    if len(os.fsencode(plain)) <= LONGEST_NAME:
        return plain
    return f"{plain[:50]}-{hashlib.blake2b(name.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"


def distill(
    plan: Plan,
    samples: Samples,
    engine: Engine,
    progress: ProgressCallback | None = None,
    active: Sequence[int] | None = None,
    held_out: Samples | None = None,
) -> dict[int, Front]:
    """Search, and judge what was found on rows that were held out.

    Args:
        engine: that of the plan, or one around it.
        active: outputs that pruning has kept; None for all.
        held_out: the rows to judge by; None to take a part of the samples.

    Returns:
        {output: Front} of the outputs that the plan asks for.
    """
    wanted = plan.outputs(samples.n_outputs, active)
    train = samples
    if held_out is None and plan.held_out:
        train, held_out = samples.split(plan.held_out, seed=plan.seed)
    fronts = {i: _constant_front(train, i, plan.options) for i in wanted if _is_constant(train.Y[:, i])}
    to_search = [i for i in wanted if i not in fronts]
    if to_search:
        fronts |= zip(to_search, search(engine, train.outputs(to_search), plan.options, progress), strict=True)
    fronts = with_evidence({i: fronts[i] for i in wanted}, train, held_out, plan.options)
    signs = signs_of(train.X)
    found = Fronts({i: judged(fronts[i].with_signs(signs), held_out, i) for i in wanted})
    if plan.options.squared_error:
        found = with_errors(found, train)
    engine.keep(found)
    _warn_of_cut(found)
    return found


_CUT = {"timeout": "ran out of time", "interrupted": "was interrupted"}
"""Reasons to stop before the search was done."""


def _warn_of_cut(fronts: Mapping[int, Front]) -> None:
    """Say so where a search was cut short: its equations are the best by then."""
    for reason, what in _CUT.items():
        cut = [i for i, front in fronts.items() if front.stop_reason == reason]
        if cut:
            warn_caller(
                f"the search {what} for {len(cut)} of {len(fronts)} outputs ({listed(cut)}); their equations are the "
                f"best that were found by then."
            )


def _no_argument(name: str, unknown: Mapping[str, Any]) -> InputError:
    """What may be meant by an argument that there is not."""
    if is_option(name):
        return OptionError(f"{name!r} is a search option; pass it as sr_params={{{name!r}: {unknown[name]!r}}}.")
    if name in ("variable_names", "weights", "gradients"):
        return InputError(f"{name!r} belongs into fit_params: fit_params={{{name!r}: ...}}.")
    if name in DEFAULT_SLIME_PARAMS:
        return InputError(f"{name!r} belongs into slime_params: SLIME=True, slime_params={{{name!r}: ...}}.")
    near = difflib.get_close_matches(name, _ARGUMENTS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {listed(_ARGUMENTS)}."
    return InputError(f"distill has no argument {name!r}; {hint}")


_ARGUMENTS = (
    "inputs output_dim parent_model variable_transforms save_path sr_params fit_params SLIME slime_params engine "
    "forward arguments output_index max_rows held_out drop_nonfinite resume progress encoding projection "
    "skip terms mixing rows ask teachers"
).split()


def _check_transformed(variables: np.ndarray, X: np.ndarray, names: Sequence[str]) -> None:
    """Raise where a variable is not finite though the inputs that it was made of are."""
    if variables is X or variables.shape[0] != len(X) or len(names) != variables.shape[1]:
        return
    bad = ~np.isfinite(variables) & np.isfinite(X).all(axis=1)[:, None]
    if bad.any():
        j = int(bad.any(axis=0).argmax())
        row = int(bad[:, j].argmax())
        raise InputError(
            f"variable transform {j} ({names[j]!r}) is NaN or infinite on {int(bad[:, j].sum())} of {len(X)} rows, "
            f"first on row {row}, where the inputs are {np.array2string(X[row], precision=4, threshold=6)}. Give one "
            f"that is defined on all of the data."
        )


def _encoding_of(
    variable_transforms: Sequence[Transform] | Mapping[str, Transform] | None,
    names: Sequence[str] | None,
    encoding: Encoding | Fit | None,
) -> Fit:
    """The encoding that the user asks for, as a function of the data."""
    if isinstance(encoding, Encoding):
        return _encoding_of(variable_transforms, names, lambda X, Y: encoding)
    if encoding is not None and not callable(encoding):
        raise InputError(f"encoding is a {type(encoding).__name__}; expected an Encoding or a function (X, Y) to one.")
    match variable_transforms:
        case None:
            return encoding or (lambda X, Y: Identity())
        case transforms if encoding is None:
            check_transforms(transforms, names)
            return lambda X, Y: Transforms.make(transforms, X.shape[1], names)
    raise InputError("variable_transforms and encoding were given; the transforms are an encoding, leave one out.")


def _check_takes_gradients(gradients: Any, engine: Engine, projection: Any) -> None:
    if gradients is None:
        return
    if not engine.takes_gradients:
        raise InputError(f"fit_params has gradients, which engine {engine.name!r} doesn't take; engine='native' does.")
    if projection is not None:
        raise InputError("fit_params has gradients by the block's inputs, a projection has other ones; leave one out.")


def _check_projection(projection: Any, skip: Any, other_encoding: bool, weights: Any) -> None:
    if projection is None:
        if skip != "auto" and skip is not None:
            raise InputError("skip is the rank of a projection's linear part; pass projection=Projection(...) too.")
        return
    if not isinstance(projection, Projection):
        raise InputError(f"projection is a {type(projection).__name__}; expected a symtorch.Projection.")
    if other_encoding:
        raise InputError("projection and another encoding (variable_transforms, encoding) were given; leave one out.")
    if weights is not None:
        raise InputError("weights were given, but a projection is fitted to rows of equal weight; leave one out.")
    if skip != "auto" and skip is not None and (isinstance(skip, bool) or not isinstance(skip, int) or skip < 0):
        raise InputError(f"skip is {skip!r}; expected the rank of the linear part, 0 or None for none, or 'auto'.")


def _check_terms(terms: Any, projection: Any) -> None:
    if terms is None:
        return
    if not isinstance(terms, Gated):
        raise InputError(f"terms is {terms!r}; expected symtorch.Gated(number of terms), or None.")
    if not isinstance(projection, Projection) or projection.kind == "mean":
        raise InputError("terms stand beside the linear part of a projection; pass projection=Projection(...) too.")


def _check_mixing(mixing: Any, projection: Any) -> None:
    if not isinstance(mixing, (bool, int)) or (not isinstance(mixing, bool) and mixing < 1):
        raise InputError(
            f"mixing is {mixing!r}; expected True, or the number of laws (at least 1) that the outputs are mixed of."
        )
    if mixing and projection is not None:
        raise InputError("mixing and projection were given; a projection has directions of its own, leave one out.")


def _usable(save_path: str | Path | None, resume: bool) -> Path | None:
    """The folder for results, made if need be."""
    if save_path is None:
        if resume:
            raise InputError("resume=True goes on from what is in save_path; pass the folder as save_path.")
        return None
    folder = Path(save_path).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a null character in it
        raise InputError(f"save_path {str(save_path)!r} can't be made a folder: {error}.") from error
    return folder


def _is_constant(y: np.ndarray) -> bool:
    return bool(np.ptp(y) <= 4 * np.finfo(np.float64).eps * np.abs(y).max())


def _constant_front(samples: Samples, output: int, options: SearchOptions) -> Front:
    """A constant needs no search."""
    expr = Constant(float(samples.Y[0, output]))
    equation = Equation(expr, samples.variable_names, options.complexity(expr), 0.0)
    return Front((equation,), options.model_selection, "none", "exact", samples.n_samples)


def _numpy(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
