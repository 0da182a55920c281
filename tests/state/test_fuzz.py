"""Whatever a state is changed to: it loads, or is refused by a StateError that leaves the model as it was.

    SYMTORCH_FUZZ=20000 pytest tests/test_state_fuzz.py

tries more than the few that run by default.
"""

import copy
import json
import os
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from symtorch import SymbolicModel
from symtorch.errors import StateError

EXAMPLES = int(os.environ.get("SYMTORCH_FUZZ", "150"))
FUZZ = settings(
    max_examples=EXAMPLES, deadline=None, derandomize="SYMTORCH_FUZZ" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
VARIABLES = {"a": "x0", "b": "x0*x1"}
X = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))


def make() -> SymbolicModel:
    torch.manual_seed(0)
    block = SymbolicModel(nn.Linear(2, 2), "b")
    block.distill(
        X, engine=FormulaEngine("0.5", "a - 1.5", "sin(a)*b^2"), variable_transforms={"a": "x0", "b": "x0*x1"}
    )
    block.switch_to_symbolic(4)
    block.setup_pruning(2, 1, 10)
    return block


BLOCK = make()
DOCUMENT = json.loads(bytes(BLOCK.state_dict()["_extra_state"].numpy()))

NASTY = st.sampled_from(
    [
        "__import__('os')",
        "x0.__class__",
        "9**9**9**9",
        "a" * 200_000,
        "nan",
        "a if b else 0",
        "f(a)",
        "a := 1",
        "é",
        "\x00",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | NASTY
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


def places(value: Any, way: tuple = ()) -> list[tuple]:
    """Ways to every value of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, part in inner for place in places(part, (*way, key)))]


PLACES = places(DOCUMENT)[1:]


def load(data: bytes) -> bool:
    """Whether a model takes it; if it doesn't, it must be as it was."""
    block = copy.deepcopy(BLOCK)
    before = BLOCK.state_dict()
    state = {"_extra_state": torch.from_numpy(np.frombuffer(data, np.uint8).copy())}
    try:
        block.load_state_dict({key: torch.zeros_like(value) for key, value in before.items()} | state)
    except StateError:
        after = block.state_dict()
        assert all(torch.equal(after[key], before[key]) for key in before)
        return False
    block.state_dict()
    str(block)
    return True


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_documents_with_other_values(changes):
    document = copy.deepcopy(DOCUMENT)
    for way, value in changes:
        place = document
        try:
            for key in way[:-1]:
                place = place[key]
            place[way[-1]] = value
        except (KeyError, IndexError, TypeError):  # an earlier change took it away
            continue
    load(json.dumps(document).encode(errors="surrogatepass"))


@FUZZ
@given(st.integers(0, 10_000), st.binary(max_size=8), st.integers(0, 8))
def test_documents_with_other_bytes(at, new, cut):
    data = json.dumps(DOCUMENT).encode()
    at %= len(data)
    load(data[:at] + new + data[at + cut :])


@FUZZ
@given(st.text(alphabet="x01ab+-*/^()., eE<>=[]'\"_sinmaxpow", max_size=60))
def test_equations_of_random_text(text):
    document = copy.deepcopy(DOCUMENT)
    document["global"]["fronts"][0][1]["equations"][1]["text"] = text
    load(json.dumps(document).encode())


def test_the_document_itself_loads():
    assert load(json.dumps(DOCUMENT).encode())


HOSTILE = {
    "many parts": b"[" + b"{}," * 390_000 + b"{}]",
    "long text": b'{"format":"' + b"a" * (15 << 20) + b'"}',
    "many numbers": b"[" + b"1," * (7 << 20) + b"1]",
    "long sum": json.dumps(DOCUMENT).replace("sin(a)*b^2", "a" + "+a" * 2_000_000).encode(),
    "power tower": json.dumps(DOCUMENT).replace("sin(a)*b^2", "9**9**9**9**9**9").encode(),
    "deep": json.dumps(DOCUMENT).replace("sin(a)*b^2", "(" * 99 + "a" + "+1e999)" * 99).encode(),
    "too large": b" " * (17 << 20),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_state_is_refused_within_a_hundred_megabytes(data):
    tracemalloc.start()
    try:
        assert not load(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100e6
