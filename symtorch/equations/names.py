"""Names of variables: which can stand in an equation, and how others are made to."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence

from symtorch.equations.operators import ALIASES, OPERATORS
from symtorch.errors import InputError, listed


def check_names(names: Sequence[str], n_inputs: int) -> None:
    """Raise unless these are usable names for ``n_inputs`` input columns."""
    if len(names) != n_inputs:
        raise InputError(
            f"{len(names)} variable names ({listed(names)}) for {n_inputs} inputs; give one name per input."
        )
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise InputError(f"variable name {name!r} is not an identifier; use letters, digits and '_'.")
        if _is_taken(name):
            raise InputError(f"variable name {name!r} clashes with the function or number of that name; rename it.")
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if list(names).count(name) > 1})
        raise InputError(f"variable names must differ, but {listed(twice)} came more than once.")


def _is_taken(name: str) -> bool:
    """Whether it means something in an equation already."""
    return name in OPERATORS or name in ALIASES or name in ("pi", "E", "I", "inf", "nan") or keyword.iskeyword(name)


def identifiers(names: Sequence[str], in_equations: bool = True) -> list[str]:
    """The names with whatever can't stand in an equation replaced, and numbered where they would be equal.

    >>> identifiers(["max depth", "3rd", "exp", "exp"])
    ['max_depth', 'x_3rd', 'exp_', 'exp__2']

    Args:
        in_equations: whether they must not be what functions and numbers are called.
    """
    made: list[str] = []
    for name in names:
        base = re.sub(r"\W+", "_", str(name)).strip("_") or "x"
        base = f"x_{base}" if base[0].isdigit() else base
        base = f"{base}_" if in_equations and _is_taken(base) else base
        unique, n = base, 2
        while unique in made:
            unique, n = f"{base}_{n}", n + 1
        made.append(unique)
    return made
