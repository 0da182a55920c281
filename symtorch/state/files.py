"""Files that are whole or not there: atomic writing, and a model as one trusted file."""

from __future__ import annotations

import copyreg
import hashlib
import io
import json
import os
import secrets
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from symtorch.errors import StateError
from symtorch.state.earlier import MOVED
from symtorch.state.node import versions

_MAGIC = b"symtorch model "
_LONGEST_HEADER = 4096

FORM = 2
"""Number of the file's form: 1 held pickled attributes of our classes, 2 holds parts that outlive them."""


def write_atomically(path: str | Path, data: bytes, sync: bool = True) -> None:
    """Write a file so that at any moment, also of a crash, it is the old one or the new one.

    Args:
        path: its folder must exist.
        data: all of its content.
        sync: wait until it is on the disk, so that it outlives the machine's crash and not only ours.
    """
    path = Path(path)
    new = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with new.open("xb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    if sync and os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def save_trusted(path: str | Path, content: Any) -> None:
    """Write any object, Python functions included, with dill, behind a header with version and hash.

    Of objects whose class has ``portable_state()`` that is written, and given to ``__setstate__`` of a new one.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer, pickle_module=_dill())
    payload = buffer.getvalue()
    header = {
        "schema": FORM,
        "versions": versions(),
        "size": len(payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    write_atomically(path, _MAGIC + json.dumps(header).encode() + b"\n" + payload)


def _dill() -> ModuleType:
    """dill, as these files need it."""
    import dill

    class Pickler(dill.Pickler):
        """A lambda takes along what it refers to, and not the whole module it was written in."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, recurse=True, **kwargs)

        def reducer_override(self, obj: Any) -> Any:
            portable = getattr(type(obj), "portable_state", None)
            if portable is None:
                return NotImplemented
            # Wherever it stands in what is saved; __setstate__ takes the parts, whatever its layout is by then.
            return vars(copyreg)["__newobj__"], (type(obj),), portable(obj)

    class Unpickler(dill.Unpickler):
        """What an earlier version has pickled is found where it is now."""

        def find_class(self, module: str, name: str) -> Any:
            return super().find_class(*MOVED.get((module, name), (module, name)))

    module = ModuleType("pickling")
    vars(module).update(Pickler=Pickler, Unpickler=Unpickler)
    return module


def load_trusted(path: str | Path, trusted: bool, map_location: Any = None) -> Any:
    """Read what :func:`save_trusted` has written.

    Raises:
        StateError: it is not such a file, damaged or of a later version; or it isn't trusted.
    """
    path = Path(path)
    with path.open("rb") as file:
        header = _header(path, file.readline(_LONGEST_HEADER))
        if not trusted:
            raise StateError(
                f"{path} was not loaded: such a file holds Python functions, and loading it runs code that is in it. "
                f"If you know where it comes from, pass trusted=True. Weights and equations without code travel in "
                f"state_dict(), which is safe to load."
            )
        payload = file.read()
    if len(payload) != header["size"] or hashlib.sha256(payload).hexdigest() != header["sha256"]:
        raise StateError(
            f"{path} is damaged: it holds {len(payload):,} bytes of {header['size']:,}, and their hash is not the one "
            f"in its header. Nothing of it was loaded."
        )
    try:
        return torch.load(io.BytesIO(payload), map_location=map_location, pickle_module=_dill(), weights_only=False)
    except Exception as error:
        raise StateError(
            f"{path} is whole, but can't be loaded here: {type(error).__name__}: {error}. It was written with "
            f"{header['versions']}; the modules that its classes and functions come from must be importable."
        ) from error


def _header(path: Path, line: bytes) -> dict[str, Any]:
    if not line.startswith(_MAGIC):
        raise StateError(f"{path} is not a file that SymbolicModel.save has written.")
    try:
        header = json.loads(line[len(_MAGIC) :])
        schema, _ = int(header["schema"]), (int(header["size"]), str(header["sha256"]), header["versions"])
    except (ValueError, KeyError, TypeError):
        raise StateError(f"{path} is damaged: its header can't be read.") from None
    if schema > FORM:
        raise StateError(
            f"{path} has schema {schema}, written by a later version of symtorch ({header['versions']}); update it "
            f"(pip install -U torch-symbolic)."
        )
    return header
