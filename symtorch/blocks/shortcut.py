"""A model run again and again on the same batches, while only blocks from a certain layer on differ.

What comes before the first of these layers is computed once, and so is what goes into the original's last layer: the
logits are made of it again where they are wanted, at some positions only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from symtorch.capture.batches import placing
from symtorch.capture.gradients import Forward, logits_of, run
from symtorch.capture.padding import USUAL_MASK, Rows, mask_of


@dataclass(frozen=True, eq=False)
class Recorded:
    """What the original model says of a batch.

    Attributes:
        batch: as the model is given it.
        entering: output of the last layer before the first replaced block; None where the model can't be cut there.
        hidden: (n, width), inputs of the last layer at the rows that count; None where the logits are kept.
        logits: (n, n_classes); None where the last layer makes them again.
        positions: (n,), of these rows in the flattened leading dimensions.
    """

    batch: Any
    entering: Any
    hidden: Tensor | None
    logits: Tensor | None
    positions: Tensor

    @property
    def n_rows(self) -> int:
        """How many rows count."""
        return len(self.positions)


class Shortcut:
    """The original's answers to batches, and the model run on them from the first replaced block on.

    Args:
        model: with the original blocks in their places, when :meth:`record` is called.
        names: dotted names of the replaced blocks in it.
        forward: ``forward(model, batch)``, where ``model(batch)`` does not do.
        rows: which rows count, as for ``distill``.
    """

    def __init__(
        self, model: nn.Module, names: Sequence[str], forward: Forward | None = None, rows: Rows | None = USUAL_MASK
    ) -> None:
        self._model = model
        self._run = forward or run
        self._rows = rows
        self._before = _layers_before(model, names)
        self._head: nn.Linear | None = None
        self._is_known = False
        self._place = placing(model)

    @torch.no_grad()
    def record(self, batch: Any) -> Recorded:
        """What the original says of a batch; finds out on the first one how the model can be run again.

        Raises:
            InputError: no logits, or a mask that does not fit them.
        """
        batch = self._place(batch)
        if not self._is_known:
            self._head = self._find_head(batch)
        found = self._record(batch)
        if not self._is_known and self._before and not self._is_faithful(found):
            self._before = []
            found = replace(found, entering=None)
        self._is_known = True
        return found

    def logits(self, recorded: Recorded, chosen: Tensor) -> Tensor:
        """(k, n_classes): those of the original, at some of the rows that count."""
        if recorded.logits is not None:
            return recorded.logits[chosen]
        assert recorded.hidden is not None
        assert self._head is not None
        return self._head(recorded.hidden[chosen])

    def answer(self, recorded: Recorded, chosen: Tensor) -> Tensor:
        """(k, n_classes): the logits of the model as it is now, at some of the rows that count."""
        with self.shortened(recorded), ExitStack() as stack:
            if self._head is not None:
                stack.enter_context(_answering(self._head, lambda hidden: hidden))
            found = logits_of(self._run(self._model, recorded.batch))
        rows = found.reshape(-1, found.shape[-1])[recorded.positions[chosen]]
        return rows if self._head is None else self._head(rows)

    @contextmanager
    def shortened(self, recorded: Recorded) -> Iterator[None]:
        """Within it the layers before the first replaced block give what they gave when it was recorded."""
        with ExitStack() as stack:
            for layer in self._before:
                stack.enter_context(_answering(layer, lambda *_, **__: recorded.entering))
            yield

    def _record(self, batch: Any) -> Recorded:
        kept: dict[str, Any] = {}
        handles = []
        if self._before:
            handles.append(self._before[-1].register_forward_hook(lambda _, __, out: kept.update(entering=out)))
        if self._head is not None:
            handles.append(self._head.register_forward_pre_hook(lambda _, args: kept.update(hidden=args[0])))
        try:
            logits = logits_of(self._run(self._model, batch))
        finally:
            for handle in handles:
                handle.remove()
        mask = mask_of(batch, self._rows)
        positions = None if mask is None else mask.positions_in(logits.shape[:-1])
        if positions is None:
            positions = torch.arange(logits.shape[:-1].numel())
        positions = positions.to(logits.device)
        entering = _detached(kept.get("entering"))
        if "hidden" in kept:
            hidden = kept["hidden"].detach()
            return Recorded(batch, entering, hidden.reshape(-1, hidden.shape[-1])[positions], None, positions)
        return Recorded(batch, entering, None, logits.detach().reshape(-1, logits.shape[-1])[positions], positions)

    def _find_head(self, batch: Any) -> nn.Linear | None:
        """The linear layer whose output the logits are."""
        last: list[tuple[nn.Module, Any, Any]] = []

        def note(layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            last[:] = [(layer, args, output)]

        layers = [m for m in self._model.modules() if isinstance(m, nn.Linear)]
        handles = [layer.register_forward_hook(note) for layer in layers]
        try:
            logits = logits_of(self._run(self._model, batch))
        finally:
            for handle in handles:
                handle.remove()
        if not last or len(last[0][1]) != 1:
            return None
        layer, (hidden,), output = last[0]
        whole = isinstance(hidden, Tensor) and hidden.shape[:-1] == logits.shape[:-1]
        alike = whole and output.shape == logits.shape and output.data_ptr() == logits.data_ptr()
        return layer if alike else None  # type: ignore[return-value]

    def _is_faithful(self, recorded: Recorded) -> bool:
        """Whether the shortened model says what the whole one did."""
        chosen = torch.arange(min(recorded.n_rows, 64), device=recorded.positions.device)
        try:
            again = self.answer(recorded, chosen)
        except Exception:  # whatever a model raises whose layers do more than hand on what they compute
            return False
        coarse = max(1e-3, 4 * torch.finfo(again.dtype).eps)  # as within torch.autocast
        return torch.allclose(again, self.logits(recorded, chosen), rtol=coarse, atol=coarse)


def _layers_before(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """The layers before the first replaced block, where all such blocks are in one list of layers."""
    lists: dict[str, list[int]] = {}
    for name in names:
        parts = name.split(".")
        for k in range(len(parts)):
            holder = model.get_submodule(".".join(parts[:k])) if k else model
            if isinstance(holder, (nn.ModuleList, nn.Sequential)) and parts[k].isdigit():
                lists.setdefault(".".join(parts[:k]), []).append(int(parts[k]))
                break
        else:
            return []
    if len(lists) != 1:
        return []
    ((name, places),) = lists.items()
    layers = list(model.get_submodule(name).children()) if name else list(model.children())
    return layers[: min(places)]


@contextmanager
def _answering(layer: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Within it the layer answers by this function."""
    had = layer.__dict__.get("forward")
    layer.__dict__["forward"] = forward
    try:
        yield
    finally:
        if had is None:
            del layer.__dict__["forward"]
        else:
            layer.__dict__["forward"] = had


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach()
    return type(value)(map(_detached, value)) if isinstance(value, (tuple, list)) else value
