"""Tasks of a search in other processes, by joblib: on the cores of this machine, or on a cluster.

    with joblib.parallel_config("loky", n_jobs=8):    # or "dask", within a dask.distributed.Client
        block.distill(...)

What is sent is data: the rows that a task is fitted to, the search space as text, the seed. The teacher, the
user's network with whatever hangs on it, goes along as a copy on the CPU if there is one that answers as
the original does; else this process asks it, before the tasks are sent off, and sends the laws.

What comes back is the front of every output. While they work, workers on this machine leave what they have
in a folder (:class:`Mailbox`), so that nothing is lost when the user interrupts the search or a worker
dies: what a lost worker had not finished is searched in this process, from what it had.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import torch
from joblib.externals.loky import get_reusable_executor

from symtorch.engines.native.flat.watch import share_of
from symtorch.engines.native.hardware import few_collections, one_thread
from symtorch.engines.native.runner import Runner
from symtorch.engines.native.task import Found, Task, TeacherView
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples, Teacher
from symtorch.equations.expr import Call, Expr, to_text, transform

logger = logging.getLogger("symtorch.engines.native")

_LARGEST_TEACHER = 1 << 28
"""Bytes of a pickled teacher above which it isn't sent."""
_COMPARED = 32
"""Rows on which the answers of a copy are compared with the teacher's."""
_GRACE = 60.0
"""Seconds after the time limit in which workers that keep it must have started and be back."""


def search_in_workers(
    tasks: Sequence[Task],
    samples: Samples,
    options: SearchOptions,
    n_workers: int,
    left: Callable[[], float | None],
    keep: Callable[[int, Found], None],
) -> tuple[dict[int, Found], bool]:
    """Search the tasks in joblib's workers.

    Args:
        tasks: what to do, of ``samples`` and ``options``.
        n_workers: how many tasks run at once.
        left: seconds until the time limit, or None.
        keep: called with the number of a task and what was found for it, as they are done.

    Returns:
        what is known of the tasks that were not done, and whether the user has interrupted them. They
        are not done if a worker was lost, too.
    """
    done: set[int] = set()

    def returned(number: int, found: Found) -> None:
        done.add(number)
        keep(number, _with_operators(found, options))

    interrupted = False
    with Mailbox.open() as box:
        try:
            packets = _packed(tasks, samples, n_workers, left, box)
            total = left()
            _collect(packets, returned, None if total is None else total + _GRACE)
        except KeyboardInterrupt:
            interrupted = True
        letters = {number: box.read(number) for number in range(len(tasks)) if number not in done}
    return {i: _with_operators(found, options) for i, found in letters.items() if found is not None}, interrupted


def _collect(packets: Sequence[Packet], returned: Callable[[int, Found], None], patience: float | None) -> None:
    """Have the packets searched; ends early, with a warning in the log, if a worker is lost.

    Args:
        patience: seconds after which a task is given up, or None.
    """
    on_loky = type(joblib.parallel.get_active_backend()[0]) is joblib.parallel.BACKENDS.get("loky")

    def calls() -> Iterator[Any]:
        if on_loky:  # whose executor is made by now; its processes are with the first call
            _follow_this_process(get_reusable_executor(reuse=True))
        yield from (joblib.delayed(_search)(packet) for packet in packets)

    settings: dict[str, Any] = {"batch_size": 1, "pre_dispatch": "all", "max_nbytes": None, "timeout": patience}
    try:
        parallel = joblib.Parallel(return_as="generator_unordered", **settings)
    except ValueError:  # of some backends nothing returns before all has
        parallel = joblib.Parallel(**settings)
    results = None
    while True:
        try:
            results = iter(parallel(calls())) if results is None else results
            result = next(results, None)  # to the very end, where joblib sets its workers free
        except Exception as error:
            logger.warning("workers were lost (%s); this process goes on with what is not done", _named(error))
            return
        if result is None:
            return
        number, found = result
        if isinstance(found, str):
            logger.warning("a worker could not do its part (%s); it is done in this process", found)
            continue
        try:
            returned(number, found)
        except BaseException as error:
            if hasattr(results, "throw"):
                # So that joblib ends the workers. Left to itself it would do so with a warning.
                with contextlib.suppress(BaseException):
                    results.throw(error)
            raise


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _follow_this_process(executor: Any) -> None:
    """Have the processes that an executor of loky's starts from now on end with this one, also if it is killed.

    One that is killed while it starts them holds the lock without which they don't give up waiting. Loky would
    take an initializer as an argument of the executor, but then it would shut down one that was made without it,
    which may be the user's: so it is given to the executor that is there, where that has none.
    """
    if os.name == "posix" and getattr(executor, "_initializer", executor) is None:
        executor._initializer, executor._initargs = _FOLLOW, (os.getpid(),)


