"""Rows of blocks with what the model's answers would feel of a small change of the blocks' outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from symtorch.capture.batches import arguments_of
from symtorch.capture.padding import Rows, mask_of
from symtorch.errors import InputError

Forward = Callable[[Any, Any], Any]
"""(model, batch) -> what the model returns."""

Call = tuple[Tensor, Tensor, Tensor]
"""Inputs and outputs of a block, and a zero that was added to the outputs, to differentiate by."""


@dataclass(frozen=True, eq=False)
class Felt:
    """Rows of one block in one batch.

    Attributes:
        x: (n, n_inputs).
        y: (n, n_outputs), of the block.
        gradient: (n, n_outputs), of the log likelihood of classes that are drawn from the model's distribution.
    """

    x: Tensor
    y: Tensor
    gradient: Tensor

    def divergence(self, answer: Tensor) -> Tensor:
        """(n,): half of (g.e)², e the error of another answer (n, n_outputs) in the block's place, in nats.

        Its mean over the draws is the divergence of the model's distribution, to the second order in e.
        """
        along = (self.gradient * (answer.to(self.y) - self.y)).sum(dim=-1).double()
        return 0.5 * along.square()


def run(model: Any, batch: Any) -> Any:
    """The model's answer to a batch, be it a tensor, a tuple of arguments or a dict of them."""
    args, kwargs = arguments_of(batch)
    return model(*args, **kwargs)


def logits_of(output: Any) -> Tensor:
    """The logits (..., n_classes) in what a model returns: a tensor, its member ``logits``, or its first part.

    Raises:
        InputError: there are none.
    """
    found = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if found is None and isinstance(output, (tuple, list)) and output:
        found = output[0]
    if not isinstance(found, Tensor) or not found.is_floating_point():
        raise InputError(
            f"the model returns a {type(output).__name__}; expected logits: a tensor, an object with .logits, or a "
            f"tuple that begins with them. Pass a loss of your own: loss=lambda model, batch: ..."
        )
    return found


def felt(
    model: nn.Module,
    blocks: Mapping[str, nn.Module],
    batches: Iterable[Any],
    seed: int,
    forward: Forward | None = None,
    rows: Rows | None = None,
) -> Iterator[tuple[dict[str, Felt], int]]:
    """Run batches forward and back: rows of all blocks, and of how many rows (tokens) the logits count.

    The random state is moved; :func:`~symtorch.capture.undisturbed.undisturbed` puts it back.

    Args:
        model: whose answers are logits.
        blocks: parts of it that take and return one tensor.
        batches: as the model is given them.
        seed: of the classes drawn.
        forward: ``forward(model, batch)``, for batches that the model does not take as they are.
        rows: which rows count.

    Raises:
        InputError: no logits, or a block that takes or returns something else.
    """
    torch.manual_seed(seed)
    for batch in batches:
        with torch.enable_grad(), probed(blocks) as calls:
            logits = logits_of((forward or run)(model, batch))
            flat = logits.reshape(-1, logits.shape[-1])
            mask = mask_of(batch, rows)
            counted = None if mask is None else mask.positions_in(logits.shape[:-1])
            chosen = torch.arange(len(flat), device=flat.device) if counted is None else counted.to(flat.device)
            likely = flat[chosen].float().log_softmax(dim=-1)
            drawn = torch.multinomial(likely.detach().exp(), 1)
            probes = [(name, x, y, probe) for name, made in calls.items() for x, y, probe in made]
            said, asked = likely.gather(1, drawn).sum(), [probe for *_, probe in probes]
            gradients = torch.autograd.grad(said, asked, allow_unused=True) if asked else ()
        found: dict[str, list[Felt]] = {}
        for (name, x, y, _), gradient in zip(probes, gradients, strict=True):
            if gradient is None:
                continue
            by_row = [part.reshape(-1, part.shape[-1]) for part in (x, y, gradient)]
            if y.shape[:-1] == logits.shape[:-1]:
                by_row = [part[chosen] for part in by_row]
            found.setdefault(name, []).append(Felt(*by_row))
        yield {name: _joined(parts) for name, parts in found.items()}, len(chosen)


def _joined(parts: list[Felt]) -> Felt:
    """The rows of several calls."""
    if len(parts) == 1:
        return parts[0]
    return Felt(*(torch.cat([getattr(part, name) for part in parts]) for name in ("x", "y", "gradient")))


@contextmanager
def probed(blocks: Mapping[str, nn.Module]) -> Iterator[dict[str, list[Call]]]:
    """Within it, the blocks' calls are noted, and gradients at their outputs can be asked for."""
    calls: dict[str, list[Call]] = {name: [] for name in blocks}

    def watch(name: str) -> Callable[..., Tensor]:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Tensor:
            given = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
            if len(given) != 1 or not isinstance(output, Tensor):
                raise InputError(f"block {name!r} takes {len(given)} tensors; expected one, and one in return.")
            probe = torch.zeros_like(output, requires_grad=True)
            calls[name].append((given[0].detach(), output.detach(), probe))
            return output + probe

        return hook

    handles = [block.register_forward_hook(watch(name), with_kwargs=True) for name, block in blocks.items()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
