"""Tiny random models of transformers: what of a layer is captured, and that the hybrid model generates."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import symtorch
from symtorch import Gated, InputError, Projection

transformers = pytest.importorskip("transformers")

COMMON = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "olmo2": {},  # a norm of the MLP's output, before it is added to the residual stream
    "granite": {"residual_multiplier": 0.3, "logits_scaling": 2.0},  # a scale of it, and of the logits
    "qwen2": {},
    "gemma": {"head_dim": 8, "hidden_activation": "gelu_pytorch_tanh"},
    "gpt_neox": {"hidden_act": "gelu", "num_key_value_heads": 4},  # a plain MLP, with biases
}


def built(family: str) -> tuple[Any, list[str]]:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, **{**COMMON, **FAMILIES[family]})
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 2:
                p.mul_(4)
    decoder = "gpt_neox" if family == "gpt_neox" else "model"
    return model, [f"{decoder}.layers.{i}.mlp" for i in (1, 2)]


def batches(n: int = 10) -> list[dict[str, torch.Tensor]]:
    rng = torch.Generator().manual_seed(0)
    made = []
    for _ in range(n):
        mask = (torch.arange(48) < torch.randint(24, 49, (8, 1), generator=rng)).long()
        made.append({"input_ids": torch.randint(3, 64, (8, 48), generator=rng) * mask, "attention_mask": mask})
    return made


def replaced(family: str, terms: int, skip: int) -> tuple[Any, list[Any]]:
    model, names = built(family)
    blocks = [symtorch.wrap(model, name) for name in names]
    how = {"projection": Projection(outputs=0), "skip": skip, "sr_params": {"verbosity": 0}, "engine": "native"}
    symtorch.distill(model, batches(), terms=Gated(terms), **how)
    return model, blocks


@pytest.mark.parametrize("family", FAMILIES)
def test_all_units_in_the_mlps_place_give_the_models_answers(family: str) -> None:
    """So what is captured is the MLP's own output, before whatever the layer does with it."""
    model, blocks = replaced(family, terms=48, skip=0)
    batch = batches(1)[0]
    mask = batch["attention_mask"].bool()
    with torch.no_grad():
        expected = model(**batch).logits[mask]
        for block in blocks:
            block.switch_to_symbolic(min_r2=None)
        answer = model(**batch).logits[mask]
    assert blocks[0].report().projection.r2 > 0.999
    torch.testing.assert_close(answer, expected, atol=0.02 * float(expected.std()), rtol=0.02)


@pytest.mark.parametrize("family", ["llama", "olmo2", "granite"])
def test_the_hybrid_model_is_tuned_and_generates_with_a_cache(family: str) -> None:
    model, blocks = replaced(family, terms=6, skip=4)
    for block in blocks:
        block.switch_to_symbolic(min_r2=None)
    found = symtorch.finetune(model, batches(), steps=8, lr=0.01)
    assert found.after < found.before
    prompt = batches(1)[0]["input_ids"][:1, :6]
    how = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    with torch.no_grad():
        cached, plain = (model.generate(prompt, use_cache=cache, **how) for cache in (True, False))
    assert cached.shape == (1, 14)
    assert torch.equal(cached, plain)


def test_layers_of_a_transformer_are_ranked() -> None:
    model, _ = built("llama")
    ranking = symtorch.rank_blocks(model, batches(), rank=8)
    assert sorted(r.name for r in ranking.ranks) == [f"model.layers.{i}.mlp" for i in range(3)]


def test_a_layer_with_a_norm_after_its_mlp_is_no_mlp() -> None:
    model, _ = built("olmo2")
    layer = symtorch.wrap(model, "model.layers.1")
    with pytest.raises(InputError):
        layer.distill(batches(), parent_model=model, projection=Projection(outputs=0), terms=Gated(4))
