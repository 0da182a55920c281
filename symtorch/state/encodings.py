"""Encodings written into a document, and read back from it: one reader per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from symtorch.equations.names import InputNames
from symtorch.errors import InputError
from symtorch.state.arrays import read_array, write_array
from symtorch.state.fronts import read_expr
from symtorch.state.node import Node
from symtorch.surrogate.encodings import Encoding, Identity, MissingTransform, Mixing, Projected, Transforms


@dataclass(frozen=True)
class Around:
    """What a reader is told besides the document.

    Attributes:
        names: of the variables.
        n_inputs: of the block.
        n_outputs: of the block.
        functions: by name, what only Python can hold, of an encoding or a file that has it.
    """

    names: tuple[str, ...]
    n_inputs: int
    n_outputs: int
    functions: Mapping[str, Any]


Reader = Callable[[Node, Around], Encoding]
"""(what ``Encoding.write`` gave, what is around it) -> the encoding; StateError for whatever is not as it must be."""


def write_encoding(encoding: Encoding) -> dict[str, Any] | None:
    """What the encoding writes, with arrays as a document holds them."""
    written = encoding.write()
    if written is None:
        return None
    return {key: write_array(value) if isinstance(value, np.ndarray) else value for key, value in written.items()}


def read_encoding(interface: Node, around: Around) -> Encoding:
    """The encoding of an interface; none is the identity, and one that names no kind has formulas."""
    node = interface.optional("transforms")
    if node is None:
        if len(around.names) != around.n_inputs:
            raise interface["variables"].fail(f"the names of {around.n_inputs:,} inputs")
        return Identity()
    kind = node.optional("kind")
    name = Transforms.kind if kind is None else kind.text()
    if kind is not None and name not in READERS:
        raise kind.fail(f"one of {', '.join(READERS)}")
    return READERS[name](node, around)


def _read_transforms(node: Node, around: Around) -> Encoding:
    inputs = InputNames(around.n_inputs)
    formulas = list(node["formulas"])
    if not formulas or len(formulas) != len(around.names):
        raise node["formulas"].fail(f"one formula for each of {len(around.names)} variables")
    items: list[Any] = []
    for name, formula in zip(around.names, formulas, strict=True):
        if formula.value is not None:
            items.append(read_expr(formula, inputs))
        else:
            items.append(around.functions.get(name, MissingTransform(name)))
    return Transforms(around.names, tuple(items), around.n_inputs)


def _read_projected(node: Node, around: Around) -> Encoding:
    mean_x, mean_y = (read_array(node[name], 1) for name in ("mean_x", "mean_y"))
    reduce, linear, lift, back = (read_array(node[name], 2) for name in ("reduce", "linear", "lift", "back"))
    n_inputs, n_outputs, n_variables = around.n_inputs, around.n_outputs, len(around.names)
    expected = {
        "mean_x": (mean_x, (n_inputs,)),
        "mean_y": (mean_y, (n_outputs,)),
        "reduce": (reduce, (n_inputs, reduce.shape[1])),
        "linear": (linear, (len(linear), n_outputs)),
        "lift": (lift, (len(lift), n_outputs)),
        "back": (back, (n_variables, n_inputs)),
    }
    for name, (array, shape) in expected.items():
        if array.shape != shape:
            raise node[name]["shape"].fail(f"{list(shape)}")
    if n_variables > reduce.shape[1]:
        raise node["reduce"]["shape"].fail(f"at least {n_variables} coordinates")
    if len(lift) > n_outputs:
        raise node["lift"]["shape"].fail(f"at most {n_outputs} coordinates of the outputs")
    first = node["first"].integer(0, reduce.shape[1] - len(linear))
    return Projected(mean_x, mean_y, reduce, linear, lift, back, first)


def _read_mixing(node: Node, around: Around) -> Encoding:
    mean = [value.number() for value in node["mean"]]
    directions = [[value.number() for value in row] for row in node["directions"]]
    if len(mean) != around.n_outputs:
        raise node["mean"].fail(f"{around.n_outputs} numbers")
    if any(len(row) != around.n_outputs for row in directions):
        raise node["directions"].fail(f"rows of {around.n_outputs} numbers")
    inner = node.optional("inner")
    if inner is None and len(around.names) != around.n_inputs:
        raise node.fail(f"an encoding of {around.n_inputs:,} inputs as {len(around.names):,} variables")
    try:
        # The formulas of variables are the one encoding that can stand within: no nesting without end.
        return Mixing.along(directions, mean, None if inner is None else _read_transforms(inner, around))
    except InputError as error:
        raise node["directions"].fail(f"independent directions ({error})") from None


READERS: dict[str, Reader] = {
    Transforms.kind: _read_transforms,
    Projected.kind: _read_projected,
    Mixing.kind: _read_mixing,
}
"""How each kind of encoding is read; a new one adds its line."""
