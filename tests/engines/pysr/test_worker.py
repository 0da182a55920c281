"""The process around PySR, with a stand-in for PySR in it that misbehaves on request."""

import _thread
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symtorch import SymbolicModel
from symtorch.engines import Progress
from symtorch.engines.options import SearchOptions
from symtorch.engines.pysr import PySREngine, lazy
from symtorch.engines.pysr.pool import Limits
from symtorch.engines.pysr.results import read_hall_of_fame
from symtorch.engines.samples import Samples
from symtorch.equations.expr import evaluate
from symtorch.errors import EngineError, OptionError

pytestmark = pytest.mark.usefixtures("fake_pysr")

IMPATIENT = Limits(start=60, compile=0.5, grace=0.5)
PLAIN = {"binary_operators": ["+", "*"], "unary_operators": [], "extra_sympy_mappings": None}


def samples(n_outputs: int = 1, weights: np.ndarray | None = None) -> Samples:
    X = np.random.default_rng(0).normal(size=(40, 2))
    Y = np.stack([2 * X[:, 0] + 1, X[:, 1] - 3, X[:, 0] ** 2], axis=1)[:, :n_outputs]
    return Samples(X, Y, weights, ("mass", "speed"))


def engine(behaviour: str = "good", limits: Limits = IMPATIENT, **more: object) -> PySREngine:
    params = {"behaviour": behaviour, **more.pop("params", {})}
    return PySREngine(params=params, limits=limits, **more)


def options(**params: object) -> SearchOptions:
    return SearchOptions.from_params(PLAIN | params)


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Every test must leave the folder for temporary files empty, and no worker alive."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = set(_children())
    yield
    assert [path.name for path in folder.iterdir() if "kept" not in path.name] == []
    assert set(_children()) <= before


def _children() -> list[str]:
    own = str(os.getpid())
    listing = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if line.split()[1] == own and "worker.py" in line]


def test_what_is_found_becomes_a_front() -> None:
    data = samples()
    (front,) = engine().search(data, options())
    assert [eq.complexity for eq in front] == [1, 5]
    assert front.engine == "pysr"
    assert front.stop_reason == "budget"
    assert front.n_samples == 40
    assert front.seconds > 0
    best = front[-1]
    np.testing.assert_allclose(evaluate(best.expr, data.X), data.Y[:, 0], atol=1e-9)
    assert best.source.startswith("(mass * ")
    assert best.variable_names == ("mass", "speed")


def test_everything_arrives_as_it_was_given(tmp_path: Path) -> None:
    weights = np.linspace(1, 2, 40)
    given = {"niterations": 7, "maxsize": 12, "random_state": 3, "guesses": ["mass + 1.0"]}
    fit = {"X_units": ["kg", "m/s"], "y_units": "J", "complexity_of_variables": [1, 2]}
    data = samples(weights=weights)
    (front,) = engine(fit_params=fit, save_path=tmp_path / "runs").search(data, options(**given))
    note = json.loads((Path(front.folder) / "note.json").read_text())
    assert {key: note["params"][key] for key in given} == given
    assert {key: note[key] for key in fit} == fit
    np.testing.assert_array_equal(note["X"], data.X)
    np.testing.assert_array_equal(note["y"], data.Y[:, 0])
    np.testing.assert_array_equal(note["weights"], weights)
    assert note["names"] == ["mass", "speed"]


def test_torch_stays_out_of_the_worker_and_its_input_is_closed(tmp_path: Path) -> None:
    (front,) = engine(save_path=tmp_path).search(samples(), SearchOptions.from_params())
    note = json.loads((Path(front.folder) / "note.json").read_text())
    assert note["modules"] == []
    assert note["stdin"] == ""
    assert note["mappings"] == {"inv": "0.3333333333333333"}


def test_options_for_julia_on_the_command_line_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_xoptions", {"juliapkg-offline": "yes", "juliacall-startup-file": True, "dev": True})
    (front,) = engine(save_path=tmp_path).search(samples(), options())
    found = json.loads((Path(front.folder) / "note.json").read_text())["xoptions"]
    assert found == {"juliapkg-offline": "yes", "juliacall-startup-file": True}


