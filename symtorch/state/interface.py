"""What the variables and outputs of a block's equations are, as plain values, and back."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import torch

from symtorch.capture.calls import Argument, Layout, Result
from symtorch.equations.names import check_names
from symtorch.errors import InputError, StateError
from symtorch.state.budget import MAX_COLUMNS
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
    encoding = read_encoding(node, Around(names, layout.n_inputs, n_outputs, functions or {}))
    try:
        check_names(names, len(encoding.variable_names(layout.n_inputs)))
    except InputError as error:
        raise StateError(f"{node.path}.variables: {error}") from None
    if layout.result.scalar and n_outputs > 1:
        raise node["result"]["scalar"].fail(f"false, since there are {n_outputs} outputs")
    return Interface(layout, n_outputs, names, encoding)


def read_layout(node: Node) -> Layout:
    """How a block's call makes rows."""
    arguments = tuple(_read_argument(a) for a in node["arguments"])
    constants = [_read_pair(pair) for pair in node["constants"]]
    if not arguments:
        raise node["arguments"].fail("at least one argument")
    if len({a.key for a in arguments} | {key for key, _ in constants}) < len(arguments) + len(constants):
        raise node["arguments"].fail("arguments and constants whose keys differ")
    layout = Layout(arguments, dict(constants), node["complete"].flag(), _read_result(node["result"]))
    if layout.n_inputs > MAX_COLUMNS:
        raise node["arguments"].fail(f"at most {MAX_COLUMNS:,} columns in all")
    return layout


def _read_argument(node: Node) -> Argument:
    device, scalar, width = node.optional("device"), node["scalar"], node["width"]
    if scalar.flag() and width.integer() != 1:
        raise width.fail("1, since the argument is one number per sample")
    return Argument(
        node["key"].key(),
        width.integer(1, MAX_COLUMNS),
        node["rank"].integer(0, 64),
        scalar.flag(),
        _read_dtype(node["dtype"]),
        None if device is None else _read_device(device),
    )


def _read_result(node: Node) -> Result:
    kind, index, cls = node["kind"], node.optional("index"), node.optional("cls")
    if kind.text() not in ("tensor", "tuple", "list", "dict"):
        raise kind.fail("tensor, tuple, list or dict")
    dtype = _read_dtype(node["dtype"])
    if not dtype.is_floating_point:
        raise node["dtype"].fail("a floating-point type, as that of all outputs is")
    keys = tuple(key.key() for key in node["keys"])
    if kind.text() == "dict" and len(set(keys)) < len(keys):
        raise node["keys"].fail("keys that differ")
    if kind.text() in ("tuple", "list") and keys != tuple(range(len(keys))):
        raise node["keys"].fail("the positions 0, 1, ... of the parts")
    if kind.text() != "tensor" and (index is None or index.key() not in keys):
        raise (index or node).fail("the key of one of the parts, as index")
    return Result(
        dtype,
        node["scalar"].flag(),
        kind.text(),
        keys,
        None if index is None else index.key(),
        None if cls is None else _known_class(cls.text(), kind.text(), keys),
    )


def _known_class(name: str, kind: str, keys: Sequence[int | str]) -> type | None:
    """A named tuple's or a dict dataclass's class of these parts, if this process has imported it already."""
    module, _, qualname = name.partition(":")
    try:
        # Asking a module for a name may make it import another one; what it has is in its __dict__.
        found = object.__getattribute__(sys.modules[module], "__dict__").get(qualname)
    except (KeyError, AttributeError):
        return None
    if not isinstance(found, type):
        return None
    return found if (_is_dict_of(found, keys) if kind == "dict" else _is_tuple_of(found, keys)) else None


def _is_dict_of(cls: type, keys: Sequence[int | str]) -> bool:
    """Whether it is a dataclass that is a dict too, and can be made of just these parts."""
    if not (issubclass(cls, dict) and is_dataclass(cls)):
        return False
    given = [f for f in fields(cls) if f.init]
    needed = {f.name for f in given if f.default is MISSING and f.default_factory is MISSING}
    return needed <= {*keys} <= {f.name for f in given}


def _is_tuple_of(cls: type, keys: Sequence[int | str]) -> bool:
    """Whether it is a named tuple of as many parts."""
    names = getattr(cls, "_fields", None)
    return issubclass(cls, tuple) and isinstance(names, tuple) and len(names) == len(keys)


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


_DTYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
"""By name; a look into torch itself would import whatever of it is only loaded when it is asked for."""


def _read_dtype(node: Node) -> torch.dtype:
    found = _DTYPES.get(node["dtype"].text())
    if found is None:
        raise node.fail("a type of torch's")
    return found


def _read_device(node: Node) -> torch.device:
    if not re.fullmatch(r"[a-z]{1,16}(:\d{1,3})?", node.text()):
        raise node.fail("a device")
    try:
        return torch.device(node.text())
    except RuntimeError:
        raise node.fail("a device of torch's") from None
