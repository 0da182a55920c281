"""What an encoding owes, and the one that changes nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from symtorch.capture.rows import Teacher
from symtorch.equations.expr import Expr
from symtorch.surrogate.encodings.maps import Maps


class Encoding(ABC):
    """How rows of a block become what the search sees, and its answers the block's outputs.

    The block's side has n_inputs and n_outputs columns; the search's side has n_variables, which are the
    columns that equations are over, and n_searched outputs, for each of which there is a front. Rows are
    a tensor or an array, and stay what they are: the same encoding serves a search and a forward pass,
    where gradients run through it.

    An encoding says how inputs become variables. On the outputs' side it may leave everything to the
    defaults, which search for the block's outputs themselves. Two of equal parameters must be equal:
    equations over equal encodings can stand beside each other.
    """

    kind: ClassVar[str]
    """Its name in saved states."""

    unwritten: ClassVar[str] = ""
    """Why its equations can't be written over the block's inputs, where they never can; empty where they may be."""

    partial: ClassVar[bool] = False
    """Whether equations are for a part of what the block does, so that one may explain little of that and be good."""

    # ---- inputs

    @abstractmethod
    def encode(self, x: Any) -> Any:
        """The block's inputs (n, n_inputs) as variables (n, n_variables)."""

    @abstractmethod
    def variable_names(self, n_inputs: int) -> tuple[str, ...]:
        """The name of each variable, where the user gives none."""

    @abstractmethod
    def teacher(self, find: Callable[[], Teacher | None]) -> Teacher | None:
        """The block as a function of the variables, (n, n_variables) -> (n, n_searched), or None.

        Args:
            find: gives the block as a function of its inputs, or None where it can't be asked row by row;
                it tries the block out, so only who wants it calls it.
        """

    @abstractmethod
    def expand(self, expr: Expr) -> Expr | None:
        """An equation over the variables as one over the block's inputs; None where that can't be written.

        The tree keeps the nodes of ``expr`` that are constants, so that it can be told which are its own.
        """

    # ---- outputs

    def n_searched(self, n_outputs: int) -> int:
        """How many outputs are searched for, for this many of the block's."""
        return n_outputs

    def targets(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """What is searched for, (n, n_searched), from the block's outputs (n, n_outputs) and inputs (n, n_inputs)."""
        return y

    def decode(self, y: Any, x: Any) -> Any:
        """The block's outputs (..., n_outputs) from the equations' values (..., n_searched), given its inputs x."""
        return y

    def split(self, x: Any, maps: Maps | None = None) -> tuple[Any, Callable[[Any], Any]]:
        """The variables for these inputs, and :meth:`decode` for them; where both share work, it is done once.

        Args:
            x: (..., n_inputs).
            maps: of :meth:`maps`, as they are now; None for the encoding's own.
        """
        return self.encode(x), lambda y: self.decode(y, x)

    def needed(self, outputs: Sequence[int]) -> list[int]:
        """Which searched outputs these outputs of the block are made of."""
        return list(outputs)

    def combine(self, laws: Mapping[int, Expr], outputs: Sequence[int]) -> list[Expr]:
        """:meth:`decode` in symbols: the equations of these outputs, from those of the searched ones they need."""
        return [laws[i] for i in outputs]

    # ---- tuning

    def maps(self) -> Maps | None:
        """Its numbers as a module that training can change; None where there is nothing to train."""
        return None

    def tuned(self, maps: Maps) -> Encoding:
        """The encoding with the numbers that :meth:`maps` have now; itself where they are the same."""
        return self

    # ---- saving

    @abstractmethod
    def write(self) -> dict[str, Any] | None:
        """As plain values of JSON and arrays, ``kind`` among them; for :data:`symtorch.state.encodings.READERS`."""

    @property
    def functions(self) -> dict[str, Any]:
        """By name, what of it only Python can hold, which :meth:`write` leaves out."""
        return {}


Fit = Callable[[np.ndarray, np.ndarray], Encoding]
"""(X (n, n_inputs), Y (n, n_outputs)) -> the encoding that suits such data."""


@dataclass(frozen=True)
class Identity(Encoding):
    """The search sees the block's own inputs, and is for its own outputs.

    >>> Identity().encode(np.array([[1.0, 2.0]]))
    array([[1., 2.]])
    """

    kind: ClassVar[str] = "identity"

    def encode(self, x: Any) -> Any:
        return x

    def variable_names(self, n_inputs: int) -> tuple[str, ...]:
        return tuple(f"x{i}" for i in range(n_inputs))

    def teacher(self, find: Callable[[], Teacher | None]) -> Teacher | None:
        return find()

    def expand(self, expr: Expr) -> Expr | None:
        return expr

    def write(self) -> dict[str, Any] | None:
        return None  # as states say it since the first
