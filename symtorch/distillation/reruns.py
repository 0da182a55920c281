"""A search once more: on other rows of the same data, with other seeds, behind other networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from symtorch.capture import Captured
from symtorch.capture.rows import Block
from symtorch.distillation.plan import Plan, distill
from symtorch.engines.samples import Samples
from symtorch.equations.front import Front
from symtorch.errors import InputError


@dataclass(frozen=True, eq=False)
class Request:
    """A distillation that can be done again.

    Attributes:
        plan: what was asked for.
        captured: rows of the block.
        block: that answered them.
        others: further blocks that are called in the same way.
        runs: {output: Front} of the others, as they answer the same rows.
    """

    plan: Plan
    captured: Captured
    block: Block
    others: tuple[Block, ...] = ()
    runs: tuple[dict[int, Front], ...] = ()

    def with_others(self, others: Sequence[Block]) -> Request:
        """With the searches behind other blocks, as they answer the same rows.

        Raises:
            InputError: one of them can't.
        """
        check_blocks(others)
        answered = [self.captured.answered_by(block) for block in others]  # all of them, before the first search
        runs = []
        for block, captured in zip(others, answered, strict=True):
            samples, _ = self.plan.samples(captured, block)
            runs.append(distill(self.plan, samples, self.plan.engine))
        return replace(self, others=tuple(others), runs=tuple(runs))

    def resampled(self, outputs: Sequence[int], n: int, told: Callable[[int], None]) -> Iterator[dict[int, Front]]:
        """The fronts of n searches, each on rows drawn anew with replacement and with a seed of its own.

        The block and the others take turns. Rows that the equations are judged on are held out of all draws.

        Args:
            outputs: that are searched for.
            n: how many searches.
            told: called with the number of searches that are done, before each.
        """
        blocks = (self.block, *self.others)
        answered = [self.captured, *(self.captured.answered_by(block) for block in self.others)]
        parts = [self._parts(*pair) for pair in zip(answered, blocks, strict=True)]
        for number in range(n):
            told(number)
            train, held_out = parts[number % len(parts)]
            seed = self.plan.seed + 1 + number
            rows = np.random.default_rng(seed).integers(train.n_samples, size=train.n_samples)
            given = {**self.plan.options.given, "random_state": seed}
            options = replace(self.plan.options, random_state=seed, given=given, progress=False)
            plan = replace(self.plan, options=options, output_dim=None, held_out=0.0)
            yield distill(plan, train.take(np.sort(rows)), plan.engine, active=outputs, held_out=held_out)

    def _parts(self, captured: Captured, block: Block) -> tuple[Samples, Samples | None]:
        samples, _ = self.plan.samples(captured, block)
        return samples.split(self.plan.held_out, seed=self.plan.seed) if self.plan.held_out else (samples, None)


def check_blocks(blocks: Sequence[Block]) -> None:
    """Raise InputError unless these are blocks."""
    if not isinstance(blocks, Sequence) or isinstance(blocks, str) or not all(map(callable, blocks)):
        raise InputError(f"teachers is {blocks!r}; expected a list of blocks, as [net1.mlp, net2.mlp].")
