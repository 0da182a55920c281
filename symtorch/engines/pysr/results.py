"""PySR's hall-of-fame file, and the Front that it makes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symtorch.equations.expr import Call, Constant, Expr, substitute, variables
from symtorch.equations.operators import Operator
from symtorch.equations.parser import parse
from symtorch.errors import EngineError, ParseError

_ROW = re.compile(r'^\s*(\d+)\s*,\s*([^,\s]+)\s*,\s*(?:"((?:[^"]|"")*)"|([^"\n]*))\s*\n')
_JULIA_FLOAT = re.compile(r"\b(\d+(?:\.\d*)?)f([+-]?\d+)\b")
_SPECIAL = re.compile(r"\b(?:Inf|NaN)(?:16|32|64)?\b")
_ARGUMENT = re.compile(r"#(\d+)")
_ELEMENT = re.compile(r"\b([A-Za-z_]\w*)\[(\d+)\]")


MAX_ROWS = 10_000
"""Most rows of a hall of fame that are read. PySR writes one per complexity, up to ``maxsize``."""

MAX_BYTES = 16 << 20
"""Longest hall of fame that is read."""


@dataclass(frozen=True)
class Row:
    """One line of a hall of fame: PySR's own complexity, loss and text."""

    complexity: int
    loss: float
    text: str


def read_hall_of_fame(run_folder: Path) -> list[Row]:
    """What the hall-of-fame file of a run holds, be the run over, under way, or dead in mid-write.

    PySR writes a backup and then the file itself, so one of the two is always whole. A line that
    was cut off is left out.

    Raises:
        EngineError: it is far larger than a hall of fame can be.
    """
    found = [_read(run_folder / name) for name in ("hall_of_fame.csv", "hall_of_fame.csv.bak")]
    return max(found, key=lambda whole_and_rows: (whole_and_rows[0], len(whole_and_rows[1])))[1]


def _read(path: Path) -> tuple[bool, list[Row]]:
    """Whether the file is whole, and its rows."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError:
        return False, []
    n_lines = data.count(b"\n")
    if len(data) > MAX_BYTES or n_lines > MAX_ROWS + 1:
        what = f"more than {MAX_BYTES:,} bytes" if len(data) > MAX_BYTES else f"{n_lines - 1:,} rows"
        raise EngineError(
            f"{path.name} of PySR's run has {what}. It has one row per complexity, so {MAX_ROWS:,} at most and far "
            f"fewer as a rule; this file is damaged, or not PySR's. It was not read."
        )
    lines = data.decode("utf-8", errors="replace").splitlines(keepends=True)
    rows = []
    for line in lines[1:]:
        match = _ROW.match(line)
        if match is None:
            continue
        complexity, loss, quoted, plain = match.groups()
        try:
            value = float(_JULIA_FLOAT.sub(r"\1e\2", loss))
        except ValueError:
            continue
        rows.append(Row(int(complexity), value, plain if quoted is None else quoted.replace('""', '"')))
    return len(rows) == len(lines) - 1, rows


def parse_equation(
    text: str, names: Sequence[str], operators: Sequence[Operator], template: Mapping[str, Any] | None = None
) -> Expr:
    """The tree of one of PySR's equations, over all the columns of the samples.

    Args:
        text: as PySR's hall of fame has it.
        names: of the columns.
        operators: the user's own.
        template: combine, expressions, variable_names and parameters of a TemplateExpressionSpec,
            whose parts are put together here.

    Raises:
        ParseError: it can't be written as one formula of the columns.
    """
    if template is None:
        return parse(_plain(text), names, operators)
    return _from_template(text, names, operators, template)


def _plain(text: str) -> str:
    """Julia's numbers in Python's spelling."""
    return _SPECIAL.sub(lambda match: match.group().lower()[:3], _JULIA_FLOAT.sub(r"\1e\2", text.strip()))


def _from_template(text: str, names: Sequence[str], operators: Sequence[Operator], template: Mapping[str, Any]) -> Expr:
    """``f = #1 + 2; g = sin(#1); p = [0.5]`` with ``combine="f(x) * g(y) + p[1]"`` as one formula."""
    if template.get("kind") != "TemplateExpressionSpec" or not template.get("combine"):
        raise ParseError(f"equations of a {template.get('kind')} are not formulas of the inputs alone.")
    parts: dict[str, Expr] = {}
    values: dict[str, list[float]] = {}
    for part in text.split(";"):
        name, _, body = (piece.strip() for piece in part.partition("="))
        if name in template["expressions"]:
            n_arguments = max((int(k) for k in _ARGUMENT.findall(body)), default=0)
            arguments = [f"argument_{k}" for k in range(1, n_arguments + 1)]
            parts[name] = parse(_plain(_ARGUMENT.sub(r"argument_\1", body)), arguments, operators)
        elif name in (template.get("parameters") or {}):
            values[name] = [float(_JULIA_FLOAT.sub(r"\1e\2", v)) for v in body.strip("[] ").split(",")]
        else:
            raise ParseError(f"{name!r} in {text!r} is neither a part nor a parameter of the template.")
    combined = _combined(template["combine"], values)
    calls = [_placeholder(name, combined) for name in parts]
    used = template["variable_names"]
    if len(used) > len(names):
        raise ParseError(f"the template speaks of {len(used)} variables {used}; there are {len(names)} inputs.")
    return _inline(parse(combined, used, [*operators, *calls]), parts)


def _combined(combine: str, values: Mapping[str, list[float]]) -> str:
    """The template's formula with its parameters' values in it."""

    def value(match: re.Match[str]) -> str:
        name, place = match.groups()
        try:
            return f"({values[name][int(place) - 1]!r})"
        except (KeyError, IndexError):
            raise ParseError(f"{match.group()!r} in the template is not one of its parameters.") from None

    formula = _plain(combine).replace(".^", "^").replace(".*", "*").replace("./", "/").strip().rstrip(";")
    if "\n" in formula or "=" in formula:
        raise ParseError(f"the template {combine!r} is a program, not one formula.")
    return _ELEMENT.sub(value, formula)


def _placeholder(name: str, combined: str) -> Operator:
    """An operator that stands for a part of the template until :func:`_inline` puts its body there."""

    def never(*args: Any) -> Any:
        raise AssertionError(f"the template's part {name!r} was left in an equation.")

    found = re.search(rf"\b{re.escape(name)}\(", combined)
    arity = _arguments_from(combined, found.end()) if found else 0
    return Operator(name, arity, never, never, never, body=Constant(0.0))


def _arguments_from(text: str, start: int) -> int:
    """How many arguments a call has whose opening parenthesis ends at ``start``."""
    level, commas = 1, 0
    for char in text[start:]:
        level += (char == "(") - (char == ")")
        if level == 0:
            break
        commas += char == "," and level == 1
    return commas + 1


def _inline(expr: Expr, parts: Mapping[str, Expr]) -> Expr:
    if not isinstance(expr, Call):
        return expr
    args = tuple(_inline(arg, parts) for arg in expr.args)
    if expr.op.name not in parts:
        return Call(expr.op, args)
    body = parts[expr.op.name]
    if max(variables(body), default=-1) >= len(args):
        raise ParseError(f"part {expr.op.name!r} of the template uses more arguments than the {len(args)} it gets.")
    return substitute(body, args)
