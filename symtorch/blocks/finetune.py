"""Tuning what stands in the place of blocks, so that the model says what it said before."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from symtorch.blocks.shortcut import Forward, Recorded, Shortcut
from symtorch.capture.batches import batches_of
from symtorch.capture.padding import USUAL_MASK, Rows
from symtorch.capture.undisturbed import undisturbed
from symtorch.errors import InputError, NotDistilledError
from symtorch.model import SymbolicModel, calling_blocks
from symtorch.surrogate.in_place import InPlace

logger = logging.getLogger("symtorch.blocks")

Tunable = tuple[nn.Parameter, Tensor]
"""A parameter, and how large its numbers are; of a shape that broadcasts to it."""

ModelLoss = Callable[[nn.Module, Any], Tensor]
"""(model, batch) -> scalar."""

_WARM_UP = 10
"""Steps over which the learning rate rises."""

_LEAST_SIZE = 1e-4
"""Size of a number that steps are relative to, at least: a zero must be able to move."""

_BETAS = 0.9, 0.95
_TINY = 1e-12


@dataclass(frozen=True)
class Tuning:
    """What tuning has done.

    Attributes:
        before: loss on the held-out batches before it.
        after: the same after it, of the step that was kept.
        steps: that were made.
        best_step: whose parameters were kept; 0 where no step was better than none.
        history: (step, loss on the held-out batches) at each check.
        stopped_early: whether it ended because the held-out loss no longer fell.
    """

    before: float
    after: float
    steps: int
    best_step: int
    history: tuple[tuple[int, float], ...]
    stopped_early: bool

    def __str__(self) -> str:
        early = ", stopped early" if self.stopped_early else ""
        return f"held-out loss {self.before:.4g} -> {self.after:.4g} at step {self.best_step} of {self.steps}{early}"


def finetune(
    model: nn.Module,
    data: Any,
    loss: str | ModelLoss = "kl",
    *,
    steps: int = 100,
    lr: float = 0.03,
    held_out: float | Sequence[Any] = 0.1,
    positions: int | None = 256,
    checks: int = 8,
    patience: int = 3,
    seed: int = 0,
    forward: Forward | None = None,
    rows: Rows | None = USUAL_MASK,
    progress: bool | Callable[[int, float], None] = False,
) -> Tuning:
    """Tune what stands in the place of blocks, by the answers of the original model.

    Parameters of the equations in use change, and nothing else of the model: constants, and of projections the linear
    part, the coordinates and what adds the equations up. What is printed, exported and saved follows. The original's
    answers are computed once; steps run the model from the first replaced block on only, where its layers allow that.
    Adam, with steps relative to the size of what they change, that rise and then fall.

    Args:
        model: with SymbolicModels in it that are switched to their equations.
        data: batches, as for ``distill``.
        loss: "kl", the Kullback-Leibler divergence from the original's distribution over its classes to the tuned
            one's, in nats, averaged over rows (tokens); or ``loss(model, batch)``, a scalar tensor.
        steps: one batch each, at most.
        lr: learning rate, as a share of the size of what a number makes: of a coordinate's spread, a term's weights.
        held_out: share of the batches to judge by, or batches; the parameters are left as they were when the loss
            on these was least.
        positions: of so many rows of a batch, drawn at random, the divergence is taken in a step; None for all.
        checks: how often the held-out loss is computed, spread evenly over the steps.
        patience: checks without a lower loss, in the second half of the steps, after which tuning stops.
        seed: of the order of batches and of those rows.
        forward: ``forward(model, batch)``, for batches that the model does not take as they are.
        rows: which rows count, as for ``distill``.
        progress: True for a bar, or a function (step, loss of the step).

    Returns:
        the held-out losses, before and after.

    Raises:
        NotDistilledError: no equations are in use.
        InputError: no batches, no logits where the loss is "kl", or a loss that is not finite.
    """
    _check(loss, steps, lr, positions, checks)
    wrapped = {n: m for n, m in model.named_modules() if isinstance(m, SymbolicModel) and m.use_symbolic}
    if not wrapped:
        raise NotDistilledError("no equations are in use; call distill(...) and switch_to_symbolic() first.")
    batches = list(batches_of(data))
    fitting, judging = _split(batches, held_out)
    rng = torch.Generator().manual_seed(seed)
    with undisturbed(model):
        objective = _Objective(model, wrapped, loss, forward, rows, positions)
        train, test = objective.recorded(fitting), objective.recorded(judging)
        inputs = _inputs(list(wrapped.values()), lambda: objective(train[0], rng))
        with _asking_for_gradients(inputs) as parameters:
            return _descend(objective, parameters, train, test, steps, lr, checks, patience, rng, progress)


class _Objective:
    """The loss on one batch."""

    def __init__(
        self,
        model: nn.Module,
        wrapped: dict[str, SymbolicModel],
        loss: str | ModelLoss,
        forward: Forward | None,
        rows: Rows | None,
        positions: int | None,
    ) -> None:
        self._model, self._loss, self._positions = model, loss, positions
        self._wrapped = list(wrapped.values())
        self._shortcut = Shortcut(model, list(wrapped), forward, rows)

    def recorded(self, batches: list[Any]) -> list[Any]:
        """What the loss needs of each batch."""
        if callable(self._loss):
            return batches
        with calling_blocks(self._wrapped):
            return self._shortcut.record(batches)

    def __call__(self, batch: Any, rng: torch.Generator | None = None) -> Tensor:
        """On a batch; of some rows drawn at random, or with the same ones always."""
        if callable(self._loss):
            value = self._loss(self._model, batch)
            if not isinstance(value, Tensor) or value.numel() != 1:
                raise InputError(f"loss returned {type(value).__name__}; expected a tensor with one number.")
            return value.reshape(())
        chosen = self._rows(batch, rng)
        with torch.no_grad():
            expected = self._shortcut.logits(batch, chosen).float().log_softmax(dim=-1)
        found = self._shortcut.answer(batch, chosen).float().log_softmax(dim=-1)
        return nn.functional.kl_div(found, expected, log_target=True, reduction="batchmean")

    def _rows(self, batch: Recorded, rng: torch.Generator | None) -> Tensor:
        n, device = batch.n_rows, batch.positions.device
        if self._positions is None or self._positions >= n:
            return torch.arange(n, device=device)
        if rng is None:
            return torch.arange(0, n, max(1, n // self._positions), device=device)
        return torch.randperm(n, generator=rng)[: self._positions].sort().values.to(device)

    @torch.no_grad()
    def mean(self, batches: list[Any]) -> float:
        """On the held-out batches."""
        return sum(float(self(batch)) for batch in batches) / len(batches)


def _descend(
    objective: _Objective,
    parameters: list[Tunable],
    train: list[Any],
    test: list[Any],
    steps: int,
    lr: float,
    checks: int,
    patience: int,
    rng: torch.Generator,
    progress: bool | Callable[[int, float], None],
) -> Tuning:
    """Adam, and the parameters of the lowest held-out loss."""
    before, chosen = objective.mean(test), [parameter for parameter, _ in parameters]
    if not math.isfinite(before):
        raise InputError("the loss is not finite for the surrogates as they are; check the data, or use a guard.")
    optimizer = _RelativeAdam(parameters)
    best, best_loss, best_step = _copies(chosen), before, 0
    history, waited, step = [(0, before)], 0, 0
    every = max(1, steps // checks)
    order: list[int] = []
    try:
        with tqdm(total=steps, desc="finetune", disable=progress is not True, leave=False) as bar:
            for step in range(1, steps + 1):
                order = order or torch.randperm(len(train), generator=rng).tolist()
                scale = min(1.0, step / _WARM_UP) * max(0.02, 0.5 * (1 + math.cos(math.pi * (step - 1) / steps)))
                with torch.enable_grad():
                    value = objective(train[order.pop()], rng)
                    if not value.requires_grad:
                        raise InputError("the loss does not depend on the surrogates; does the model call them?")
                    value.backward()
                optimizer.step(lr * scale)
                bar.update()
                if callable(progress):
                    progress(step, float(value.detach()))
                if step % every and step < steps:
                    continue
                now = objective.mean(test)
                history.append((step, now))
                logger.info("finetune: step %d, held-out loss %.5g", step, now)
                # The first, large steps may lose what the later, small ones win.
                waited = 0 if now < best_loss or 2 * step <= steps else waited + 1
                if now < best_loss:
                    best, best_loss, best_step = _copies(chosen), now, step
                elif waited >= patience:
                    break
    finally:
        with torch.no_grad():
            for parameter, value in zip(chosen, best, strict=True):
                parameter.copy_(value)
    return Tuning(before, best_loss, step, best_step, tuple(history), step < steps)


class _RelativeAdam:
    """Adam (Kingma and Ba, ICLR 2015), with steps that are shares of the numbers' own sizes.

    Args:
        parameters: with their sizes.
    """

    def __init__(self, parameters: Sequence[Tunable]) -> None:
        self._parameters = [(p, size.clamp(min=_LEAST_SIZE).clone()) for p, size in parameters]
        self._means = [(torch.zeros_like(p), torch.zeros_like(p)) for p, _ in parameters]
        self._n = 0

    @torch.no_grad()
    def step(self, share: float) -> None:
        """Go against the gradients, by this share of each size at most, and forget them."""
        self._n += 1
        first, second = 1 - _BETAS[0] ** self._n, 1 - _BETAS[1] ** self._n
        for (parameter, size), (mean, square) in zip(self._parameters, self._means, strict=True):
            gradient, parameter.grad = parameter.grad, None
            if gradient is None:
                continue
            mean.lerp_(gradient, 1 - _BETAS[0])
            square.lerp_(gradient.square(), 1 - _BETAS[1])
            parameter.sub_(share * size * (mean / first) / ((square / second).sqrt() + _TINY))


@torch.no_grad()
def _inputs(wrapped: Sequence[SymbolicModel], run: Callable[[], Any]) -> list[tuple[InPlace, Tensor]]:
    """What stands in the blocks' places, with rows (n, n_inputs) that it is given in a run.

    Raises:
        InputError: none of them is called.
    """
    found: dict[int, tuple[InPlace, Tensor]] = {}

    def note(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        in_place = block.surrogate
        if isinstance(in_place, InPlace):
            x = in_place.layout.join(args, kwargs)
            found[id(block)] = in_place, x.detach().reshape(-1, x.shape[-1])

    handles = [block.register_forward_pre_hook(note, with_kwargs=True) for block in wrapped]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise InputError("the loss does not depend on the surrogates; does the model call them?")
    return list(found.values())


@contextmanager
def _asking_for_gradients(inputs: list[tuple[InPlace, Tensor]]) -> Iterator[list[Tunable]]:
    """What is tuned, which asks for gradients within it; and nothing else of these surrogates does."""
    tunable = [pair for in_place, x in inputs for pair in in_place.tunable(x)]
    if not tunable:
        raise InputError("what stands in the blocks' places has no numbers to tune.")
    before = [(p, p.requires_grad, p.grad) for p, _ in tunable]
    try:
        for parameter, _ in tunable:
            parameter.requires_grad_(True)
            parameter.grad = None
        yield tunable
    finally:
        for parameter, wanted, grad in before:
            parameter.requires_grad_(wanted)
            parameter.grad = grad


def _copies(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    return [p.detach().clone() for p in parameters]


def _split(batches: list[Any], held_out: float | Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Batches to tune by, and to judge by: the last ones."""
    if not isinstance(held_out, (int, float)):
        fitting, judging = batches, list(batches_of(held_out))
    else:
        if not 0 < held_out < 1:
            raise InputError(f"held_out is {held_out}; expected a share of the batches between 0 and 1, or batches.")
        n = max(1, round(held_out * len(batches)))
        fitting, judging = batches[:-n], batches[-n:]
    if not fitting or not judging:
        raise InputError(
            f"{len(batches)} batches make {len(fitting)} to tune by and {len(judging)} to judge by; at least one of "
            f"each is needed. Pass smaller batches, or more."
        )
    return fitting, judging


def _check(loss: Any, steps: int, lr: float, positions: int | None, checks: int) -> None:
    if loss != "kl" and not callable(loss):
        raise InputError(f"loss is {loss!r}; expected 'kl', or a function (model, batch) to a scalar tensor.")
    for name, value in (("steps", steps), ("checks", checks), ("positions", 1 if positions is None else positions)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} is {value!r}; expected a number of at least 1.")
    if not lr > 0:
        raise InputError(f"lr is {lr!r}; expected a positive number, as a share of the parameters' size.")
