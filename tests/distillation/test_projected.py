"""Wide blocks by a projection: fitted in one pass to all tokens, searched, judged, put in place, saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine
from linear_engine import LinearEngine
from torch import nn
from wide import WIDTH, GatedMLP, TinyModel, token_batches

import symtorch
from symtorch import InputError, NotDistilledError, Projection, SymbolicModel
from symtorch.capture.moments import parts_of
from symtorch.distillation.projected import against_least_squares
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations import Equation, Front, parse

QUIET = {"verbosity": 0, "random_state": 0}


def wrapped(*names: str) -> tuple[TinyModel, list[SymbolicModel]]:
    model = TinyModel()
    return model, [symtorch.wrap(model, name) for name in names]


def distilled(engine: Any = None, **more: Any) -> tuple[TinyModel, SymbolicModel]:
    torch.manual_seed(0)
    model, (block,) = wrapped("mlps.0")
    options = {"projection": Projection(6, 4), "engine": engine or LinearEngine(), "sr_params": QUIET} | more
    block.distill(token_batches(20), parent_model=model, **options)
    return model, block


# ---- fitting


def test_it_is_fitted_to_all_tokens_and_searched_on_those_kept() -> None:
    engine = LinearEngine()
    _, block = distilled(engine, max_rows=500)
    n_tokens = int(sum(batch["attention_mask"].sum() for batch in token_batches(20)))
    report = block.report()
    assert 0.75 * n_tokens < report.n_fitted < 0.85 * n_tokens
    assert report.n_judged + engine.searches[0].n_samples == 500
    assert report.held_out


def test_a_report_is_its_table_wherever_it_is_shown() -> None:
    report = distilled()[1].report()
    assert repr(report) == str(report)
    page = report._repr_html_()
    assert page.count("<tr>") == 1 + len(report.ways)
    assert all("<td" in row and way.name in row for way, row in zip(report.ways, page.split("<tr>")[2:], strict=True))
    assert report.advice in page.replace("&#x27;", "'")


def test_held_out_rows_are_fitted_to_nowhere() -> None:
    _, block = distilled(max_rows=100_000)
    captured, judging = block._cache[1], block._judging
    apart = parts_of(captured.rows, 0.2, seed=0) == 0
    np.testing.assert_allclose(judging.linear.mean_x, captured.X[~apart].mean(axis=0), atol=1e-5)
    assert judging.n_fitted == (~apart).sum()
    np.testing.assert_array_equal(judging.X, captured.X[apart])


def test_several_blocks_take_one_pass() -> None:
    model, _ = wrapped("mlps.0", "mlps.1")
    passes = []
    model.embed.register_forward_pre_hook(lambda *_: passes.append(1))
    found = symtorch.distill(
        model, token_batches(10), projection=Projection(6, 4), skip=8, engine=LinearEngine(), sr_params=QUIET
    )
    assert len(passes) == 10
    assert {name: list(fronts) for name, fronts in found.items()} == {"mlps.0": [0, 1, 2, 3], "mlps.1": [0, 1, 2, 3]}
    assert all(block.report().projection.r2 > 0.3 for block in model.mlps)


def test_how_many_rows_are_kept_does_not_matter_to_the_projection() -> None:
    few, many = (distilled(max_rows=n)[1]._judging.interface.encoding for n in (100, 5000))
    assert few == many


# ---- in the block's place


@pytest.mark.parametrize("kind", ["rrr", "pca", "pls", "mean"])
@pytest.mark.parametrize("skip", ["auto", None, 12])
def test_in_the_blocks_place_it_explains_what_the_report_says(kind: Any, skip: Any) -> None:
    if kind == "mean" and skip == 12:
        skip = 0
    model, block = distilled(projection=Projection(6, 4, kind=kind), skip=skip)
    block.switch_to_symbolic()
    x, y = block._judging.X, block._judging.Y
    with torch.no_grad():
        answer = block(torch.from_numpy(x)).numpy()
    r2 = 1 - ((y - answer) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum()
    assert r2 == pytest.approx(block.report().projection.r2, abs=1e-6)
    batch = token_batches(1, seed=5)[0]
    assert model(**batch).shape == (8, 32, 64)


def test_the_linear_part_alone_is_a_surrogate() -> None:
    _, block = distilled(projection=Projection(outputs=0), skip=10)
    assert block.fronts == {}
    assert block.report().verdict == "equal"
    block.switch_to_symbolic(guard="block")
    x = torch.randn(3, 5, WIDTH)
    best = block._judging.linear
    np.testing.assert_allclose(
        block(x).detach().reshape(15, -1), best.predict(x.reshape(15, -1).double().numpy(), 10), atol=1e-4
    )
    assert len(block.fidelity(block._judging.X)) == WIDTH
    with pytest.raises(InputError, match="not written out"):
        block.export("c")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(WIDTH,), (0, WIDTH), (7, WIDTH), (2, 3, WIDTH)])
def test_it_keeps_shapes_and_types(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    _, block = distilled()
    block.switch_to_symbolic()
    answer = block(torch.randn(shape).to(dtype))
    assert answer.shape == shape
    assert answer.dtype == dtype


def test_gradients_run_through_it() -> None:
    _, block = distilled()
    block.switch_to_symbolic()
    (constants,) = block.trainable_constants()
    x = torch.randn(4, WIDTH, requires_grad=True)
    block(x).square().sum().backward()
    for grad in (x.grad, constants.grad):
        assert grad is not None
        assert torch.isfinite(grad).all()
        assert grad.abs().sum() > 0


def test_it_trains_after_it_has_answered_in_inference_mode() -> None:
    _, block = distilled()
    block.switch_to_symbolic()
    with torch.inference_mode():
        block(torch.randn(2, WIDTH))
    x = torch.randn(2, WIDTH, requires_grad=True)
    block(x).sum().backward()
    assert x.grad is not None


def test_a_compiled_model_gives_the_same_and_leaves_it_as_it_was() -> None:
    _, block = distilled()
    block.switch_to_symbolic(compile=False)
    x = torch.randn(3, 5, WIDTH)
    with torch.no_grad():
        compiled = torch.compile(block, backend="eager")(x)
        torch.testing.assert_close(compiled, block(x))


def test_fidelity_is_per_output_of_the_block() -> None:
    model, block = distilled()
    reports = block.fidelity(token_batches(3, seed=9), model)
    assert len(reports) == WIDTH
    assert "4 equations over 6 coordinates" in str(reports[0])
    assert np.mean([report.r2 for report in reports]) > 0.2


# ---- what is searched, and used


def test_the_search_is_for_what_the_linear_part_leaves() -> None:
    engine = LinearEngine()
    distilled(engine)
    (samples,) = engine.searches
    assert samples.variable_names == tuple(f"z{i}" for i in range(6))
    slopes = np.linalg.lstsq(np.column_stack([np.ones(samples.n_samples), samples.X]), samples.Y, rcond=None)[0][1:]
    assert np.abs(slopes).max() < 0.1


def test_the_teacher_goes_along() -> None:
    engine = LinearEngine()
    _, block = distilled(engine)
    (samples,) = engine.searches
    encoding = block._judging.interface.encoding
    x = torch.from_numpy(encoding.mean_x)[None]
    expected = encoding.targets(block.symtorch_block(x).detach().double().numpy(), x.double().numpy())
    np.testing.assert_allclose(samples.teacher(np.zeros((1, 6))), expected, atol=1e-4)


def test_one_coordinate_at_a_time() -> None:
    model, block = distilled(output_dim=0)
    assert list(block.fronts) == [0]
    with pytest.raises(NotDistilledError, match=r"coordinates \[1, 2, 3\]"):
        block.report()
    for k in (1, 2, 3):
        block.distill(token_batches(20), k, model, projection=Projection(6, 4), engine=LinearEngine(), sr_params=QUIET)
    assert block.report().projection == distilled()[1].report().projection


def test_an_equation_that_least_squares_beat_is_not_used() -> None:
    _, block = distilled(FormulaEngine("z0", "z1", "z2", "z3"), skip=0)
    fronts = block.fronts
    for front in fronts.values():
        r2 = [eq.r2 or 0.0 for eq in front]
        assert r2 == sorted(r2)
        assert front.best is front.equations[-1]
    # Without a linear part, lines in the coordinates explain what they can.
    assert max(front.best.r2 or 0.0 for front in fronts.values()) > 0.3


def samples_of(law: Any, n: int = 600, noise: float = 0.0) -> tuple[Samples, Samples]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2 * n, 3))
    Y = (law(X) + noise * rng.normal(size=2 * n))[:, None]
    whole = Samples(X, Y)
    return whole.take(np.arange(n)), whole.take(np.arange(n, 2 * n))


def amended(law: Any, *texts: str, noise: float = 0.0) -> Front:
    train, held_out = samples_of(law, noise=noise)
    options = SearchOptions.from_params({"model_selection": "accuracy", "random_state": 0})
    names = train.variable_names
    trees = [parse(text, names) for text in texts]
    loss = [float(np.mean((Equation(t, names, 1, 0.0).predict(train.X) - train.Y[:, 0]) ** 2)) for t in trees]
    equations = [Equation(t, names, options.complexity(t), e) for t, e in zip(trees, loss, strict=True)]
    front = Front.from_candidates(equations, engine="mine", stop_reason="budget")
    return against_least_squares({0: front}, train, held_out, options)[0]


def test_a_law_that_was_found_stays_the_pick() -> None:
    front = amended(lambda X: np.sin(2 * X[:, 0]) * X[:, 1], "sin(2*x0)*x1", "0.1")
    assert front.best.text == "sin(2*x0)*x1"
    assert (front.engine, front.stop_reason) == ("mine", "budget")


def test_least_squares_take_the_place_of_what_is_worse() -> None:
    front = amended(lambda X: 2 * X[:, 0] - X[:, 1] + X[:, 2] ** 2, "2*x0", "2*x0 - x1")
    assert front.best.r2 == pytest.approx(1, abs=1e-6)


def test_where_there_is_nothing_to_find_nothing_is_used() -> None:
    front = amended(lambda X: 0 * X[:, 0], "x0*x1", "x0 + x1*x2 - 3", noise=1.0)
    assert front.best.r2 > -0.01
    assert front.best.complexity <= 12


def test_what_is_fitted_to_chance_is_not_the_pick() -> None:
    rng = np.random.default_rng(3)
    line = " + ".join(f"({w})*sin({k}*x0)" for k, w in enumerate(rng.normal(size=8), start=40))
    front = amended(lambda X: X[:, 0], line, noise=0.5)
    assert all("sin(4" not in eq.text for eq in front.equations[1:])
    assert front.best.r2 > 0.7


# ---- saving


@pytest.mark.parametrize("outputs", [4, 0])
@pytest.mark.parametrize("way", ["state", "file"])
def test_it_is_saved_and_loaded(way: Any, outputs: Any, tmp_path: Path) -> None:
    _, block = distilled(projection=Projection(6, outputs))
    keys = list(SymbolicModel(GatedMLP()).state_dict())
    block.switch_to_symbolic()
    if outputs:
        block.trainable_constants()[0].data.add_(0.125)
    x = torch.randn(4, WIDTH)
    if way == "state":
        assert list(block.state_dict()) == keys
        other = SymbolicModel(GatedMLP())
        other.load_state_dict(block.state_dict())
    else:
        block.save(tmp_path / "mlp", data=True)
        other = SymbolicModel.load(tmp_path / "mlp", trusted=True)
    assert torch.equal(other(x), block(x))
    assert other.equations == block.equations
    assert torch.equal(other.get_extra_state(), block.get_extra_state())
    with pytest.raises(NotDistilledError, match="in this process"):
        other.report()


def test_rows_from_a_file_are_not_taken_for_moments(tmp_path: Path) -> None:
    block = SymbolicModel(GatedMLP(), "mlp")
    x = torch.randn(500, WIDTH)
    how = {"projection": Projection(6, 0), "engine": LinearEngine(), "sr_params": QUIET}
    block.distill(x, **how)
    block.save(tmp_path / "mlp", data=True)
    other = SymbolicModel.load(tmp_path / "mlp", trusted=True)
    other.distill(x, **how)
    assert other.report() == block.report()


def test_what_was_found_is_taken_over_from_a_folder(tmp_path: Path) -> None:
    fronts = []
    for resume, n_searches in ((False, 1), (True, 0)):
        torch.manual_seed(1)
        engine, block = LinearEngine(), SymbolicModel(GatedMLP(), "wide")
        how = {"projection": Projection(3, 2), "engine": engine, "sr_params": QUIET}
        x = torch.randn(400, WIDTH, generator=torch.Generator().manual_seed(0))
        fronts.append(block.distill(x, save_path=tmp_path, resume=resume, **how))
        assert len(engine.searches) == n_searches
    assert [front.equations for front in fronts[0].values()] == [front.equations for front in fronts[1].values()]


# ---- a real search


def test_a_quadratic_law_in_one_direction_is_found() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(WIDTH) / WIDTH**0.5, 3 * torch.randn(WIDTH)
    w = torch.randn(WIDTH, WIDTH) / WIDTH

    class Law(nn.Module):
        def forward(self, x: Any) -> Any:
            s = x @ a
            return x @ w + s.unsqueeze(-1) * b + (s * s).unsqueeze(-1) * b

    block = SymbolicModel(Law(), "law")
    block.distill(
        torch.randn(20_000, WIDTH),  # all of them say where the direction is; the search needs fewer
        max_rows=3000,
        projection=Projection(1, 1),
        skip=WIDTH,
        engine="native",
        sr_params={**QUIET, "timeout_in_seconds": 20, "maxsize": 12},
    )
    assert block.fronts[0].best.r2 > 0.95
    report = block.report()
    assert report.projection.r2 > report.linear[-1].r2 + 0.3
    assert report.verdict == "projection"


# ---- mistakes


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"projection": "rrr"}, "projection is a str"),
        ({"projection": None, "skip": 3}, "skip is the rank"),
        ({"skip": -1}, "skip is -1"),
        ({"skip": "all"}, "skip is 'all'"),
        ({"variable_transforms": ["x0"]}, "another encoding"),
        ({"fit_params": {"weights": np.ones(3)}}, "weights were given"),
        ({"SLIME": True}, "SLIME=True"),
        ({"projection": Projection(6, 0), "output_dim": 0}, "leaves nothing to search for"),
        ({"fit_params": {"variable_names": ["a", "b"]}}, "2 variable names"),
    ],
)
def test_mistakes_say_what_to_do(more: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        distilled(**more)


def test_too_few_rows_and_rows_that_are_not_finite() -> None:
    block = SymbolicModel(GatedMLP(), "mlp")
    x = torch.randn(400, WIDTH)
    with pytest.raises(InputError, match="only 8 rows"):
        block.distill(x[:8], projection=Projection(2, 2), engine=LinearEngine())
    x[5] = float("nan")
    with pytest.raises(InputError, match="1 of 400 captured rows hold NaN"):
        block.distill(x, projection=Projection(2, 2), engine=LinearEngine())
    block.distill(x, projection=Projection(2, 0), drop_nonfinite=True)
    assert block.report().n_fitted + block.report().n_judged == 399


def test_a_report_needs_a_projection() -> None:
    with pytest.raises(NotDistilledError, match="projection="):
        SymbolicModel(GatedMLP(), "mlp").report()
