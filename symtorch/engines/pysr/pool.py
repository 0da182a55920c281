"""Several PySR runs on a few worker processes, watched over until each has ended one way or another."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import queue
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from symtorch.engines.pysr.parameters import Lazy, Request
from symtorch.engines.pysr.process import Event, Worker, describe_exit
from symtorch.engines.pysr.readiness import check
from symtorch.engines.pysr.results import Row, read_hall_of_fame
from symtorch.engines.samples import Samples
from symtorch.errors import EngineError

logger = logging.getLogger("symtorch.engines.pysr")

_ITERATION = re.compile(r"Progress:\s*(\d+)\s*/\s*(\d+)")
_TICK = 0.25


@dataclass(frozen=True)
class Limits:
    """How long to wait for a worker process, in seconds.

    Attributes:
        start: until PySR is imported; the first time it may install Julia.
        compile: from the call of ``fit`` until the search is under way.
        grace: beyond a run's time limit, and again from asking it to stop until it is killed.
    """

    start: float = 1800.0
    compile: float = 300.0
    grace: float = 10.0


@dataclass
class Run:
    """One request, and how it is going.

    Attributes:
        limit: seconds that the search may take.
        worker: the process that does it.
        reason: why it ended ("budget", "converged", "timeout", "interrupted", "crashed"); empty until then.
        problem: what went wrong, with the last lines of output.
        rows: its hall of fame.
        template: what a TemplateExpressionSpec says, as the worker reports it.
        done, total: iterations of its budget.
        called, under_way, asked_to_stop: when ``fit`` was called, the search was seen to run, and the
            run was told to stop, for which ``stop_reason``.
        refused: why its hall of fame was not read; empty where it can be.
    """

    request: Request
    limit: float | None = None
    worker: Worker | None = None
    reason: str = ""
    problem: str = ""
    rows: list[Row] = field(default_factory=list)
    template: dict[str, Any] | None = None
    done: int = 0
    total: int = 0
    called: float | None = None
    under_way: float | None = None
    asked_to_stop: float | None = None
    stop_reason: str = ""
    refused: str = ""
    log_start: int = 0

    def refresh(self) -> bool:
        """Read what there is so far; whether that is news."""
        if self.refused:
            return False
        before = (self.rows, self.done)
        try:
            self.rows = read_hall_of_fame(self.request.run_folder) or self.rows
        except EngineError as error:
            self.refused, self.rows = str(error), []
        output = "" if self.worker is None else self.worker.output(self.log_start)
        if marks := _ITERATION.findall(output):
            self.done, self.total = map(int, marks[-1])
        if self.under_way is None and (self.rows or marks or "Started!" in output):
            self.under_way = time.monotonic()
        return before != (self.rows, self.done)

    def overdue(self, limits: Limits, now: float) -> bool:
        """Whether it has had its time."""
        if self.under_way is None:
            return self.limit is not None and self.called is not None and now > self.called + limits.compile
        return self.limit is not None and now > self.under_way + self.limit + limits.grace

    def ask_to_stop(self, why: str) -> None:
        """Ask PySR to stop, as Ctrl-C would."""
        assert self.worker is not None
        self.asked_to_stop, self.stop_reason = time.monotonic(), why
        self.worker.send(stop=True)

    def natural_end(self) -> str:
        """Why PySR ended by itself."""
        if self.limit is not None and self.under_way is not None and time.monotonic() > self.under_way + self.limit:
            return "timeout"
        goal = self.request.params.get("early_stop_condition")
        reached = isinstance(goal, (int, float)) and any(row.loss < goal for row in self.rows)
        return "converged" if reached else "budget"

    def end(self, reason: str, problem: str = "") -> None:
        """It is over; a reason that we gave it ourselves goes before what came of that."""
        if not self.reason:
            self.refresh()
            if self.refused:
                self.reason, self.problem = "crashed", self.refused
            else:
                self.reason = self.stop_reason or reason
                self.problem = "" if self.stop_reason else problem


class Pool:
    """Worker processes; leaving the context ends them all."""

    def __init__(self, folder: Path, n_workers: int, limits: Limits) -> None:
        self._folder = folder
        self._n_workers = n_workers
        self._limits = limits
        self._events: queue.Queue[tuple[Worker, Event]] = queue.Queue()
        self._workers: dict[Worker, float] = {}  # when they were started
        self._count = 0

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in self._workers:
            worker.close()

    # ---- workers

    def _start(self) -> Worker:
        environment = {"PYTHONUNBUFFERED": "1"}
        if self._n_workers > 1:
            share = max(1, (os.cpu_count() or 1) // self._n_workers)
            environment["PYTHON_JULIACALL_THREADS"] = os.environ.get("PYTHON_JULIACALL_THREADS", str(share))
        self._count += 1
        worker = Worker(self._folder, f"worker{self._count}", self._events, environment)
        self._workers[worker] = time.monotonic()
        return worker

    def start_one(self) -> Worker:
        """Start a worker and wait until PySR is imported in it.

        Raises:
            EngineError: it can't be; says why and what to do.
        """
        worker = self._start()
        while True:
            event = self._next()
            if event is not None and event[0] is worker:
                if event[1]["event"] == "ready":
                    return worker
                self._check_start(*event)
            self._check_patience()

    def _next(self) -> tuple[Worker, Event] | None:
        with contextlib.suppress(queue.Empty):
            return self._events.get(timeout=_TICK)
        return None

    def _check_start(self, worker: Worker, event: Event) -> None:
        """Raise if the event says that PySR can't be had."""
        if event["event"] == "unavailable":
            raise _unavailable(event["error"])
        if event["event"] == "exit" and not worker.ready:
            raise _unavailable(f"its process {describe_exit(event['code'])}:\n{worker.last_lines()}")

    def _check_patience(self) -> None:
        for worker, started in self._workers.items():
            if not worker.ready and time.monotonic() > started + self._limits.start:
                raise _unavailable(f"it has not started in {self._limits.start:g} s:\n{worker.last_lines()}")

    # ---- runs

    def run(
        self,
        requests: Sequence[Request],
        samples: Samples,
        seconds: float | None = None,
        report: Callable[[Sequence[Run]], None] = lambda runs: None,
    ) -> list[Run]:
        """Do all that is requested, and return how each run ended, whatever happened to it.

        Args:
            requests: one per output.
            seconds: ceiling for all together; where runs must wait for each other they share it.
            report: called when there is news.

        Raises:
            EngineError: PySR can't start.
            KeyboardInterrupt: it came before any run had found anything.
        """
        self.start_one()  # before any data is written
        data = _write(samples, self._folder)
        limit = None if seconds is None else seconds / math.ceil(len(requests) / self._n_workers)
        runs = [Run(request.within(limit), limit) for request in requests]
        while not all(run.reason for run in runs):
            try:
                self._assign(runs, data)
                if event := self._next():
                    self._handle(runs, *event)
                self._watch(runs)
                news = [run.refresh() for run in runs if run.worker is not None]
                if any(news) and not any(run.stop_reason == "interrupted" for run in runs):
                    report(runs)
            except KeyboardInterrupt:
                self._interrupt(runs)
        if any(run.reason == "interrupted" for run in runs) and not any(run.rows for run in runs):
            raise KeyboardInterrupt
        with contextlib.suppress(KeyboardInterrupt):
            report(runs)
        return runs

    def _assign(self, runs: Sequence[Run], data: dict[str, Any]) -> None:
        """Give waiting runs to idle workers, and start workers while more would have work."""
        waiting = deque(run for run in runs if run.worker is None and not run.reason)
        busy = {run.worker for run in runs if not run.reason}
        for worker in self._workers:
            if waiting and worker.ready and worker not in busy:
                self._begin(waiting.popleft(), worker, data)
        starting = sum(not worker.ready for worker in self._workers)
        for _ in range(min(self._n_workers - len(self._workers), len(waiting) - starting)):
            self._start()

    def _begin(self, run: Run, worker: Worker, data: dict[str, Any]) -> None:
        run.worker, run.called, run.log_start = worker, time.monotonic(), worker.log.stat().st_size
        job = self._folder / f"job{run.request.output}.pkl"
        _dump(run.request, data, job)
        worker.send(job=str(job), output=run.request.output)

    def _handle(self, runs: Sequence[Run], worker: Worker, event: Event) -> None:
        run = next((run for run in runs if run.worker is worker and not run.reason), None)
        kind = event["event"]
        if kind == "exit":
            self._workers.pop(worker, None)
            worker.close()
        if run is None:
            if kind == "exit" and not worker.ready:
                self._do_with_fewer(runs, worker)
        elif kind == "started":
            run.template = event["template"]
        elif kind == "done":
            run.end("interrupted" if event["interrupted"] else run.natural_end())
        elif kind == "failed":
            run.end("interrupted" if event["interrupted"] else "crashed", event["error"])
        elif kind == "exit":
            run.end("crashed", f"its process {describe_exit(event['code'])}; its last lines:\n{worker.last_lines()}")

    def _do_with_fewer(self, runs: Sequence[Run], worker: Worker) -> None:
        """A further worker could not start: the others go on without it."""
        logger.warning("a further PySR process could not start; going on with fewer:\n%s", worker.last_lines())
        self._n_workers -= 1
        if self._n_workers == 0:
            for run in runs:
                run.end("crashed", f"no PySR process could be started again:\n{worker.last_lines()}")

    def _watch(self, runs: Sequence[Run]) -> None:
        """Ask runs to stop that have had their time, and kill those that were asked and did not."""
        now = time.monotonic()
        for run in runs:
            if run.worker is None or run.reason:
                continue
            if run.refused:
                run.worker.kill()
            elif run.asked_to_stop is None and run.overdue(self._limits, now):
                run.ask_to_stop("timeout")
            elif run.asked_to_stop is not None and now > run.asked_to_stop + self._limits.grace:
                logger.warning("PySR did not stop when asked to; its process is ended")
                run.worker.kill()
        self._check_patience()

    def _interrupt(self, runs: Sequence[Run]) -> None:
        """Ctrl-C: ask every run to stop; at the second time end them."""
        for run in runs:
            if run.reason:
                continue
            if run.worker is None:
                run.end("interrupted")
            elif run.asked_to_stop is None:
                run.ask_to_stop("interrupted")
            else:
                run.worker.kill()


