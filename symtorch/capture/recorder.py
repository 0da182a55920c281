"""Keeps rows of what goes into a block and what comes out, in bounded memory.

A small block's call takes microseconds, and taking note of it must not take many more. What a call looks
like is read thoroughly once; calls that look the same are recognised at a glance. Rows of the first calls go
straight to where they stay.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from symtorch.capture.batches import arguments_of, as_given, call_either
from symtorch.capture.calls import Call, Key, Layout, find_output, is_simple, read_call, read_output, take
from symtorch.capture.chunks import Chunk, chunk_of, on_device, on_host
from symtorch.capture.moments import HalvesSums
from symtorch.capture.padding import Mask
from symtorch.capture.reservoir import Reservoir, Store, last_of_each
from symtorch.capture.rows import Captured
from symtorch.errors import InputError

logger = logging.getLogger("symtorch.capture")

_ROWS_AT_ONCE = 1024
"""So many rows wait, at least, before they are stored."""


_IDS = (
    " Its inputs are integers, as those of an embedding: these name things, and equations over them say nothing; wrap "
    "what comes after it. Token ids of one sequence lack the batch dimension: ids[None]."
)


@dataclass
class _Form:
    """What calls of one form have in common: all but the data and the leading dimensions.

    Attributes:
        layout: of such a call, as far as its arguments say.
        outputs: types of outputs that came of such calls and were in order; see ``_output_type``.
    """

    layout: Layout
    outputs: set[Hashable] = field(default_factory=set)


@dataclass(eq=False)
class _Pending:
    """A call of the block that has begun: its inputs, taken before the block may overwrite them.

    Attributes:
        call: its arguments.
        form: what it was recognised by, if it was.
        drawn: whether it is decided which of its rows to keep.
        first: number of its first row among all.
        slots: where the rows go that are kept; None where all are, each to the slot of its number.
        kept: numbers of these rows; None where all are kept.
        positions: of these rows in the flattened leading dimensions; None for all.
        X: copies of the rows of each argument; None where they are in the stores already.
        leading: leading dimensions that the block was called with.
        counted: positions of the rows of the call in those; None for all.
        inputs: copies of all rows of the call (n_rows, n_inputs), where moments are summed up.
    """

    call: Call
    form: _Form | None
    drawn: bool = False
    first: int = 0
    slots: np.ndarray | None = None
    kept: np.ndarray | None = None
    positions: torch.Tensor | None = None
    X: list[torch.Tensor] | None = None
    leading: torch.Size = field(default_factory=torch.Size)
    counted: torch.Tensor | None = None
    inputs: torch.Tensor | None = None

    @property
    def n_rows(self) -> int:
        """Rows of the call, kept or not."""
        return self.call.leading.numel()


@dataclass(slots=True, eq=False)
class _Picked:
    """A call of a known form that has begun, some rows of which go where others were.

    It says less than :class:`_Pending`, which takes longer to fill in than such a call may take.

    Attributes:
        form: what it was recognised by.
        leading: leading dimensions of its rows.
        slots: where the rows go that are kept.
        numbers: of these rows among all.
        positions: of these rows in the flattened leading dimensions; None where there are none.
        X: copies of the rows of each argument.
    """

    form: _Form
    leading: torch.Size
    slots: np.ndarray
    numbers: np.ndarray
    positions: torch.Tensor | None
    X: list[torch.Tensor]


class Recorder:
    """Keeps rows of the calls of one block, and sums up moments of all of them where that is asked for.

    Attributes:
        mask: which rows of the batch count; None for all.
    """

    def __init__(
        self,
        name: str,
        max_rows: int,
        arguments: Sequence[Key] | None,
        output_index: Key | None,
        seed: int,
        sums: HalvesSums | None = None,
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.output_index = output_index
        self.reservoir = Reservoir(max_rows, seed)
        self.mask: Mask | None = None
        self._told = False
        self._sums = sums
        self.layout: Layout | None = None
        self._forms: dict[Hashable, _Form] = {}
        self._X: list[Store] = []
        self._Y = Store(max_rows)
        self._numbers = np.empty(0, dtype=np.int64)  # of the row in each slot, once they are not in order
        self._in_place: list[_Pending] = []  # calls under way whose X is in the stores
        self._chunks: list[Chunk] = []
        self._n_old = self._n_waiting = 0
        self._way: Callable[[Any], Any] = as_given  # what is done to arguments before a plain function takes them
        self._lock = threading.RLock()  # DataParallel calls its replicas from threads

    @contextlib.contextmanager
    def watching(self, block: nn.Module, ended: Callable[[str], None]) -> Iterator[None]:
        """Record the block's calls by hooks, and tell of each when it has ended."""
        local = threading.local()

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if not hasattr(local, "begun"):
                local.begun = []
            local.begun.append(self.begin(args, kwargs))

        def after(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            self.finish(local.begun.pop(), output)
            ended(self.name)

        handles = [
            block.register_forward_pre_hook(before, with_kwargs=True),
            block.register_forward_hook(after, with_kwargs=True),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def call(self, function: Callable[..., Any], batch: Any) -> None:
        """Call a plain function on a batch, and record it."""
        args, kwargs = arguments_of(batch)
        if self.layout is None:
            output, self._way = call_either(function, args, kwargs)
            args, kwargs = self._way(args), self._way(kwargs)
        else:
            args, kwargs = self._way(args), self._way(kwargs)
            output = function(*args, **kwargs)
        self.finish(self.begin(args, kwargs), output)

    def begin(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Pending | _Picked:
        """Take note of a call's inputs, before the block may overwrite them."""
        key, tensors, leading = self._glance(args, kwargs)
        form = None if key is None else self._forms.get(key)
        if form is not None:
            if form.outputs and self.reservoir.is_full and self.mask is None and self._sums is None:
                return self._pick(form, tensors, leading)
            pending = _Pending(Call(form.layout, tensors, leading), form)
        else:
            try:
                call = read_call(args, kwargs, self.arguments)
            except InputError as error:
                raise InputError(f"block {self.name!r}: {error}") from None
            if call.ambiguous:  # vectors; whether they are many samples or one, the output will tell
                return _Pending(Call(call.layout, tuple(t.clone() for t in call.tensors), call.leading), None)
            if key is not None:
                form = self._forms[key] = _Form(call.layout)
            pending = _Pending(call, form)
        self._draw(pending)
        return pending

    def finish(self, pending: _Pending | _Picked, output: Any) -> None:
        """Take the output of a call that :meth:`begin` took note of."""
        if isinstance(pending, _Picked):
            self._keep_picked(pending, output)
            return
        Y = self._outputs(pending, output)
        if pending.counted is not None:
            Y = take(Y, pending.counted)
        with self._lock:
            if self._sums is not None and pending.inputs is not None:
                self._sums.add(pending.first, pending.inputs, Y.reshape(-1, Y.shape[-1]))
            self._keep(pending, Y)

    def end_batch(self) -> None:
        """Store what came before this batch, if it is much; what came in it may still be on its way."""
        if self._n_waiting >= _ROWS_AT_ONCE:
            self._flush(self._n_old if self._chunks[-1].arrived is not None else len(self._chunks))
        self._n_old = len(self._chunks)

    def result(self, n_batches: int, drop_nonfinite: bool) -> Captured:
        """All that was recorded."""
        self._flush(len(self._chunks))
        if self.layout is None:
            raise InputError(
                f"block {self.name!r} was never called, though the model ran on {n_batches} batch(es). "
                f"Is it part of this model, and called as block(...) in its forward pass?"
            )
        if not self.reservoir.n_seen:
            raise InputError(f"block {self.name!r} was called with empty tensors only: there are no rows to search on.")
        n_rows = min(self.reservoir.n_seen, self.reservoir.capacity)
        slots = rows = np.arange(n_rows)
        if len(self._numbers):
            slots = np.argsort(self._numbers[:n_rows])
            rows = self._numbers[slots]
        X = [store.read(slots) for store in self._X]
        columns, Y = X[0] if len(X) == 1 else np.concatenate(X, axis=1), self._Y.read(slots)
        if drop_nonfinite:
            finite = np.isfinite(columns).all(axis=1) & np.isfinite(Y).all(axis=1)
            if not finite.all():
                bad = n_rows - int(finite.sum())
                logger.warning("block %r: left out %d of %d rows with NaN or infinite values", self.name, bad, n_rows)
                columns, Y, rows = columns[finite], Y[finite], rows[finite]
        halves = None if self._sums is None else self._sums.halves()
        return Captured(X=columns, Y=Y, rows=rows, n_seen=self.reservoir.n_seen, layout=self.layout, halves=halves)

    # ---- reading a call

    def _glance(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Hashable, tuple[torch.Tensor, ...], torch.Size]:
        """What a call is recognised by, None where it takes a closer look; its tensors; their leading dimensions.

        Where all tensors have the same leading dimensions, nothing else in them decides on how they are read.
        """
        chosen = self.arguments
        if chosen is None and not kwargs and len(args) == 1 and type(args[0]) is torch.Tensor:  # most calls
            value = args[0]
            shape = value.shape
            if len(shape) > 1:
                return (len(shape), shape[-1], value.dtype, value.device), (value.detach(),), shape[:-1]
        key: list[Hashable] = []
        tensors: list[torch.Tensor] = []
        leading = torch.Size()
        given: list[tuple[Key, Any]] = [*enumerate(args), *kwargs.items()] if kwargs else list(enumerate(args))
        for name, value in given:
            if isinstance(value, torch.Tensor):
                if chosen is not None and name not in chosen:
                    key.append((name, torch.Tensor))
                    continue
                shape = value.shape
                if tensors and shape[:-1] != leading:
                    return None, (), leading
                leading = shape[:-1]
                key.append((name, len(shape), shape[-1] if shape else 0, value.dtype, value.device))
                tensors.append(value.detach())
            elif is_simple(value):
                key.append((name, value))
            else:
                return None, (), leading
        return (tuple(key) if leading else None), tuple(tensors), leading

    def _outputs(self, pending: _Pending | _Picked, output: Any) -> torch.Tensor:
        """The outputs (*leading, n_outputs) of a call."""
        form, leading = pending.form, pending.leading
        kind = None if form is None else self._output_type(output, leading)
        if form is not None and kind in form.outputs:
            Y: torch.Tensor = output.detach()
            return Y.unsqueeze(-1) if Y.dim() == len(leading) else Y
        if isinstance(pending, _Picked):
            pending = _Pending(Call(pending.form.layout, (), leading), form, drawn=True, leading=leading)
        Y = self._read(pending, output)
        if form is not None and kind is not None:
            form.outputs.add(kind)
        return Y

    def _output_type(self, output: Any, leading: torch.Size) -> Hashable:
        """What decides on how an output is read; None where that takes a closer look."""
        if self.output_index is not None or not isinstance(output, torch.Tensor):
            return None
        if output.shape == leading:
            return output.dtype, None
        return (output.dtype, output.shape[-1]) if output.dim() and output.shape[:-1] == leading else None

    def _read(self, pending: _Pending, output: Any) -> torch.Tensor:
        """The outputs (*leading, n_outputs) of a call, after all checks."""
        try:
            if not pending.drawn:
                pending.call = pending.call.resolve(find_output(output, self.output_index)[0].shape)
                self._draw(pending)
            Y, result = read_output(output, self.output_index, pending.leading)
        except InputError as error:
            ids = _IDS if pending.call.of_ids else ""
            raise InputError(f"block {self.name!r}: {error}{ids}") from None
        with self._lock:
            self._check_layout(replace(pending.call.layout, result=result))
            if self._Y.width not in (0, Y.shape[-1]):
                raise InputError(f"block {self.name!r} returned {self._Y.width} outputs, then {Y.shape[-1]}.")
            if not self._X:
                self._X = [Store(self.reservoir.capacity) for _ in pending.call.tensors]
        return Y

    def _check_layout(self, layout: Layout) -> None:
        if self.layout is None:
            self.layout = layout
            if not layout.complete:
                logger.info("block %r: arguments that are no tensors or not chosen are left out", self.name)
            return
        if not layout.fits(self.layout):
            was, now = (", ".join(map(str, one.arguments)) for one in (self.layout, layout))
            raise InputError(f"block {self.name!r} is called in different ways: with {was}, then with {now}.")
        if self.layout.complete and (not layout.complete or dict(layout.constants) != dict(self.layout.constants)):
            self.layout = replace(self.layout, complete=False)

    # ---- keeping its rows

    def _leave_out_padding(self, pending: _Pending) -> None:
        """From here on the call has no other rows than those that count."""
        pending.leading = pending.call.leading
        pending.counted = None if self.mask is None else self.mask.positions_in(pending.leading)
        if self.mask is not None and pending.counted is None and not self._told:
            self._told = True
            logger.info(
                "block %r: the batches' mask of shape %s does not fit its calls with leading dimensions %s; all rows "
                "count",
                self.name,
                tuple(self.mask.shape),
                tuple(pending.leading),
            )
        if pending.counted is not None:
            rows = tuple(pending.call.rows(pending.counted))
            pending.call = Call(pending.call.layout, rows, rows[0].shape[:1])

    def _draw(self, pending: _Pending) -> None:
        """Decide which rows of a call to keep, and take their inputs."""
        self._leave_out_padding(pending)
        call, form = pending.call, pending.form
        if self._sums is not None:
            copies = call.rows(None)
            pending.inputs = copies[0] if len(copies) == 1 else torch.cat(copies, dim=1)
        with self._lock:
            pending.drawn, pending.first = True, self.reservoir.n_seen
            if self.reservoir.fill(pending.n_rows):
                if form is not None and form.outputs and on_host(call.tensors):
                    for store, tensor in zip(self._X, call.tensors, strict=True):
                        store.fill(pending.first, call.leading, tensor)
                    self._in_place.append(pending)
                    return
            else:
                self._make_way()
                kept, pending.slots = self.reservoir.draw(pending.n_rows)
                pending.kept = pending.first + kept
                pending.positions = on_device(torch.from_numpy(kept), call.tensors)
        pending.X = call.rows(pending.positions) if pending.slots is None or len(pending.slots) else []

    def _make_way(self) -> None:
        """Copy what calls under way have in the stores: their slots may be given to other rows before they end."""
        for other in self._in_place:
            other.X = [store.copy(other.first, other.n_rows) for store in self._X]
        self._in_place.clear()

    def _pick(self, form: _Form, tensors: Sequence[torch.Tensor], leading: torch.Size) -> _Picked:
        """What :meth:`_draw` does for a call all rows of which count, when there are no free slots."""
        with self._lock:
            if self._in_place:
                self._make_way()
            first = self.reservoir.n_seen
            kept, slots = self.reservoir.draw(leading.numel())
        if not len(kept):
            return _Picked(form, leading, slots, kept, None, [])
        positions = on_device(torch.from_numpy(kept), tensors)
        numbers = first + kept
        return _Picked(form, leading, slots, numbers, positions, [_rows(t, positions) for t in tensors])

    def _keep_picked(self, picked: _Picked, output: Any) -> None:
        """Have the rows stored that :meth:`_pick` has picked."""
        Y = self._outputs(picked, output)
        if picked.positions is None:
            return
        chunk = chunk_of(picked.slots, picked.numbers, [*picked.X, _rows(Y, picked.positions)])
        with self._lock:
            self._chunks.append(chunk)
            self._n_waiting += len(chunk.slots)

    def _keep(self, pending: _Pending, Y: torch.Tensor) -> None:
        """Store the rows of a call, or have them stored when they are many and have come from their device."""
        if pending.X is None:
            self._in_place.remove(pending)
        slots, numbers = pending.slots, pending.kept
        if not pending.n_rows or (slots is not None and not len(slots)):
            return
        X = pending.X or []
        if slots is None or numbers is None:  # all rows
            if not self._chunks and not len(self._numbers) and on_host([Y, *X]):
                for store, rows in zip(self._X, X, strict=False):
                    store.fill(pending.first, rows.shape[:1], rows)
                self._Y.fill(pending.first, pending.call.leading, Y)
                return
            slots = numbers = np.arange(pending.first, pending.first + pending.n_rows)
        self._chunks.append(chunk_of(slots, numbers, [*X, take(Y, pending.positions)]))
        self._n_waiting += len(slots)

    def _flush(self, n_chunks: int) -> None:
        with self._lock:
            chunks, self._chunks = self._chunks[:n_chunks], self._chunks[n_chunks:]
            self._n_waiting = sum(len(chunk.slots) for chunk in self._chunks)
            for _, alike in itertools.groupby(chunks, lambda chunk: [tensor.dtype for tensor in chunk.tensors]):
                self._store(list(alike))

    def _store(self, chunks: Sequence[Chunk]) -> None:
        """Store chunks of the same types, the later ones over the earlier."""
        for chunk in chunks:
            if chunk.arrived is not None:
                chunk.arrived()
        slots = np.concatenate([chunk.slots for chunk in chunks])
        numbers = np.concatenate([chunk.numbers for chunk in chunks])
        last = last_of_each(slots)
        places = torch.from_numpy(slots if last is None else slots[last])
        n_slots = min(self.reservoir.n_seen, self.reservoir.capacity)
        parts = list(zip(*(chunk.tensors for chunk in chunks), strict=True))
        for store, part in zip([*self._X, self._Y][-len(parts) :], parts, strict=True):
            rows = torch.cat(part) if len(part) > 1 else part[0]
            store.put(places, rows if last is None else rows[torch.from_numpy(last)], n_slots)
        if not len(self._numbers) and not np.array_equal(slots, numbers):
            self._numbers = np.arange(self.reservoir.capacity)
        if len(self._numbers):
            self._numbers[slots] = numbers


def _rows(tensor: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """As :func:`take`; at once where the tensor is a matrix and the positions are beside it."""
    here = tensor.dim() == 2 and tensor.is_cpu and positions.is_cpu
    return tensor.index_select(0, positions) if here else take(tensor, positions)
