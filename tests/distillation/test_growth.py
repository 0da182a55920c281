"""What a front knows of how its search went."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from formula_engine import FormulaEngine

from symtorch import SearchOptions, SymbolicModel
from symtorch.distillation import growth
from symtorch.engines import Engine, Progress
from symtorch.engines.samples import Samples
from symtorch.equations import Equation, Front, parse

X = np.random.default_rng(0).uniform(1, 3, (300, 2))


class Reporting(Engine):
    """Tells of the losses that it is given, and ends with an equation of another one."""

    name = "reporting"

    def __init__(self, *losses: tuple[float, ...]) -> None:
        self.losses = losses

    def search(self, samples: Samples, options: SearchOptions, progress: object = None) -> list[Front]:
        assert callable(progress)
        for losses in self.losses:
            progress(Progress("stage", 0, 1, losses, list))
        equation = Equation(parse("x0", samples.variable_names), samples.variable_names, 1, 1e-9)
        return [Front((equation,), engine=self.name)] * samples.n_outputs


def found(*losses: tuple[float, ...], told: list[Progress] | None = None) -> list[list[float]]:
    samples = Samples(X, X / X.std(axis=0))
    options = SearchOptions.from_params()
    fronts = growth.search(Reporting(*losses), samples, options, None if told is None else told.append)
    assert all(list(front.history) == sorted(front.history) for front in fronts)
    return [[loss for _, loss in front.history] for front in fronts]


def test_a_loss_is_noted_when_it_has_fallen_by_a_fifth() -> None:
    told: list[Progress] = []
    first, second = found((0.9, np.nan), (0.8, 0.5), (0.4, 0.4), (0.39, 0.5), (1e-3, 0.1), told=told)
    np.testing.assert_allclose(first, [0.9, 0.4, 1e-3, 1e-9])
    np.testing.assert_allclose(second, [0.5, 0.1, 1e-9])
    assert len(told) == 5  # whoever listens hears what is told


def test_however_many_reports_there_are_few_are_noted() -> None:
    falling = [(0.9999**k, 0.999**k) for k in range(100_000)]
    first, second = found(*falling)
    assert len(first) <= 50
    assert 290 <= len(second) <= growth_limit()


def growth_limit() -> int:
    return int(np.log(1e-44) / np.log(growth.BETTER)) + 2


def test_reports_on_other_outputs_are_not_mixed_up() -> None:
    assert found((0.9,), (0.5, 0.5, 0.5)) == [[], []]


def test_fronts_of_the_native_engine_know_how_they_grew_and_states_keep_it(tmp_path: Path) -> None:
    def law(x: np.ndarray) -> np.ndarray:
        return np.stack([x[:, 0] / (x[:, 1] ** 2 + 0.5), np.sin(x[:, 0]) * x[:, 1]], axis=1)

    model = SymbolicModel(law, "law")
    fronts = model.distill(X, engine="native", sr_params={"random_state": 0, "binary_operators": ["+", "*", "/"]})
    for front in fronts.values():
        seconds, losses = np.array(front.history).T
        assert (np.diff(seconds) >= 0).all()
        assert (np.diff(losses) < 0).all()
        assert seconds[-1] <= front.seconds + 1.0
        assert losses[-1] < 1e-12
    again = SymbolicModel(law, "law")
    again.load_state_dict(model.state_dict())
    assert {i: front.history for i, front in again.fronts.items()} == {i: f.history for i, f in fronts.items()}


def test_a_search_that_goes_on_keeps_the_history_of_what_was_done(tmp_path: Path) -> None:
    def distill() -> Front:
        model = SymbolicModel(lambda x: x[:, 0] ** 2, "square")
        return model.distill(X, output_dim=0, engine=FormulaEngine("x0", "x0^2"), save_path=tmp_path, resume=True)

    first = distill()
    assert first.history
    assert distill().history == first.history
