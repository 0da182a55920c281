"""A notebook that was written for torch-symbolic 1.0.1 runs unchanged, and its answers are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn as nn

from symtorch import SymbolicModel

# What notebooks give to keep a search short.
SHORT = {"niterations": 20, "verbosity": 0, "progress": False, "random_state": 0}


class MLP(nn.Module):
    def __init__(self, n_in: int = 3, n_hidden: int = 16, n_out: int = 2) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Law(nn.Module):
    """Stands for a network that has learned its two laws well."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, 0] * x[:, 1] + 1, 2 * torch.sin(x[:, 2])], dim=1)


class Parent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.f = Law()
        self.g = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.g(self.f(x * 2))


@pytest.fixture(scope="module")
def data() -> torch.Tensor:
    return torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) * 4 - 2


def test_a_layer_of_a_model(data: torch.Tensor, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model = Parent()
    truth = model.f(data * 2)
    before = model(data)
    # -- the notebook
    model.f = SymbolicModel(model.f, block_name="edge")
    assert model.f.block_name == "edge"
    regressors = model.f.distill(
        data,
        parent_model=model,
        sr_params={
            "niterations": 20,
            "binary_operators": ["+", "*"],
            "unary_operators": ["inv(x) = 1/x", "sin", "exp"],
            "extra_sympy_mappings": {"inv": lambda x: 1 / x},
            "complexity_of_operators": {"sin": 3, "exp": 3},
            "constraints": {"sin": 6, "exp": 6},
            "nested_constraints": {"sin": {"sin": 0, "exp": 0}, "exp": {"exp": 0}},
            "parsimony": 0.001,
            "batching": False,
            "maxsize": 25,
            "verbosity": 0,
            "progress": False,
            "random_state": 0,
        },
        fit_params={"variable_names": ["q1", "q2", "r"]},
    )
    assert set(regressors) == {0, 1}
    assert {"complexity", "loss", "score", "equation", "sympy_format"} <= set(regressors[0].equations_.columns)
    best = model.f.pysr_regressor[0].get_best()
    assert {"equation", "loss", "complexity"} <= set(best.index)
    model.f.show_symbolic_expression()
    model.f.show_symbolic_expression(dim=0, complexity=int(best["complexity"]))
    complexities = [int(regressors[i].get_best()["complexity"]) for i in (0, 1)]
    model.f.show_symbolic_expression(dim=[0, 1], complexity=complexities)
    printed = capsys.readouterr().out
    assert "q1" in printed
    assert "sin" in printed
    model.f.switch_to_symbolic()
    torch.testing.assert_close(model(data), before, rtol=1e-3, atol=1e-3)
    model.f.switch_to_symbolic(complexity=complexities)
    function = model.f.get_symbolic_function(dim=1)
    for x in (data * 2, (data * 2).numpy()):
        values = function(x)
        assert isinstance(values, np.ndarray)
        np.testing.assert_allclose(values, truth[:, 1], atol=1e-2)
    torch.save(model.state_dict(), tmp_path / "model.pth")
    model.f.switch_to_block()
    assert torch.equal(model(data), before)


def test_the_law_behind_a_network_of_noisy_data() -> None:
    torch.manual_seed(2)
    x = torch.rand(4000, 5)
    y = x[:, :1] ** 2 + 3 * torch.sin(x[:, 4:]) - 4
    y = y + 0.05 * y.std() * torch.randn_like(y)
    hidden = [nn.Linear(5, 32), nn.ReLU(), nn.Dropout(0.05), nn.Linear(32, 32), nn.ReLU()]
    model = nn.Sequential(nn.Sequential(*hidden, nn.Linear(32, 1)))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for epoch in range(40):
        for rows in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
        if epoch == 25:
            optimizer.param_groups[0]["lr"] = 1e-3
    # -- the notebook
    model[0] = SymbolicModel(model[0], block_name="Sequential")
    sr_params = {
        "complexity_of_operators": {"sin": 3, "exp": 3},
        "complexity_of_constants": 2,
        "parsimony": 0.1,
        "verbosity": 0,
        "niterations": 50,
        "random_state": 0,
    }
    model[0].distill(x, sr_params=sr_params, parent_model=model)
    model[0].switch_to_symbolic(complexity=[14])
    assert model(x).shape == y.shape
    # It is the law if it becomes exact once its constants are fitted to the law's own answers.
    law = SymbolicModel(lambda x: x[:, 0] ** 2 + 3 * torch.sin(x[:, 4]) - 4, block_name="callable_function")
    picked = model[0].pysr_regressor[0].get_best()["equation"]
    assert law.set_equation(0, picked, refit_constants=True, inputs=x.double()).loss < 1e-12
    law.distill(x.numpy(), sr_params=sr_params)
    law.set_equation(0, None)
    assert str(law.equation(0)) == "x0*x0 + 3*sin(x4) - 4"


def test_transforms_and_one_output(data: torch.Tensor) -> None:
    model = SymbolicModel(Law(), block_name="law")
    # -- the notebook
    transforms = [lambda x: x[:, 0] * x[:, 1], lambda x: torch.sin(x[:, 2])]
    names = ["product", "wave"]
    how = {"variable_transforms": transforms, "sr_params": SHORT, "fit_params": {"variable_names": names}}
    regressor = model.distill(data, output_dim=1, **how)
    assert "wave" in regressor.get_best()["equation"]
    assert list(model.pysr_regressor) == [1]
    model.distill(data, output_dim=0, **how)
    model.switch_to_symbolic()
    torch.testing.assert_close(model(data), Law()(data), rtol=1e-3, atol=1e-3)
    model.clear_cache()


def test_a_black_box_and_its_explanation() -> None:
    def black_box(x: np.ndarray) -> np.ndarray:
        return x[:, 0] ** 2 + 3 * x[:, 1]

    inputs = np.random.default_rng(0).normal(size=(100, 2))
    # -- the notebook
    model = SymbolicModel(black_box, block_name="box")
    model.distill(inputs, sr_params=SHORT)
    slime_params = {"x": np.array([1.0, 2.0]), "J_nn": 10, "num_synthetic": 100, "real_weighting": 1.0}
    model.distill(inputs, SLIME=True, slime_params=slime_params, sr_params=SHORT)
    model.show_symbolic_expression(SLIME=True)
    assert set(model.SLIME_pysr_regressor) == {0}
    model.switch_to_symbolic(SLIME=True)
    local = model.get_symbolic_function(dim=0, SLIME=True)
    np.testing.assert_allclose(local(np.array([[1.0, 2.0]])), [7], atol=1e-2)
    assert isinstance(model(inputs), np.ndarray)


def test_class_labels_and_their_explanation_with_cond() -> None:
    def labels(inputs: np.ndarray) -> np.ndarray:
        return (torch.as_tensor(inputs)[:, 0] > 0.3).long().numpy()

    inputs = np.random.default_rng(0).normal(size=(200, 2))
    # -- the notebook
    model = SymbolicModel(labels, block_name="func")
    slime_params = {"x": np.array([0.3, 0.0]), "J_nn": 50, "num_synthetic": 500, "nn_metric": "euclidean"}
    params = {
        **SHORT,
        "binary_operators": ["+", "*", "-", "/", "cond"],
        "unary_operators": ["sin", "exp"],
        "complexity_of_operators": {"sin": 3, "cos": 3, "exp": 3, "log": 3, "cond": 2},
        "constraints": {"exp": 2, "log": 2, "sin": 2, "cos": 2},
    }
    model.distill(inputs, SLIME=True, slime_params=slime_params, sr_params=params)
    assert model(inputs).dtype == np.int64
    model.switch_to_symbolic(SLIME=True)
    near = np.random.default_rng(1).normal([0.3, 0.0], 0.3, size=(200, 2))
    assert ((model(near) >= 0.5) == labels(near)).mean() > 0.98
    assert "cond" in str(model.equation(0, SLIME=True))
    assert model.get_symbolic_function(SLIME=True)(near).shape == (200,)


def test_a_border_away_from_the_point_is_judged_on_the_neighbours_too() -> None:
    def labels(inputs: np.ndarray) -> np.ndarray:
        return (inputs[:, 0] > 0.3).astype(int)

    inputs = np.random.default_rng(0).normal(size=(200, 2))
    model = SymbolicModel(labels, block_name="func")
    slime_params = {"x": np.array([1.5, 0.0]), "J_nn": 100, "num_synthetic": 300, "var": 0.05}
    params = {**SHORT, "binary_operators": ["+", "*", "cond"], "unary_operators": [], "complexity_of_operators": {}}
    model.distill(inputs, SLIME=True, slime_params=slime_params, sr_params=params)
    front = model.slime_fronts[0]
    assert front.verdict != "none"
    assert "cond" in str(front.best)
    assert front.best.r2 is not None
    assert front.best.r2 > 0.9


def test_pruning_while_training(data: torch.Tensor) -> None:
    torch.manual_seed(0)
    model = MLP(n_out=8)
    model.layers = SymbolicModel(model.layers, block_name="mlp")
    readout = nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*model.parameters(), *readout.parameters()], lr=0.01)
    # -- the notebook
    steps = 60
    model.layers.setup_pruning(initial_dim=8, target_dim=2, total_steps=steps, end_step_frac=0.5, decay_rate="cosine")
    assert model.layers.pruning_schedule[0] == 8
    assert model.layers.pruning_schedule[steps - 1] == 2
    for step in range(steps):
        optimizer.zero_grad()
        loss = ((readout(model(data))[:, 0] - data[:, 0]) ** 2).mean()
        loss.backward()
        optimizer.step()
        model.layers.prune(step, data, parent_model=model)
    assert model.training
    active = model.layers.get_active_dimensions()
    assert len(active) == model.layers.current_dim == model.layers.target_dim == 2
    assert int(model.layers.pruning_mask.sum()) == 2
    model.layers.distill(data, sr_params={**SHORT, "maxsize": 7}, parent_model=model)
    assert set(model.layers.pysr_regressor) == set(active)
    model.layers.switch_to_symbolic()
    assert (model(data)[:, [i for i in range(8) if i not in active]] == 0).all()


