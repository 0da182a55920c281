"""What is shown of equations and fronts fits on a screen and says what was left out."""

import pickle
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import matplotlib
import numpy as np
import pytest

from symtorch.equations import Equation, Front, Fronts, parse, show
from symtorch.equations.expr import Call, size
from symtorch.equations.mathml import mathml
from symtorch.equations.names import check_names
from symtorch.equations.operators import OPERATORS
from symtorch.equations.parser import parse as read
from symtorch.errors import InputError, SymTorchError, listed

matplotlib.use("Agg")
NAMES = ("a", "b")
LONG = " + ".join(f"{k + 0.123456}*sin({k}*a)" for k in range(1, 60))


def equation(text: str, complexity: Any, loss: Any, r2: Any = None) -> Any:
    return Equation(parse(text, NAMES), NAMES, complexity, loss, r2=r2)


@pytest.fixture
def front() -> Any:
    points = [("a", 1, 1.0), ("a*b", 3, 0.01), ("a*b + sin(a)", 6, 1e-9), ("a*b*1.0001 + sin(a)", 8, 0.0)]
    made = [equation(*point, r2=0.5) for point in points]
    return Front.from_candidates(made, model_selection="best", engine="native", stop_reason="exact", n_samples=1000)


@pytest.fixture
def large_front() -> Any:
    return Front.from_candidates([equation(LONG, k, 0.9**k) for k in range(1, 200)])


@pytest.fixture(autouse=True)
def no_figure_is_left() -> Iterator[Any]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


