"""Fronts and what belongs to them as plain JSON values, and back, without trusting a word of it.

Reading builds nothing but numbers, names and trees of known operators: no import by name, no
evaluation, no pickle. Whatever is not as it must be raises StateError with the place where it is.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from symtorch.distillation import Interface
from symtorch.equations.expr import Call, Constant, Expr, to_text, walk
from symtorch.equations.front import Equation, Front
from symtorch.equations.operators import OPERATORS, Operator, from_body
from symtorch.equations.parser import parse
from symtorch.errors import InputError, StateError
from symtorch.layout import Argument, Layout, Result
from symtorch.options import MODEL_SELECTIONS
from symtorch.samples import check_names
from symtorch.transforms import Transforms

SCHEMA = 1
"""Number of the document's form. What a new one changes is written down in docs/state.md."""

MAX_BYTES = 16 << 20
"""Longest document that is read."""

MAX_PARTS = 400_000
"""Most lists and objects in a document that is read; empty ones are what fills memory fastest."""

MAX_OUTPUTS = 1 << 16


# ---- the document as a whole


def dumps(document: Mapping[str, Any], kind: str) -> bytes:
    """The document as UTF-8 JSON, with its kind, schema and the versions that wrote it."""
    head = {"format": f"symtorch.{kind}", "schema": SCHEMA, "versions": versions()}
    return json.dumps({**head, **document}, allow_nan=False, separators=(",", ":")).encode()


def loads(data: bytes, kind: str) -> Node:
    """The document, where it is one of this kind and of a schema that we know.

    Raises:
        StateError: says what is wrong with it.
    """
    if len(data) > MAX_BYTES:
        raise StateError(f"the state has {len(data):,} bytes; at most {MAX_BYTES:,} are read.")
    if data.count(b"{") + data.count(b"[") > MAX_PARTS:
        raise StateError(f"the state has more than {MAX_PARTS:,} parts; that many are not read.")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError too
        raise StateError(f"the state is no JSON document: {_short(error)}.") from None
    root = Node(value, "state")
    if root["format"].text() != f"symtorch.{kind}":
        raise StateError(f"the state is of format {_short(value['format'])!r}; expected 'symtorch.{kind}'.")
    schema = root["schema"].integer(1)
    if schema > SCHEMA:
        raise StateError(
            f"the state has schema {schema}, written by a later version of symtorch; this version reads schemas "
            f"1 to {SCHEMA}. Update symtorch (pip install -U torch-symbolic)."
        )
    return root


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of what wrote a document."""
    from symtorch import __version__

    found = {"symtorch": __version__, "python": platform.python_version(), "torch": torch.__version__}
    return found | {"numpy": np.__version__, "dill": importlib.metadata.version("dill")}


# ---- reading, value by value


class Node:
    """A value of the document and the way to it; reading it as what it must be, or a StateError."""

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path

    def fail(self, expected: str) -> StateError:
        """An error that says where, what came and what was expected."""
        return StateError(f"{self.path} is {_short(repr(self.value))}; expected {expected}.")

    def __getitem__(self, key: str) -> Node:
        if not isinstance(self.value, dict):
            raise self.fail("an object")
        if key not in self.value:
            raise StateError(f"{self.path}.{key} is missing.")
        return Node(self.value[key], f"{self.path}.{key}")

    def optional(self, key: str) -> Node | None:
        """The member, or None where it is missing or null."""
        if not isinstance(self.value, dict):
            raise self.fail("an object")
        return self[key] if self.value.get(key) is not None else None

    def items(self) -> Iterator[tuple[str, Node]]:
        """Members of an object."""
        if not isinstance(self.value, dict):
            raise self.fail("an object")
        return ((key, self[key]) for key in self.value)

    def __iter__(self) -> Iterator[Node]:
        if not isinstance(self.value, list):
            raise self.fail("a list")
        return (Node(value, f"{self.path}[{i}]") for i, value in enumerate(self.value))

    def text(self, longest: int = 1000) -> str:
        if not isinstance(self.value, str):
            raise self.fail("text")
        if len(self.value) > longest:
            raise StateError(f"{self.path} has {len(self.value):,} characters; at most {longest:,} are read.")
        return self.value

    def integer(self, low: int = 0, high: int = 2**62) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not low <= self.value <= high:
            raise self.fail(f"an integer of {low} to {high}" if high < 2**62 else f"an integer of at least {low}")
        return self.value

    def number(self) -> float:
        """A finite number."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
            raise self.fail("a finite number")
        return float(value)

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.fail("true or false")
        return self.value

    def key(self) -> int | str:
        """The position or the name of an argument."""
        return self.text() if isinstance(self.value, str) else self.integer()


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


