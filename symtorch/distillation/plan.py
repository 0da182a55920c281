"""One request to distill: checked before any data is moved, then turned into samples and fronts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from symtorch.capture import Captured
from symtorch.engines.base import Engine, ProgressCallback
from symtorch.engines.options import SearchOptions
from symtorch.engines.registry import resolve
from symtorch.engines.samples import MIN_SAMPLES, Samples
from symtorch.equations.expr import Constant
from symtorch.equations.front import Equation, Front
from symtorch.errors import InputError
from symtorch.local.neighbourhood import Neighbourhood
from symtorch.surrogate.fidelity import judged
from symtorch.surrogate.interface import Interface
from symtorch.surrogate.transforms import Transform, Transforms, check_transforms

if TYPE_CHECKING:
    from symtorch.distillation.journal import Journal

FIT_PARAMS = ("variable_names", "weights")


@dataclass(frozen=True)
class Plan:
    """A checked request: what to search for, on what variables, with which engine.

    Its fields are the arguments of :meth:`symtorch.SymbolicModel.distill`.
    """

    options: SearchOptions
    engine: Engine
    output_dim: int | None
    transforms: Sequence[Transform] | Mapping[str, Transform] | None
    variable_names: tuple[str, ...] | None
    weights: np.ndarray | None
    held_out: float
    save_path: Path | None = None
    resume: bool = False

    @classmethod
    def make(
        cls,
        *,
        output_dim: int | None = None,
        variable_transforms: Sequence[Transform] | Mapping[str, Transform] | None = None,
        sr_params: Mapping[str, Any] | None = None,
        fit_params: Mapping[str, Any] | None = None,
        engine: str | Engine = "auto",
        held_out: float = 0.2,
        save_path: str | Path | None = None,
        resume: bool = False,
    ) -> Plan:
        """Check everything that can be checked without data."""
        options = SearchOptions.from_params(sr_params)
        fit = dict(fit_params or {})
        names = fit.pop("variable_names", None)
        weights = fit.pop("weights", None)
        chosen = _with_fit_params(resolve(engine), fit)
        check = getattr(chosen, "check", None)
        if check is not None:
            check(options)
        if isinstance(variable_transforms, Mapping) and names is not None:
            raise InputError("variable_transforms given by name and variable_names too; give the names once.")
        if variable_transforms is not None:
            check_transforms(variable_transforms, names)
        if not 0 <= held_out < 1:
            raise InputError(f"held_out is {held_out}; expected a share of the rows, at least 0 and under 1.")
        if output_dim is not None and (isinstance(output_dim, bool) or not isinstance(output_dim, int)):
            raise InputError(f"output_dim is {output_dim!r}; expected the index of an output, or None for all.")
        return cls(
            options,
            chosen,
            output_dim,
            variable_transforms,
            None if names is None else tuple(names),
            None if weights is None else _numpy(weights),
            held_out,
            _usable(save_path, resume),
            resume,
        )

    @property
    def seed(self) -> int:
        """Seed of everything around the search; the search itself takes the option."""
        return self.options.random_state or 0

    def samples(self, captured: Captured, block: Any) -> tuple[Samples, Interface]:
        """The captured rows as the engine's samples, and what their columns mean."""
        layout, X = captured.layout, captured.X
        transforms = None
        if self.transforms is None:
            names = self.variable_names or tuple(f"x{i}" for i in range(layout.n_inputs))
            teacher = captured.teacher(block)
        else:
            transforms = Transforms.make(self.transforms, layout.n_inputs, self.variable_names)
            # Torch modules have torch transforms, as everything around them; plain callables NumPy's.
            rows = torch.from_numpy(X) if isinstance(block, nn.Module) else X
            X, names, teacher = _numpy(transforms(rows)), transforms.names, None
        weights = None if self.weights is None else captured.rows_of(self.weights)
        samples = Samples(X, captured.Y, weights, names, teacher, layout.result.running)
        return samples, Interface(layout, samples.n_outputs, samples.variable_names, transforms)

    def local_samples(
        self, captured: Captured, block: Any, around: Neighbourhood
    ) -> tuple[Samples, Samples | None, Interface]:
        """Samples around a point, of the data and new ones; and as many new ones to judge by."""
        if self.weights is not None:
            raise InputError("weights were given, but around a point SLIME weighs the rows; leave one of them out.")
        teacher = captured.teacher(block)
        if teacher is None:
            raise InputError(
                "the block can't be asked at new points around x: its output for a row depends on other rows, on "
                "chance, or on arguments that are no tensors. Distill it without a point x."
            )
        rng = np.random.default_rng(self.seed)
        near = around.near(captured.X)
        var = around.variance(captured.X[near])

        def around_x(real: np.ndarray) -> tuple[Captured, np.ndarray]:
            new = around.draw(max(around.num_synthetic, MIN_SAMPLES - len(real)), var, rng)
            X = np.concatenate([captured.X[real], new])
            Y = np.concatenate([captured.Y[real], teacher(new)])
            weights = np.concatenate([np.full(len(real), around.real_weighting), around.weights(new, var)])
            return replace(captured, X=X, Y=Y, rows=np.arange(len(X)), n_seen=len(X)), weights

        local, weights = around_x(near)
        train, interface = replace(self, weights=weights).samples(local, block)
        local, weights = around_x(near[:0])
        # In very many dimensions every new point is so far away that its weight is zero.
        held_out = replace(self, weights=weights).samples(local, block)[0] if weights.any() else None
        return train, held_out, interface

    def outputs(self, n_outputs: int, active: Sequence[int] | None = None) -> list[int]:
        """The outputs to search for, checked against those that there are and that pruning has kept."""
        if self.output_dim is None:
            return list(range(n_outputs) if active is None else active)
        if not 0 <= self.output_dim < n_outputs:
            raise InputError(f"output_dim {self.output_dim} does not exist; the block has outputs 0..{n_outputs - 1}.")
        if active is not None and self.output_dim not in active:
            raise InputError(f"output_dim {self.output_dim} has been pruned and is zero; there are {list(active)}.")
        return [self.output_dim]

    def journal(self, name: str, interface: Interface, suffix: str = "") -> Journal | None:
        """Where the fronts of the block of this name are kept while they improve."""
        from symtorch.distillation.journal import Journal

        if self.save_path is None:
            return None
        folder = self.save_path / re.sub(r"[^\w.-]+", "_", name).strip(".")
        return Journal(folder, interface, suffix, self.resume)

    def run(
        self,
        samples: Samples,
        progress: ProgressCallback | None,
        active: Sequence[int] | None = None,
        held_out: Samples | None = None,
        journal: Journal | None = None,
    ) -> dict[int, Front]:
        """Search, and judge what was found on rows that were held out.

        Args:
            active: outputs that pruning has kept; None for all.
            held_out: the rows to judge by; None to take a part of the samples.
            journal: keeps the fronts on disk while they improve; None for nowhere.
        """
        wanted = self.outputs(samples.n_outputs, active)
        train = samples
        if held_out is None and self.held_out:
            train, held_out = samples.split(self.held_out, seed=self.seed)
        fronts = {i: _constant_front(train, i, self.options) for i in wanted if _is_constant(train.Y[:, i])}
        to_search = [i for i in wanted if i not in fronts]
        if to_search and journal is not None:
            fronts |= journal.search(self.engine, train, self.options, to_search, progress)
        elif to_search:
            found = self.engine.search(train.outputs(to_search), self.options, progress)
            fronts |= dict(zip(to_search, found, strict=True))
        fronts = {i: judged(fronts[i], held_out, i) for i in wanted}
        if journal is not None:
            for i, front in fronts.items():
                journal.write(i, front, journal.is_final(front))
        return fronts


