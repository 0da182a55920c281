"""Which blocks of a model to replace: what each would cost the model's answers, and save of its time."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from symtorch.capture import Captured, capture
from symtorch.capture.batches import batches_of, placing
from symtorch.capture.gradients import Forward, felt, probed, run
from symtorch.capture.padding import USUAL_MASK, Rows
from symtorch.capture.undisturbed import undisturbed
from symtorch.distillation.projected import Projecting
from symtorch.errors import InputError
from symtorch.model import SymbolicModel, calling_blocks
from symtorch.surrogate.encodings import Maps, Projected, Projection

_USUAL = ("mlp", "feed_forward", "ffn")
"""What the MLP of a transformer's layer is called."""

_HELD_OUT = 0.1
_KEPT_ROWS = 2000

Replace = Callable[[Tensor], Tensor]
"""What would stand in a block's place: (n, n_inputs) -> (n, n_outputs)."""


@dataclass(frozen=True)
class Rank:
    """What it costs and saves to replace one block.

    Attributes:
        name: of the block in the model.
        predicted_kl: divergence of the model's answers from the original's, in nats per row (token), were this block
            alone replaced: half the mean of (g.e)², g the gradient at its outputs and e the surrogate's error.
            Infinite where it can't be replaced.
        seconds: CPU time of the block for a batch.
        surrogate_seconds: CPU time of what would stand in its place.
        share: of the model's time for a batch that is saved.
        trouble: why it can't be replaced; empty where it can.
    """

    name: str
    predicted_kl: float
    seconds: float
    surrogate_seconds: float
    share: float
    trouble: str = ""


