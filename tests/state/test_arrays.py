"""Arrays come back from a document bit by bit, or with a word on what is wrong."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from symtorch import StateError
from symtorch.state.arrays import read_array, write_array
from symtorch.state.node import Node


@pytest.mark.parametrize("shape", [(5,), (0,), (3, 4), (0, 4), (4, 0)])
def test_they_come_back_exactly(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = read_array(Node(json.loads(json.dumps(write_array(array))), "a"), len(shape))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [4]}, r"a\.shape is \[4\]; expected 2 sizes"),
        ({"shape": [2, 3]}, "expected 6 values of four bytes"),
        ({"shape": [2, -2]}, r"shape\[1\] is -2"),
        ({"shape": [1 << 24, 1 << 24]}, "values of four bytes"),
        ({"float32": "AAA!"}, "expected Base64"),
        ({"float32": 3}, "expected text"),
        ({"float32": base64.b64encode(np.array([1, 2, 3, np.nan], "<f4").tobytes()).decode()}, "finite values"),
    ],
)
def test_what_is_none_is_refused(change: Any, message: str) -> None:
    written = write_array(np.ones((2, 2), np.float32)) | change
    with pytest.raises(StateError, match=message):
        read_array(Node(written, "a"), 2)
