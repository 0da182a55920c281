"""What one output has found helps the others."""

from __future__ import annotations

import numpy as np
import pytest

from symtorch.engines.native.fitting.levenberg_marquardt import Rows, loss_of
from symtorch.engines.native.flat.search import Budget, FlatSearch, search_flat
from symtorch.engines.native.flat.sharing import exchanged_for, exchanges, laws_found, sums_of, terms_found
from symtorch.engines.native.flat.workbench import Workbench
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Expr, evaluate
from symtorch.equations.normal import normalise
from symtorch.equations.parser import parse

WORDS = Vocabulary(
    SearchOptions.from_params(
        {"binary_operators": ["+", "-", "*", "/"], "unary_operators": ["square", "exp", "sin"], "maxsize": 45}
    )
)
TERMS = ["x0/(square(x1) + 1.3)", "sin(1.7*x2)*x3", "exp(-0.5*square(x0))*x2"]


def expr(text: str) -> Expr:
    return normalise(parse(text, ["x0", "x1", "x2", "x3"]))


def inputs(n: int = 400) -> np.ndarray:
    return np.random.default_rng(0).uniform(-3, 3, (n, 4))


def values_of(pool: list[Expr], X: np.ndarray) -> np.ndarray:
    return np.stack([evaluate(term, X) for term in pool])


def test_a_sum_over_the_pool_is_found_term_by_term_the_largest_first() -> None:
    X = inputs()
    pool = [expr(text) for text in [*TERMS, "x1", "x0*x3"]]
    y = 3.0 * evaluate(pool[1], X) - 0.5 * evaluate(pool[0], X) + 0.25
    found = list(sums_of(pool, values_of(pool, X), Rows.of(X, y)))
    assert len(found) == 2
    assert loss_of(found[1], Rows.of(X, y)) < 1e-25 * y.var()
    assert loss_of(found[0], Rows.of(X, y)) > 1e-3 * y.var()


def test_weights_say_which_rows_the_sum_is_fitted_to() -> None:
    X = inputs()
    pool = [expr(TERMS[0]), expr(TERMS[1])]
    values = values_of(pool, X)
    weights = (X[:, 3] > 0).astype(float)
    y = np.where(weights > 0, 2.0 * values[0], -5.0 * values[1] ** 2)
    last = list(sums_of(pool, values, Rows.of(X, y, weights)))[-1]
    assert loss_of(last, Rows.of(X, y, weights)) < 1e-25


def test_terms_that_are_undefined_constant_or_there_twice_do_no_harm() -> None:
    X = inputs()
    pool = [expr(text) for text in ("x0", "2*x0", "x1/x1", "exp(exp(exp(exp(x2))))", "sin(x1)")]
    with np.errstate(all="ignore"):
        values = values_of(pool, X)
    y = X[:, 0] + np.sin(X[:, 1])
    found = list(sums_of(pool, values, Rows.of(X, y)))
    assert len(found) == 2
    assert loss_of(found[-1], Rows.of(X, y)) < 1e-25


def test_the_pool_holds_terms_and_whole_equations_that_are_worth_it() -> None:
    X = inputs()
    Y = np.column_stack([evaluate(expr(f"2*{TERMS[0]} - {TERMS[1]}"), X), np.random.default_rng(1).normal(size=400)])
    search = FlatSearch(X, Y, WORDS)
    search.offer(0, [expr(f"2*{TERMS[0]} - {TERMS[1]}")])
    search.offer(1, [expr("x0")])  # noise: nothing to offer
    pool = terms_found(search.archives)
    at_X = values_of(pool, X)
    for wanted in (TERMS[0], TERMS[1], f"2*{TERMS[0]} - {TERMS[1]}"):
        similar = [abs(np.corrcoef(evaluate(expr(wanted), X), v)[0, 1]) for v in at_X]
        assert max(similar) == pytest.approx(1.0, abs=1e-9)
    assert expr("x0") not in pool


def test_an_output_that_mixes_the_laws_of_others_is_found_through_them() -> None:
    X = inputs(500)
    laws = values_of([expr(text) for text in TERMS], X).T
    mixed = laws @ np.array([-1.18, 0.53, 0.79])
    together = search_flat(X, np.column_stack([laws, mixed]), WORDS, Budget(rounds=0), seed=0)
    assert all(archive.is_exact for archive in together)
    alone = search_flat(X, mixed[:, None], WORDS, Budget(rounds=0), seed=0)
    assert not alone[0].is_exact


FIRST = "x0*sin(1.7*x1)*exp(-0.3*square(x2))/(square(x3) + 1.3)"
SECOND = "-2*x1*sin(1.5*x0)*exp(-0.25*square(x3))/(square(x2) + 1.7)"


def test_inputs_change_places_in_pairs_each_choice_of_pairs_once() -> None:
    ways = list(exchanges([0, 1, 2, 3], 4))
    assert ways[0] == [0, 1, 2, 3]
    assert len({tuple(way) for way in ways}) == len(ways) == 10  # as many as there are involutions of four
    assert all([way[way[i]] for i in range(4)] == [0, 1, 2, 3] for way in ways)
    of_first = list(exchanges([0], 4))
    assert of_first == [[0, 1, 2, 3], [1, 0, 2, 3], [2, 1, 0, 3], [3, 1, 2, 0]]


def test_the_law_of_one_output_is_found_for_another_with_inputs_exchanged_and_other_constants() -> None:
    X = inputs(500)
    Y = values_of([expr(FIRST), expr(SECOND)], X).T
    bench = Workbench(X, Y, WORDS, Budget())
    bench.offer(0, [expr(FIRST)])
    bench.exchange()
    assert bench.archives[1].is_exact


def test_an_output_that_was_left_early_gets_the_laws_of_the_others_in_the_end() -> None:
    X = inputs(500)
    Y = values_of([expr(FIRST), expr(SECOND)], X).T
    search = FlatSearch(X, Y, WORDS, Budget(rounds=0))
    search.offer(0, [expr(FIRST)])
    search.offer(1, [expr("x3")])
    search.run(lambda output, archive, phase: True)
    assert not search.archives[1].is_exact
    search.finish()
    assert search.archives[1].is_exact


def test_only_what_is_worth_it_is_offered_with_inputs_exchanged() -> None:
    X = inputs()
    Y = np.column_stack([evaluate(expr(FIRST), X), np.random.default_rng(1).normal(size=400)])
    search = FlatSearch(X, Y, WORDS)
    search.offer(0, [expr(FIRST)])
    search.offer(1, [expr("x0*x1")])
    assert laws_found(search.archives) == [search.archives[0].pareto()[-1].expr]
    assert exchanged_for([], laws_found(search.archives), search.archives, X) == {}
