"""SymbolicRegressor: scikit-learn's contract, with and without a PyTorch model."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("sklearn", minversion="1.6")

from linear_engine import LinearEngine
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import symtorch
from symtorch import InputError, OptionError
from symtorch.engines.samples import Samples
from symtorch.estimator import SymbolicRegressor

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (120, 2))
Y = np.stack([X[:, 0] * X[:, 1], X[:, 0] + 2], axis=1)


def quick(**options: Any) -> SymbolicRegressor:
    return SymbolicRegressor(engine="native", random_state=0, **{"niterations": 20, **options})


def symbols(expr: Any) -> set[str]:
    return {str(symbol) for symbol in expr.free_symbols}


class Engine(LinearEngine):
    """The quick engine, without a memory: what is checked here is what is around the search."""

    complexities = (1, 5)

    def __init__(self) -> None:
        pass

    @property
    def searches(self) -> list[Samples]:  # type: ignore[override]
        return []


@parametrize_with_checks([SymbolicRegressor(engine=Engine())])
def test_scikit_learns_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def test_a_plain_symbolic_regressor() -> None:
    regressor = quick().fit(X, Y[:, 0])
    assert symbols(regressor.sympy()) == {"x0", "x1"}
    assert "x_{0}" in regressor.latex()
    assert regressor.predict(X).shape == (120,)
    assert regressor.score(X, Y[:, 0]) == pytest.approx(1)
    assert list(regressor.equations_["complexity"]) == regressor.fronts_[0].complexities
    assert regressor.get_best() is regressor.fronts_[0].best


def test_several_outputs_names_and_held_out_rows() -> None:
    regressor = quick(input_vars=["mass", "speed"], held_out=0.2).fit(X, Y)
    assert [symbols(e) for e in regressor.sympy()] == [{"mass", "speed"}, {"mass"}]
    assert regressor.predict(X).shape == (120, 2)
    assert len(regressor.equations_) == 2
    assert regressor.fronts_[0].best.r2 == pytest.approx(1)


def test_a_data_frame_gives_the_names() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["mass (kg)", "speed"])
    assert symbols(quick().fit(frame, Y[:, 0]).sympy()) == {"mass_kg", "speed"}


def test_weights_count() -> None:
    y = np.where(X[:, 0] > 0, X[:, 1], 5.0)
    regressor = quick(unary_operators=[]).fit(X, y, sample_weight=(X[:, 0] > 0).astype(float))
    assert regressor.score(X[X[:, 0] > 0], y[X[:, 0] > 0]) == pytest.approx(1)


def test_pipeline_grid_search_and_clone() -> None:
    pipeline = make_pipeline(StandardScaler(), quick(unary_operators=[]))
    search = GridSearchCV(pipeline, {"symbolicregressor__maxsize": [1, 5]}, cv=2).fit(X, Y[:, 1])
    assert search.best_params_ == {"symbolicregressor__maxsize": 5}
    assert search.predict(X) == pytest.approx(Y[:, 1])
    copy = clone(search.best_estimator_[-1])
    assert copy.get_params() == search.best_estimator_[-1].get_params()
    with pytest.raises(NotFittedError):
        copy.predict(X)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 2)
        self.core = nn.Linear(2, 2)
        self.drop = nn.Dropout()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.core(self.embed(x))).sum(-1)


def test_a_named_module_of_a_model() -> None:
    net, x = Net().train(), torch.randn(200, 3)
    regressor = quick(model=net, target_module="core", input_vars=["a", "b"], unary_operators=[]).fit(x)
    expected = net.core(net.embed(x)).detach().double()
    np.testing.assert_allclose(regressor.predict(x), expected, atol=1e-3)
    np.testing.assert_allclose(regressor.predict(x.numpy()), expected, atol=1e-3)
    assert regressor.score(x) == pytest.approx(1, abs=1e-5)
    assert regressor.n_features_in_ == 2
    assert symbols(regressor.sympy()[0]) == {"a", "b"}
    assert net.training
    assert clone(regressor).fit(x).n_outputs_ == 2


def test_a_whole_model_and_a_callable() -> None:
    x = torch.randn(100, 2)
    assert quick(model=nn.Linear(2, 1), unary_operators=[]).fit(x).predict(x).shape == (100,)
    assert quick(model=lambda X: X[:, 0] * X[:, 1]).fit(X).score(X) == pytest.approx(1)


def test_mistakes_are_named() -> None:
    with pytest.raises(InputError, match=r"no module 'cor'; there are .*core"):
        quick(model=Net(), target_module="cor").fit(torch.randn(50, 3))
    with pytest.raises(InputError, match="no model to find it in"):
        quick(target_module="core").fit(X, Y)
    with pytest.raises(OptionError, match="maxsize"):
        quick(maxsize=0).fit(X, Y)
    with pytest.raises(OptionError, match="'maxsice' is not known"):
        quick(extra={"maxsice": 3}).fit(X, Y)
    with pytest.raises(TypeError):
        SymbolicRegressor(maxsice=3)  # type: ignore[call-arg]


def test_it_is_a_lazy_name_of_the_package() -> None:
    assert symtorch.SymbolicRegressor is SymbolicRegressor
    code = "import symtorch, sys; assert 'sklearn' not in sys.modules; symtorch.SymbolicRegressor"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_model_is_asked_as_the_user_says() -> None:
    rows = []

    def model(x: np.ndarray) -> np.ndarray:
        rows.append(len(x))
        return x[:, 0] * x[:, 1]

    X = np.random.default_rng(0).normal(size=(100, 2))
    (front,) = SymbolicRegressor(model, engine=LinearEngine(), ask=False).fit(X).fronts_
    assert (sum(rows), front.rows_asked) == (100, 0)
    rows.clear()
    (front,) = SymbolicRegressor(model, engine=LinearEngine(), ask=200).fit(X).fronts_
    assert 100 < sum(rows) == 100 + front.rows_asked <= 300


@pytest.mark.parametrize("held_out", [0.0, 0.2])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_of_noisy_rows_without_a_law_the_pick_is_about_as_good_as_least_squares(seed: int, held_out: float) -> None:
    """Like clinical data: ten related inputs, weak effects of many of them, most of the variance noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(700, 10)) @ (np.eye(10) + 0.4 * rng.normal(size=(10, 10)))
    y = X @ rng.normal(size=10) + 0.1 * X[:, 0] * X[:, 1]
    y += 1.2 * y.std() * rng.standard_t(5, size=700)
    seen, fresh = slice(0, 300), slice(300, None)
    regressor = SymbolicRegressor(random_state=0, niterations=1, held_out=held_out).fit(X[seen], y[seen])
    line = LinearRegression().fit(X[seen], y[seen])
    assert regressor.score(X[fresh], y[fresh]) > line.score(X[fresh], y[fresh]) - 0.03