def _write(samples: Samples, folder: Path) -> dict[str, Any]:
    """The samples as files that the workers read."""
    data: dict[str, Any] = {"weights": None}
    for name, array in (("X", samples.X), ("Y", samples.Y), ("weights", samples.weights)):
        if array is not None:
            data[name] = str(folder / f"{name}.npy")
            np.save(data[name], array)
    return data | {"names": list(samples.variable_names)}


def _dump(request: Request, data: dict[str, Any], path: Path) -> None:
    import dill

    plain = {name: value for name, value in request.params.items() if not isinstance(value, Lazy)}
    made = {name: value.make for name, value in request.params.items() if isinstance(value, Lazy)}
    fit_params = {"variable_names": data["names"], **request.fit_params}
    task = {"params": plain, "lazy": made, "fit_params": fit_params, "column": request.output}
    task |= {name: data[name] for name in ("X", "Y", "weights")}
    with path.open("wb") as file:
        # recurse: only what a function refers to travels with it, not its whole module and with it torch.
        dill.dump(task, file, recurse=True)


def _unavailable(reason: str) -> EngineError:
    return EngineError(
        f"PySR can't be used here: {reason}\n(Before it was tried: {check().reason})\n"
        f"Two ways out: give PySR a Julia, once, with\n"
        f"    python -c 'import pysr'\n"
        f"on a machine with internet access (or install Julia from https://julialang.org/downloads first); "
        f"or use engine='native', which needs none."
    )
