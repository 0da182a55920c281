"""Whole decompositions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from structures import OPTIONS, Teacher, box, law_error, wobble

from symtorch.engines.native.forms.vocabulary import Vocabulary
from symtorch.engines.native.structure.decompose import find_laws
from symtorch.engines.native.structure.tuning import tuning
from symtorch.engines.options import SearchOptions
from symtorch.equations.expr import Constant, walk
from symtorch.equations.normal import normalise


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


@pytest.mark.parametrize(("missed", "solved"), [(0.0, True), (0.007, False)])
def test_an_equation_that_loses_more_than_the_teachers_error_is_no_law(missed: float, solved: bool) -> None:
    """``sin(x0 - x1)*x2`` explains all but the error, or all but the error and a ripple twice as large."""
    error, X = wobble(3, 1e-2), box(3)

    def teacher(X: np.ndarray) -> np.ndarray:
        u = X[:, 0] - X[:, 1]
        return (np.sin(u) + missed * np.cos(4 * u**2)) * X[:, 2] + error(X)

    laws = find_laws(X, teacher, OPTIONS, flat=lambda *_: [])
    relative = float(np.mean(error(X) ** 2) / teacher(X).var())
    assert laws.solved is solved
    assert 0.2 * relative < laws.error < 5 * relative  # as large, whatever the equation misses
    assert (laws.loss > 3 * relative) is not solved


@pytest.mark.parametrize("most", [0, 50, 1000, 5000, 20_000])
def test_no_more_rows_are_asked_than_allowed_and_what_was_found_is_kept(most: int) -> None:
    asked = []

    def law(X: np.ndarray) -> np.ndarray:
        return X[:, 0] * (X[:, 1] + X[:, 2] * np.sin(X[:, 3]))

    def teacher(X: np.ndarray) -> np.ndarray:
        asked.append(len(X))
        return law(X)

    laws = find_laws(box(4), teacher, OPTIONS, most_rows=most)
    assert sum(asked) == laws.rows_asked <= most
    whole = find_laws(box(4), law, OPTIONS)
    assert laws.solved == (most >= whole.rows_asked)
    assert laws.exprs == whole.exprs or not laws.solved


def test_a_part_that_was_solved_before_the_questions_ended_is_found() -> None:
    """Of a noisy teacher one plan is followed after another; the first one's laws stay."""
    error = wobble(3, 0.02)

    def teacher(X: np.ndarray) -> np.ndarray:
        return X[:, 0] * X[:, 1] + np.sin(3 * X[:, 2]) * X[:, 2] + error(X)

    rows = find_laws(box(3), teacher, OPTIONS).rows_asked
    found = [find_laws(box(3), teacher, OPTIONS, most_rows=round(share * rows)) for share in (0.0, 0.9, 1.0)]
    assert [len(laws.exprs) > 0 for laws in found] == [False, True, True]


def test_an_equation_far_above_what_other_steps_see_of_the_error_is_no_law() -> None:
    """``(x0 + x1)*(cos(x2) + 1)`` is near to it, by a step that holds nearly; scalings see how good the teacher is."""
    X, error = box(3, 1.0, 5.0), wobble(3, 0.08)

    def law(X: np.ndarray) -> np.ndarray:
        return X[:, 0] + X[:, 1] + 2 * np.sqrt(X[:, 0] * X[:, 1]) * np.cos(X[:, 2])

    laws = find_laws(X, lambda X: law(X) + error(X), OPTIONS)
    true = float(np.mean(error(X) ** 2) / law(X).var())
    assert 0.1 * true < laws.witnessed < 5 * true
    assert laws.error <= 3 * laws.witnessed
    assert not laws.solved or laws.loss < 10 * true


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_teacher_of_a_difference_is_no_better_than_it_shows_behind_it(dtype: type) -> None:
    """A network of ``x0 - x1`` obeys that identity to the last digit, whatever it has learned."""
    error = wobble(2, 2e-3)

    def law(X: np.ndarray) -> np.ndarray:
        return X[:, 2] * np.exp(-((X[:, 0] - X[:, 1]) ** 2))

    def teacher(X: np.ndarray) -> np.ndarray:
        inner = np.stack([X[:, 0] - X[:, 1], X[:, 2]], axis=1)
        return (law(X) + error(inner)).astype(dtype).astype(float)

    X = box(3)
    own = float(np.mean((teacher(X) - law(X)) ** 2) / law(X).var())
    laws = find_laws(X, teacher, OPTIONS)
    assert laws.solved
    assert 0.01 * own < laws.floor < 10 * own
    assert law_error(laws, law, X) < 0.1 * own


def ripple(X: np.ndarray, size: float) -> np.ndarray:
    """An error with as many turns as a network's kinks give it, of this root mean square."""
    rng = np.random.default_rng(5)
    Z = (X - X.min(axis=0)) / np.ptp(X, axis=0)
    W, b = rng.normal(0, 14.0, (X.shape[1], 40)), rng.uniform(0, 6, 40)
    return size * np.cos(Z @ W + b).sum(axis=1) / np.sqrt(20.0)


def test_a_sum_that_holds_nearly_is_no_law_if_what_it_leaves_is_smooth() -> None:
    """No other test holds, so nothing but what is left tells that the teacher is a hundred times better than that."""
    rng = np.random.default_rng(0)
    X = rng.uniform(0.5, [8.0, 15.0], (1000, 2))
    span = np.array([[0.5, 0.5], [8.0, 15.0]])

    def law(X: np.ndarray) -> np.ndarray:
        return X[:, 0] * (4 - X[:, 0] - X[:, 1] / (1 + X[:, 0]))

    size = 6e-3 * float(law(X).std())
    laws = find_laws(X, lambda X: law(X) + ripple(np.vstack([X, span]), size)[:-2], OPTIONS, flat=lambda *_: [])
    assert laws.exprs
    assert not laws.solved or laws.loss < 10 * 6e-3**2


def test_pieces_of_an_exact_teacher_are_asked_for_on_as_many_rows_as_they_are_fitted_to() -> None:
    asked = []

    def teacher(X: np.ndarray) -> np.ndarray:
        asked.append(len(X))
        return X[:, 0] * np.exp(X[:, 1]) + np.sin(X[:, 2]) * X[:, 3]

    X = np.random.default_rng(0).uniform(1, 3, (3000, 4))
    assert find_laws(X, teacher, OPTIONS).solved
    assert sum(n > tuning().piece_rows for n in asked) == 1  # of the whole
