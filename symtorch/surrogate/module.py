"""What stands in a block's place: the chosen equations behind the block's own call signature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from symtorch.capture.calls import as_tensor
from symtorch.codegen.torch_function import SymbolicFunction, is_plain
from symtorch.equations.expr import Constant, Expr, Variable, constants, walk, with_constants
from symtorch.errors import InputError
from symtorch.surrogate.encodings.base import Encoding
from symtorch.surrogate.interface import Interface


def written_out(exprs: Sequence[Expr | None], interface: Interface) -> tuple[list[Expr], bool]:
    """The trees over the block's own inputs, where every variable can be written in them.

    Formulas become part of the one function that way: shared subterms, nothing in between.

    Args:
        exprs: None stands for zero.

    Returns:
        the trees, and whether they are over the block's inputs; else over the variables, as they came.
    """
    trees = [Constant(0.0) if expr is None else expr for expr in exprs]
    if not can_write_out(interface):
        return trees, False
    expanded = [interface.encoding.expand(tree) for tree in trees]
    found = [tree for tree in expanded if tree is not None]
    return (found, True) if len(found) == len(trees) else (trees, False)


def can_write_out(interface: Interface) -> bool:
    """Whether every variable can be written in the block's own inputs."""
    encoding, n_variables = interface.encoding, len(interface.variable_names)
    return not encoding.unwritten and all(encoding.expand(Variable(j)) is not None for j in range(n_variables))


def n_columns(interface: Interface) -> int:
    """How many columns the equations in a block's place are over: the block's inputs, or else the variables."""
    return interface.layout.n_inputs if can_write_out(interface) else len(interface.variable_names)


def own_positions(expr: Expr, tree: Expr) -> list[int]:
    """Which constants of a tree made by substitution in ``expr`` are those of ``expr`` (the same objects)."""
    mine = {id(node) for node in walk(expr) if isinstance(node, Constant)}
    all_constants = (node for node in walk(tree) if isinstance(node, Constant))
    return [k for k, node in enumerate(all_constants) if id(node) in mine]


def same_but_constants(tree: Expr, other: Expr) -> bool:
    """Whether two trees differ in the values of their constants only."""
    values = constants(other)
    return len(constants(tree)) == len(values) and with_constants(tree, values) == other


class Surrogate(nn.Module):
    """The equations of all outputs as one function of the block's arguments.

    Args:
        exprs: one tree per searched output, over the variables of the search; None for one that is always
            zero (a pruned one).
        interface: how the block's arguments make those variables, and the equations its result.
        trained: the trees that :meth:`SymbolicFunction.expressions` gave of such a surrogate after training;
            None for the trees as they are.

    Attributes:
        function: the equations as a module; its constants are parameters.
        maps: the numbers of the encoding as a module, where it has any that can be tuned; else None.
        encodes: whether it is over the variables; else they are written out, over the block's own inputs.
        untrained: the trees of the function before any training.
        own: for each of them, which of its constants are the equation's; the others are of variables written out.
    """

    def __init__(
        self, exprs: Sequence[Expr | None], interface: Interface, trained: Sequence[Expr] | None = None
    ) -> None:
        super().__init__()
        self.interface = interface
        self.layout = interface.layout
        self._n_inputs, self._searches = interface.layout.n_inputs, interface.n_searched > 0
        exprs = exprs or [None]  # a function has one output at least, be it that nobody asks for it
        trees, expanded = written_out(exprs, interface)
        self.encodes = not expanded
        self.untrained = trees
        self.own = [[] if e is None else own_positions(e, tree) for e, tree in zip(exprs, trees, strict=True)]
        now = trees if trained is None else trained
        self.function = SymbolicFunction(now, n_columns(interface)).use_compiled("auto")
        self.function.hold([_held(*each) for each in zip(trees, now, self.own, strict=True)])
        self.maps = interface.encoding.maps()

    def rows(self, x: Tensor, live: Tensor | None = None) -> Tensor:
        """(..., n_inputs) -> (..., n_outputs): the equations on the joined inputs of the block.

        Args:
            x: (..., n_inputs).
            live: as for :meth:`SymbolicFunction.forward`.
        """
        if not self.encodes:
            return self.interface.encoding.decode(self.searched(x, live), x)
        self._check_width(x)
        if x.ndim > 1 and is_plain(x) and x.numel() == self._n_inputs:
            flat = x.reshape(-1)  # a product of a matrix and a vector is quicker than one of matrices
        else:
            flat = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
        variables, decode = self.encoding.split(flat, self.maps)
        outputs: Tensor = decode(self._values(variables, live))
        return outputs if x.ndim == flat.ndim else outputs.reshape(*x.shape[:-1], outputs.shape[-1])

    @property
    def encoding(self) -> Encoding:
        """That of the interface, as it was before any tuning of the maps."""
        return self.interface.encoding

    def tuned_interface(self) -> Interface:
        """The interface with the encoding that the maps make now; itself where they are as they were."""
        now = self.encoding if self.maps is None else self.encoding.tuned(self.maps)
        return self.interface if now is self.encoding else replace(self.interface, encoding=now)

    def searched(self, x: Tensor, live: Tensor | None = None) -> Tensor:
        """(..., n_inputs) -> (..., n_searched): the values of the equations themselves."""
        self._check_width(x)
        if not self.encodes:
            return self._values(x, live)
        values = self._values(self.encoding.split(x.reshape(-1, x.shape[-1]), self.maps)[0], live)
        return values.reshape(*x.shape[:-1], values.shape[-1])

    def _values(self, columns: Tensor, live: Tensor | None) -> Tensor:
        """Of the equations, for what they are over."""
        if not self._searches:  # an encoding that does all of it
            return columns.narrow(-1, 0, 0)
        return self.function.forward(columns, live)

    def _check_width(self, x: Tensor) -> None:
        if x.shape[-1] != self._n_inputs:
            raise InputError(
                f"input of shape {tuple(x.shape)}; the equations were found for {self.layout.n_inputs} inputs "
                f"in the last dimension."
            )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The block's arguments in, a result of the block's structure out."""
        return self.layout.wrap(self.rows(self.layout.join(args, kwargs)))


def _held(tree: Expr, now: Expr, own: Sequence[int]) -> list[int]:
    """Constants that training leaves alone: what the user wrote as a variable stays as it is."""
    return sorted({*range(len(constants(tree)))} - {*own}) if same_but_constants(tree, now) else []


def output_function(surrogate: Surrogate, output: int) -> Callable[[Any], np.ndarray]:
    """One output as a function of the block's inputs, tensor or array (n_rows, n_inputs), to an array (n_rows,)."""

    def function(x: Any) -> np.ndarray:
        x = as_tensor(x, "x")
        with torch.no_grad():
            return surrogate.to(x.device).rows(x if x.is_floating_point() else x.double())[..., output].cpu().numpy()

    return function
