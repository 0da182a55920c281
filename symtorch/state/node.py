"""A JSON document as a whole, and reading its values without trusting a word of it."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import math
import platform
import reprlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from symtorch._version import __version__
from symtorch.errors import StateError
from symtorch.state.budget import Budget, too_large, weigh

logger = logging.getLogger("symtorch.state")

SCHEMA = 1
"""Number of the document's form. What a new one changes is written down in docs/state.md."""

# ---- the document as a whole


def dumps(document: Mapping[str, Any], kind: str, trusted: bool = False) -> bytes:
    """The document as UTF-8 JSON, with its kind, schema and the versions that wrote it.

    Args:
        document: plain values.
        kind: of document.
        trusted: it will be read as such, however large it is.
    """
    head = {"format": f"symtorch.{kind}", "schema": SCHEMA, "versions": versions()}
    data = json.dumps({**head, **document}, allow_nan=False, separators=(",", ":")).encode()
    if not trusted and (reason := too_large(data) or weigh(document, len(data))[1]):
        logger.warning("%s; it can be written, but is not read back as it is. Save the object with save().", reason)
    return data


def loads(data: bytes, kind: str, trusted: bool = False) -> Node:
    """The document, where it is one of this kind and of a schema that we know.

    Args:
        data: of it.
        kind: of document.
        trusted: read it however large it is.

    Raises:
        StateError: says what is wrong with it.
    """
    if not trusted and (reason := too_large(data)):
        raise StateError(f"{reason}; that much is not read.")
    try:
        value = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError too
        raise StateError(f"the state is no JSON document: {shorten(error)}.") from None
    budget, reason = (Budget(), "") if trusted else weigh(value, len(data))
    if reason:
        raise StateError(f"{reason}; that much is not read.")
    root = Node(value, "state", budget=budget)
    if root["format"].text() != f"symtorch.{kind}":
        raise StateError(f"the state is of format {in_brief(value['format'])}; expected 'symtorch.{kind}'.")
    schema = root["schema"].integer(1)
    if schema > SCHEMA:
        raise StateError(
            f"the state has schema {schema}, written by a later version of symtorch; this version reads schemas "
            f"1 to {SCHEMA}. Update symtorch (pip install -U torch-symbolic)."
        )
    return root


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON's")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of what wrote a document."""
    found = {"symtorch": __version__, "python": platform.python_version(), "torch": torch.__version__}
    return found | {"numpy": np.__version__, "dill": importlib.metadata.version("dill")}


# ---- reading, value by value


class Node:
    """A value of the document and the way to it; reading it as what it must be, or a StateError."""

    __slots__ = ("_key", "_parent", "budget", "value")

    def __init__(self, value: Any, key: str, parent: Node | None = None, budget: Budget | None = None) -> None:
        self.value = value
        self.budget: Budget = budget or (Budget() if parent is None else parent.budget)
        self._key = key
        self._parent = parent

    @property
    def path(self) -> str:
        """The way to it from the root, for messages."""
        keys = []
        node: Node | None = self
        while node is not None:
            keys.append(node._key)
            node = node._parent
        return "".join(reversed(keys))

    def fail(self, expected: str) -> StateError:
        """An error that says where, what came and what was expected."""
        return StateError(f"{self.path} is {in_brief(self.value)}; expected {expected}.")

    def __getitem__(self, key: str) -> Node:
        if not isinstance(self.value, dict):
            raise self.fail("an object")
        if key not in self.value:
            raise StateError(f"{self.path}.{key} is missing.")
        return Node(self.value[key], f".{key}", self)

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
        return (Node(value, f"[{i}]", self) for i, value in enumerate(self.value))

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


def pair(node: Node) -> tuple[Node, Node]:
    """The two members of a list of two."""
    members = list(node)
    if len(members) != 2:
        raise node.fail("a pair")
    return members[0], members[1]


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False


_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxdict, _BRIEF.maxstring, _BRIEF.maxlong = 4, 12, 12, 80, 80


def in_brief(value: Any) -> str:
    """What a plain value looks like, in a line, however large or deep it is."""
    return shorten(_BRIEF.repr(value))


def shorten(value: Any, limit: int = 80) -> str:
    text = str(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
