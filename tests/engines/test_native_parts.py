"""The native engine's parts, each alone."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from symtorch.engines.native import Budget, Vocabulary, normal, search_flat
from symtorch.engines.native.bank import Bank
from symtorch.engines.native.clean import Judge, clean
from symtorch.engines.native.contexts import first_guesses
from symtorch.engines.native.fit import Rows, fit, loss_of
from symtorch.engines.native.losses import parse_loss
from symtorch.engines.native.refine import wanted_at
from symtorch.engines.native.screen import group
from symtorch.engines.native.tape import Tape
from symtorch.equations.expr import Call, Constant, Expr, Variable, constants, evaluate, to_text
from symtorch.equations.operators import OPERATORS
from symtorch.equations.parser import parse
from symtorch.errors import OptionError
from symtorch.options import SearchOptions
from symtorch.samples import Samples

NAMES = ["x0", "x1", "x2"]
WIDE = SearchOptions.from_params(
    {
        "binary_operators": ["+", "-", "*", "/"],
        "unary_operators": ["square", "sqrt", "exp", "log", "sin", "cos"],
        "maxsize": 60,
    }
)
SPACES = [
    SearchOptions.from_params({"maxsize": 200}),
    SearchOptions.from_params({"binary_operators": ["+", "-", "*", "/"], "unary_operators": ["exp", "sin", "sqrt"],
                               "maxsize": 200}),
    SearchOptions.from_params({"binary_operators": ["+", "*", "^"], "unary_operators": ["exp", "sin"], "maxsize": 200}),
    SearchOptions.from_params({"binary_operators": ["-", "div(a, b) = a/b"], "maxsize": 200,
                               "unary_operators": ["exp", "sin", "rs(a) = 1/sqrt(a)", "sq(a) = a*a"]}),
]  # fmt: skip


def points(n: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.3, 1.7, (n, 3))


def read(text: str) -> Expr:
    return parse(text, NAMES)


_leaves = st.integers(0, 2).map(Variable) | st.sampled_from([-2.0, -1.0, 0.5, 1.0, 2.0, 3.0]).map(Constant)


def _grown(children: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    binary = st.tuples(st.sampled_from("+-*/"), children, children)
    unary = st.tuples(st.sampled_from(["exp", "sin", "cos", "square", "sqrt", "inv", "neg", "log"]), children)
    return (
        binary.map(lambda t: Call(OPERATORS[t[0]], t[1:]))
        | unary.map(lambda t: Call(OPERATORS[t[0]], t[1:]))
        | st.tuples(children, st.sampled_from([-2.0, -0.5, 0.5, 1.5, 2.0, 3.0])).map(
            lambda t: Call(OPERATORS["^"], (t[0], Constant(t[1])))
        )
    )


trees = st.recursive(_leaves, _grown, max_leaves=8)


def assert_same_values(a: Expr, b: Expr) -> None:
    """Equal wherever the first is defined and no term is so large that rounding decides."""
    X = points()
    left, right = evaluate(a, X), evaluate(b, X)
    sound = np.isfinite(left) & (np.abs(left) < 1e6) & (np.abs(left) > 1e-6) & (np.abs(right) < 1e12)
    np.testing.assert_allclose(right[sound], left[sound], rtol=1e-5)


# ---- normal form


@settings(max_examples=150, deadline=None, derandomize=True)
@given(trees)
def test_normal_form_keeps_the_values_and_is_its_own_normal_form(tree: Expr) -> None:
    form = normal.normalise(tree)
    if all(np.isfinite(c) and 1e-6 < abs(c) < 1e6 for c in constants(form)):
        assert_same_values(tree, form)
        assert normal.key(normal.normalise(form)) == normal.key(form)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("x0 - x0", "0"),
        ("1/(1/x0)", "x0"),
        ("x0*x1/x0", "x1"),
        ("exp(x0)*exp(x1)", "exp(x0 + x1)"),
        ("sqrt(x0)*sqrt(x0)", "x0"),
        ("2*(3 + x0)", "2*x0 + 6"),
        ("sin(0 - x0)*(0 - 1)", "sin(x0)"),
        ("sqrt(x0^2)", "(x0^2)^0.5"),
    ],
)
def test_normal_forms(text: str, form: str) -> None:
    assert to_text(normal.normalise(read(text)), NAMES) == form


def test_shapes_are_equal_whatever_the_constants() -> None:
    a, b = (normal.normalise(read(text)) for text in ("3/(2 + 4*x0)", "0.1/(x0 - 7)"))
    assert normal.key(a) == normal.key(b)


# ---- vocabulary


@pytest.mark.parametrize("options", SPACES, ids=lambda o: ",".join(o.operators))
@settings(max_examples=60, deadline=None, derandomize=True)
@given(tree=trees)
def test_what_is_written_means_the_same_in_any_operators(options: SearchOptions, tree: Expr) -> None:
    form = normal.normalise(tree)
    written = Vocabulary(options).render(form)
    if written is not None and all(np.isfinite(c) and 1e-6 < abs(c) < 1e6 for c in constants(form)):
        assert options.violation(written) is None or "maxsize" in str(options.violation(written))
        assert_same_values(form, written)


@pytest.mark.parametrize(
    ("params", "text", "written"),
    [
        ({}, "x0/x1", "x0*inv(x1)"),
        ({}, "x0^2", "x0*x0"),
        ({"unary_operators": ["square"]}, "x0*x0", "square(x0)"),
        ({"binary_operators": ["+", "*", "^"]}, "x0*x0*x0", "x0^3"),
        ({"binary_operators": ["/"], "unary_operators": []}, "x0*x1", None),
        ({"binary_operators": ["+", "*"], "unary_operators": []}, "sqrt(x0)", None),
    ],
)
def test_the_cheapest_writing_is_taken(params: dict, text: str, written: str | None) -> None:
    tree = Vocabulary(SearchOptions.from_params(params)).render(normal.normalise(read(text)))
    if written is None:
        assert tree is None or "/" in to_text(tree, NAMES)
    else:
        assert tree is not None
        assert to_text(tree, NAMES) == written


# ---- tape and fit


@settings(max_examples=100, deadline=None, derandomize=True)
@given(trees)
def test_tape_agrees_with_the_operator_table_and_its_slopes_with_differences(tree: Expr) -> None:
    form = normal.normalise(tree)
    tape = Tape(form)
    X = points(20)
    columns = tuple(X.T)
    with np.errstate(all="ignore"):
        values = tape.forward(columns, tape.constants)
        out = np.broadcast_to(values[-1], (20,))
        np.testing.assert_allclose(out, evaluate(form, X), rtol=1e-9, equal_nan=True)
        if not (np.isfinite(out).all() and np.abs(out).max() < 1e4):
            return
        slopes = tape.backward(values)
        for number, node in enumerate(tape.constant_nodes):
            step = 1e-6 * max(1.0, abs(tape.constants[number]))
            shift = np.zeros_like(tape.constants)
            shift[number] = step
            up, down = (tape.forward(columns, tape.constants + s * shift)[-1] for s in (1, -1))
            expected, slope = np.broadcast_to((up - down) / (2 * step), (20,)), np.broadcast_to(slopes[node], (20,))
            sound = np.isfinite(expected) & (np.abs(expected) < 1e4)
            np.testing.assert_allclose(slope[sound], expected[sound], rtol=1e-3, atol=1e-3)


def test_fit_finds_the_constants() -> None:
    X = points(200)
    y = evaluate(read("1.7*x0^2/(x2^2 + 0.5) + 2.2*sin(1.3*x1 + 0.2)"), X)
    found, loss = fit(normal.normalise(read("1.1*x0^2/(x2^2 + 0.4) + 2*sin(1.2*x1 + 0.1)")), Rows.of(X, y))
    assert loss < 1e-20
    np.testing.assert_allclose(sorted(constants(found))[1:3], [0.2, 0.5], rtol=1e-6)


def test_weights_decide_what_is_fitted() -> None:
    X = points(100)
    y = np.where(np.arange(100) < 50, 2.0, 4.0) * X[:, 0]
    weights = np.where(np.arange(100) < 50, 1.0, 0.0)
    found, _ = fit(read("1.5*x0"), Rows.of(X, y, weights))
    np.testing.assert_allclose(constants(found), [2.0])


@pytest.mark.parametrize(
    "text",
    ["L2DistLoss()", "L1DistLoss()", "HuberLoss(0.3)", "LogCoshLoss()", "LPDistLoss{1.5}()", "LogitDistLoss()",
     "QuantileLoss(0.5)", "L2EpsilonInsLoss(0.1)", "L1EpsilonInsLoss(0.1)"],
)  # fmt: skip
def test_losses_fall_and_their_weights_are_their_slopes(text: str) -> None:
    loss = parse_loss(text)
    r = np.array([-2.0, -0.7, -0.25, 0.4, 1.5])
    slope = (loss.value(r + 1e-6) - loss.value(r - 1e-6)) / 2e-6
    weight = np.ones_like(r) if loss.weight is None else loss.weight(r)
    np.testing.assert_allclose(2.0 * weight * r, slope, rtol=1e-4, atol=1e-6)
    X = points(200)
    y = 2.0 * X[:, 0] + 0.5 + 0.1 * np.random.default_rng(0).normal(size=200)
    start = read("1*x0 + 0.1")
    assert fit(start, Rows.of(X, y), loss)[1] < 0.5 * loss_of(start, Rows.of(X, y), loss)


def test_unknown_loss_names_the_engine_that_knows_it() -> None:
    with pytest.raises(OptionError, match="pysr"):
        parse_loss("MyOwnLoss()")


# ---- bank, contexts, refinement


def test_bank_trees_have_the_values_of_the_bank() -> None:
    X = points(64)
    bank = Bank(X, Vocabulary(WIDE), 3000, 5, torch.device("cpu"))
    assert bank.n == 3000
    for i in np.random.default_rng(0).integers(0, bank.n, 200):
        found = bank.values(int(i))
        np.testing.assert_allclose(evaluate(bank.expr(int(i)), X), found, rtol=2e-3, atol=1e-4 * np.abs(found).max())


def test_bank_has_nothing_that_cannot_be_written() -> None:
    words = Vocabulary(SearchOptions.from_params({"binary_operators": ["+"], "unary_operators": ["sin"]}))
    bank = Bank(points(64), words, 500, 5, torch.device("cpu"))
    assert all(words.render(bank.expr(i)) is not None for i in range(bank.n))


def test_first_guess_has_the_constants_of_the_law() -> None:
    X = points(128)
    y = evaluate(read("x0/(1 + 2*x1^2)"), X)
    bank = Bank(X, Vocabulary(WIDE), 2000, 4, torch.device("cpu"))
    guesses = first_guesses(bank, y, None, 50, 2000, lambda: False)
    assert min(loss_of(guess, Rows.of(X, y)) for guess in guesses) < 1e-10


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


def test_cleaning_drops_needless_constants_and_keeps_needed_ones() -> None:
    X = points(200)
    rows = Rows.of(X, 3.0 * X[:, 0] * X[:, 1] + 0.25)
    judge = Judge(lambda e: fit(e, rows), lambda e: loss_of(e, rows), 1.0, 200)
    start, loss = fit(normal.normalise(read("3*(x0 + 0.001)*(x1 + 0.002) + 0.2 + 0.001*x2")), rows)
    *_, (last, _) = clean(start, loss, judge)
    assert to_text(last, NAMES) == "3*(x0*x1) + 0.25"


def test_outputs_of_other_inputs_are_grouped_apart() -> None:
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (500, 40))
    Y = np.column_stack([X[:, 0] * X[:, 1], X[:, 0] + X[:, 2], np.exp(X[:, 30]) * X[:, 31]])
    groups = group(Samples(X, Y), range(3), 3, 0)
    assert [g.outputs for g in groups] == [(0, 1), (2,)]
    assert [g.columns for g in groups] == [(0, 1, 2), (30, 31)]


def test_flat_search_alone() -> None:
    X = points(300)
    Y = np.column_stack([X[:, 0] * X[:, 1], np.sin(X[:, 2]) + X[:, 0]])
    archives = search_flat(X, Y, Vocabulary(WIDE), Budget(rounds=1), seed=0)
    assert [a.is_exact for a in archives] == [True, True]


@pytest.mark.cuda
def test_a_bank_on_the_device_finds_the_same() -> None:
    X = points(300)
    y = evaluate(read("x0*x1/(x2^2 + 0.1)"), X)[:, None]
    (archive,) = search_flat(X, y, Vocabulary(WIDE), Budget(rounds=1), device=torch.device("cuda"))
    assert archive.is_exact
