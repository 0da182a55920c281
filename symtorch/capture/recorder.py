"""Keeps rows of what goes into a block and what comes out, in bounded memory."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from symtorch.capture.batches import arguments_of, swapped
from symtorch.capture.calls import Call, Key, Layout, find_output, read_call, read_output, take
from symtorch.capture.rows import Captured
from symtorch.errors import InputError

logger = logging.getLogger("symtorch.capture")


class Reservoir:
    """Which rows of a stream to keep, so that every row seen so far is kept with equal probability.

    Vitter's algorithm R (ACM TOMS 11, 1985), for many rows at a time.
    """

    def __init__(self, capacity: int, seed: int) -> None:
        self.capacity = capacity
        self.n_seen = 0
        self._rng = np.random.default_rng(seed)

    def draw(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions among the next n rows to keep, rising, and the slot that each of them goes to."""
        number = np.arange(self.n_seen, self.n_seen + n)
        self.n_seen += n
        slots = number.copy()
        late = number >= self.capacity
        if late.any():
            slots[late] = self._rng.integers(0, number[late] + 1)
        kept = np.flatnonzero(slots < self.capacity)
        # Of several rows for one slot the last stays.
        _, last = np.unique(slots[kept][::-1], return_index=True)
        kept = np.sort(kept[len(kept) - 1 - last])
        return kept, slots[kept]


@dataclass
class _Chunk:
    """Rows on their way from the device to the host."""

    slots: np.ndarray
    rows: np.ndarray
    X: list[torch.Tensor]
    Y: torch.Tensor
    arrived: Callable[[], None]


@dataclass
class _Pending:
    """A call of the block that has begun: its inputs, drawn before the block may overwrite them."""

    call: Call
    drawn: tuple[np.ndarray, np.ndarray] | None
    index: tuple[torch.Tensor, ...] = ()
    X: list[torch.Tensor] = field(default_factory=list)


