"""Figures, by what is drawn: a block beside its equation, and explanations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine
from linear_engine import LinearEngine
from torch import nn

import symtorch
from symtorch import InputError, NotDistilledError, SymbolicModel
from symtorch.equations import show
from symtorch.errors import NotAFunctionWarning

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


class Law(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[:, 0] ** 2 + x[:, 2], 3 * x[:, 1]], dim=1)


X = torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def law(**how: Any) -> SymbolicModel:
    model = SymbolicModel(Law(), "law")
    model.distill(X, engine=FormulaEngine("1", "x2 + 1"), **how)
    return model


def drawn(line: Any) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def test_parity_is_on_the_rows_that_were_held_out() -> None:
    model = law(sr_params={"random_state": 3})
    engine = FormulaEngine("1")
    SymbolicModel(Law()).distill(X, engine=engine, sr_params={"random_state": 3})
    searched = {tuple(row) for row in engine.searches[0][0].X}
    held_out = np.array([row for row in X.numpy() if tuple(row) not in searched])
    ax = model.plot(0, of="parity")
    points = np.asarray(ax.collections[0].get_offsets())
    assert len(points) == len(held_out) == 40
    np.testing.assert_allclose(points[:, 0], held_out[:, 0] ** 2 + held_out[:, 2])
    np.testing.assert_allclose(points[:, 1], held_out[:, 2] + 1)
    assert "on 40 held-out rows" in ax.get_title()
    assert f"R² {model.equation(0).r2:.5g} " in ax.get_title()
    x, y = drawn(ax.lines[0])
    np.testing.assert_array_equal(x, y)


def test_profiles_show_block_and_equation_with_the_rest_at_their_medians() -> None:
    model = law()
    ax = model.plot(0, X, of="x0")
    (x, block), (same_x, equation) = map(drawn, ax.lines)
    assert [line.get_label() for line in ax.lines] == ["block", "equation"]
    assert ax.get_xlabel() == "x0"
    np.testing.assert_array_equal(x, same_x)
    assert (x[0], x[-1]) == (X[:, 0].min(), X[:, 0].max())
    middle = np.median(X[:, 2].numpy())
    np.testing.assert_allclose(block, x**2 + middle)
    np.testing.assert_allclose(equation, middle + 1)


def test_all_figures_are_parity_and_every_input_those_of_the_equation_first() -> None:
    import matplotlib.pyplot as plt

    model = law()
    axes = model.plot(0)
    assert [ax.get_xlabel() for ax in axes] == ["block", "x2", "x0", "x1"]
    assert {ax.figure.number for ax in axes} == {*plt.get_fignums()}
    assert len(model.plot(0, n_inputs=1)) == 2


def test_axes_that_are_given_are_drawn_on() -> None:
    import matplotlib.pyplot as plt

    model = law()
    _, ax = plt.subplots()
    assert model.plot(1, ax=ax) is ax
    assert len(ax.collections) == 1
    assert model.plot(1, of="x1", ax=ax) is ax
    assert len(ax.lines) == 3


def test_what_was_chosen_is_drawn_over_the_blocks_own_inputs(engine: LinearEngine) -> None:
    model = SymbolicModel(Law(), "law")
    model.distill(X, engine=FormulaEngine("1", "s + 1"), variable_transforms={"s": "x0^2", "w": "x1"})
    axes = model.plot(0)
    assert [ax.get_xlabel() for ax in axes][1:] == ["x0", "x1", "x2"]
    x, equation = drawn(axes[1].lines[1])
    np.testing.assert_allclose(equation, x**2 + 1)
    model.switch_to_symbolic({0: 1})
    axes = model.plot(0, of="x0")
    np.testing.assert_allclose(drawn(axes.lines[1])[1], 1)
    frame = pytest.importorskip("pandas").DataFrame(X.numpy(), columns=["a", "b", "c"])
    named = SymbolicModel(nn.Linear(3, 1))
    named.distill(frame, engine=engine)
    assert named.plot(of="b").get_xlabel() == "b"


def test_a_block_that_can_not_be_asked_is_drawn_where_it_was_seen() -> None:
    model = SymbolicModel(nn.Sequential(Law(), nn.Softmax(0)), "mixes")  # rows depend on each other
    with pytest.warns(NotAFunctionWarning, match="mixes samples"):
        model.distill(X, engine=FormulaEngine("1", "x2"))
    ax = model.plot(0, of="x2")
    assert [line.get_label() for line in ax.lines] == ["equation"]


def test_what_is_missing_is_said() -> None:
    with pytest.raises(NotDistilledError):
        SymbolicModel(Law()).plot()
    model = law()
    with pytest.raises(InputError, match="output 2 is out of range"):
        model.plot(2)
    with pytest.raises(
        InputError, match=r"of is 'x9'; expected 'parity', 'residuals', 'domain' or an input, one of 'x0', 'x1', 'x2'"
    ):
        model.plot(0, of="x9")
    model.clear_cache()
    with pytest.raises(InputError, match="Pass some as inputs="):
        model.plot(0)
    assert "on 200 rows" in model.plot(0, X, of="parity").get_title()
    assert "none held out" in law(held_out=0).plot(0, of="parity").get_title()


def test_residuals_are_what_the_equation_leaves_of_the_block() -> None:
    model = law(sr_params={"random_state": 3})
    points = np.asarray(model.plot(0, of="parity").collections[0].get_offsets())
    ax = model.plot(0, of="residuals")
    left = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(left[:, 0], points[:, 0])
    np.testing.assert_allclose(left[:, 1], points[:, 0] - points[:, 1])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("block", "block - equation")
    assert f"{np.std(left[:, 1]):.2g} on 40 held-out rows" in ax.get_title()
    assert model.plot(0, of="residuals", ax=ax) is ax


def test_a_domain_goes_beyond_the_data_and_shows_where_the_two_agree() -> None:
    model = law()
    ax = model.plot(0, X, of="domain")  # x2 + 1 beside x0^2 + x2: right where x0 is 1 or -1
    (mesh,) = (c for c in ax.collections if hasattr(c, "get_coordinates"))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x0", "x2")
    edges = mesh.get_coordinates()
    x, y = edges[0, :, 0], edges[:, 0, 1]
    for centres, of_data in ((x, X[:, 0]), (y, X[:, 2])):
        assert centres[0] < of_data.min() - 0.4 * np.ptp(of_data.numpy())
        assert centres[-1] > of_data.max() + 0.4 * np.ptp(of_data.numpy())
    shown = np.asarray(mesh.get_array()).reshape(len(y) - 1, len(x) - 1)
    middle = (x[1:] + x[:-1]) / 2
    spread = float((X[:, 0] ** 2 + X[:, 2]).std(correction=0))
    expected = np.log10(np.abs(1 - middle**2) / spread)
    np.testing.assert_allclose(shown, np.tile(np.clip(expected, -6, 1), (len(shown), 1)), atol=1e-6)
    frame = ax.lines[-1]
    assert frame.get_label() == "range of the data"
    assert drawn(frame)[0].min() == X[:, 0].min()
    assert ax.figure.axes[1].get_ylabel() == "log10 |equation - block| / spread"


def test_a_domain_needs_two_inputs_and_a_block_that_can_be_asked() -> None:
    one = SymbolicModel(lambda x: x[:, :1] ** 2)
    one.distill(X[:, :1].numpy(), engine=FormulaEngine("x0"))
    with pytest.raises(InputError, match="it has one input only"):
        one.plot(0, of="domain")


# ---- searches


def test_growth_is_drawn_as_the_front_has_it_until_the_search_ended() -> None:
    from symtorch.equations import Equation, Front, parse

    equation = Equation(parse("x", ["x"]), ("x",), 1, 0.0)
    front = Front((equation,), seconds=4.0, history=((0.5, 0.3), (1.0, 1e-3), (2.0, 0.0)))
    ax = front.plot_growth()
    x, y = drawn(ax.lines[0])
    np.testing.assert_allclose(x, [0.5, 1.0, 2.0, 4.0])
    np.testing.assert_allclose(y, [0.3, 1e-3, 1e-4, 1e-4])  # nothing is at the lower edge
    assert len(ax.collections[0].get_offsets()) == 3
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("seconds", "1 - R² of the best equation")
    assert ax.get_yscale() == "log"
    assert front.plot_growth(ax) is ax
    with pytest.raises(InputError, match="this front has no history"):
        Front((equation,)).plot_growth()


def test_a_structure_is_drawn_with_a_line_for_each_function() -> None:
    from symtorch.equations import Equation, Front, parse
    from symtorch.equations.structure import Structure
    from symtorch.equations.verdict import Evidence

    inner = Structure("g(a - b)", "h(a - b)^2", "h(a - b)^2", 1e-8, (Structure("h(a - b)", "sin(a - b)"),))
    structure = Structure("f(a, b, c)", "sin(a - b)^2 + c", "g(a - b) + p(c)", 4e-8, (inner, Structure("p(c)", "c")))
    equation = Equation(parse("a", ["a"]), ("a",), 1, 0.0)
    ax = Front((equation,), evidence=Evidence(structure=structure)).plot_structure()
    texts = [text.get_text() for text in ax.texts]
    assert texts == [
        "f(a, b, c) = g(a - b) + p(c)   (to 0.0002)",
        "g(a - b) = h(a - b)^2   (to 0.0001)",
        "h(a - b) = sin(a - b)",
        "p(c) = c",
    ]
    places = [text.get_position() for text in ax.texts]
    assert [y for _, y in places] == [0, 1, 2, 3]
    assert places[1][0] == places[3][0] < places[2][0]
    assert len(ax.lines) == 3  # each part hangs on its function
    with pytest.raises(InputError, match="no structure is known of this output"):
        Front((equation,)).plot_structure()


def test_pruning_is_drawn_as_a_bar_for_each_output_under_the_schedule() -> None:
    with pytest.raises(RuntimeError, match="Pruning has not been set up"):
        SymbolicModel(nn.Linear(2, 4)).plot_pruning()
    model = SymbolicModel(nn.Linear(2, 4))
    model.setup_pruning(4, 1, total_steps=12, decay_rate="linear")  # 4 outputs, from step 1 on 3, ...
    assert model.plot_pruning().get_title() == "4 of 4 outputs kept at step 0"
    order = torch.tensor([2.0, 3.0, 0.0, 1.0])  # output 2 goes first, then 3, then 0
    for step in range(9):
        model.prune(step, torch.randn(8, 2), importance=lambda rows: order)
    ax = model.plot_pruning()
    bars = {tick.get_text(): bar.get_width() for tick, bar in zip(ax.get_yticklabels(), ax.patches, strict=True)}
    schedule = model.pruning_schedule
    assert schedule is not None
    gone = {n: next(step for step in schedule if schedule[step] <= n) for n in (3, 2, 1)}
    assert bars == {"1": 8, "0": gone[1], "3": gone[2], "2": gone[3]}
    np.testing.assert_array_equal(drawn(ax.lines[0])[1], list(schedule.values()))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "output")
    assert ax.get_title() == "1 of 4 outputs kept at step 8"
    again = SymbolicModel(nn.Linear(2, 4))
    again.load_state_dict(model.state_dict())
    assert [bar.get_width() for bar in again.plot_pruning(ax=ax).patches[4:]] == list(bars.values())


# ---- explanations


@pytest.mark.parametrize("kind", ["module", "function"])
def test_a_profile_is_drawn_of_modules_and_functions(kind: str) -> None:
    model = Law().train()
    asked: Any = model if kind == "module" else lambda rows: model(torch.as_tensor(rows)).numpy()
    explanation = symtorch.explain(asked, X, X[0], output=0, engine=None)
    ax = symtorch.plotting.plot_profile(explanation, asked, "x0")
    x, y = drawn(ax.lines[0])
    np.testing.assert_allclose(y, x**2 + float(X[0, 2]), rtol=1e-5)
    assert model.training
    with pytest.raises(InputError, match="name is 'x7'"):
        symtorch.plotting.plot_profile(explanation, asked, "x7")


def test_an_explanation_is_a_table_in_a_notebook() -> None:
    explanation = symtorch.explain(Law(), X, X[0], output=0, engine=None, names=["a", "b<", "c"])
    page = explanation._repr_html_()
    ranked = sorted(explanation.attributions.items(), key=lambda item: -abs(item[1]))
    rows = page.split("<tbody>")[1].split("</tr>")[:-1]
    assert len(rows) == sum(value != 0 for _, value in ranked)
    assert f"{ranked[0][1]:+.4g}" in rows[0]
    assert show.formula(explanation.equation) in page
    assert f"{explanation.r2_held_out:.4f} on fresh points" in page
    assert "b<" not in page
    assert repr(explanation).splitlines()[0] == f"output 0 near the point = {explanation.equation}"


def test_an_explanation_of_many_inputs_fits_on_a_screen() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 40))
    explanation = symtorch.explain(lambda x: x @ np.arange(1.0, 41.0), rows, rows[0], engine=None, max_terms=60)
    lines = repr(explanation).splitlines()
    assert len(lines) == 4 + show.ROWS + 1
    assert max(map(len, lines)) < 140
    n = sum(value != 0 for value in explanation.attributions.values())
    assert lines[-1] == f"  … and {n - show.ROWS} more inputs"
    assert len(str(explanation).splitlines()) == 4 + n


def test_blocks_that_were_distilled_together_keep_rows_to_draw() -> None:
    whole = nn.Sequential(nn.Linear(3, 3), Law(), nn.Linear(2, 2)).double()
    first, last = symtorch.wrap(whole, "0"), symtorch.wrap(whole, "2")
    engine = FormulaEngine("1")
    symtorch.distill(whole, X.repeat(40, 1), engine=engine, sr_params={"random_state": 3})
    searched = {tuple(row) for row in engine.searches[0][0].X}
    for block, n_outputs in ((first, 3), (last, 2)):
        ax = block.plot(n_outputs - 1, of="parity")
        assert "on 1000 held-out rows" in ax.get_title()
        assert len(ax.collections[0].get_offsets()) == 1000
        assert block.plot(0).size == 1 + block.symtorch_block.in_features
    held_out = first.searched_data()
    assert held_out is not None
    assert len({tuple(row) for row in held_out[0]} - searched) <= len(X)
    assert first.suggest(0, ["sin"], top=1)


def test_of_wide_blocks_few_rows_are_kept_and_of_unsplit_ones_some_of_all() -> None:
    whole = nn.Sequential(nn.Linear(3, 9000), nn.Linear(9000, 1))
    block = symtorch.wrap(whole, "1")
    small = {"output_dim": 0, "sr_params": {"random_state": 0, "select_k_features": 2}, "held_out": 0.0, "ask": False}
    symtorch.distill(whole, X.float(), engine=FormulaEngine("x1"), **small)
    data = block.searched_data()
    assert data is not None
    assert data[0].shape == (2**20 // 9001, 9000)
    assert "none held out" in block.plot(0, of="parity").get_title()
