"""Engine: the least that an engine must be has all the rest; the contract holds for a small engine of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from linear_engine import LinearEngine

from symtorch.engines import Availability, Engine
from symtorch.engines.options import SearchOptions
from symtorch.errors import InputError, OptionError
from symtorch.testing import EngineContract


class TestContract(EngineContract):
    """A line is all that it finds, by least squares."""

    takes_losses = False

    def engine(self) -> LinearEngine:
        return LinearEngine(complexities=None)

    def law(self, X: np.ndarray) -> np.ndarray:
        return X[:, :1] * 1.5 + X[:, -1:]


class Least(Engine):
    name = "least"

    def search(self, samples: Any, options: Any, progress: Any = None) -> Any:
        return []


def test_a_name_and_a_search_are_enough() -> None:
    engine = Least()
    assert not engine.takes_guesses
    assert not engine.parameters
    assert engine.availability() == Availability(True, "part of this installation.")
    assert engine.bind(save_path="anywhere") is engine
    engine.check(SearchOptions.from_params({"maxsize": 9}))
    engine.keep({})


def test_without_a_name_or_a_search_there_is_no_engine() -> None:
    with pytest.raises(TypeError, match="name"):
        type("Nameless", (Engine,), {"search": Least.search})()
    with pytest.raises(TypeError, match="search"):
        type("Idle", (Engine,), {"name": "idle"})()


def test_what_it_does_not_know_it_refuses_by_name() -> None:
    with pytest.raises(OptionError, match=r"'least' does not know search option 'populations'.*engine=.pysr"):
        Least().check(SearchOptions.from_params({"populations": 3}))
    with pytest.raises(InputError, match=r"\['X_units'\] are not known to engine 'least'"):
        Least().bind(fit_params={"X_units": ["m"]})
