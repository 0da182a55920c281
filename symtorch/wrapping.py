"""SymbolicModels in the place of parts of a model: put in, taken out again, and distilled together."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from symtorch.capture import capture, fingerprint
from symtorch.distillation.plan import Plan
from symtorch.equations.front import Front
from symtorch.errors import InputError, listed
from symtorch.model import SymbolicModel, calling_blocks
from symtorch.surrogate.released import Released

logger = logging.getLogger("symtorch.wrapping")

_CAPTURE_OPTIONS = ("forward", "max_rows", "arguments", "output_index", "drop_nonfinite", "rows")


def wrap(model: nn.Module, name: str, block_name: str | None = None) -> SymbolicModel:
    """Put a SymbolicModel in the place of a part of a model, which goes on as before.

    A module that the model holds in several places is replaced in all of them. A part that is wrapped
    already stays as it is.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    >>> block = wrap(model, "1")
    >>> model[1] is block
    True
    >>> unwrap(model, "1")
    Tanh()

    Args:
        model: the model, changed in place.
        name: dotted name of the part, as ``model.named_modules()`` has it ("encoder.layers.3.mlp").
        block_name: what the block is called in logs and files; the dotted name if none is given.

    Returns:
        the SymbolicModel that now sits there.

    Raises:
        InputError: the model has no such part; the message lists near names.
    """
    block = _find(model, name)
    if isinstance(block, SymbolicModel):
        return block
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError("the model is compiled by torch.jit, and its parts can't be replaced; wrap them before that.")
    wrapped = SymbolicModel(block, block_name or name)
    wrapped.training = block.training
    _replace(model, block, wrapped)
    return wrapped


def unwrap(model: nn.Module, block: str | SymbolicModel) -> nn.Module:
    """Put the original module back where a SymbolicModel sits.

    Args:
        model: the model, changed in place.
        block: the SymbolicModel, or its dotted name.

    Returns:
        the original module.

    Raises:
        InputError: there is no SymbolicModel of that name in the model.
        ReleasedError: the block's weights were released.
    """
    wrapped = _find(model, block) if isinstance(block, str) else block
    there = {name: m for name, m in model.named_modules() if isinstance(m, SymbolicModel)}
    if not isinstance(wrapped, SymbolicModel) or all(m is not wrapped for m in there.values()):
        what = repr(block) if isinstance(block, str) else f"a {type(block).__name__}"
        raise InputError(f"{what} is not a wrapped block of this model; it has {list(there) or 'none'}.")
    original = wrapped.symtorch_block
    if isinstance(original, Released):
        raise original.error()
    if not isinstance(original, nn.Module):
        raise InputError(f"{wrapped.block_name!r} wraps a plain callable; there is no module to put back.")
    _replace(model, wrapped, original)
    return original


def distill(
    model: nn.Module, data: Any, blocks: Sequence[str] | None = None, **options: Any
) -> dict[str, dict[int, Front] | Front]:
    """Distill several wrapped blocks of one model, their data captured in a single pass.

    Each block keeps some of its rows for ``plot()``: of those that were held out 1,000 at most, and 8 MB.

    Args:
        model: a model that holds SymbolicModels.
        data: what the model is called with, as for :meth:`SymbolicModel.distill`.
        blocks: dotted names of the SymbolicModels in it; None for all of them.
        options: the keywords of :meth:`SymbolicModel.distill`.

    Returns:
        {dotted name: what ``distill`` returns for that block}.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"model is a {type(model).__name__}; expected an nn.Module that holds SymbolicModels.")
    wrapped = {name: m for name, m in model.named_modules() if isinstance(m, SymbolicModel)}
    unknown = [name for name in blocks or () if name not in wrapped]
    if unknown or not wrapped:
        raise InputError(f"no wrapped blocks named {unknown}; the model has {list(wrapped)}. Wrap with symtorch.wrap.")
    chosen = {name: wrapped[name] for name in (blocks or wrapped)}
    how = {key: options.pop(key) for key in _CAPTURE_OPTIONS if key in options}
    progress = options.pop("progress", None)
    plan = Plan.make(**options)
    parts = {n: sm.symtorch_block for n, sm in chosen.items()}
    how |= {"seed": plan.seed, "moments": plan.moments}
    key = None
    if plan.projection is not None:  # the pass over all rows is what takes long, and may serve several projections
        with _originals(model, chosen.values()):
            key = fingerprint(data, model, list(chosen), terms=repr(plan.terms), **how)
    known = {name: sm.captured_before(key) for name, sm in chosen.items()}
    captured = {name: before for name, before in known.items() if before is not None}
    if len(captured) < len(chosen):
        with calling_blocks(list(chosen.values())):
            captured = capture(parts, data, model=model, features=plan.features(parts), **how)
    found = {}
    for name, sm in chosen.items():
        if plan.projection is not None:
            sm.keep_captured(key, captured[name])
        found[name] = sm.distill_captured(captured[name], plan, progress, name=name)
        if plan.projection is None:
            sm.keep_rows(captured[name], plan)
    return found


@contextmanager
def _originals(model: nn.Module, wrapped: Iterable[SymbolicModel]) -> Iterator[None]:
    """Within it the blocks of these are in their places, so that what else they hold is no part of the model."""
    pairs = [(sm, sm.symtorch_block) for sm in wrapped if isinstance(sm.symtorch_block, nn.Module) and sm is not model]
    for sm, block in pairs:
        _replace(model, sm, block)
    try:
        yield
    finally:
        for sm, block in pairs:
            _replace(model, block, sm)


def _find(model: nn.Module, name: str) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise InputError(
            f"model is a {type(model).__name__}; expected an nn.Module, whose parts have names. For a function or an "
            f"estimator's method: SymbolicModel(function)."
        )
    names = dict(model.named_modules(remove_duplicate=False))
    if isinstance(name, nn.Module):
        own = [n for n, module in names.items() if module is name]
        where = f"it is {own[0]!r}" if own else f"it is none of {listed(n for n in names if n and '.' not in n)}"
        raise InputError(f"name is a {type(name).__name__}; pass the name of the part in the model: {where}.")
    if not isinstance(name, str) or name not in names or name == "":
        if name == "":
            raise InputError("name is empty; name a part of the model, or wrap all of it: SymbolicModel(model).")
        near = difflib.get_close_matches(str(name), names, n=5, cutoff=0.5)
        near += [n for n in names if n.split(".")[-1] == str(name).split(".")[-1] and n and n not in near][:5]
        there = f"Near it: {near}" if near else f"Its parts: {[n for n in names if n and '.' not in n]}"
        raise InputError(f"the model has no part {name!r}. {there}.")
    return names[name]


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    # Gathered first: what is put in may hold what is taken out.
    parents = [m for m in model.modules() if m is not new]
    places = [(parent, key) for parent in parents for key, child in parent._modules.items() if child is old]
    for parent, key in places:
        parent._modules[key] = new
    if len(places) > 1:
        logger.info("the module sits in %d places; it was replaced in all of them", len(places))
