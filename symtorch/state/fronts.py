"""Equations and fronts as plain values, and back."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from symtorch.engines.options import MODEL_SELECTIONS
from symtorch.equations.definitions import from_body
from symtorch.equations.expr import Call, Constant, Expr, constants, to_text, walk
from symtorch.equations.front import Equation, Front
from symtorch.equations.operators import OPERATORS, Operator
from symtorch.equations.parser import parse
from symtorch.equations.structure import DEEPEST, LONGEST, Structure
from symtorch.equations.verdict import Evidence
from symtorch.errors import InputError, StateError, listed
from symtorch.state.node import Node, in_brief, pair, shorten


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def write_front(front: Front) -> dict[str, Any]:
    """A front as plain values."""
    return {
        "variables": list(front[0].variable_names),
        **({} if front[0].signs is None else {"signs": list(front[0].signs)}),
        "operators": write_operators([eq.expr for eq in front]),
        "equations": [
            {
                "text": eq.text,
                "complexity": eq.complexity,
                "loss": _finite(eq.loss),
                "score": _finite(eq.score),
                "r2": _finite(eq.r2),
                **({"source": eq.source} if eq.source else {}),
                **_write_errors(eq),
                **({"own": True} if eq.own else {}),
            }
            for eq in front
        ],
        "model_selection": front.model_selection,
        "engine": front.engine,
        "stop_reason": front.stop_reason,
        "n_samples": front.n_samples,
        "seconds": _finite(front.seconds),
        "folder": front.folder,
        **_write_evidence(front.evidence),
        **({} if front.pick is None else {"pick": front.pick}),
        **({"history": [list(point) for point in front.history]} if front.history else {}),
    }


def _write_evidence(evidence: Evidence) -> dict[str, Any]:
    """What is known, as an optional member of a front."""
    known = {
        "noise_floor": _finite(evidence.noise_floor),
        "confirmed": evidence.confirmed,
        "rows_asked": evidence.rows_asked or None,
        "trouble": evidence.trouble or None,
        "variance": _finite(evidence.variance),
        "n_held_out": evidence.n_held_out,
        "noise": _finite(evidence.noise),
        "law": _finite(evidence.law),
        "beyond": evidence.beyond or None,
        "structure": None if evidence.structure is None else _write_structure(evidence.structure),
    }
    known = {key: value for key, value in known.items() if value is not None}
    return {"evidence": known} if known else {}


def _read_evidence(node: Node | None) -> Evidence:
    if node is None:  # nothing is known, as of states that are older than evidence
        return Evidence()
    floor, confirmed, rows = node.optional("noise_floor"), node.optional("confirmed"), node.optional("rows_asked")
    trouble, variance = node.optional("trouble"), node.optional("variance")
    held_out, noise = node.optional("n_held_out"), node.optional("noise")
    law, beyond = node.optional("law"), node.optional("beyond")
    structure = node.optional("structure")
    return Evidence(
        None if floor is None else floor.number(),
        None if confirmed is None else confirmed.flag(),
        0 if rows is None else rows.integer(),
        "" if trouble is None else trouble.text(100),
        None if variance is None else variance.number(),
        None if held_out is None else held_out.integer(),
        None if noise is None else noise.number(),
        None if law is None else law.number(),
        "" if beyond is None else beyond.text(10_000),
        None if structure is None else _read_structure(structure),
    )


def _write_structure(structure: Structure) -> dict[str, Any]:
    return {
        "function": structure.function,
        "found": structure.found,
        **({"identity": structure.identity} if structure.identity else {}),
        **({} if structure.residual is None else {"residual": _finite(structure.residual)}),
        **({"parts": [_write_structure(part) for part in structure.parts]} if structure.parts else {}),
    }


def _read_structure(node: Node, depth: int = 0) -> Structure:
    if depth > DEEPEST:
        raise node.fail(f"a structure of at most {DEEPEST} levels")
    identity, residual, parts = node.optional("identity"), node.optional("residual"), node.optional("parts")
    return Structure(
        node["function"].text(LONGEST),
        node["found"].text(LONGEST),
        "" if identity is None else identity.text(LONGEST),
        None if residual is None else residual.number(),
        () if parts is None else tuple(_read_structure(part, depth + 1) for part in parts),
    )


def read_front(node: Node, variables: tuple[str, ...]) -> Front:
    """A front over these variables."""
    if node["variables"].value != list(variables):
        raise node["variables"].fail(f"the variables of its interface, [{listed(variables)}]")
    operators = [read_operator(op) for op in node["operators"]]
    signs = _read_signs(node.optional("signs"), len(variables))
    equations = []
    for eq in node["equations"]:
        loss, r2, source = eq.optional("loss"), eq.optional("r2"), eq.optional("source")
        score, own = eq.optional("score"), eq.optional("own")
        equations.append(
            Equation(
                read_expr(eq["text"], variables, operators),
                variables,
                eq["complexity"].integer(),
                math.inf if loss is None else loss.number(),
                0.0 if score is None else score.number(),
                None if r2 is None else r2.number(),
                "" if source is None else source.text(100_000),
                own=own is not None and own.flag(),
                signs=signs,
            )
        )
        equations[-1] = _read_errors(eq, equations[-1])
    if not equations:
        raise node["equations"].fail("at least one equation")
    rule = node["model_selection"]
    if rule.text() not in MODEL_SELECTIONS:
        raise rule.fail(f"one of {', '.join(MODEL_SELECTIONS)}")
    seconds, pick, history = node.optional("seconds"), node.optional("pick"), node.optional("history")
    return Front(
        tuple(sorted(equations, key=lambda eq: eq.complexity)),
        rule.text(),
        node["engine"].text(),
        node["stop_reason"].text(),
        node["n_samples"].integer(),
        0.0 if seconds is None else seconds.number(),
        node["folder"].text(10_000),
        _read_evidence(node.optional("evidence")),
        None if pick is None else pick.integer(),
        () if history is None else tuple((seconds.number(), loss.number()) for seconds, loss in map(pair, history)),
    )


def _read_signs(node: Node | None, n: int) -> tuple[int, ...] | None:
    """Of the variables; None where they are not known, as of older states."""
    if node is None:
        return None
    signs = tuple(sign.integer(-1, 1) for sign in node)
    if len(signs) != n:
        raise node.fail(f"a sign for each of the {n} variables")
    return signs


_OPEN = {"undetermined": math.inf, "unknown": math.nan}
"""Standard errors that are no numbers of JSON's."""


