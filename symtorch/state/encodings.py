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
from symtorch.surrogate.encodings.gated import ACTIVATIONS
from symtorch.surrogate.encodings.projected import centred


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
    shift, massive = (node.optional(name) for name in ("shift", "massive"))  # earlier states have neither
    if mean_x.shape != reduce.shape[:1]:
        raise node["mean_x"]["shape"].fail(f"[{len(reduce)}]")
    shifts = centred(mean_x, reduce) if shift is None else read_array(shift, 1)
    answer = np.zeros((0, n_outputs), np.float32) if massive is None else read_array(massive, 2)
    form = _read_terms(node)
    expected = {
        "mean_x": (mean_x, (n_inputs,)),
        "mean_y": (mean_y, (n_outputs,)),
        "reduce": (reduce, (n_inputs, reduce.shape[1])),
        "linear": (linear, (len(linear), n_outputs)),
        "lift": (lift, (len(lift), n_outputs)),
        "back": (back, (len(back), n_inputs)),
        "shift": (shifts, (reduce.shape[1],)),
        "massive": (answer, (min(len(answer), 1), n_outputs)),
    }
    for name, (array, shape) in expected.items():
        if array.shape != shape:
            raise node[name]["shape"].fail(f"{list(shape)}")
    _, n_terms, paired = form
    if len(back) + (1 + paired) * n_terms != n_variables:
        raise node["back"]["shape"].fail(f"{n_variables - (1 + paired) * n_terms} variables beside those of terms")
    if not n_terms <= len(lift) <= n_outputs + n_terms:
        raise node["lift"]["shape"].fail(f"{n_terms} terms and at most {n_outputs} coordinates of the outputs")
    own = reduce.shape[1] - len(answer)
    if n_variables > own or len(linear) > own:
        raise node["reduce"]["shape"].fail(f"at least {max(n_variables, len(linear)) + len(answer)} coordinates")
    first = node["first"].integer(0, own - len(linear))
    start = node["start"].integer(0, own - n_variables) if "start" in node.value else 0
    return Projected(mean_x, mean_y, reduce, linear, lift, back, first, start, shifts, answer, *form)


def _read_terms(node: Node) -> tuple[str, int, bool]:
    """Activation and number of gated terms, and whether they have two factors; earlier states have none."""
    if node.optional("n_terms") is None:
        return "", 0, False
    n_terms, activation = node["n_terms"].integer(0, 1 << 16), node["activation"]
    if activation.text() not in ACTIVATIONS and (n_terms or activation.value):
        raise activation.fail(f"one of {', '.join(ACTIVATIONS)}")
    return activation.text(), n_terms, node["paired"].flag()


def _read_mixing(node: Node, around: Around) -> Encoding:
    mean = [value.number() for value in node["mean"]]
    directions = [[value.number() for value in row] for row in node["directions"]]
    scale = [value.number() for value in node["scale"]]
    if len(mean) != around.n_outputs:
        raise node["mean"].fail(f"{around.n_outputs} numbers")
    if any(len(row) != around.n_outputs for row in directions):
        raise node["directions"].fail(f"rows of {around.n_outputs} numbers")
    inner = node.optional("inner")
    if inner is None and len(around.names) != around.n_inputs:
        raise node.fail(f"an encoding of {around.n_inputs:,} inputs as {len(around.names):,} variables")
    try:
        # The formulas of variables are the one encoding that can stand within: no nesting without end.
        return Mixing.along(directions, mean, None if inner is None else _read_transforms(inner, around), scale)
    except InputError as error:
        raise node["directions"].fail(f"independent directions ({error})") from None


READERS: dict[str, Reader] = {
    Transforms.kind: _read_transforms,
    Projected.kind: _read_projected,
    Mixing.kind: _read_mixing,
}
"""How each kind of encoding is read; a new one adds its line."""
