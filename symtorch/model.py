"""SymbolicModel: wrap a block, distill it, switch between block and equations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from symtorch import display
from symtorch.capture import Captured, call_plain, capture, fingerprint
from symtorch.distillation.formulas import Formulas
from symtorch.distillation.plan import Plan
from symtorch.distillation.plan import distill as plan_distill
from symtorch.engines.base import Engine, ProgressCallback
from symtorch.engines.options import DEFAULT_SR_PARAMS
from symtorch.equations.front import Equation, Front
from symtorch.errors import InputError
from symtorch.legacy import LegacyNames
from symtorch.local.neighbourhood import DEFAULT_SLIME_PARAMS, Neighbourhood
from symtorch.pruning import Prunable, masked
from symtorch.state import write_options
from symtorch.state.model import Persistent
from symtorch.surrogate.constants import Trainable
from symtorch.surrogate.fidelity import OutputFidelity, output_fidelity
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.guard import check_guard, require_finite, with_block
from symtorch.surrogate.module import Surrogate
from symtorch.surrogate.transforms import Transform

logger = logging.getLogger("symtorch")


class SymbolicModel(LegacyNames, Formulas, Trainable, Prunable, Persistent):
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
    """

    DEFAULT_SR_PARAMS = DEFAULT_SR_PARAMS
    DEFAULT_SLIME_PARAMS = DEFAULT_SLIME_PARAMS

    def __init__(self, block: nn.Module | Callable[..., Any], block_name: str | None = None) -> None:
        super().__init__()
        if not callable(block):
            raise InputError(f"block is a {type(block).__name__}; expected an nn.Module or a callable.")
        self.symtorch_block = block
        self.block_name = block_name or f"block_{id(self)}"
        self._standard = Findings(repr(self.block_name))
        self._local = Findings(f"{self.block_name!r} with SLIME=True", "distill(..., SLIME=True)")
        self._chosen = self._standard
        self.surrogate: Surrogate | None = None
        self._use_symbolic = False
        self._compile: bool | str = "auto"
        self._guard = "none"
        self._cache: tuple[str, Captured] | None = None

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
    ) -> Front | dict[int, Front]:
        """Find equations for the block's outputs.

        Args:
            inputs: what the block is called with, or ``parent_model`` if there is one: a tensor or
                array (..., n_inputs), a tuple of several, a dict of keyword arguments, or an iterable
                or DataLoader of those, which is streamed.
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
            fit_params: ``variable_names``, one per variable, and ``weights``, one per row of the data.
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

        Returns:
            {output: Front}, or with ``output_dim`` that output's Front.

        Raises:
            InputError: arguments or data that can't be used.
            OptionError: search options that can't be used.
        """
        if parent_model is not None and not isinstance(self.symtorch_block, nn.Module):
            raise InputError(
                f"parent_model was given, but {self.block_name!r} wraps a plain callable, whose calls can't be "
                f"hooked. Leave parent_model out and pass the callable's own inputs."
            )
        plan = Plan.make(
            output_dim=output_dim,
            variable_transforms=variable_transforms,
            sr_params=sr_params,
            fit_params=fit_params,
            engine=engine,
            held_out=held_out,
            save_path=save_path,
            resume=resume,
        )
        around = Neighbourhood.from_params(slime_params) if SLIME else None
        captured = self._capture(
            inputs,
            parent_model,
            forward=forward,
            max_rows=max_rows,
            arguments=arguments,
            output_index=output_index,
            seed=plan.seed,
            drop_nonfinite=drop_nonfinite,
        )
        return self._search(captured, plan, progress, around)

    def _capture(self, inputs: Any, parent_model: nn.Module | None, **how: Any) -> Captured:
        """The block's data, from the cache where nothing that it depends on has changed."""
        key = fingerprint(inputs, parent_model, self.symtorch_block, **how)
        if self._cache is not None and key is not None and self._cache[0] == key:
            logger.info("%s: data captured before is used again", self.block_name)
            return self._cache[1]
        with self._calling_block():
            captured = capture({self.block_name: self.symtorch_block}, inputs, model=parent_model, **how)
        self._cache = (key or "", captured[self.block_name])  # without a key it is never used for another search
        return captured[self.block_name]

    def _search(
        self,
        captured: Captured,
        plan: Plan,
        progress: bool | ProgressCallback | None,
        around: Neighbourhood | None = None,
        name: str | None = None,
    ) -> Front | dict[int, Front]:
        found = self._standard if around is None else self._local
        if around is None or around.x is None:
            samples, interface = plan.samples(captured, self.symtorch_block)
            held_out = None
        else:
            samples, held_out, interface = plan.local_samples(captured, self.symtorch_block, around)
        logger.info("%s: %s searches %d rows", self.block_name, plan.engine.name, samples.n_samples)
        show = plan.options.progress and plan.options.verbosity > 0 if progress is None else progress is True
        with display.progress_bar(self.block_name, show) as bar:
            active = self._active_outputs(samples.n_outputs)
            engine = plan.journalled(
                self._own_name if name is None else name, interface, "" if around is None else "_local"
            )
            report = progress if callable(progress) else bar
            fronts = plan_distill(plan, samples, engine, report, active, held_out)
        self._keep_trained()
        stale = found.add(fronts, interface, samples)
        found.options = write_options(plan.options.given)
        if self._use_symbolic and found is self._chosen:
            # What stands in the block's place is always what is shown.
            if stale:
                self.switch_to_block()
            else:
                self._switch_again()
        return fronts if plan.output_dim is None else fronts[plan.output_dim]

    def clear_cache(self) -> None:
        """Forget the captured data."""
        self._cache = None

    # ---- equations

    @property
    def fronts(self) -> dict[int, Front]:
        """{output: Front} of all that has been distilled."""
        return self._findings(False).fronts

    @property
    def slime_fronts(self) -> dict[int, Front]:
        """{output: Front} of all that has been distilled with SLIME=True."""
        return self._findings(True).fronts

    @property
    def n_outputs(self) -> int | None:
        """Number of the block's outputs; None before the first distillation."""
        interface = self._standard.interface or self._local.interface
        return None if interface is None else interface.n_outputs

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
        found = self._findings(SLIME)
        equation = found.equation(output, complexity)
        return found.in_block_inputs(equation) if expand else equation

    def _findings(self, SLIME: bool) -> Findings:
        self._keep_trained()
        return self._local if SLIME else self._standard

    @property
    def equations(self) -> dict[int, Equation]:
        """The chosen equation of each output that has been distilled."""
        return {i: self.equation(i) for i in self.fronts}

    def get_symbolic_function(
        self, dim: int = 0, complexity: int | None = None, SLIME: bool = False
    ) -> Callable[[Any], np.ndarray]:
        """A function of the block's inputs, tensor or array (n_samples, n_inputs), to an array (n_samples,)."""
        expr = self.equation(dim, complexity, SLIME).expr
        interface = self._findings(SLIME).require()
        surrogate = Surrogate([expr], interface.layout, interface.transforms)

        def function(x: Any) -> np.ndarray:
            x = torch.as_tensor(x)
            with torch.no_grad():
                return surrogate.to(x.device).rows(x if x.is_floating_point() else x.double())[..., 0].cpu().numpy()

        return function

    def show_symbolic_expression(
        self, dim: int | Sequence[int] | None = None, complexity: int | Sequence[int] | None = None, SLIME: bool = False
    ) -> None:
        """Print the fronts of these outputs (all by default), or their equations of these complexities."""
        found = self._findings(SLIME)
        found.require()
        outputs = display.indices(dim, list(found.fronts))
        if complexity is None:
            for i in outputs:
                best = found.equation(i)
                print(f"output {i}:\n{found.fronts[i]}\nchosen: y{i} = {best}\n")  # noqa: T201
            return
        wanted = [complexity] * len(outputs) if isinstance(complexity, int) else list(complexity)
        if len(wanted) != len(outputs):
            raise InputError(f"{len(wanted)} complexities for {len(outputs)} outputs; give one for each.")
        for i, c in zip(outputs, wanted, strict=True):
            eq = found.equation(i, c)
            print(f"y{i} = {eq}    [{display.figures(eq)}]")  # noqa: T201

    # ---- switch

    def switch_to_symbolic(
        self,
        complexity: int | Sequence[int | None] | Mapping[int, int | None] | None = None,
        SLIME: bool = False,
        *,
        compile: bool | str = "auto",
        guard: str = "none",
    ) -> None:
        """Put the equations in the block's place.

        Args:
            complexity: which equations: None for each front's default pick, a number for all outputs,
                a list with one entry per output (or per output that pruning has kept), or a dict
                {output: complexity}; an entry of None and an output that the dict leaves out take the
                default pick.
            SLIME: take the equations of the last ``distill(..., SLIME=True)``.
            compile: run them as machine code: True, False, or "auto", where there is a compiler and
                they have had enough work to be worth it; see :meth:`SymbolicFunction.use_compiled`.
            guard: for rows on which an equation is NaN or infinite: "none" passes that on, "raise"
                raises an UndefinedError, "block" lets the block answer for those rows.

        Raises:
            NotDistilledError: not every output has equations yet; says which have none.
            InputError: there is no equation of that complexity; says which there are.
        """
        check_guard(guard)
        self._put_in_place(self._findings(SLIME), complexity, compile, guard)

    def _put_in_place(self, found: Findings, complexity: Any, compile: bool | str, guard: str) -> None:
        chosen_before = found.complexities
        surrogate = found.choose(complexity, self._active_outputs(found.require().n_outputs))
        tensors = (*self.parameters(), *self.buffers())
        surrogate = surrogate.to(tensors[0].device) if tensors else surrogate
        try:
            surrogate.function.use_compiled(compile)
        except Exception:
            found.complexities = chosen_before
            raise
        self.surrogate = surrogate
        self._compile, self._guard = compile, guard
        self._chosen = found
        self._use_symbolic = True

    def _switch_again(self) -> None:
        """Put the chosen equations in place anew, after one of them has changed."""
        self._put_in_place(self._chosen, dict(self._chosen.complexities), self._compile, self._guard)

    def _calling_block(self) -> AbstractContextManager[None]:
        return _calling_blocks([self])

    def switch_to_block(self) -> None:
        """Put the block back in its place; the equations are kept."""
        self._use_symbolic = False

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The block's result, or the equations' in the same structure; NumPy in gives NumPy out."""
        output = self._forward(*args, **kwargs)
        return output if self.pruning_mask is None else masked(output, self.pruning_mask)

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        if not self._use_symbolic:
            return self._call_block(*args, **kwargs)
        assert self.surrogate is not None
        if any(isinstance(arg, np.ndarray) for arg in (*args, *kwargs.values())):
            with torch.no_grad():
                args = tuple(torch.as_tensor(a) if isinstance(a, np.ndarray) else a for a in args)
                kwargs = {k: torch.as_tensor(a) if isinstance(a, np.ndarray) else a for k, a in kwargs.items()}
                return _to_numpy(self._guarded(self.surrogate, args, kwargs))
        return self._guarded(self.surrogate, args, kwargs)

    def _guarded(self, surrogate: Surrogate, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What the equations say, where the guard lets them."""
        if self._guard == "none":
            return surrogate(*args, **kwargs)
        layout = surrogate.layout
        x = layout.join(args, kwargs)
        if self._guard == "raise":
            outputs = surrogate.rows(x)
            require_finite(outputs, {i: self._chosen.equation(i) for i in self._chosen.complexities}, self.block_name)
        else:
            outputs = with_block(surrogate, x, self._call_block, args, kwargs)
        return layout.wrap(outputs)

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
        found = self._findings(SLIME)
        interface = found.require()
        equations = {i: found.equation(i) for i in found.fronts}
        with self._calling_block():
            data = capture({self.block_name: self.symtorch_block}, inputs, model=parent_model, **how)[self.block_name]
        surrogate = Surrogate([eq.expr for eq in equations.values()], interface.layout, interface.transforms)
        rows = torch.from_numpy(data.X)
        with torch.no_grad():
            predicted = surrogate.rows(rows).numpy()
            X = rows if interface.transforms is None else interface.transforms(rows)
        return [
            output_fidelity(
                i, str(eq), predicted[:, k], data.Y[:, i], found.ranges.get(i), found.beyond(eq.expr, X.numpy())
            )
            for k, (i, eq) in enumerate(equations.items())
        ]

    # ---- display

    def extra_repr(self) -> str:
        mode = "equations" if self._use_symbolic else "block"
        return "\n".join([f"{self.block_name!r}, uses its {mode}", *display.text_lines(self.equations)])

    def _repr_html_(self) -> str:
        return display.picks_html(self.equations, self.block_name)

    def _repr_latex_(self) -> str | None:
        return display.picks_latex(self.equations) if self.fronts else None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": None}  # captured data is no part of a copy or a file