def _write_errors(eq: Equation) -> dict[str, Any]:
    if eq.standard_errors is None:
        return {}
    words = {repr(value): word for word, value in _OPEN.items()}
    return {"standard_errors": [e if e is None else words.get(repr(e), e) for e in eq.standard_errors]}


def _read_errors(node: Node, eq: Equation) -> Equation:
    """The equation with the standard errors that a document has of it, if any."""
    known = node.optional("standard_errors")
    if known is None:
        return eq
    errors = tuple(_read_error(error) for error in known)
    if len(errors) != len(constants(eq.expr)):
        raise known.fail(f"one standard error for each of the {len(constants(eq.expr))} constants")
    return replace(eq, standard_errors=errors)


def _read_error(node: Node) -> float | None:
    if node.value is None:
        return None
    if isinstance(node.value, str) and node.value in _OPEN:
        return _OPEN[node.value]
    if node.number() < 0.0:
        raise node.fail(f"a standard error: a number of at least 0, null, or one of {', '.join(_OPEN)}")
    return node.number()


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
    return _operator(name.text(), arity, read_expr(node["body"], _parameters(arity)))


@lru_cache(maxsize=2048)
def _operator(name: str, arity: int, body: Expr) -> Operator:
    """The fronts of a block have the same few operators, time and again."""
    return from_body(name, arity, body)


def _parameters(arity: int) -> tuple[str, ...]:
    return tuple(f"a{i}" for i in range(arity))


def read_expr(node: Node, names: Sequence[str], operators: list[Operator] | None = None) -> Expr:
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
        if isinstance(value, (Mapping, list, tuple)):
            return in_brief(value)
        return shorten(re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value)), 200)

    return {name: plain(value) for name, value in given.items()}
