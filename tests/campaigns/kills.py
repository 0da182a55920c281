# ruff: noqa: T201
"""Native searches that are killed or interrupted at random moments: nothing hangs, nothing survives, nothing is lost.

    python tests/campaigns/kills.py --count 100

starts as many searches as the count says, ``--jobs`` at a time, in turn in one process, on loky and on a Dask
cluster, and kills (SIGKILL to the process) or interrupts (SIGINT to the process, or to its group as a terminal does)
each at a random moment. After each it checks that

* it has ended, in time, and no process of its session is left after a while,
* an interrupted search has given a front for every output,
* every file of the journal is whole, and a search that resumes has all that was in them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from symtorch import SymbolicModel
from symtorch.engines import Engine
from symtorch.engines.options import SearchOptions
from symtorch.engines.samples import Samples
from symtorch.equations import Equation, Front, parse

BACKENDS = ("alone", "loky", "dask")
HOW = ("kill", "interrupt", "group")
N_OUTPUTS = 3
TO_BEGIN = 3.0
"""Times ``--wait`` until a search must be under way: importing torch and starting a cluster takes its time."""

ONE_AT_A_TIME = threading.Lock()
"""In this process; the searches that are killed are in others."""


def law(X: np.ndarray) -> np.ndarray:
    """What no equation is found for in a minute."""
    first = np.sin(5.3 * X[:, 0] * X[:, 1]) + np.abs(X[:, 2]) ** 1.7 * np.exp(-X[:, 3])
    second = np.tanh(X @ np.array([1.0, -2.0, 0.5, 0.3])) / (1.1 + np.cos(3.1 * X[:, 3] + X[:, 0] ** 2))
    return np.stack([first, second, first * second + X[:, 1] ** 3], axis=1)


def distill(folder: Path, seconds: float, engine: str | Engine = "native") -> dict[int, Front]:
    X = np.random.default_rng(0).normal(size=(400, 4))
    options = {"niterations": 100_000, "timeout_in_seconds": seconds, "random_state": 0, "progress": False}
    block = SymbolicModel(law, "law")
    fronts = block.distill(X, engine=engine, sr_params=options, save_path=folder, resume=True)
    assert isinstance(fronts, dict)
    return fronts


# ---- the search that is killed


def search(backend: str, folder: Path, seconds: float) -> None:
    """Search until it is over or interrupted, and write what was found."""
    with workers(backend):
        (folder / "begun").touch()
        try:
            fronts = distill(folder, seconds)
        except KeyboardInterrupt:  # before there was anything
            (folder / "nothing_yet").touch()
            return
        result = {i: [front.stop_reason, len(front)] for i, front in fronts.items()}
        (folder / "fronts.json").write_text(json.dumps(result))


@contextlib.contextmanager
def workers(backend: str) -> Iterator[None]:
    import joblib

    if backend == "alone":
        yield
    elif backend == "loky":
        with joblib.parallel_config("loky", n_jobs=2):
            yield
    else:
        from dask.distributed import Client, LocalCluster

        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        with cluster, Client(cluster), joblib.parallel_config("dask"):
            yield


# ---- killing it


class Nothing(Engine):
    """An engine under the native one's name that finds a constant: what a resumed search has beside it was kept."""

    name = "native"
    takes_guesses = True

    def search(self, samples: Samples, options: SearchOptions, progress: Any = None) -> list[Front]:
        names = samples.variable_names
        return [Front((Equation(parse("0", names), names, 1, 1e300),), engine=self.name)] * samples.n_outputs


