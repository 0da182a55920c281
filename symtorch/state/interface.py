"""What the variables and outputs of a block's equations are, as plain values, and back."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import is_dataclass
from typing import Any

import torch

from symtorch.capture.calls import Argument, Layout, Result
from symtorch.equations.expr import Expr
from symtorch.equations.names import check_names
from symtorch.errors import InputError, StateError
from symtorch.state.fronts import read_expr
from symtorch.state.node import Node
from symtorch.surrogate.interface import Interface
from symtorch.surrogate.transforms import Transforms

MAX_OUTPUTS = 1 << 16


def write_interface(interface: Interface) -> dict[str, Any]:
    """An interface as plain values; of transforms only formulas."""
    layout, transforms = interface.layout, interface.transforms
    result = layout.result
    return {
        "n_outputs": interface.n_outputs,
        "variables": list(interface.variable_names),
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
        "transforms": None if transforms is None else {"formulas": list(transforms.formulas)},
    }


def read_interface(node: Node, known: Interface | None = None) -> Interface:
    """An interface; ``known`` is one whose Python functions serve for transforms of the same names."""
    layout = Layout(
        tuple(_read_argument(a) for a in node["arguments"]),
        dict(_read_pair(pair) for pair in node["constants"]),
        node["complete"].flag(),
        _read_result(node["result"]),
    )
    names = tuple(name.text() for name in node["variables"])
    if not layout.arguments:
        raise node["arguments"].fail("at least one argument")
    formulas = node.optional("transforms")
    transforms = None if formulas is None else _read_transforms(formulas["formulas"], names, layout.n_inputs, known)
    try:
        check_names(names, layout.n_inputs if transforms is None else len(transforms.items))
    except InputError as error:
        raise StateError(f"{node.path}.variables: {error}") from None
    return Interface(layout, node["n_outputs"].integer(1, MAX_OUTPUTS), names, transforms)


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


def _read_transforms(node: Node, names: tuple[str, ...], n_inputs: int, known: Interface | None) -> Transforms:
    given = known.transforms if known is not None else None
    functions = {} if given is None else dict(zip(given.names, given.items, strict=True))
    inputs = tuple(f"x{i}" for i in range(n_inputs))
    formulas = list(node)
    if not formulas or len(formulas) != len(names):
        raise node.fail(f"one formula for each of {len(names)} variables")
    items: list[Any] = []
    for name, formula in zip(names, formulas, strict=True):
        if formula.value is not None:
            items.append(read_expr(formula, inputs))
        else:
            function = functions.get(name)
            items.append(MissingTransform(name) if function is None or isinstance(function, Expr) else function)
    return Transforms(names, tuple(items), n_inputs)


class MissingTransform:
    """Stands where a variable was made by a Python function, which a state_dict does not hold."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, X: Any) -> Any:
        raise InputError(
            f"variable {self.name!r} was made by a Python function, which a state_dict does not hold. Write it as a "
            f"formula, use SymbolicModel.save, or load the state into a block that was distilled with that function."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MissingTransform) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)