def test_the_sympy_mapping_of_a_definition_that_we_can_read_is_filled_in(tmp_path: Path) -> None:
    params = {"unary_operators": ["bump(x) = 1/(1 + x^2)"]}
    (front,) = engine(save_path=tmp_path).search(samples(), options(**params))
    assert json.loads((Path(front.folder) / "note.json").read_text())["mappings"] == {"bump": "1/10"}


def test_outputs_run_side_by_side_and_keep_their_order() -> None:
    data = samples(3)
    fronts = engine(max_workers=2).search(data, options())
    for i in (0, 1):
        np.testing.assert_allclose(fronts[i].predict(data.X, -1), data.Y[:, i], atol=1e-9)
    assert fronts[2][-1].loss > 0.1


def test_weights_may_differ_by_output(tmp_path: Path) -> None:
    weights = np.random.default_rng(1).uniform(size=(40, 2))
    fronts = engine(fit_params={"weights": weights}, save_path=tmp_path).search(samples(2), options())
    for i, front in enumerate(fronts):
        note = json.loads((Path(front.folder) / "note.json").read_text())
        np.testing.assert_array_equal(note["weights"], weights[:, i])


def test_threads_are_shared_among_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("PYTHON_JULIACALL_THREADS", raising=False)
    fronts = engine(max_workers=2, save_path=tmp_path).search(samples(2), options())
    assert [json.loads((Path(f.folder) / "note.json").read_text())["threads"] for f in fronts] == ["4", "4"]


def test_run_folders_stay_where_a_path_was_given(tmp_path: Path) -> None:
    fronts = engine(save_path=tmp_path / "a").search(samples(2), options())
    assert all((Path(front.folder) / "checkpoint.pkl").is_file() for front in fronts)
    assert len({front.folder for front in fronts}) == 2
    given = {"output_directory": str(tmp_path / "b"), "run_id": "mine"}
    (front,) = engine().search(samples(), options(**given))
    assert Path(front.folder) == tmp_path / "b" / "mine"
    (front,) = engine().search(samples(), options())
    assert front.folder == ""


def test_a_run_is_resumed_by_warm_start(tmp_path: Path) -> None:
    given = {"output_directory": str(tmp_path), "run_id": "mine", "warm_start": True}
    for resumed in (None, {"fitted": True}):
        (front,) = engine().search(samples(), options(**given))
        assert json.loads((Path(front.folder) / "note.json").read_text())["resumed"] == resumed


def test_progress_comes_while_it_runs() -> None:
    reports: list[Progress] = []
    engine("good:slow", limits=Limits()).search(samples(), options(), reports.append)
    assert reports[-1].done == reports[-1].total
    assert reports[-1].losses[0] < 1e-12
    assert len(reports[-1].fronts()[0]) == 2
    assert len(reports) >= 2


@pytest.mark.parametrize("behaviour", ["crash", "oom", "torn"])
def test_a_worker_that_dies_leaves_what_it_had_found(behaviour: Any, caplog: pytest.LogCaptureFixture) -> None:
    (front,) = engine(behaviour).search(samples(), options())
    assert front.stop_reason == "crashed"
    assert [eq.complexity for eq in front] == [1, 5]
    assert ("Segmentation fault" if behaviour == "crash" else "SIGKILL") in caplog.text


def test_a_worker_that_dies_with_nothing_says_so_and_the_other_outputs_are_kept() -> None:
    with pytest.raises(EngineError, match=r"output 1(.|\n)*SIGKILL \(out of memory(.|\n)*OutOfMemoryError") as error:
        engine("one_of_two").search(samples(2), options())
    kept, lost = error.value.fronts
    assert len(kept) == 2
    assert lost is None


def test_pysr_own_error_is_passed_on() -> None:
    with pytest.raises(EngineError, match="ValueError: PySR requires a maxsize of at least 7"):
        engine("error").search(samples(), options())


def test_rubbish_on_the_output_changes_nothing() -> None:
    (front,) = engine("rubbish").search(samples(), options())
    assert front.stop_reason == "budget"
    assert len(front) == 2


