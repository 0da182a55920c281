"""What goes into the blocks of a model and what comes out of them, while the model runs on data.

Rows are drawn on the device that they are on, and only those that are kept move to the host; however
long the data, memory stays bounded.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from symtorch.capture.batches import batches_of, calling, placing
from symtorch.capture.calls import Key, describe
from symtorch.capture.early_end import EarlyEnd
from symtorch.capture.moments import Choose, HalvesSums
from symtorch.capture.padding import USUAL_MASK, Rows, mask_of
from symtorch.capture.recorder import Recorder
from symtorch.capture.rows import Block, Captured
from symtorch.capture.undisturbed import undisturbed
from symtorch.errors import InputError

Forward = Callable[[Any, Any], Any]


def capture(
    blocks: Mapping[str, Block],
    data: Any,
    *,
    model: Block | None = None,
    forward: Forward | None = None,
    max_rows: int = 10_000,
    arguments: Sequence[Key] | Mapping[str, Sequence[Key] | None] | None = None,
    output_index: Key | Mapping[str, Key | None] | None = None,
    seed: int = 0,
    drop_nonfinite: bool = False,
    rows: Rows | None = USUAL_MASK,
    moments: float | None = None,
    features: Callable[[str], Choose] | None = None,
) -> dict[str, Captured]:
    """Run a model on data and keep what goes into the blocks and what comes out.

    Every call of a block counts, also several in one pass. The last dimension of a tensor holds
    features, all leading ones are samples; several tensor arguments are joined along the last
    dimension. Other arguments are ignored. Everything runs in eval mode without gradients; modes of
    all submodules, hooks, random state and settings are put back whatever happens. Where it makes no
    difference, passes of the model end after the last block (see :mod:`.early_end`), unless ``forward``
    is given.

    >>> import torch
    >>> block = nn.Linear(3, 2)
    >>> model = nn.Sequential(nn.Linear(5, 3), block)
    >>> captured = capture({"head": block}, torch.randn(100, 5), model=model)["head"]
    >>> captured.X.shape, captured.Y.shape
    ((100, 3), (100, 2))

    Args:
        blocks: the modules to watch, by name. Without ``model``: exactly one, a module or any callable.
        data: what the model is called with. A tensor or an array is its one argument, a tuple its
            positional arguments, a dict its keyword arguments. Any other iterable (a list, a generator,
            a DataLoader) is a stream of such batches, where a list within it is like a tuple.
        model: the parent; None to call the block itself.
        forward: ``forward(model, batch)`` runs the parent on one batch; for batches that it does not
            take as they are, such as (inputs, targets): ``lambda model, batch: model(batch[0])``.
        max_rows: rows to keep per block, drawn uniformly from all that come by.
        arguments: positions or names of the block's arguments that count (for all blocks, or by
            block); None for every tensor.
        output_index: which part of a tuple or dict output (for all blocks, or by block).
        seed: of the drawing of rows.
        drop_nonfinite: leave out rows with NaN or infinite values.
        rows: what tells which rows count, for padding is no data: the name of a mask in dict batches, or a
            function (batch) -> mask, 1 or True on rows that count, of the leading dimensions of the block's
            calls. A mask ``attention_mask`` is used where there is one that fits; None counts every row.
        moments: sum up moments of all rows but this share of them, which is held out; None for no moments.
        features: for a block's name, what decides on columns made of its inputs, whose moments are summed up too.

    Returns:
        what was captured, by block.

    Raises:
        InputError: a block that was never called, outputs that aren't real numbers, inputs and outputs
            that do not go together, data that can't be read.
    """
    if isinstance(max_rows, bool) or not isinstance(max_rows, (int, np.integer)) or max_rows < 1:
        raise InputError(f"max_rows is {max_rows!r}; expected a number of rows of at least 1.")
    _check_blocks(blocks, model)
    runner = next(iter(blocks.values())) if model is None else model
    if isinstance(runner, nn.parallel.DistributedDataParallel):
        runner = runner.module  # its forward pass waits for all processes; this one may be alone
    recorders = {
        name: Recorder(
            name,
            int(max_rows),
            _for(name, arguments),
            _for(name, output_index),
            seed,
            None if moments is None else HalvesSums(moments, seed, None if features is None else features(name)),
        )
        for name in blocks
    }
    modules = [m for m in (runner, *blocks.values()) if isinstance(m, nn.Module)]
    hooked = {name: block for name, block in blocks.items() if isinstance(block, nn.Module) and _can_be_hooked(block)}
    n_batches = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(undisturbed(*modules))
        passes = EarlyEnd(runner, blocks, allowed=forward is None)
        for name, block in hooked.items():
            stack.enter_context(recorders[name].watching(block, passes.called))
        watched = bool(hooked) or model is not None
        run = forward or (calling() if watched else recorders[next(iter(blocks))].call)
        place = placing(modules[0]) if modules else None
        for batch in batches_of(data):
            batch = batch if place is None else place(batch)
            mask = mask_of(batch, rows)
            for recorder in recorders.values():
                recorder.mask = mask
            try:
                passes.run(functools.partial(run, runner, batch), batch)
            except (InputError, MemoryError):
                raise
            except Exception as error:
                _explain(error, batch, runner, model is not None)
                raise
            n_batches += 1
            for recorder in recorders.values():
                recorder.end_batch()
    if not n_batches:
        raise InputError("the data is empty: there was no batch to run on.")
    return {name: recorder.result(n_batches, drop_nonfinite) for name, recorder in recorders.items()}


def _check_blocks(blocks: Mapping[str, Block], model: Block | None) -> None:
    if not blocks:
        raise InputError("there is no block to capture.")
    if model is None and len(blocks) > 1:
        raise InputError(f"{len(blocks)} blocks {list(blocks)} need the model that calls them: pass model=...")
    for name, block in blocks.items():
        if not callable(block):
            raise InputError(f"block {name!r} is a {type(block).__name__}; expected a module or a callable.")
        if model is not None and not isinstance(block, nn.Module):
            raise InputError(
                f"block {name!r} is a plain callable; within a parent model only an nn.Module can be watched. "
                f"Pass the callable's own inputs, without a parent model."
            )
        if model is not None and not _can_be_hooked(block):
            raise InputError(
                f"block {name!r} is a {type(block).__name__}, compiled by torch.jit, whose calls within a model can't "
                f"be watched. Wrap the module that it was made from, or pass the block's own inputs, without a "
                f"parent model."
            )
    if model is not None and not callable(model):
        raise InputError(f"the parent model is a {type(model).__name__}; expected a module or a callable.")


def _can_be_hooked(block: Block) -> bool:
    return not isinstance(block, torch.jit.ScriptModule)


def _explain(error: Exception, batch: Any, runner: Block, is_parent: bool) -> None:
    """Note in an error of the user's own model what it was called with and what may be meant."""
    named = batch if isinstance(batch, Mapping) else {}
    values = list(batch) if isinstance(batch, (tuple, list)) else [] if named else [batch]
    given = ", ".join([*map(describe, values), *(f"{k}={describe(v)}" for k, v in named.items())])
    what = "the parent model" if is_parent else "the block itself"
    error.add_note(f"symtorch was calling {what} with ({given[:300]}) when this was raised.")
    if is_parent:
        error.add_note("With parent_model, the data is what that model is called with, not the block's own inputs.")
    elif isinstance(runner, nn.Module):
        error.add_note(
            "Data for the model that the block is part of goes with that model: distill(data, parent_model=model)."
        )
    if any(_are_ids(value) for value in (*values, *named.values())):
        error.add_note("Token ids of one sequence have no batch dimension; give them one: ids[None].")


def _are_ids(value: Any) -> bool:
    """Whether it is one sequence of integers."""
    if isinstance(value, torch.Tensor):
        return value.dim() == 1 and not (value.is_floating_point() or value.is_complex())
    return isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iu"


def _for(name: str, option: Any) -> Any:
    return option.get(name) if isinstance(option, Mapping) else option
