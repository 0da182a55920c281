"""Tuning what stands in the place of blocks, so that the model says what it said before."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from symtorch.blocks.shortcut import Recorded, Shortcut
from symtorch.capture import Captured, capture
from symtorch.capture.batches import batches_of
from symtorch.capture.gradients import Forward
from symtorch.capture.padding import USUAL_MASK, Rows
from symtorch.capture.undisturbed import undisturbed
from symtorch.errors import InputError, NotDistilledError
from symtorch.model import SymbolicModel, calling_blocks
from symtorch.surrogate.encodings import Projected
from symtorch.surrogate.in_place import InPlace

logger = logging.getLogger("symtorch.blocks")

Tunable = tuple[nn.Parameter, Tensor]
"""A parameter, and how large its numbers are; of a shape that broadcasts to it."""

ModelLoss = Callable[[nn.Module, Any], Tensor]
"""(model, batch) -> scalar."""

_RATES = 0.003, 0.01, 0.03, 0.1
"""Learning rates that are tried where none is given."""

_TRIALS_SHARE = 10
_LEAST_TRIAL = 5
"""A trial takes a tenth of the steps, and no less than five."""

_WARM_UP = 10
"""Steps over which the learning rate rises."""

_MOST_ROWS = 65_536
_ROWS_A_STEP = 2048
"""Rows of each block that are kept for the loss "outputs", and of these in a step."""

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
        best_step: whose parameters were kept; 0 where no step was better than what there was before, or than the
            trials of learning rates.
        history: (step, loss on the held-out batches) at each check.
        stopped_early: whether it ended because the held-out loss no longer fell.
        lr: learning rate.
    """

    before: float
    after: float
    steps: int
    best_step: int
    history: tuple[tuple[int, float], ...]
    stopped_early: bool
    lr: float

    def __str__(self) -> str:
        early = ", stopped early" if self.stopped_early else ""
        where = f"at step {self.best_step} of {self.steps}{early}, lr {self.lr:g}"
        return f"held-out loss {self.before:.4g} -> {self.after:.4g} {where}"


def finetune(
    model: nn.Module,
    data: Any,
    loss: str | ModelLoss = "kl",
    *,
    steps: int = 100,
    lr: float | None = None,
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
    answers to a batch are computed once, when it is first needed; steps run the model from the first replaced block on
    only, where its layers allow that. Within ``torch.autocast`` both are computed in its precision, the parameters and
    their steps stay in their own.
    Adam, with steps relative to the size of what they change, that rise and then fall.

    Least squares have fitted the linear part and the weights of gated terms, but not what these terms are of:
    ``loss="outputs"`` moves all of it towards each block's own outputs. The model runs once for that, not in every
    step, so it comes first, and ``loss="kl"`` then has less to do.

    Args:
        model: with SymbolicModels in it that are switched to their equations.
        data: batches, as for ``distill``.
        loss: "kl", the Kullback-Leibler divergence from the original's distribution over its classes to the tuned
            one's, in nats, averaged over rows (tokens); "outputs", the squared error of every surrogate against its
            block, as a share of the variance of the block's outputs, averaged over blocks; or ``loss(model, batch)``,
            a scalar tensor.
        steps: one batch each, at most; for "outputs" 2,048 rows of every block, of 65,536 that are kept at most.
        lr: learning rate, as a share of the size of what a number makes: of a coordinate's spread, a term's weights.
            None for that of a few, from 0.003 to 0.1, whose first few steps lower the held-out loss most; tuning goes
            on from there.
        held_out: share of the batches to judge by, the last ones, or batches; the parameters are left as they were when
            the loss on these was least. Data that the surrogates were distilled on would judge them too well as they
            are, and every step too badly: tune on other data, or distill on other data than this.
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
    with undisturbed(model), _casting_anew():
        objective: _Objective
        if loss == "outputs":
            objective = _OfOutputs(model, wrapped, forward, rows, seed)
        else:
            objective = _OfAnswers(model, wrapped, loss, forward, rows, positions)
        train, test = objective.recorded(fitting), objective.recorded(judging)
        with _asking_for_gradients(objective.inputs(train[0], rng)) as parameters:
            return _Descent(objective, parameters, train, test, rng, progress).run(steps, lr, checks, patience)


class _Objective(Protocol):
    """A loss on batches that were recorded from the original model."""

    def recorded(self, batches: list[Any]) -> Sequence[Any]:
        """What the loss needs of these batches, cut into what a step is made on."""

    def inputs(self, batch: Any, rng: torch.Generator) -> list[tuple[InPlace, Tensor]]:
        """What stands in the blocks' places, with rows (n, n_inputs) that it is given."""

    def __call__(self, batch: Any, rng: torch.Generator | None = None) -> Tensor:
        """On a batch; of some rows drawn at random, or with the same ones always."""


class _OfAnswers:
    """A loss of the whole model's answers."""

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

    def recorded(self, batches: list[Any]) -> Sequence[Any]:
        return batches if callable(self._loss) else _Recordings(batches, self._record)

    def _record(self, batch: Any) -> Recorded:
        with calling_blocks(self._wrapped):
            return self._shortcut.record(batch)

    def inputs(self, batch: Any, rng: torch.Generator) -> list[tuple[InPlace, Tensor]]:
        return _inputs(self._wrapped, lambda: self(batch, rng))

    def __call__(self, batch: Any, rng: torch.Generator | None = None) -> Tensor:
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


class _Recordings(Sequence[Recorded]):
    """What the original says of batches, of each when it is asked for: few steps don't need them all.

    Args:
        batches: any number.
        record: what the original says of one.
    """

    def __init__(self, batches: Sequence[Any], record: Callable[[Any], Recorded]) -> None:
        self._batches, self._record = batches, record
        self._found: dict[int, Recorded] = {}

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: Any) -> Any:
        if number >= len(self._batches):
            raise IndexError(number)
        if number not in self._found:
            self._found[number] = self._record(self._batches[number])
        return self._found[number]


