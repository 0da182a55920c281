"""What users have as data and as blocks: tables, lists of rows, labels, compiled modules; and what goes wrong."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from linear_engine import LinearEngine
from torch import nn

import symtorch
from symtorch import InputError, OptionError, SymbolicModel

pd = pytest.importorskip("pandas")

ROWS = np.random.default_rng(0).normal(size=(100, 3))
TABLE = pd.DataFrame(ROWS, columns=["width", "max depth", "exp"])


# ---- tables and lists


@pytest.mark.parametrize(
    "block",
    [
        nn.Linear(3, 2),
        lambda X: X[:, 0] + 2 * X[:, 1],  # of an array
        lambda X: X["width"] + 2 * X["exp"],  # of a DataFrame
        lambda X: torch.as_tensor(X).sum(1),
    ],
)
def test_columns_of_a_table_name_the_variables(block: Any, engine: LinearEngine) -> None:
    model = SymbolicModel(block, "block")
    model.distill(TABLE, engine=engine)
    assert model.equation(0).variable_names == ("width", "max_depth", "exp_")
    assert "width" in str(model.equation(0))
    assert engine.searches[0].teacher is not None
    model.switch_to_symbolic()
    answer = model(TABLE)
    assert isinstance(answer, np.ndarray)
    np.testing.assert_allclose(answer, model(ROWS))
    np.testing.assert_allclose(model.get_symbolic_function()(TABLE), model.equation(0).predict(ROWS), atol=1e-5)


def test_names_that_the_user_gives_go_before_those_of_a_table(engine: LinearEngine) -> None:
    model = SymbolicModel(nn.Linear(3, 1))
    model.distill(TABLE, fit_params={"variable_names": ["a", "b", "c"]}, engine=engine)
    assert model.equation(0).variable_names == ("a", "b", "c")
    inner = nn.Sequential(nn.Linear(3, 3), SymbolicModel(nn.Linear(3, 1)))
    inner[1].distill(TABLE, parent_model=inner, engine=engine)
    assert inner[1].equation(0).variable_names == ("x0", "x1", "x2")


def test_a_table_of_several_types_is_numbers_and_one_with_words_says_which_column(engine: LinearEngine) -> None:
    mixed = TABLE.assign(flag=ROWS[:, 0] > 0)
    model = SymbolicModel(nn.Linear(4, 1))
    model.distill(mixed, engine=engine)
    assert model.equation(0).variable_names[3] == "flag"
    with pytest.raises(InputError, match="'name: "):
        model.distill(TABLE.assign(name="x"), engine=engine)


@pytest.mark.parametrize("block", [nn.Linear(3, 2), lambda X: np.asarray(X).sum(1), lambda X: X[:, 0]])
def test_a_list_of_rows_is_an_array(block: Any, engine: LinearEngine) -> None:
    model = SymbolicModel(block)
    model.distill(ROWS.tolist(), engine=engine)
    assert engine.searches[0].n_inputs == 3
    model.switch_to_symbolic()
    np.testing.assert_allclose(model(ROWS.tolist()), model(ROWS))


# ---- outputs


@pytest.mark.parametrize(
    "block",
    [
        lambda X: (X[:, 0] > 0).astype(int),
        lambda X: X[:, 0] > 0,
        lambda X: torch.as_tensor(X)[:, 0] > 0,
        lambda X: np.round(X).astype(np.int32),
    ],
)
def test_integers_and_booleans_are_numbers(block: Any, engine: LinearEngine) -> None:
    model = SymbolicModel(block)
    model.distill(ROWS, engine=engine)
    assert set(np.unique(engine.searches[0].Y)) <= set(range(-5, 6))
    assert engine.searches[0].teacher is not None
    model.switch_to_symbolic()
    assert model(ROWS).dtype == np.float64


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        (lambda X: X[:, 0], (4,)),
        (lambda X: X[:, :1], (4, 1)),
        (nn.Linear(3, 1), (4, 1)),
        (nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)), (4,)),
    ],
)
def test_one_output_has_the_shape_that_the_block_gives_it(block: Any, shape: Any, engine: LinearEngine) -> None:
    model = SymbolicModel(block)
    model.distill(torch.from_numpy(ROWS).float(), engine=engine)
    model.switch_to_symbolic()
    assert model(torch.ones(4, 3)).shape == shape
    assert model(np.ones((4, 3), dtype=np.float32)).shape == shape


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_compiled_module_is_distilled_by_itself_and_not_within_a_model(engine: LinearEngine) -> None:
    linear = nn.Linear(3, 2)
    model = nn.Sequential(nn.Linear(3, 3), SymbolicModel(torch.jit.script(linear), "scripted"))
    front = model[1].distill(torch.randn(100, 3), engine=engine)
    assert front[0].best.loss < 1e-12
    with pytest.raises(InputError, match=r"'scripted' is a .*compiled by torch\.jit.*Wrap the module"):
        model[1].distill(torch.randn(100, 3), parent_model=model, engine=engine)
    with pytest.raises(InputError, match="wrap them before that"):
        symtorch.wrap(torch.jit.script(nn.Sequential(nn.Linear(3, 2))), "0")


# ---- mistakes


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(ids).mean(1))


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


def test_errors_of_the_users_model_come_with_a_hint_at_the_parent_model(engine: LinearEngine) -> None:
    model = nn.Sequential(nn.Linear(5, 3), SymbolicModel(nn.Linear(3, 1)))
    with pytest.raises(RuntimeError, match="cannot be multiplied") as raised:
        model[1].distill(torch.randn(50, 5), engine=engine)
    assert "the block itself with (Tensor (50, 5))" in notes(raised.value)
    assert "parent_model=model" in notes(raised.value)
    with pytest.raises(RuntimeError, match="cannot be multiplied") as raised:
        model[1].distill(torch.randn(50, 3), parent_model=model, engine=engine)
    assert "the data is what that model is called with" in notes(raised.value)


def test_ids_without_a_batch_dimension_and_embeddings(engine: LinearEngine) -> None:
    model = Words()
    symtorch.wrap(model, "head")
    with pytest.raises((RuntimeError, IndexError)) as raised:
        model.head.distill(torch.randint(0, 10, (100,)), parent_model=model, engine=engine)
    assert "ids[None]" in notes(raised.value)
    for shape in ((100,), (100, 7)):
        with pytest.raises(InputError, match=r"integers, as those of an embedding.*wrap what comes after"):
            SymbolicModel(nn.Embedding(10, 4)).distill(torch.randint(0, 10, shape), engine=engine)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch.empty(0, 3), "empty tensors only"),
        (torch.empty(100, 0), r"shape \(100, 0\): it has no features"),
        ([], "no batch to run on"),
    ],
)
def test_empty_data_is_said_to_be_empty(data: Any, message: str, engine: LinearEngine) -> None:
    with pytest.raises(InputError, match=message):
        SymbolicModel(nn.Linear(3, 2)).distill(data, engine=engine)


@pytest.mark.parametrize("transform", ["log(x0)", lambda x: torch.log(x[:, 0])])
def test_a_transform_that_is_not_defined_everywhere_is_named(transform: Any, engine: LinearEngine) -> None:
    with pytest.raises(InputError, match=r"variable transform 1 \('log_w'\) is NaN or infinite on \d+ of 100 rows"):
        SymbolicModel(nn.Linear(3, 2)).distill(
            torch.from_numpy(ROWS).float(), variable_transforms={"w": "x1", "log_w": transform}, engine=engine
        )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"niterations": 3}, OptionError, r"search option; pass it as sr_params=\{'niterations': 3\}"),
        ({"loss": "L1"}, OptionError, "sr_params"),
        ({"variable_names": ["a"]}, InputError, r"fit_params=\{'variable_names'"),
        ({"J_nn": 3}, InputError, "slime_params"),
        ({"heldout": 0.1}, InputError, "did you mean 'held_out'"),
        ({"sr_params": ["niterations"]}, OptionError, "sr_params is a list; expected a dict"),
        ({"fit_params": ["weights"]}, InputError, "fit_params is a list; expected a dict"),
        ({"SLIME": True, "slime_params": ["x"]}, InputError, "slime_params is a list; expected a dict"),
        ({"sr_params": {"timeout_in_seconds": 0}}, OptionError, "more than 0, or None"),
    ],
)
def test_arguments_in_the_wrong_place_are_sent_to_the_right_one(
    arguments: Any, error: type[Exception], message: str, engine: LinearEngine
) -> None:
    model = nn.Sequential(SymbolicModel(nn.Linear(3, 2)))
    with pytest.raises(error, match=message):
        model[0].distill(ROWS, engine=engine, **arguments)
    if "SLIME" not in arguments:
        with pytest.raises(error, match=message):
            symtorch.distill(model, ROWS, engine=engine, **arguments)


def test_parts_are_wrapped_by_name() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    with pytest.raises(InputError, match=r"name is a Tanh; pass the name of the part in the model: it is '1'"):
        symtorch.wrap(model, model[1])
    with pytest.raises(InputError, match=r"name is a ReLU; .*it is none of '0', '1'"):
        symtorch.wrap(model, nn.ReLU())
    with pytest.raises(InputError, match=r"model is a function; .*SymbolicModel\(function\)"):
        symtorch.wrap(lambda x: x, "0")
    with pytest.raises(InputError, match="model is a function"):
        symtorch.distill(lambda x: x, ROWS)


def test_estimators_are_given_by_their_methods() -> None:
    estimator = pytest.importorskip("sklearn.linear_model").LogisticRegression()
    for call in (lambda: SymbolicModel(estimator), lambda: symtorch.explain(estimator, ROWS, ROWS[0])):
        with pytest.raises(InputError, match=re.escape("LogisticRegression; pass a method of it, such as predict")):
            call()


def test_outputs_rows_and_positions_that_there_are_not(engine: LinearEngine) -> None:
    model = SymbolicModel(nn.Linear(3, 2))
    model.distill(ROWS, engine=engine)
    with pytest.raises(InputError, match=r"output is 'y0'; expected its index, one of 0\.\.1"):
        model.equation("y0")
    with pytest.raises(InputError, match=r"X has 2 columns; the equation is over 3 variables, .*'x0', 'x1', 'x2'"):
        model.equation(0).predict(np.ones((4, 2)))
    front = model.fronts[0]
    for ask in (lambda: front.predict(ROWS, 99), lambda: front.get_best(99), lambda: front.latex(99)):
        with pytest.raises(InputError, match=r"no equation at position 99; there are 0 to 1.*one of 1, 5"):
            ask()


def test_no_message_is_longer_than_anybody_reads(engine: LinearEngine) -> None:
    wide = SymbolicModel(nn.Linear(3, 576))
    wide.distill(ROWS, output_dim=0, engine=engine)
    with pytest.raises(symtorch.NotDistilledError, match=r"outputs \[1-575\] of") as raised:
        wide.switch_to_symbolic()
    assert len(str(raised.value)) < 1000
    wide.distill(ROWS, engine=engine)
    wide.switch_to_symbolic()
    assert len(repr(wide)) < 5000
