"""Findings as plain values, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from symtorch.equations.expr import Call, Expr, Operator, Variable, size, walk
from symtorch.equations.front import Front, Fronts
from symtorch.state.fronts import read_front, write_front, write_options
from symtorch.state.interface import read_interface, write_interface
from symtorch.state.node import Node, pair
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.interface import Interface


def write_findings(found: Findings) -> dict[str, Any] | None:
    """Findings as plain values; None where nothing was found."""
    if found.interface is None:
        return None
    return {
        "interface": write_interface(found.interface),
        "fronts": [[output, _written(front)] for output, front in found.fronts.items()],
        "complexities": [[output, complexity] for output, complexity in found.complexities.items()],
        "options": dict(found.options),
        "ranges": [[output, list(ends)] for output, ends in found.ranges.items()],
        "domain": [list(ends) for ends in found.domain],
    }


@lru_cache(maxsize=2048)
def _written(front: Front) -> dict[str, Any]:
    """A model is saved again and again, its fronts seldom change; what is kept here nobody may change."""
    return write_front(front)


def read_findings(node: Node | None, known: Findings, functions: Mapping[str, Any]) -> Findings:
    """Findings, called as the known ones are.

    Args:
        node: what :func:`write_findings` gave.
        known: findings of the same block and kind.
        functions: the Python functions that serve for variables of the same names.
    """
    empty = Findings(known.what, known.how)
    if node is None:
        return empty
    interface = read_interface(node["interface"], functions)
    last = interface.n_searched - 1
    fronts = {}
    for output, front in map(pair, node["fronts"]):
        fronts[output.integer(0, last)] = read_front(front, interface.variable_names)
    _check_written_out(node["fronts"], fronts, interface)
    complexities = {}
    for output, complexity in map(pair, node["complexities"]):
        index = output.integer(0, last)
        if index not in fronts or complexity.integer() not in fronts[index].complexities:
            raise complexity.fail(f"a complexity that output {index} has an equation of")
        complexities[index] = complexity.integer()
    return replace(
        empty,
        fronts=Fronts(sorted(fronts.items())),
        interface=interface,
        complexities=complexities,
        options=write_options({name: option.value for name, option in node["options"].items()}),
        ranges=_read_ranges(node.optional("ranges"), last),
        domain=_read_domain(node.optional("domain"), len(interface.variable_names)),
    )


def _check_written_out(node: Node, fronts: Mapping[int, Front], interface: Interface) -> None:
    """Any equation may be asked for with its variables written out, one at a time."""
    sizes = variable_sizes(interface)
    if max(sizes, default=1) > 1:
        most = max((written_out_size([eq.expr], sizes) for front in fronts.values() for eq in front), default=0)
        node.budget.require(most, f"an equation of {node.path}")


def variable_sizes(interface: Interface) -> list[int]:
    """How many terms each variable is, written out in the block's own inputs."""
    expanded = [interface.encoding.expand(Variable(j)) for j in range(len(interface.variable_names))]
    return [1 if expr is None else size(expr) for expr in expanded]


def written_out_size(exprs: Iterable[Expr], variables: Sequence[int]) -> int:
    """How many terms equations are with their variables and the user's own operators written out."""
    return sum(
        variables[node.index] if isinstance(node, Variable) else _size(node.op) if isinstance(node, Call) else 1
        for expr in exprs
        for node in walk(expr)
    )


@lru_cache(maxsize=2048)
def _size(op: Operator) -> int:
    return 1 if op.body is None else size(op.body)


def _read_ranges(node: Node | None, last: int) -> dict[int, tuple[float, float]]:
    """Earlier states have none."""
    return {output.integer(0, last): _ends(ends) for output, ends in map(pair, node or ())}


def _read_domain(node: Node | None, n_variables: int) -> tuple[tuple[float, float], ...]:
    """Earlier states have none."""
    domain = tuple(_ends(ends) for ends in node or ())
    if node is not None and len(domain) not in (0, n_variables):
        raise node.fail(f"the ends of {n_variables} variables")
    return domain


def _ends(node: Node) -> tuple[float, float]:
    low, high = pair(node)
    return low.number(), high.number()
