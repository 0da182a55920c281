"""Front: a Pareto front that a PySR user feels at home with."""

from typing import Any

import numpy as np
import pytest

from symtorch.equations import Equation, Front, parse
from symtorch.errors import InputError

NAMES = ("a", "b")


def equation(text: str, complexity: Any, loss: Any, r2: Any = None) -> Any:
    return Equation(parse(text, NAMES), NAMES, complexity, loss, r2=r2)


@pytest.fixture
def front() -> Any:
    return Front.from_candidates(
        [
            equation("a*b + sin(a)", 6, 1e-9),
            equation("a", 1, 1.0),
            equation("a*b", 3, 0.01),
            equation("a*b + 0.1", 5, 0.02),  # dominated
            equation("a*b*1.0001 + sin(a)", 8, 0.99e-9),
            equation("b/0", 2, float("nan")),
        ],
        model_selection="best",
    )


def test_dominated_and_undefined_equations_are_dropped(front: Any) -> None:
    assert front.complexities == [1, 3, 6, 8]


def test_score_is_pysrs(front: Any) -> None:
    assert front[0].score == 0
    assert front[1].score == pytest.approx(np.log(100) / 2)


def test_best_is_the_highest_score_among_the_accurate(front: Any) -> None:
    assert front.best.complexity == 6
    assert front.get_best()["equation"] == "a*b + sin(a)"


def test_the_table_has_pysrs_columns(front: Any) -> None:
    table = front.equations_
    assert list(table.columns)[:5] == ["complexity", "loss", "score", "equation", "sympy_format"]
    assert table.loc[1, "sympy_format"].free_symbols == front.sympy(1).free_symbols


def test_predict_latex_and_sympy_speak_of_the_pick(front: Any) -> None:
    X = np.array([[2.0, 3.0]])
    assert front.predict(X) == pytest.approx(6 + np.sin(2))
    assert front.predict(X, index=1) == pytest.approx(6)
    assert r"\sin" in front.latex()
    assert str(front.sympy()) == "a*b + sin(a)"


def test_an_unknown_complexity_lists_those_there_are(front: Any) -> None:
    with pytest.raises(InputError, match=r"\[1, 3, 6, 8\]"):
        front.at(4)


def test_the_printed_front_marks_the_pick(front: Any) -> None:
    marked = [line for line in str(front).splitlines() if line.startswith(">")]
    assert len(marked) == 1
    assert "sin(a)" in marked[0]


def test_the_printed_front_says_why_the_search_stopped() -> None:
    equations = [equation("a", 1, 1.0)]
    text = str(Front.from_candidates(equations, engine="native", stop_reason="timeout", n_samples=1000))
    said = "approximation: how much it explains is not known"
    assert text.endswith(f"engine native, 1,000 rows; stopped: timeout; {said}")


def test_notebooks_show_a_table_and_the_pick(front: Any) -> None:
    assert front._repr_html_().count("<tr>") == 1 + len(front)
    assert front._repr_latex_().startswith("$")


def test_only_our_own_rule_heeds_held_out_rows() -> None:
    overfit = [equation("a", 1, 1.0, 0.1), equation("a*b", 3, 0.5, 0.5), equation("sin(a*b)", 6, 1e-4, -90.0)]
    rules = ("law", "best", "accuracy", "score")
    picks = {rule: Front.from_candidates(overfit, model_selection=rule).best.complexity for rule in rules}
    assert picks == {"law": 3, "best": 6, "accuracy": 6, "score": 6}
