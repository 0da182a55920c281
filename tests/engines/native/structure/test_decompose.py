"""Structure by asking the teacher: each test of the tests, each step, whole decompositions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from symtorch.engines.native.fitting.levenberg_marquardt import Rows, fit
from symtorch.engines.native.forms.normal import normalise
from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.candidates import Candidate, convincing, likeliest, pareto
from symtorch.engines.native.structure.decompose import Laws, find_laws
from symtorch.engines.native.structure.hypotheses import find_steps
from symtorch.engines.native.structure.one_input import one_input_forms
from symtorch.engines.native.structure.pairs import find_divided_pairs, find_pairs, find_scalings, gradients
from symtorch.engines.native.structure.problem import Count, Problem, mean_square, root
from symtorch.engines.native.structure.rank_two import RankTwo, find_rank_twos
from symtorch.engines.native.structure.separations import Swaps, find_gaps, find_separations
from symtorch.engines.native.structure.steps import Drop, Merge, Part, Rescale, Split, Step
from symtorch.engines.options import SearchOptions
from symtorch.equations.definitions import operator
from symtorch.equations.expr import Call, Constant, Expr, Variable, evaluate, transform, walk
from symtorch.equations.parser import parse

Teacher = Callable[[np.ndarray], np.ndarray]
OPTIONS = SearchOptions.from_params(
    {
        "binary_operators": ["+", "-", "*", "/"],
        "unary_operators": ["square", "sqrt", "exp", "log", "sin", "cos"],
        "complexity_of_operators": {},
    }
)


def box(d: int, low: float = 1.0, high: float = 3.0, n: int = 500, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (n, d))


def problem_of(f: Teacher, X: np.ndarray) -> Problem:
    return root(X, f, Count(), 0)


def wobble(d: int, size: float, seed: int = 3) -> Teacher:
    """A smooth error without structure, as a trained network's: a few random waves."""
    rng = np.random.default_rng(seed)
    W, b = rng.normal(0, 1.2, (d, 40)), rng.uniform(0, 6, 40)
    return lambda X: size * np.cos(X @ W + b).sum(axis=1) / np.sqrt(20.0)


def noise_free(f: Teacher, X: np.ndarray) -> tuple[Problem, np.ndarray, np.random.Generator]:
    problem = problem_of(f, X)
    return problem, gradients(problem), np.random.default_rng(0)


# ---- tests of pairs


@pytest.mark.parametrize(
    ("f", "scale", "r"),
    [
        (lambda X: np.sin(X[:, 0] - X[:, 1]) * X[:, 2], "identity", -1.0),
        (lambda X: np.exp(0.3 * (X[:, 0] + 0.37 * X[:, 1])) + X[:, 2], "identity", 0.37),
        (lambda X: np.sin(X[:, 0] * X[:, 1]) * X[:, 2], "log", 1.0),
        (lambda X: np.cos(X[:, 0] / X[:, 1] ** 2) + X[:, 2], "log", -2.0),
        (lambda X: np.sqrt(X[:, 0] ** 2 + 2.5 * X[:, 1] ** 2) * X[:, 2], "square", 2.5),
        (lambda X: np.sin(1 / X[:, 0] + 1 / X[:, 1]) * X[:, 2], "inverse", 1.0),
    ],
)
def test_two_inputs_that_act_as_one_are_found_with_their_slope(f: Teacher, scale: str, r: float) -> None:
    found = [p for p in find_pairs(*noise_free(f, box(3))) if p.residual < 1e-18 and (p.i, p.j) == (0, 1)]
    assert [p.scale for p in found] == [scale]
    assert found[0].r == pytest.approx(r, rel=1e-8)
    assert found[0].contrast < 1e-15


def test_inputs_that_act_apart_are_no_pair() -> None:
    found = find_pairs(*noise_free(lambda X: np.sin(X[:, 0]) * X[:, 1] + np.exp(X[:, 0]), box(2)))
    assert all(p.residual > 1e-4 for p in found)


def test_products_of_inputs_of_either_sign_are_found() -> None:
    found = find_pairs(*noise_free(lambda X: np.sin(X[:, 0] * X[:, 1]), box(2, -2.0, 2.0)))
    assert any(p.scale == "log" and p.r == 1.0 and p.residual < 1e-18 for p in found)


