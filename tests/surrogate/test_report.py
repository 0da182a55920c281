"""The report counts what is computed, and says which way is better at equal cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn

from symtorch import Projection
from symtorch.capture.moments import Halves, Moments
from symtorch.equations import parse
from symtorch.surrogate.regression import Regression
from symtorch.surrogate.report import equal_rank, linear_cost, projection_cost, report

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4000, 10))
Z = X[:, 0]
W, V = RNG.normal(size=(10, 8)) * np.linspace(3, 0.1, 10)[:, None], RNG.normal(size=8)
NONLINEAR = X @ W + 5 * np.outer(Z**2 - 1, V)
FIT, NEW = slice(0, 2000), slice(2000, None)


def both(y: Any) -> Any:
    x = X[FIT]
    regression = Regression(Halves(Moments.of(x[::2], y[FIT][::2]), Moments.of(x[1::2], y[FIT][1::2])))
    return regression, Projection(2, 1).fit(regression)


def reported(y: Any, law: str, block: Any = None) -> Any:
    regression, encoding = both(y)
    laws = {0: parse(law, ["z0", "z1"])}
    return report("mlp", block, regression.reduced_rank, encoding, laws, 2000, (X[NEW], y[NEW]), True)


def test_r2_is_the_share_of_the_outputs_variance() -> None:
    found = reported(NONLINEAR, "0")
    y = NONLINEAR[NEW]
    total = ((y - y.mean(axis=0)) ** 2).sum()
    best = both(NONLINEAR)[0].reduced_rank
    assert found.mean.r2 == pytest.approx(1 - ((y - NONLINEAR[FIT].mean(axis=0)) ** 2).sum() / total)
    assert found.linear[-1].r2 == pytest.approx(1 - ((y - best.predict(X[NEW])) ** 2).sum() / total)
    assert found.projection.r2 == pytest.approx(1 - ((y - best.predict(X[NEW], 2)) ** 2).sum() / total, abs=1e-5)


def test_equations_that_explain_something_win() -> None:
    _, encoding = both(NONLINEAR)
    t = encoding.targets(NONLINEAR[FIT], X[FIT])[:, 0]
    z = encoding.encode(X[FIT])
    c = np.linalg.lstsq(np.column_stack([np.ones(len(z)), z[:, 0] ** 2, z[:, 0] * z[:, 1], z[:, 1] ** 2]), t)[0]
    law = f"{c[0]} + {c[1]}*z0^2 + {c[2]}*z0*z1 + {c[3]}*z1^2".replace("+ -", "- ")
    found = reported(NONLINEAR, law)
    assert found.verdict == "projection"
    assert "explain more than the linear map of equal cost" in str(found)
    assert found.gain == pytest.approx(found.projection.r2 - found.rival.r2)


def test_equations_that_explain_nothing_lose() -> None:
    found = reported(X @ W + 0.1 * RNG.normal(size=(4000, 8)), "z0 - z1")
    assert found.verdict == "linear"
    assert "Projection(outputs=0)" in found.advice
    same = reported(X @ W + 0.1 * RNG.normal(size=(4000, 8)), "1e-9*z0")
    assert same.rival.macs <= same.projection.macs


def test_what_is_the_same_is_called_equal() -> None:
    regression, _ = both(NONLINEAR)
    encoding = Projection(outputs=0).fit(regression, 2)
    found = report("mlp", None, regression.reduced_rank, encoding, {}, 2000, (X[NEW], NONLINEAR[NEW]), False)
    assert found.verdict == "equal"
    assert found.rival.name == "linear, rank 2"
    assert "rows, which are fitted to" in str(found)


def test_costs_are_counted() -> None:
    regression, encoding = both(NONLINEAR)
    best = regression.reduced_rank
    assert linear_cost(best, 2) == (36, 44)
    assert linear_cost(best, 8) == (80, 88)  # one matrix is cheaper than two factors
    macs, parameters = projection_cost(encoding, {0: parse("2*z0^2 + 1", ["z0", "z1"])})
    assert macs == 10 * 2 + 2 * 8 + 1 * 8 + 3
    assert parameters == 10 * 2 + 2 + 2 * 8 + 1 * 8 + 8 + 3
    assert [equal_rank(best, macs) for macs in (0, 1, 17, 18, 36, 79, 80, 1000)] == [0, 1, 1, 1, 2, 4, 8, 8]


def test_the_blocks_own_cost_is_that_of_its_linear_layers() -> None:
    block = nn.Sequential(nn.Linear(10, 30), nn.GELU(), nn.Linear(30, 8))
    own = reported(NONLINEAR, "0", block).block
    assert own is not None
    assert (own.macs, own.parameters) == (540, 578)
    assert reported(NONLINEAR, "0", lambda x: x).block is None
