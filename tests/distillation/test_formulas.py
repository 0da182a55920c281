"""The user's own formulas, suggestions, and equations for other programs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from formula_engine import FormulaEngine
from torch import nn

from symtorch import InputError, NotDistilledError, ParseError, SymbolicModel
from symtorch.equations.definitions import operator
from symtorch.equations.expr import constants


class Wave(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.stack([3 * torch.sin(1.5 * x[..., 0] + 0.3), x[..., 0] * x[..., 1]], -1)


def wrapped(*formulas: Any, transforms: Any = None) -> Any:
    model = SymbolicModel(Wave(), "wave")
    data = torch.rand(200, 2, dtype=torch.float64) * 4
    model.distill(data, engine=FormulaEngine(*(formulas or ("1", "x0"))), variable_transforms=transforms)
    return model


X = torch.rand(20, 2, dtype=torch.float64) * 4


def test_a_formula_takes_the_outputs_place() -> None:
    model = wrapped()
    model.switch_to_symbolic()
    model.set_equation(0, "x0 + 2*x1")
    torch.testing.assert_close(model(X), torch.stack([X[:, 0] + 2 * X[:, 1], X[:, 0]], -1))
    assert str(model.equation(0)) == "x0 + 2*x1"
    assert str(model.equation(1)) == "x0"
    assert str(model.equation(0, complexity=4)) == "x0"  # what was found is still there


def test_sympy_formulas_and_refitted_constants() -> None:
    model = wrapped()
    x0, x1 = sympy.symbols("x0 x1")
    model.set_equation(0, 2 * sympy.sin(1.4 * x0 + 0.5), refit_constants=True)
    np.testing.assert_allclose(sorted(constants(model.equation(0).expr)), [0.3, 1.5, 3.0], rtol=1e-6)
    equation = model.set_equation(1, x0 * x1, complexity=40)
    assert equation.loss < 1e-12
    assert model.fronts[1].complexities[-1] == 40
    model.switch_to_symbolic({0: model.equation(0).complexity, 1: 40})
    torch.testing.assert_close(model(X), model.symtorch_block(X))


def test_equations_know_the_signs_of_the_data() -> None:
    model = wrapped("sqrt(x0^2*x1 + x0^2)", transforms={"x0": "x0", "x1": "x1 - 2"})
    assert model.equation(0).signs == (1, 0)
    assert model.equation(0).textbook == "x0*sqrt(x1 + 1)"
    assert model.set_equation(0, "sqrt(x0^2*x1)").textbook == "x0*sqrt(x1)"
    assert model.equation(0, expand=True).signs is None  # of the block's own inputs


def test_set_equations_are_saved() -> None:
    model = wrapped()
    model.set_equation(0, "5*sin(x1)")
    model.switch_to_symbolic({0: model.equation(0).complexity})
    other = SymbolicModel(Wave(), "wave")
    other.load_state_dict(model.state_dict())
    assert other.equation(0).expr == model.equation(0).expr
    torch.testing.assert_close(other(X), model(X))


@pytest.mark.parametrize("in_use", [True, False])
@pytest.mark.parametrize("formula", ["7*sin(8*x0) + 9", "7 + sin(8*x0)*9"])
def test_a_formula_keeps_its_own_constants_whatever_was_trained_before(formula: str, in_use: Any) -> None:
    model = wrapped("2*sin(3*x0) + 4")
    model.switch_to_symbolic()
    with torch.no_grad():
        model.trainable_constants()[0].add_(0.5)
    if not in_use:
        model.switch_to_block()
    model.set_equation(0, formula)
    assert str(model.equation(0)) == formula
    assert str(model.equation(1)) == "2.5*sin(3.5*x0) + 4.5"
    other = SymbolicModel(Wave(), "wave")
    other.load_state_dict(model.state_dict())
    assert [str(other.equation(i)) for i in (0, 1)] == [formula, "2.5*sin(3.5*x0) + 4.5"]


def test_operators_of_the_search_are_known_in_formulas() -> None:
    bump = operator("bump(x) = exp(-x^2)")
    model = SymbolicModel(Wave(), "wave")
    model.distill(X.repeat(5, 1), engine=FormulaEngine("bump(x0)", operators=[bump]))
    assert str(model.set_equation(1, "2*bump(x1)")) == "2*bump(x1)"
    other = SymbolicModel(Wave(), "wave")
    other.load_state_dict(model.state_dict())
    assert str(other.equation(1)) == "2*bump(x1)"


def test_suggestions_can_be_put_in_place() -> None:
    model = wrapped()
    best = model.suggest(0)[0]
    assert best.function == "sin"
    assert best.r2 > 0.9999
    model.set_equation(0, best.text, refit_constants=True)
    model.switch_to_symbolic({0: model.equation(0).complexity})
    torch.testing.assert_close(model(X)[:, 0], model.symtorch_block(X)[:, 0], rtol=1e-5, atol=1e-5)


def test_suggestions_are_over_the_transformed_variables() -> None:
    model = wrapped("1", "u", transforms={"u": "x0*x1"})
    best = model.suggest(1)[0]
    assert "u" in best.text
    assert best.r2 > 0.999999


def test_mistakes_say_what_to_do() -> None:
    model = wrapped()
    with pytest.raises(ParseError, match="'y'"):
        model.set_equation(0, "y + 1")
    with pytest.raises(InputError, match=r"0\.\.1"):
        model.set_equation(2, "x0")
    with pytest.raises(InputError, match="finite"):
        model.set_equation(0, "nan*x0")
    with pytest.raises(InputError, match="overflows"):
        model.set_equation(0, "9^9^9^9*x0")
    with pytest.raises(InputError, match="'9'"):
        model.set_equation(0, "x0", complexity="9")
    assert str(model.equation(0)) == "x0"
    with pytest.raises(InputError, match=r"0\.\.1"):
        model.suggest(2)
    model.clear_cache()
    with pytest.raises(InputError, match="no data"):
        model.suggest(0)
    with pytest.raises(InputError, match="no data"):
        model.set_equation(0, "2*x0", refit_constants=True)
    assert str(model.set_equation(0, "2*x0")) == "2*x0"


@pytest.mark.parametrize("transforms", [None, {"u": "x0 + x1", "w": "x0*x1"}])
def test_export_is_over_the_blocks_inputs(transforms: Any, tmp_path: Path) -> None:
    model = wrapped("2.5*w" if transforms else "2.5*x0*x1", transforms=transforms)
    model.set_equation(1, "sin(u)" if transforms else "sin(x0 + x1)")
    expected = torch.stack([2.5 * X[:, 0] * X[:, 1], torch.sin(X[:, 0] + X[:, 1])], -1)
    np.testing.assert_allclose(model.export("numpy")(X.numpy()), expected, rtol=1e-12)
    scope: dict[str, Any] = {}
    exec(model.export("torch source"), scope)
    torch.testing.assert_close(scope["equations"](X), expected)
    torch.testing.assert_close(model.export("torch.export").module()(X.float()), expected.float())
    assert len(model.export("latex")) == 2
    (second,) = model.export("sympy", outputs=[1])
    assert second == sympy.sin(sum(sympy.symbols("x0 x1", real=True)))
    path = model.export("c", tmp_path / "law.c")
    assert "void equations" in path.read_text()


def test_export_says_what_it_can() -> None:
    with pytest.raises(NotDistilledError):
        SymbolicModel(Wave(), "wave").export("sympy")
    with pytest.raises(InputError, match="at least one output"):
        wrapped().export("sympy", outputs=[])
    with pytest.raises(InputError, match="'fortran'"):
        wrapped().export("fortran")
    with pytest.raises(InputError, match="path"):
        wrapped().export("onnx")
    model = wrapped("u", transforms={"u": lambda x: x[:, 0]})
    with pytest.raises(InputError, match="formulas"):
        model.export("c")


# ---- an equation of one's own is the pick, and takes nothing away


def test_switching_takes_what_was_set_and_what_was_found_stays() -> None:
    model = wrapped("1", "x0", "3*sin(1.5*x0 + 0.3)")
    assert str(model.fronts[0].best) == "3*sin(1.5*x0 + 0.3)"
    found = list(model.fronts[0])
    # of the same complexity as the exact law, and a simpler one
    for formula, complexity in (("x1 + 2", found[-1].complexity), ("x1", None)):
        model.set_equation(0, formula, complexity=complexity)
        model.switch_to_symbolic()
        assert str(model.equation(0)) == formula
        assert model.fronts[0].best == model.equation(0) == model.fronts[0].at(model.equation(0).complexity)
        assert "> " in next(line for line in repr(model.fronts[0]).splitlines() if line.endswith(formula))
        model.switch_to_block()
    assert all(equation in model.fronts[0] for equation in found)
    assert len(model.fronts[0]) == len(found) + 2
    assert str(model.equation(1)) == "3*sin(1.5*x0 + 0.3)"


def test_what_was_set_is_the_pick_of_a_loaded_model_too() -> None:
    model = wrapped()
    model.set_equation(0, "5*sin(x1)")
    other = SymbolicModel(Wave(), "wave")
    other.load_state_dict(model.state_dict())
    other.switch_to_symbolic()
    assert str(other.equation(0)) == "5*sin(x1)"


def test_complexity_is_counted_as_the_options_of_the_search_say() -> None:
    model = SymbolicModel(Wave(), "wave")
    params = {"unary_operators": ["sin"], "complexity_of_operators": {"sin": 7}, "complexity_of_constants": 2}
    model.distill(X.repeat(5, 1), engine=FormulaEngine("1", "x0"), sr_params=params)
    assert model.set_equation(0, "2*sin(x0)").complexity == 2 + 1 + 7 + 1
    other = SymbolicModel(Wave(), "wave")
    other.load_state_dict(model.state_dict())
    assert other.set_equation(0, "2*sin(x0)").complexity == 11
    # before any search: the default options, where a sine counts three
    assert SymbolicModel(nn.Linear(2, 1)).set_equation(0, "2*sin(x0)").complexity == 1 + 1 + 3 + 1


@pytest.mark.parametrize("block", [nn.Linear(2, 2), nn.Sequential(nn.Flatten(), nn.Linear(2, 4), nn.Linear(4, 2))])
def test_before_any_distillation_the_layers_tell_how_many_inputs_there_are(block: Any) -> None:
    model = SymbolicModel(block, "law")
    model.set_equation(0, "x0 + x1")
    model.set_equation(1, "x1")
    model.switch_to_symbolic()
    x = X.float()
    torch.testing.assert_close(model(x), torch.stack([x[:, 0] + x[:, 1], x[:, 1]], -1))
    with pytest.raises(ParseError, match="x2"):
        model.set_equation(0, "x2")
    with pytest.raises(InputError, match=r"0\.\.1"):
        model.set_equation(2, "x0")


def test_before_any_distillation_a_call_or_inputs_tell_how_many_there_are() -> None:
    with pytest.raises(InputError, match=r"pass inputs=.*or call the block once"):
        SymbolicModel(Wave(), "wave").set_equation(0, "x0")
    called, given = SymbolicModel(Wave(), "wave"), SymbolicModel(Wave(), "wave")
    called(X)
    called.set_equation(0, "3*sin(1.5*x0 + 0.3)")
    called.set_equation(1, "x0*x1")
    given.set_equation(0, "2*sin(1.6*x0 + 0.2)", inputs=X, refit_constants=True)
    assert given.set_equation(1, "x0*x1").loss < 1e-12
    for model in (called, given):
        model.switch_to_symbolic()
        torch.testing.assert_close(model(X), Wave()(X), rtol=1e-6, atol=1e-6)
        other = SymbolicModel(Wave(), "wave")
        other.load_state_dict(model.state_dict())
        torch.testing.assert_close(other(X), model(X))
    plain = SymbolicModel(lambda x: x[:, 0], "plain")
    plain(X.numpy())
    plain.set_equation(0, "x1")
    plain.switch_to_symbolic()
    np.testing.assert_array_equal(plain(X.numpy()), X[:, 1])
    frame = pytest.importorskip("pandas").DataFrame(X.numpy(), columns=["a", "b"])
    assert str(SymbolicModel(lambda x: x.a, "frame").set_equation(0, "b", inputs=frame)) == "b"


def test_inputs_of_a_parent_model_are_its_own() -> None:
    parent = nn.Sequential(nn.Linear(5, 2), SymbolicModel(Wave(), "wave"))
    equation = parent[1].set_equation(1, "x0*x1", inputs=torch.randn(60, 5), parent_model=parent)
    assert equation.loss < 1e-12


def test_operators_that_were_added_are_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    from symtorch.equations import suggest

    asked = []
    monkeypatch.setattr("symtorch.model.suggest", lambda X, y, names, functions, top: asked.append(functions) or [])
    wrapped().suggest(0)
    assert asked == [None]  # what there is when it is asked, not what there was when the library was imported
    assert "sin" in suggest.forms()
