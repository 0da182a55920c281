"""What the variables of a block's equations are, and what its outputs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from symtorch.capture.calls import Layout
from symtorch.errors import InputError
from symtorch.surrogate.encodings.base import Encoding, Identity


@dataclass(frozen=True)
class Interface:
    """What the variables of a block's equations are, and what its outputs.

    Attributes:
        layout: how the block's arguments and result make rows of inputs and outputs.
        n_outputs: number of the block's outputs.
        variable_names: name of each variable of the equations.
        encoding: how the block's inputs make those variables, and what is searched for its outputs.
    """

    layout: Layout
    n_outputs: int
    variable_names: tuple[str, ...]
    encoding: Encoding = field(default_factory=Identity)

    @property
    def n_searched(self) -> int:
        """Number of outputs that are searched for, each with a front of its own."""
        return self.encoding.n_searched(self.n_outputs)

    def check_written(self) -> None:
        """Raise InputError where equations can't be written over the block's inputs, whatever they are."""
        if self.encoding.unwritten:
            raise InputError(f"{self.encoding.unwritten}; they are not written out over the block's own.")

    def complete(self, searched: Collection[int]) -> list[int]:
        """The block's outputs for which nothing more than these searched ones is needed."""
        return [i for i in range(self.n_outputs) if all(j in searched for j in self.encoding.needed([i]))]

    def __eq__(self, other: object) -> bool:
        """Whether equations of the one can stand beside equations of the other."""
        return isinstance(other, Interface) and (
            (self.layout.n_inputs, self.n_outputs, self.variable_names, self.encoding)
            == (other.layout.n_inputs, other.n_outputs, other.variable_names, other.encoding)
        )

    __hash__ = None  # type: ignore[assignment]
