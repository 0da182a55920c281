"""What is too long is brought down to size."""

from __future__ import annotations

import pytest
from forms import points, read

from symtorch.engines.native import Vocabulary
from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.fitting.losses import SQUARED
from symtorch.engines.native.fitting.reduce import reduced, too_long
from symtorch.engines.options import SearchOptions
from symtorch.equations import normal
from symtorch.equations.expr import evaluate

LONG = "2*x0*x1*(1 + 0.001*x2/(x1 + 4)) + sin(3*x2) + 0.01*square(x0)"


@pytest.mark.parametrize(("maxsize", "kept"), [(13, "2*x0*x1 + sin(3*x2)"), (60, LONG)])
def test_what_matters_least_goes_first(maxsize: int, kept: str) -> None:
    X = points(300)
    form = normal.normalise(read(LONG))
    y = evaluate(form, X)
    words = Vocabulary(
        SearchOptions.from_params(
            {"binary_operators": ["+", "-", "*", "/"], "unary_operators": ["square", "sin"], "maxsize": maxsize}
        )
    )
    rows = Rows.of(X, y)
    archive = Archive(words, rows, rows, SQUARED, float(y.var()))
    less = reduced(form, archive)
    assert less is not None
    assert not too_long(less, archive)
    assert fit(less, rows)[1] <= fit(normal.normalise(read(kept)), rows)[1] + 1e-20