class Tags(HTMLParser):
    """That tags are closed in the order they were opened in, and the style of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[Any] = []
        self.styles: dict[str, Any] = {}
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: Any, attrs: Any) -> None:
        self.open.append(tag)
        self.styles.setdefault(tag, []).append(dict(attrs).get("style", ""))

    def handle_endtag(self, tag: Any) -> None:
        assert self.open.pop() == tag


def on_a_screen(text: str) -> Any:
    lines = text.splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 180
    return lines


def test_an_equation_says_what_it_is_in_a_line() -> None:
    text = repr(equation("2.123456789*a + b", 5, 1.23e-6, r2=0.99998))
    assert text == "<Equation 2.1235*a + b, complexity 5, loss 1.23e-06, held-out R² 0.99998>"
    assert len(on_a_screen(repr(equation(LONG, 300, 1.0)))) == 1


def test_a_front_shows_its_table(front: Any, large_front: Any) -> None:
    assert repr(front) == str(front)
    lines = on_a_screen(repr(large_front))
    assert sum(line.startswith(">") for line in lines) == 1
    assert "20 of 199 equations" in lines[-2]
    assert len(str(large_front).splitlines()) == 201  # who prints it gets all
    assert parse(str(large_front).splitlines()[1].split(maxsplit=2)[2], NAMES)


@pytest.mark.parametrize("pick", [0, 5, 50, 197, 198])
def test_the_pick_is_among_the_rows_shown(pick: Any) -> None:
    shown = show.window(199, pick)
    assert len(shown) == show.ROWS
    assert pick in shown
    assert list(show.window(7, pick)) == list(range(7))


def test_several_fronts_show_their_picks_and_are_a_dict(front: Any) -> None:
    fronts = Fronts({0: front, 3: front})
    assert isinstance(fronts, dict)
    assert fronts == {0: front, 3: front}
    assert pickle.loads(pickle.dumps(fronts)) == fronts
    lines = on_a_screen(repr(fronts))
    assert lines[:2] == [f"y{i} = a*b*1.0001 + sin(a)    [complexity 8, loss 0, held-out R² 0.5]" for i in (0, 3)]
    assert lines[2].startswith("engine native, 1,000 rows; stopped: exact; ")
    assert lines[2].endswith(str(front.verdict))
    assert repr(Fronts()) == "{}"


def test_hundreds_of_outputs_are_counted(front: Any, large_front: Any) -> None:
    fronts = Fronts(dict.fromkeys(range(576), large_front))
    summary = repr(fronts)
    assert len(summary) < 1000
    assert "… and 571 more; complexity 197 to 197" in on_a_screen(summary)
    fronts[7] = front
    assert "… and 571 more; complexity 8 to 197, held-out R² 0.5 (y7) to 0.5" in repr(fronts)
    fronts[7] = large_front
    page = fronts._repr_html_()
    Tags(page)
    assert page.count("<tr>") == 1 + show.ROWS
    assert "20 of 576 outputs" in page
    assert show.picks_latex(Fronts(dict.fromkeys(range(576), front)).picks).count("&=") == show.ROWS


def test_notebooks_show_a_front_with_its_pick(front: Any) -> None:
    page = front._repr_html_()
    Tags(page)
    assert page.count("<tr>") == 1 + len(front)
    assert page.count("&#9656;") == 1
    assert front.summary in page
    # The pick's cell is the marked one.
    marked = next(row for row in page.split("<tr>") if "&#9656;" in row)
    assert mathml(front.best.expr, front.best.variable_names) in marked


def test_formulas_have_the_room_that_other_columns_leave(front: Any) -> None:
    for page in (front._repr_html_(), Fronts({0: front})._repr_html_()):
        styles = Tags(page).styles
        widths = [re.search(r"(?<!-)width:(\d+)%", style) for style in styles["th"]]
        assert [int(width[1]) > 50 for width in widths if width] == [True]
        assert "table-layout:auto" in styles["table"][0]
        assert "overflow-x:auto" in styles["div"][0]  # and what is wider than the page can be scrolled


def test_an_equation_in_a_notebook_is_a_formula_that_needs_no_script(front: Any, large_front: Any) -> None:
    page = front.best._repr_html_()
    Tags(page)
    assert page.count("<math") == 2  # a term each, between which a line can break
    assert "$" not in page
    assert front._repr_latex_() == f"${front.latex()}$"
    row = large_front.best
    while size(row.expr) <= show.LARGEST_ALONE:
        row = replace(row, expr=Call(OPERATORS["+"], (row.expr, row.expr)))
    assert "<code>" in row._repr_html_()
    assert row._repr_latex_() is None


def test_names_from_outside_are_text_in_html() -> None:
    eq = Equation(parse("a + 1", ["a"]), ("a",), 3, 0.1)
    assert "<script>" not in show.picks_html({0: eq}, "<script>")
    assert "&lt;script&gt;" in show.picks_html({0: eq}, "<script>")


def test_an_endless_equation_is_cut_text_in_html(large_front: Any) -> None:
    page = large_front._repr_html_()
    Tags(page)
    assert "<code>" in page
    assert len(page) < 20_000


# ---- figures


def test_a_front_is_drawn_with_its_pick_marked(front: Any) -> None:
    ax = front.plot()
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), front.complexities)
    np.testing.assert_allclose(line.get_ydata()[:3], [1.0, 0.01, 1e-9])
    assert 0.0 < line.get_ydata()[3] < 1e-9  # no loss at all has a place too
    dots, star = ax.collections
    assert len(dots.get_offsets()) == len(front)
    assert star.get_offsets().tolist() == [[front.best.complexity, line.get_ydata()[front.best_index]]]
    assert ax.get_legend().get_texts()[0].get_text() == str(front.best)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("complexity", "loss", "log")


def test_a_front_is_drawn_where_it_is_told_to(front: Any) -> None:
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2)
    there = plt.get_fignums()
    assert front.plot(ax=right) is right
    assert right.collections
    assert not left.collections
    assert plt.get_fignums() == there  # no new figure
    plt.close(figure)


def test_losses_below_zero_are_drawn_too() -> None:
    ax = Front.from_candidates([equation("a", 1, 0.5), equation("a*b", 3, -2.0)]).plot()
    assert ax.lines[0].get_ydata().tolist() == [0.5, -2.0]
    assert ax.get_yscale() == "linear"


# ---- messages


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], ""),
        ([3], "3"),
        ([0, 1], "0, 1"),
        (range(575), "0-574"),
        ([0, 1, 2, 5, 7, 8, 9], "0-2, 5, 7-9"),
        ([True, False], "True, False"),
        (["a", "b"], "'a', 'b'"),
        (range(0, 100, 2), "0, 2, 4, 6, 8, ... (45 more)"),
        ([*range(0, 90, 10), *range(100, 200), *range(201, 220, 2)], "0, 10, 20, 30, 40, ... (114 more)"),
    ],
)
def test_values_are_listed_briefly(values: Any, text: str) -> None:
    assert listed(values) == text


def test_no_message_is_longer_than_anybody_reads() -> None:
    names = [f"a_rather_long_name_of_an_input_{i}" for i in range(600)]
    with pytest.raises(InputError, match="600 variable names") as raised:
        check_names(names, 599)
    assert len(str(raised.value)) < 1000
    with pytest.raises(InputError, match="'b' in 'b'") as raised:
        read("b", names)
    assert len(str(raised.value)) < 1000
    error = SymTorchError("start " + "x" * 5000 + " end")
    assert len(str(error)) < 1000
    assert str(error).startswith("start x")
    assert str(error).endswith(" end")
    assert len(repr(pickle.loads(pickle.dumps(error)))) < 1000