class _OfOutputs:
    """The squared error of every surrogate against its own block."""

    def __init__(
        self, model: nn.Module, wrapped: dict[str, SymbolicModel], forward: Forward | None, rows: Rows | None, seed: int
    ) -> None:
        self._model, self._wrapped = model, wrapped
        self._how: dict[str, Any] = {"forward": forward, "rows": rows, "seed": seed, "max_rows": _MOST_ROWS}
        self._in_place = [in_place for block in wrapped.values() if isinstance(in_place := block.surrogate, InPlace)]
        self._variances: list[float] = []

    def recorded(self, batches: list[Any]) -> list[Any]:
        blocks = {name: block.symtorch_block for name, block in self._wrapped.items()}
        with calling_blocks(list(self._wrapped.values())):
            captured = capture(blocks, batches, model=self._model, **self._how)
        rows = [self._rows(captured.pop(name), in_place) for name, in_place in zip(blocks, self._in_place, strict=True)]
        if not self._variances:
            self._variances = [float((y - y.mean(dim=0)).square().sum(dim=1).mean()) or 1.0 for _, y in rows]
        n = max(1, min(len(x) for x, _ in rows) // _ROWS_A_STEP)
        parts = [list(zip(x.tensor_split(n), y.tensor_split(n), strict=True)) for x, y in rows]
        return list(zip(*parts, strict=True))

    def _rows(self, captured: Captured, in_place: InPlace) -> tuple[Tensor, Tensor]:
        """Inputs and outputs in an order by chance, without those that a constant answers for."""
        kept = np.random.default_rng(self._how["seed"]).permutation(captured.n_rows)
        if isinstance(in_place.encoding, Projected):
            kept = kept[~in_place.encoding.is_massive(captured.X)[kept]]
        device = next(in_place.parameters()).device
        x, y = (torch.from_numpy(part[kept].astype(np.float32)).to(device) for part in (captured.X, captured.Y))
        return x, y

    def inputs(self, batch: Any, rng: torch.Generator) -> list[tuple[InPlace, Tensor]]:
        return [(in_place, x) for in_place, (x, _) in zip(self._in_place, batch, strict=True)]

    def __call__(self, batch: Any, rng: torch.Generator | None = None) -> Tensor:
        shares = [
            (in_place.rows(x) - y).square().sum(dim=1).mean() / variance
            for in_place, (x, y), variance in zip(self._in_place, batch, self._variances, strict=True)
        ]
        return torch.stack(shares).mean()


@dataclass(frozen=True, eq=False)
class _Descent:
    """Adam on a loss, and the parameters of the lowest held-out one.

    Attributes:
        objective: the loss.
        parameters: with their sizes.
        train: batches for steps, recorded.
        test: batches to judge by.
        rng: of the order of batches, and of their rows.
        progress: as for :func:`finetune`.
    """

    objective: _Objective
    parameters: list[Tunable]
    train: Sequence[Any]
    test: Sequence[Any]
    rng: torch.Generator
    progress: bool | Callable[[int, float], None]

    def run(self, steps: int, lr: float | None, checks: int, patience: int) -> Tuning:
        """Tune; what is left of it are the best parameters, also after an interrupt."""
        before, chosen = self._held_out(), [parameter for parameter, _ in self.parameters]
        if not math.isfinite(before):
            raise InputError("the loss is not finite for the surrogates as they are; check the data, or use a guard.")
        best, best_loss, best_step = _copies(chosen), before, 0
        history, waited, step = [(0, before)], 0, 0
        try:
            if lr is None:
                lr, best, best_loss = self._rate(max(_LEAST_TRIAL, steps // _TRIALS_SHARE), best, before)
            every = max(1, steps // checks)
            for step, value in self._steps(steps, lr, self.progress is True):
                if callable(self.progress):
                    self.progress(step, value)
                if step % every and step < steps:
                    continue
                now = self._held_out()
                history.append((step, now))
                logger.info("finetune: step %d, held-out loss %.5g", step, now)
                # The first, large steps may lose what the later, small ones win.
                waited = 0 if now < best_loss or 2 * step <= steps else waited + 1
                if now < best_loss:
                    best, best_loss, best_step = _copies(chosen), now, step
                elif waited >= patience:
                    break
        finally:
            _restore(chosen, best)
        return Tuning(before, best_loss, step, best_step, tuple(history), step < steps, lr)

    def _rate(self, steps: int, start: list[Tensor], before: float) -> tuple[float, list[Tensor], float]:
        """The learning rate that so few steps lower the held-out loss most with; where they led, and that loss.

        Parameters are left there.
        """
        chosen = [parameter for parameter, _ in self.parameters]
        best, best_loss, best_rate = start, before, _RATES[0]
        for rate in _RATES:
            _restore(chosen, start)
            for _ in self._steps(steps, rate):
                pass
            now = self._held_out()
            logger.info("finetune: %d steps at a learning rate of %g, held-out loss %.5g", steps, rate, now)
            if now < best_loss:
                best, best_loss, best_rate = _copies(chosen), now, rate
            elif best is not start:
                break  # larger steps gain less
        _restore(chosen, best)
        return best_rate, best, best_loss

    def _steps(self, steps: int, lr: float, bar: bool = False) -> Iterator[tuple[int, float]]:
        """(step, loss of the step) after each of them."""
        optimizer = _RelativeAdam(self.parameters)
        order: list[int] = []
        warm_up = min(_WARM_UP, steps // 2 + 1)
        for step in tqdm(range(1, steps + 1), desc="finetune", disable=not bar, leave=False):
            order = order or torch.randperm(len(self.train), generator=self.rng).tolist()
            scale = min(1.0, step / warm_up) * max(0.02, 0.5 * (1 + math.cos(math.pi * (step - 1) / steps)))
            with torch.enable_grad():
                value = self.objective(self.train[order.pop()], self.rng)
                if not value.requires_grad:
                    raise InputError("the loss does not depend on the surrogates; does the model call them?")
                value.backward()
            optimizer.step(lr * scale)
            yield step, float(value.detach())

    @torch.no_grad()
    def _held_out(self) -> float:
        return sum(float(self.objective(batch)) for batch in self.test) / len(self.test)


@torch.no_grad()
def _restore(parameters: Sequence[nn.Parameter], values: Sequence[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)


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


@contextmanager
def _casting_anew() -> Iterator[None]:
    """Within it ``torch.autocast`` casts parameters in every pass: what it keeps is as they were before a step."""
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)


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


def _check(loss: Any, steps: int, lr: float | None, positions: int | None, checks: int) -> None:
    if loss not in ("kl", "outputs") and not callable(loss):
        raise InputError(
            f"loss is {loss!r}; expected 'kl', 'outputs', or a function (model, batch) to a scalar tensor."
        )
    for name, value in (("steps", steps), ("checks", checks), ("positions", 1 if positions is None else positions)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} is {value!r}; expected a number of at least 1.")
    if lr is not None and not lr > 0:
        raise InputError(f"lr is {lr!r}; expected a positive number, as a share of the parameters' size.")