class Recorder:
    """Keeps rows of the calls of one block."""

    def __init__(
        self, name: str, max_rows: int, arguments: Sequence[Key] | None, output_index: Key | None, seed: int
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.output_index = output_index
        self.reservoir = Reservoir(max_rows, seed)
        self.layout: Layout | None = None
        self._chunks: list[_Chunk] = []
        self._n_old = 0
        self._X = self._Y = np.empty((0, 0))
        self._rows = np.empty(0, dtype=np.int64)
        self._swap = False
        self._lock = threading.RLock()  # DataParallel calls its replicas from threads

    @contextlib.contextmanager
    def watching(self, block: nn.Module) -> Iterator[None]:
        """Record the block's calls by hooks."""
        local = threading.local()

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if not hasattr(local, "begun"):
                local.begun = []
            local.begun.append(self.begin(args, kwargs))

        def after(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            self.finish(local.begun.pop(), output)

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
        if self._swap:
            batch = swapped(batch)
        args, kwargs = arguments_of(batch)
        try:
            output = function(*args, **kwargs)
        except Exception as error:
            # NumPy functions do not always take tensors, nor PyTorch functions arrays.
            if self.layout is not None:
                raise
            args, kwargs = arguments_of(swapped(batch))
            try:
                output = function(*args, **kwargs)
            except Exception:
                raise error from None
            self._swap = True
        self.finish(self.begin(args, kwargs), output)

    def begin(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> _Pending:
        """Take note of a call's inputs, before the block may overwrite them."""
        try:
            call = read_call(args, kwargs, self.arguments)
        except InputError as error:
            raise InputError(f"block {self.name!r}: {error}") from None
        if call.ambiguous:  # vectors; whether they are many samples or one, the output will tell
            copies = tuple(t.clone() for t in call.tensors)
            return _Pending(Call(call.layout, copies, call.leading), None)
        pending = _Pending(call, None)
        self._draw(pending)
        return pending

    def finish(self, pending: _Pending, output: Any) -> None:
        """Take the output of a call that :meth:`begin` took note of."""
        try:
            if pending.drawn is None:
                pending.call = pending.call.resolve(find_output(output, self.output_index)[0].shape)
                self._draw(pending)
            Y, result = read_output(output, self.output_index, pending.call.leading)
        except InputError as error:
            raise InputError(f"block {self.name!r}: {error}") from None
        assert pending.drawn is not None
        slots, rows = pending.drawn
        with self._lock:
            self._check_layout(replace(pending.call.layout, result=result))
            if len(slots):
                tensors = [_to_host(t) for t in (*pending.X, take(Y, pending.index))]
                self._chunks.append(_Chunk(slots, rows, tensors[:-1], tensors[-1], _arrival((*pending.X, Y))))

    def end_batch(self) -> None:
        """Store what came before this batch; what came in it may still be on its way."""
        self._flush(self._n_old)
        self._n_old = len(self._chunks)

    def result(self, n_batches: int, drop_nonfinite: bool) -> Captured:
        """All that was recorded."""
        self._flush(len(self._chunks))
        if self.layout is None:
            raise InputError(
                f"block {self.name!r} was never called, though the model ran on {n_batches} batch(es). "
                f"Is it part of this model, and called as block(...) in its forward pass?"
            )
        n_rows = min(self.reservoir.n_seen, self.reservoir.capacity)
        order = np.argsort(self._rows[:n_rows])
        if drop_nonfinite:
            finite = np.isfinite(self._X[order]).all(axis=1) & np.isfinite(self._Y[order]).all(axis=1)
            if not finite.all():
                bad = len(order) - int(finite.sum())
                logger.warning("block %r: left out %d of %d rows with NaN or infinite values", self.name, bad, n_rows)
            order = order[finite]
        return Captured(
            X=self._X[order],
            Y=self._Y[order],
            rows=self._rows[order],
            n_seen=self.reservoir.n_seen,
            layout=self.layout,
        )

    def _draw(self, pending: _Pending) -> None:
        leading = pending.call.leading
        with self._lock:
            first = self.reservoir.n_seen
            kept, slots = self.reservoir.draw(leading.numel())
        pending.drawn = (slots, first + kept)
        if leading and len(kept):
            device = next((t.device for t in pending.call.tensors if t.device.type == "cuda"), None)
            index = (torch.from_numpy(i) for i in np.unravel_index(kept, leading))
            pending.index = tuple(i.pin_memory().to(device, non_blocking=True) if device else i for i in index)
        pending.X = pending.call.rows(pending.index) if len(kept) else []

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

    def _flush(self, n_chunks: int) -> None:
        with self._lock:
            chunks, self._chunks = self._chunks[:n_chunks], self._chunks[n_chunks:]
        for chunk in chunks:
            chunk.arrived()
            X = np.concatenate([x.to(torch.float64).numpy() for x in chunk.X], axis=1)
            Y = chunk.Y.to(torch.float64).numpy()
            if self._rows.size and Y.shape[1] != self._Y.shape[1]:
                raise InputError(f"block {self.name!r} returned {self._Y.shape[1]} outputs, then {Y.shape[1]}.")
            self._grow(int(chunk.slots.max()) + 1, X.shape[1], Y.shape[1])
            self._X[chunk.slots], self._Y[chunk.slots], self._rows[chunk.slots] = X, Y, chunk.rows

    def _grow(self, n_rows: int, n_inputs: int, n_outputs: int) -> None:
        if n_rows <= len(self._rows):
            return
        size = min(max(n_rows, 2 * len(self._rows)), self.reservoir.capacity)
        X, Y, rows = np.empty((size, n_inputs)), np.empty((size, n_outputs)), np.zeros(size, dtype=np.int64)
        if old := len(self._rows):
            X[:old], Y[:old], rows[:old] = self._X, self._Y, self._rows
        self._X, self._Y, self._rows = X, Y, rows


def _to_host(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor on the host; from a CUDA device without waiting for it (see _arrival)."""
    if tensor.device.type != "cuda":
        return tensor.cpu()
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=True)
    return pinned.copy_(tensor, non_blocking=True)


def _arrival(tensors: Sequence[torch.Tensor]) -> Callable[[], None]:
    """A function that waits until the copies to the host begun so far are there."""
    events = []
    for device in {t.device for t in tensors if t.device.type == "cuda"}:
        with torch.cuda.device(device):
            events.append(torch.cuda.current_stream().record_event())

    def wait() -> None:
        for event in events:
            event.synchronize()

    return wait
