"""A program of a user: it runs on the installed package, and `mypy --strict` sees the package's types in it."""

from importlib.metadata import version
from pathlib import Path
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import symtorch


def law(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2 * x[:, :1] * x[:, 1:]


package = Path(symtorch.__file__).parent
assert "site-packages" in package.parts, f"{package} is the checkout, not what was installed"
assert (package / "py.typed").is_file()
assert version("torch-symbolic") == assert_type(symtorch.__version__, str)

block = symtorch.SymbolicModel(law, "law")
x = np.random.default_rng(0).uniform(1, 3, (200, 2))
block.distill(x, engine="native", sr_params={"random_state": 0, "binary_operators": ["+", "*"]})
best = assert_type(block.fronts[0].best, symtorch.Equation)
assert str(best) == "2*x0*x1"
block.switch_to_symbolic()
np.testing.assert_allclose(block(x), law(x))
print(f"{package}: {best}")
