"""Arrays of float32 in a document: their bytes as text, since a list of as many numbers would be too large."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from symtorch.state.budget import MAX_BYTES
from symtorch.state.node import Node


def write_array(array: np.ndarray) -> dict[str, Any]:
    """Shape and little-endian bytes in Base64; exact."""
    data = np.ascontiguousarray(array, dtype="<f4").tobytes()
    return {"shape": list(array.shape), "float32": base64.b64encode(data).decode()}


def read_array(node: Node, n_dims: int) -> np.ndarray:
    """What :func:`write_array` gave of an array of so many dimensions.

    Raises:
        StateError: anything else, values that aren't finite included.
    """
    shape = tuple(size.integer(0, 1 << 24) for size in node["shape"])
    if len(shape) != n_dims:
        raise node["shape"].fail(f"{n_dims} sizes")
    text = node["float32"]
    encoded = text.text(longest=MAX_BYTES)
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:  # what isn't ASCII, or isn't Base64
        raise text.fail("Base64") from None
    n_values = 1
    for size in shape:
        n_values *= size
    if len(data) != 4 * n_values:
        raise text.fail(f"{n_values} values of four bytes")
    array = np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(shape)
    if not np.isfinite(array).all():
        raise text.fail("finite values")
    return array