def test_a_component_of_a_central_force_is_found_after_a_division() -> None:
    def force(X: np.ndarray) -> np.ndarray:
        return X[:, 0] / (X[:, 0] ** 2 + X[:, 1] ** 2 + 0.1) ** 1.5

    found = [p for p in find_divided_pairs(*noise_free(force, box(2, -2.0, 2.0))) if p.residual < 1e-18]
    assert [(p.divisor, p.scale, p.r) for p in found] == [(0, "square", 1.0)]


def test_scaling_laws_are_found_with_their_exponents() -> None:
    found = find_scalings(*noise_free(lambda X: X[:, 0] ** 2 * np.sin(X[:, 1] / X[:, 0]), box(2)))
    good = [(s.i, s.j, s.s, s.k) for s in found if s.residual < 1e-18]
    assert (0, 1, 1, 2.0) in good


# ---- tests of groups


@pytest.mark.parametrize(
    ("f", "power", "offset"),
    [
        (lambda X: np.sin(X[:, 0] * X[:, 1]) + X[:, 2] ** 2, 1.0, 0.0),
        (lambda X: np.sin(X[:, 0] * X[:, 1]) * X[:, 2] ** 2, 0.0, 0.0),
        (lambda X: 3.7 + np.sin(X[:, 0] * X[:, 1]) * X[:, 2] ** 2, 0.0, 3.7),
        (lambda X: 1 / (X[:, 0] ** X[:, 1] + np.exp(X[:, 2])), -1.0, 0.0),
        (lambda X: np.sqrt(X[:, 0] ** X[:, 1] + np.exp(X[:, 2])), 2.0, 0.0),
        (lambda X: (X[:, 0] ** X[:, 1] + np.exp(X[:, 2])) ** -0.5, -2.0, 0.0),
    ],
)
def test_groups_that_act_apart_are_found_under_their_link(f: Teacher, power: float, offset: float) -> None:
    swaps = Swaps.ask(problem_of(f, box(3)), np.random.default_rng(0))
    found = find_separations(swaps, 1e-12, 0.05)
    best = min(found, key=lambda s: s.residual)
    assert best.groups == ((0, 1), (2,))
    assert best.link.power == power
    assert best.link.offset == pytest.approx(offset, abs=1e-9)


def test_inputs_that_never_meet_are_found_with_all_others_fixed() -> None:
    swaps = Swaps.ask(
        problem_of(lambda X: np.sin(X[:, 0] * X[:, 1]) + X[:, 1] ** X[:, 2], box(3)), np.random.default_rng(0)
    )
    assert [(g.i, g.j) for g in find_gaps(swaps, 1e-12, 0.05) if g.link.power == 1] == [(0, 2)]
    assert find_separations(swaps, 1e-12, 0.05) == []


# ---- tests of rank


@pytest.mark.parametrize(
    ("text", "i", "divisor", "known"),
    [
        ("x0*exp(x1) + sin(x1)", 0, 0.0, 1.0),
        ("square(x0)*sin(x1) + exp(x1)", 0, 0.0, 2.0),
        ("exp(x1) + sin(x0)*log(x1)", 0, 0.0, None),
        ("x0*log(x1) + sin(x0)*exp(x1)", 0, 1.0, None),
    ],
)
def test_an_input_told_apart_is_found_with_its_function(text: str, i: int, divisor: float, known: float | None) -> None:
    problem = problem_of(lambda X: evaluate(parse(text, ["x0", "x1"]), X), box(2))
    found = [r for r in find_rank_twos(problem, 1e-20, 1e-3, np.random.default_rng(0)) if r.i == i]
    assert (divisor, known) in [(r.divisor, r.known) for r in found]


def test_functions_of_higher_rank_are_told_from_rank_two() -> None:
    for f in (lambda X: np.exp(X[:, 0] * X[:, 1]), lambda X: 1 / X.sum(axis=1), lambda X: np.log(1 + X.prod(axis=1))):
        assert list(find_rank_twos(problem_of(f, box(2)), 1e-12, 1e-3, np.random.default_rng(0))) == []


