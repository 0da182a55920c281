"""What every engine owes its users, as tests that an engine's own test class inherits (needs pytest).

    from symtorch.testing import EngineContract

    class TestMyEngine(EngineContract):
        def engine(self):
            return MyEngine()

``params`` may narrow the search space or raise the budget; ``tolerance`` is what counts as solved. An engine
that finds laws of one kind only says which, by a ``law`` of its own. A test that does not apply is
overridden by one that says why. What the class inherits from :class:`symtorch.engines.Engine` obeys
already.
"""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from symtorch.capture.rows import Counted
from symtorch.engines.base import Availability, Engine, Progress
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Asking, Samples
from symtorch.equations.expr import evaluate
from symtorch.equations.front import Front
from symtorch.equations.parser import parse
from symtorch.errors import InputError, OptionError


def inputs(n: int = 200, d: int = 2, seed: int = 0) -> np.ndarray:
    """(n, d): points drawn evenly between -2 and 2."""
    return np.random.default_rng(seed).uniform(-2.0, 2.0, (n, d))


class EngineContract:
    """Inherit it and say which engine; see the module's docstring."""

    tolerance = 1e-6
    """1 - R² of an equation that counts as the law."""

    params: ClassVar[dict[str, Any]] = {"niterations": 20, "random_state": 0, "progress": False, "verbosity": 0}

    takes_losses = True
    """Whether it takes an ``elementwise_loss``; one that does not must refuse it."""

    guess = "sin(3*x0*x1 + 0.3)*exp(x0) + x1"
    """A law too hard for the smallest budget, to be found where it is the guess."""

    def engine(self) -> Engine:
        """The engine, made anew."""
        raise NotImplementedError

    def law(self, X: np.ndarray) -> np.ndarray:
        """(n, d) -> (n, 1): a law of the first and the last input that the engine finds within ``params``."""
        return (X[:, :1] ** 2) * 1.5 + X[:, -1:]

    # ---- helpers

    def options(self, **params: Any) -> SearchOptions:
        return SearchOptions.from_params({**self.params, **params}, self.engine().parameters)

    def search(self, samples: Samples, **params: Any) -> list[Front]:
        options = self.options(**params)
        fronts = self.engine().search(samples, options)
        self.check(samples, options, fronts)
        return fronts

    def check(self, samples: Samples, options: SearchOptions, fronts: list[Front]) -> None:
        """What holds of every answer."""
        assert len(fronts) == samples.n_outputs
        for front in fronts:
            assert front.engine == self.engine().name
            assert front.stop_reason
            assert front.n_samples == samples.n_samples
            assert front.complexities == sorted(set(front.complexities))
            losses = [eq.loss for eq in front]
            assert losses == sorted(losses, reverse=True)
            for eq in front:
                assert options.violation(eq.expr) is None
                assert eq.complexity == options.complexity(eq.expr)
                assert eq.variable_names == samples.variable_names
                again = parse(eq.text, samples.variable_names, options.operators.values())
                np.testing.assert_allclose(
                    evaluate(again, samples.X), eq.predict(samples.X), rtol=1e-12, equal_nan=True
                )

    def fits(self, front: Front, X: np.ndarray, y: np.ndarray) -> bool:
        losses = [float(np.mean((eq.predict(X) - y) ** 2)) for eq in front]
        return min(losses) <= self.tolerance * float(np.var(y))

    # ---- what is found

    def test_finds_a_law(self) -> None:
        X = inputs()
        (front,) = self.search(Samples(X, self.law(X)))
        assert self.fits(front, X, self.law(X)[:, 0])

    def test_one_front_per_output_in_their_order(self) -> None:
        X = inputs(d=3)
        Y = np.column_stack([self.law(X[:, [0, 1]]), self.law(X[:, [2]]), self.law(X[:, [2, 1]])])
        fronts = self.search(Samples(X, Y))
        assert all(self.fits(front, X, y) for front, y in zip(fronts, Y.T, strict=True))

    def test_losses_are_those_of_the_printed_equations(self) -> None:
        X = inputs()
        y = self.law(X) + 0.1 * np.random.default_rng(1).normal(size=(len(X), 1))
        (front,) = self.search(Samples(X, y))
        for eq in front:
            np.testing.assert_allclose(eq.loss, np.mean((eq.predict(X) - y[:, 0]) ** 2), rtol=1e-6, atol=1e-25)

    def test_variable_names_are_kept(self) -> None:
        X = inputs()
        (front,) = self.search(Samples(X, self.law(X), variable_names=("mass", "v_0")))
        assert "mass" in front[-1].text

    # ---- seeds, limits, progress

    @pytest.mark.parametrize("limit", [0, 300, 3000])
    def test_the_teacher_is_asked_for_no_more_rows_than_allowed(self, limit: int) -> None:
        X = inputs()
        teacher = Counted(self.law)
        self.search(Samples(X, self.law(X), teacher=teacher, asking=Asking(limit)))
        assert teacher.rows <= limit

    def test_same_seed_same_front(self) -> None:
        X = inputs()
        samples = Samples(X, np.sin(3.0 * X[:, :1]) / (1.0 + X[:, 1:] ** 2))
        first, second = (self.search(samples, random_state=3, niterations=1)[0] for _ in range(2))
        assert [eq.text for eq in first] == [eq.text for eq in second]

    def test_timeout_returns_what_there_is(self) -> None:
        rng = np.random.default_rng(0)
        samples = Samples(rng.normal(size=(500, 4)), rng.normal(size=(500, 2)))
        started = time.monotonic()
        fronts = self.search(samples, timeout_in_seconds=1.0, niterations=100_000)
        seconds = time.monotonic() - started
        assert seconds < 30.0
        assert seconds < 1.0 or {front.stop_reason for front in fronts} == {"timeout"}

    def test_progress_reports_rising_steps_and_fronts(self) -> None:
        X = inputs()
        seen: list[Progress] = []
        self.engine().search(Samples(X, self.law(X)), self.options(), seen.append)
        assert seen
        assert [report.done for report in seen] == sorted(report.done for report in seen)
        assert len(seen[-1].losses) == 1
        assert len(seen[-1].fronts()) == 1

    def test_interrupt_returns_what_there_is(self) -> None:
        rng = np.random.default_rng(0)
        samples = Samples(rng.normal(size=(300, 3)), rng.normal(size=(300, 1)))

        def interrupt(report: Progress) -> None:
            raise KeyboardInterrupt

        options = self.options()
        fronts = self.engine().search(samples, options, interrupt)
        self.check(samples, options, fronts)
        assert fronts[0].stop_reason == "interrupted"

    # ---- what it says of itself

    def test_check_refuses_what_it_does_not_know_before_data_moves(self) -> None:
        X = inputs()
        asked: list[int] = []

        def teacher(X: np.ndarray) -> np.ndarray:
            asked.append(len(X))
            return self.law(X)

        unknown = SearchOptions.from_params(
            {**self.params, "of_no_engine": 1}, {*self.engine().parameters, "of_no_engine"}
        )
        engine = self.engine()
        for refuse in (engine.check, lambda options: engine.search(Samples(X, self.law(X), teacher=teacher), options)):
            with pytest.raises(OptionError, match="of_no_engine") as raised:
                refuse(unknown)
            assert engine.name.lower() in str(raised.value).lower()
        assert not asked
        engine.check(self.options())

    def test_availability_starts_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def start(*args: Any, **kwargs: Any) -> None:
            raise AssertionError("availability() started a process or a thread")

        engine = self.engine()
        for owner, method in (
            (subprocess.Popen, "__init__"),
            (multiprocessing.Process, "start"),
            (threading.Thread, "start"),
        ):
            monkeypatch.setattr(owner, method, start)
        found = engine.availability()
        assert isinstance(found, Availability)
        assert isinstance(found.available, bool)
        assert found.reason

    def test_bind_gives_an_engine_and_leaves_this_one_alone(self, tmp_path: Path) -> None:
        engine = self.engine()
        before = pickle.dumps(engine)
        bound = engine.bind(save_path=tmp_path / "runs")
        assert isinstance(bound, Engine)
        assert bound.name == engine.name
        with pytest.raises(InputError, match="of_no_engine"):
            engine.bind(fit_params={"of_no_engine": 1}).check(self.options())
        assert pickle.dumps(engine) == before

    def test_it_travels(self) -> None:
        """To other processes, and with an estimator that is copied or saved."""
        engine = self.engine()
        again = pickle.loads(pickle.dumps(engine))
        assert (type(again), again.name) == (type(engine), engine.name)
        assert again.availability() == engine.availability()

    def test_it_starts_from_guesses(self) -> None:
        if not self.engine().takes_guesses:
            pytest.skip("it takes no guesses")
        X = inputs()
        y = evaluate(parse(self.guess, ["x0", "x1"]), X)
        (front,) = self.search(Samples(X, y[:, None]), guesses=[self.guess], niterations=1)
        assert self.fits(front, X, y)

    def test_keep_takes_what_was_found(self) -> None:
        X = inputs()
        engine = self.engine()
        engine.keep(dict(enumerate(engine.search(Samples(X, self.law(X)), self.options()))))

    # ---- the search space

    @pytest.mark.parametrize(
        "params",
        [
            {"maxsize": 5},
            {"maxdepth": 3},
            {"binary_operators": ["+", "-"], "unary_operators": []},
            {"binary_operators": ["*"], "unary_operators": ["exp"]},
            {"binary_operators": ["+", "*"], "unary_operators": ["bump(x) = exp(-x^2)"]},
            {"binary_operators": ["+", "*", "^"], "constraints": {"^": (-1, 1)}},
            {"unary_operators": ["sin", "exp"], "nested_constraints": {"sin": {"sin": 0, "exp": 0}}},
            {"complexity_of_variables": 2, "complexity_of_constants": 3},
            {"complexity_of_variables": [1, 4]},
        ],
        ids=str,
    )
    def test_search_space_is_law(self, params: dict[str, Any]) -> None:
        X = inputs(100)
        self.search(Samples(X, np.exp(-(X[:, :1] ** 2)) + np.sin(X[:, 1:])), **params)

    def test_space_that_allows_nothing_is_an_error(self) -> None:
        X = inputs()
        with pytest.raises(OptionError, match="maxsize"):
            self.search(Samples(X, self.law(X)), maxsize=1, complexity_of_variables=5, complexity_of_constants=5)

    # ---- weights and losses

    def test_rows_of_weight_zero_do_not_count(self) -> None:
        X = inputs()
        y = self.law(X)
        weights = np.ones(len(X))
        y[::4], weights[::4] = 1e3, 0.0
        (front,) = self.search(Samples(X, y, weights=weights))
        assert self.fits(front, X, self.law(X)[:, 0])

    def test_weighted_loss_is_the_weighted_mean(self) -> None:
        X = inputs()
        rng = np.random.default_rng(2)
        y, weights = self.law(X) + rng.normal(size=(len(X), 1)), rng.uniform(0.1, 3.0, len(X))
        (front,) = self.search(Samples(X, y, weights=weights))
        for eq in front:
            expected = np.average((eq.predict(X) - y[:, 0]) ** 2, weights=weights)
            np.testing.assert_allclose(eq.loss, expected, rtol=1e-6)

    def test_absolute_loss_ignores_outliers(self) -> None:
        X = inputs()
        y = self.law(X)
        y[::10] += 100.0
        if not self.takes_losses:
            with pytest.raises(OptionError, match="elementwise_loss"):
                self.engine().check(self.options(elementwise_loss="L1DistLoss()"))
            return
        (front,) = self.search(Samples(X, y), elementwise_loss="L1DistLoss()")
        assert self.fits(front, X, self.law(X)[:, 0])

    # ---- data of all kinds

    def test_constant_output(self) -> None:
        X = inputs()
        front, _ = self.search(Samples(X, np.column_stack([np.full(len(X), 2.5), X[:, 0]])))
        np.testing.assert_allclose(front.best.predict(X), 2.5, rtol=1e-9)

    def test_one_input(self) -> None:
        X = inputs(d=1)
        (front,) = self.search(Samples(X, self.law(X) + 3.0))
        assert self.fits(front, X, self.law(X)[:, 0] + 3.0)

    def test_input_that_never_varies(self) -> None:
        X = inputs()
        (front,) = self.search(Samples(np.column_stack([X, np.ones(len(X))]), self.law(X)))
        assert front.best.loss <= self.tolerance * np.var(self.law(X))

    def test_duplicated_rows_and_columns(self) -> None:
        X = np.repeat(inputs(20), 10, axis=0)
        (front,) = self.search(Samples(np.column_stack([X, X[:, 0]]), self.law(X)))
        assert front[-1].loss <= self.tolerance * np.var(self.law(X))

    def test_few_rows(self) -> None:
        X = inputs(10)
        self.search(Samples(X, self.law(X)))

    @pytest.mark.parametrize("scale", [1e-8, 1e8])
    def test_inputs_of_any_size(self, scale: float) -> None:
        X = inputs() * scale
        y = self.law(X / scale)
        (front,) = self.search(Samples(X, y))
        assert self.fits(front, X, y[:, 0])

    @pytest.mark.parametrize("scale", [1e-8, 1e8])
    def test_outputs_of_any_size(self, scale: float) -> None:
        X = inputs()
        (front,) = self.search(Samples(X, self.law(X) * scale))
        assert self.fits(front, X, self.law(X)[:, 0] * scale)

    def test_output_of_tiny_variance(self) -> None:
        X = inputs()
        y = 1e4 + 1e-3 * self.law(X)
        (front,) = self.search(Samples(X, y))
        assert self.fits(front, X, y[:, 0])

    def test_float32_rounding_does_not_hide_the_law(self) -> None:
        X = inputs().astype(np.float32)
        y = self.law(X.astype(np.float64)).astype(np.float32)
        (front,) = self.search(Samples(X, y))
        assert self.fits(front, X.astype(np.float64), y[:, 0].astype(np.float64))
