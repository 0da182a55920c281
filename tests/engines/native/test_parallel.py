"""The native engine's search in other processes: the same equations, and nothing lost whatever happens."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sympy
import torch
from joblib.externals.loky import get_reusable_executor

from symtorch import SymbolicModel
from symtorch.engines.base import Progress
from symtorch.engines.native import NativeEngine
from symtorch.engines.native.flat.watch import share_of
from symtorch.engines.native.parallel import Limit, Mailbox, _dumps, _follow_this_process, _packed, portable
from symtorch.engines.native.runner import Runner
from symtorch.engines.native.screening import Group
from symtorch.engines.native.task import Found, Task
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples, Teacher
from symtorch.equations.expr import Variable, variables
from symtorch.equations.front import Front
from symtorch.errors import EngineError

PARAMS: dict[str, Any] = {
    "binary_operators": ["+", "-", "*", "/"],
    "unary_operators": ["inv(x) = 1/x", "half(x) = x > 0 ? x : 0", "exp"],
    "extra_sympy_mappings": {"inv": lambda x: 1 / x, "half": lambda x: sympy.Max(x, 0)},
    "niterations": 1,
    "maxsize": 12,
    "random_state": 0,
}
ENDLESS: dict[str, Any] = {"X": np.random.default_rng(0).uniform(0.5, 2.0, (400, 2)), "timeout_in_seconds": 600.0}
"""With which a search for what can't be written goes on until it is interrupted: the rows are enough to tell what is
left from noise, and the limit is one up to which such a search goes on in vain."""
HERE = os.getpid()


@pytest.fixture(scope="module", autouse=True)
def _no_workers_left() -> Iterator[None]:
    yield
    get_reusable_executor(max_workers=2).shutdown(wait=True)


def inputs(d: int = 2, n: int = 120) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 2.0, (n, d))


def laws(X: np.ndarray) -> np.ndarray:
    """(n, 4), the third of them constant."""
    x, y = X[:, 0], X[:, 1]
    return np.stack([x * y + 1.0, x / y, np.full(len(X), 2.0), np.maximum(x - 1.0, 0.0)], axis=1)


def wild(X: np.ndarray) -> np.ndarray:
    """(n, 2): nothing that can be written; see :data:`ENDLESS`."""
    return np.stack([np.sin(9 * X[:, 0] ** 2) * np.cos(7 * X[:, 1]), np.sin(8 * X[:, 0] * X[:, 1] ** 2)], axis=1)


def only_here(otherwise: Callable[[], Any]) -> Teacher:
    """A teacher that answers in this process only."""
    here = os.getpid()  # the functions are sent by value: what they know must be theirs

    def teacher(X: np.ndarray) -> np.ndarray:
        if os.getpid() != here:
            otherwise()
        return laws(X)

    return teacher


class Locked:
    """A teacher that can't be pickled."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls = 0

    def __call__(self, X: np.ndarray) -> np.ndarray:
        self.calls += 1
        with self.lock:
            return laws(X)


def search(f: Any = laws, teacher: Any = None, progress: Any = None, X: np.ndarray | None = None, **params: Any) -> Any:
    X = inputs() if X is None else X
    options = SearchOptions.from_params({**PARAMS, **params})
    return NativeEngine().search(Samples(X, f(X), teacher=teacher), options, progress)


def texts(fronts: list[Front]) -> list[list[str]]:
    return [[eq.text for eq in front] for front in fronts]


@pytest.fixture(scope="module")
def alone() -> list[Front]:
    """Found in this process."""
    return search(teacher=laws)


def in_two(backend: str = "loky") -> Any:
    return joblib.parallel_config(backend, n_jobs=2)


def workers_left(seconds: float = 10.0) -> list[str]:
    """Numbers and command lines of the workers of this process; those that have been killed are given time to go."""
    deadline = time.monotonic() + seconds
    while True:
        listed = subprocess.run(
            ["ps", "-ww", "-o", "stat=,pid=,args=", "--ppid", str(HERE)], capture_output=True, text=True
        )
        lines = [line for line in listed.stdout.splitlines() if "LokyProcess" in line and line[0] != "Z"]
        found = [line.split(None, 1)[1] for line in lines]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


# ---- the same equations


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_workers_find_the_same(backend: str, alone: list[Front]) -> None:
    with in_two(backend):
        found = search(teacher=laws)
    assert texts(found) == texts(alone)
    assert [front.stop_reason for front in found] == [front.stop_reason for front in alone]
    assert found[2].stop_reason == "exact"
    assert "half" in found[3].best.text
    # The user's own function is there again, though a lambda was never sent.
    assert found[3].best.sympy().has(sympy.Max)


