"""Equations in use: how they stand in a block's place, guarded, compiled, trained."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from symtorch.capture.batches import is_rows
from symtorch.capture.calls import as_tensor, is_data
from symtorch.equations.expr import Expr, constants, with_constants
from symtorch.equations.front import Equation
from symtorch.errors import CompilerError
from symtorch.surrogate.findings import Findings
from symtorch.surrogate.guard import check_guard, require_finite, with_block
from symtorch.surrogate.module import Surrogate, same_but_constants

logger = logging.getLogger("symtorch")


class InPlace(Surrogate):
    """The surrogate that was last put in a block's place.

    Args:
        found: the findings whose chosen equations it is made of.
        kind: which of the block's findings those are, "global" or "local".
        active: the searched outputs that count, the others are zero; each has a chosen equation.
        guard: what happens on rows where an equation is undefined, one of :data:`symtorch.surrogate.guard.GUARDS`.
        trained: the equations with the constants that training has left, as :meth:`trained` gave them;
            None for those of the findings.

    Attributes:
        in_use: whether it answers in the block's place now, or waits with its constants.
        chosen: {output: Equation} as they were when they were put in place.
        compile_as: how they were asked to run, which a machine without a compiler may not be able to.
    """

    def __init__(
        self,
        found: Findings,
        kind: str,
        active: Sequence[int],
        guard: str = "none",
        trained: Sequence[Expr] | None = None,
    ) -> None:
        check_guard(guard)
        interface = found.require()
        chosen = {i: equation for i, equation in found.chosen.items() if i in active}
        exprs = [chosen[i].expr if i in chosen else None for i in range(interface.n_searched)]
        super().__init__(exprs, interface, trained)
        self.kind = kind
        self.guard = guard
        self.compile_as: bool | str = "auto"
        self.in_use = True
        self.chosen = chosen

    def use_compiled(self, compile: bool | str, where_possible: bool = False) -> InPlace:
        """Choose how the equations run; see :meth:`SymbolicFunction.use_compiled`.

        Args:
            compile: True, False or "auto".
            where_possible: run them eagerly, with a word in the log, where there is no compiler.
        """
        try:
            self.function.use_compiled(compile)
        except CompilerError as error:
            if not where_possible:
                raise
            logger.warning("The equations were compiled where they were saved, but run eagerly here: %s", error)
            self.function.use_compiled(False)
        self.compile_as = compile
        return self

    def answer(self, args: Sequence[Any], kwargs: Mapping[str, Any], block: Callable[..., Any], name: str) -> Any:
        """What the equations say, where the guard lets them, in the structure of the block's result.

        NumPy in gives NumPy out.

        Args:
            args: of the call.
            kwargs: of the call.
            block: what answers for undefined rows, with guard "block".
            name: of the block, for messages.
        """
        if kwargs or not all(isinstance(arg, torch.Tensor) for arg in args):
            lists = not any(isinstance(arg, torch.Tensor) for arg in (*args, *kwargs.values()))
            read, read_kwargs = [_read(a, lists) for a in args], {key: _read(a, lists) for key, a in kwargs.items()}
            pairs = zip([*read, *read_kwargs.values()], [*args, *kwargs.values()], strict=True)
            if any(new is not old for new, old in pairs):
                with torch.no_grad():
                    return _to_numpy(self.answer(read, read_kwargs, block, name))
        if self.guard == "none":
            return self.forward(*args, **kwargs)  # for one row, calling a module is a large part of it
        x = self.layout.join(args, kwargs)
        if self.guard == "raise":
            outputs = self.rows(x)
            require_finite(outputs, self.equations, name)
        else:
            outputs = with_block(self, x, block, args, kwargs)
        return self.layout.wrap(outputs)

    def equations(self) -> dict[int, Equation]:
        """{output: Equation} of the chosen ones, with the constants that they have now, where those are finite."""
        if self.function.constants.is_meta:
            return dict(self.chosen)
        trees = self.function.expressions()
        return {i: self._now(i, equation, trees[i]) for i, equation in self.chosen.items()}

    def _now(self, output: int, equation: Equation, tree: Expr) -> Equation:
        """The equation with the constants of ``tree``, which is the same with its variables written out."""
        if not same_but_constants(self.untrained[output], tree):
            return equation  # the trained trees of a state need not be of its equations
        now = constants(tree)
        mine = [now[k] for k in self.own[output]]
        if mine == constants(equation.expr) or not all(map(math.isfinite, mine)):
            return equation
        # What it was judged by was the equation with other constants.
        expr = with_constants(equation.expr, mine)
        return replace(equation, expr=expr, source="", loss=math.inf, score=0.0, r2=None, standard_errors=None)

    def tunable(self, x: torch.Tensor) -> list[tuple[nn.Parameter, torch.Tensor]]:
        """All numbers of it that training can change, the encoding's and constants of equations, and their sizes.

        Args:
            x: (n, n_inputs), rows to measure sizes on.
        """
        maps = [] if self.maps is None else self.maps.sizes(x)
        constants = self.function.constants
        own = [(constants, constants.detach().abs())] if constants.numel() and self.interface.n_searched else []
        return [*maps, *own]

    def trained(self) -> list[Expr] | None:
        """The trees of all outputs, where training has changed a constant of any; None where it has not."""
        trees = self.function.expressions()
        return None if trees == self.untrained else trees


def _read(value: Any, lists: bool) -> Any:
    """A tensor for what NumPy reads as samples, rows of numbers in a list among it if wanted; the rest as it is."""
    if isinstance(value, torch.Tensor) or not (is_data(value) or (lists and is_rows(value))):
        return value
    return as_tensor(value, "an argument of the block")


def _to_numpy(result: Any) -> Any:
    """Tensors to arrays, also inside a tuple or a dict."""
    if isinstance(result, torch.Tensor):
        return result.cpu().numpy()
    if isinstance(result, tuple):
        return tuple(_to_numpy(part) for part in result)
    if isinstance(result, Mapping):
        return {key: _to_numpy(part) for key, part in result.items()}
    return result
