"""When what is done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from symtorch.engines.native import NativeEngine
from symtorch.engines.native.flat import workbench
from symtorch.engines.native.flat.schedule import Phase, schedule
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations.expr import Expr


@pytest.mark.parametrize("rounds", [0, 1, 2, 24])
def test_several_outputs_exchange_after_what_spreads_and_else_do_the_same(rounds: int) -> None:
    alone, together = schedule(rounds, 1), schedule(rounds, 3)
    exchanges = [i for i, stage in enumerate(together) if stage.name.startswith("share after ")]
    assert [stage.name for i, stage in enumerate(together) if i not in exchanges] == [stage.name for stage in alone]
    assert all(together[i - 1].spreads for i in exchanges)
    assert len(exchanges) == sum(stage.spreads for stage in alone) > 0


def test_stages_have_names_of_their_own_and_each_round_ends_once() -> None:
    stages = schedule(5, 2)
    assert len({stage.name for stage in stages}) == len(stages)
    assert [stage.name for stage in stages if stage.measured] == [
        "mutate 3", "constants, all", "mutate 4", "mutate 5", "mutate 6", "mutate 7"
    ]  # fmt: skip
    assert all(stage.after is Phase.ROUND for stage in stages if stage.measured)


def test_the_front_may_be_judged_as_soon_as_constants_are_fitted_and_not_before() -> None:
    assert [stage.after for stage in schedule(1, 1)][:3] == [Phase.GUESSED, Phase.GUESSED, Phase.FITTED]
    assert all(stage.after > Phase.FITTED for stage in schedule(3, 1)[3:])


def test_hints_come_after_the_first_stages_and_rounds_and_only_where_there_are_some() -> None:
    plain, hinted = ([stage.name for stage in schedule(4, 1, hinted=n)] for n in (0, 2))
    assert not any("hints" in name for name in plain)
    assert [name for name in hinted if "hints" not in name] == plain
    assert hinted.index("pursuit") + 1 == hinted.index("hints 1") == hinted.index("mutate 1") - 1
    assert hinted.index("mutate 3") + 1 == hinted.index("hints 2") == hinted.index("contexts, all") - 1
    assert "hints 2" not in [stage.name for stage in schedule(1, 1, hinted=2)]
    assert "hints 2" not in [stage.name for stage in schedule(4, 1, hinted=1)]


def test_sweeps_for_steps_wait_until_what_is_cheap_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[int | None] = []

    def candidates(*args: Any) -> Iterator[Expr]:
        swept.append(args[-1])
        return iter(())

    monkeypatch.setattr(workbench, "candidates", candidates)
    X = np.random.default_rng(0).uniform(1.0, 3.0, (600, 5))
    y = X[:, :1] * X[:, 1:2] / (X[:, 2:] ** 2).sum(axis=1, keepdims=True)
    params = {"binary_operators": ["+", "*", "/", "cond", "greater"], "unary_operators": ["square"], "random_state": 0}
    (front,) = NativeEngine().search(Samples(X, y), SearchOptions.from_params(params))
    assert front.stop_reason == "exact"
    assert None not in swept  # no more than the first look for laws that are nothing but a step
