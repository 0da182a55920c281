"""The user's own formulas, suggestions, and equations for other programs."""

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
    def forward(self, x):
        return torch.stack([3 * torch.sin(1.5 * x[..., 0] + 0.3), x[..., 0] * x[..., 1]], -1)


def wrapped(*formulas, transforms=None):
    model = SymbolicModel(Wave(), "wave")
    data = torch.rand(200, 2, dtype=torch.float64) * 4
    model.distill(data, engine=FormulaEngine(*(formulas or ("1", "x0"))), variable_transforms=transforms)
    return model


X = torch.rand(20, 2, dtype=torch.float64) * 4


def test_a_formula_takes_the_outputs_place():
    model = wrapped()
    model.switch_to_symbolic()
    model.set_equation(0, "x0 + 2*x1")
    torch.testing.assert_close(model(X), torch.stack([X[:, 0] + 2 * X[:, 1], X[:, 0]], -1))
    assert str(model.equation(0)) == "x0 + 2*x1"
    assert str(model.equation(1)) == "x0"
    assert str(model.equation(0, complexity=4)) == "x0"  # what was found is still there


def test_sympy_formulas_and_refitted_constants():
    model = wrapped()
    x0, x1 = sympy.symbols("x0 x1")
    model.set_equation(0, 2 * sympy.sin(1.4 * x0 + 0.5), refit_constants=True)
    np.testing.assert_allclose(sorted(constants(model.equation(0).expr)), [0.3, 1.5, 3.0], rtol=1e-6)
    equation = model.set_equation(1, x0 * x1, complexity=40)
    assert equation.loss < 1e-12
    assert model.fronts[1].complexities[-1] == 40
    model.switch_to_symbolic({0: model.equation(0).complexity, 1: 40})
    torch.testing.assert_close(model(X), model.symtorch_block(X))


def test_set_equations_are_saved():
    model = wrapped()
    model.set_equation(0, "5*sin(x1)")
    model.switch_to_symbolic({0: model.equation(0).complexity})
    other = SymbolicModel(Wave(), "wave")
    other.load_state_dict(model.state_dict())
    assert other.equation(0).expr == model.equation(0).expr
    torch.testing.assert_close(other(X), model(X))


@pytest.mark.parametrize("in_use", [True, False])
@pytest.mark.parametrize("formula", ["7*sin(8*x0) + 9", "7 + sin(8*x0)*9"])
def test_a_formula_keeps_its_own_constants_whatever_was_trained_before(formula, in_use):
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


def test_operators_of_the_search_are_known_in_formulas():
    bump = operator("bump(x) = exp(-x^2)")
    model = SymbolicModel(Wave(), "wave")
    model.distill(X.repeat(5, 1), engine=FormulaEngine("bump(x0)", operators=[bump]))
    assert str(model.set_equation(1, "2*bump(x1)")) == "2*bump(x1)"
    other = SymbolicModel(Wave(), "wave")
    other.load_state_dict(model.state_dict())
    assert str(other.equation(1)) == "2*bump(x1)"


def test_suggestions_can_be_put_in_place():
    model = wrapped()
    best = model.suggest(0)[0]
    assert best.function == "sin"
    assert best.r2 > 0.9999
    model.set_equation(0, best.text, refit_constants=True)
    model.switch_to_symbolic({0: model.equation(0).complexity})
    torch.testing.assert_close(model(X)[:, 0], model.symtorch_block(X)[:, 0], rtol=1e-5, atol=1e-5)


def test_suggestions_are_over_the_transformed_variables():
    model = wrapped("1", "u", transforms={"u": "x0*x1"})
    best = model.suggest(1)[0]
    assert "u" in best.text
    assert best.r2 > 0.999999


def test_mistakes_say_what_to_do():
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
def test_export_is_over_the_blocks_inputs(transforms, tmp_path):
    model = wrapped("2.5*w" if transforms else "2.5*x0*x1", transforms=transforms)
    model.set_equation(1, "sin(u)" if transforms else "sin(x0 + x1)")
    expected = torch.stack([2.5 * X[:, 0] * X[:, 1], torch.sin(X[:, 0] + X[:, 1])], -1)
    np.testing.assert_allclose(model.export("numpy")(X.numpy()), expected, rtol=1e-12)
    scope = {}
    exec(model.export("torch source"), scope)
    torch.testing.assert_close(scope["equations"](X), expected)
    torch.testing.assert_close(model.export("torch.export").module()(X.float()), expected.float())
    assert len(model.export("latex")) == 2
    (second,) = model.export("sympy", outputs=[1])
    assert second == sympy.sin(sum(sympy.symbols("x0 x1", real=True)))
    path = model.export("c", tmp_path / "law.c")
    assert "void equations" in path.read_text()


def test_export_says_what_it_can():
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
