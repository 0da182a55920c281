"""Fronts and what belongs to them as JSON documents, and back, without trusting a word of it.

Reading builds nothing but numbers, names and trees of known operators: no import by name, no
evaluation, no pickle. Whatever is not as it must be raises StateError with the place where it is.
"""

from symtorch.state.fronts import read_expr, read_front, read_operator, write_front, write_operators, write_options
from symtorch.state.interface import MAX_OUTPUTS, read_interface, write_interface
from symtorch.state.node import SCHEMA, Node, dumps, loads

__all__ = [
    "MAX_OUTPUTS",
    "SCHEMA",
    "Node",
    "dumps",
    "loads",
    "read_expr",
    "read_front",
    "read_interface",
    "read_operator",
    "write_front",
    "write_interface",
    "write_operators",
    "write_options",
]