def test_a_dask_cluster_finds_the_same_and_goes_on_without_a_worker(alone: list[Front], tmp_path: Path) -> None:
    distributed = pytest.importorskip("dask.distributed")
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.CRITICAL
    )
    with cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
        assert texts(search(teacher=laws)) == texts(alone)

        def first_is_killed() -> None:
            flag = tmp_path / "killed"
            if not flag.exists():
                flag.touch()
                os.kill(os.getpid(), signal.SIGKILL)

        assert texts(search(teacher=only_here(first_is_killed))) == texts(alone)


def test_workers_stay_for_the_next_search() -> None:
    def f(X: np.ndarray) -> np.ndarray:
        return X * X

    with in_two():
        search(f)
        before = workers_left(0.0)
        search(f)
        assert workers_left(0.0) == before != []


def test_the_users_own_workers_stay_too() -> None:
    def own() -> set[int]:
        return set(joblib.Parallel(max_nbytes=None)(joblib.delayed(os.getpid)() for _ in range(20)))

    with in_two():
        own()
        before = workers_left(0.0)
        search(lambda X: X * X)
        assert workers_left(0.0) == before != []
        assert own() <= {int(line.split()[0]) for line in before}


class _Initialized:
    """Stands in for an executor whose user has given it an initializer."""

    _initializer = print
    _initargs = ("theirs",)


def test_an_initializer_of_the_users_stays() -> None:
    theirs = _Initialized()
    _follow_this_process(theirs)
    assert theirs._initializer is _Initialized._initializer
    assert theirs._initargs == ("theirs",)


def test_data_only_and_more_outputs_than_workers() -> None:
    def five(X: np.ndarray) -> np.ndarray:
        return np.stack([X[:, 0] * X[:, 1] + c for c in range(1, 6)], axis=1)

    with in_two():
        found = search(five)
    assert texts(found) == texts(search(five))


@pytest.mark.parametrize("asked", [True, False])
def test_the_same_division_finds_the_same_wherever_it_is_searched(asked: bool) -> None:
    def hard(X: np.ndarray) -> np.ndarray:
        return np.stack([np.exp(X[:, 0] * X[:, 1]) / (X[:, 0] + 0.3), np.tanh(3 * X[:, 0]) * X[:, 1]], axis=1)

    params: dict[str, Any] = {"niterations": 20, "maxsize": 8}
    with in_two():
        found = search(hard, hard if asked else None, **params)
    for k, front in enumerate(found):
        (here,) = search(lambda X, k=k: hard(X)[:, [k]], (lambda X, k=k: hard(X)[:, [k]]) if asked else None, **params)
        assert texts([here]) == texts([front])
        assert here.stop_reason == front.stop_reason != "exact"


def test_groups_of_many_inputs() -> None:
    X = inputs(24, 300)

    def f(X: np.ndarray) -> np.ndarray:
        return np.stack([X[:, 3] * X[:, 7], X[:, 3] + X[:, 20]], axis=1)

    with in_two():
        found = search(f, f, X=X)
    assert [variables(front.best.expr) for front in found] == [[3, 7], [3, 20]]
    assert texts(found) == texts(search(f, f, X=X))


def test_distilling_a_network_in_workers() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)).train()
    block = SymbolicModel(net[0], "first")
    data = torch.randn(100, 2)
    params = {"binary_operators": ["+", "*"], "unary_operators": [], "niterations": 1, "random_state": 0}
    expected = block.distill(data, sr_params=params, engine="native")
    block.clear_cache()
    with in_two():
        found = block.distill(data, sr_params=params, engine="native")
    assert texts(list(found.values())) == texts(list(expected.values()))
    assert net[0].training


def test_a_backend_without_a_generator(alone: list[Front]) -> None:
    from joblib._parallel_backends import ThreadingBackend

    class Waiting(ThreadingBackend):
        supports_return_generator = False

    joblib.register_parallel_backend("waiting", Waiting)
    with in_two("waiting"):
        assert texts(search(teacher=laws)) == texts(alone)