def _short(value: Any, limit: int = 80) -> str:
    text = str(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


# ---- equations


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


@lru_cache(maxsize=8192)
def write_front(front: Front) -> dict[str, Any]:
    """A front as plain values. It is kept in memory: nobody may change it."""
    return {
        "variables": list(front[0].variable_names),
        "operators": write_operators([eq.expr for eq in front]),
        "equations": [
            {
                "text": eq.text,
                "complexity": eq.complexity,
                "loss": _finite(eq.loss),
                "score": _finite(eq.score),
                "r2": _finite(eq.r2),
                **({"source": eq.source} if eq.source else {}),
            }
            for eq in front
        ],
        "model_selection": front.model_selection,
        "engine": front.engine,
        "stop_reason": front.stop_reason,
        "n_samples": front.n_samples,
        "seconds": _finite(front.seconds),
        "folder": front.folder,
    }


def read_front(node: Node, variables: tuple[str, ...]) -> Front:
    """A front over these variables."""
    found = [name.text() for name in node["variables"]]
    if found != list(variables):
        raise node["variables"].fail(f"the variables of its interface, {list(variables)}")
    operators = [read_operator(op) for op in node["operators"]]
    equations = []
    for eq in node["equations"]:
        loss, r2, source = eq.optional("loss"), eq.optional("r2"), eq.optional("source")
        score = eq.optional("score")
        equations.append(
            Equation(
                read_expr(eq["text"], variables, operators),
                variables,
                eq["complexity"].integer(),
                math.inf if loss is None else loss.number(),
                0.0 if score is None else score.number(),
                None if r2 is None else r2.number(),
                "" if source is None else source.text(100_000),
            )
        )
    if not equations:
        raise node["equations"].fail("at least one equation")
    rule = node["model_selection"]
    if rule.text() not in MODEL_SELECTIONS:
        raise rule.fail(f"one of {', '.join(MODEL_SELECTIONS)}")
    seconds = node.optional("seconds")
    return Front(
        tuple(equations),
        rule.text(),
        node["engine"].text(),
        node["stop_reason"].text(),
        node["n_samples"].integer(),
        0.0 if seconds is None else seconds.number(),
        node["folder"].text(10_000),
    )


def write_operators(exprs: Iterable[Expr]) -> list[dict[str, Any]]:
    """The user's own operators in these trees, by their formulas."""
    found = {node.op.name: node.op for expr in exprs for node in walk(expr) if isinstance(node, Call)}
    return [
        {"name": op.name, "arity": op.arity, "body": to_text(op.body, _parameters(op.arity))}
        for op in found.values()
        if op.body is not None
    ]


def read_operator(node: Node) -> Operator:
    name, arity = node["name"], node["arity"].integer(1, 20)
    if not re.fullmatch(r"[A-Za-z]\w*", name.text(100), re.ASCII):
        raise name.fail("the name of an operator")
    return from_body(name.text(), arity, read_expr(node["body"], _parameters(arity)))


def _parameters(arity: int) -> tuple[str, ...]:
    return tuple(f"a{i}" for i in range(arity))


def read_expr(node: Node, names: tuple[str, ...], operators: list[Operator] | None = None) -> Expr:
    """A tree of known operators over these variables, with finite constants."""
    text = node.text(sys.maxsize)  # the parser knows how much it reads
    try:
        expr = parse(text, names, operators or ())
    except InputError as error:
        raise StateError(f"{node.path}: {error}") from None
    for part in walk(expr):
        if isinstance(part, Constant) and not math.isfinite(part.value):
            raise node.fail("an equation whose constants are finite")
        if isinstance(part, Call) and part.op is OPERATORS["^"] and not _power_is_finite(part):
            raise node.fail("an equation without a power of numbers that overflows")
    return expr


def _power_is_finite(power: Call) -> bool:
    """Whether a power of two numbers, such as 9^9^9, is one itself; powers of variables are."""
    values = [_value(arg) for arg in power.args]
    if None in values:
        return True
    with np.errstate(all="ignore"):
        return not np.isinf(power.op.numpy(*values))


def _value(expr: Expr) -> float | None:
    if isinstance(expr, Constant):
        return expr.value
    if isinstance(expr, Call) and expr.op is OPERATORS["^"]:
        base, exponent = (_value(arg) for arg in expr.args)
        if base is not None and exponent is not None:
            with np.errstate(all="ignore"):
                return float(expr.op.numpy(base, exponent))
    return None


def write_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Search options for the record: plain values as they are, of others what they look like."""

    def plain(value: Any, level: int = 0) -> Any:
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, Mapping) and level < 10:
            return {str(key): plain(v, level + 1) for key, v in value.items()}
        if isinstance(value, (list, tuple)) and level < 10:
            return [plain(v, level + 1) for v in value]
        return _short(repr(value), 200)

    return {name: plain(value) for name, value in given.items()}


# ---- what the variables are


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
