"""Cleaning."""

from __future__ import annotations

from forms import NAMES, points, read

from symtorch.engines.native.fitting.clean import Judge, clean
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit, loss_of
from symtorch.equations import normal
from symtorch.equations.expr import to_text


def test_cleaning_drops_needless_constants_and_keeps_needed_ones() -> None:
    X = points(200)
    rows = Rows.of(X, 3.0 * X[:, 0] * X[:, 1] + 0.25)
    judge = Judge(lambda e: fit(e, rows), lambda e: loss_of(e, rows), 1.0, 200)
    start, loss = fit(normal.normalise(read("3*(x0 + 0.001)*(x1 + 0.002) + 0.2 + 0.001*x2")), rows)
    *_, (last, _) = clean(start, loss, judge)
    assert to_text(last, NAMES) == "3*(x0*x1) + 0.25"