def test_without_parallel_config_joblib_is_not_even_loaded() -> None:
    code = (
        "import sys; import numpy as np; from symtorch.engines.native import NativeEngine\n"
        "from symtorch.engines.samples import Samples; from symtorch.engines.options import SearchOptions\n"
        "X = np.random.default_rng(0).normal(size=(50, 2))\n"
        "NativeEngine().search(Samples(X, X), SearchOptions.from_params({'random_state': 0}))\n"
        "print([m for m in ('joblib', 'cloudpickle', 'multiprocessing.pool') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# ---- the teacher


def test_a_teacher_that_cannot_be_sent_is_asked_here(alone: list[Front]) -> None:
    teacher = Locked()
    with in_two():
        found = search(teacher=teacher)
    assert teacher.calls > 20
    assert texts(found) == texts(alone)


def test_a_teacher_that_can_be_sent_is_not_asked_here(alone: list[Front]) -> None:
    calls = []

    def teacher(X: np.ndarray) -> np.ndarray:
        calls.append(len(X))
        return laws(X)

    with in_two():
        found = search(teacher=teacher)
    assert len(calls) == 1
    assert texts(found) == texts(alone)


def test_a_copy_must_answer_like_the_teacher() -> None:
    class Forgetful:
        def __init__(self) -> None:
            self.factor = 2.0

        def __getstate__(self) -> dict[str, float]:
            return {"factor": 1.0}

        def __call__(self, X: np.ndarray) -> np.ndarray:
            return self.factor * X

    assert portable(Forgetful(), inputs()) is None
    assert portable(Locked(), inputs()) is None
    sent = portable(lambda X: 2.0 * X, inputs())
    assert sent is not None


def test_what_is_on_another_device_is_written_as_if_on_the_cpu() -> None:
    import pickle

    assert pickle.loads(_dumps(torch.device("cuda:1"))) == torch.device("cpu")


@pytest.mark.cuda
def test_a_network_on_a_gpu_is_sent_as_a_copy_on_the_cpu() -> None:
    import pickle

    net = torch.nn.Linear(2, 3).cuda()
    copy = pickle.loads(_dumps(net))
    assert copy.weight.device.type == "cpu"
    assert isinstance(copy.weight, torch.nn.Parameter)
    torch.testing.assert_close(copy.weight, net.weight.cpu())
    assert net.weight.device.type == "cuda"


# ---- whatever happens


@pytest.mark.parametrize(
    ("otherwise", "message"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"workers were lost \(TerminatedWorkerError.*SIGKILL"),
        (lambda: 1 / 0, r"could not do its part \(ZeroDivisionError"),
    ],
    ids=["killed", "failed"],
)
def test_what_a_lost_worker_had_to_do_is_done_here(
    otherwise: Callable[[], Any], message: str, alone: list[Front], caplog: pytest.LogCaptureFixture
) -> None:
    with in_two(), caplog.at_level(logging.WARNING, "symtorch"):
        found = search(teacher=only_here(otherwise))
    assert re.search(message, caplog.text, re.DOTALL)
    assert texts(found) == texts(alone)


