"""Equations in use: what they say now, and that reading them leaves everything as it is."""

import copy
import math

import pytest
import torch
from formula_engine import FormulaEngine
from torch import nn

from symtorch import InputError, SymbolicModel
from symtorch.equations.expr import constants
from symtorch.surrogate.in_place import InPlace


def switched(*formulas: str, **switch: object) -> SymbolicModel:
    model = SymbolicModel(nn.Linear(2, 2), "law")
    model.distill(torch.randn(60, 2), engine=FormulaEngine(*(formulas or ("1", "2*x0 + 3*x1"))))
    model.switch_to_symbolic(**switch)
    return model


def train(model: SymbolicModel, by: float = 0.5) -> InPlace:
    with torch.no_grad():
        model.trainable_constants()[0].add_(by)
    assert model.surrogate is not None
    return model.surrogate


def test_equations_are_those_chosen_with_their_constants_of_now() -> None:
    model = switched()
    in_place = model.surrogate
    assert in_place.equations() == in_place.chosen
    assert in_place.trained() is None
    train(model)
    assert [str(eq) for eq in in_place.equations().values()] == ["2.5*x0 + 3.5*x1"] * 2
    assert [str(eq) for eq in in_place.chosen.values()] == ["2*x0 + 3*x1"] * 2
    assert in_place.trained() == [eq.expr for eq in in_place.equations().values()]
    assert in_place.equations()[0].source == ""  # its words were of other constants


def test_reading_writes_nothing() -> None:
    model = switched()
    train(model)
    before = model.get_extra_state()
    seen = (str(model), model.fronts, model.equations, model.equation(1), model.equation(1, 1), model.slime_fronts)
    model.export("latex")
    model.fidelity(torch.randn(20, 2))
    model.suggest(0)
    model.get_symbolic_function(0)
    assert torch.equal(model.get_extra_state(), before)
    assert seen == (
        str(model), model.fronts, model.equations, model.equation(1), model.equation(1, 1), model.slime_fronts
    )  # fmt: skip
    train(model, -0.5)
    assert str(model.equation(1)) == "2*x0 + 3*x1"  # nothing of the trained constants was kept


def test_what_changes_the_findings_keeps_the_trained_constants() -> None:
    model = switched("1", "2*x0", "2*x0 + 3*x1")
    train(model)
    model.switch_to_symbolic(4)
    assert [str(eq) for eq in model.fronts[0]] == ["1", "2*x0", "2.5*x0 + 3.5*x1"]
    train(model)
    model.distill(torch.randn(60, 2), engine=FormulaEngine("9*x0"), output_dim=1)
    assert [str(eq) for eq in model.fronts[0]] == ["1", "2.5*x0", "2.5*x0 + 3.5*x1"]
    assert [str(eq) for eq in model.fronts[1]] == ["9*x0"]
    assert str(model.surrogate.equations()[0]) == "2.5*x0"


def test_equations_that_were_not_chosen_from_the_present_findings_wait_no_more() -> None:
    model = switched()
    model.switch_to_block()
    assert model.surrogate is not None
    model.distill(torch.randn(60, 2), engine=FormulaEngine("9*x0"), output_dim=1)
    assert model.surrogate is None
    assert not model.use_symbolic
    model.switch_to_symbolic()
    model.distill(torch.randn(60, 2), engine=FormulaEngine("0.5"), SLIME=True)  # of another kind
    assert model.use_symbolic
    assert str(model.equation(1)) == "9*x0"


def test_copies_and_casts_keep_what_they_say() -> None:
    model = switched(guard="block")
    train(model)
    twin = copy.deepcopy(model).to(torch.bfloat16)
    assert twin.surrogate.guard == "block"
    assert twin.equations == model.equations
    assert twin.surrogate.in_use
    twin.switch_to_block()
    assert model.use_symbolic


def test_a_guard_and_a_way_to_run_are_checked_before_anything_changes() -> None:
    model = switched()
    found = model.surrogate
    for bad in ({"guard": "strict"}, {"compile": "fast"}, {"complexity": 99}):
        with pytest.raises(InputError):
            model.switch_to_symbolic(**bad)
        assert model.surrogate is found


def test_constants_of_variables_stay_the_users_after_loading_too() -> None:
    def make() -> SymbolicModel:
        return SymbolicModel(nn.Linear(2, 1), "law")

    model, variables = make(), {"u": "0.25*x0 + x1"}
    model.distill(torch.randn(60, 2), engine=FormulaEngine("2*u + 1.5"), variable_transforms=variables)
    model.switch_to_symbolic()
    x = torch.randn(50, 2)
    u = 0.25 * x[:, :1] + x[:, 1:]

    def fitted(block: SymbolicModel, target: torch.Tensor) -> list[float]:
        assert block.fit_constants(None, (x, target), lambda m, b: (m(b[0]) - b[1]).square().mean()) < 1e-9
        return constants(block.surrogate.function.expressions()[0])

    assert 0.25 in fitted(model, 4 * u + 7)
    other = make()
    other.load_state_dict(model.state_dict())
    assert other.equations == model.equations
    assert 0.25 in fitted(other, 6 * u - 1)


def test_what_was_said_of_an_equation_is_not_said_of_it_with_other_constants() -> None:
    model = switched("1", "2*x0", "2*x0 + 3*x1")
    before = model.equation(0)
    assert math.isfinite(before.loss)
    assert before.r2 is not None
    train(model)
    for equation in (model.equation(0), model.fronts[0].at(before.complexity), model.fronts[0].best):
        assert str(equation) == "2.5*x0 + 3.5*x1"
        assert equation.loss == math.inf
        assert equation.r2 is None
    assert "loss" not in repr(model.equation(0))
    assert f"complexity {before.complexity}]" in repr(model)
    assert "inf" not in str(model.fronts[0])
    assert ">inf<" not in model._repr_html_()
    assert model.fronts[0].equations_["loss"].isna().tolist() == [False, False, True]
    assert model.fronts[0][0].loss == 1.0  # of the others it is known as before
    model.switch_to_block()
    model.switch_to_symbolic()  # the pick stays the pick
    assert str(model.equation(0)) == "2.5*x0 + 3.5*x1"
    train(model, -0.5)
    other = SymbolicModel(nn.Linear(2, 2), "law")
    other.load_state_dict(model.state_dict())
    assert str(other.fronts[0].best) == str(model.fronts[0].best) == "2*x0 + 3*x1"