def session(leader: int) -> list[str]:
    """Processes of a session that are alive."""
    listing = subprocess.run(["ps", "-eo", "sid=,pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(None, 3) for line in listing.splitlines())
    return [" ".join(row[1:]) for row in rows if row[0] == str(leader) and not row[2].startswith("Z")]


def wait_for(what: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def one(backend: str, how: str, delay: float, seconds: float, wait: float, folder: Path) -> tuple[str, list[str]]:
    """Kill one search; what came of it, and what was wrong."""
    command = [sys.executable, __file__, "--child", backend, "--folder", str(folder), "--seconds", str(seconds)]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, start_new_session=True, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        if not wait_for(lambda: (folder / "begun").exists() or child.poll() is not None, TO_BEGIN * wait):
            return "never began", ["it did not begin"]
        time.sleep(delay)
        over = child.poll() is not None
        if how == "group":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGINT)
        else:
            child.send_signal(signal.SIGKILL if how == "kill" else signal.SIGINT)
        wrong = []
        if not wait_for(lambda: child.poll() is not None, wait):
            wrong.append("it hangs")
        elif not wait_for(lambda: not session(child.pid), wait):
            wrong.append(f"processes are left: {session(child.pid)}")
        return judge(how, over, child.returncode, seconds, folder, wrong)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def judge(
    how: str, over: bool, code: int | None, seconds: float, folder: Path, wrong: list[str]
) -> tuple[str, list[str]]:
    came = "over before" if over else "killed" if how == "kill" else "interrupted"
    if how != "kill" and not over:
        if (folder / "fronts.json").exists():
            result = json.loads((folder / "fronts.json").read_text())
            if sorted(result) != [str(i) for i in range(N_OUTPUTS)] or any(n < 1 for _, n in result.values()):
                wrong.append(f"fronts are missing: {result}")
        elif (folder / "nothing_yet").exists():
            came = "interrupted before anything was found"
        else:
            wrong.append(f"no fronts; exit code {code}")
    kept: dict[int, list[str]] = {}
    for path in folder.glob("law/output_?.json"):
        try:
            document = json.loads(path.read_bytes())
            kept[document["output"]] = [row["text"] for row in document["front"]["equations"]]
        except (ValueError, KeyError) as error:
            wrong.append(f"{path.name} is not whole: {error}")
    with ONE_AT_A_TIME:
        resumed = distill(folder, seconds, Nothing())
    for i, texts in kept.items():
        lost = set(texts) - {equation.text for equation in resumed[i]}
        if lost:
            wrong.append(f"output {i}: lost by resuming: {sorted(lost)[:3]}")
    return f"{came}, {'fronts kept' if kept else 'nothing kept'}", wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each search would take")
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--how", nargs="+", choices=HOW, default=HOW)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wait", type=float, default=60.0, help="seconds in which fronts must be given, all be gone")
    parser.add_argument("--within", type=float, default=math.inf, help="seconds after which no other search begins")
    parser.add_argument("--jobs", type=int, default=1, help="how many searches run at a time")
    parser.add_argument("--child", choices=BACKENDS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        search(args.child, args.folder, args.seconds)
        return
    rng = random.Random(args.seed)
    runs = [
        (
            args.backends[k % len(args.backends)],
            args.how[k // len(args.backends) % len(args.how)],
            rng.uniform(0.0, 1.0),
        )
        for k in range(args.count)
    ]

    end = time.monotonic() + args.within

    def run(k: int) -> tuple[str, list[str], str] | None:
        backend, how, share = runs[k]
        if time.monotonic() > end:
            return None
        with tempfile.TemporaryDirectory(prefix="symtorch-kills-", ignore_cleanup_errors=True) as folder:
            came, wrong = one(backend, how, share * args.seconds, args.seconds, args.wait, Path(folder))
            return came, wrong, (Path(folder) / "log").read_text(errors="replace")[-3000:]

    counts: Counter[str] = Counter()
    failures = 0
    # Threads: each waits for processes of its own.
    with ThreadPoolExecutor(args.jobs) as pool:
        for future in as_completed(futures := {pool.submit(run, k): k for k in range(args.count)}):
            if (result := future.result()) is None:
                continue
            (came, wrong, log), (backend, how, share) = result, runs[futures[future]]
            number = sum(counts.values()) + 1
            print(
                f"{number}: {backend}, {how} after {share * args.seconds:.1f} s: {came}", *wrong, sep="; ", flush=True
            )
            if wrong:
                failures += 1
                print(log, flush=True)
            counts[f"{backend}, {how}: {came}"] += 1
    for what, n in sorted(counts.items()):
        print(f"{n:>5}  {what}")
    print(f"{sum(counts.values())} searches, {failures} with something wrong")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
