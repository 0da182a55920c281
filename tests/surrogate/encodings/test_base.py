"""A new encoding is one class and one reader: searched through, switched to, exported, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine
from linear_engine import LinearEngine
from torch import nn

from symtorch import InputError, StateError, SymbolicModel
from symtorch.capture.rows import Teacher
from symtorch.equations import parse
from symtorch.equations.expr import Expr, substitute
from symtorch.state.encodings import READERS, Around
from symtorch.state.node import Node
from symtorch.surrogate.encodings import Encoding, Identity, Transforms


@dataclass(frozen=True)
class Rotated(Encoding):
    """Two inputs turned by an angle, and outputs searched in units of a scale."""

    angle: float
    scale: float
    kind: ClassVar[str] = "rotated"

    def _turn(self, x: Any, angle: float) -> Any:
        c, s = float(np.cos(angle)), float(np.sin(angle))
        columns = [c * x[..., 0] + s * x[..., 1], c * x[..., 1] - s * x[..., 0]]
        return torch.stack(columns, -1) if isinstance(x, torch.Tensor) else np.stack(columns, -1)

    def encode(self, x: Any) -> Any:
        return self._turn(x, self.angle)

    def variable_names(self, n_inputs: int) -> tuple[str, ...]:
        return ("u", "v")

    def teacher(self, find: Callable[[], Teacher | None]) -> Teacher | None:
        ask = find()
        return None if ask is None else lambda z: ask(self._turn(z, -self.angle)) / self.scale

    def expand(self, expr: Expr) -> Expr | None:
        c, s = float(np.cos(self.angle)), float(np.sin(self.angle))
        return substitute(expr, [parse(f"{a!r}*x0 + {b!r}*x1", ["x0", "x1"]) for a, b in ((c, s), (-s, c))])

    def targets(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return y / self.scale

    def decode(self, y: Any, x: Any) -> Any:
        return y * self.scale

    def combine(self, laws: Mapping[int, Expr], outputs: Sequence[int]) -> list[Expr]:
        return [substitute(parse(f"{self.scale!r}*y", ["y"]), [laws[i]]) for i in outputs]

    def write(self) -> dict[str, Any]:
        return {"kind": self.kind, "angle": self.angle, "scale": self.scale}


def read_rotated(node: Node, around: Around) -> Encoding:
    return Rotated(node["angle"].number(), node["scale"].number())


@dataclass(frozen=True)
class Mixed(Identity):
    """Three outputs that are sums of two laws."""

    kind: ClassVar[str] = "mixed"
    matrix: ClassVar[np.ndarray] = np.array([[1.0, 0.0], [1.0, 2.0], [0.0, -1.0]])

    def n_searched(self, n_outputs: int) -> int:
        return 2

    def targets(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return y @ np.linalg.pinv(self.matrix).T

    def teacher(self, find: Callable[[], Teacher | None]) -> Teacher | None:
        ask = find()
        return None if ask is None else lambda z: self.targets(ask(z), z)

    def decode(self, y: Any, x: Any) -> Any:
        return y @ torch.from_numpy(self.matrix).to(y).T

    def needed(self, outputs: Sequence[int]) -> list[int]:
        return [j for j in (0, 1) if self.matrix[list(outputs), j].any()]

    def combine(self, laws: Mapping[int, Expr], outputs: Sequence[int]) -> list[Expr]:
        zero = parse("0", ["x"])
        names, trees = ["y0", "y1"], [laws.get(j, zero) for j in (0, 1)]
        rows = [" + ".join(f"({w!r})*{n}" for w, n in zip(row, names, strict=True)) for row in self.matrix.tolist()]
        return [substitute(parse(rows[i], names), trees) for i in outputs]

    def write(self) -> dict[str, Any] | None:
        return {"kind": self.kind}


@pytest.fixture(autouse=True)
def _readers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READERS, Rotated.kind, read_rotated)
    monkeypatch.setitem(READERS, Mixed.kind, lambda node, around: Mixed())


TURN = Rotated(np.pi / 6, 100.0)
X = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Turned(nn.Module):
    """100 u and 200 u - 100 v, in the turned inputs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = TURN.encode(x)
        return torch.stack([100 * z[..., 0], 200 * z[..., 0] - 100 * z[..., 1]], -1)


