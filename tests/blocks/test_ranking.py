"""Blocks by what it costs to replace them: predicted from gradients, and close to what it does cost."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from wide import TinyModel, token_batches

import symtorch
from symtorch import InputError, Projection, Rank, Ranking

BATCHES = token_batches(16)


def divergence(model: nn.Module, other: nn.Module) -> float:
    total, n = 0.0, 0
    with torch.no_grad():
        for batch in BATCHES:
            mask = batch["attention_mask"].bool()
            p, q = (m(**batch)[mask].log_softmax(dim=-1) for m in (model, other))
            total, n = total + float((p.exp() * (p - q)).sum()), n + int(mask.sum())
    return total / n


@pytest.mark.parametrize("in_use", [False, True])
def test_the_prediction_is_near_what_each_block_costs(in_use: bool) -> None:
    torch.manual_seed(0)
    model = TinyModel(scale=1.5)
    if in_use:
        for i in range(2):
            symtorch.wrap(model, f"mlps.{i}")
        symtorch.distill(model, BATCHES, projection=Projection(outputs=0), skip=8, held_out=0.1)
        for block in model.mlps:
            block.switch_to_symbolic(min_r2=None)
    ranking = symtorch.rank_blocks(model, BATCHES, ["mlps.0", "mlps.1"], rank=8)
    predicted = {rank.name: rank.predicted_kl for rank in ranking.ranks}
    original = copy.deepcopy(model)
    for i in range(2):
        block = symtorch.wrap(original, f"mlps.{i}")
        block.switch_to_block()
    for i in range(2):
        other = copy.deepcopy(original)
        block = other.mlps[i]
        block.distill(BATCHES, parent_model=other, projection=Projection(outputs=0), skip=8, held_out=0.1)
        block.switch_to_symbolic(min_r2=None)
        assert predicted[f"mlps.{i}"] == pytest.approx(divergence(original, other), rel=0.15)
    assert [r.predicted_kl for r in ranking.ranks] == sorted(predicted.values())
    assert all(r.seconds > 0 and r.surrogate_seconds > 0 for r in ranking.ranks)


def test_a_report_predicts_the_divergence_of_every_way() -> None:
    torch.manual_seed(0)
    model = TinyModel(scale=1.0)
    block = symtorch.wrap(model, "mlps.1")
    block.distill(BATCHES, parent_model=model, projection=Projection(outputs=0), skip=8, terms=symtorch.Gated(8))
    block.switch_to_symbolic(min_r2=None)
    report = block.report(BATCHES, model)
    assert report.projection.predicted_kl == pytest.approx(
        symtorch.rank_blocks(model, BATCHES, ["mlps.1"]).ranks[0].predicted_kl, rel=1e-4
    )
    assert report.mean.predicted_kl is not None
    assert report.rival.predicted_kl is not None
    assert report.projection.predicted_kl is not None
    assert report.kl_gain is not None
    costs = [way.predicted_kl for way in report.linear if way.predicted_kl is not None]
    assert costs == sorted(costs, reverse=True)
    assert report.mean.predicted_kl > costs[0]
    assert report.kl_gain == pytest.approx(report.rival.predicted_kl - report.projection.predicted_kl)
    assert report.verdict == ("projection" if report.kl_gain > 0 else "linear")
    assert "KL, nats" in str(report)
    assert "predicted KL" in str(report)
    assert "KL, nats" in report._repr_html_()
    assert "KL, nats" not in str(block.report())
    with pytest.raises(InputError, match=r"report\(loader, model\)"):
        block.report(BATCHES)
    with pytest.raises(InputError, match="do not depend on the block"):
        block.report(BATCHES, TinyModel())


def test_the_model_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    model = TinyModel().train()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    torch.manual_seed(3)
    symtorch.rank_blocks(model, BATCHES[:3], ["mlps.1"], rank=4)
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())


def ranking(*numbers: int) -> Ranking:
    ranks = [Rank(f"layers.{i}.mlp", 0.1 * k, 1e-3, 1e-4, 0.01) for k, i in enumerate(numbers)]
    return Ranking((*ranks, Rank("layers.11.mlp", float("inf"), 0.0, 0.0, 0.0, "massive outputs")), "linear maps")


def test_neighbours_are_left_out_or_warned_of() -> None:
    found = ranking(5, 6, 4, 9)
    assert found.choose(2) == ["layers.5.mlp", "layers.9.mlp"]
    assert found.choose(3, apart=1) == ["layers.4.mlp", "layers.5.mlp", "layers.6.mlp"]
    assert found.warning(found.choose(2)) == ""
    assert "layers.5.mlp and layers.6.mlp are neighbours" in found.warning(["layers.6.mlp", "layers.5.mlp"])
    assert "neighbours" in str(found)
    with pytest.raises(InputError, match="only 2 blocks 2 layers apart"):
        found.choose(3)


def test_the_mlps_of_layers_are_found_by_their_names() -> None:
    class Layered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.ModuleDict({"mlp": nn.Linear(4, 4)}) for _ in range(3)])

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = x + torch.tanh(layer["mlp"](x))
            return x

    found = symtorch.rank_blocks(Layered(), torch.randn(200, 4), rank=2)
    assert sorted(r.name for r in found.ranks) == [f"layers.{i}.mlp" for i in range(3)]


def test_mistakes_say_what_to_do() -> None:
    model = TinyModel()
    with pytest.raises(InputError, match="pass blocks="):
        symtorch.rank_blocks(model, BATCHES)
    with pytest.raises(InputError, match="no part 'mlp'"):
        symtorch.rank_blocks(model, BATCHES, ["mlp"])
    with pytest.raises(InputError, match="there was no batch"):
        symtorch.rank_blocks(model, [], ["mlps.0"])