def test_what_fails_here_too_does_not_take_the_others_along(
    alone: list[Front], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Runner.run

    def broken(self: Runner) -> None:
        if 1 in self.task.outputs:
            raise FloatingPointError("no number")
        run(self)

    monkeypatch.setattr(Runner, "run", broken)
    with in_two("threading"), pytest.raises(EngineError, match=r"outputs \[1\].*no number") as raised:
        search(teacher=laws)
    fronts = raised.value.fronts
    assert fronts[1] is None
    assert texts(fronts[:1] + fronts[2:]) == texts(alone[:1] + alone[2:])


def test_progress_says_which_outputs_are_done() -> None:
    events: list[Progress] = []
    with in_two():
        search(teacher=laws, progress=events.append)
    assert [event.done for event in events] == [0, 1, 2]
    assert [event.stage for event in events[:1]] == ["least squares"]
    assert events[-1].total == 2
    assert events[-1].finished == (0, 1, 3)
    assert len(events[1].finished) in (1, 2)
    assert len(events[1].fronts()) == 4


def test_an_interrupt_from_progress_keeps_what_is_done() -> None:
    def stop(event: Progress) -> None:
        raise KeyboardInterrupt

    def one_is_hard(X: np.ndarray) -> np.ndarray:
        return np.stack([X[:, 0], wild(X)[:, 0]], axis=1)

    with in_two():
        easy, hard = search(one_is_hard, progress=stop, niterations=100_000, **ENDLESS)
    assert easy.stop_reason == "exact"
    assert hard.stop_reason == "interrupted"


def test_a_mistake_in_progress_is_the_users_to_see() -> None:
    def broken(event: Progress) -> None:
        raise ZeroDivisionError

    with in_two(), pytest.raises(ZeroDivisionError):
        search(progress=broken)


@pytest.mark.skipif(not Path("/proc").exists(), reason="counts processes as Linux lists them")
def test_ctrl_c_returns_what_there_is_and_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(list(tmp_path.glob("symtorch-*/open/[01]"))) < 2:
            time.sleep(0.1)
        os.kill(HERE, signal.SIGINT)

    with in_two():
        threading.Thread(target=interrupt).start()
        fronts = search(wild, niterations=100_000, **ENDLESS)
    assert [front.stop_reason for front in fronts] == ["interrupted", "interrupted"]
    assert all(len(front) > 1 for front in fronts)
    assert not workers_left()
    assert not list(tmp_path.glob("symtorch-*"))


def test_the_time_limit_holds_in_workers() -> None:
    with in_two("threading"):
        fronts = search(wild, niterations=100_000, **{**ENDLESS, "timeout_in_seconds": 1.0})
    assert {front.stop_reason for front in fronts} == {"timeout"}


# ---- the parts that it is made of


def test_a_limit_counts_from_the_start_of_the_search_on_this_machine_only() -> None:
    here = platform.node()
    assert Limit(5.0, time.time() - 1.0, here).seconds_left() == 0.0
    assert Limit(5.0, time.time() - 1.0, "another machine").seconds_left() == 5.0


def test_tasks_of_a_worker_share_what_is_left_as_in_one_process() -> None:
    here, end = platform.node(), time.time() + 100.0
    assert Limit(400.0, end, here, in_turn=4).seconds_left() == pytest.approx(25.0, abs=1.0)
    assert Limit(400.0, end, "another machine", in_turn=4).seconds_left() == 100.0
    assert Limit(4.0, time.time() + 4.0, here, in_turn=1000).seconds_left() == share_of(4.0, 1000)


def test_the_last_tasks_of_a_search_have_fewer_to_share_with() -> None:
    X = np.random.default_rng(0).uniform(1.0, 2.0, (50, 1))
    samples, options = Samples(X, X**2), SearchOptions.from_params({})
    task = Task.make(samples, Group((0,), (0,)), options, {0: []}, 0)
    with Mailbox.open() as box:
        packets = _packed([task] * 5, samples, 2, lambda: 60.0, box)
    assert [packet.limit.in_turn for packet in packets if packet.limit is not None] == [3, 2, 2, 1, 1]


def test_a_closed_mailbox_takes_nothing_and_leaves_nothing() -> None:
    found = Found((0,), ((Variable(0),),), (0.5,), ("budget",))
    with Mailbox.open() as box:
        assert box.read(0) is None
        box.post(0, found)
        assert box.read(0) == found
    with pytest.raises(FileNotFoundError):
        box.post(0, found)
    assert not box.folder.parent.exists()


KILLED = """
import os, sys, time
from pathlib import Path
import joblib
from joblib.externals.loky import get_reusable_executor
from symtorch.engines.native.parallel import Mailbox, _follow_this_process

def work(box, folder):
    box.watch()
    Path(folder, f"worker_{os.getpid()}").touch()
    time.sleep(300)

with Mailbox.open() as box:
    Path(sys.argv[1], "mailbox").write_text(str(box.folder.parent))

    def calls():
        _follow_this_process(get_reusable_executor(reuse=True))
        yield from (joblib.delayed(work)(box, sys.argv[1]) for _ in range(2))

    joblib.Parallel(2, "loky", pre_dispatch="all")(calls())
"""


def is_alive(pid: str) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False).stdout.strip()
    return bool(state) and not state.startswith("Z")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX processes")
def test_no_worker_outlives_a_search_that_is_killed(tmp_path: Path) -> None:
    search = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], start_new_session=True)
    try:
        while len(list(tmp_path.glob("worker_*"))) < 2:
            assert search.poll() is None
            time.sleep(0.05)
        mailbox = Path((tmp_path / "mailbox").read_text())
        assert mailbox.exists()
        search.kill()
        search.wait()
        for path in tmp_path.glob("worker_*"):
            while is_alive(path.name.split("_")[1]):
                time.sleep(0.05)  # the test's own time limit is the one that counts
        assert not mailbox.exists()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(search.pid, signal.SIGKILL)


IDLE = """
import joblib
import numpy as np
from symtorch import SymbolicModel

def laws(X):
    return np.stack([np.sin(5.3 * X[:, 0] * X[:, 1]), np.tanh(X[:, 0]) / (1.1 + np.cos(3.1 * X[:, 1]))], axis=1)

with joblib.parallel_config("loky", n_jobs=3):  # of which one has nothing to do
    SymbolicModel(laws, "laws").distill(
        np.random.default_rng(0).normal(size=(200, 2)), engine="native",
        sr_params={"niterations": 100_000, "timeout_in_seconds": 300, "progress": False},
    )
"""


def session(leader: int) -> list[str]:
    """Processes of a session that are alive."""
    listed = subprocess.run(["ps", "-ww", "-eo", "sid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(None, 2) for line in listed.splitlines())
    return [row[2] for row in rows if row[0] == str(leader) and not row[1].startswith("Z")]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX processes")
def test_no_worker_without_a_task_outlives_a_search_that_is_killed() -> None:
    search = subprocess.Popen([sys.executable, "-c", IDLE], start_new_session=True)
    try:
        while sum("LokyProcess" in line for line in session(search.pid)) < 3:
            assert search.poll() is None
            time.sleep(0.05)
        search.kill()
        search.wait()
        while session(search.pid):
            time.sleep(0.05)  # the test's own time limit is the one that counts
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(search.pid, signal.SIGKILL)
