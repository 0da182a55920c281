"""A block with its symbolic state as parts that do not depend on how our classes are laid out.

What is symbolic is the document of :mod:`symtorch.state.model`, as in a state_dict; beside it stand the block,
and what only Python can hold. A file of these parts outlives our attributes, and the names of our modules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from symtorch.capture.rows import Captured
from symtorch.state.earlier import REGISTERED, from_attributes, is_earlier, other_attributes
from symtorch.state.interface import read_layout, write_layout
from symtorch.state.model import ModelState, read_model, write_model
from symtorch.state.node import Node, dumps, loads
from symtorch.surrogate.findings import Findings


@dataclass(frozen=True)
class Whole:
    """A block, its symbolic state, and the other attributes of the object that held them.

    Attributes:
        block: the module or callable.
        state: all that is symbolic.
        attributes: what the object has of ``nn.Module`` and of a subclass, by name.
    """

    block: Any
    state: ModelState
    attributes: Mapping[str, Any]


def write_whole(block: Any, state: ModelState, attributes: Mapping[str, Any], ours: Collection[str]) -> dict[str, Any]:
    """The parts that :func:`read_whole` puts together again.

    Args:
        block: the module or callable.
        state: all that is symbolic.
        attributes: of the object that holds them.
        ours: names of those of them, and of its children and buffers, that block and state are all of.
    """
    return {
        "block": block,
        "document": dumps(write_model(state), "state", trusted=True),
        "functions": {kind: dict(found.functions) for kind, found in state.found.items()},
        "attributes": other_attributes(attributes, ours),
    }


def read_whole(parts: Mapping[str, Any]) -> Whole:
    """From what :func:`write_whole` gave, or from the attributes that an earlier version has pickled."""
    if is_earlier(parts):
        return Whole(*from_attributes(parts))
    root = loads(parts["document"], "state", trusted=True)
    known = new_findings(root["name"].text())
    return Whole(parts["block"], read_model(root, known, parts["functions"]), parts["attributes"])


def new_findings(name: str) -> dict[str, Findings]:
    """Nothing found yet, by kind, for a block of this name."""
    around = Findings(f"{name!r} with SLIME=True", "distill(..., SLIME=True)")
    return {"global": Findings(repr(name)), "local": around}


def give_attributes(module: nn.Module, attributes: Mapping[str, Any]) -> None:
    """Give a module what :func:`other_attributes` has left of another's."""
    for name, value in attributes.items():
        if name in REGISTERED:
            vars(module)[name].update(value)
        else:
            vars(module)[name] = value


# ---- captured data

Cache = tuple[str, Captured]
"""The fingerprint of what it was captured from, and the data."""


def write_cache(cache: Cache | None) -> dict[str, Any] | None:
    """Captured data as arrays and plain values."""
    if cache is None:
        return None
    key, data = cache
    arrays = {"X": data.X, "Y": data.Y, "rows": data.rows}
    return {"key": key, "n_seen": data.n_seen, "layout": write_layout(data.layout), **arrays}


def read_cache(saved: Any) -> Cache | None:
    """From what :func:`write_cache` gave, or from the data itself, as an earlier version has pickled it."""
    if saved is None or isinstance(saved, tuple):
        return saved
    X, Y, rows = (np.asarray(saved[name]) for name in ("X", "Y", "rows"))
    layout = read_layout(Node(saved["layout"], "data.layout"))
    return saved["key"], Captured(X, Y, rows, saved["n_seen"], layout)
