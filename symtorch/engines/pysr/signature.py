"""What the installed PySR accepts, read from its source: importing it would start Julia."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from symtorch.engines.pysr.readiness import package_folder, pysr_version
from symtorch.errors import EngineError, OptionError

SUPPORTED = ("1.5", "2.7")
"""First and last PySR version that the tests read the signature of."""


@dataclass(frozen=True)
class Signature:
    """Names of the parameters of one PySR version.

    Attributes:
        init: of ``PySRRegressor(...)``.
        fit: of ``PySRRegressor.fit``, without X and y.
        renamed: old names that it still reads.
        version: of the package.
    """

    init: tuple[str, ...]
    fit: tuple[str, ...]
    renamed: tuple[str, ...] = ()
    version: str = "unknown"

    def check(self, params: Mapping[str, Any], fit_params: Mapping[str, Any]) -> None:
        """Raise OptionError for a name that this version of PySR does not have."""
        _check("sr_params", params, (*self.init, *self.renamed, "multithreading"), self.version)
        _check("fit_params", fit_params, self.fit, self.version)


def _check(what: str, given: Mapping[str, Any], known: tuple[str, ...], version: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(known)}."
            raise OptionError(f"{what} has {name!r}, which PySR {version} does not know. {hint}")


def installed() -> Signature:
    """The signature of the installed pysr.

    Raises:
        EngineError: pysr is not installed, or is not a PySR that we can read.
    """
    folder = package_folder("pysr")
    if folder is None:
        raise EngineError("engine 'pysr' needs the package pysr: pip install pysr. Or use engine='native'.")
    return read(folder, pysr_version())


@lru_cache(maxsize=4)
def read(folder: Path, version: str = "unknown") -> Signature:
    """The signature of the PySR whose source lies in ``folder``."""
    try:
        methods = _methods(folder / "sr.py", "PySRRegressor")
        fit = [name for name in _arguments(methods["fit"]) if name not in ("X", "y")]
        return Signature(_arguments(methods["__init__"]), tuple(fit), _renamed(folder / "deprecated.py"), version)
    except (OSError, SyntaxError, KeyError) as error:
        raise EngineError(
            f"the package pysr in {folder} is not a PySR that symtorch can read ({error!r}); "
            f"versions {SUPPORTED[0]} to {SUPPORTED[1]} are supported. Or use engine='native'."
        ) from error


def _methods(path: Path, class_name: str) -> dict[str, ast.FunctionDef]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            return {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    raise KeyError(class_name)


def _arguments(function: ast.FunctionDef) -> tuple[str, ...]:
    return tuple(arg.arg for arg in (*function.args.args, *function.args.kwonlyargs) if arg.arg != "self")


def _renamed(path: Path) -> tuple[str, ...]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "DEPRECATED_KWARGS"
        ):
            return tuple(ast.literal_eval(node.value))
    return ()
