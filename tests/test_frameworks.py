"""Models of other libraries are wrapped as docs/frameworks.md and docs/pykan.md say, where these are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import symtorch

QUICK = {"random_state": 0, "niterations": 1, "timeout_in_seconds": 10}


@pytest.mark.filterwarnings("default")  # other libraries' own
def test_messages_of_pytorch_geometric_are_rows() -> None:
    geometric = pytest.importorskip("torch_geometric")
    from torch_geometric.loader import DataLoader as GraphLoader
    from torch_geometric.nn import MessagePassing

    class Interaction(MessagePassing):
        def __init__(self) -> None:
            super().__init__(aggr="add")
            self.edge = nn.Linear(2, 1)

        def forward(self, x: Any, edge_index: Any) -> Any:
            return self.propagate(edge_index, x=x)

        def message(self, x_i: Any, x_j: Any) -> Any:
            return self.edge(torch.cat([x_i, x_j], dim=-1))

    torch.manual_seed(0)
    model = Interaction()
    graphs = [geometric.data.Data(x=torch.randn(10, 1), edge_index=torch.randint(10, (2, 40))) for _ in range(4)]
    loader = GraphLoader(graphs, batch_size=2)
    edge = symtorch.wrap(model, "edge")
    front = edge.distill(
        loader, output_dim=0, parent_model=model, engine="native", sr_params=QUICK,
        forward=lambda model, batch: model(batch.x, batch.edge_index), fit_params={"variable_names": ["xi", "xj"]},
    )  # fmt: skip
    assert front.verdict == "law"
    before = model(graphs[0].x, graphs[0].edge_index)
    edge.switch_to_symbolic()
    torch.testing.assert_close(model(graphs[0].x, graphs[0].edge_index), before, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("default")
def test_an_mlp_of_transformers_takes_a_tokenizers_batches() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    tokens = [torch.randint(64, (2, 30)) for _ in range(8)]
    texts = [transformers.BatchEncoding({"input_ids": t, "attention_mask": torch.ones_like(t)}) for t in tokens]
    mlp = symtorch.wrap(model, "model.layers.1.mlp")
    linear = symtorch.Projection(outputs=0)
    mlp.distill(texts, parent_model=model, projection=linear, skip=4, engine="native", sr_params=QUICK)
    before = model(**texts[0]).logits
    mlp.switch_to_symbolic(min_r2=None)
    after = model(**texts[0]).logits
    assert after.shape == before.shape
    assert not torch.equal(after, before)


@pytest.mark.filterwarnings("default")
def test_a_checkpoint_of_lightning_keeps_the_equations(tmp_path: Path) -> None:
    lightning: Any = pytest.importorskip("lightning")

    class Lit(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(2, 4), nn.Linear(4, 1)

        def forward(self, x: Any) -> Any:
            return self.head(torch.tanh(self.body(x)))

        def training_step(self, batch: Any, index: int) -> Any:
            return (self(batch[0]) - batch[1]).square().mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-2)

        def on_train_batch_end(self, *args: Any) -> None:
            if isinstance(self.body, symtorch.SymbolicModel):
                self.body.prune(self.global_step, x, parent_model=self)

    torch.manual_seed(0)
    x = torch.randn(200, 2)
    loader = DataLoader(TensorDataset(x, x[:, :1]), batch_size=50)
    how: dict[str, Any] = {"max_epochs": 2, "accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    how |= {"enable_checkpointing": False, "enable_model_summary": False}

    model = Lit()
    body = symtorch.wrap(model, "body")
    body.setup_pruning(4, 2, total_steps=6)
    lightning.Trainer(**how).fit(model, loader)
    assert len(body.get_active_dimensions()) == 2
    assert model.training

    model = Lit()
    trainer = lightning.Trainer(**how)
    trainer.fit(model, loader)
    head = symtorch.wrap(model, "head")
    head.distill(
        loader, parent_model=model, engine="native", sr_params=QUICK,
        forward=lambda model, batch: model(batch[0].to(model.device)),
    )  # fmt: skip
    head.switch_to_symbolic()
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    again = Lit()
    symtorch.wrap(again, "head")
    again.load_state_dict(torch.load(tmp_path / "model.ckpt", weights_only=True)["state_dict"])
    torch.testing.assert_close(again(x), model(x))
    assert str(again.head.equation(0)) == str(head.equation(0))


@pytest.mark.filterwarnings("default")
def test_a_layer_of_pykan_is_distilled_by_its_first_output() -> None:
    kan = pytest.importorskip("kan")
    torch.manual_seed(0)
    model = kan.KAN(width=[2, 1], grid=3, k=3, seed=0, auto_save=False)
    x = torch.rand(60, 2) * 2 - 1
    layer = symtorch.wrap(model, "act_fun.0")
    fronts = layer.distill(x, parent_model=model, output_index=0, engine="native", sr_params=QUICK)
    assert set(fronts) == {0}
