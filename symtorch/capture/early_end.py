"""Ending a model's pass after the last call of a watched block, where nobody can tell the difference.

What comes after that block is of no use to a capture, and may be most of the model. But a pass that ends half
way is seen by whoever waits for its end, so it is done only where a whole pass has shown that it is safe: each
watched block is called exactly once in it, and it leaves no trace in any module; nothing is hooked to the
modules, and no module is of a kind that does work after its children's. Passes with batches of other shapes
are whole, and so are the 1st, 2nd, 4th, 8th, ... of all, to see that nothing has changed. What a model's code
does outside of its modules after that block (prints, a list of the caller's) can't be seen from here and is left
out; ``forward=`` runs every pass to its end.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from symtorch.capture.calls import is_simple

logger = logging.getLogger("symtorch.capture")

_UNSAFE = ("torch.distributed", "torch.nn.parallel", "torch.jit", "torch._dynamo", "torch.fx")
"""Where modules come from that have threads, work after their children's passes, or aren't run by Python."""


class _Enough(BaseException):
    """All that is wanted of a pass has come. No Exception, so that a model's own ``except`` does not catch it."""


class EarlyEnd:
    """Runs a model on batches, each no further than needed.

    Args:
        model: what is run.
        blocks: the modules in it that are watched, by name; they are to call :meth:`called`.
        allowed: whether passes may end early at all.
    """

    def __init__(self, model: Any, blocks: Mapping[str, Any], allowed: bool = True) -> None:
        self._blocks = frozenset(blocks)
        self._modules = list(model.modules()) if isinstance(model, nn.Module) else []
        inside = {id(m) for m in self._modules[1:]}
        self._allowed = allowed and all(id(b) in inside for b in blocks.values()) and _nobody_waits(self._modules)
        self._thread = threading.get_ident()
        self._order: dict[Hashable, tuple[str, ...]] = {}  # of the blocks' calls, by the batch's shapes
        self._without_trace: _Traces | None = None
        self._calls: list[str] = []
        self._expected: tuple[str, ...] | None = None
        self._n_passes = self._n_ended = 0

    def called(self, name: str) -> None:
        """Take note that a call of a watched block has ended; ends the pass if that was the last one."""
        self._calls.append(name)
        if self._expected is not None and tuple(self._calls) == self._expected:
            if threading.get_ident() == self._thread:
                raise _Enough
            self._allowed = False

    def run(self, one_pass: Callable[[], None], batch: Any) -> None:
        """Do one pass, on this batch."""
        kind = _kind(batch) if self._allowed else None
        if kind is None:
            one_pass()
            return
        self._n_passes += 1
        self._calls = []
        if self._n_passes & (self._n_passes - 1) and kind in self._order and self._without_trace is not None:
            self._part(one_pass, kind)
        else:
            self._whole(one_pass, kind)

    def _part(self, one_pass: Callable[[], None], kind: Hashable) -> None:
        self._expected = self._order[kind]
        try:
            one_pass()
        except _Enough:
            self._n_ended += 1
        finally:
            self._expected = None
        if tuple(self._calls) != self._order[kind]:
            self._changed()
        elif self._n_ended == 1 and self._without_trace is not None and not self._without_trace.hold():
            # A model that is set back at the end of its pass only.
            self._without_trace.put_back()
            self._allowed = False

    def _whole(self, one_pass: Callable[[], None], kind: Hashable) -> None:
        traces = _Traces(self._modules) if self._n_passes > 1 and self._without_trace is None else None
        one_pass()
        calls = tuple(self._calls)
        if self._order.setdefault(kind, calls) != calls:
            self._changed()
        elif set(calls) != self._blocks or len(calls) != len(self._blocks):
            self._allowed = False
        elif traces is not None:
            self._without_trace = traces
            self._allowed = traces.hold()

    def _changed(self) -> None:
        self._allowed = False
        if self._n_ended:
            logger.warning(
                "the model calls its blocks %s in another order or number than in its first passes; %d passes were "
                "ended after the last call expected, and what came later in them is missing. To run all passes to "
                "their end: forward=lambda model, batch: model(batch).",
                sorted(self._blocks),
                self._n_ended,
            )


class _Traces:
    """What there is in modules, to see later whether it is still there."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._modules = modules
        self._found = list(self._look())

    def hold(self) -> bool:
        """Whether nothing has changed."""
        now = list(self._look())
        return len(now) == len(self._found) and all(map(_same, self._found, now))

    def put_back(self) -> None:
        """Give the modules the attributes back that they had."""
        for place, key, value, state in self._found:
            place[key] = value
            if isinstance(value, torch.Tensor) and value.is_leaf:
                value.requires_grad_(state[1])

    def _look(self) -> Iterator[tuple[dict[str, Any], str, Any, Any]]:
        for module in self._modules:
            for place in (vars(module), module._parameters, module._buffers):
                for key, value in place.items():
                    yield place, key, value, _state(value)


def _state(value: Any, depth: int = 2) -> Any:
    """What of an object may change while it stays the same object, down to what lies in a container in it."""
    if isinstance(value, torch.Tensor):
        return None if value.is_inference() else value._version, value.requires_grad
    if not isinstance(value, (list, dict, set)):
        return None
    inner = value.values() if isinstance(value, dict) else value
    held = (list, dict, set, torch.Tensor)
    return len(value), [_state(v, depth - 1) for v in inner if isinstance(v, held)] if depth > 1 else None


def _same(one: tuple[Any, str, Any, Any], other: tuple[Any, str, Any, Any]) -> bool:
    if one[0] is not other[0] or one[1] != other[1] or one[3] != other[3]:
        return False
    return one[2] is other[2] or (is_simple(one[2]) and type(one[2]) is type(other[2]) and one[2] == other[2])


def _nobody_waits(modules: Sequence[nn.Module]) -> bool:
    """Whether nothing is hooked to the modules, and none does work after its children's passes."""
    everywhere = torch.nn.modules.module
    if not modules or everywhere._global_forward_hooks or everywhere._global_forward_pre_hooks:
        return False
    return all(
        not (m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) or type(m).__module__.startswith(_UNSAFE))
        for m in modules
    )


def _kind(batch: Any) -> Hashable:
    """Shapes and types of all that is in a batch; None where it holds what isn't known."""
    if isinstance(batch, torch.Tensor):
        return batch.shape, batch.dtype
    if is_simple(batch):
        return type(batch), batch
    if type(batch) is dict:
        batch = tuple(batch.items())
    if type(batch) in (tuple, list):
        kinds = tuple(map(_kind, batch))
        return None if None in kinds else kinds
    return None