@pytest.mark.parametrize("behaviour", ["sleep", "deaf"])
def test_the_time_limit_is_hard(behaviour: Any) -> None:
    (front,) = engine(behaviour).search(samples(), options(timeout_in_seconds=0.5))
    assert front.stop_reason == "timeout"
    assert len(front) == 2


def test_a_time_limit_before_anything_was_found_gives_a_constant(caplog: pytest.LogCaptureFixture) -> None:
    data = samples()
    (front,) = engine("idle").search(data, options(timeout_in_seconds=0.2))
    assert front.stop_reason == "timeout"
    assert front[0].text == repr(float(data.Y.mean()))
    assert "constant" in caplog.text


def test_outputs_that_wait_for_each_other_share_the_time(tmp_path: Path) -> None:
    given = options(timeout_in_seconds=9)
    fronts = engine(max_workers=1, save_path=tmp_path).search(samples(3), given)
    limits = [json.loads((Path(f.folder) / "note.json").read_text())["params"]["timeout_in_seconds"] for f in fronts]
    assert limits == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("behaviour", ["sleep", "deaf"])
def test_ctrl_c_keeps_what_was_found(behaviour: Any) -> None:
    timers = [threading.Timer(0.1, _thread.interrupt_main)]

    def interrupt(report: Progress) -> None:
        if timers:
            timers.pop().start()

    (front,) = engine(behaviour).search(samples(), options(), interrupt)
    assert front.stop_reason == "interrupted"
    assert len(front) == 2


def test_a_callback_that_interrupts_every_time_keeps_what_was_found() -> None:
    def interrupt(report: Progress) -> None:
        raise KeyboardInterrupt

    fronts = engine("sleep").search(samples(2), options(), interrupt)
    assert [front.stop_reason for front in fronts] == ["interrupted"] * 2
    assert len(fronts[0]) == 2