def distilled(**more: Any) -> tuple[SymbolicModel, LinearEngine]:
    block, engine = SymbolicModel(Turned(), "turned"), LinearEngine()
    block.distill(X, engine=engine, **({"encoding": TURN} | more))
    return block, engine


# ---- an encoding of one's own


def test_the_search_sees_encoded_rows_targets_and_a_teacher_of_them() -> None:
    block, engine = distilled()
    (samples,) = engine.searches
    assert samples.variable_names == ("u", "v")
    np.testing.assert_allclose(samples.Y, np.stack([samples.X[:, 0], 2 * samples.X[:, 0] - samples.X[:, 1]], 1))
    np.testing.assert_allclose(samples.teacher(samples.X), samples.Y)
    assert block.equation(0).predict(np.array([[3.0, 5.0]])) == pytest.approx(3)


@pytest.mark.parametrize("shape", [(2,), (7, 2), (3, 4, 2), (0, 2)])
def test_in_the_blocks_place_it_answers_as_the_block(shape: tuple[int, ...]) -> None:
    block, _ = distilled()
    x = torch.randn(shape, dtype=torch.float64)
    block.switch_to_symbolic(guard="block")
    torch.testing.assert_close(block(x), block.symtorch_block(x))


def test_gradients_and_one_output_run_through_it() -> None:
    block, _ = distilled()
    block.switch_to_symbolic()
    x = X[:5].clone().requires_grad_()
    block(x)[:, 1].sum().backward()
    y = X[:5].clone().requires_grad_()
    block.symtorch_block(y)[:, 1].sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    np.testing.assert_allclose(block.get_symbolic_function(1)(X), block.symtorch_block(X)[:, 1])
    assert [round(report.r2, 9) for report in block.fidelity(X)] == [1, 1]
    assert [report.n_outside for report in block.fidelity(X)] == [0, 0]
    assert all(report.n_outside > 20 for report in block.fidelity(3 * X))


def test_export_and_expand_are_over_the_blocks_own_inputs() -> None:
    block, _ = distilled()
    np.testing.assert_allclose(block.export("numpy")(X.numpy()), block.symtorch_block(X))
    np.testing.assert_allclose(100 * block.equation(1, expand=True).predict(X.numpy()), block.symtorch_block(X)[:, 1])


@pytest.mark.parametrize("way", ["state", "file"])
def test_it_is_saved_and_loaded(way: Any, tmp_path: Path) -> None:
    block, _ = distilled()
    block.switch_to_symbolic()
    block.trainable_constants()[0].data.add_(0.125)
    if way == "state":
        other = SymbolicModel(Turned())
        other.load_state_dict(block.state_dict())
    else:
        block.save(tmp_path / "turned")
        other = SymbolicModel.load(tmp_path / "turned", trusted=True)
    assert torch.equal(other(X), block(X))
    assert other.equations == block.equations
    assert torch.equal(other.get_extra_state(), block.get_extra_state())


def test_a_kind_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    block, _ = distilled()
    state = block.state_dict()
    monkeypatch.delitem(READERS, Rotated.kind)
    with pytest.raises(StateError, match=r"transforms\.kind is 'rotated'; expected one of formulas"):
        SymbolicModel(Turned()).load_state_dict(state)


def test_it_may_be_fitted_to_the_data() -> None:
    seen = []

    def fit(x: np.ndarray, y: np.ndarray) -> Encoding:
        seen.append((x.shape, y.shape))
        return TURN

    block, engine = distilled(encoding=fit)
    assert seen == [((200, 2), (200, 2))]
    assert engine.searches[0].variable_names == ("u", "v")
    block.distill(X, engine=engine, encoding=fit, SLIME=True, slime_params={"x": [0.5, -1.0]})
    assert seen[1:] == [((200, 2), (200, 2))]  # once, on all of the data
    block.switch_to_symbolic(SLIME=True)
    torch.testing.assert_close(block(X), block.symtorch_block(X))


