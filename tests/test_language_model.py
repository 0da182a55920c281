"""The language model's example goes on where it ended, begins where another run ended, and draws what it measured."""

from __future__ import annotations

import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

PROGRAM = Path(__file__).parents[1] / "examples" / "llm_mlp.py"
TUNED = "rank 4 and 4 gated terms, tuned"
BEGUN = "linear, rank 4, as it began", "rank 4 and 4 gated terms, as it began"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("llm_mlp", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["llm_mlp"] = module  # ways are pickled by the module's name
    spec.loader.exec_module(module)
    return module


def arguments(example: ModuleType, folder: Path, *more: str) -> Namespace:
    return example.arguments().parse_args(["--smoke", "--only", "rank 4 and", "--save", str(folder), *more])


def tuned(example: ModuleType, folder: Path) -> Any:
    return next(way for way in example.Kept(folder).ways() if way.name == TUNED)


@pytest.fixture(scope="module")
def ended(example: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ended")
    example.main(arguments(example, folder))
    return folder


def test_only_what_is_asked_for_is_fitted(example: ModuleType, ended: Path) -> None:
    names = [way.name for way in example.Kept(ended).ways()]
    assert {TUNED, "rank 4 and 4 gated terms, to the MLPs' outputs"} < set(names)
    assert not any(name.startswith(("mean", "PCA", "layers", "attention")) for name in names)


def test_a_run_begins_where_another_ended(example: ModuleType, ended: Path, tmp_path: Path) -> None:
    example.main(arguments(example, tmp_path, "--begin", str(ended)))
    before, after = tuned(example, ended), tuned(example, tmp_path)
    assert after.held_out[0][1] == pytest.approx(min(loss for _, loss in before.held_out), rel=1e-5)
    assert before.held_out[0][1] > after.held_out[0][1]
    assert (after.freed, after.macs) == (before.freed, before.macs)
    assert after.cpu_seconds > before.cpu_seconds
    assert [way.name for way in example.Kept(tmp_path).ways()] == ["the MLPs", "zero", "identity", *BEGUN, TUNED]


def test_an_ended_run_goes_on(example: ModuleType, ended: Path, tmp_path: Path) -> None:
    for path in ended.glob("*.pt"):
        if "tuned" not in path.name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    example.main(arguments(example, tmp_path))
    before, after = ([loss for _, loss in tuned(example, folder).held_out] for folder in (ended, tmp_path))
    assert after == pytest.approx(before, rel=1e-5)


def test_a_state_of_more_layers_serves_fewer(example: ModuleType, ended: Path) -> None:
    before = tuned(example, ended)
    torch.manual_seed(0)
    args = arguments(example, ended)
    model, text = example.prepared(args)
    args.shapes, args.layers, args.there, args.begun = ["4+4"], [2], lambda name: False, lambda name: before
    args.wanted = lambda name: False
    began, way = example.fitted(model, example.Runner(model, [2]), args, text)
    assert list(way.parts) == ["layers.2.mlp"]
    assert way.freed == before.freed // 2
    x = torch.randn(3, 48)
    assert torch.equal(began.parts["layers.2.mlp"](x), before.parts["layers.2.mlp"](x))


def test_other_layers_are_no_beginning(example: ModuleType, ended: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds other layers than 1 2"):
        example.main(arguments(example, ended, "--save", str(tmp_path), "--begin", str(tmp_path / "empty")))


def test_tokens_are_timed_where_they_are_generated(example: ModuleType) -> None:
    torch.manual_seed(0)
    model = example.TinyLlama().eval()
    runner = example.Runner(model, [1, 2])
    way = example.Way("first left out", {"layers.1": example.NoLayer()})
    batch = {"input_ids": torch.randint(64, (1, 64))}
    passes, parts = runner.generate(batch)
    assert (len(passes), len(parts)) == (example.GENERATED, 2 * example.GENERATED)
    with runner.using(way):
        passes, parts = runner.generate(batch)
    assert (len(passes), len(parts)) == (example.GENERATED, example.GENERATED)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


def test_the_plot_has_a_line_for_each_way(example: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    for n, numbers in ((3, 970), (1, 990)):
        rows = [
            {"name": "the MLPs", "numbers": 1000, "rise": 0.0, "rise_error": 0.0},
            {"name": "zero", "numbers": numbers - 5},
            {"name": "linear", "numbers": numbers, "rise": n / 50, "rise_error": 0.01},
            {"name": f"layers left out, {n}, or so", "numbers": numbers, "rise": n / 50, "rise_error": 0.01},
            {"name": "mean", "numbers": numbers, "rise": 0.9, "rise_error": 0.01},
        ]
        (tmp_path / f"{n}.json").write_text(json.dumps({"layers": [7] * n, "rows": rows}), encoding="utf-8")
    paths = sorted(tmp_path.glob("*.json"), reverse=True)
    lines = example.lines_of(paths, [""], 0.5)
    assert list(lines) == ["linear", "layers left out, or so"]
    assert list(example.lines_of(paths, ["linear"], 0.5)) == ["linear"]
    assert lines["linear"] == [pytest.approx((1, 1.0, 2.0, 1.0)), pytest.approx((3, 3.0, 6.0, 1.0))]
    example.plot(paths, [""], tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").stat().st_size > 10_000