def test_rank_two_of_a_teacher_that_errs_is_found_at_its_noise_floor() -> None:
    error, X = wobble(3, 1e-3), box(3)

    def law(X: np.ndarray) -> np.ndarray:
        return X[:, 0] * np.exp(X[:, 1] - X[:, 2]) + np.sin(X[:, 1] - X[:, 2])

    problem = problem_of(lambda X: law(X) + error(X), X)
    found = list(find_rank_twos(problem, 100 * 1e-6 / law(X).var(), 1e-2, np.random.default_rng(0)))
    assert (0, 0.0, 1.0) in [(r.i, r.divisor, r.known) for r in found]


# ---- noise


@pytest.mark.parametrize("size", [1e-3, 1e-2])
def test_the_noise_floor_is_of_the_size_of_the_teachers_error_and_finds_the_same_structure(size: float) -> None:
    X, error = box(3), wobble(3, size)

    def law(X: np.ndarray) -> np.ndarray:
        return np.sin(X[:, 0] - X[:, 1]) * X[:, 2]

    relative = size**2 / law(X).var()
    findings = find_steps(problem_of(lambda X: law(X) + error(X), X), np.inf, 0)
    # The floor is what the most favourable test sees, so mostly less than the whole error.
    assert 0.01 * relative < findings.floor < 5 * relative
    kinds = {(type(s), getattr(getattr(s, "pair", None), "r", None)) for s in findings.steps}
    assert (Merge, -1.0) in kinds
    assert any(isinstance(s, Split) and s.separation.groups == ((0, 1), (2,)) for s in findings.steps)


def test_an_exact_teacher_has_a_floor_of_rounding() -> None:
    assert find_steps(problem_of(lambda X: X[:, 0] * np.exp(X[:, 1]), box(2)), np.inf, 0).floor < 1e-20


def test_inputs_without_effect_are_dropped_also_by_a_teacher_that_errs() -> None:
    error = wobble(5, 1e-2)
    problem = problem_of(lambda X: X[:, 1] * np.exp(X[:, 3]) + error(X), box(5))
    (step,) = find_steps(problem, np.inf, 0).steps
    assert isinstance(step, Drop)
    assert step.inputs == (0, 2, 4)


def test_a_weak_input_of_an_exact_teacher_is_kept() -> None:
    def law(X: np.ndarray) -> np.ndarray:
        return X[:, 0] ** 2 + 1e-2 * np.sin(X[:, 1])

    assert law_error(find_laws(box(2), law, OPTIONS), law, box(2, seed=9)) < 1e-20


def test_the_mean_over_replicas_is_nearer_to_the_law_than_one_answer() -> None:
    error, X = wobble(2, 2e-2), box(2)
    problem = problem_of(lambda X: np.sin(X[:, 0] - X[:, 1]) + error(X), X)
    pair = min(find_pairs(problem, gradients(problem), np.random.default_rng(0)), key=lambda p: p.residual)
    (part,) = Merge(pair, 2).parts(problem)
    Z, mean, spread = part.averaged(16)
    one = part.ask(Z, 0)
    truth = np.sin(Z[:, 0])
    assert mean_square(mean - truth) < 0.7 * mean_square(one - truth)
    assert 0 < spread < 1e-2


# ---- steps there and back


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("sin(x0 - x1)*x2", (Merge, Split)),
        ("x0/(square(x0) + square(x1) + 1)", (Merge,)),
        ("square(x0)*sin(x1/x0)", (Rescale,)),
        ("1/(x0*x0 + exp(x1))", (Split,)),
        ("3 + sin(x0)*exp(x1)", (Split,)),
        ("sin(x0) + exp(x1)", (Split,)),
        ("sin(x0*x1) + sqrt(x1*x2 + x2)", (Part,)),
        ("x0*exp(x1) + sin(x1)", (RankTwo,)),
        ("x0/(square(x1) + 1) - 2*x1/(square(x0) + 3)", (RankTwo,)),
    ],
)
def test_joined_parts_are_the_function_again(text: str, names: tuple[type, ...]) -> None:
    """The parts' own answers, put together by the step's formula, are the teacher's answers."""
    d = 1 + max(int(c) for c in text[1:] if c in "012" and f"x{c}" in text)
    X = box(d)
    expr = parse(text, [f"x{i}" for i in range(d)])
    problem = problem_of(lambda X: evaluate(expr, X), X)
    steps = find_steps(problem, np.inf, 0).steps
    assert {type(s) for s in steps} >= set(names)
    for step in steps:
        parts = step.parts(problem)
        stand_ins: list[Expr] = []
        columns: list[np.ndarray] = []
        for part in parts:
            stand_ins.append(Variable(d + len(columns)))
            columns.append(part.ask(part.Z, 0))
        joined = _with_stand_ins(step, stand_ins)
        values = evaluate(joined, np.column_stack([problem.Z, *columns]))
        if not isinstance(step, Split):
            np.testing.assert_allclose(values, problem.y, rtol=1e-9)
        # Parts of a product are known up to a factor, those of a sum up to a shift: the joint fit finds them.
        elif (link := step.separation.link).power == 0:
            ratio = (values - link.offset) / (problem.y - link.offset)
            np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
        else:
            shift = values**link.power - problem.y**link.power
            np.testing.assert_allclose(shift, shift[0], rtol=1e-9)


