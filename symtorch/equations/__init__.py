"""What an equation is: operators, trees, text, SymPy, fronts and the choice among them, how they look."""

from symtorch.equations.definitions import operator
from symtorch.equations.front import Equation, Front, Fronts
from symtorch.equations.parser import parse

__all__ = ["Equation", "Front", "Fronts", "operator", "parse"]
