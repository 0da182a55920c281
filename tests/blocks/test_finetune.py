"""Tuning surrogates against the original: what falls, what stays, and that all that is shown and saved follows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from linear_engine import LinearEngine
from torch import nn
from wide import WIDTH, GatedMLP, TinyModel, token_batches

import symtorch
from symtorch import Gated, InputError, NotDistilledError, Projection, SymbolicModel
from symtorch.blocks.shortcut import Shortcut

BATCHES = token_batches(12)
QUIET = {"verbosity": 0, "random_state": 0}


class Layer(nn.Module):
    """Mixes over time, then an MLP, beside a residual stream; may hand on a tuple, as layers of transformers do."""

    def __init__(self, handing_on: str) -> None:
        super().__init__()
        self.mix, self.mlp, self.handing_on = nn.Linear(WIDTH, WIDTH), GatedMLP(scale=1.5), handing_on

    def forward(self, x: torch.Tensor) -> Any:
        x = x + torch.tanh(self.mix(x.cumsum(1) / 8))
        x = x + self.mlp(x)
        return (x, None) if self.handing_on == "tuple" else x


class Model(nn.Module):
    """Tokens to logits; ``skips`` sends what comes out of the first layer past the others, too."""

    def __init__(self, handing_on: str = "tensor", skips: bool = False, scaled: bool = False) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(64, WIDTH), nn.Linear(WIDTH, 64, bias=False)
        self.layers = nn.ModuleList([Layer(handing_on) for _ in range(3)])
        self.skips, self.scaled = skips, scaled

    def forward(self, input_ids: torch.Tensor, attention_mask: Any = None) -> torch.Tensor:
        x, first = self.embed(input_ids), None
        for layer in self.layers:
            x = layer(x)
            x = x[0] if isinstance(x, tuple) else x
            first = x if first is None else first
        logits = self.head(x + first if self.skips else x)
        return logits / 2 if self.scaled else logits


def replaced(model: nn.Module, *names: str, terms: Any = None, **more: Any) -> list[SymbolicModel]:
    blocks = [symtorch.wrap(model, name) for name in names]
    how = {"projection": Projection(outputs=0), "skip": 8, "engine": LinearEngine(), "sr_params": QUIET} | more
    symtorch.distill(model, BATCHES, terms=terms, **how)
    for block in blocks:
        block.switch_to_symbolic(min_r2=None)
    return blocks


def tiny(terms: Any = None, **more: Any) -> tuple[TinyModel, list[SymbolicModel]]:
    torch.manual_seed(0)
    model = TinyModel(scale=1.0)
    return model, replaced(model, "mlps.0", "mlps.1", terms=terms, **more)


@pytest.mark.parametrize("terms", [None, Gated(8)])
def test_the_held_out_divergence_falls_and_nothing_else_changes(terms: Any) -> None:
    model, blocks = tiny(terms)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    r2 = [block.report().projection.r2 for block in blocks]
    model.train()
    found = symtorch.finetune(model, BATCHES, steps=40, lr=0.01)
    assert found.after < 0.97 * found.before
    assert found.history[0] == (0, found.before)
    assert min(loss for _, loss in found.history) == found.after
    assert model.training
    for name, p in model.named_parameters():
        assert not p.requires_grad or ".surrogate." not in name
        if ".surrogate.maps." not in name:
            assert torch.equal(p, before[name]), name
    assert [block.report().projection.r2 for block in blocks] != r2


def test_it_is_deterministic() -> None:
    results = []
    for seed in (0, 0, 1):
        model, _ = tiny()
        symtorch.finetune(model, BATCHES, steps=6, positions=20, seed=seed)
        with torch.no_grad():
            results.append(model(**BATCHES[0]))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_what_is_saved_is_what_was_tuned() -> None:
    model, blocks = tiny(Gated(8))
    symtorch.finetune(model, BATCHES, steps=10, lr=0.02)
    other = TinyModel(scale=1.0)
    for i in range(2):
        symtorch.wrap(other, f"mlps.{i}")
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(**BATCHES[0]), model(**BATCHES[0]))
    assert blocks[0].fronts[0].best.text == "silu(g0)*u0"
    again = blocks[0].report()
    blocks[0].switch_to_symbolic(min_r2=None)  # put in place anew, from what was found
    assert torch.equal(other(**BATCHES[0]), model(**BATCHES[0]))
    assert blocks[0].report() == again


def test_constants_of_equations_are_tuned_too() -> None:
    model, blocks = tiny(projection=Projection(3, 2), skip=0)
    texts = [equation.text for equation in blocks[0].equations.values()]
    symtorch.finetune(model, BATCHES, steps=10, lr=0.05)
    assert [equation.text for equation in blocks[0].equations.values()] != texts


def test_a_loss_of_ones_own() -> None:
    model, _ = tiny()

    def loss(model: nn.Module, batch: Any) -> torch.Tensor:
        logits = model(**batch)
        return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch["input_ids"][:, 1:].flatten())

    found = symtorch.finetune(model, BATCHES, loss, steps=20, lr=0.01, held_out=BATCHES[:2])
    assert found.after < found.before


def test_surrogates_come_nearer_to_their_own_blocks_outputs() -> None:
    model, blocks = tiny(Gated(8))
    r2 = [block.report().projection.r2 for block in blocks]
    found = symtorch.finetune(model, BATCHES, "outputs", steps=40)
    assert found.after < found.before
    now = [block.report().projection.r2 for block in blocks]
    assert all(after > before + 0.01 for before, after in zip(r2, now, strict=True))
    assert found.before == pytest.approx(sum(1 - each for each in r2) / 2, rel=0.1)


def test_a_block_by_itself_can_be_tuned_to_its_outputs() -> None:
    torch.manual_seed(0)
    x = list(torch.randn(20_000, WIDTH).split(1000))
    block = SymbolicModel(GatedMLP(scale=1.0), "mlp")
    block.distill(x, projection=Projection(outputs=0), skip=8, terms=Gated(8), sr_params=QUIET)
    block.switch_to_symbolic(min_r2=None)
    found = symtorch.finetune(block, x, "outputs", steps=30, lr=0.03)
    assert found.after < 0.995 * found.before


def test_without_a_learning_rate_one_that_serves_is_found() -> None:
    reached = {}
    for rate in (None, 0.003, 0.03):
        model, _ = tiny(Gated(8))
        found = symtorch.finetune(model, BATCHES, steps=40, lr=rate)
        reached[rate] = found.after
    assert reached[None] < found.before
    assert reached[None] <= max(reached[0.003], reached[0.03])
    assert "lr 0.03" in str(found)


def test_it_stops_when_the_held_out_loss_no_longer_falls() -> None:
    model, _ = tiny()
    found = symtorch.finetune(model, BATCHES, steps=60, lr=30.0, checks=20, patience=2)
    assert found.stopped_early
    assert found.steps == 36  # two checks without a gain in the second half
    assert found.best_step == 0
    assert found.after == found.before
    assert "stopped early" in str(found)


def test_the_original_answers_those_batches_only_that_are_used() -> None:
    model, blocks = tiny()
    asked: list[int] = []
    blocks[0].symtorch_block.register_forward_hook(lambda *_: asked.append(0))
    symtorch.finetune(model, BATCHES, steps=3, lr=0.01, held_out=BATCHES[:2])
    # Three to tune by and two to judge by, and the first of all twice more, to find out how the model can be run.
    assert len(asked) <= 5 + 2


def test_within_autocast_the_model_is_coarse_and_what_is_tuned_is_not() -> None:
    reached = {}
    for coarse in (False, True):
        model, blocks = tiny(Gated(8))
        with torch.autocast("cpu", torch.bfloat16, enabled=coarse):
            assert model(**BATCHES[0]).dtype == (torch.bfloat16 if coarse else torch.float32)
            found = symtorch.finetune(model, BATCHES, steps=40, lr=0.01)
            assert torch.is_autocast_cache_enabled()
        reached[coarse] = found
        for block in blocks:
            assert all(p.dtype == torch.float32 for p in block.surrogate.maps.parameters())
    assert reached[True].after < 0.97 * reached[True].before
    assert reached[True].after == pytest.approx(reached[False].after, rel=0.02)


def test_progress_is_told() -> None:
    model, _ = tiny()
    steps = []
    symtorch.finetune(model, BATCHES, steps=3, progress=lambda step, loss: steps.append((step, loss > 0)))
    assert steps == [(1, True), (2, True), (3, True)]


# ---- the model from the first replaced block on


@pytest.mark.parametrize("handing_on", ["tensor", "tuple"])
@pytest.mark.parametrize("scaled", [False, True])
def test_layers_before_the_first_replaced_one_run_once(handing_on: str, scaled: bool) -> None:
    torch.manual_seed(0)
    model = Model(handing_on, scaled=scaled)
    blocks = replaced(model, "layers.1.mlp", "layers.2.mlp")
    shortcut = Shortcut(model, ["layers.2.mlp", "layers.1.mlp"])
    for block in blocks:
        block.switch_to_block()
    recorded = [shortcut.record(batch) for batch in BATCHES[:2]]
    expected = model(**BATCHES[1])
    for block in blocks:
        block.switch_to_symbolic(min_r2=None)
    calls: list[int] = []
    model.layers[0].mix.register_forward_hook(lambda *_: calls.append(0))
    mask = BATCHES[1]["attention_mask"].bool()
    chosen = torch.tensor([0, 3, 40])
    torch.testing.assert_close(shortcut.logits(recorded[1], chosen), expected[mask][chosen])
    answer = shortcut.answer(recorded[1], chosen)
    assert not calls
    torch.testing.assert_close(answer, model(**BATCHES[1])[mask][chosen])
    assert (recorded[0].logits is not None) == scaled


def test_where_layers_do_more_than_hand_on_the_whole_model_runs() -> None:
    torch.manual_seed(0)
    model = Model(skips=True)
    replaced(model, "layers.2.mlp")
    found = symtorch.finetune(model, BATCHES, steps=10, lr=0.01)
    assert found.after < found.before
    shortcut = Shortcut(model, ["layers.2.mlp"])
    recorded = shortcut.record(BATCHES[0])
    assert recorded.entering is None


# ---- mistakes


def test_mistakes_say_what_to_do() -> None:
    model, _ = tiny()
    for how, message in (
        ({"loss": "mse"}, "loss is 'mse'"),
        ({"steps": 0}, "steps is 0"),
        ({"lr": 0.0}, r"lr is 0\.0"),
        ({"held_out": 1.0}, r"held_out is 1\.0"),
        ({"loss": lambda model, batch: 1.0}, "loss returned float"),
        ({"loss": lambda model, batch: torch.tensor(1.0)}, "does not depend on the surrogates"),
        ({"loss": lambda model, batch: model(**batch).sum() * float("nan")}, "not finite"),
    ):
        with pytest.raises(InputError, match=message):
            symtorch.finetune(model, BATCHES[:3], **how)
    with pytest.raises(InputError, match="1 batches make 0 to tune by"):
        symtorch.finetune(model, BATCHES[:1])
    with pytest.raises(InputError, match=r"expected logits"):
        symtorch.finetune(model, BATCHES[:2], forward=lambda model, batch: {"no": model(**batch)})
    with pytest.raises(NotDistilledError, match="no equations are in use"):
        symtorch.finetune(TinyModel(), BATCHES)