def test_ctrl_c_before_anything_was_found_is_passed_on() -> None:
    timer = threading.Timer(2.0, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        engine("idle", limits=Limits(grace=0.5)).search(samples(), options())
    timer.join()


def test_an_error_in_the_progress_callback_ends_the_workers() -> None:
    def fail(report: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine("sleep").search(samples(), options(), fail)


@pytest.mark.parametrize(
    ("start", "reason"), [("fail", "could not find Julia"), ("die", "SIGABRT"), ("hang", "has not started in 1 s")]
)
def test_where_pysr_cannot_start_it_says_why_and_what_to_do(
    start: Any, reason: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_PYSR_START", start)
    for attempt in (lambda e: e.check(options()), lambda e: e.search(samples(), options())):
        with pytest.raises(EngineError, match=rf"{reason}(.|\n)*python -c 'import pysr'(.|\n)*engine='native'"):
            attempt(engine(limits=Limits(start=1.0 if start == "hang" else 60)))


def test_where_pysr_cannot_start_the_block_is_never_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PYSR_START", "fail")
    calls = []
    block = SymbolicModel(lambda x: calls.append(len(x)) or x, "block")
    with pytest.raises(EngineError, match="could not find Julia"):
        block.distill(np.ones((50, 2)), engine="pysr")
    assert calls == []


def test_a_worker_whose_parent_is_killed_ends_and_cleans_up(tmp_path: Path) -> None:
    folder = tmp_path / "of the child"
    folder.mkdir()
    script = f"""
import os, signal, tempfile, threading
tempfile.tempdir = {str(folder)!r}
import numpy as np
from symtorch.engines.pysr import PySREngine
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
X = np.random.default_rng(0).normal(size=(40, 2))
engine = PySREngine(params={{"behaviour": "sleep"}})
die = lambda report: os.kill(os.getpid(), signal.SIGKILL)
engine.search(Samples(X, X[:, :1]), SearchOptions.from_params(), die)
"""
    fake = str(Path(__file__).with_name("fake_pysr"))
    ended = subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": fake}, check=False)
    assert ended.returncode == -9
    for _ in range(200):
        if not list(folder.iterdir()):
            break
        time.sleep(0.05)
    assert list(folder.iterdir()) == []


def test_templates_become_formulas_of_the_inputs() -> None:
    spec = lazy(
        lambda pysr: pysr.TemplateExpressionSpec(
            combine="p[1] * f(mass) + g(mass, speed)^2", expressions=["f", "g"], variable_names=["mass", "speed"],
            parameters={"p": 2},
        )
    )  # fmt: skip
    params = {"equations": ["f = #1 * 2.0; g = #1 + #2; p = [0.5, 1.0]"], "expression_spec": spec}
    data = samples()
    (front,) = engine(params=params).search(data, options())
    np.testing.assert_allclose(front.predict(data.X), data.X[:, 0] + (data.X[:, 0] + data.X[:, 1]) ** 2)


def test_equations_that_are_no_formulas_are_an_error_that_keeps_the_run_folder() -> None:
    spec = lazy(
        lambda pysr: pysr.TemplateExpressionSpec(
            combine="y = f(mass); y > 0 ? y : 0", expressions=["f"], variable_names=["mass"]
        )
    )
    with pytest.raises(EngineError, match=r"from_file\(run_directory='(.*)'\)") as error:
        engine(params={"equations": ["f = #1"], "expression_spec": spec}).search(samples(), options())
    kept = Path(str(error.value).split("run_directory='")[1].split("'")[0])
    assert (kept / "hall_of_fame.csv").is_file()


def test_parameters_that_this_version_lacks_are_refused_before_anything_starts() -> None:
    with pytest.raises(OptionError, match=r"'niteration'.*'niterations'"):
        engine(params={"niteration": 3}).check(options())
    with pytest.raises(OptionError, match=r"fit_params has 'X_unit'.*'X_units'"):
        engine(fit_params={"X_unit": ["m"]}).check(options())
    with pytest.raises(OptionError, match=r"'maxsize' is 5.*'native'"):
        engine().check(options(maxsize=5))
    with pytest.raises(OptionError, match="5 rows; the samples have 40"):
        engine(fit_params={"weights": np.ones(5)}).search(samples(), options())


# ---- files that no search writes


@pytest.mark.parametrize("n_rows", [10_001, 1_000_000])
def test_a_hall_of_fame_of_a_million_rows_is_refused_and_its_process_ended(n_rows: Any) -> None:
    with pytest.raises(EngineError, match=f"hall_of_fame.csv of PySR's run has {n_rows:,} rows"):
        engine(f"flood:{n_rows}").search(samples(), options())


def test_a_hall_of_fame_of_endless_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hall_of_fame.csv").write_text("Complexity,Loss,Equation\n" + '1,0.5,"' + "x" * (17 << 20))
    with pytest.raises(EngineError, match="more than 16,777,216 bytes"):
        read_hall_of_fame(tmp_path)


def test_an_output_whose_hall_of_fame_is_refused_takes_no_other_with_it() -> None:
    with pytest.raises(EngineError, match=r"output 0: hall_of_fame\.csv") as caught:
        engine("flood_of_two").search(samples(2), options())
    assert [front is None for front in caught.value.fronts] == [True, False]


DEEP = {
    "parentheses": "(" * 30_000 + "x0" + ")" * 30_000,
    "calls": "square(" * 10_000 + "x0" + ")" * 10_000,
    "signs": "-" * 30_000 + "x0",
    "powers": "x0" + "^x0" * 30_000,
    "sums": "x0" + "+x0" * 30_000,
    "conditions": "1 if x0 else " * 5_000 + "x0",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
def test_an_equation_of_thirty_thousand_levels_is_refused_with_the_reason(text: str) -> None:
    names = samples().variable_names
    text = text.replace("x0", names[0])
    with pytest.raises(
        EngineError, match=r"(?s)none of its 1 equations can be read.*(nested|too large|at most)"
    ) as caught:
        engine(params={"equations": [text]}).search(samples(), options())
    assert len(str(caught.value)) < 1000


def test_a_deep_equation_beside_others_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    (front,) = engine(params={"equations": ["mass", DEEP["parentheses"]]}).search(samples(), options())
    assert [eq.text for eq in front] == ["mass"]
    assert max(len(record.getMessage()) for record in caplog.records) < 1000