# ---- several blocks

_CAPTURE_OPTIONS = ("forward", "max_rows", "arguments", "output_index", "drop_nonfinite")


def distill(
    model: nn.Module, data: Any, blocks: Sequence[str] | None = None, **options: Any
) -> dict[str, dict[int, Front] | Front]:
    """Distill several wrapped blocks of one model, their data captured in a single pass.

    Args:
        model: a model that holds SymbolicModels.
        data: what the model is called with, as for :meth:`SymbolicModel.distill`.
        blocks: dotted names of the SymbolicModels in it; None for all of them.
        options: the keywords of :meth:`SymbolicModel.distill`.

    Returns:
        {dotted name: what ``distill`` returns for that block}.
    """
    wrapped = {name: m for name, m in model.named_modules() if isinstance(m, SymbolicModel)}
    unknown = [name for name in blocks or () if name not in wrapped]
    if unknown or not wrapped:
        raise InputError(f"no wrapped blocks named {unknown}; the model has {list(wrapped)}. Wrap with symtorch.wrap.")
    chosen = {name: wrapped[name] for name in (blocks or wrapped)}
    how = {key: options.pop(key) for key in _CAPTURE_OPTIONS if key in options}
    progress = options.pop("progress", None)
    plan = Plan.make(**options)
    with _calling_blocks(list(chosen.values())):
        captured = capture({n: sm.symtorch_block for n, sm in chosen.items()}, data, model=model, seed=plan.seed, **how)
    return {name: sm._search(captured[name], plan, progress, name=name) for name, sm in chosen.items()}


@contextmanager
def _calling_blocks(models: Sequence[SymbolicModel]) -> Iterator[None]:
    """Within it these call their blocks, also where their equations are in place."""
    symbolic = [sm for sm in models if sm.use_symbolic]
    for sm in symbolic:
        sm._use_symbolic = False
    try:
        yield
    finally:
        for sm in symbolic:
            sm._use_symbolic = True


def _to_numpy(result: Any) -> Any:
    """Tensors to arrays, also inside a tuple or a dict."""
    if isinstance(result, torch.Tensor):
        return result.cpu().numpy()
    if isinstance(result, tuple):
        return tuple(_to_numpy(part) for part in result)
    if isinstance(result, Mapping):
        return {key: _to_numpy(part) for key, part in result.items()}
    return result