def test_errors_that_notebooks_catch(data: torch.Tensor) -> None:
    model = SymbolicModel(Law())
    assert model.block_name.startswith("block_")
    with pytest.raises(ValueError, match="parent_model"):
        SymbolicModel(np.sin).distill(data.numpy(), parent_model=nn.Linear(3, 3))
    with pytest.raises(ValueError, match="1 variable_names for 2"):
        model.distill(
            data,
            variable_transforms=[lambda x: x[:, 0], lambda x: x[:, 1]],
            fit_params={"variable_names": ["a"]},
        )
    with pytest.raises(ValueError, match="num_synthetic"):
        model.distill(data, SLIME=True, slime_params={"x": np.zeros(3), "num_synthetic": 0})
    with pytest.raises(ValueError, match="J_nn"):
        model.distill(data, SLIME=True, slime_params={"x": np.zeros(3), "J_nn": 200})
    with pytest.raises(ValueError, match="output_dim 7"):
        model.distill(data, output_dim=7)
    with pytest.raises(RuntimeError):
        model.prune(0, data)
    with pytest.raises(RuntimeError):
        model.get_active_dimensions()


def test_defaults_are_the_same() -> None:
    assert set(SymbolicModel.DEFAULT_SLIME_PARAMS.items()) == {
        ("x", None),
        ("J_nn", 10),
        ("num_synthetic", 100),
        ("real_weighting", 1.0),
        ("nn_metric", "euclidean"),
        ("var", None),
    }
    sr = SymbolicModel.DEFAULT_SR_PARAMS
    assert sr["binary_operators"] == ["+", "*"]
    assert sr["unary_operators"] == ["inv(x) = 1/x", "sin", "exp"]
    assert sr["niterations"] == 400
    assert sr["complexity_of_operators"] == {"sin": 3, "exp": 3}
