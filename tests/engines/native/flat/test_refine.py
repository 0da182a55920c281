"""What is wanted in a hole of a tree."""

from __future__ import annotations

import numpy as np
from forms import points, read

from symtorch.engines.native.fitting.tape import Tape
from symtorch.engines.native.flat.refine import wanted_at
from symtorch.engines.native.forms import normal
from symtorch.equations.expr import evaluate


def test_semantic_back_propagation_inverts_the_tree() -> None:
    tree = normal.normalise(read("x0*exp(2*sin(x1)) + x2"))
    X = points()
    y = evaluate(tree, X)
    tape = Tape(tree)
    values = tape.forward(tuple(X.T), tape.constants)
    at_path = {ins.path: np.broadcast_to(v, (50,)) for ins, v in zip(tape.instructions, values, strict=True)}
    for path, value in at_path.items():
        if path:
            wanted, weight = wanted_at(tree, path, lambda p: at_path[p], y)
            np.testing.assert_allclose(wanted, value, rtol=1e-7)
            assert (weight > 0.0).all()
