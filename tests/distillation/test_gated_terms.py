"""Gated terms beside a projection's linear part, and massive outputs behind a gate: fitted, shown, used, saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from linear_engine import LinearEngine
from torch import nn
from wide import WIDTH, GatedMLP, TinyModel, token_batches

import symtorch
from symtorch import Gated, InputError, Projection, SymbolicModel

QUIET = {"verbosity": 0, "random_state": 0}
ALONE = Projection(outputs=0)


def distilled(
    projection: Projection = ALONE, skip: Any = 8, k: int = 12, **more: Any
) -> tuple[TinyModel, SymbolicModel]:
    torch.manual_seed(0)
    model = TinyModel(scale=1.0)
    block = symtorch.wrap(model, "mlps.1")
    options = {"engine": LinearEngine(), "sr_params": QUIET} | more
    block.distill(token_batches(20), parent_model=model, projection=projection, skip=skip, terms=Gated(k), **options)
    return model, block


WAYS = [
    (ALONE, 8),
    (ALONE, 0),
    (Projection(6, 4), 3),
    (Projection(6, 4), 12),
    (Projection(6, 4, "pca"), 5),
    (Projection(6, 4, "pls"), 5),
]


@pytest.mark.parametrize(("projection", "skip"), WAYS)
def test_in_the_blocks_place_it_explains_what_the_report_says(projection: Any, skip: Any) -> None:
    model, block = distilled(projection, skip)
    assert len(block.fronts) == projection.outputs + 12
    block.switch_to_symbolic(min_r2=None)
    x, y = block._judging.X, block._judging.Y
    with torch.no_grad():
        answer = block(torch.from_numpy(x)).numpy()
    r2 = 1 - ((y - answer) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum()
    assert r2 == pytest.approx(block.report().projection.r2, abs=1e-6)
    assert model(**token_batches(1, seed=5)[0]).shape == (8, 32, 64)
    terms = block.report().terms
    assert (terms is None) == (not projection.outputs)
    if terms is not None:  # with the equations replaced by zero, that is what is left
        for i in range(projection.outputs):
            block.set_equation(i, "0")
        alone = block.report().projection
        assert terms.name == f"12 gated terms, rank {skip}"
        assert (terms.r2, terms.macs) == (pytest.approx(alone.r2, abs=1e-6), pytest.approx(alone.macs, rel=0.2))


def test_terms_explain_what_no_linear_map_does() -> None:
    _, block = distilled(k=24, skip=WIDTH)
    report = block.report()
    assert report.projection.r2 > report.linear[-1].r2 + 0.1
    assert report.projection.r2 > distilled(k=4, skip=WIDTH)[1].report().projection.r2
    assert str(block.equation(3)) == "silu(g3)*u3"
    assert block.fronts[3].engine == "block"


def test_all_units_are_the_block() -> None:
    _, block = distilled(k=96, skip=0)
    assert block.report().projection.r2 == pytest.approx(1, abs=1e-3)


def test_the_search_is_for_what_terms_leave_too() -> None:
    engine = LinearEngine()
    _, block = distilled(Projection(6, 4), 12, engine=engine)
    (samples,) = engine.searches
    assert samples.variable_names == tuple(f"z{i}" for i in range(6))
    assert samples.n_outputs == 4
    assert block.fronts[0].best.variable_names[:7] == (*samples.variable_names, "g0")
    everything = block.searched_data()
    gated = everything[1][:, 4:]
    np.testing.assert_allclose(gated.T @ everything[1][:, :4] / len(gated), 0, atol=0.05 * gated.std())
    assert samples.teacher(np.zeros((2, 6))).shape == (2, 4)


def test_an_equation_of_a_term_can_be_replaced() -> None:
    _, block = distilled()
    before = block.report().projection.r2
    block.set_equation(2, "0")
    block.switch_to_symbolic(min_r2=None)
    assert str(block.equation(2)) == "0"
    assert block.report().projection.r2 < before


def test_several_blocks_take_one_pass_and_none_the_second_time() -> None:
    model = TinyModel(scale=1.0)
    blocks = [symtorch.wrap(model, f"mlps.{i}") for i in range(2)]
    passes: list[int] = []
    model.embed.register_forward_pre_hook(lambda *_: passes.append(1))
    batches, how = token_batches(10), {"projection": ALONE, "engine": LinearEngine(), "sr_params": QUIET}
    symtorch.distill(model, batches, skip=4, terms=Gated(6), **how)
    assert len(passes) == 10
    for block in blocks:
        block.switch_to_symbolic(min_r2=None)
    symtorch.distill(model, batches, skip=12, terms=Gated(6), **how)
    assert len(passes) == 10
    assert all(block.report().projection.macs > 12 * WIDTH for block in blocks)
    symtorch.distill(model, batches, skip=12, terms=Gated(7), **how)
    assert len(passes) == 20


@pytest.mark.parametrize("way", ["state", "file"])
def test_it_is_saved_and_loaded(way: Any, tmp_path: Path) -> None:
    _, block = distilled(Projection(6, 4), 12)
    block.switch_to_symbolic(min_r2=None)
    if way == "state":
        other = SymbolicModel(GatedMLP(scale=1.0))
        other.load_state_dict(block.state_dict())
    else:
        block.save(tmp_path / "mlp")
        other = SymbolicModel.load(tmp_path / "mlp", trusted=True)
    x = torch.randn(4, WIDTH)
    assert torch.equal(other(x), block(x))
    assert other.equations == block.equations
    assert torch.equal(other.get_extra_state(), block.get_extra_state())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_it_keeps_types_whether_it_is_cast_or_not(dtype: torch.dtype) -> None:
    _, block = distilled()
    block.switch_to_symbolic(min_r2=None)
    x = torch.randn(3, 5, WIDTH)
    expected = block(x)
    for given in (block, block.to(dtype)):
        answer = given(x.to(dtype))
        assert answer.dtype is dtype
        torch.testing.assert_close(answer.float(), expected, atol=0.02, rtol=0.05)


def test_a_compiled_model_gives_the_same() -> None:
    _, block = distilled()
    block.switch_to_symbolic(min_r2=None)
    x = torch.randn(3, 5, WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(block, backend="eager", fullgraph=True)(x), block(x))


@pytest.mark.parametrize(
    ("projection", "skip", "k"), [(ALONE, 8, 12), (ALONE, 8, 3), (ALONE, 0, 12), (Projection(6, 4), 3, 12)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_one_token_alone_gets_what_it_gets_among_others(
    projection: Projection, skip: int, k: int, dtype: torch.dtype
) -> None:
    _, block = distilled(projection, skip, k)
    block.switch_to_symbolic(min_r2=None)
    x = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(0)).to(dtype)
    among = block(x)
    near = {"rtol": 2e-2, "atol": 2e-2} if dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-5}
    for i in range(5):
        for alone in (x[i : i + 1], x[i][None, None], x[i]):
            answer = block(alone)
            assert answer.shape == alone.shape
            assert answer.dtype == dtype
            torch.testing.assert_close(answer.reshape(-1), among[i], **near)
    for p in block.surrogate.parameters():
        p.requires_grad_(p.dtype == torch.float32)
    for rows in (x[:1], x):
        block(rows)[0].sum().backward()
        found = [p.grad.clone() for p in block.surrogate.parameters() if p.grad is not None]
        block.zero_grad()
        if len(rows) == 1:
            alone_found = found
    for one, many in zip(alone_found, found, strict=True):
        torch.testing.assert_close(one, many, rtol=1e-2 if dtype == torch.bfloat16 else 1e-4, atol=5e-2)


def test_a_massive_token_alone_is_answered_by_the_constant() -> None:
    torch.manual_seed(0)
    block = SymbolicModel(WithMassive(), "layer 11")
    block.distill(inputs(), projection=ALONE, skip=WIDTH, terms=Gated(8))
    block.switch_to_symbolic(min_r2=None)
    x = inputs(2)
    for row in x:
        for alone in (row[None], row[None, None], row):
            assert block(alone).shape == alone.shape
            torch.testing.assert_close(block(alone).reshape(1, -1), block(x)[(x == row).all(dim=1)])


def test_mistakes_say_what_to_do() -> None:
    block = SymbolicModel(GatedMLP(scale=1.0), "mlp")
    x = torch.randn(300, WIDTH)
    for how, message in (
        ({"terms": 64, "projection": ALONE}, r"expected symtorch\.Gated"),
        ({"terms": Gated(4)}, "beside the linear part of a projection"),
        ({"terms": Gated(4), "projection": Projection(kind="mean")}, "beside the linear part"),
    ):
        with pytest.raises(InputError, match=message):
            block.distill(x, engine=LinearEngine(), **how)
    with pytest.raises(InputError, match="'scaled' is no MLP whose units can be read"):
        SymbolicModel(GatedMLP(), "scaled").distill(x, projection=ALONE, terms=Gated(4))


# ---- massive outputs


class WithMassive(nn.Module):
    """A gated MLP whose output is a huge vector where its input lies far out in one direction."""

    def __init__(self, noise: float = 0.0, far: float = 40.0) -> None:
        super().__init__()
        self.mlp, self.noise, self.far = GatedMLP(scale=1.0), noise, far
        self.register_buffer("huge", 1e4 * torch.randn(WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spread = self.noise * 1e4 * torch.sin(100 * x)
        return torch.where(x[..., :1] > self.far, self.huge + spread, self.mlp(x))


def inputs(n: int = 4000, out: float = 50.0) -> torch.Tensor:
    x = torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(0))
    x[::200, 0] = out
    return x


@pytest.mark.parametrize(("terms", "left_over"), [(None, 0.95), (Gated(96), 1e-3)])
def test_massive_outputs_are_answered_by_a_constant(terms: Any, left_over: float) -> None:
    torch.manual_seed(0)
    block = SymbolicModel(WithMassive(), "layer 11")
    block.distill(inputs(), projection=ALONE, skip=WIDTH, terms=terms)
    block.switch_to_symbolic(min_r2=None)
    x = inputs(600)
    with torch.no_grad():
        answer, expected = block(x), block.symtorch_block(x)
    torch.testing.assert_close(answer[::200], expected[::200], rtol=1e-3, atol=1.0)
    others = torch.arange(600) % 200 > 0
    left = (answer - expected)[others].square().sum() / expected[others].square().sum()
    assert float(left) < left_over
    assert block.report().projection.r2 == pytest.approx(1 - float(left), abs=0.05)
    other = SymbolicModel(WithMassive(), "other")
    other.load_state_dict(block.state_dict())
    assert torch.equal(other(x), block(x))
    assert torch.compile(block, backend="eager", fullgraph=True)(x).shape == x.shape


def test_massive_outputs_that_differ_or_can_not_be_told_apart_are_refused() -> None:
    torch.manual_seed(0)
    block = SymbolicModel(WithMassive(noise=1.0), "layer 11")
    with pytest.raises(InputError, match=r"'layer 11' has outputs of norm .* 20 rows \(0, 200, .* differ from each"):
        block.distill(inputs(), projection=ALONE, skip=8)
    x = inputs(out=0.0)
    x[:, 0] = torch.where(torch.arange(len(x)) % 200 == 0, 1.0, -1.0)
    x[:, 1:] *= 20
    near = SymbolicModel(WithMassive(far=0.0), "layer 11")
    with pytest.raises(InputError, match="told from"):
        near.distill(x, projection=ALONE, skip=8)