def test_equations_over_another_encoding_do_not_stand_beside() -> None:
    block, engine = distilled()
    block.switch_to_symbolic()
    block.distill(X, engine=engine, encoding=Rotated(np.pi / 6, 100.0), output_dim=0)
    assert list(block.fronts) == [0, 1]
    block.distill(X, engine=engine, encoding=Rotated(0.1, 100.0), output_dim=0)
    assert list(block.fronts) == [0]
    assert not block.use_symbolic


def test_mistakes_say_what_to_do() -> None:
    with pytest.raises(InputError, match="encoding is a str"):
        distilled(encoding="pca")
    with pytest.raises(InputError, match="leave one out"):
        distilled(variable_transforms=["x0"])


# ---- more outputs than laws


class ThreeOfTwo(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        laws = torch.stack([x[..., 0] * x[..., 1], torch.sin(x[..., 0])], -1)
        return laws @ torch.from_numpy(Mixed.matrix).to(x).T


def mixed() -> SymbolicModel:
    block = SymbolicModel(ThreeOfTwo(), "mixed")
    for output, law in enumerate(("x0*x1", "sin(x0)")):
        block.distill(X, engine=FormulaEngine("0.5", law), encoding=Mixed(), output_dim=output)
    return block


def test_more_outputs_than_laws() -> None:
    block = mixed()
    assert (block.n_outputs, list(block.fronts)) == (3, [0, 1])
    block.switch_to_symbolic()
    x = torch.randn(3, 4, 2, dtype=torch.float64)
    torch.testing.assert_close(block(x), block.symtorch_block(x))
    reports = block.fidelity(X)
    assert [report.r2 for report in reports] == pytest.approx([1, 1, 1])
    assert "x0*x1" in reports[1].equation
    assert "sin" in reports[1].equation
    np.testing.assert_allclose(block.export("numpy")(X.numpy()), block.symtorch_block(X))
    np.testing.assert_allclose(block.export("numpy", outputs=[2])(X.numpy())[:, 0], block.symtorch_block(X)[:, 2])
    np.testing.assert_allclose(block.get_symbolic_function(1)(X), block.symtorch_block(X)[:, 1])
    with pytest.raises(InputError, match=r"0\.\.1"):
        block.equation(2)
    for read in (block.get_symbolic_function, lambda i: block.export("c", outputs=[i])):
        with pytest.raises(InputError, match=r"0\.\.2"):
            read(3)
    other = SymbolicModel(ThreeOfTwo())
    other.load_state_dict(block.state_dict())
    assert torch.equal(other(X), block(X))


def test_only_the_laws_of_the_outputs_that_pruning_has_kept_are_needed() -> None:
    block = SymbolicModel(ThreeOfTwo(), "mixed")
    block.setup_pruning(3, 1, 10, end_step_frac=0.0)
    block.prune(0, X, importance=lambda y: torch.tensor([0.0, 0.0, 1.0]))
    fronts = block.distill(X, engine=FormulaEngine("sin(x0)"), encoding=Mixed())
    assert list(fronts) == [1]
    block.switch_to_symbolic()
    torch.testing.assert_close(block(X)[:, 2], block.symtorch_block(X)[:, 2])
    assert (block(X)[:, :2] == 0).all()


# ---- those that there are


def test_formulas_of_used_variables_can_be_written_out_whatever_the_others_are() -> None:
    transforms = Transforms.make({"r": "x0^2", "f": lambda x: x[:, 0]}, n_inputs=2)
    assert transforms.expand(parse("2*r", transforms.names)) == parse("2*x0^2", ["x0", "x1"])
    assert transforms.expand(parse("2*f", transforms.names)) is None
    assert list(transforms.functions) == ["f"]


def test_equal_parameters_make_equal_encodings() -> None:
    assert Identity() == Identity()
    assert Transforms.make(["x0 + x1"], 2) == Transforms.make(["x0 + x1"], 2)
    assert Transforms.make(["x0 + x1"], 2) != Transforms.make(["x0 - x1"], 2)
    assert Transforms.make(["x0"], 1) != Identity()
