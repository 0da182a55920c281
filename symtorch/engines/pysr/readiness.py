"""Whether PySR could run here, told from files alone: no Julia is started and nothing is downloaded.

PySR's Julia side is managed by juliapkg, which keeps a record of the project that it resolved
(``pyjuliapkg/meta.json``). That record is read here the way juliapkg itself does when it decides
whether it may skip resolving: https://github.com/JuliaPy/pyjuliapkg
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Readiness:
    """What was found.

    Attributes:
        ready: a search would start at once.
        reason: why not, or what is ready, in one sentence.
        installed: the Python package pysr is there, whatever its Julia side is like.
    """

    ready: bool
    reason: str
    installed: bool = True


def is_ready() -> bool:
    """Whether PySR is installed and its Julia project resolved."""
    return check().ready


def check() -> Readiness:
    """Look for PySR, for Julia and for the resolved project, by reading files only."""
    pysr, juliacall = package_folder("pysr"), package_folder("juliacall")
    if pysr is None:
        return Readiness(False, "the package pysr is not installed (pip install pysr).", installed=False)
    if juliacall is None:
        return Readiness(False, "the package juliacall, which pysr needs, is not installed (pip install pysr).")
    exe, project = os.environ.get("PYTHON_JULIACALL_EXE"), os.environ.get("PYTHON_JULIACALL_PROJECT")
    reason = _own_project(exe, project) if exe and project else _juliapkg_project((pysr, juliacall))
    return Readiness(reason is None, reason or f"PySR {pysr_version()} with its Julia project resolved.")


def package_folder(name: str) -> Path | None:
    """Folder of an installed package, without importing it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def pysr_version() -> str:
    """Version of the installed pysr, "unknown" where its metadata is missing."""
    try:
        return version("pysr")
    except PackageNotFoundError:
        return "unknown"


def _own_project(exe: str, project: str) -> str | None:
    """Why the Julia and project that the user's environment names can't be used; None if they can."""
    if not Path(exe).is_file():
        return f"PYTHON_JULIACALL_EXE names {exe}, which is not there."
    return _manifest_reason(Path(project))


def _juliapkg_project(needed: tuple[Path, ...]) -> str | None:
    """Why juliapkg would have to resolve again; None if it would not."""
    juliapkg = package_folder("juliapkg")
    if juliapkg is None:
        return "the package juliapkg, which pysr needs, is not installed (pip install pysr)."
    project = _project_folder()
    if project is None:
        return "PYTHON_JULIAPKG_PROJECT is not an absolute path."
    unresolved = f"PySR's Julia project at {project} is not resolved yet; PySR does that when it is first used."
    try:
        meta = json.loads((project / "pyjuliapkg" / "meta.json").read_text())
        if meta["meta_version"] != _meta_version(juliapkg):
            return unresolved
        return _meta_reason(meta, needed) or _manifest_reason(project)
    except FileNotFoundError:
        return unresolved
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"the record of PySR's Julia project at {project} can't be read ({error!r})."


def _meta_reason(meta: dict[str, Any], needed: tuple[Path, ...]) -> str | None:
    for path in (meta["executable"], meta.get("libjulia", meta["executable"])):  # libjulia since format 6
        if not Path(path).is_file():
            return f"the Julia of PySR's project is gone: {path} is not there."
    if meta["override_executable"] != _setting("exe"):
        return "PYTHON_JULIAPKG_EXE has changed since PySR's Julia project was resolved."
    if meta["offline"] and _setting("offline") not in ("yes", True):
        return "PySR's Julia project was resolved offline and is to be resolved again."
    files = meta["deps_files"]
    for path in {*_dependency_files(), *(_normal(folder / "juliapkg.json") for folder in needed)}:
        if path not in files:
            return f"{path} asks for Julia packages that PySR's Julia project does not have yet."
    for path, info in files.items():
        if not os.path.isfile(path) or (os.path.getmtime(path) > info["timestamp"] and _changed(path, info)):
            return f"{path} has changed since PySR's Julia project was resolved."
    return None


def _manifest_reason(project: Path) -> str | None:
    manifests = [path for path in project.glob("*Manifest*.toml") if path.is_file()]
    if not any("SymbolicRegression" in path.read_text(encoding="utf-8", errors="replace") for path in manifests):
        return f"the Julia project at {project} does not have SymbolicRegression.jl installed."
    depots = [Path(entry) for entry in os.environ.get("JULIA_DEPOT_PATH", "").split(os.pathsep) if entry]
    depots.append(Path.home() / ".julia")
    if not any((depot / "packages" / "SymbolicRegression").is_dir() for depot in depots):
        return f"SymbolicRegression.jl is in the Julia project at {project}, but its files are in no depot."
    return None


def _project_folder() -> Path | None:
    """Where juliapkg keeps its Julia project; None if the setting is one that it refuses."""
    if project := _setting("project"):
        return Path(project) if os.path.isabs(project) else None
    prefix = sys.prefix if sys.prefix != sys.base_prefix else os.environ.get("CONDA_PREFIX")
    if prefix is not None:
        return Path(prefix).absolute() / "julia_env"
    depot = os.environ.get("JULIA_DEPOT_PATH", "").split(os.pathsep)[0] or str(Path.home() / ".julia")
    return Path(depot).absolute() / "environments" / "pyjuliapkg"


def _setting(name: str) -> Any:
    """A juliapkg setting, by -X option or environment variable."""
    return sys._xoptions.get(f"juliapkg-{name}") or os.environ.get(f"PYTHON_JULIAPKG_{name.upper()}")


def _meta_version(juliapkg: Path) -> int | None:
    """Format of the record that the installed juliapkg writes and accepts."""
    found = re.search(r"^META_VERSION\s*=\s*(\d+)", (juliapkg / "deps.py").read_text(encoding="utf-8"), re.M)
    return int(found.group(1)) if found else None


def _dependency_files() -> set[str]:
    """The files on sys.path that ask for Julia packages; of each package only the copy that is imported."""
    found: set[str] = set()
    seen: set[str] = set()
    for entry in sys.path:
        folder = entry or os.getcwd()
        if not os.path.isdir(folder):
            continue
        found.add(os.path.join(folder, "juliapkg.json"))
        for name in os.listdir(folder):
            path = os.path.join(folder, name, "juliapkg.json")
            if name not in seen and os.path.isfile(path):
                seen.add(name)
                found.add(path)
    return {_normal(path) for path in found if os.path.isfile(path)}


def _normal(path: str | Path) -> str:
    return os.path.normcase(os.path.normpath(os.path.abspath(path)))


def _changed(path: str, info: dict[str, Any]) -> bool:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() != info["hash_sha256"]
