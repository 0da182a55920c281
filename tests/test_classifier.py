"""A hidden layer of a classifier of digits, switched into equations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import symtorch

datasets = pytest.importorskip("sklearn.datasets")


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    X, y = datasets.load_digits(return_X_y=True)
    order = torch.randperm(len(X), generator=torch.Generator().manual_seed(0))
    return torch.as_tensor(X).float()[order] / 16, torch.as_tensor(y)[order]


@pytest.mark.parametrize("params", [{}, {"unary_operators": ["tanh"]}], ids=["default operators", "tanh"])
def test_a_hidden_layer_as_equations_keeps_the_accuracy(
    digits: tuple[torch.Tensor, torch.Tensor], params: dict[str, list[str]]
) -> None:
    X, y = digits
    train, test = slice(0, 1250), slice(1250, None)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Sequential(nn.Linear(64, 64), nn.Tanh()), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(20):
        for rows in torch.randperm(1250).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[rows]), y[rows]).backward()
            optimizer.step()

    def accuracy() -> float:
        return float((model(X[test]).argmax(dim=1) == y[test]).float().mean())

    network = accuracy()
    assert network > 0.9
    layer = symtorch.wrap(model, "0")
    layer.distill(X[train], sr_params={"random_state": 0, **params})
    layer.switch_to_symbolic()
    assert accuracy() >= network - 0.01
    # A pixel that is hardly ever lit has a weight that few rows tell; all else is exact.
    assert min(front.best.r2 or 0.0 for front in layer.fronts.values()) > 0.99
