"""What only looks like a law gives way to the law that it looks like."""

from __future__ import annotations

import numpy as np
import pytest

from symtorch.engines.native.fitting.archive import Archive
from symtorch.engines.native.flat.search import Budget, FlatSearch
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.other_functions import look_for_others, with_other_functions
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import evaluate
from symtorch.equations.normal import key, normalise
from symtorch.equations.parser import parse

NAMES = ["x0", "x1"]
OPTIONS = SearchOptions.from_params(
    {
        "binary_operators": ["+", "-", "*", "/"],
        "unary_operators": (unary := ["exp", "sin", "cos", "tanh", "square", "cube"]),
        "complexity_of_operators": dict.fromkeys(unary, 1),
    }
)
LAW = "sin(3*x1)/exp(x0^2)"
LOOK_ALIKE = "(0.94493 - tanh(x0)^2)*sin(3*x1)"
NEVER = bool  # always False


def box(low: float, high: float) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, high, (500, 2))


def archive_of(X: np.ndarray, y: np.ndarray, *texts: str) -> Archive:
    search = FlatSearch(X, y[:, None], Vocabulary(OPTIONS), Budget())
    search.offer(0, [parse(text, NAMES) for text in texts])
    return search.archives[0]


@pytest.mark.parametrize(
    ("known", "meant", "low"), [("x1*exp(0.5*x0)", "x1*(0.35*x0^2 + 1.1)", 1.0), (LOOK_ALIKE, LAW, -2.0)]
)
def test_a_function_of_one_input_is_replaced_by_those_that_resemble_it(known: str, meant: str, low: float) -> None:
    found = with_other_functions(normalise(parse(known, NAMES)), box(low, low + 2 * abs(low)), Vocabulary(OPTIONS))
    shapes = {key(form) for form in found}
    assert key(normalise(parse(meant, NAMES))) in shapes


def test_a_power_and_a_line_are_what_they_are() -> None:
    for text in ("2.5*x0*x1", "x0^2*x1", "1.5*x0 + 2.5*x1"):
        assert not list(with_other_functions(normalise(parse(text, NAMES)), box(1.0, 3.0), Vocabulary(OPTIONS)))


def network(X: np.ndarray) -> np.ndarray:
    """A teacher that is nearer to what looks like its law than to the law, and errs besides."""
    law, other = (evaluate(parse(text, NAMES), X) for text in (LAW, LOOK_ALIKE))
    return 0.45 * law + 0.55 * other + 0.08 * np.sin(17.0 * X[:, 0] + 13.0 * X[:, 1])


def test_the_law_comes_to_the_front_that_a_nearer_equation_has_kept_from_it() -> None:
    X = box(-2.0, 2.0)
    archive = archive_of(X, network(X), "x1", "1.234*sin(3*x1)", "cos(x0)*sin(3*x1)", "1.012*" + LOOK_ALIKE)
    before = archive.picked("law")
    assert before is not None
    assert "tanh" in str(before.tree)
    look_for_others(archive, NEVER)
    after = archive.picked("law")
    assert after is not None
    assert key(after.expr) == key(normalise(parse("sin(2.99*x1)/exp(x0^2)", NAMES)))
    assert after.loss < 1.5 * before.loss


def test_a_pick_that_stands_out_is_left_as_it_is() -> None:
    X = box(-2.0, 2.0)
    archive = archive_of(X, evaluate(parse(LAW, NAMES), X), "x1", LAW)
    tried = set(archive.tried)
    look_for_others(archive, NEVER)
    assert archive.tried == tried