def _made_to_follow() -> Any:
    def follow(parent: int) -> None:
        import os
        import shutil
        import sys
        import threading
        import time

        def wait() -> None:
            while os.getppid() == parent:
                time.sleep(0.5)
            # In a worker that has had a task: what Mailbox.watch would remove, were it the first to notice.
            for folder in getattr(sys.modules.get("symtorch.engines.native.parallel"), "_watched", ()):
                shutil.rmtree(folder, ignore_errors=True)
            os._exit(1)

        threading.Thread(target=wait, daemon=True).start()

    # As a value, so that workers which get no task of ours don't import torch for it.
    return joblib.wrap_non_picklable_objects(follow, keep_wrapper=False)


_FOLLOW = _made_to_follow()


# ---- what is sent


@dataclass(frozen=True, eq=False)
class Packet:
    """A task on its way to a worker.

    Attributes:
        number: of the task.
        task: without its teacher.
        view: the task's teacher, its ``whole`` left out.
        teacher: the whole teacher, pickled: once for all packets.
        limit: the time that there is, or None.
        box: where to leave what there is so far.
    """

    number: int
    task: Task
    view: TeacherView | None
    teacher: bytes | None
    limit: Limit | None
    box: Mailbox


def _search(packet: Packet) -> tuple[int, Found | str]:
    """What a worker does: the task's number, and what it has found or why it could not do it."""
    task, view = packet.task, packet.view
    packet.box.watch()
    try:
        if packet.teacher is not None and view is not None:
            # A copy of its own for each task: two threads must not switch the modes of one network.
            teacher = replace(view, whole=pickle.loads(packet.teacher))
            task = replace(task, fitted=replace(task.fitted, teacher=teacher))
        seconds = None if packet.limit is None else packet.limit.seconds_left()
        runner = Runner(task, seconds, news=packet.box.slot(packet.number))
        with one_thread(), few_collections():
            runner.run()
        return packet.number, runner.found()
    except Exception as error:  # it must not take the other workers along
        return packet.number, _named(error)


