"""Variable transforms: what the search sees instead of the block's own inputs.

A transform is a formula over the block's inputs (``"sqrt(x0^2 + x1^2)"``), which can be saved,
exported and put back into an equation, or any callable that takes all inputs and returns one column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch

from symtorch.capture.rows import Teacher
from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.equations.expr import Constant, Expr, substitute, to_text, variables
from symtorch.equations.names import InputNames, check_names
from symtorch.equations.parser import parse
from symtorch.errors import InputError
from symtorch.surrogate.encodings.base import Encoding

Transform = str | Callable[[Any], Any]


@dataclass(frozen=True)
class Transforms(Encoding):
    """A list of new variables, each a tree over the block's inputs or a callable.

    Attributes:
        names: name of each new variable.
        items: the tree or callable of each.
        n_inputs: number of the block's inputs.
    """

    kind: ClassVar[str] = "formulas"

    names: tuple[str, ...]
    items: tuple[Expr | Callable[[Any], Any], ...]
    n_inputs: int

    @classmethod
    def make(
        cls,
        transforms: Sequence[Transform] | Mapping[str, Transform],
        n_inputs: int,
        names: Sequence[str] | None = None,
    ) -> Transforms:
        """From what the user gave: a list of formulas and callables, or a dict of them by name.

        Formulas call the block's inputs ``x0, x1, ...``.

        >>> Transforms.make({"dx": "x0 - x1"}, n_inputs=2).encode(np.array([[3.0, 1.0]]))
        array([[2.]])
        """
        check_transforms(transforms, names)
        if isinstance(transforms, Mapping):
            names, transforms = tuple(transforms), list(transforms.values())
        inputs = InputNames(n_inputs)
        items = tuple(parse(item, inputs) if isinstance(item, str) else item for item in transforms)
        names = tuple(names or (f"x{i}" for i in range(len(items))))
        check_names(names, len(items))
        return cls(names, items, n_inputs)

    @property
    def formulas(self) -> tuple[str | None, ...]:
        """Each transform as text over ``x0, x1, ...``; None for a callable."""
        inputs = InputNames(self.n_inputs)
        return tuple(to_text(item, inputs) if isinstance(item, Expr) else None for item in self.items)

    @property
    def functions(self) -> dict[str, Any]:
        """The callables, by name."""
        named = zip(self.names, self.items, strict=True)
        return {name: item for name, item in named if not isinstance(item, (Expr, MissingTransform))}

    def variable_names(self, n_inputs: int) -> tuple[str, ...]:
        return self.names

    def teacher(self, find: Callable[[], Teacher | None]) -> Teacher | None:
        return None  # rows of new variables are not turned back into rows of inputs

    def expand(self, expr: Expr) -> Expr | None:
        """The equation in the block's own inputs; None where a transform that it uses is a callable."""
        if not all(isinstance(self.items[i], Expr) for i in variables(expr)):
            return None
        # What a callable leaves out is not used: any tree may stand there.
        return substitute(expr, [item if isinstance(item, Expr) else Constant(0.0) for item in self.items])

    def write(self) -> dict[str, Any]:
        """The formulas; it is the kind of states that name none."""
        return {"formulas": list(self.formulas)}

    def encode(self, X: Any) -> Any:
        """(n_rows, n_inputs), a tensor or an array, to the same kind of (n_rows, n_transforms).

        Raises:
            InputError: a transform failed, or did not return one value per row; names which.
        """
        columns = [self._column(i, X) for i in range(len(self.items))]
        return torch.stack(columns, dim=1) if isinstance(X, torch.Tensor) else np.stack(columns, axis=1)

    @cached_property
    def _functions(self) -> dict[tuple[int, torch.device], SymbolicFunction]:
        """Formulas as functions, once they have been needed."""
        return {}

    def _function(self, i: int, device: torch.device) -> SymbolicFunction:
        if (i, device) not in self._functions:
            item = self.items[i]
            assert isinstance(item, Expr)
            self._functions[i, device] = SymbolicFunction([item], self.n_inputs).to(device)
        return self._functions[i, device]

    def _column(self, i: int, X: Any) -> Any:
        item = self.items[i]
        if isinstance(item, Expr):
            x = torch.as_tensor(X)
            column = self._function(i, x.device)(x)[:, 0]
        else:
            try:
                column = item(X)
            except Exception as error:
                raise InputError(
                    f"variable transform {i} ({self.names[i]!r}) failed on inputs of shape {tuple(X.shape)}: {error}"
                ) from error
        if isinstance(X, torch.Tensor):
            column = torch.as_tensor(column, device=X.device).to(X.dtype)
        else:
            column = np.asarray(column, dtype=np.float64)
        if column.size != len(X) if isinstance(column, np.ndarray) else column.numel() != len(X):
            raise InputError(
                f"variable transform {i} ({self.names[i]!r}) returned shape {tuple(column.shape)} for {len(X)} rows; "
                f"it must return one value per row."
            )
        return column.reshape(-1)


class MissingTransform:
    """Stands where a variable was made by a Python function, which a state_dict does not hold."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, X: Any) -> Any:
        raise InputError(
            f"variable {self.name!r} was made by a Python function, which a state_dict does not hold. Write it as a "
            f"formula, use SymbolicModel.save, or load the state into a block that was distilled with that function."
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MissingTransform) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def check_transforms(transforms: Sequence[Transform] | Mapping[str, Transform], names: Sequence[str] | None) -> None:
    """Raise for what can be seen to be wrong before any data is there."""
    if isinstance(transforms, str) or not isinstance(transforms, (Sequence, Mapping)):
        raise InputError(
            f"variable_transforms is a {type(transforms).__name__}; expected a list of formulas or callables, "
            f"or a dict of them by name."
        )
    if len(transforms) == 0:
        raise InputError("variable_transforms is empty; pass at least one, or None for the block's own inputs.")
    if names is not None and len(names) != len(transforms):
        raise InputError(
            f"{len(names)} variable_names for {len(transforms)} variable_transforms; the names must match length and "
            f"order of the transforms."
        )
    values = transforms.values() if isinstance(transforms, Mapping) else transforms
    for i, item in enumerate(values):
        if not isinstance(item, str) and not callable(item):
            raise InputError(f"variable transform {i} is a {type(item).__name__}; expected a formula or a callable.")
