"""A small language model with gated MLPs in it, random, as wide blocks to project."""

from __future__ import annotations

import torch
from torch import nn

WIDTH = 48


class GatedMLP(nn.Module):
    """down(silu(gate(x)) * up(x)), with arguments so large that no linear map comes near."""

    def __init__(self, width: int = WIDTH, units: int = 96, scale: float = 2.0) -> None:
        super().__init__()
        self.scale = scale
        self.gate = nn.Linear(width, units, bias=False)
        self.up = nn.Linear(width, units, bias=False)
        self.down = nn.Linear(units, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(torch.nn.functional.silu(self.scale * self.gate(x)) * self.scale * self.up(x))


class TinyModel(nn.Module):
    """Embedding, two blocks that mix over time and have an MLP each, logits; called with keywords as dict batches."""

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(64, WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.mlps = nn.ModuleList([GatedMLP(scale=scale), GatedMLP(scale=scale)])
        self.head = nn.Linear(WIDTH, 64)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        x = self.embed(input_ids)
        for mlp in self.mlps:
            x = x + torch.tanh(self.mix(x.cumsum(1) / 8))
            x = x + mlp(x)
        return self.head(x)


def token_batches(n: int, seed: int = 0, length: int = 32) -> list[dict[str, torch.Tensor]]:
    """n batches of 8 sequences, padded."""
    rng = torch.Generator().manual_seed(seed)
    out = []
    for _ in range(n):
        lengths = torch.randint(length // 2, length + 1, (8, 1), generator=rng)
        mask = (torch.arange(length) < lengths).long()
        out.append({"input_ids": torch.randint(64, (8, length), generator=rng) * mask, "attention_mask": mask})
    return out