@dataclass(frozen=True)
class Ranking:
    """Blocks by what it costs to replace them, the cheapest first.

    Attributes:
        ranks: one for each block.
        what: what would stand in their places.
    """

    ranks: tuple[Rank, ...]
    what: str

    def choose(self, n: int, apart: int = 2) -> list[str]:
        """The n cheapest blocks of layers that are this far apart, in the order of the layers.

        Args:
            n: how many.
            apart: least distance of two layers; 1 allows neighbours, whose errors add up to more than predicted.

        Raises:
            InputError: there are not so many.
        """
        chosen: list[str] = []
        for rank in self.ranks:
            far = all(_distance(rank.name, other) >= apart for other in chosen)
            if len(chosen) < n and far and not rank.trouble:
                chosen.append(rank.name)
        if len(chosen) < n:
            raise InputError(f"there are only {len(chosen)} blocks {apart} layers apart that can be replaced; not {n}.")
        return sorted(chosen, key=_numbers)

    def warning(self, names: Sequence[str]) -> str:
        """A word on neighbours among these blocks; empty without any."""
        pairs = [f"{a} and {b}" for a, b in itertools.pairwise(sorted(names, key=_numbers)) if _distance(a, b) == 1]
        if not pairs:
            return ""
        return f"{', '.join(pairs)} are neighbours: the error of one reaches the other, and costs more than predicted."

    def __str__(self) -> str:
        width = max(len(rank.name) for rank in self.ranks)
        lines = [
            f"replaced by {self.what}, each alone",
            f"{'':{width}}  {'KL, nats':>9}  {'ms':>8}  {'instead':>8}  {'saves':>6}",
        ]
        for r in self.ranks:
            times = f"{1000 * r.seconds:>8.2f}  {1000 * r.surrogate_seconds:>8.2f}  {r.share:>6.1%}"
            lines.append(f"{r.name:{width}}  {r.predicted_kl:>9.5f}  {times}{'  ' + r.trouble if r.trouble else ''}")
        cheap = [r.name for r in self.ranks[: max(2, len(self.ranks) // 4)] if not r.trouble]
        return "\n".join([*lines, *filter(None, [self.warning(cheap)])])


def rank_blocks(
    model: nn.Module,
    data: Any,
    blocks: Sequence[str] | None = None,
    *,
    rank: int = 32,
    most_batches: int = 16,
    seed: int = 0,
    forward: Forward | None = None,
    rows: Rows | None = USUAL_MASK,
) -> Ranking:
    """Rank blocks by what it would cost the model's answers to replace each of them, from one pass with gradients.

    With p the original's distribution over its classes and e a small error of a block's outputs, the divergence from
    p is half the mean of (g.e)², where g is the gradient, at these outputs, of the log likelihood of a class that is
    drawn from p. It holds for one block at a time; errors of neighbouring layers add up to more.

    Blocks whose equations are in use are ranked by these; others by the linear map of the given rank, which is fitted
    to the data in a second pass, that all blocks share.

    Args:
        model: whose answers are logits.
        data: batches, as for ``distill``; a few thousand rows will do.
        blocks: dotted names of parts that take and return one tensor; None for those that are wrapped, or else for the
            MLPs of all layers (parts called mlp, feed_forward or ffn).
        rank: of the linear maps.
        most_batches: batches in the pass with gradients.
        seed: of the classes drawn.
        forward: ``forward(model, batch)``, for batches that the model does not take as they are.
        rows: which rows count, as for ``distill``.

    Returns:
        the blocks, the cheapest first, with the time that each saves.

    Raises:
        InputError: no such blocks, or no logits.
    """
    place = placing(model)
    batches = [place(batch) for batch in batches_of(data)]
    if not batches:
        raise InputError("the data is empty: there was no batch to run on.")
    parts = {name: _part(model, name) for name in (_usual_blocks(model) if blocks is None else blocks)}
    wrapped = [part for part in parts.values() if isinstance(part, SymbolicModel)]
    in_use = {name: equations for name, part in parts.items() if (equations := _equations(part)) is not None}
    originals = {name: _original(name, part) for name, part in parts.items()}
    with calling_blocks(wrapped), undisturbed(model):
        others = {name: part for name, part in originals.items() if name not in in_use}
        fitted, troubles = _linear(model, others, batches, rank, seed, forward, rows)
        replace: dict[str, Replace] = {**in_use, **fitted}
        watched = {name: originals[name] for name in replace}
        costs = _predicted(model, watched, replace, batches[:most_batches], seed, forward, rows)
        times = _times(model, watched, replace, batches[0], forward or run)
    ranks = [Rank(name, costs[name], *times[name]) for name in replace]
    ranks += [Rank(name, math.inf, 0.0, 0.0, 0.0, trouble) for name, trouble in troubles.items()]
    what = f"their equations, or linear maps of rank {rank}" if in_use else f"linear maps of rank {rank}"
    return Ranking(tuple(sorted(ranks, key=lambda r: (r.predicted_kl, _numbers(r.name)))), what)


def _linear(
    model: nn.Module,
    blocks: Mapping[str, nn.Module],
    batches: list[Any],
    rank: int,
    seed: int,
    forward: Forward | None,
    rows: Rows | None,
) -> tuple[dict[str, Replace], dict[str, str]]:
    """Linear maps of the blocks, and why some have none."""
    if not blocks:
        return {}, {}
    how: dict[str, Any] = {"forward": forward, "rows": rows, "seed": seed}
    captured = capture(blocks, batches, model=model, max_rows=_KEPT_ROWS, moments=_HELD_OUT, **how)
    found: dict[str, Replace] = {}
    troubles = {}
    for name, data in captured.items():
        try:
            found[name] = _map_of(name, data, rank, seed)
        except InputError as error:
            troubles[name] = str(error)
    return found, troubles


def _map_of(name: str, captured: Captured, rank: int, seed: int) -> Replace:
    fitted = Projecting.fit(Projection(outputs=0), rank, captured, _HELD_OUT, seed, name=name)
    encoding: Projected = fitted.encoding
    maps: Maps = encoding.maps()

    def replace(x: Tensor) -> Tensor:
        variables, decode = encoding.split(x, maps.to(x.device))
        answer: Tensor = decode(variables[..., :0])
        return answer

    return replace


def _predicted(
    model: nn.Module,
    blocks: Mapping[str, nn.Module],
    replace: Mapping[str, Replace],
    batches: list[Any],
    seed: int,
    forward: Forward | None,
    rows: Rows | None,
) -> dict[str, float]:
    """{name: half the mean of (g.e)²}."""
    totals, n = dict.fromkeys(blocks, 0.0), 0
    for found, counted in felt(model, blocks, batches, seed, forward, rows):
        n += counted
        for name, each in found.items():
            totals[name] += float(each.divergence(replace[name](each.x)).sum())
    return {name: total / max(n, 1) for name, total in totals.items()}


def _times(
    model: nn.Module, blocks: Mapping[str, nn.Module], replace: Mapping[str, Replace], batch: Any, forward: Forward
) -> dict[str, tuple[float, float, float]]:
    """{name: (CPU seconds of the block, of what replaces it, share of the model's that is saved)}."""
    with torch.enable_grad(), probed(blocks) as calls:
        forward(model, batch)
    with torch.no_grad():
        whole = _fastest(lambda: forward(model, batch))
        found = {}
        for name, made in calls.items():
            x = made[0][0] if made else torch.zeros(0)
            own = len(made) * _fastest(lambda name=name, x=x: blocks[name](x)) if made else 0.0  # type: ignore[misc]
            instead = len(made) * _fastest(lambda name=name, x=x: replace[name](x)) if made else 0.0  # type: ignore[misc]
            found[name] = own, instead, max(0.0, own - instead) / whole
    return found


def _fastest(call: Callable[[], Any], times: int = 3) -> float:
    """CPU seconds of the fastest of some calls."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return max(min(seconds), 1e-9)


def _equations(part: nn.Module) -> Replace | None:
    """What answers in the block's place; None where the block does."""
    in_place = part.surrogate if isinstance(part, SymbolicModel) else None
    return in_place.rows if in_place is not None and in_place.in_use else None


def _original(name: str, part: nn.Module) -> nn.Module:
    block = part.symtorch_block if isinstance(part, SymbolicModel) else part
    if not isinstance(block, nn.Module):
        raise InputError(f"block {name!r} is a plain callable; within a model only an nn.Module can be watched.")
    return block


def _part(model: nn.Module, name: str) -> nn.Module:
    parts = dict(model.named_modules())
    if name not in parts or not name:
        near = [n for n in parts if n.split(".")[-1] == name.split(".")[-1]][:5]
        raise InputError(f"the model has no part {name!r}; near it: {near or 'nothing'}.")
    return parts[name]


def _usual_blocks(model: nn.Module) -> list[str]:
    """The wrapped blocks, or else the MLPs of all layers."""
    parts = dict(model.named_modules())
    found = [name for name, part in parts.items() if isinstance(part, SymbolicModel)]
    found = found or [name for name in parts if name.split(".")[-1] in _USUAL and re.search(r"\.\d+\.", name)]
    if not found:
        raise InputError(
            f"the model has no wrapped blocks, and no layers with a part called {', '.join(_USUAL)}; pass blocks=[...]."
        )
    return found


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", name)))


def _distance(a: str, b: str) -> float:
    """How many layers lie between two blocks; infinite for such of different lists of layers."""
    one, other = _numbers(a), _numbers(b)
    alike = re.sub(r"\d+", "#", a) == re.sub(r"\d+", "#", b) and len(one) == len(other) and one[1:] == other[1:]
    return abs(int(np.subtract(one[0], other[0]))) if alike and one else math.inf
