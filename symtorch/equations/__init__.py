"""What an equation is: operators, trees, parsing, fronts, compiling to torch, exporting."""

from symtorch.equations.definitions import operator
from symtorch.equations.front import Equation, Front, Fronts
from symtorch.equations.parser import parse

__all__ = ["Equation", "Front", "Fronts", "operator", "parse"]
