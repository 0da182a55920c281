"""Programs as source text: what all printed languages have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence

from symtorch.codegen.program import Input, Literal, Slot, Step, Value

ARGUMENTS = "xyz"


def applied(text: str, args: Sequence[str]) -> str:
    """A text of the operator table with these arguments (names or numbers) put in."""
    args = [f"({arg})" if arg.startswith("-") else arg for arg in args]
    if text.replace(".", "").replace("_", "").isalnum():
        return f"{text}({', '.join(args)})"
    return re.sub(r"\b[xyz]\b", lambda match: args[ARGUMENTS.index(match[0])], text)


def step_text(step: Step, language: str, names: Sequence[str]) -> str:
    """The right-hand side of a step in "torch", "numpy" or "c"."""
    assert step.op.row is not None  # lowering has replaced users' operators by their bodies
    return applied(getattr(step.op.row, language), [names[a] for a in step.args])


def leaf_name(value: Value) -> str:
    """How a leaf is written: ``x3``, ``c0``, or a number in full."""
    if isinstance(value, Input):
        return f"x{value.index}"
    if isinstance(value, Slot):
        return f"c{value.index}"
    assert isinstance(value, Literal)
    return repr(value.value)
