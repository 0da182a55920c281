"""Real PySR searches; they run where Julia is ready: pytest -m pysr."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from symtorch.engines.options import SearchOptions
from symtorch.engines.pysr import PySREngine, is_ready
from symtorch.engines.samples import Samples
from symtorch.testing import EngineContract

pytestmark = [pytest.mark.pysr, pytest.mark.skipif(not is_ready(), reason="PySR's Julia side is not ready")]

SMALL = {
    "binary_operators": ["+", "*", "-"],
    "unary_operators": ["cos", "twice(x) = 2x"],
    "extra_sympy_mappings": {"twice": lambda x: 2 * x},
    "populations": 8,
    "niterations": 10,
    "random_state": 0,
    "deterministic": True,
    "parallelism": "serial",
}


def samples(n_outputs: int = 1) -> Samples:
    X = np.random.default_rng(0).normal(size=(200, 3))
    return Samples(X, np.stack([X[:, 0] * X[:, 1] + 1.5, np.cos(X[:, 2])], axis=1)[:, :n_outputs])


class TestContract(EngineContract):
    params = SMALL | {"binary_operators": ["+", "*", "-", "/"], "unary_operators": ["sin", "exp"], "precision": 64}

    def engine(self) -> PySREngine:
        return PySREngine()

    @pytest.mark.parametrize(
        "params", [{"maxdepth": 3}, {"nested_constraints": {"sin": {"sin": 0, "exp": 0}}}], ids=str
    )
    def test_search_space_is_law(self, params: dict) -> None:
        """Only what every version of PySR takes; it wants a maxsize of 7 at least."""
        super().test_search_space_is_law(params)


def test_laws_are_found_and_the_run_folder_is_pysrs_own(tmp_path: Path) -> None:
    data = samples(2)
    fronts = PySREngine(save_path=tmp_path, max_workers=2).search(data, SearchOptions.from_params(SMALL))
    for i, front in enumerate(fronts):
        np.testing.assert_allclose(front.predict(data.X), data.Y[:, i], atol=1e-4)
        assert os.path.isfile(os.path.join(front.folder, "checkpoint.pkl"))


def test_same_seed_same_front() -> None:
    options = SearchOptions.from_params(SMALL)
    first, second = (PySREngine().search(samples(), options)[0] for _ in range(2))
    assert [eq.source for eq in first] == [eq.source for eq in second]


def test_time_limit_and_interrupt_keep_the_front() -> None:
    endless = SMALL | {"niterations": 1_000_000}
    (front,) = PySREngine().search(samples(), SearchOptions.from_params(endless | {"timeout_in_seconds": 5}))
    assert front.stop_reason == "timeout"
    timers = [threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGINT))]
    (front,) = PySREngine().search(
        samples(), SearchOptions.from_params(endless), lambda report: timers and timers.pop().start()
    )
    assert front.stop_reason == "interrupted"
