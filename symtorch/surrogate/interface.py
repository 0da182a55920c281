"""What the variables of a block's equations are, and what its outputs."""

from __future__ import annotations

from dataclasses import dataclass

from symtorch.capture.calls import Layout
from symtorch.surrogate.transforms import Transforms


@dataclass(frozen=True)
class Interface:
    """What the variables of a block's equations are, and what its outputs.

    Attributes:
        layout: how the block's arguments and result make rows of inputs and outputs.
        n_outputs: number of outputs.
        variable_names: name of each variable of the equations.
        transforms: how the block's inputs make those variables; None if they are the same.
    """

    layout: Layout
    n_outputs: int
    variable_names: tuple[str, ...]
    transforms: Transforms | None = None

    def __eq__(self, other: object) -> bool:
        """Whether equations of the one can stand beside equations of the other."""
        return isinstance(other, Interface) and (
            (self.layout.n_inputs, self.n_outputs, self.variable_names, self.transforms)
            == (other.layout.n_inputs, other.n_outputs, other.variable_names, other.transforms)
        )

    __hash__ = None  # type: ignore[assignment]
