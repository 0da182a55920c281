"""Encodings read back from what they have written: one reader per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from symtorch.equations.names import InputNames
from symtorch.state.fronts import read_expr
from symtorch.state.node import Node
from symtorch.surrogate.encodings import Encoding, Identity, MissingTransform, Transforms


@dataclass(frozen=True)
class Around:
    """What a reader is told besides the document.

    Attributes:
        names: of the variables.
        n_inputs: of the block.
        functions: by name, what only Python can hold, of an encoding or a file that has it.
    """

    names: tuple[str, ...]
    n_inputs: int
    functions: Mapping[str, Any]


Reader = Callable[[Node, Around], Encoding]
"""(what ``Encoding.write`` gave, what is around it) -> the encoding; StateError for whatever is not as it must be."""


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


READERS: dict[str, Reader] = {
    Transforms.kind: _read_transforms,
}
"""How each kind of encoding is read; a new one adds its line."""
