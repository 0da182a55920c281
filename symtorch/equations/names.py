"""Names of variables: which can stand in an equation, and how others are made to."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Sequence
from typing import overload

from symtorch.equations.operators import ALIASES, OPERATORS
from symtorch.errors import InputError, listed


class InputNames(Sequence[str]):
    """``x0, x1, ...``, the names of a block's own inputs, made when one is asked for: there may be millions.

    >>> InputNames(3)[-1], InputNames(3).position("x1"), InputNames(3).position("x3")
    ('x2', 1, None)
    """

    def __init__(self, n_inputs: int, letter: str = "x") -> None:
        self._indices = range(n_inputs)
        self._letter = letter

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [f"{self._letter}{i}" for i in self._indices[index]]
        return f"{self._letter}{self._indices[index]}"

    def position(self, name: str) -> int | None:
        """Which input has this name; None for none."""
        match = _NUMBERED.fullmatch(name)
        if match is None or match[1] != self._letter or int(match[2]) not in self._indices:
            return None
        return int(match[2])


_NUMBERED = re.compile(r"([a-z])(0|[1-9]\d{0,17})", re.ASCII)


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
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
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