def _with_stand_ins(step: Step, stand_ins: list[Expr]) -> Expr:
    """The step's formula with columns of answers in the place of the parts' expressions."""
    marks = [operator(f"part{k}(x) = exp(x) + {k}") for k in range(len(stand_ins))]
    swapped = dict(zip(marks, stand_ins, strict=True))
    joined = step.join([Call(mark, (Variable(0),)) for mark in marks])
    return transform(joined, lambda node: swapped.get(node.op, node) if isinstance(node, Call) else node)


# ---- pieces of one input


@pytest.mark.parametrize(
    "text",
    [
        "2.5*x0",
        "0.7/x0",
        "3*sqrt(x0) + 1",
        "1/(square(x0) + 0.3)",
        "exp(-0.7*x0) + 2",
        "sin(3.1*x0 + 0.4)",
        "log(x0)",
        "sin(1.9*x0) + 0.4*x0",
        "1/(square(x0) + 1.3) - 0.4*x0",
        "exp(-0.7*square(x0)) + x0",
        "x0*exp(-x0) + 1",
        "1.2*sin(2.9*x0) + 0.7*sin(4.4*x0)",
    ],
)
def test_common_functions_of_one_input_are_among_the_forms(text: str) -> None:
    X = box(1)
    y = evaluate(parse(text, ["x0"]), X)
    losses = [fit(form, Rows.of(X, y))[1] for form in one_input_forms(X[:, 0], y, Vocabulary(OPTIONS))]
    assert min(losses) < 1e-20 * y.var()


# ---- candidates


def test_the_law_is_where_the_front_bends_and_convinces_only_near_the_floor() -> None:
    front = [Candidate(Variable(0), c, loss) for c, loss in [(1, 0.8), (5, 0.3), (9, 1e-5), (14, 8e-6), (25, 3e-6)]]
    assert likeliest(front)[0].cost == 9
    assert convincing(front, 1e-5)
    assert not convincing(front, 1e-8)
    assert not convincing([], 1.0)
    assert convincing([Candidate(Variable(0), 9, 1e-28)], 1e-31)
    assert not convincing([Candidate(Variable(0), 9, 1e-15)], 1e-31)  # close, but the teacher is exact
    assert [c.cost for c in pareto([*front, Candidate(Variable(0), 12, 1e-4)])] == [1, 5, 9, 14, 25]


# ---- whole decompositions


def law_error(laws: Laws, law: Teacher, X: np.ndarray) -> float:
    truth = law(X)
    return min(float(np.mean((evaluate(e, X) - truth) ** 2) / truth.var()) for e in laws.exprs)


@pytest.mark.parametrize(
    ("law", "d"),
    [
        (lambda X: X[:, 0] * X[:, 1] / (X[:, 2] ** 2 + X[:, 3] ** 2), 5),
        (lambda X: X[:, 0] * (X[:, 1] + X[:, 2] * np.sin(X[:, 3])), 4),
        (lambda X: X[:, 0] * np.exp(-X[:, 1] * X[:, 2] / X[:, 3]), 4),
        (lambda X: X[:, 0] / (X[:, 1] ** 2 + 1.4) - 1.6 * X[:, 1] / (X[:, 0] ** 2 + 1.8), 2),
    ],
)
def test_exact_teachers_give_exact_laws(law: Teacher, d: int) -> None:
    laws = find_laws(box(d), law, OPTIONS)
    assert laws.solved
    assert law_error(laws, law, box(d, seed=9)) < 1e-20


