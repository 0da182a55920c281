"""What users give as data: batches, one or a stream of them, and how a model is called with one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import nn

from symtorch.capture.calls import as_tensor, describe, is_data, is_table
from symtorch.errors import InputError


def batches_of(data: Any) -> Iterator[Any]:
    """The batches in what the user gave: one, or those of a stream. Rows of numbers in a list are one array."""
    if is_rows(data):
        data = np.asarray(data)
    if isinstance(data, (torch.Tensor, tuple, Mapping)) or hasattr(data, "__array__"):
        return iter([data])
    if isinstance(data, Iterable) and not isinstance(data, (str, bytes)):
        return iter(data)
    raise InputError(
        f"the data is a {type(data).__name__}; expected a tensor, an array, a tuple (positional arguments), "
        f"a dict (keyword arguments), or an iterable of those."
    )


def is_rows(data: Any) -> bool:
    """Whether it is a list of equally long rows of numbers."""
    if not isinstance(data, list) or not data or not all(isinstance(row, (list, tuple)) for row in data):
        return False
    width = len(data[0])
    return width > 0 and all(len(row) == width and all(isinstance(v, (Real, np.bool_)) for v in row) for row in data)


def arguments_of(batch: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    if isinstance(batch, Mapping):
        return (), batch
    if isinstance(batch, (tuple, list)):
        return batch, {}
    if isinstance(batch, (int, float, str)):
        raise InputError(
            f"a batch is the {type(batch).__name__} {batch!r}; give tensors or arrays, as numpy.asarray(...)."
        )
    return (batch,), {}


_ONE: tuple[int, frozenset[str]] = (1, frozenset())
"""One positional argument."""


def calling() -> Callable[[Any, Any], None]:
    """``call(model, batch)`` for the batches of a stream; what it is given is looked at where it is new."""
    seen: set[tuple[int, frozenset[str]]] = set()

    def call(model: Any, batch: Any) -> None:
        if type(batch) is torch.Tensor and _ONE in seen:
            model(batch)
            return
        args, kwargs = arguments_of(batch)
        given = (len(args), frozenset(kwargs))
        if given not in seen:
            _check_arguments(model, args, kwargs)
            seen.add(given)
        model(*args, **kwargs)

    return call


def _check_arguments(model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    try:
        inspect.signature(model.forward if isinstance(model, nn.Module) else model).bind(*args, **kwargs)
    except TypeError as error:
        given = ", ".join([*map(describe, args), *(f"{k}={describe(v)}" for k, v in kwargs.items())])
        raise InputError(
            f"the model does not take a batch of ({given}): {error}. Where a batch also holds targets or is built "
            f"otherwise, say how to run it: forward=lambda model, batch: model(batch[0])."
        ) from None
    except ValueError:  # a builtin has no signature to look at
        pass


def placed(batch: Any, module: nn.Module) -> Any:
    """The batch with arrays as tensors of the module's type, and everything on its device (if it has one)."""
    return placing(module)(batch)


def placing(module: nn.Module) -> Callable[[Any], Any]:
    """What does to each batch of a stream what :func:`placed` does to one."""
    tensors = [*module.parameters(), *module.buffers()]
    devices = {t.device for t in tensors}
    device = next(iter(devices)) if len(devices) == 1 else None
    dtype = next((t.dtype for t in tensors if t.is_floating_point()), torch.get_default_dtype())

    def place(value: Any) -> Any:
        if type(value) is torch.Tensor and (device is None or value.device == device):  # most batches
            return value
        if is_data(value) and not isinstance(value, torch.Tensor):
            value = as_tensor(value, "the data")
            value = value.to(dtype) if value.is_floating_point() else value
        if isinstance(value, torch.Tensor):
            return value if device is None else value.to(device, non_blocking=True)
        if isinstance(value, Mapping):
            return {key: place(v) for key, v in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(place, value))
        if isinstance(value, (tuple, list)):
            return type(value)(map(place, value))
        return value

    return place


def swapped(batch: Any) -> Any:
    """The batch with arrays for tensors and tensors for arrays."""
    if isinstance(batch, torch.Tensor):
        return batch.detach().to("cpu", torch.float64 if batch.dtype is torch.bfloat16 else None).numpy()
    if hasattr(batch, "__array__"):
        tensor = as_tensor(batch, "the data")
        return tensor.to(torch.get_default_dtype()) if tensor.is_floating_point() else tensor
    if isinstance(batch, Mapping):
        return {key: swapped(value) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return tuple(map(swapped, batch))
    return batch


def as_given(batch: Any) -> Any:
    """The batch itself."""
    return batch


def untabled(batch: Any) -> Any:
    """The batch with arrays for DataFrames."""
    if is_table(batch):
        return as_tensor(batch, "the data").numpy()
    if isinstance(batch, Mapping):
        return {key: untabled(value) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return tuple(map(untabled, batch))
    return batch


def call_either(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Any, Callable[[Any], Any]]:
    """What a plain function returns, and what was done to its arguments before it took them.

    NumPy functions do not always take tensors, nor PyTorch functions arrays, and neither DataFrames.
    """
    tables = any(is_table(value) for value in (*args, *kwargs.values()))
    ways = (as_given, untabled, swapped) if tables else (as_given, swapped)
    first: Exception | None = None
    for way in ways:
        try:
            return function(*way(args), **way(kwargs)), way
        except Exception as error:
            first = first or error
    assert first is not None
    raise first from None


def call_plain(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a plain function with tensors or arrays, whichever it takes; the answer is of the kind given."""
    tensor = next((a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)), None)
    output, _ = call_either(function, args, kwargs)
    if tensor is None:
        return swapped(output) if isinstance(output, torch.Tensor) else output
    if isinstance(output, np.ndarray):
        output = as_tensor(output, "the answer")
        return output.to(tensor.device, tensor.dtype if output.is_floating_point() else None)
    return output
