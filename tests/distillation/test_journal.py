"""Fronts on disk while a search goes on, and going on from them, also after kill -9 at any moment."""

import errno
import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import formula_engine
import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine
from torch import nn

import symtorch
from symtorch import Front, SymbolicModel
from symtorch.equations.verdict import Evidence
from symtorch.errors import InputError

FORMULAS = ("0.5", "x0 + 1", "x0*x1 - 1.5", "sin(x0)*exp(-x1)")
OPTIONS = {"binary_operators": ["+", "-", "*"], "unary_operators": ["sin", "exp", "neg"], "random_state": 0}
X = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 2))).float()


def make() -> SymbolicModel:
    torch.manual_seed(0)
    return SymbolicModel(nn.Linear(2, 2), "block")


def distill(folder: Path, engine: FormulaEngine, **more: Any) -> dict[int, Front]:
    return make().distill(X, engine=engine, save_path=folder, sr_params=OPTIONS, **more)


def documents(folder: Path) -> dict[str, dict]:
    """What lies on the disk; every file must be whole."""
    return {path.name: json.loads(path.read_bytes()) for path in folder.glob("**/output_*.json")}


def test_every_stage_is_on_the_disk_before_the_next_begins(tmp_path: Path) -> None:
    seen = []

    def look(stage: int) -> None:
        found = documents(tmp_path).values()
        seen.append(sorted({(len(d["front"]["equations"]), d["finished"]) for d in found}))

    fronts = distill(tmp_path, FormulaEngine(*FORMULAS, before_report=look))
    assert seen == [[], [(1, False)], [(2, False)], [(3, False)]]
    final = documents(tmp_path)
    assert sorted(final) == ["output_0.json", "output_1.json"]
    assert [d["finished"] for d in final.values()] == [True, True]
    assert final["output_0.json"]["front"]["equations"][0]["r2"] == fronts[0][0].r2
    assert (tmp_path / "block" / "output_0.json").is_file()


def test_finished_outputs_are_taken_over_and_not_searched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "symtorch")
    first = distill(tmp_path, FormulaEngine(*FORMULAS), output_dim=1)
    engine = FormulaEngine(*FORMULAS)
    both = distill(tmp_path, engine, resume=True)
    assert both[1] == first
    assert [samples.n_outputs for samples, _ in engine.searches] == [1]
    assert "outputs [1] are done" in caplog.text
    engine = FormulaEngine(*FORMULAS)
    assert distill(tmp_path, engine, resume=True) == both
    assert engine.searches == []


def test_an_interrupted_search_goes_on_from_its_front(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"was interrupted for 2 of 2 outputs \(0, 1\)"):
        distill(tmp_path, FormulaEngine(*FORMULAS[:3], stop_reason="interrupted"))
    engine = FormulaEngine(FORMULAS[0], stop_reason="budget")
    fronts = distill(tmp_path, engine, resume=True)
    ((_, options),) = engine.searches
    assert [list(texts) for texts in options.guesses] == [["0.5", "x0 + 1", "x0*x1 - 1.5"]] * 2
    assert [eq.text for eq in fronts[0]] == ["0.5", "x0 + 1", "x0*x1 - 1.5"]
    assert fronts[0].stop_reason == "budget"
    assert all(d["finished"] for d in documents(tmp_path).values())


def test_without_resume_the_search_is_new_and_the_old_files_stay_beside(tmp_path: Path) -> None:
    distill(tmp_path, FormulaEngine(*FORMULAS))
    engine = FormulaEngine(FORMULAS[0])
    fronts = distill(tmp_path, engine)
    assert len(fronts[0]) == 1
    assert len(engine.searches) == 1
    found = documents(tmp_path)
    assert len(found["output_0.previous.json"]["front"]["equations"]) == 4


