"""SymbolicModel: wrap a block, distill it, switch between block and equations."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from symtorch import display
from symtorch.capture import USUAL_MASK, Captured, Rows, call_plain, capture, fingerprint
from symtorch.capture.batches import batches_of as loader_batches
from symtorch.capture.batches import placing
from symtorch.capture.calls import expected_callable, is_table, read_call, read_output
from symtorch.capture.gradients import felt
from symtorch.capture.undisturbed import undisturbed
from symtorch.codegen.export import check_form, export
from symtorch.distillation import formulas
from symtorch.distillation.asking import Ask, tell
from symtorch.distillation.own import with_own
from symtorch.distillation.plan import Plan
from symtorch.distillation.plan import distill as plan_distill
from symtorch.distillation.projected import Judging, Projecting, distill_projected
from symtorch.distillation.reruns import Request, check_blocks
from symtorch.engines.base import Engine, ProgressCallback
from symtorch.engines.options import DEFAULT_SR_PARAMS
from symtorch.engines.samples import Samples, split_rows
from symtorch.equations.alternatives import Alternatives
from symtorch.equations.front import Equation, Front, Fronts
from symtorch.equations.names import identifiers
from symtorch.equations.stability import Stability
from symtorch.equations.suggest import Suggestion, suggest
from symtorch.errors import InputError, NotDistilledError, NotSetUpError, PoorFitWarning, StateError
from symtorch.legacy import Given, LegacyNames
from symtorch.local.neighbourhood import DEFAULT_SLIME_PARAMS, Neighbourhood
from symtorch.pruning import MAX_ROWS, Importance, Pruning, masked
from symtorch.state import portable, write_options
from symtorch.state.files import load_trusted, save_trusted
from symtorch.state.model import ModelState, from_tensor, to_tensor
from symtorch.state.version1 import take_legacy
from symtorch.surrogate.choosing import mean_loss, simplest_within
from symtorch.surrogate.constants import Loss, batches_of, fit_constants
from symtorch.surrogate.encodings import Encoding, Fit, Gated, Identity, Projection, Transform
from symtorch.surrogate.fidelity import OutputFidelity, check_min_r2, fidelity, poorly_fitted
from symtorch.surrogate.figures import plot_output, plot_pruning
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.in_place import InPlace
from symtorch.surrogate.interface import Interface
from symtorch.surrogate.module import Surrogate, output_function
from symtorch.surrogate.released import Released, bytes_of
from symtorch.surrogate.report import Report

logger = logging.getLogger("symtorch")

_SURROGATE = "surrogate"
_DATA = ("_cache", "_split", "_seen", "_judging", "_request", "_given")
_OURS = ("symtorch_block", "block_name", _SURROGATE, "pruning_mask", "_found", "_pruned", *_DATA)
_ID_NAME = re.compile(r"block_\d+")
_KEPT_ROWS, _KEPT_VALUES = 1_000, 1 << 20
"""Rows, and numbers in them, that a block keeps at most of data that several blocks were distilled on."""


class SymbolicModel(LegacyNames, nn.Module):
    """A block of a model that can be replaced by equations.

    It calls the block until :meth:`switch_to_symbolic`, and after that the equations that
    :meth:`distill` found.

    >>> block = SymbolicModel(lambda x: 2 * x[:, 0] + 1, "line")
    >>> front = block.distill(np.random.default_rng(0).normal(size=(200, 1)), output_dim=0)
    >>> print(block.equation(0))
    2*x0 + 1
    >>> block.switch_to_symbolic()
    >>> block(np.array([[3.0]]))
    array([7.])

    Args:
        block: an ``nn.Module``, or any callable that takes an array or tensor (n_samples, n_inputs)
            and returns one (n_samples, n_outputs) or (n_samples,), such as scikit-learn's ``predict``.
        block_name: how it is called in logs and files; ``block_<id>`` if none is given.

    Attributes:
        symtorch_block: the block.
        fronts: {output: Front} of all that has been distilled.
        surrogate: the equations that were last put in the block's place, as a module; None for none.
        pruning_mask: (initial_dim,), True where an output is kept; None before :meth:`setup_pruning`.
    """

    DEFAULT_SR_PARAMS = DEFAULT_SR_PARAMS
    DEFAULT_SLIME_PARAMS = DEFAULT_SLIME_PARAMS

    def __init__(self, block: nn.Module | Callable[..., Any], block_name: str | None = None) -> None:
        super().__init__()
        if not callable(block):
            raise InputError(f"block is a {type(block).__name__}; {expected_callable(block)}.")
        self.symtorch_block = block
        self.block_name = block_name or f"block_{id(self)}"
        self.surrogate: InPlace | None = None
        self._found: dict[str, Findings] = portable.new_findings(self.block_name)
        self._cache: portable.Cache | None = None
        self._judging: Judging | None = None
        # Share of the captured rows that was held out, and the seed; or that there are none but those.
        self._split: tuple[float, int] | Literal["held out"] | None = None
        self._request: Request | None = None  # the last distillation of all data, to be done again
        self._given: dict[str, Given] | None = None  # what distillations were called with, by their kind
        self._seen: Interface | Literal[False] | None = None  # of the first call; False where it can't be read
        # It is part of the extra state: a buffer that comes and goes would make the keys of state dicts differ.
        self.register_buffer("pruning_mask", None, persistent=False)
        self.pruning_mask: Tensor | None
        self._pruned: Pruning | None = None

    # ---- distill

    def distill(
        self,
        inputs: Any,
        output_dim: int | None = None,
        parent_model: nn.Module | None = None,
        variable_transforms: Sequence[Transform] | Mapping[str, Transform] | None = None,
        save_path: str | Path | None = None,
        sr_params: Mapping[str, Any] | None = None,
        fit_params: Mapping[str, Any] | None = None,
        SLIME: bool = False,
        slime_params: Mapping[str, Any] | None = None,
        *,
        engine: str | Engine = "auto",
        forward: Callable[[Any, Any], Any] | None = None,
        arguments: Sequence[int | str] | None = None,
        output_index: int | str | None = None,
        max_rows: int = 10_000,
        held_out: float = 0.2,
        drop_nonfinite: bool = False,
        resume: bool = False,
        progress: bool | ProgressCallback | None = None,
        encoding: Encoding | Fit | None = None,
        projection: Projection | None = None,
        skip: int | str | None = "auto",
        terms: Gated | None = None,
        mixing: bool | int = False,
        rows: Rows | None = USUAL_MASK,
        ask: Ask = None,
        teachers: Sequence[nn.Module | Callable[..., Any]] = (),
        **unknown: Any,
    ) -> Front | dict[int, Front]:
        """Find equations for the block's outputs.

        Args:
            inputs: what the block is called with, or ``parent_model`` if there is one: a tensor,
                array or DataFrame (..., n_inputs), a list of rows of numbers, a tuple of several, a dict of
                keyword arguments, or an iterable or DataLoader of those, which is streamed. A DataFrame's
                columns name the block's inputs.
            output_dim: the one output to distill; None for all.
            parent_model: the model that calls the block. Every call of the block in it counts.
            variable_transforms: new variables to search on, each a formula over ``x0, x1, ...`` or a
                callable that takes all inputs (n_rows, n_inputs) and returns (n_rows,); in a list, or
                in a dict by name.
            save_path: folder in which the fronts are kept while they improve, one JSON file per output.
            sr_params: search options under PySR's names; see :class:`symtorch.SearchOptions`.
            SLIME: explain the block around a point: search on the rows near it and on new rows drawn around
                it, weighed by nearness. The equations stand apart from the others; see ``slime_fronts``.
            slime_params: ``x``, the point (n_inputs,), ``J_nn``, ``num_synthetic``, ``real_weighting``,
                ``nn_metric``, ``var``; see :class:`symtorch.local.neighbourhood.Neighbourhood`.
            fit_params: ``variable_names``, one per variable; ``weights``, one per row of the data; ``gradients``
                (n_rows, n_outputs, n_inputs), the derivatives of the outputs by the block's inputs on each row, which
                the constants are fitted to and the equations judged by beside the values, with the native engine.
            engine: "native", "pysr", "auto" (PySR where it is installed and ready, else native), or an
                object of your own; see :class:`symtorch.engines.Engine`.
            forward: ``forward(model, batch)`` runs the model on one batch, where ``model(batch)`` does not:
                ``lambda model, batch: model(batch[0])`` for batches of (inputs, targets).
            arguments: positions or names of the block's arguments that count; None for every tensor.
            output_index: which part of the block's result counts, where that is a tuple or a dict.
            max_rows: rows kept of the data, at most; drawn evenly from all of it, however long.
            held_out: share of those rows on which the equations are judged and not searched (R²).
            drop_nonfinite: leave out rows with NaN or infinite values instead of raising.
            resume: go on from what a search of the same data and options has left in ``save_path``, be it
                that it was interrupted or killed: finished outputs are taken over, others start from there.
            progress: True or False for a bar, a callable for the reports themselves; None follows
                ``sr_params["progress"]``.
            encoding: how the block's rows become what the search sees and its answers the block's outputs,
                or a function (X, Y) that makes one for the data; ``variable_transforms`` are one such. See
                :class:`symtorch.surrogate.encodings.Encoding`.
            projection: for a wide block, equations in a few coordinates for what a linear map leaves; fitted to
                all rows of the data, not only to those kept. Outputs are then coordinates; see
                :class:`symtorch.Projection` and :meth:`report`.
            skip: rank of that linear map; "auto" for the projection's ``inputs``, 0 or None for no linear map.
            terms: units of a gated MLP as further equations of a projection; see :class:`symtorch.Gated`. Their
                front holds the term alone, and they come after the outputs that are searched for.
            mixing: the outputs may be linear combinations of simpler functions, as messages of a graph network are,
                or latent coordinates: those are found and searched for, as many as there are outputs, or so many
                as you say. Fronts are then by law; ``switch_to_symbolic`` and exports give the outputs. See
                :class:`symtorch.surrogate.encodings.Mixing`.
            rows: which rows count, for padding is no data: the name of a mask in dict batches, or a function
                (batch) -> mask. ``attention_mask`` is used where there is one that fits; None counts all rows.
            ask: whether the search may ask the block for its output at rows of its own, some thousand to some ten
                thousand for each output; a number is the most rows for all outputs. None asks, unless that takes
                more than 5 ms a row. ``front.rows_asked`` counts them.
            teachers: other blocks that are called as this one is, such as the same part of networks trained from
                other seeds. Each is searched too, as it answers the same rows; :meth:`stability` compares.
            unknown: search options by mistake, which belong into ``sr_params``; raise with a hint.

        Returns:
            {output: Front}, or with ``output_dim`` that output's Front.

        Raises:
            InputError: arguments or data that can't be used.
            OptionError: search options that can't be used.

        Warns:
            NotAFunctionWarning: the block gives the same row different answers: it is random, or mixes samples.
        """
        if parent_model is not None and not isinstance(self.symtorch_block, nn.Module):
            raise InputError(
                f"Cannot use parent_model with Callable blocks: {self.block_name!r} wraps a plain callable, whose "
                f"calls can't be hooked. Leave parent_model out and pass the callable's own inputs."
            )
        plan = Plan.make(
            output_dim=output_dim,
            variable_transforms=variable_transforms,
            encoding=encoding,
            projection=projection,
            skip=skip,
            terms=terms,
            mixing=mixing,
            sr_params=sr_params,
            fit_params=fit_params,
            engine=engine,
            held_out=held_out,
            save_path=save_path,
            resume=resume,
            ask=ask,
            **unknown,
        )
        if parent_model is None and is_table(inputs):
            plan = replace(plan, column_names=tuple(identifiers([str(name) for name in inputs.columns])))
        around = Neighbourhood.from_params(slime_params) if SLIME else None
        if around is not None and projection is not None:
            raise InputError("SLIME=True explains around a point, a projection is of all data; leave one of them out.")
        check_blocks(teachers)
        if teachers and (projection is not None or around is not None):
            raise InputError("teachers are searched on all data and inputs; leave them out, or projection and SLIME.")
        captured = self._capture(
            inputs,
            parent_model,
            forward=forward,
            max_rows=max_rows,
            arguments=arguments,
            output_index=output_index,
            seed=plan.seed,
            drop_nonfinite=drop_nonfinite,
            rows=rows,
            moments=plan.moments,
            terms=plan.terms,
        )
        found = self.distill_captured(captured, plan, progress, around)
        if self._request is not None and teachers:
            self._request = self._request.with_others(teachers)
        self._split = None if around is not None and around.x is not None else (plan.held_out, plan.seed)
        params = None if around is None else {**DEFAULT_SLIME_PARAMS, **(slime_params or {})}
        self._given = {**(self._given or {}), _kind(SLIME): Given.of(inputs, parent_model, params)}
        return found

    def _capture(self, inputs: Any, parent_model: nn.Module | None, **how: Any) -> Captured:
        """The block's data, from the cache where nothing that it depends on has changed."""
        terms: Gated | None = how.pop("terms", None)
        key = fingerprint(inputs, parent_model, self.symtorch_block, terms=repr(terms), **how)
        features = None if terms is None else lambda name: terms.choose(self.symtorch_block, name)
        cache = self._cache
        if cache is not None and how.get("moments") is not None and cache[1].halves is None:
            cache = None  # files keep rows and no moments
        if cache is not None and key is not None and cache[0] == key:
            logger.info("Cache hit for %s: data captured before is used again", self.block_name)
            return cache[1]
        with calling_blocks([self]):
            blocks = {self.block_name: self.symtorch_block}
            captured = capture(blocks, inputs, model=parent_model, features=features, **how)
        self._cache = (key or "", captured[self.block_name])  # without a key it is never used for another search
        return captured[self.block_name]

    def captured_before(self, key: str | None) -> Captured | None:
        """The data that was kept under this key; None where there is other data, or none."""
        return self._cache[1] if self._cache is not None and key is not None and self._cache[0] == key else None

    def keep_captured(self, key: str | None, captured: Captured) -> None:
        """Keep data for distillations of the same; without a key it serves no other."""
        self._cache = (key or "", captured)

    def distill_captured(
        self,
        captured: Captured,
        plan: Plan,
        progress: bool | ProgressCallback | None,
        around: Neighbourhood | None = None,
        name: str | None = None,
    ) -> Front | dict[int, Front]:
        """What :meth:`distill` does once the data is there.

        Args:
            captured: of the block.
            plan: the request.
            progress: as for :meth:`distill`.
            around: the point to explain the block around, where there is one.
            name: what the folder of the fronts is called; None for the name that the user gave the block.
        """
        projecting = None
        samples: Samples | None
        if plan.projection is not None:
            how = (plan.projection, plan.skip, captured, plan.held_out, plan.seed, plan.variable_names)
            projecting = Projecting.fit(*how, self.block_name)
            interface = projecting.interface
            samples, held_out = projecting.samples(self.symtorch_block, plan.ask) or (None, None)
            if samples is None and plan.output_dim is not None:
                raise InputError("the projection leaves nothing to search for, output_dim names a coordinate of it.")
        elif around is None or around.x is None:
            samples, interface = plan.samples(captured, self.symtorch_block)
            held_out = None
        else:
            samples, held_out, interface = plan.local_samples(captured, self.symtorch_block, around)
        fronts: dict[int, Front] = {}
        if samples is not None:
            tell(self.block_name, samples.asking, stacklevel=3)
            logger.info("%s: %s searches %d rows", self.block_name, plan.engine.name, samples.n_samples)
            show = plan.options.progress and plan.options.verbosity > 0 if progress is None else progress is True
            with display.progress_bar(self.block_name, show) as bar:
                active = interface.encoding.needed(self._kept_outputs(interface.n_outputs))
                active = active if projecting is None else active[: projecting.n_free]
                engine = plan.journalled(
                    self._own_name if name is None else name, interface, "" if around is None else "_local"
                )
                report = progress if callable(progress) else bar
                if projecting is None:
                    fronts = plan_distill(plan, samples, engine, report, active, held_out)
                else:
                    fronts = distill_projected(plan, samples, engine, report, active, held_out)
        if projecting is not None and interface.n_searched:
            fronts, samples = projecting.with_terms(fronts, plan.options), projecting.everything()
        kind = _kind(around is not None)
        before = self._findings(kind)
        if samples is not None:
            fronts = with_own(fronts, before, interface, plan, samples, held_out)
        found = before.with_fronts(fronts, interface, samples, write_options(plan.options.given))
        self._replace(kind, found, keep=before.can_stand_beside(interface))
        if around is None:
            self._request = None if projecting is not None else Request(plan, captured, self.symtorch_block)
        if projecting is not None:
            self._judging = projecting.judging()
            if len(self.fronts) == interface.n_searched:
                logger.info("%s", self.report())
        return fronts if plan.output_dim is None else fronts[plan.output_dim]

    def keep_rows(self, captured: Captured, plan: Plan) -> None:
        """Keep some rows of a distillation for :meth:`plot` and the like, where all would be too many.

        Those that were held out, where some were; at most 1,000, and 8 MB of them.

        Args:
            captured: what was distilled.
            plan: the request.
        """
        held_out = split_rows(captured.n_rows, plan.held_out, plan.seed)[1] if plan.held_out else None
        rows = np.arange(captured.n_rows) if held_out is None else held_out
        most = min(_KEPT_ROWS, max(1, _KEPT_VALUES // (captured.X.shape[1] + captured.Y.shape[1])))
        rows = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]
        X, Y = captured.X[rows], captured.Y[rows]
        self._cache = ("", replace(captured, X=X, Y=Y, rows=captured.rows[rows], halves=None))
        self._split = None if held_out is None else "held out"

    def report(
        self,
        inputs: Any = None,
        parent_model: nn.Module | None = None,
        *,
        seed: int = 0,
        forward: Callable[[Any, Any], Any] | None = None,
        rows: Rows | None = USUAL_MASK,
    ) -> Report:
        """What the projection of the last distillation costs and explains, beside the mean and linear maps.

        With the equations that are chosen: those in place, or the default picks. Given the model and some batches, it
        also predicts how far the model's answers would diverge were this block replaced alone, as ``rank_blocks`` does.

        Args:
            inputs: batches for the model, as for ``distill``; a few thousand rows will do. None for no prediction.
            parent_model: the model that calls the block, whose answers are logits.
            seed: of the classes that are drawn for the prediction.
            forward: ``forward(model, batch)``, for batches that the model does not take as they are.
            rows: which rows count, as for ``distill``.

        Raises:
            NotDistilledError: there was none in this process, or not every coordinate has an equation yet.
            InputError: inputs without a model, or the other way round; no logits, or a released block.
        """
        found = self._findings("global")
        if self._judging is None or not self._judging.is_of(found.interface):
            raise NotDistilledError(
                f"{self.block_name!r} has no data to report on; call distill(..., projection=...) in this process."
            )
        missing = [i for i in range(found.require().n_searched) if i not in found.fronts]
        if missing:
            raise NotDistilledError(f"coordinates {missing} of {self.block_name!r} have no equations yet.")
        laws = {i: found.equation(i).expr for i in found.fronts}
        judging, block = replace(self._judging, interface=found.require()), self.symtorch_block
        if inputs is None and parent_model is None:
            return judging.report(self.block_name, block, laws)
        if inputs is None or parent_model is None or not isinstance(block, nn.Module):
            raise InputError(
                f"to predict what replacing {self.block_name!r} costs a model, report needs batches and the model that "
                f"calls the block: report(loader, model)."
            )
        place = placing(parent_model)
        batches = [place(batch) for batch in loader_batches(inputs)]
        wrapped = [part for part in parent_model.modules() if isinstance(part, SymbolicModel)]
        with calling_blocks(wrapped), undisturbed(parent_model):
            called = felt(parent_model, {self.block_name: block}, batches, seed, forward, rows)
            return judging.report(self.block_name, block, laws, (f[self.block_name] for f, _ in called if f))

    def _replace(self, kind: str, found: Findings, keep: bool = True) -> None:
        """Take new findings; what stands in the block's place is always what is shown.

        Args:
            kind: "global" or "local".
            found: the findings.
            keep: whether equations of this kind that are in use stay in use.
        """
        in_place = self.surrogate
        if in_place is None or in_place.kind != kind:
            self._found = {**self._found, kind: found}
        elif keep and in_place.in_use:
            try:
                self._put_in_place(kind, found, dict(found.complexities), in_place.compile_as, in_place.guard)
            except Exception:  # of an output that nothing was found for; what was found is not lost over it
                self._found, self.surrogate = {**self._found, kind: found}, None
                raise
        else:
            self._found, self.surrogate = {**self._found, kind: found}, None

    def clear_cache(self) -> None:
        """Forget the captured data."""
        self._cache = self._judging = self._request = self._given = None
        logger.info("Cache cleared for %s", self.block_name)

    # ---- equations

    @property
    def fronts(self) -> Fronts:
        """{output: Front} of all that has been distilled."""
        return self._findings("global").fronts

    @property
    def slime_fronts(self) -> Fronts:
        """{output: Front} of all that has been distilled with SLIME=True."""
        return self._findings("local").fronts

    @property
    def n_outputs(self) -> int | None:
        """Number of the block's outputs; None before the first distillation."""
        interfaces = [found.interface for found in self._found.values() if found.interface is not None]
        return interfaces[0].n_outputs if interfaces else None

    def equation(
        self, output: int = 0, complexity: int | None = None, SLIME: bool = False, expand: bool = False
    ) -> Equation:
        """The equation of an output: the chosen one, or the one of this complexity.

        Args:
            output: index of the output.
            complexity: of the equation; None for the chosen one.
            SLIME: of those found around a point.
            expand: write variable transforms out, so that it is over the block's own inputs ``x0, x1, ...``.

        Raises:
            InputError: there is no such output or complexity; says what there is. Or a transform is a
                Python function, which can't be written out.
            NotDistilledError: the output has not been distilled.
        """
        found = self._findings(_kind(SLIME))
        equation = found.equation(output, complexity)
        return found.in_block_inputs(equation) if expand else equation

    def _findings(self, kind: str) -> Findings:
        """What was found; the equations in place with the constants that they have now."""
        found, in_place = self._found[kind], self.surrogate
        if in_place is None or in_place.kind != kind:
            return found
        return found.with_constants_of(in_place.equations()).over(in_place.tuned_interface())

    @property
    def equations(self) -> dict[int, Equation]:
        """The chosen equation of each output that has been distilled."""
        found = self._findings("global")
        return {i: found.equation(i) for i in found.fronts}

    def get_symbolic_function(
        self, dim: int = 0, complexity: int | None = None, SLIME: bool = False
    ) -> Callable[[Any], np.ndarray]:
        """A function of the block's inputs, tensor or array (n_samples, n_inputs), to an array (n_samples,)."""
        found = self._findings(_kind(SLIME))
        interface = found.require()
        formulas.check_output(dim, interface.n_outputs)
        needed = interface.encoding.needed([dim])
        exprs = {i: found.equation(i, complexity if i == dim else None).expr for i in needed}
        return output_function(Surrogate([exprs.get(i) for i in range(interface.n_searched)], interface), dim)

    def show_symbolic_expression(
        self, dim: int | Sequence[int] | None = None, complexity: int | Sequence[int] | None = None, SLIME: bool = False
    ) -> None:
        """Print the fronts of these outputs (all by default), or their equations of these complexities.

        An output that has no equations, or none of that complexity, gets a line that says so.
        """
        found = self._findings(_kind(SLIME))
        outputs = indices(dim, list(found.fronts))
        one_for_all = complexity is None or isinstance(complexity, int)
        wanted = [complexity] * len(outputs) if one_for_all else list(complexity)  # type: ignore[arg-type]
        if len(wanted) != len(outputs):
            raise InputError(f"{len(wanted)} complexities for {len(outputs)} outputs; give one for each.")
        if not found.fronts:
            print(f"{found.what} has no equations yet; call {found.how} first.")  # noqa: T201
        for i, c in zip(outputs, wanted, strict=True):
            try:
                eq = found.equation(i, c)  # type: ignore[arg-type]
            except (InputError, NotDistilledError) as error:
                if found.fronts:
                    print(error)  # noqa: T201
                continue
            if c is None:
                print(f"output {i}:\n{found.fronts[i]}\nchosen: y{i} = {eq}\n")  # noqa: T201
            else:
                print(f"y{i} = {eq}    [{display.figures(eq)}]")  # noqa: T201

    # ---- switch

    def switch_to_symbolic(
        self,
        complexity: int | Sequence[int | None] | Mapping[int, int | None] | None = None,
        SLIME: bool = False,
        *,
        compile: bool | str = "auto",
        guard: str = "none",
        min_r2: float | None = 0.5,
    ) -> None:
        """Put the equations in the block's place.

        Args:
            complexity: which equations: None for each front's pick, which is what :meth:`set_equation` has
                set or the rule of ``model_selection`` takes, a number for all outputs,
                a list with one entry per output (or per output that pruning has kept), or a dict
                {output: complexity}; an entry of None and an output that the dict leaves out take the
                default pick.
            SLIME: take the equations of the last ``distill(..., SLIME=True)``.
            compile: run them as machine code: True, False, or "auto", where there is a compiler and
                they have had enough work to be worth it; see :meth:`SymbolicFunction.use_compiled`.
            guard: for rows on which an equation is NaN or infinite: "none" passes that on, "raise"
                raises an UndefinedError, "block" lets the block answer for those rows.
            min_r2: held-out R² under which an equation explains too little; None for no warning.

        Raises:
            NotDistilledError: not every output has equations yet; says which have none.
            InputError: there is no equation of that complexity; says which there are.

        Warns:
            PoorFitWarning: equations explain less than ``min_r2`` of what the block does; names their outputs.
        """
        check_min_r2(min_r2)
        kind = _kind(SLIME)
        self._put_in_place(kind, self._findings(kind), complexity, compile, guard)
        if min_r2 is not None and (poor := poorly_fitted(self._found[kind], min_r2)):
            warnings.warn(f"{self.block_name}: {poor}", PoorFitWarning, stacklevel=2)

    def _put_in_place(self, kind: str, found: Findings, complexity: Any, compile: bool | str, guard: str) -> None:
        """Choose equations of these findings and use them; nothing is changed where that fails."""
        active = found.require().encoding.needed(self._kept_outputs(found.require().n_outputs))
        found = found.choosing(complexity, active)
        in_place = InPlace(found, kind, active, guard)
        tensors = (*self.parameters(), *self.buffers())
        in_place = in_place.to(tensors[0].device) if tensors else in_place
        self.surrogate = in_place.use_compiled(compile)
        self._found = {**self._found, kind: found}

    def choose(self, model: nn.Module | None, data: Any, loss: Loss, tolerance: float = 0.01) -> dict[int, int]:
        """The simplest equations with which the whole model is nearly as good as with the most accurate ones.

        A front's own pick knows nothing of what the model makes of an output; the model's loss does. Outputs go over
        to simpler equations by complexity saved per rise of the loss, until it would rise by more than the
        tolerance; a few evaluations of the loss per output. If equations are in use these are switched to, else
        nothing changes: ``switch_to_symbolic(chosen)`` takes them.

        >>> block = SymbolicModel(lambda x: x[:, :1] + 1e-4 * x[:, :1] ** 3, "cubic")
        >>> x = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
        >>> _ = block.distill(x, sr_params={"random_state": 0})
        >>> chosen = block.choose(None, x, lambda m, x: (m(x) - x).square().mean() + 1e-6)
        >>> print(block.equation(0, chosen[0]))
        x0

        Args:
            model: the model that this block is part of; None for the block alone. Modes stay as they are.
            data: one batch, or a list or DataLoader of batches, over which the loss is averaged.
            loss: ``loss(model, batch)``, one number.
            tolerance: by which share the loss may rise above that with each front's most accurate equation.

        Returns:
            {output: complexity}.

        Raises:
            InputError: no data, no such tolerance, the block is no part of the model, or the loss is not finite.
            NotDistilledError: not every output has equations yet.
        """
        whole, batches = self if model is None else model, batches_of(data)
        if all(module is not self for module in whole.modules()):
            raise InputError(f"{self.block_name!r} is no part of the model, so that its loss says nothing of it.")
        found, known, before = self._findings("global"), self._found, self.surrogate
        in_use = before is not None and before.in_use
        guard = before.guard if before is not None and in_use else "none"

        def measured(complexities: dict[int, int]) -> float:
            self._put_in_place("global", found, complexities, False, guard)
            return mean_loss(whole, batches, loss)

        active = found.require().encoding.needed(self._kept_outputs(found.require().n_outputs))
        found.choosing(None, active)  # raises where an output has none
        try:
            chosen = simplest_within({i: found.fronts[i] for i in active}, measured, tolerance)
        finally:
            self._found, self.surrogate = known, before
        if before is not None and in_use:
            self._put_in_place("global", found, chosen, before.compile_as, guard)
        return chosen

    def switch_to_block(self) -> None:
        """Put the block back in its place; the equations are kept.

        Raises:
            ReleasedError: the block's weights were released.
        """
        if isinstance(self.symtorch_block, Released):
            raise self.symtorch_block.error()
        if self.surrogate is not None:
            self.surrogate.in_use = False

    def release_block(self) -> int:
        """Free the weights of the block, whose equations are in use; there is no way back in this process.

        State dicts have no weights of the block from then on, and a model that loads one releases its own block too.
        Weights that another part of the model shares stay with that part.

        Returns:
            bytes of the block's parameters and buffers.

        Raises:
            NotDistilledError: no equations are in use.
            InputError: the equations need the block, for ``guard="block"``.
        """
        in_place, block = self.surrogate, self.symtorch_block
        if isinstance(block, Released):
            return block.n_bytes
        if in_place is None or not in_place.in_use:
            raise NotDistilledError("no equations are in use; call distill(...) and switch_to_symbolic() first.")
        if in_place.guard == "block":
            raise InputError("guard='block' needs the block; switch_to_symbolic() with another guard first.")
        n_bytes = bytes_of(block) if isinstance(block, nn.Module) else 0
        self._release(type(block).__name__, n_bytes)
        return n_bytes

    def _release(self, kind: str, n_bytes: int) -> None:
        self.symtorch_block = Released(self.block_name, kind, n_bytes)
        self.symtorch_block.training = self.training
        self.clear_cache()

    @property
    def use_symbolic(self) -> bool:
        """Whether the equations are in the block's place."""
        return self.surrogate is not None and self.surrogate.in_use

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The block's result, or the equations' in the same structure; NumPy in gives NumPy out."""
        in_place = self.surrogate
        if in_place is not None and in_place.in_use:
            output = in_place.answer(args, kwargs, self._call_block, self.block_name)
        else:
            output = self._call_block(*args, **kwargs)
            if self._seen is None and not (torch.compiler.is_compiling() or torch.jit.is_tracing()):
                self._seen = _interface_of(args, kwargs, output) or False
        return output if self.pruning_mask is None else masked(output, self.pruning_mask)

    def _call_block(self, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self.symtorch_block, nn.Module):
            return self.symtorch_block(*args, **kwargs)
        return call_plain(self.symtorch_block, *args, **kwargs)

    # ---- fidelity

    def fidelity(
        self, inputs: Any, parent_model: nn.Module | None = None, SLIME: bool = False, **how: Any
    ) -> list[OutputFidelity]:
        """How faithful the chosen equations are on given data, and where they break down, per output.

        Args:
            inputs: as for :meth:`distill`; data that the search has not seen tells most.
            parent_model: the model that calls the block.
            how: ``forward``, ``arguments``, ``output_index``, ``max_rows``, as for :meth:`distill`.
        """
        found = self._findings(_kind(SLIME))
        found.require()
        with calling_blocks([self]):
            data = capture({self.block_name: self.symtorch_block}, inputs, model=parent_model, **how)[self.block_name]
        return fidelity(found, data)

    def plot(
        self,
        output: int = 0,
        inputs: Any = None,
        *,
        of: str | None = None,
        parent_model: nn.Module | None = None,
        ax: Any = None,
        n_inputs: int = 8,
    ) -> Any:
        """Draw block and chosen equation side by side; needs matplotlib.

        Args:
            output: index of the output.
            inputs: data to draw on, as for :meth:`distill`; None for the rows that the last distillation has
                held out.
            of: "parity" for the equation's values over the block's; "residuals" for what they leave; the name of
                an input for both along it, the others at their medians; "domain" for how far they agree within the
                data and beyond, along the first two inputs of the equation; None for parity and every input.
            parent_model: the model that calls the block, and that the inputs are for.
            ax: matplotlib axes for one figure; parity, where ``of`` doesn't say which.
            n_inputs: so many inputs at most, those in the equation first.

        Returns:
            the axes, an array of them for all figures.

        Raises:
            InputError: there is no such output or input, or no data.
            NotDistilledError: the output has no equation.
        """
        found = self._findings("global")
        formulas.check_output(output, found.require().n_outputs)
        data, rows = self._rows_to_draw(inputs, parent_model)
        return plot_output(found, data, data.teacher(self.symtorch_block), output, of, ax, rows, n_inputs)

    def _rows_to_draw(self, inputs: Any, parent_model: nn.Module | None) -> tuple[Captured, str]:
        """Rows of the block, and what they are."""
        if inputs is not None:
            with calling_blocks([self]):
                blocks = {self.block_name: self.symtorch_block}
                return capture(blocks, inputs, model=parent_model)[self.block_name], "rows"
        if self._cache is None:
            raise InputError("there is no data; it is kept by distill(...) until clear_cache(). Pass some as inputs=.")
        data, judging = self._cache[1], self._judging
        if judging is not None and judging.held_out and judging.is_of(self._found["global"].interface):
            return replace(data, X=judging.X, Y=judging.Y, rows=judging.rows), "held-out rows"
        if self._split == "held out":
            return data, "held-out rows"
        held_out = None if self._split is None or not self._split[0] else split_rows(data.n_rows, *self._split)[1]
        if held_out is None:
            return data, "rows, none held out"
        return replace(data, X=data.X[held_out], Y=data.Y[held_out], rows=data.rows[held_out]), "held-out rows"

    # ---- constants

    def trainable_constants(self, trainable: bool = True) -> list[nn.Parameter]:
        """Let an optimizer train the constants of the equations in use, or freeze them again.

        Returns:
            the parameters, for the optimizer. :meth:`equation` and what is saved follow them.

        Raises:
            NotDistilledError: no equations are in use.
        """
        if self.surrogate is None or not self.surrogate.in_use:
            raise NotDistilledError("no equations are in use; call distill(...) and switch_to_symbolic() first.")
        self.surrogate.function.trainable_constants(trainable)
        return [self.surrogate.function.constants]

    def fit_constants(self, parent: nn.Module | None, data: Any, loss: Loss, steps: int = 200) -> float:
        """Fit the constants of the equations in use; see :func:`symtorch.surrogate.constants.fit_constants`.

        Args:
            parent: the model that this block is part of; None for the block alone.
            data: a batch, or a list or DataLoader of batches.
            loss: ``loss(parent, batch)``, a scalar tensor.
            steps: iterations of L-BFGS at most.
        """
        return fit_constants(self if parent is None else parent, data, loss, steps)

    # ---- formulas

    def set_equation(
        self,
        output: int,
        formula: Any,
        refit_constants: bool = False,
        complexity: int | None = None,
        *,
        inputs: Any = None,
        parent_model: nn.Module | None = None,
    ) -> Equation:
        """Add a formula of one's own to an output's front, as its pick: ``switch_to_symbolic()`` takes it.

        It stays that when the block is distilled again, beside what is found then, and is judged on the new data;
        but for a distillation on other variables, over which it can't be written. ``set_equation(output, None)``
        takes it out again, and ``switch_to_symbolic(complexity)`` takes another.

        >>> block = SymbolicModel(lambda x: np.exp(0.5 * x), "growth")
        >>> fronts = block.distill(np.random.default_rng(0).normal(size=(200, 1)))
        >>> print(block.set_equation(0, "exp(0.4*x0)", refit_constants=True))
        exp(0.5*x0)

        Args:
            output: index of the output.
            formula: text or a SymPy expression over the equations' variables; None to take out what was set before.
            refit_constants: fit its constants to the data of the last distillation first.
            complexity: what it is called by; by default its complexity as the search options count it. Of
                equations that are called the same, the latest that was set is meant.
            inputs: data as for :meth:`distill`, to judge the formula on and to fit it to. Needed before any
                distillation, where neither an earlier call nor the block's layers tell how many inputs
                there are.
            parent_model: the model that calls the block, and that the inputs are for.

        Returns:
            the equation; where formula is None, the front's pick without it.

        Raises:
            ParseError: the formula can't be read.
            InputError: there is no such output, a constant is not finite, there is no data to fit to, or
                how many inputs there are is not known.
        """
        found = self._findings("global")
        if formula is None:
            formulas.check_output(output, found.require().n_searched)
            self._replace("global", found.without_own(output))
            return self.equation(output)
        if inputs is not None:
            self._capture(inputs, parent_model)
        interface = found.interface or self._interface(inputs if parent_model is None else None)
        data = self._data(interface) if refit_constants or self._cache is not None else None
        equation = formulas.own_equation(found, interface, output, formula, data, refit_constants, complexity)
        self._replace("global", replace(found, interface=interface).with_equation(output, equation))
        return equation

    def _interface(self, inputs: Any) -> Interface:
        """The block's own inputs and outputs, before anything was distilled.

        Args:
            inputs: what names them, where it is a DataFrame.

        Raises:
            InputError: nothing tells how many there are.
        """
        known = None
        if self._cache is not None:
            data = self._cache[1]
            known = Interface(data.layout, data.Y.shape[1], Identity().variable_names(data.layout.n_inputs))
        known = known or self._seen or _tried_out(self.symtorch_block) or None
        if not known:
            raise InputError(
                f"how many inputs {self.block_name!r} has is not known yet; pass inputs=, some rows of data, or call "
                f"the block once before."
            )
        names = identifiers([str(name) for name in inputs.columns]) if is_table(inputs) else ()
        return replace(known, variable_names=tuple(names)) if len(names) == known.layout.n_inputs else known

    def suggest(self, output: int, functions: Sequence[str] | None = None, top: int | None = 5) -> list[Suggestion]:
        """The forms a*f(b*x + c) + d of one variable that fit an output best; see :func:`symtorch.equations.suggest`.

        One of them is put in place with ``set_equation(output, suggestion.text)``.

        Raises:
            InputError: there is no such output, or no data: distill first, in this process.
        """
        interface = self._findings("global").require()
        X, Y = self._data(interface)
        formulas.check_output(output, Y.shape[1])
        return suggest(X, Y[:, output], interface.variable_names, functions, top)

    def stability(self, resamples: int = 20, output: int | None = None) -> Stability | dict[int, Stability]:
        """How often the pick's skeleton is found again, and how its constants scatter.

        The last distillation is done again on rows drawn with replacement, each time with another seed, and so
        are the searches behind its ``teachers``, which take turns. What each of these picked is counted by
        skeleton. That takes as long as so many distillations; within ``joblib.parallel_config`` the outputs of
        each are shared out among its workers.

        Args:
            resamples: searches; 0 for those behind the teachers alone.
            output: the one output; None for all that the last distillation searched for.

        Returns:
            {output: Stability}, or with ``output`` that output's Stability.

        Raises:
            InputError: no searches, or there is no such output.
            NotDistilledError: there was no distillation of all data in this process, or its data was forgotten.
        """
        request = self._request
        if request is None:
            raise NotDistilledError(
                f"{self.block_name!r} has no distillation to be done again; call distill(...) in this process, "
                f"without a projection or a point to explain."
            )
        if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 0:
            raise InputError(f"resamples is {resamples!r}; expected a number of searches.")
        if not resamples and not request.runs:
            raise InputError("resamples is 0, and the last distillation had no teachers; there is nothing to compare.")
        found = self._findings("global")
        searched = request.plan.outputs(found.require().n_searched)
        wanted = [i for i in searched if i in found.fronts] if output is None else [output]
        for i in wanted:
            found.equation(i)  # says what is wrong with an output

        def told(number: int) -> None:
            logger.info("%s: search %d of %d on other rows", self.block_name, number + 1, resamples)

        runs = [*request.runs, *request.resampled(wanted, resamples, told)]
        counted = {i: found.fronts[i].stability(fronts[i] for fronts in runs if i in fronts) for i in wanted}
        return counted if output is None else counted[output]

    def alternatives(self, output: int = 0, ask: bool = True) -> Alternatives:
        """Equations of other skeletons as good as the pick within the error, and the question that tells them apart.

        The question is a point within the ranges of the data, at which they differ most; the block is asked there.

        Args:
            output: index of the output.
            ask: whether to ask the block the question.

        Raises:
            InputError: there is no such output, or no data: distill first, in this process.
        """
        found = self._findings("global")
        found.equation(output)
        interface = found.require()
        X, Y = self._data(interface)
        runs = self._request.runs if self._request is not None and self._request.runs else ()
        also = formulas.judged_on([fronts[output].best for fronts in runs if output in fronts], X, Y[:, output])
        alternatives = found.fronts[output].alternatives(X, also)
        if alternatives.question is None or not ask or self._cache is None:
            return alternatives
        teacher = interface.encoding.teacher(lambda: self._cache[1].teacher(self.symtorch_block))  # type: ignore[index]
        if teacher is None:
            return alternatives
        return alternatives.answered(teacher(np.array([alternatives.question]))[0, output])

    def searched_data(self, kind: str = "global") -> formulas.Data | None:
        """Variables (n, n_variables) and searched outputs (n, n_searched) of the last distillation; None once gone.

        Args:
            kind: "global", or "local" for distillations around a point.
        """
        interface = self._findings(kind).interface
        return None if self._cache is None or interface is None else self._data(interface)

    def _data(self, interface: Interface) -> formulas.Data:
        """Variables and outputs of the last distillation."""
        if self._cache is None:
            raise InputError("there is no data; it is kept by distill(...) until clear_cache(), and in no file.")
        return formulas.encoded(self._cache[1], interface)

    def export(self, form: str, path: str | Path | None = None, outputs: Sequence[int] | None = None) -> Any:
        """The chosen equations for another program, over the block's own inputs.

        Args:
            form: "sympy" and "latex" give a list with one item per output; "numpy" and "jax" a function
                (..., n_inputs) -> (..., n_outputs); "torch source", "numpy source", "jax source" and "c" text
                that needs no symtorch; "torch.export" a program; "onnx" a file.
            path: where to write it; needed for "onnx", and possible for the sources.
            outputs: which ones, in which order; None for all that have been distilled.

        Returns:
            what ``form`` says; for a file its path.

        Raises:
            InputError: another form; or a variable is made by a Python function, which can't be written out.
        """
        check_form(form, path)
        exprs, names = formulas.in_block_inputs(self._findings("global"), outputs)
        return export(form, exprs, names, path)

    # ---- pruning

    def setup_pruning(
        self, initial_dim: int, target_dim: int, total_steps: int, end_step_frac: float = 0.5, decay_rate: str = "exp"
    ) -> None:
        """Make the schedule by which the block's outputs are pruned during training.

        Args:
            initial_dim: number of the block's outputs.
            target_dim: how many of them are left in the end.
            total_steps: steps of training.
            end_step_frac: share of the steps after which the target is reached.
            decay_rate: "exp", "linear" or "cosine"; see :func:`symtorch.pruning.schedule`.

        Raises:
            InputError: the block is a plain callable, or the numbers make no schedule.
        """
        if not isinstance(self.symtorch_block, nn.Module):
            raise InputError(f"{self.block_name!r} wraps a plain callable, which does not learn; prune an nn.Module.")
        pruning = Pruning.start(initial_dim, target_dim, total_steps, end_step_frac, decay_rate)
        self._set_pruning(pruning, next((t.device for t in (*self.parameters(), *self.buffers())), None))

    def prune(
        self, step: int, sample_data: Any, parent_model: nn.Module | None = None, importance: Importance | None = None
    ) -> None:
        """Keep as many outputs as the schedule says for this step of training, the most important ones.

        A step that is not in the schedule changes nothing. Modes and gradients of the model stay as they are.

        Args:
            step: number of the training step.
            sample_data: what the block is called with, or ``parent_model`` if there is one, as for
                :meth:`distill`; importance is judged on it.
            parent_model: the model that calls the block.
            importance: (n_rows, n_outputs) -> (n_outputs,), on the block's outputs before pruning;
                None for their standard deviation.

        Raises:
            RuntimeError: pruning was not set up.
            InputError: the block does not have ``initial_dim`` outputs, or importance is not one number for each.
        """
        pruning = self._pruning()
        if int(step) not in pruning.schedule:
            return
        block = {self.block_name: self.symtorch_block}
        with calling_blocks([self]):
            captured = capture(block, sample_data, model=parent_model, max_rows=MAX_ROWS)[self.block_name]
        self._kept_outputs(captured.Y.shape[1])
        self._pruned = pruning.at(int(step), torch.from_numpy(captured.Y), importance)
        with torch.no_grad():
            pruning.mask.copy_(self._pruned.mask)  # the buffer stays the one that other processes share

    def plot_pruning(self, ax: Any = None) -> Any:
        """Draw when each output was pruned, under the schedule; needs matplotlib.

        Args:
            ax: matplotlib axes to draw on; None for new ones.

        Returns:
            the axes.

        Raises:
            RuntimeError: pruning was not set up.
        """
        return plot_pruning(self._pruning(), ax)

    def get_active_dimensions(self) -> list[int]:
        """Indices of the outputs that are kept.

        Raises:
            RuntimeError: pruning was not set up.
        """
        return torch.where(self._pruning().mask)[0].tolist()

    @property
    def pruning_schedule(self) -> dict[int, int] | None:
        """{step: number of outputs kept}; None before :meth:`setup_pruning`."""
        return None if self._pruned is None else self._pruned.schedule

    @property
    def initial_dim(self) -> int | None:
        """Number of outputs before pruning."""
        return None if self._pruned is None else self._pruned.initial_dim

    @property
    def target_dim(self) -> int | None:
        """Number of outputs after pruning."""
        return None if self._pruned is None else self._pruned.target_dim

    @property
    def current_dim(self) -> int | None:
        """Number of outputs kept at the latest step."""
        return None if self._pruned is None else self._pruned.current_dim

    def _pruning(self) -> Pruning:
        """How far pruning is; its mask is the buffer, which follows the model to its device."""
        if self._pruned is None or self.pruning_mask is None:
            raise NotSetUpError(f"Pruning has not been set up for {self.block_name!r}; call setup_pruning(...) first.")
        return replace(self._pruned, mask=self.pruning_mask)

    def _set_pruning(self, pruning: Pruning | None, device: torch.device | None) -> None:
        self._pruned = pruning
        self.pruning_mask = None if pruning is None else pruning.mask.to(device)

    def _kept_outputs(self, n_outputs: int) -> list[int]:
        """Those of the block's outputs that pruning has kept."""
        if self.pruning_mask is None:
            return list(range(n_outputs))
        if len(self.pruning_mask) != n_outputs:
            raise InputError(
                f"{self.block_name!r} has {n_outputs} outputs; setup_pruning was told initial_dim={self.initial_dim}."
            )
        return self.get_active_dimensions()

    # ---- state

    @property
    def _own_name(self) -> str:
        """The name that the user gave it; empty for one made from its id, which is another in every process."""
        return "" if _ID_NAME.fullmatch(self.block_name) else self.block_name

    def _state(self) -> ModelState:
        known = self.pruning_mask is not None and not self.pruning_mask.is_meta
        found, in_place = self._found, self.surrogate
        if in_place is not None:
            found = {**found, in_place.kind: found[in_place.kind].over(in_place.tuned_interface())}
        block = self.symtorch_block
        released = (block.kind, block.n_bytes) if isinstance(block, Released) else None
        return ModelState(self.block_name, found, self.surrogate, self._pruning() if known else None, released)

    def _take(self, state: ModelState) -> None:
        """Become what a state says, but for the name."""
        tensors = (*self.parameters(), *self.buffers())
        device = next((tensor.device for tensor in tensors if not tensor.is_meta), None)
        in_place = state.in_place
        if in_place is not None:
            in_place = in_place.to(device).train(self.training).use_compiled(in_place.compile_as, where_possible=True)
        self._found, self.surrogate = dict(state.found), in_place
        self._set_pruning(state.pruning, device)
        if state.released is not None and not isinstance(self.symtorch_block, Released):
            self._release(*state.released)

    def get_extra_state(self) -> Tensor:
        """Everything symbolic, as UTF-8 JSON in a uint8 tensor (n_bytes,) on the CPU."""
        return to_tensor(self._state())

    def set_extra_state(self, state: Any) -> None:
        """Take over what :meth:`get_extra_state` has given, all of it or, where anything is wrong, nothing.

        Raises:
            StateError: says what is wrong and where.
        """
        functions = {kind: found.functions for kind, found in self._found.items()}
        read = from_tensor(state, self.block_name, self._found, functions)
        if not _ID_NAME.fullmatch(read.name):
            self.block_name = read.name
            named = portable.new_findings(read.name)
            found = {kind: replace(found, what=named[kind].what) for kind, found in read.found.items()}
            read = replace(read, found=found)
        self._take(read)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As every module's; the equations and their constants are in its extra state."""
        state = super().state_dict(*args, **kwargs)
        prefix = kwargs.get("prefix", args[1] if len(args) > 1 else "")
        for key in [key for key in state if key.startswith(f"{prefix}{_SURROGATE}.")]:
            del state[key]
        return state

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        legacy = take_legacy(state_dict, prefix)
        if legacy is not None:
            state_dict[f"{prefix}_extra_state"] = self.get_extra_state()
        super()._load_from_state_dict(state_dict, prefix, *args)
        if legacy is not None and legacy.pruning is not None:
            self._set_pruning(legacy.pruning, legacy.pruning.mask.device)
        # The surrogate was made from the extra state a moment ago, and has its constants from there.
        if self.surrogate is not None:
            state_dict.update(self.surrogate.state_dict(prefix=f"{prefix}{_SURROGATE}."))

    def save(self, path: str | Path, data: bool = False) -> None:
        """Write the whole object, with the block and whatever Python functions belong to it, into one file.

        For what a state_dict can't hold: plain functions as blocks, functions as variable transforms. The
        file is written atomically. Loading it runs code that is in it.

        Args:
            path: of the file.
            data: keep the captured data as well.
        """
        save_trusted(path, {"model": self, "data": portable.write_cache(self._cache) if data else None})

    @classmethod
    def load(cls, path: str | Path, trusted: bool = False, map_location: Any = None) -> Self:
        """Read what :meth:`save` has written.

        Args:
            path: of the file.
            trusted: say that you know where it comes from; nothing is loaded otherwise.
            map_location: where tensors go, as for ``torch.load``.

        Raises:
            StateError: the file isn't trusted, is damaged, of a later version, or something else.
        """
        content = load_trusted(path, trusted, map_location)
        model = content.get("model") if isinstance(content, dict) else None
        if not isinstance(model, cls):
            raise StateError(f"{path} holds a {type(model).__name__}; expected a {cls.__name__}.")
        model._cache = portable.read_cache(content.get("data"))
        return model

    def portable_state(self) -> dict[str, Any]:
        """What :meth:`save` writes of it: parts that a later version can read, whatever its classes look like."""
        return portable.write_whole(self.symtorch_block, self._state(), self.__getstate__(), _OURS)

    def __getstate__(self) -> dict[str, Any]:
        # Captured data is no part of a copy or a file.
        return {**super().__getstate__(), **dict.fromkeys(_DATA)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_found" in state:  # a copy, or a pickle of this very version
            super().__setstate__(state)
            return
        whole = portable.read_whole(state)
        SymbolicModel.__init__(self, whole.block, whole.state.name)  # what a subclass adds is among the attributes
        portable.give_attributes(self, whole.attributes)
        self._take(whole.state)

    # ---- display

    def extra_repr(self) -> str:
        return "\n".join([f"{self.block_name!r}, {self._in_use}", *display.text_lines(self.equations)])

    def _repr_html_(self) -> str:
        return display.picks_html(self.equations, f"{self.block_name}, {self._in_use}")

    @property
    def _in_use(self) -> str:
        return "uses its equations" if self.use_symbolic else "uses its block"

    def _repr_latex_(self) -> str | None:
        return display.picks_latex(self.equations) if self.fronts else None


@contextmanager
def calling_blocks(models: Sequence[SymbolicModel]) -> Iterator[None]:
    """Within it these call their blocks, also where their equations are in place."""
    in_use = [sm.surrogate for sm in models if sm.surrogate is not None and sm.surrogate.in_use]
    for in_place in in_use:
        in_place.in_use = False
    try:
        yield
    finally:
        for in_place in in_use:
            in_place.in_use = True


def _interface_of(args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> Interface | None:
    """How a call and its result make rows; None where they do not."""
    try:
        call = read_call(args, kwargs)
        if isinstance(output, (torch.Tensor, np.ndarray)):
            call = call.resolve(torch.Size(output.shape))
        tensor, result = read_output(output, None, call.leading)
    except Exception as error:  # the user's call has gone well, and must not fail for this
        logger.debug("the first call can't be read: %s", error)
        return None
    layout = replace(call.layout, result=result)
    return Interface(layout, tensor.shape[-1], Identity().variable_names(layout.n_inputs))


def _tried_out(block: Any) -> Interface | None:
    """The interface of a block that begins with a layer that says how many inputs it takes."""
    modules = block.modules() if isinstance(block, nn.Module) else ()
    widths = (getattr(module, "in_features", None) for module in modules)
    width = next((w for w in widths if isinstance(w, int) and w > 0), None)
    if width is None:
        return None
    try:
        data = capture({"block": block}, torch.zeros(2, width))["block"]
    except Exception as error:  # whatever it raises when this is not how it is called
        logger.debug("the block does not take (2, %d): %s", width, error)
        return None
    return Interface(data.layout, data.Y.shape[1], Identity().variable_names(width))


def _kind(SLIME: bool) -> str:
    """Which findings are meant."""
    return "local" if SLIME else "global"


def indices(what: int | Sequence[int] | None, default: Sequence[int]) -> list[int]:
    """The outputs that a user means by None (all of them), a number or a list."""
    if what is None:
        return list(default)
    return [what] if isinstance(what, int) else list(what)