def test_the_law_of_a_teacher_that_errs_is_nearer_to_the_truth_than_the_teacher() -> None:
    error = wobble(4, 0.02)

    def law(X: np.ndarray) -> np.ndarray:
        return X[:, 0] * (X[:, 1] + X[:, 2] * np.sin(X[:, 3]))

    laws = find_laws(box(4), lambda X: law(X) + error(X), OPTIONS)
    fresh = box(4, seed=9)
    assert laws.solved
    assert law_error(laws, law, fresh) < 0.05 * float(np.mean(error(fresh) ** 2) / law(fresh).var())


def test_a_trained_network_gives_the_law_that_it_was_trained_on() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 48), torch.nn.SiLU(), torch.nn.Linear(48, 1))
    X = torch.rand(4000, 3) * 2 + 1
    y = (X[:, :1] * X[:, 1:2] / X[:, 2:]) / 3
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
    for _ in range(1500):
        rows = torch.randint(0, 4000, (256,))
        optimizer.zero_grad()
        ((net(X[rows]) - y[rows]) ** 2).mean().backward()
        optimizer.step()
        schedule.step()
    net.double().requires_grad_(False)

    def law(X: np.ndarray) -> np.ndarray:
        return X[:, 0] * X[:, 1] / X[:, 2] / 3

    def teacher(X: np.ndarray) -> np.ndarray:
        return net(torch.as_tensor(X))[:, 0].numpy()

    fresh = box(3, seed=9)
    own = float(np.mean((teacher(fresh) - law(fresh)) ** 2) / law(fresh).var())
    assert law_error(find_laws(box(3), teacher, OPTIONS), law, fresh) < 0.2 * own


def test_the_same_seed_gives_the_same_laws() -> None:
    error = wobble(3, 0.01)

    def teacher(X: np.ndarray) -> np.ndarray:
        return X[:, 0] * np.sin(X[:, 1]) + X[:, 2] + error(X)

    assert find_laws(box(3), teacher, OPTIONS, 5).exprs == find_laws(box(3), teacher, OPTIONS, 5).exprs


def test_laws_are_written_in_the_users_operators_only() -> None:
    """x0/sqrt(x1) - x2 without division, subtraction and roots: what can't be written isn't returned as a law."""
    few = SearchOptions.from_params({"binary_operators": ["+", "*"], "unary_operators": ["inv(x) = 1/x", "exp"]})
    words = Vocabulary(few)
    laws = find_laws(box(3), lambda X: X[:, 0] / X[:, 1] - X[:, 2], few)
    tree = words.legal(normalise(laws.exprs[-1]))
    assert laws.solved
    assert tree is not None
    assert few.violation(tree) is None
    assert {node.op.name for node in walk(tree) if hasattr(node, "op")} <= {"+", "*", "inv"}


def test_questions_stay_where_the_samples_are() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(800, 1))
    X = np.hstack([shared, shared + 0.05 * rng.normal(size=(800, 1))])
    asked = []

    def teacher(X: np.ndarray) -> np.ndarray:
        asked.append(X)
        return X[:, 0] * X[:, 1]

    find_laws(X, teacher, OPTIONS)
    rows = np.concatenate(asked)
    width = np.ptp(X, axis=0)
    assert (rows >= X.min(axis=0) - 0.021 * width).all()
    assert (rows <= X.max(axis=0) + 0.021 * width).all()
    # Inputs that move together are never asked for apart: not beyond what the samples show.
    assert np.abs(rows[:, 0] - rows[:, 1]).max() < 2 * np.abs(X[:, 0] - X[:, 1]).max()


def test_a_constant_teacher_and_one_that_is_undefined_in_places_do_no_harm() -> None:
    assert find_laws(box(2), lambda X: np.full(len(X), 2.5), OPTIONS).exprs == [Constant(2.5)]
    holes = find_laws(box(2), lambda X: np.where(X[:, 0] > 2.5, np.nan, X[:, 0] * X[:, 1]), OPTIONS)
    assert holes.solved
    assert law_error(holes, lambda X: X[:, 0] * X[:, 1], box(2, seed=1)) < 1e-20


def test_a_search_that_is_told_to_stop_returns_at_once() -> None:
    laws = find_laws(box(3), lambda X: X[:, 0] * X[:, 1] + X[:, 2], OPTIONS, stopped=lambda: True)
    assert laws.exprs == []
    assert not laws.solved
