import numpy as np
import pytest

from symtorch.equations.expr import evaluate
from symtorch.equations.operators import OPERATORS
from symtorch.equations.suggest import suggest
from symtorch.errors import InputError

X = np.random.default_rng(0).uniform(-2, 2, size=(300, 2))


@pytest.mark.parametrize("name", ["sin", "tanh", "exp", "square", "abs", "relu", "erf", "neg", "cube", "atan"])
def test_the_function_that_made_the_data_fits(name: str) -> None:
    y = 3 * OPERATORS[name].numpy(1.3 * X[:, 1] - 0.4) - 1
    found = suggest(
        X, y, ["x", "y"], functions=["neg", "square", "cube", "abs", "exp", "sin", "tanh", "atan", "erf", "relu"], top=3
    )
    fitting = [s for s in found if s.r2 > 0.999]
    assert name in {s.function for s in fitting}
    assert all(s.variable == 1 for s in fitting)


def test_the_tree_is_what_r2_speaks_of() -> None:
    y = np.exp(0.7 * X[:, 0]) + 0.1 * X[:, 1]
    for s in suggest(X, y, ["x", "y"], top=None):
        error = evaluate(s.expr, X) - y
        assert s.r2 == pytest.approx(1 - np.sum(error**2) / np.sum((y - y.mean()) ** 2))
        assert f"R² {s.r2:.6f}" in str(s)


def test_undefined_forms_and_constant_columns_are_left_out() -> None:
    columns = np.column_stack([np.ones(50), np.linspace(-1, 1, 50)])
    found = suggest(columns, columns[:, 1] ** 2, ["one", "x"], functions=["square", "log"], top=None)
    assert found[0].function == "square"
    assert all(s.variable == 1 for s in found)


def test_bad_arguments_say_what_was_expected() -> None:
    with pytest.raises(InputError, match="don't fit"):
        suggest(X, X[:, 0], ["x"])
    with pytest.raises(InputError, match="'max'"):
        suggest(X, X[:, 0], ["x", "y"], functions=["max"])
