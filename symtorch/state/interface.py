"""What the variables and outputs of a block's equations are, as plain values, and back."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

import torch

from symtorch.capture.calls import Argument, Layout, Result
from symtorch.equations.names import check_names
from symtorch.errors import InputError, StateError
from symtorch.state.encodings import Around, read_encoding, write_encoding
from symtorch.state.node import Node
from symtorch.surrogate.interface import Interface

MAX_OUTPUTS = 1 << 16


def write_interface(interface: Interface) -> dict[str, Any]:
    """An interface as plain values; of its encoding what is no Python function."""
    return {
        "n_outputs": interface.n_outputs,
        "variables": list(interface.variable_names),
        **write_layout(interface.layout),
        "transforms": write_encoding(interface.encoding),
    }


def write_layout(layout: Layout) -> dict[str, Any]:
    """How a block's call makes rows, as plain values."""
    result = layout.result
    return {
        "arguments": [
            {
                "key": a.key,
                "width": a.width,
                "rank": a.rank,
                "scalar": a.scalar,
                "dtype": _write_simple(a.dtype),
                "device": None if a.device is None else str(a.device),
            }
            for a in layout.arguments
        ],
        "constants": [[key, _write_simple(value)] for key, value in layout.constants.items()],
        "complete": layout.complete,
        "result": {
            "dtype": _write_simple(result.dtype),
            "scalar": result.scalar,
            "kind": result.kind,
            "keys": list(result.keys),
            "index": result.index,
            "cls": None if result.cls is None else f"{result.cls.__module__}:{result.cls.__qualname__}",
        },
    }


def read_interface(node: Node, functions: Mapping[str, Any] | None = None) -> Interface:
    """An interface; ``functions`` are Python functions that serve for variables of the same names."""
    layout = read_layout(node)
    names = tuple(name.text() for name in node["variables"])
    n_outputs = node["n_outputs"].integer(1, MAX_OUTPUTS)
    around = Around(names, layout.n_inputs, n_outputs, functions or {})
    encoding = read_encoding(node.optional("transforms"), around)
    try:
        check_names(names, len(encoding.variable_names(layout.n_inputs)))
    except InputError as error:
        raise StateError(f"{node.path}.variables: {error}") from None
    return Interface(layout, n_outputs, names, encoding)


def read_layout(node: Node) -> Layout:
    """How a block's call makes rows."""
    layout = Layout(
        tuple(_read_argument(a) for a in node["arguments"]),
        dict(_read_pair(pair) for pair in node["constants"]),
        node["complete"].flag(),
        _read_result(node["result"]),
    )
    if not layout.arguments:
        raise node["arguments"].fail("at least one argument")
    return layout


def _read_argument(node: Node) -> Argument:
    device = node.optional("device")
    return Argument(
        node["key"].key(),
        node["width"].integer(1, 1 << 24),
        node["rank"].integer(0, 64),
        node["scalar"].flag(),
        _read_dtype(node["dtype"]),
        None if device is None else _read_device(device),
    )


def _read_result(node: Node) -> Result:
    kind, index, cls = node["kind"], node.optional("index"), node.optional("cls")
    if kind.text() not in ("tensor", "tuple", "list", "dict"):
        raise kind.fail("tensor, tuple, list or dict")
    return Result(
        _read_dtype(node["dtype"]),
        node["scalar"].flag(),
        kind.text(),
        tuple(key.key() for key in node["keys"]),
        None if index is None else index.key(),
        None if cls is None else _known_class(cls.text(), kind.text()),
    )


def _known_class(name: str, kind: str) -> type | None:
    """A named tuple's or a dict dataclass's class, if this process has imported it already."""
    module, _, qualname = name.partition(":")
    found = getattr(sys.modules.get(module), qualname, None)
    if not isinstance(found, type):
        return None
    fits = issubclass(found, dict) and is_dataclass(found) if kind == "dict" else _is_named_tuple(found)
    return found if fits else None


def _is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def _read_pair(node: Node) -> tuple[int | str, Any]:
    pair = list(node)
    if len(pair) != 2:
        raise node.fail("an argument's key and value")
    return pair[0].key(), _read_simple(pair[1])


def _write_simple(value: Any) -> Any:
    """A constant argument of the block as a plain value."""
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if isinstance(value, tuple):
        return {"tuple": [_write_simple(v) for v in value]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


def _read_simple(node: Node, level: int = 0) -> Any:
    value = node.value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return node.number()
    members = dict(node.items())
    if len(members) == 1 and level < 20:
        if "dtype" in members:
            return _read_dtype(node)
        if "device" in members:
            return _read_device(members["device"])
        if "float" in members and members["float"].value in ("nan", "inf", "-inf"):
            return float(members["float"].value)
        if "tuple" in members:
            return tuple(_read_simple(part, level + 1) for part in members["tuple"])
    raise node.fail("a plain value")


def _read_dtype(node: Node) -> torch.dtype:
    name = node["dtype"].text()
    found = getattr(torch, name, None) if name.isidentifier() else None
    if not isinstance(found, torch.dtype):
        raise node.fail("a type of torch's")
    return found


def _read_device(node: Node) -> torch.device:
    if not re.fullmatch(r"[a-z]{1,16}(:\d{1,3})?", node.text()):
        raise node.fail("a device")
    try:
        return torch.device(node.text())
    except RuntimeError:
        raise node.fail("a device of torch's") from None
