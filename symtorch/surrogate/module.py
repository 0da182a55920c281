"""What stands in a block's place: the chosen equations behind the block's own call signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from symtorch.capture import Layout
from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.equations.expr import Constant, Expr, constants, walk
from symtorch.errors import InputError
from symtorch.surrogate.transforms import Transforms


def in_block_inputs(
    exprs: Sequence[Expr | None], transforms: Transforms | None
) -> tuple[list[Expr], Transforms | None]:
    """The trees over the block's own inputs, where all transforms are formulas.

    Formulas become part of the one function that way: shared subterms, nothing in between.

    Args:
        exprs: None stands for zero.

    Returns:
        the trees, and the transforms that must still come before them (None for none).
    """
    trees = [Constant(0.0) if expr is None else expr for expr in exprs]
    if transforms is None:
        return trees, None
    expanded = [transforms.expand(tree) for tree in trees]
    found = [tree for tree in expanded if tree is not None]
    return (found, None) if len(found) == len(trees) else (trees, transforms)


def own_positions(expr: Expr, written_out: Expr) -> list[int]:
    """Which constants of a tree made by substitution in ``expr`` are those of ``expr`` (the same objects)."""
    mine = {id(node) for node in walk(expr) if isinstance(node, Constant)}
    all_constants = (node for node in walk(written_out) if isinstance(node, Constant))
    return [k for k, node in enumerate(all_constants) if id(node) in mine]


class Surrogate(nn.Module):
    """The equations of all outputs as one function of the block's arguments.

    Args:
        exprs: one tree per output, over the variables of the search; None for an output that is
            always zero (a pruned one).
        layout: how the block's arguments make the rows of its inputs, and its result its outputs.
        transforms: how the block's inputs make the variables of the search; None if they are the same.
    """

    def __init__(self, exprs: Sequence[Expr | None], layout: Layout, transforms: Transforms | None = None) -> None:
        super().__init__()
        trees, transforms_left = in_block_inputs(exprs, transforms)
        self.layout = layout
        self.transforms = transforms_left
        n_variables = layout.n_inputs if transforms_left is None else len(transforms_left.items)
        self.function = SymbolicFunction(trees, n_variables).use_compiled("auto")
        if transforms is not None and transforms_left is None:
            # What the user wrote as a transform stays as it is; the equations' own constants are trained.
            own = [[] if e is None else own_positions(e, tree) for e, tree in zip(exprs, trees, strict=True)]
            every = [range(len(constants(tree))) for tree in trees]
            self.function.hold([sorted({*ks} - {*mine}) for ks, mine in zip(every, own, strict=True)])

    def rows(self, x: Tensor, live: Tensor | None = None) -> Tensor:
        """(..., n_inputs) -> (..., n_outputs): the equations on the joined inputs of the block.

        Args:
            x: (..., n_inputs).
            live: as for :meth:`SymbolicFunction.forward`.
        """
        if x.shape[-1] != self.layout.n_inputs:
            raise InputError(
                f"input of shape {tuple(x.shape)}; the equations were found for {self.layout.n_inputs} inputs "
                f"in the last dimension."
            )
        if self.transforms is None:
            return self.function(x, live)
        flat = x.reshape(-1, x.shape[-1])
        return self.function(self.transforms(flat), live).reshape(*x.shape[:-1], -1)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The block's arguments in, a result of the block's structure out."""
        return self.layout.wrap(self.rows(self.layout.join(args, kwargs)))
