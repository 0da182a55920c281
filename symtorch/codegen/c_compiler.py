"""C source to a function that can be called: the system's compiler, and the library that it makes.

A compiler is a program like others: it may be missing, hang, find the disk full or make nothing of use.
Whatever happens is a CompilerError, within a time limit, and nothing is left behind.
"""

from __future__ import annotations

import _ctypes
import contextlib
import ctypes
import logging
import os
import platform
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from symtorch.errors import CompilerError

logger = logging.getLogger("symtorch.equations")

COMPILE_SECONDS = 120.0
"""How long the compiler may take, all attempts together; the largest kernels that it gets take a quarter."""

_KEPT = 1 << 14
"""Bytes of what the compiler says that are kept."""

_PREFIX = "symtorch-"
_STALE_SECONDS = 3600.0
"""Folders of compilers that are so old were left by a process that was killed."""

_FLAGS = ["-O2", "-fPIC", "-shared", "-w", "-fno-math-errno", "-fno-trapping-math"]
_TUNED = [*_FLAGS, "-march=native", "-ftree-vectorize", "-fopenmp-simd"]
# With the vector functions of glibc 2.35, with those of glibc 2.22, without any.
_ATTEMPTS = ([*_TUNED, "-DGLIBC_MINOR=35"], [*_TUNED, "-DGLIBC_MINOR=22"], _TUNED, _FLAGS)


@cache
def compiler() -> str | None:
    """The C compiler: ``$CC``, or the first of cc, gcc and clang that there is; None without one."""
    if platform.system() == "Windows":
        return None
    names = (os.environ.get("CC"), "cc", "gcc", "clang")
    return next((path for name in names if name and (path := shutil.which(name))), None)


class Library:
    """A function of a shared library, which stays loaded as long as this object lives.

    Raises:
        OSError: the file is no library that can be loaded.
        CompilerError: it has no such function.
    """

    def __init__(self, path: Path, function: str) -> None:
        library = ctypes.CDLL(str(path))
        # Not at the end of the process, when another thread may still be in it.
        weakref.finalize(self, _ctypes.dlclose, library._handle).atexit = False
        try:
            self.function: Any = getattr(library, function)
        except AttributeError:
            raise CompilerError(f"the compiled library has no function {function!r}.") from None

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def build(source: str, dtype: torch.dtype, function: str) -> Library:
    """Compile C source over ``real`` and load a function of it.

    Args:
        source: C that says ``real`` for its type of numbers.
        dtype: torch.float32 or torch.float64.
        function: name of the function.

    Raises:
        CompilerError: there is no compiler, it failed, or it took too long; with what it said.
    """
    cc = compiler()
    if cc is None:
        raise CompilerError("no C compiler was found (looked for $CC, cc, gcc and clang); install one, or run eagerly.")
    real = ["-Dreal=double", "-DNAMED(n)=n"]
    if dtype == torch.float32:
        real = ["-Dreal=float", "-DNAMED(n)=n##f", "-fsingle-precision-constant"]
    _remove_stale()
    try:
        with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder:
            path = Path(folder, "kernel.c")
            path.write_text(source, encoding="utf-8")
            return _attempt(cc, real, path, function)
    except OSError as error:  # no space, no descriptors, no right to run it
        raise CompilerError(f"{cc} could not be run on the equations: {error}") from error


def _attempt(cc: str, real: Sequence[str], path: Path, function: str) -> Library:
    """The library with as much tuning as compiler and C library have."""
    until = time.monotonic() + COMPILE_SECONDS
    library, said = path.with_suffix(".so"), ""
    for flags in _ATTEMPTS:
        status, said = _run([cc, *flags, *real, str(path), "-o", str(library), "-lm"], path.parent, until)
        if status != 0:
            continue
        try:
            return Library(library, function)
        except OSError as error:  # the C library lacks a vector function after all, or there is no file
            said = str(error)
    raise CompilerError(f"{cc} could not compile the equations: {said[-500:]}")


def _run(command: Sequence[str], folder: Path, until: float) -> tuple[int, str]:
    """Exit status and error output of a command, which is stopped with all that it has started when time is up."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # the compiler proper is a child of what is called
        env={**os.environ, "TMPDIR": str(folder)},
    )
    try:
        said = _last_words(process, until)
        process.wait(max(0.0, until - time.monotonic()))
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise CompilerError(f"{command[0]} was stopped after {COMPILE_SECONDS:.0f} s; run eagerly.") from None
        raise
    finally:
        if process.stderr is not None:
            process.stderr.close()
    return process.returncode, said.decode("utf-8", errors="replace")


def _last_words(process: subprocess.Popen[bytes], until: float) -> bytes:
    """The end of what a process has said; one that never stops talking fills no memory with it."""
    assert process.stderr is not None
    said = b""
    with selectors.DefaultSelector() as ready:
        ready.register(process.stderr, selectors.EVENT_READ)
        while True:
            left = until - time.monotonic()
            if left <= 0 or not ready.select(left):
                raise subprocess.TimeoutExpired(process.args, left)
            more = os.read(process.stderr.fileno(), 1 << 16)
            if not more:
                return said
            said = (said + more)[-_KEPT:]


@cache
def _remove_stale() -> None:
    """Remove what killed processes of this user have left, once per process."""
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                about = folder.lstat()
                old = time.time() - about.st_mtime > _STALE_SECONDS
                if old and about.st_uid == os.getuid() and (folder / "kernel.c").exists():
                    shutil.rmtree(folder, ignore_errors=True)
