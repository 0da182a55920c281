"""Thresholds of expressions are moved to the best place for them as they are."""

from typing import Any

import numpy as np
import pytest

from symtorch.engines.native.fitting.levenberg_marquardt import Rows, loss_of
from symtorch.engines.native.fitting.losses import SQUARED, parse_loss
from symtorch.engines.native.flat.thresholds import with_better_thresholds
from symtorch.equations import normal
from symtorch.equations.expr import to_text
from symtorch.equations.parser import parse

NAMES = ["x0", "x1"]
X = np.random.default_rng(0).uniform(-2.0, 2.0, (500, 2))
Y = np.where(X[:, 0] > 0.3, np.sin(X[:, 1]), X[:, 1] ** 2)


@pytest.mark.parametrize(
    "text",
    [
        "cond(x0 + 0.5, sin(x1) - x1*x1) + x1*x1",
        "greater(x0, -0.5)*(sin(x1) - x1*x1) + x1*x1",
        "less(x0, -0.5)*(x1*x1 - sin(x1)) + sin(x1)",
        "greater(1.2, x0)*(x1*x1 - sin(x1)) + sin(x1)",
        "less(1.2, x0)*(sin(x1) - x1*x1) + x1*x1",
        "(0.5 + 0.5*sign(x0 - 1))*(sin(x1) - x1*x1) + x1*x1",
        "logical_not(x0 - 1)*(x1*x1 - sin(x1)) + sin(x1)",
    ],
)
@pytest.mark.parametrize("loss", [SQUARED, parse_loss("HuberLoss(0.1)")])
def test_a_wrong_threshold_is_put_right(text: str, loss: Any) -> None:
    rows = Rows.of(X, Y)
    (better,) = with_better_thresholds(normal.normalise(parse(text, NAMES)), rows, loss)
    assert loss_of(better, rows, loss) < 1e-28
    assert "0.3" in to_text(better, NAMES)


def test_what_is_best_already_stays() -> None:
    expr = normal.normalise(parse("cond(x0 - 0.3, sin(x1) - x1*x1) + x1*x1", NAMES))
    assert list(with_better_thresholds(expr, Rows.of(X, Y), SQUARED)) == []
    assert list(with_better_thresholds(normal.normalise(parse("x0*x1", NAMES)), Rows.of(X, Y), SQUARED)) == []