def _packed(
    tasks: Sequence[Task], samples: Samples, n_workers: int, left: Callable[[], float | None], box: Mailbox
) -> list[Packet]:
    teacher = None if samples.teacher is None else portable(samples.teacher, samples.X[:_COMPARED])
    if samples.teacher is not None and teacher is None:
        tasks = [_asked_here(number, task, left, len(tasks), box) for number, task in enumerate(tasks)]
    total, now = left(), time.time()
    packets = []
    for number, task in enumerate(tasks):
        # Tasks are begun in their order: from this one on, its worker has so many to do.
        in_turn = -(-(len(tasks) - number) // n_workers)
        limit = None if total is None else Limit(total, now + total, platform.node(), in_turn)
        view = None
        if teacher is not None:
            assert isinstance(task.fitted.teacher, TeacherView)
            view = replace(task.fitted.teacher, whole=_nobody)
        plain = replace(task, fitted=replace(task.fitted, teacher=None), options=_plain(task.options))
        packets.append(Packet(number, plain, view, teacher, limit, box))
    return packets


def _asked_here(number: int, task: Task, left: Callable[[], float | None], n_tasks: int, box: Mailbox) -> Task:
    """The task with the laws that asking its teacher brings."""
    total = left()
    runner = Runner(task, None if total is None else share_of(total, n_tasks - number))
    try:
        laws = runner.ask()
        return replace(task, laws=laws, rows_asked=runner.rows_asked)
    finally:
        box.post(number, runner.found())


def _nobody(X: np.ndarray) -> np.ndarray:
    raise AssertionError("the teacher was not sent")


def _plain(options: SearchOptions) -> SearchOptions:
    """The same search space as text, without the user's functions and whatever else can't be pickled."""
    specs: dict[int, list[str]] = {1: [], 2: []}
    for op in options.operators.values():
        names = ["x", "y"][: op.arity]
        text = op.name if op.body is None else f"{op.name}({', '.join(names)}) = {to_text(op.body, names)}"
        specs[op.arity].append(text)
    return replace(
        options,
        unary_operators=tuple(specs[1]),
        binary_operators=tuple(specs[2]),
        extra_sympy_mappings=None,
        guesses=None,
        extra={},
        given={},
    )


def _with_operators(found: Found, options: SearchOptions) -> Found:
    """The trees with the user's own operators, which know how they are shown in SymPy."""

    def rule(node: Expr) -> Expr:
        return Call(options.operators.get(node.op.name, node.op), node.args) if isinstance(node, Call) else node

    return replace(found, trees=tuple(tuple(transform(tree, rule) for tree in trees) for trees in found.trees))


# ---- the teacher


def portable(teacher: Teacher, X: np.ndarray) -> bytes | None:
    """The teacher in bytes, or None if there is no copy of it that answers like it on the CPU.

    Args:
        X: rows to compare the answers on.
    """
    try:
        sent = _dumps(teacher)
        if len(sent) <= _LARGEST_TEACHER:
            answer, expected = pickle.loads(sent)(X), teacher(X)
            if np.allclose(answer, expected, rtol=1e-3, atol=1e-3 * float(np.std(expected))):
                return sent
            reason = "its copy answers otherwise"
        else:
            reason = f"it has {len(sent)} bytes"
    except Exception as error:  # whatever a class's own pickling, or a network without its surroundings, may raise
        reason = _named(error)
    logger.info("the teacher can't be sent to other processes (%s); it is asked in this one", reason)
    return None


class _OnHost(cloudpickle.Pickler):
    """Writes what is on another device as if it were on the CPU: workers may have none, or all the same one."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, torch.device) and obj.type != "cpu":
            return torch.device, ("cpu",)
        if isinstance(obj, torch.Tensor) and obj.device.type != "cpu":
            host = obj.detach().cpu()
            if isinstance(obj, torch.nn.Parameter):
                host = torch.nn.Parameter(host, obj.requires_grad)
            return host.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        return super().reducer_override(obj)


def _dumps(teacher: Teacher) -> bytes:
    file = io.BytesIO()
    _OnHost(file, protocol=pickle.HIGHEST_PROTOCOL).dump(teacher)
    return file.getvalue()


# ---- time, and news from tasks under way


@dataclass(frozen=True)
class Limit:
    """The time limit of a task that another process does.

    Attributes:
        seconds: of the whole search, when the task was sent.
        end: of the whole search, by the clock of ``machine``; elsewhere clocks may differ.
        machine: that sent it.
        in_turn: tasks that its worker has to do from this one on.
    """

    seconds: float
    end: float
    machine: str
    in_turn: int = 1

    def seconds_left(self) -> float:
        """What the task may take if it starts now: its share of what is left, as among tasks of one process.

        What tasks before it have not used is left to it, where clocks can tell.
        """
        here = platform.node() == self.machine
        return share_of(max(0.0, self.end - time.time()) if here else self.seconds, self.in_turn)


@dataclass(frozen=True)
class Mailbox:
    """A folder where workers on this machine leave what they have; once it is gone they end.

    On other machines there is no such folder: they send nothing and work to the end.

    Attributes:
        folder: where they leave it.
        owner: id of the process that reads it.
    """

    folder: Path
    owner: int

    @classmethod
    @contextlib.contextmanager
    def open(cls) -> Iterator[Mailbox]:
        """A new one, to be closed at the end of the block."""
        with tempfile.TemporaryDirectory(prefix="symtorch-", ignore_cleanup_errors=True) as parent:
            box = cls(Path(parent) / "open", os.getpid())
            box.folder.mkdir()
            try:
                yield box
            finally:
                # In one step, so that nothing can come in while the files are removed.
                os.rename(box.folder, Path(parent) / "closed")

    def post(self, number: int, found: Found) -> None:
        """Leave what a task has found so far.

        Raises:
            FileNotFoundError: the mailbox is closed.
        """
        path = self._path(number)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(pickle.dumps(found))
        os.replace(fresh, path)

    def read(self, number: int) -> Found | None:
        """What a task has left last."""
        try:
            found: Found = pickle.loads(self._path(number).read_bytes())
        except FileNotFoundError:
            return None
        return found

    def slot(self, number: int) -> Callable[[Found], None] | None:
        """Takes what a task has found so far, and interrupts it once the mailbox is closed; None elsewhere."""

        def put(found: Found) -> None:
            try:
                self.post(number, found)
            except FileNotFoundError:
                raise KeyboardInterrupt from None

        return put if self.folder.exists() else None

    def watch(self) -> None:
        """End this process when the mailbox's owner, its parent, dies: killed, it can't see to that itself.

        Loky's workers would work on, and then wait for minutes for a parent that is gone.
        """
        if os.name != "posix" or os.getppid() != self.owner or not self.folder.exists():
            return
        if not _watched:
            threading.Thread(target=_end_with_parent, args=(self.owner,), daemon=True).start()
        _watched[:] = [self.folder.parent]

    def _path(self, number: int) -> Path:
        return self.folder / str(number)


_watched: list[Path] = []
"""In a worker: the folder that goes with the process that has sent it."""


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    for folder in _watched:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
