"""What a block does with rows on which its equations are undefined.

An equation can be undefined off the data that it was found on: the logarithm of a negative number, a
division by zero, an overflow. A row is bad where any output is NaN or infinite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from symtorch.codegen.torch_function import gradient_wanted
from symtorch.errors import InputError, UndefinedError
from symtorch.surrogate.module import Surrogate

GUARDS = ("none", "raise", "block")


def check_guard(guard: str) -> None:
    """Raise InputError unless this is a guard."""
    if guard not in GUARDS:
        raise InputError(f"guard is {guard!r}; expected one of {', '.join(map(repr, GUARDS))}.")


def require_finite(outputs: Tensor, equations: Callable[[], Mapping[int, Any]], block_name: str) -> None:
    """Raise for the first output with NaN or infinite values; waits for the device.

    Args:
        outputs: (..., n_outputs).
        equations: gives {output: equation}, for the message.

    Raises:
        UndefinedError: names the output, the rows and the equation.
    """
    bad = ~torch.isfinite(outputs.detach()).reshape(-1, outputs.shape[-1])
    if not bool(bad.any()):
        return
    output = int(bad.any(dim=0).nonzero()[0])
    rows = bad[:, output].nonzero().flatten().tolist()
    shown = ", ".join(map(str, rows[:10])) + (", ..." if len(rows) > 10 else "")
    raise UndefinedError(
        f"output {output} of {block_name!r} is undefined on {len(rows)} of {len(bad)} rows ({shown}): "
        f"y{output} = {equations().get(output, '0')}. Use guard='block' to let the block answer for such rows."
    )


def with_block(
    surrogate: Surrogate, x: Tensor, block: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Tensor:
    """The equations' outputs, with the block's own answer on bad rows. Nothing waits for the device.

    Args:
        surrogate: the equations.
        x: (..., n_inputs), the arguments joined.
        block: what answers for bad rows.
        args: of the call.
        kwargs: of the call.

    Returns:
        (..., n_outputs).
    """
    outputs, defined = _where_defined(surrogate, x)
    answer = surrogate.layout.result.unwrap(block(*args, **kwargs))
    return torch.where(defined, outputs, answer.to(outputs.dtype))


def _where_defined(surrogate: Surrogate, x: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs (..., n_outputs), and on which rows they are defined (..., 1).

    For a gradient, bad rows are computed on the inputs of a good one: the derivative of an undefined
    value is NaN, and stays NaN when ``torch.where`` weighs it with zero.
    """
    if x.numel() == 0 or not gradient_wanted(x, surrogate.function.constants):
        outputs = surrogate.rows(x)
        return outputs, _is_defined(outputs)
    with torch.no_grad():
        defined = _is_defined(surrogate.rows(x))
    first = defined.reshape(-1).to(torch.int32).argmax().reshape(1)
    good = x.detach().reshape(-1, x.shape[-1]).index_select(0, first).reshape(-1)
    # Without any good row, the constants must not learn from bad ones either.
    return surrogate.rows(torch.where(defined, x, good), live=defined.any()), defined


def _is_defined(outputs: Tensor) -> Tensor:
    return torch.isfinite(outputs).all(dim=-1, keepdim=True)