@pytest.mark.parametrize("what", ["data", "options", "engine"])
def test_another_request_takes_nothing_over(tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "symtorch")
    distill(tmp_path, FormulaEngine(*FORMULAS))
    engine = FormulaEngine(FORMULAS[0])
    data, params = (X + 1, OPTIONS) if what == "data" else (X, OPTIONS)
    if what == "options":
        params = OPTIONS | {"maxsize": 11}
    if what == "engine":
        engine.name = "another"
    fronts = make().distill(data, engine=engine, save_path=tmp_path, sr_params=params, resume=True)
    assert len(fronts[0]) == 1
    assert "other data or options" in caplog.text
    assert "output_0.previous.json" in documents(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": "symtorch.state"}', b"\xff" * 100])
def test_a_file_that_cannot_be_read_is_no_reason_to_stop(
    tmp_path: Path, content: Any, caplog: pytest.LogCaptureFixture
) -> None:
    distill(tmp_path, FormulaEngine(*FORMULAS))
    (tmp_path / "block" / "output_0.json").write_bytes(content)
    engine = FormulaEngine(*FORMULAS)
    fronts = distill(tmp_path, engine, resume=True)
    assert len(fronts[0]) == 4
    assert [samples.n_outputs for samples, _ in engine.searches] == [1]
    assert "can't be read" in caplog.text


def test_local_and_global_fronts_lie_in_files_of_their_own(tmp_path: Path) -> None:
    distill(tmp_path, FormulaEngine(*FORMULAS), SLIME=True, slime_params={"x": X[0].numpy()})
    distill(tmp_path, FormulaEngine(*FORMULAS))
    assert sorted(documents(tmp_path)) == [f"output_{i}{kind}.json" for i in (0, 1) for kind in ("", "_local")]


def test_several_blocks_have_folders_of_their_own(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    for name in ("0", "1"):
        symtorch.wrap(net, name)
    symtorch.distill(net, X, engine=FormulaEngine("0.5", "x0 + 1"), save_path=tmp_path)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.glob("*/*")) == [
        os.path.join("0", "output_0.json"),
        os.path.join("0", "output_1.json"),
        os.path.join("1", "output_0.json"),
    ]


def test_the_native_engine_resumes(tmp_path: Path) -> None:
    def law(x: Any) -> Any:
        return 2 * x[:, :1] * x[:, 1:] + 1

    block = SymbolicModel(law, "law")
    more = {"engine": "native", "sr_params": {"random_state": 0, "niterations": 4}, "save_path": tmp_path}
    block.distill(X.numpy(), **more)
    saved = json.loads((tmp_path / "law" / "output_0.json").read_bytes())
    saved["finished"] = False
    (tmp_path / "law" / "output_0.json").write_text(json.dumps(saved))
    front = block.distill(X.numpy(), **more, resume=True, output_dim=0)
    assert front.best.loss < 1e-12


def test_bad_folders_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="save_path"):
        make().distill(X, engine=FormulaEngine("0.5"), resume=True)
    (tmp_path / "file").touch()
    engine = FormulaEngine("0.5")
    with pytest.raises(InputError, match="can't be made a folder"):
        distill(tmp_path / "file" / "folder", engine)
    assert engine.searches == []


# ---- disks that fail


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EDQUOT, errno.ENOENT])
@pytest.mark.parametrize("call", ["replace", "fsync", "open"])
@pytest.mark.parametrize("after", [0, 3])
def test_a_disk_that_fails_is_said_once_and_costs_no_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: Any, call: Any, after: Any
) -> None:
    """From some call on, as when the disk has become full while the search went on."""
    real, calls = getattr(os, call), []

    def failing(path: Path, *args: Any, **more: Any) -> Any:
        calls.append(path)
        if (call == "fsync" or str(tmp_path) in str(path)) and len(calls) > after:
            raise OSError(code, os.strerror(code), path)
        return real(path, *args, **more)

    monkeypatch.setattr(os, call, failing)
    fronts = distill(tmp_path, FormulaEngine(*FORMULAS))
    monkeypatch.undo()
    assert [len(front) for front in fronts.values()] == [4, 4]
    (message,) = warnings(caplog)
    assert "fronts can't be kept" in message
    assert os.strerror(code) in message
    assert [path for path in tmp_path.glob("**/*") if path.name.endswith(".tmp")] == []
    documents(tmp_path)  # what is there is whole
    engine = FormulaEngine(*FORMULAS)
    assert {i: len(front) for i, front in distill(tmp_path, engine, resume=True).items()} == {0: 4, 1: 4}


class OwnFolder(FormulaEngine):
    """An engine that fails where it can't have its folder."""

    bound = ()

    def bind(self, fit_params: Any = None, save_path: Any = None) -> Any:
        Path(save_path).mkdir(parents=True)
        return self


def a_file(folder: Path) -> None:
    folder.write_text("not a folder")


def a_link_loop(folder: Path) -> None:
    folder.symlink_to(folder)


def a_lost_link(folder: Path) -> None:
    folder.symlink_to(folder.parent / "nowhere" / "at all")


@pytest.mark.parametrize("obstacle", [a_file, a_link_loop, a_lost_link])
@pytest.mark.parametrize("engine", [FormulaEngine, OwnFolder])
def test_what_stands_in_the_folders_place_costs_the_files_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, obstacle: Any, engine: Any
) -> None:
    obstacle(tmp_path / "block")
    for resume in (False, True):
        caplog.clear()
        fronts = distill(tmp_path, engine(*FORMULAS), resume=resume)
        assert [len(front) for front in fronts.values()] == [4, 4]
        assert sum("fronts can't be kept" in message for message in warnings(caplog)) == 1