def _usable(save_path: str | Path | None, resume: bool) -> Path | None:
    """The folder for results, made if need be."""
    if save_path is None:
        if resume:
            raise InputError("resume=True goes on from what is in save_path; pass the folder as save_path.")
        return None
    folder = Path(save_path).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"save_path {str(save_path)!r} can't be made a folder: {error}.") from error
    return folder


def _with_fit_params(engine: Engine, fit_params: Mapping[str, Any]) -> Engine:
    """The engine with what it alone understands of the fit parameters (PySR: X_units, y_units, ...)."""
    if not fit_params:
        return engine
    bind = getattr(engine, "bind", None)
    if bind is None:
        raise InputError(
            f"fit_params {list(fit_params)} are not known to engine {engine.name!r}; expected "
            f"{' and '.join(map(repr, FIT_PARAMS))}. engine='pysr' takes all of PySR's."
        )
    return bind(fit_params=fit_params)


def _is_constant(y: np.ndarray) -> bool:
    return bool(np.ptp(y) <= 4 * np.finfo(np.float64).eps * np.abs(y).max())


def _constant_front(samples: Samples, output: int, options: SearchOptions) -> Front:
    """A constant needs no search."""
    expr = Constant(float(samples.Y[0, output]))
    equation = Equation(expr, samples.variable_names, options.complexity(expr), 0.0)
    return Front((equation,), options.model_selection, "none", "exact", samples.n_samples)


def _numpy(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
