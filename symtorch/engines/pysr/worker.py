"""The process that PySR runs in. It is started as a script and imports nothing of symtorch.

torch and Julia must not share a process, so this file keeps to the standard library, NumPy, dill and
pysr. It talks to :mod:`symtorch.engines.pysr.process` in lines of JSON: commands come on what was
its standard input, events leave on what was its standard output. Both are moved out of the way
before Julia starts, so whatever Julia prints lands in the log, and Julia finds nothing to read.

Commands: ``{"sys_path": [...], "folder": "..."}`` first, then ``{"job": FILE, "output": i}``,
``{"stop": true}`` and ``{"quit": true}``. If the input ends without that, the parent has died: this
process then removes the temporary folder and ends too.
Events: ready, unavailable, started, done, failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, TextIO


def main() -> int:
    commands, events = _claim_pipes()
    # What a shell starts in the background has Ctrl-C ignored, and so has this process from it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def send(event: str, **content: Any) -> None:
        events.write(json.dumps({"event": event, **content}) + "\n")
        events.flush()

    first = json.loads(commands.readline())
    sys.path[:] = first["sys_path"]
    jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(commands, jobs, first["folder"]), daemon=True).start()
    try:
        import pysr
    except BaseException as error:
        traceback.print_exc()
        send("unavailable", error=_describe(error))
        return 1
    send("ready", version=getattr(pysr, "__version__", "unknown"))
    while True:
        job = jobs.get()
        try:
            send("done", output=job["output"], interrupted=_search(pysr, job, send))
        except BaseException as error:
            traceback.print_exc()
            stopped = isinstance(error, KeyboardInterrupt) or "InterruptException" in str(error)
            send("failed", output=job["output"], error=_describe(error), interrupted=stopped)


def _search(pysr: Any, job: dict[str, Any], send: Callable[..., None]) -> bool:
    """Run one fit; whether it was interrupted."""
    import dill
    import numpy as np

    with open(job["job"], "rb") as file:
        task = dill.load(file)
    params = task["params"] | {name: make(pysr) for name, make in task["lazy"].items()}
    run_folder = os.path.join(params["output_directory"], params["run_id"])
    if params.get("warm_start") and os.path.isfile(os.path.join(run_folder, "checkpoint.pkl")):
        model = pysr.PySRRegressor.from_file(run_directory=run_folder)
        model.set_params(**params)
    else:
        model = pysr.PySRRegressor(**params)
    X = np.load(task["X"])
    y = np.load(task["Y"], mmap_mode="r")[:, task["column"]].copy()
    fit_params = {"weights": None if task["weights"] is None else np.load(task["weights"])} | task["fit_params"]
    send("started", output=job["output"], template=_template(params.get("expression_spec")))
    model.fit(X, y, **fit_params)
    return bool(getattr(model, "interrupted_", False))


def _template(spec: Any) -> dict[str, Any] | None:
    """What is needed to write a template's equation as one formula; None for plain expressions."""
    if spec is None or type(spec).__name__ == "ExpressionSpec":
        return None
    found: dict[str, Any] = {"kind": type(spec).__name__}
    for name in ("combine", "expressions", "variable_names", "parameters"):
        value = getattr(spec, name, None)
        with contextlib.suppress(TypeError):
            found[name] = json.loads(json.dumps(value))
    return found


def _claim_pipes() -> tuple[TextIO, TextIO]:
    """Keep the pipes to the parent for ourselves: fd 0 becomes empty, fd 1 the log that fd 2 is."""
    commands = os.fdopen(os.dup(0), "r", encoding="utf-8")
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout.flush()
    os.dup2(2, 1)
    return commands, events


def _listen(commands: TextIO, jobs: queue.SimpleQueue[dict[str, Any]], folder: str) -> None:
    for line in commands:
        command = json.loads(line)
        if "job" in command:
            jobs.put(command)
        elif "stop" in command:
            _interrupt()
        elif "quit" in command:
            break
    else:
        shutil.rmtree(folder, ignore_errors=True)
    # Julia's own workers go too. There is no way to end its threads politely from here.
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _interrupt() -> None:
    """Ctrl-C, as PySR expects it: in the main thread."""
    if os.name == "posix":
        os.kill(os.getpid(), signal.SIGINT)
    else:
        import _thread

        _thread.interrupt_main()


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
