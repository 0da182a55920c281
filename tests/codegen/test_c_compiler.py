"""A compiler can fail in any way; equations are computed all the same, or the error says why not."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch

from symtorch.codegen import c_compiler, c_kernel
from symtorch.codegen.c_compiler import compiler
from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.equations.parser import parse
from symtorch.errors import CompilerError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="equations are not compiled on Windows")
needs_compiler = pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
NAMES = ["x0", "x1"]
X = torch.linspace(-1.0, 1.0, 20, dtype=torch.float64).reshape(10, 2)


def function(*texts: Any) -> Any:
    return SymbolicFunction([parse(text, NAMES) for text in texts or ("2.5*sin(x0) + x1",)], 2)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Temporary files of these tests alone, so that what is left behind is seen."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("symtorch.codegen.torch_function.AUTO_WORK", 0)
    return tmp_path


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a shell script in the compiler's place; ``$OUT`` is the file that it is to make."""

    def use(script: Any) -> Any:
        path = tmp_path / "cc"
        find_out = 'while [ $# -gt 1 ]; do [ "$1" = -o ] && OUT="$2"; shift; done\n'
        path.write_text(f"#!/bin/sh\n{find_out}{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(c_compiler, "compiler", lambda: str(path))
        monkeypatch.setattr("symtorch.codegen.torch_function.compiler", lambda: str(path))
        return path

    return use


def left_behind(folder: Path) -> Any:
    return [path.name for path in folder.iterdir() if path.name.startswith("symtorch-")]


FAILURES = {
    "says no": ("echo 'no such thing' >&2; exit 1", "no such thing"),
    "makes nothing": ("exit 0", "kernel.so"),
    "makes no library": ('echo nonsense > "$OUT"', "kernel.so"),
    "writes what can't be read": (r"printf '\377\376 broken' >&2; exit 1", "broken"),
    "says very much": ("yes 0123456789 | head -n 100000 >&2; exit 1", "0123456789"),
    "is killed": ("kill -9 $$", "could not compile"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_compiler_that_fails_is_an_error_for_those_who_insist_and_none_for_auto(
    what: str, fake: Any, own_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script, said = FAILURES[what]
    fake(script)
    expected = function()(X)
    with pytest.raises(CompilerError, match=said) as raised:
        function().use_compiled(True)(X)
    assert len(str(raised.value)) < 1000
    f = function().use_compiled("auto")
    torch.testing.assert_close(f(X), expected)
    assert f.compiled is False
    assert "not compiled" in caplog.text
    assert left_behind(own_folder) == []


@needs_compiler
def test_a_library_without_the_function(fake: Any, own_folder: Path) -> None:
    fake(f'echo "int other;" > "$OUT.c"; {compiler()} -shared -fPIC "$OUT.c" -o "$OUT"')
    with pytest.raises(CompilerError, match="no function 'kernel'"):
        function().use_compiled(True)(X)
    assert left_behind(own_folder) == []


def test_a_compiler_that_hangs_is_stopped_with_all_that_it_has_started(
    fake: Any, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(f"sleep 1000 & echo $! > {own_folder}/child; wait")
    monkeypatch.setattr(c_compiler, "COMPILE_SECONDS", 1.0)
    with pytest.raises(CompilerError, match="stopped after 1 s"):
        function().use_compiled(True)(X)
    child = int((own_folder / "child").read_text())
    for _ in range(200):  # an orphan that is dead is gone once init has seen it
        if not alive(child):
            break
        time.sleep(0.05)
    assert not alive(child)
    torch.testing.assert_close(function().use_compiled("auto")(X), function()(X))
    assert left_behind(own_folder) == []


def test_a_compiler_that_never_stops_talking_fills_no_memory(
    fake: Any, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c_compiler, "COMPILE_SECONDS", 1.0)
    fake("cat /dev/zero >&2")
    tracemalloc.start()
    try:
        with pytest.raises(CompilerError, match="was stopped after 1 s"):
            function().use_compiled(True)(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10e6
    assert left_behind(own_folder) == []


def alive(pid: Any) -> Any:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@needs_compiler
@pytest.mark.parametrize("what", ["folder", "disk", "descriptors", "program"])
def test_what_the_system_refuses_is_a_compiler_error(
    what: str, fake: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if what == "folder":
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    elif what == "disk":

        def full(*args: Any, **kwargs: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_text", full)
    elif what == "descriptors":

        def none_left(*args: Any, **kwargs: Any) -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(subprocess, "Popen", none_left)
    else:
        monkeypatch.setattr(c_compiler, "compiler", lambda: str(tmp_path))  # a folder can't be run
    with pytest.raises(CompilerError, match="could not be run"):
        function().use_compiled(True)(X)
    torch.testing.assert_close(function().use_compiled("auto")(X), function()(X))


@needs_compiler
def test_what_is_too_large_for_a_compiler_stays_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_kernel, "MOST_VALUES", 5)
    f = function("sin(x0) + 2*exp(x1) - x0*x1")
    with pytest.raises(CompilerError, match="more than 5"):
        f.use_compiled(True)(X)
    torch.testing.assert_close(f.use_compiled("auto")(X), function("sin(x0) + 2*exp(x1) - x0*x1")(X))
    monkeypatch.setattr(c_kernel, "MOST_VALUES", 10**9)
    monkeypatch.setattr(c_kernel, "STACK_BYTES", 100)
    with pytest.raises(CompilerError, match="thread's stack"):
        f.use_compiled(True)(X)


@needs_compiler
def test_a_long_sum_is_compiled_in_loops_of_limited_length() -> None:
    text = " + ".join(f"{k}.5*sin({k}.25*x{k % 2})" for k in range(400))
    f = function(text)
    source = c_kernel.kernel_source(f._program, 2)
    loops = source.split("#pragma omp simd")[1:]
    assert max(loop.count("const real t") for loop in loops) <= 2 * c_kernel.LINES_PER_LOOP
    torch.testing.assert_close(f.use_compiled(True)(X), function(text)(X), rtol=1e-10, atol=1e-10)


# ---- nothing stays


def mapped() -> Any:
    return Path("/proc/self/maps").read_text().count("kernel.so")


@needs_compiler
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_libraries_are_unloaded_with_the_last_function_that_uses_them(own_folder: Path) -> None:
    gc.collect()
    before = mapped()
    f = function().use_compiled(True)
    f(X), f(X.float())
    assert mapped() > before
    assert left_behind(own_folder) == []
    native = f._native
    del f
    torch.testing.assert_close(native(X, torch.tensor([2.5], dtype=torch.float64)), function()(X))
    del native
    gc.collect()
    assert mapped() == before


@needs_compiler
def test_what_a_killed_process_leaves_is_removed_by_a_later_one(
    fake: Any, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = fake(f"echo $$ > {own_folder}/pid; mv {own_folder}/pid {own_folder}/started; exec sleep 1000")
    code = (
        "import os, tempfile, torch; from symtorch.codegen.c_compiler import build; "
        f"tempfile.tempdir = {str(own_folder)!r}; build('', torch.float32, 'kernel')"
    )
    environment = {**os.environ, "CC": str(script)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True)
    while not (own_folder / "started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    os.kill(int((own_folder / "started").read_text()), signal.SIGKILL)
    (left,) = left_behind(own_folder)
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(own_folder))
    c_compiler._remove_stale.cache_clear()
    c_compiler._remove_stale()
    assert left_behind(own_folder) == [left]  # it could be at work
    os.utime(own_folder / left, (0, 0))
    (own_folder / "symtorch-of-a-user").mkdir()
    os.utime(own_folder / "symtorch-of-a-user", (0, 0))
    c_compiler._remove_stale.cache_clear()
    function().use_compiled(True)(X)
    assert left_behind(own_folder) == ["symtorch-of-a-user"]