def a_full_folder(path: Path) -> None:
    (path / "full").mkdir(parents=True)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_device_without_end(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX files")
@pytest.mark.parametrize("obstacle", [a_full_folder, a_link_loop, a_lost_link, a_pipe, a_device_without_end])
@pytest.mark.parametrize("also_before", [False, True])
def test_what_stands_in_a_files_place_is_not_read_and_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, obstacle: Any, also_before: Any
) -> None:
    (tmp_path / "block").mkdir()
    obstacle(tmp_path / "block" / "output_0.json")
    if also_before:
        a_full_folder(tmp_path / "block" / "output_0.previous.json")
    fronts = distill(tmp_path, FormulaEngine(*FORMULAS), resume=True)
    assert [len(front) for front in fronts.values()] == [4, 4]
    assert len(warnings(caplog)) == len(set(warnings(caplog))) <= 2


def test_a_name_of_a_thousand_characters_has_a_folder_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("n" * 1000, "n" * 999 + "m", "\N{GREEK SMALL LETTER ALPHA}" * 200):
        block = SymbolicModel(nn.Linear(2, 2), name)
        block.distill(X, engine=FormulaEngine(*FORMULAS), save_path=tmp_path)
        engine = FormulaEngine(*FORMULAS)
        block.distill(X, engine=engine, save_path=tmp_path, resume=True)
        assert engine.searches == []
    assert len(list(tmp_path.iterdir())) == 3
    assert warnings(caplog) == []


def test_a_path_that_is_too_long_costs_the_files_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path.joinpath(*["f" * 200] * 18)
    fronts = distill(folder, FormulaEngine(*FORMULAS))
    assert [len(front) for front in fronts.values()] == [4, 4]
    long = SymbolicModel(nn.Linear(2, 2), "n" * 250)
    long.distill(X, engine=FormulaEngine(*FORMULAS), save_path=folder / ("f" * 150))
    assert len(warnings(caplog)) == 1
    with pytest.raises(InputError, match="can't be made a folder"):
        distill(tmp_path / ("f" * 300), FormulaEngine(*FORMULAS))


# ---- kill -9

SERVER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from formula_engine import FormulaEngine
from test_journal import distill

def search(folder, delay):
    def before(stage):
        if stage == 1:
            signal.setitimer(signal.ITIMER_REAL, delay)
        Path(folder, f"began_{stage}").touch()
        time.sleep(0.002)

    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    distill(Path(folder), FormulaEngine(*(f"x0 + {i}" for i in range(40)), before_report=before), resume=True)

torch.set_num_threads(1)  # no threads, so that forking is safe
distill(Path(sys.argv[1]), FormulaEngine("x0"))  # loads all that is loaded when it is first used
rng = random.Random(0)
for folder in sys.argv[2:]:
    delay = rng.uniform(0.001, 0.25)
    pid = os.fork()  # a child for each, so that torch is imported once
    if pid == 0:
        search(folder, delay)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL), status
    print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")
def test_killed_at_twenty_random_moments_at_most_the_stage_under_way_is_lost(tmp_path: Path) -> None:
    folders = [tmp_path / str(i) for i in range(20)]
    for folder in folders:
        folder.mkdir()
    here = os.pathsep.join([str(Path(__file__).parent), str(Path(formula_engine.__file__).parent)])
    command = [sys.executable, "-c", SERVER, str(tmp_path / "first"), *map(str, folders)]
    ended = subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": here}, capture_output=True, text=True)
    assert ended.stdout.split().count("-9") >= 10
    for folder in folders:
        began = max(int(path.name.split("_")[1]) for path in folder.glob("began_*"))
        found = documents(folder)
        assert len(found) == 2 or began <= 2
        kept = {}
        for document in found.values():
            kept[document["output"]] = [eq["text"] for eq in document["front"]["equations"]]
            assert len(kept[document["output"]]) >= began - 1
        fronts = distill(folder, FormulaEngine("x0 + 0"), resume=True)
        for i, texts in kept.items():
            assert [eq.text for eq in fronts[i]] == texts


def test_what_a_search_knew_of_the_block_outlives_its_interruption(tmp_path: Path) -> None:
    known = Evidence(noise_floor=1e-5, confirmed=True, rows_asked=1000)
    with pytest.warns(UserWarning, match="was interrupted"):
        fronts = distill(tmp_path, Knowing(known, *FORMULAS, stop_reason="interrupted"))
    tried = fronts[0].rows_asked - 1000
    assert tried > 0
    assert documents(tmp_path)["output_0.json"]["front"]["evidence"]["confirmed"] is True
    again = distill(tmp_path, Knowing(Evidence(rows_asked=7), *FORMULAS), resume=True)
    assert again[0].rows_asked == 1000 + 7 + 2 * tried  # the block was tried out twice
    assert (again[0].evidence.noise_floor, again[0].evidence.confirmed) == (1e-5, True)


class Knowing(FormulaEngine):
    """Formulas, and what is known of the block."""

    def __init__(self, evidence: Any, *formulas: Any, **more: Any) -> None:
        super().__init__(*formulas, **more)
        self.evidence = evidence

    def search(self, samples: Any, options: Any, progress: Any = None) -> Any:
        return [replace(front, evidence=self.evidence) for front in super().search(samples, options, progress)]
