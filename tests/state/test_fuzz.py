"""Whatever a state is changed to: it loads, or is refused by a StateError that leaves the model as it was.

    SYMTORCH_FUZZ=20000 pytest tests/state/test_fuzz.py

tries more than the few that run by default.
"""

import contextlib
import copy
import json
import os
import sys
import tracemalloc
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from formula_engine import FormulaEngine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from symtorch import SymbolicModel
from symtorch.errors import StateError, SymTorchError

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
    for front in block.fronts.values():
        assert str(front.best)
    with contextlib.suppress(SymTorchError):  # whose inputs may be others than X by now
        block(X)
    return True


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_documents_with_other_values(changes: Any) -> None:
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
def test_documents_with_other_bytes(at: Any, new: Any, cut: Any) -> None:
    data = json.dumps(DOCUMENT).encode()
    at %= len(data)
    load(data[:at] + new + data[at + cut :])


@FUZZ
@given(st.text(alphabet="x01ab+-*/^()., eE<>=[]'\"_sinmaxpow", max_size=60))
def test_equations_of_random_text(text: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["global"]["fronts"][0][1]["equations"][1]["text"] = text
    load(json.dumps(document).encode())


def test_the_document_itself_loads() -> None:
    assert load(json.dumps(DOCUMENT).encode())


def changed(**members: Any) -> bytes:
    """The document with other members, by their ways: ``global__interface__n_outputs=3``."""
    document = copy.deepcopy(DOCUMENT)
    for way, value in members.items():
        *outer, last = way.split("__")
        place = document
        for key in outer:
            place = place[int(key) if key.isdigit() else key]
        place[int(last) if last.isdigit() else last] = value
    return json.dumps(document).encode()


def operators(n: int, body: str, text: str) -> bytes:
    """With operators f0, f1, ... of this body, and an equation of this text."""
    own = [{"name": f"f{i}", "arity": 1, "body": body} for i in range(n)]
    return changed(global__fronts__0__1__operators=own, global__fronts__0__1__equations__1__text=text)


def equations(n: int, text: str) -> bytes:
    row = DOCUMENT["global"]["fronts"][0][1]["equations"][0]
    return changed(global__fronts__0__1__equations=[{**row, "text": text, "complexity": i + 1} for i in range(n)])


def sums(*n_terms: int, of: str = "a") -> str:
    """Sums of sums."""
    return of if not n_terms else "+".join([f"({sums(*n_terms[1:], of=of)})"] * n_terms[0])


ARGUMENT = DOCUMENT["global"]["interface"]["arguments"][0]
DEEP: Any = {"a": [1]}
for _ in range(400):
    DEEP = {"a": [DEEP]}

HOSTILE = {
    "many parts": b"[" + b"{}," * 390_000 + b"{}]",
    "long text": b'{"format":"' + b"a" * (15 << 20) + b'"}',
    "many numbers": b"[" + b"1," * (7 << 20) + b"1]",
    "long sum": json.dumps(DOCUMENT).replace("sin(a)*b^2", "a" + "+a" * 2_000_000).encode(),
    "power tower": json.dumps(DOCUMENT).replace("sin(a)*b^2", "9**9**9**9**9**9").encode(),
    "deep": json.dumps(DOCUMENT).replace("sin(a)*b^2", "(" * 99 + "a" + "+1e999)" * 99).encode(),
    "too large": b" " * (17 << 20),
    "one emoji": b'{"format":"' + b"a" * (15 << 20) + "\N{GRINNING FACE}".encode() + b'"}',
    "one escaped emoji": b'{"format":"' + b"a" * (15 << 20) + b'\\ud83d\\ude00"}',
    "wide argument": changed(global__interface__arguments__0__width=1 << 24),
    "wide argument without transforms": changed(
        global__interface__arguments__0__width=1 << 22, global__interface__transforms=None
    ),
    "many wide arguments": changed(
        global__interface__arguments=[{**ARGUMENT, "key": k, "width": 1 << 22} for k in range(100)]
    ),
    "long operators": operators(3, sums(50, 40, of="a0"), sums(20, 20, of="f0(a)")),
    "long operators in other letters": operators(3, sums(50, 40, of="a0"), sums(20, 20, of="\uff460(a)")),
    "long variables": changed(
        global__interface__transforms={"formulas": [sums(50, 40, of="x0"), "x1"]},
        global__fronts__0__1__equations__1__text=sums(50, 40),
    ),
    "long variables that were not chosen": changed(
        global__interface__transforms={"formulas": [sums(50, 40, of="x0"), "x1"]},
        global__fronts__0__1__equations__2__text=sums(50, 40),
    ),
    "many operators": operators(60_000, "a0 + 1", "f0(a)"),
    "many operators of one name": changed(
        global__fronts__0__1__operators=[{"name": "sin", "arity": 1, "body": f"a0 + {i}"} for i in range(60_000)]
    ),
    "many equations": equations(80_000, "a"),
    "many long equations": equations(150, sums(100, 100)),
    "many options": changed(global__options={f"k{i}": 1 for i in range(990_000)}),
    "nested options": changed(global__options=DEEP),
    "nested text": changed(uses=DEEP),
    "nested comparisons": changed(global__fronts__0__1__equations__1__text="a<(" * 40 + "a" + ")<a" * 40),
    "names that came twice": changed(
        global__interface__arguments__0__width=100_000,
        global__interface__transforms=None,
        global__interface__variables=[f"v{i // 2}" for i in range(100_000)],
    ),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_state_is_refused_within_a_hundred_megabytes(data: Any) -> None:
    tracemalloc.start()
    try:
        assert not load(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100e6


@pytest.mark.parametrize("levels", [60, 300, 700, 900, 980, 100_000])
@pytest.mark.parametrize("place", ["uses", "global__options", "global__interface__constants", "global__fronts"])
def test_nesting_is_refused_however_deep_and_wherever_it_is(levels: Any, place: Any) -> None:
    deep = b"[" * levels + b"]" * levels
    assert not load(changed(**{place: "@"}).replace(b'"@"', deep))


def test_nested_options_are_kept_in_brief() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    assert load(changed(global__options={"parsimony": deep}))


DAMAGED = {
    "one number per sample of width 2": {"global__interface__arguments__0__scalar": True},
    "one output that is two": {"global__interface__result__scalar": True},
    "two arguments of one key": {"global__interface__arguments": [{**ARGUMENT, "width": 1}] * 2},
    "an argument and a constant of one key": {"global__interface__constants": [[0, 1.5]]},
    "two constants of one key": {"global__interface__constants": [["k", 1.5], ["k", 2]]},
    "a negative key": {"global__interface__arguments__0__key": -1},
    "a type that is no number's": {"global__interface__result__dtype": {"dtype": "quint8"}},
    "parts that came twice": {
        "global__interface__result": {
            **DOCUMENT["global"]["interface"]["result"], "kind": "dict", "keys": ["a", "a"], "index": "a"
        }
    },
    "no part of the index": {
        "global__interface__result": {
            **DOCUMENT["global"]["interface"]["result"], "kind": "tuple", "keys": [0, 1], "index": 2
        }
    },
    "parts that are no positions": {
        "global__interface__result": {
            **DOCUMENT["global"]["interface"]["result"], "kind": "list", "keys": [1, 5], "index": 5
        }
    },
}  # fmt: skip


@pytest.mark.parametrize("members", DAMAGED.values(), ids=DAMAGED.keys())
def test_an_interface_that_can_not_be_called_is_refused(members: Any) -> None:
    assert not load(changed(**members))


@pytest.mark.parametrize("body", ["1e308*1e308*a0", "a0/0", "log(0 - 1) + a0", "0/0"])
def test_bodies_without_a_finite_value_run(body: Any) -> None:
    assert load(operators(1, body, "f0(a)"))


@pytest.mark.parametrize("name", ["_inductor", "_dynamo", "export", "torch.float32", "__class__", "Tensor"])
def test_looking_up_a_type_or_a_class_imports_nothing(name: str) -> None:
    result = DOCUMENT["global"]["interface"]["result"]
    before = set(sys.modules)
    assert not load(changed(global__interface__result={**result, "dtype": {"dtype": name}}))
    parts = {**result, "kind": "tuple", "keys": [0], "index": 0}
    for cls in (f"torch:{name}", f"torch.{name}:Any", f"{name}:Any"):
        assert load(changed(global__interface__result={**parts, "cls": cls}))
    assert set(sys.modules) == before


def test_variables_without_any_equation_over_them_load() -> None:
    assert load(changed(global__fronts=[], global__complexities=[], in_place=None, uses="block"))
    assert not load(changed(global__fronts=[], global__complexities=[]))  # but none stand in the block's place


def test_equations_in_disorder_are_read_in_order() -> None:
    rows = DOCUMENT["global"]["fronts"][0][1]["equations"]
    disorder = [
        {**row, "complexity": c, "loss": loss}
        for row, c, loss in zip(rows, (4, 10, 4), (1e-320, 1e308, 1.0), strict=False)
    ]
    data = changed(global__fronts__0__1__equations=disorder)
    assert load(data)
    block = copy.deepcopy(BLOCK)
    block.set_extra_state(torch.from_numpy(np.frombuffer(data, np.uint8).copy()))
    front = block.fronts[0]
    assert front.complexities == sorted(front.complexities)
    assert str(front.verdict)


Two = namedtuple("Two", "a b")


@pytest.mark.parametrize("n_parts", [1, 2, 3])
def test_a_named_tuple_that_has_other_parts_by_now_is_a_tuple(n_parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"kind": "tuple", "keys": list(range(n_parts)), "index": 0, "cls": "collections_of_a_test:Two"}
    monkeypatch.setitem(sys.modules, "collections_of_a_test", SimpleNamespace(Two=Two))
    data = changed(global__interface__result={**DOCUMENT["global"]["interface"]["result"], **parts}, pruning=None)
    block = copy.deepcopy(BLOCK)
    block.set_extra_state(torch.from_numpy(np.frombuffer(data, np.uint8).copy()))
    assert len(block(X)) == n_parts
    assert type(block(X)) is (Two if n_parts == 2 else tuple)


def test_a_wide_block_costs_no_name_for_every_input() -> None:
    tracemalloc.start()
    try:
        assert load(changed(global__interface__arguments__0__width=1 << 22))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10e6
