"""Training the constants of equations inside the model that they are part of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from symtorch.codegen.torch_function import SymbolicFunction
from symtorch.equations.expr import Expr
from symtorch.errors import InputError, NotDistilledError, UndefinedError
from symtorch.surrogate.in_place import InPlace

Loss = Callable[[nn.Module, Any], Tensor]
"""(model, batch) -> scalar."""


def fit_constants(model: nn.Module, data: Any, loss: Loss, steps: int = 200, tolerance: float = 1e-12) -> float:
    """Fit the constants of all equations in a model to a loss of the whole model, by L-BFGS.

    Nothing else of the model changes, nor do its modes and which parameters ask for gradients. The
    constants are left at the lowest loss that was seen; if anything raises, as they were.

    Args:
        model: a model that holds SymbolicModels switched to their equations, or one itself.
        data: one batch, or a list or DataLoader of batches, which are averaged.
        loss: ``loss(model, batch)`` is what becomes small, a scalar tensor. It may take gradients of
            the model by its inputs (``create_graph=True``), as the residual of a PDE does.
        steps: iterations of L-BFGS at most.
        tolerance: stop where the largest gradient, by constants in units of what they are at first, is under this.

    Returns:
        the loss that was reached.

    Raises:
        InputError: the loss isn't a finite scalar to begin with, or doesn't depend on the constants; or
            there is no data.
        NotDistilledError: no equations are in use.
    """
    return _minimize(model, _functions_in_use(model), batches_of(data), loss, steps, tolerance)


def batches_of(data: Any) -> list[Any]:
    """The batches that a user means by one batch, a list or a DataLoader.

    Raises:
        InputError: there are none.
    """
    batches = list(data) if isinstance(data, (list, DataLoader)) else [data]
    if not batches:
        raise InputError("data is empty; expected at least one batch.")
    return batches


def _minimize(
    model: nn.Module,
    functions: Sequence[SymbolicFunction],
    batches: Sequence[Any],
    loss: Loss,
    steps: int,
    tolerance: float,
) -> float:
    with _only_trainable(model, functions) as parameters:
        # Steps are relative to the constants: L-BFGS hardly moves 700 beside 0.1, whose gradients differ as much.
        sizes = [torch.where(p == 0, 1.0, p.detach().abs()) for p in parameters]
        relative = [p.detach() / size for p, size in zip(parameters, sizes, strict=True)]
        optimizer = torch.optim.LBFGS(
            relative, max_iter=steps, max_eval=4 * steps, tolerance_grad=tolerance, tolerance_change=0.0,
            history_size=20, line_search_fn="strong_wolfe",
        )  # fmt: skip
        start = [p.detach().clone() for p in parameters]
        best, best_loss = start, math.inf

        def closure() -> Tensor:
            nonlocal best, best_loss
            with torch.no_grad():
                for parameter, q, size in zip(parameters, relative, sizes, strict=True):
                    parameter.copy_(q * size)
                    parameter.grad = None
            try:
                value = _mean_loss(model, batches, loss)
            except UndefinedError:  # of guard="raise"
                if best_loss == math.inf:
                    raise
                value = math.inf
            for parameter, q, size in zip(parameters, relative, sizes, strict=True):
                q.grad = None if parameter.grad is None else parameter.grad * size
            if value < best_loss:
                best, best_loss = [p.detach().clone() for p in parameters], value
            # A step into where the equation is undefined is one that the line search must shorten.
            return torch.tensor(value if math.isfinite(value) else 1e300, dtype=torch.float64)

        kept = start
        try:
            if not math.isfinite(float(closure())) or best_loss == math.inf:
                raise InputError(
                    "the loss is not finite for the constants as they are; check the data, or use a guard."
                )
            if all(p.grad is None for p in parameters):
                raise InputError("the loss does not depend on the constants of any equation in use.")
            optimizer.step(closure)
            kept = best
        finally:
            with torch.no_grad():
                for parameter, value in zip(parameters, kept, strict=True):
                    parameter.copy_(value)
                    parameter.grad = None
    return best_loss


def _mean_loss(model: nn.Module, batches: Sequence[Any], loss: Loss) -> float:
    """Mean loss over the batches; its gradient is added to the parameters'."""
    total = 0.0
    for batch in batches:
        value = loss(model, batch)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise InputError(f"loss returned {type(value).__name__}; expected a tensor with one number.")
        value = value.reshape(()) / len(batches)
        if value.requires_grad:
            value.backward()
        total += float(value.detach())
    return total


def _functions_in_use(model: nn.Module) -> list[SymbolicFunction]:
    in_use = [m for m in model.modules() if isinstance(m, InPlace) and m.in_use]
    if not in_use:
        raise NotDistilledError("no equations are in use; call distill(...) and switch_to_symbolic() first.")
    functions = [m.function for m in in_use if m.function.constants.numel()]
    if not functions:
        raise InputError("the equations in use have no constants to fit.")
    return functions


@contextmanager
def _only_trainable(model: nn.Module, functions: Sequence[SymbolicFunction]) -> Iterator[list[nn.Parameter]]:
    """Within it the equations' constants ask for gradients, and no other parameter."""
    before = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    chosen = [f.constants for f in functions]
    try:
        for parameter, _, _ in before:
            parameter.requires_grad_(False)
        for parameter in chosen:
            parameter.requires_grad_(True)
        with torch.enable_grad():
            yield chosen
    finally:
        for parameter, wanted, grad in before:
            parameter.requires_grad_(wanted)
            parameter.grad = grad


def refit(expr: Expr, X: np.ndarray, y: np.ndarray, steps: int = 200) -> Expr:
    """The equation with the constants that fit best, from where they are, by squared error.

    >>> from symtorch.equations import parse
    >>> from symtorch.equations.expr import constants
    >>> x = np.linspace(0, 3, 50)
    >>> tree = refit(parse("2*sin(1.2*x)", ["x"]), x[:, None], 3 * np.sin(1.5 * x))
    >>> [round(c, 6) for c in constants(tree)]
    [3.0, 1.5]

    Args:
        expr: over the columns of X.
        X: (n_samples, n_inputs).
        y: (n_samples,).
        steps: iterations of L-BFGS at most.
    """
    function = SymbolicFunction([expr], X.shape[1])
    if not function.constants.numel():
        return expr
    spread = max(float(np.var(y)), 1e-300)
    data = torch.from_numpy(np.asarray(X, dtype=np.float64)), torch.from_numpy(np.asarray(y, dtype=np.float64))

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (model(batch[0])[:, 0] - batch[1]).square().mean() / spread

    _minimize(function, [function], [data], loss, steps, tolerance=1e-14)
    return function.expressions()[0]
