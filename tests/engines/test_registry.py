"""The registry: engines by name, an engine of one's own among them, and objects that only look like one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from linear_engine import LinearEngine
from torch import nn

import symtorch.engines
from symtorch import SymbolicModel
from symtorch.engines import Availability, Engine, registry, resolve
from symtorch.errors import InputError, OptionError

X = np.random.default_rng(0).normal(size=(60, 2))


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


class Mine(LinearEngine):
    """An engine of one's own."""

    name = "mine"
    parameters = ("ridge",)


def test_an_engine_of_ones_own_is_registered_and_used_by_name() -> None:
    symtorch.engines.register("mine", Mine)
    assert symtorch.engines.status()["mine"] == Availability(True, "part of this installation.")
    fronts = SymbolicModel(lambda x: x @ [1.0, -2.0], "line").distill(X, engine="mine", sr_params={"ridge": 0.1})
    assert fronts[0].engine == "mine"
    assert fronts[0][-1].r2 > 1 - 1e-12


def test_an_option_that_no_engine_knows_is_refused_with_the_nearest_of_this_one() -> None:
    block = SymbolicModel(nn.Linear(2, 1), "block")
    with pytest.raises(OptionError, match=r"'rigde' is not known. Did you mean 'ridge'"):
        block.distill(torch.randn(60, 2), engine=Mine(), sr_params={"rigde": 1})
    with pytest.raises(OptionError, match=r"'ridge' is not known"):
        block.distill(torch.randn(60, 2), engine=LinearEngine(), sr_params={"ridge": 1})


def test_bad_options_are_refused_before_the_block_runs() -> None:
    calls = []
    block = SymbolicModel(lambda x: calls.append(len(x)) or x, "block")
    for engine in ("native", LinearEngine()):
        with pytest.raises(OptionError, match="loss_function"):
            block.distill(X, engine=engine, sr_params={"loss_function": "f"})
    assert calls == []


def test_an_engine_that_cannot_be_made_says_why() -> None:
    def fail() -> None:
        raise ZeroDivisionError("no licence")

    symtorch.engines.register("dear", fail)
    found = symtorch.engines.status()["dear"]
    assert not found.available
    assert "no licence" in found.reason


class Duck:
    """No Engine, but with what one needs."""

    name = "duck"

    def __init__(self) -> None:
        self.inner = LinearEngine()

    def search(self, samples: Any, options: Any, progress: Any = None) -> Any:
        return self.inner.search(samples, options, progress)


class ClevererDuck(Duck):
    takes_guesses = True
    fit_params = None

    def check(self, options: Any) -> None:
        if options.maxsize > 20:
            raise OptionError("a duck's maxsize is 20")

    def bind(self, fit_params: Any) -> Any:
        bound = ClevererDuck()
        bound.fit_params = fit_params
        return bound

    def availability(self) -> Any:
        return Availability(False, "it swims")


def test_an_object_with_a_name_and_a_search_is_an_engine(tmp_path: Path) -> None:
    duck = Duck()
    block = SymbolicModel(nn.Linear(2, 1), "block")
    front = block.distill(torch.randn(60, 2), engine=duck, save_path=tmp_path, output_dim=0)
    assert front.best.r2 > 1 - 1e-6
    assert len(duck.inner.searches) == 1
    adapted = resolve(duck)
    assert isinstance(adapted, Engine)
    assert adapted.name == "duck"
    assert not adapted.takes_guesses
    assert adapted.availability().available
    with pytest.raises(InputError, match="not known to engine 'duck'"):
        block.distill(torch.randn(60, 2), engine=duck, fit_params={"X_units": ["m", "m"]})


def test_what_else_such_an_object_has_is_used() -> None:
    block = SymbolicModel(nn.Linear(2, 1), "block")
    with pytest.raises(OptionError, match="maxsize is 20"):
        block.distill(torch.randn(60, 2), engine=ClevererDuck())
    adapted = resolve(ClevererDuck())
    assert adapted.takes_guesses
    assert adapted.availability() == Availability(False, "it swims")
    bound = adapted.bind(fit_params={"units": ["m"]})
    assert isinstance(bound, Engine)
    assert bound.engine.fit_params == {"units": ["m"]}
    assert adapted.engine.fit_params is None


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("pyrs", "'pyrs' is not known.*'native', 'pysr'"),
        (3, "is a int; expected a name"),
        (object(), "is a object; expected a name"),
        (LinearEngine, r"is the class LinearEngine; pass an object of it, LinearEngine\(\)"),
    ],
)
def test_what_is_no_engine_is_named(engine: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(engine)


def test_auto_is_no_name_for_an_engine() -> None:
    with pytest.raises(InputError, match="'auto' names the choice"):
        symtorch.engines.register("auto", LinearEngine)
