"""SymbolicModel: wrap, distill, read, switch; with an engine that is quick, so that what is around it shows."""

import copy
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine
from linear_engine import LinearEngine
from torch import nn

import symtorch
from symtorch import InputError, NotDistilledError, OptionError, SymbolicModel
from symtorch.errors import PoorFitWarning


def data(*shape: Any, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def linear() -> Any:
    return nn.Linear(3, 2)


@pytest.fixture
def distilled(linear: Any, engine: Any) -> Any:
    block = SymbolicModel(linear, "lin")
    block.distill(data(200, 3), engine=engine)
    return block


# ---- distill


def test_distill_returns_one_front_per_output(linear: Any, engine: Any) -> None:
    block = SymbolicModel(linear)
    fronts = block.distill(data(200, 3), engine=engine)
    assert list(fronts) == [0, 1]
    assert fronts == block.fronts
    assert fronts[0].best.loss < 1e-12
    assert fronts[0].best.r2 == pytest.approx(1)


@pytest.mark.parametrize("output", [0, 1])
def test_output_dim_runs_that_output_alone_also_for_zero(linear: Any, engine: Any, output: int) -> None:
    block = SymbolicModel(linear)
    front = block.distill(data(200, 3), output_dim=output, engine=engine)
    assert isinstance(front, symtorch.Front)
    assert list(block.fronts) == [output]
    assert engine.searches[0].n_outputs == 1


def test_what_distill_returns_shows_the_picks(linear: Any, engine: Any) -> None:
    found = SymbolicModel(linear, "f").distill(torch.rand(50, 3), engine=engine)
    assert isinstance(found, dict)
    lines = repr(found).splitlines()
    assert [line.split(" = ")[0] for line in lines[:-1]] == [f"y{i}" for i in found]
    assert "Call(" not in repr(found) + repr(found[0]) + repr(found[0].best)
    assert found._repr_html_().count("<tr>") == 1 + len(found)


def test_outputs_distilled_one_by_one_add_up(linear: Any, engine: Any) -> None:
    block = SymbolicModel(linear)
    block.distill(data(200, 3), output_dim=1, engine=engine)
    block.distill(data(200, 3), output_dim=0, engine=engine)
    block.switch_to_symbolic()
    x = data(5, 3, seed=1)
    torch.testing.assert_close(block(x), linear(x))


@pytest.mark.parametrize("output", [2, -1])
def test_an_output_out_of_range_is_an_error_that_says_the_range(linear: Any, engine: Any, output: int) -> None:
    with pytest.raises(InputError, match=r"0\.\.1"):
        SymbolicModel(linear).distill(data(50, 3), output_dim=output, engine=engine)


def test_options_are_checked_before_any_data_is_moved(linear: Any, engine: Any) -> None:
    def never() -> Iterator[Any]:
        raise AssertionError("the data was touched")
        yield

    block = SymbolicModel(linear)
    bad: dict[str, Any]
    for bad in (
        {"sr_params": {"niterationz": 3}},
        {"fit_params": {"weight": [1]}},
        {"variable_transforms": []},
        {"variable_transforms": [lambda x: x[:, 0]], "fit_params": {"variable_names": ["a", "b"]}},
        {"held_out": 1.5},
        {"output_dim": "0"},
        {"engine": "psyr"},
    ):
        with pytest.raises(InputError):
            block.distill(never(), **({"engine": engine} | bad))


def test_a_failed_distillation_leaves_what_was_there(distilled: Any, engine: Any) -> None:
    before = dict(distilled.fronts)
    with pytest.raises(OptionError):
        distilled.distill(data(200, 3), sr_params={"maxsize": 0}, engine=engine)
    with pytest.raises(InputError):
        distilled.distill(torch.full((50, 3), torch.nan), engine=engine)
    assert distilled.fronts == before


def test_a_constant_output_is_a_constant_without_a_search(engine: Any) -> None:
    class Half(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.stack([torch.full_like(x[:, 0], 2.5), x[:, 0]], dim=1)

    block = SymbolicModel(Half())
    fronts = block.distill(data(100, 1), engine=engine)
    assert str(fronts[0].best) == "2.5"
    assert fronts[0].stop_reason == "exact"
    assert engine.searches[0].n_outputs == 1


def test_names_and_weights_reach_the_engine(linear: Any, engine: Any) -> None:
    weights = np.linspace(0, 1, 200)
    fit_params = {"variable_names": ["a", "b", "c"], "weights": weights}
    SymbolicModel(linear).distill(data(200, 3), fit_params=fit_params, engine=engine)
    samples = engine.searches[0]
    assert samples.variable_names == ("a", "b", "c")
    x = data(200, 3).double().numpy()
    for row, weight in zip(samples.X[:20], samples.weights[:20], strict=True):
        assert weight == weights[np.flatnonzero((x == row).all(axis=1))[0]]


def test_a_plain_callable_has_no_parent(engine: Any) -> None:
    with pytest.raises(ValueError, match="plain callable"):
        SymbolicModel(np.sin).distill(data(50, 1), parent_model=nn.Linear(1, 1), engine=engine)


def test_the_teacher_answers_as_the_block(linear: Any, engine: Any) -> None:
    SymbolicModel(linear).distill(data(200, 3), engine=engine)
    x = data(7, 3, seed=5)
    np.testing.assert_allclose(engine.searches[0].teacher(x.numpy()), linear(x).detach(), rtol=1e-5)


def test_progress_reports_reach_a_callable(linear: Any, engine: Any) -> None:
    events: list[Any] = []
    SymbolicModel(linear).distill(data(50, 3), engine=engine, progress=events.append)
    assert [event.stage for event in events] == ["fit"]
    assert len(events[0].fronts()) == 2


# ---- the cache


def test_captured_data_is_used_again_only_while_nothing_has_changed(linear: Any, engine: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 3), linear)
    model[1] = block = SymbolicModel(linear)
    x = data(200, 3)

    def captured_outputs() -> Any:
        block.distill(x, parent_model=model, engine=engine)
        return engine.searches[-1].Y.copy()

    first = captured_outputs()
    np.testing.assert_array_equal(captured_outputs(), first)
    with torch.no_grad():
        linear.bias += 1
    after_block = captured_outputs()
    np.testing.assert_allclose(after_block, first + 1, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        model[0].weight *= 2
    assert not np.allclose(captured_outputs(), after_block)


def test_other_transforms_are_not_served_from_the_cache(linear: Any, engine: Any) -> None:
    block, x = SymbolicModel(linear), data(200, 3)
    block.distill(x, variable_transforms=["x0"], engine=engine)
    block.distill(x, variable_transforms=["2*x0"], engine=engine)
    np.testing.assert_allclose(engine.searches[1].X, 2 * engine.searches[0].X)


# ---- the parent is left as it was


def test_modes_hooks_and_gradients_are_put_back(linear: Any, engine: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), linear)
    model[2] = block = SymbolicModel(linear)
    model.train()
    model[0].eval()
    block.distill(data(100, 3), parent_model=model, engine=engine)
    assert (model.training, model[0].training, model[1].training, linear.training) == (True, False, True, True)
    assert not linear._forward_hooks
    assert not linear._forward_pre_hooks
    assert torch.is_grad_enabled()


def test_distilling_again_while_switched_asks_the_block(distilled: Any, linear: Any, engine: Any) -> None:
    distilled.switch_to_symbolic()
    with torch.no_grad():
        linear.bias += 1
    front = distilled.distill(data(200, 3, seed=2), output_dim=0, engine=engine)
    assert distilled.use_symbolic
    x = data(4, 3)
    with torch.no_grad():
        np.testing.assert_allclose(front.predict(x.numpy()), linear(x)[:, 0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(distilled(x)[:, 0], linear(x)[:, 0], rtol=1e-4, atol=1e-6)


def test_a_choice_from_an_earlier_front_does_not_outlive_it(distilled: Any) -> None:
    distilled.switch_to_symbolic(1)
    distilled.distill(data(200, 3), output_dim=0, engine=LinearEngine(complexities=(2, 7)))
    assert [distilled.equation(i).complexity for i in (0, 1)] == [7, 1]
    assert distilled.use_symbolic


# ---- switch


def test_switching_too_early_or_with_missing_outputs_raises(linear: Any, engine: Any) -> None:
    block = SymbolicModel(linear)
    with pytest.raises(NotDistilledError, match="distill"):
        block.switch_to_symbolic()
    block.distill(data(100, 3), output_dim=1, engine=engine)
    with pytest.raises(NotDistilledError, match=r"outputs \[0\]"):
        block.switch_to_symbolic()
    assert not block.use_symbolic


@pytest.mark.parametrize(
    ("complexity", "chosen"),
    [(None, [5, 5]), (1, [1, 1]), ([1, None], [1, 5]), ({1: 1}, [5, 1])],
)
def test_complexities_choose_the_equations(distilled: Any, complexity: Any, chosen: Any) -> None:
    distilled.switch_to_symbolic(complexity)
    assert [distilled.equation(i).complexity for i in (0, 1)] == chosen
    x = data(6, 3, seed=3)
    expected = np.stack([distilled.fronts[i].at(c).predict(x.numpy()) for i, c in enumerate(chosen)], axis=1)
    np.testing.assert_allclose(distilled(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("complexity", "what"), [(3, r"\[1, 5\]"), ([1], "1 complexities"), ({7: 1}, r"\[7\]")])
def test_an_unknown_complexity_says_what_there_is_and_changes_nothing(
    distilled: Any, complexity: Any, what: str
) -> None:
    with pytest.raises(InputError, match=what):
        distilled.switch_to_symbolic(complexity)
    assert not distilled.use_symbolic


def test_the_block_comes_back_untouched(distilled: Any, linear: Any) -> None:
    x, before = data(5, 3), linear.weight.clone()
    distilled.switch_to_symbolic(1)
    distilled.switch_to_block()
    assert not distilled.use_symbolic
    torch.testing.assert_close(distilled(x), linear(x), rtol=0, atol=0)
    torch.testing.assert_close(linear.weight, before, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 5, 3), (2, 0, 3), (2, 3, 4, 3)])
def test_rank_is_kept(distilled: Any, linear: Any, shape: tuple[int, ...]) -> None:
    distilled.switch_to_symbolic()
    x = data(*shape)
    torch.testing.assert_close(distilled(x), linear(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_dtype_is_kept(distilled: Any, dtype: torch.dtype) -> None:
    distilled.switch_to_symbolic()
    assert distilled(data(4, 3).to(dtype)).dtype == dtype


def test_gradients_flow_to_the_inputs_and_when_asked_to_the_constants(distilled: Any, linear: Any) -> None:
    distilled.switch_to_symbolic()
    x = data(4, 3).requires_grad_()
    distilled(x)[:, 0].sum().backward()
    torch.testing.assert_close(x.grad, linear.weight[0].expand(4, 3), rtol=1e-4, atol=1e-5)
    assert not any(p.requires_grad for p in distilled.surrogate.parameters())
    distilled.surrogate.requires_grad_()
    distilled(data(4, 3)).sum().backward()
    assert all(p.grad is not None for p in distilled.surrogate.parameters())


def test_numpy_in_gives_numpy_out(distilled: Any) -> None:
    x = data(4, 3).numpy()
    distilled.switch_to_symbolic()
    assert isinstance(distilled(x), np.ndarray)
    assert distilled(x).shape == (4, 2)


def test_inside_a_parent_the_equations_stand_in_for_the_block(linear: Any, engine: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 3), linear, nn.Tanh())
    x = data(300, 3)
    expected = model(x)
    block = symtorch.wrap(model, "1")
    block.distill(x, parent_model=model, engine=engine)
    block.switch_to_symbolic()
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)
    assert symtorch.unwrap(model, "1") is linear
    torch.testing.assert_close(model(x), expected, rtol=0, atol=0)


def test_a_batch_sequence_block_is_distilled_along_its_features(engine: Any) -> None:
    linear = nn.Linear(4, 2)
    block = SymbolicModel(linear)
    block.distill(data(8, 10, 4), engine=engine)
    assert engine.searches[0].n_inputs == 4
    block.switch_to_symbolic()
    x = data(2, 7, 4, seed=1)
    torch.testing.assert_close(block(x), linear(x), rtol=1e-4, atol=1e-5)


def test_a_tuple_result_keeps_its_structure(engine: Any) -> None:
    class Two(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.sum(dim=-1, keepdim=True), {"n": 3}

    block = SymbolicModel(Two())
    with pytest.raises(InputError, match="output_index"):
        block.distill(data(100, 3), engine=engine)
    block.distill(data(100, 3), output_index=0, engine=engine)
    block.switch_to_symbolic()
    result = block(data(5, 3))
    assert isinstance(result, tuple)
    torch.testing.assert_close(result[0], data(5, 3).sum(dim=-1, keepdim=True), rtol=1e-4, atol=1e-5)


def test_several_inputs_and_keywords_are_joined(engine: Any) -> None:
    class Plus(nn.Module):
        def forward(self, a: Any, *, b: Any, scale: Any = 2.0) -> Any:
            return scale * a[:, :1] + b

    class Parent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plus = SymbolicModel(Plus())

        def forward(self, x: Any) -> Any:
            return self.plus(x[:, :2], b=x[:, 2:])

    parent, x = Parent(), data(200, 3)
    expected = parent(x)
    parent.plus.distill(x, parent_model=parent, engine=engine)
    parent.plus.switch_to_symbolic()
    torch.testing.assert_close(parent(x), expected, rtol=1e-4, atol=1e-5)


# ---- transforms


def test_formula_transforms_become_part_of_the_function(linear: Any, engine: Any) -> None:
    block = SymbolicModel(lambda x: (x[:, 0] - x[:, 1]) ** 2)
    block.distill(data(200, 2), variable_transforms={"squared": "(x0 - x1)^2"}, engine=engine)
    assert block.equation(0).variable_names == ("squared",)
    block.switch_to_symbolic()
    x = data(5, 2, seed=1)
    torch.testing.assert_close(block(x), (x[:, 0] - x[:, 1]) ** 2, rtol=1e-4, atol=1e-5)
    assert block.surrogate.function.n_inputs == 2  # over the inputs, not over the one variable


def test_callable_transforms_are_called(linear: Any, engine: Any) -> None:
    block = SymbolicModel(nn.Linear(2, 1))
    transforms = [lambda x: x[:, 0] + x[:, 1], lambda x: torch.sin(x[:, 1])]
    fit_params = {"variable_names": ["total", "wave"]}
    block.distill(data(200, 2), variable_transforms=transforms, fit_params=fit_params, engine=engine)
    np.testing.assert_allclose(engine.searches[0].X[:, 1].max(), 1, atol=1e-3)
    assert engine.searches[0].teacher is None
    block.switch_to_symbolic()
    assert block(data(3, 4, 2)).shape == (3, 4, 1)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own use of it
def test_formulas_beside_callables_trace_whole(engine: Any) -> None:
    block = SymbolicModel(nn.Linear(2, 1))
    transforms = {"total": "x0 + x1", "wave": lambda x: torch.sin(x[:, 1])}
    block.distill(data(200, 2), variable_transforms=transforms, engine=engine)
    block.switch_to_symbolic()
    x = data(7, 2)
    torch._dynamo.reset()
    torch.testing.assert_close(torch.compile(block, fullgraph=True, backend="eager")(x), block(x))
    torch.testing.assert_close(copy.deepcopy(block)(x), block(x))
    assert block(x.double()).dtype == torch.float64


def test_a_transform_of_the_wrong_shape_is_named(linear: Any, engine: Any) -> None:
    with pytest.raises(InputError, match=r"'both'.*one value per row"):
        SymbolicModel(linear).distill(data(50, 3), variable_transforms={"both": lambda x: x[:, :2]}, engine=engine)


def test_new_variables_replace_equations_over_the_old_ones(distilled: Any, engine: Any) -> None:
    distilled.switch_to_symbolic()
    distilled.distill(data(100, 3), output_dim=0, fit_params={"variable_names": ["a", "b", "c"]}, engine=engine)
    assert list(distilled.fronts) == [0]
    assert not distilled.use_symbolic


# ---- plain callables


def test_a_numpy_function(engine: Any) -> None:
    block = SymbolicModel(lambda X: 2 * X[:, 0] - X[:, 1], "f")
    x = np.random.default_rng(0).normal(size=(100, 2))
    block.distill(x, engine=engine)
    block.switch_to_symbolic()
    np.testing.assert_allclose(block(x), 2 * x[:, 0] - x[:, 1], rtol=1e-9, atol=1e-9)


def test_a_scikit_learn_predict(engine: Any) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x = np.random.default_rng(0).normal(size=(100, 2))
    fitted = linear_model.LinearRegression().fit(x, x @ np.array([[1.0, 2.0], [3.0, 4.0]]))
    block = SymbolicModel(fitted.predict)
    block.distill(x, engine=engine)
    block.switch_to_symbolic()
    np.testing.assert_allclose(block(x), fitted.predict(x), rtol=1e-9, atol=1e-9)


# ---- reading


def test_the_printed_model_shows_equations_with_their_figures(distilled: Any) -> None:
    text = repr(nn.Sequential(distilled))
    assert "y1 = " in text
    assert "complexity 5" in text
    assert "held-out R² 1" in text
    assert "<table" in distilled._repr_html_()
    assert "aligned" in distilled._repr_latex_()


def test_show_prints_fronts_or_single_equations(distilled: Any, capsys: pytest.CaptureFixture[str]) -> None:
    distilled.show_symbolic_expression()
    assert "output 1" in capsys.readouterr().out
    distilled.show_symbolic_expression(dim=1, complexity=1)
    assert capsys.readouterr().out.startswith("y1 = ")
    with pytest.raises(InputError, match="2 complexities for 1"):
        distilled.show_symbolic_expression(dim=1, complexity=[1, 5])


def test_reading_before_distilling_raises_and_showing_says_so(linear: Any, capsys: pytest.CaptureFixture[str]) -> None:
    SymbolicModel(linear, "lin").show_symbolic_expression()
    assert "'lin' has no equations yet; call distill(...) first." in capsys.readouterr().out
    with pytest.raises(NotDistilledError):
        SymbolicModel(linear).get_symbolic_function()


def test_get_symbolic_function_takes_tensors_and_arrays(distilled: Any, linear: Any) -> None:
    function = distilled.get_symbolic_function(1)
    x = data(4, 3)
    for given in (x, x.numpy()):
        result = function(given)
        assert isinstance(result, np.ndarray)
        np.testing.assert_allclose(result, linear(x)[:, 1].detach(), rtol=1e-4, atol=1e-5)


# ---- copies


def test_copies_and_pickles_keep_equations_and_mode(distilled: Any) -> None:
    distilled.switch_to_symbolic(1)
    x = data(4, 3)
    buffer = io.BytesIO()
    torch.save(distilled, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(distilled), torch.load(buffer, weights_only=False)):
        assert twin.use_symbolic
        torch.testing.assert_close(twin(x), distilled(x), rtol=0, atol=0)


# ---- choosing by the loss of the whole model


def parent_of(formulas: Any) -> Any:
    """A model whose block's outputs have these equations, and only the first output matters much."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0, 1e-4]]))
    block = symtorch.wrap(net, "0")
    x = torch.randn(200, 2, dtype=torch.float64)
    block.distill(x, parent_model=net, engine=FormulaEngine(*formulas))
    return net, block, x


def squared(model: Any, batch: Any) -> Any:
    x, y = batch
    return (model(x)[:, 0] - y).square().mean()


def choice() -> Any:
    net, block, x = parent_of(["1.5*x0", "1.5*x0 + 0.01*x1"])
    y = 1.5 * x[:, 0] + 0.01 * x[:, 1] + 0.001 * torch.randn(200, dtype=torch.float64)
    return net, block, (x, y)


def test_choose_returns_what_the_models_loss_bears_and_leaves_the_block() -> None:
    net, block, batch = choice()
    before = net(batch[0])
    assert block.choose(net, [batch, batch], squared) == {0: 4, 1: 1}
    assert not block.use_symbolic
    torch.testing.assert_close(net(batch[0]), before)
    assert block.equation(1).complexity == 4  # the front's own pick, as before


def test_choose_changes_over_what_is_in_use() -> None:
    net, block, batch = choice()
    block.switch_to_symbolic(guard="block", compile=False)
    block.choose(net, batch, squared)
    assert {i: eq.complexity for i, eq in block.equations.items()} == {0: 4, 1: 1}
    assert block.use_symbolic
    assert (block.surrogate.guard, block.surrogate.compile_as) == ("block", False)
    assert block.choose(net, batch, squared, tolerance=1e6) == {0: 1, 1: 1}


def test_a_failed_choice_changes_nothing() -> None:
    net, block, batch = choice()
    block.switch_to_symbolic()
    in_place = block.surrogate

    def broken(model: Any, batch: Any) -> None:
        raise KeyError("target")

    with pytest.raises(KeyError):
        block.choose(net, batch, broken)
    assert block.surrogate is in_place
    with pytest.raises(InputError, match="no part of the model"):
        block.choose(nn.Linear(2, 1), batch, squared)
    with pytest.raises(InputError, match="data is empty"):
        block.choose(net, [], squared)
    with pytest.raises(NotDistilledError):
        SymbolicModel(nn.Linear(2, 1)).choose(None, batch, squared)


# ---- equations that explain little


def poor_model(n_poor: int) -> SymbolicModel:
    """Lines are all that there is for the outputs: fit for the last one only."""
    block = SymbolicModel(lambda x: np.concatenate([np.cos(9 * x[:, :1] * np.arange(1, n_poor + 1)), x], 1), "poor")
    block.distill(np.random.default_rng(0).normal(size=(300, 1)), engine=LinearEngine())
    return block


@pytest.mark.parametrize(("n_poor", "named"), [(1, "equation of output 0 has"), (5, "equations of outputs 0-4 have")])
def test_switching_to_equations_that_explain_little_warns(n_poor: Any, named: Any) -> None:
    block = poor_model(n_poor)
    with pytest.warns(PoorFitWarning, match=rf"poor: the {named} a held-out R² under 0.5"):
        block.switch_to_symbolic()
    assert block.use_symbolic


def test_what_is_too_little_is_the_users_choice() -> None:
    block = poor_model(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        block.switch_to_symbolic(min_r2=None)
        block.switch_to_symbolic(min_r2=-10.0)
    with pytest.warns(PoorFitWarning, match="under 1 "):
        block.switch_to_symbolic(min_r2=1.0)
    for wrong in ("0.5", True, 2.0):
        with pytest.raises(InputError, match="min_r2 is"):
            block.switch_to_symbolic(min_r2=wrong)


def test_the_default_pick_is_no_equation_that_fails_on_held_out_rows() -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 2))).float()
    engine = FormulaEngine("0.0", "x0", "log(x0 + 2.2)/(x1 - 7e-4)", "x0 + x1*1e-9")
    block = SymbolicModel(lambda x: x[:, :1] + 0.1 * x[:, 1:] ** 2, "square")
    front = block.distill(x.numpy(), output_dim=0, engine=engine)
    assert [eq.r2 is None or eq.r2 < 0 for eq in front] == [True, False, True, False]
    assert front.best.r2 > 0.9
    rule = {"model_selection": "accuracy"}
    assert block.distill(x.numpy(), output_dim=0, engine=engine, sr_params=rule).best is not None
