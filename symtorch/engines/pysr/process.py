"""A worker process as its parent sees it: start, talk, stop, kill."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

Event = dict[str, Any]

TAIL_BYTES = 1 << 16
"""How much of a log's end is read."""


class Worker:
    """One worker process, in a session of its own, so that Ctrl-C reaches it only through us.

    Args:
        folder: temporary folder; its log is written there.
        name: of the log file.
        events: receives ``(worker, event)`` for each of its events, and ``{"event": "exit"}`` when it has ended.
        environment: variables set beside those of this process.
    """

    def __init__(
        self, folder: Path, name: str, events: queue.Queue[tuple[Worker, Event]], environment: dict[str, str]
    ) -> None:
        self.log = folder / f"{name}.log"
        self.ready = False
        with self.log.open("wb") as log:
            # -P keeps this package's folder, where the script lies, off the worker's sys.path.
            self._process = subprocess.Popen(
                [sys.executable, "-P", *_julia_options(), str(Path(__file__).with_name("worker.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | environment,
                **_own_session(),
            )
        self._reader = threading.Thread(target=self._read, args=(events,), daemon=True)
        self._reader.start()
        self.send(sys_path=sys.path, folder=str(folder))

    def _read(self, events: queue.Queue[tuple[Worker, Event]]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                self.ready |= event["event"] == "ready"
                events.put((self, event))
        events.put((self, {"event": "exit", "code": self._process.wait()}))

    def send(self, **command: Any) -> None:
        """Send a command; a worker that has ended is told nothing."""
        stdin: IO[bytes] | None = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError, ValueError):
            stdin.write(json.dumps(command).encode() + b"\n")
            stdin.flush()

    def kill(self) -> None:
        """End it and all that it has started."""
        if self._process.poll() is None:
            if os.name == "posix":
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()

    def close(self, patience: float = 2.0) -> None:
        """End it politely if it listens, else not, and wait until it is gone."""
        self.send(quit=True)
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._reader.join(patience)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError, ValueError):
                pipe.close()

    def output(self, start: int = 0) -> str:
        """The end of what it has printed, from this byte on."""
        with contextlib.suppress(OSError), self.log.open("rb") as log:
            log.seek(max(start, self.log.stat().st_size - TAIL_BYTES))
            return log.read().decode("utf-8", errors="replace")
        return ""

    def last_lines(self, n: int = 15) -> str:
        """The last lines that it has printed, indented, for an error message."""
        lines = [line.rstrip() for line in self.output().replace("\r", "\n").splitlines() if line.strip()]
        return "\n".join(f"    {line[:300]}" for line in lines[-n:]) or "    (it printed nothing)"


def _julia_options() -> list[str]:
    """The -X options of this process that juliacall and juliapkg read."""
    given = {key: value for key, value in sys._xoptions.items() if key.startswith(("juliacall-", "juliapkg-"))}
    return [f"-X{key}" if value is True else f"-X{key}={value}" for key, value in given.items()]


def _own_session() -> dict[str, Any]:
    if os.name == "nt":
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"start_new_session": True}


def describe_exit(code: int) -> str:
    """How a process ended, from its exit code.

    >>> describe_exit(-9)
    'was killed by SIGKILL (out of memory is the usual cause)'
    """
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (" (out of memory is the usual cause)" if name == "SIGKILL" else "")
