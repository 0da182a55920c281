"""Holes of a tree, and what is wanted there."""

from __future__ import annotations

import numpy as np
from forms import WIDE, points, read

from symtorch.engines.native import Vocabulary
from symtorch.engines.native.fitting.archive import Candidate
from symtorch.engines.native.fitting.tape import Tape
from symtorch.engines.native.flat.refine import holes, wanted_at
from symtorch.equations import normal
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


def inserted(text: str, X: np.ndarray) -> list[np.ndarray]:
    """The sensitivities that an equation is asked with for something to put in."""
    expr = normal.normalise(read(text))
    words = Vocabulary(WIDE)
    tree = words.render(expr)
    assert tree is not None
    candidate = Candidate(expr, tree, words.complexity(tree), 0.5)
    y = np.random.default_rng(0).normal(size=len(X))
    with np.errstate(all="ignore"):
        found = list(holes(candidate, words, tuple(X.T), y, np.ones(len(X))))
    return [hole.D / np.linalg.norm(hole.D) for hole in found if hole.wrap is None]


def test_places_that_ask_the_same_are_asked_once() -> None:
    X = points(128)
    D = inserted("3*x0*sin(x1)", X)  # a factor at any node of the product is the same factor
    for i, one in enumerate(D):
        for other in D[:i]:
            assert not np.allclose(one, other, atol=1e-5)
            assert not np.allclose(one, -other, atol=1e-5)


def test_places_that_differ_on_some_rows_only_are_asked_both() -> None:
    X = points(128)
    X[:, 1] = np.where(np.arange(128) < 100, 1.0, -1.0)
    D = inserted("x0*x1 + x2", X)
    plain, signed = np.ones(128) / np.sqrt(128), X[:, 1] / np.sqrt(128)
    for wanted in (plain, signed):
        assert any(np.allclose(one, wanted) for one in D)
