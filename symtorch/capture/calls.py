"""How the arguments of a block's call become columns of a matrix, and columns arguments again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np
import torch

from symtorch.errors import InputError, listed

Key = int | str
"""Position of a positional argument, or name of a keyword argument."""

_SIMPLE = (type(None), bool, int, float, str, torch.dtype, torch.device)


@dataclass(frozen=True)
class Argument:
    """One tensor argument of a block.

    Attributes:
        key: position, or keyword.
        width: how many columns of X it fills.
        rank: number of its dimensions.
        scalar: one number per sample, without a feature dimension of its own.
        dtype: its type.
        device: where it was; None for a NumPy array.
        table: for a DataFrame what makes one of rows (n, width), and the names of its columns.
    """

    key: Key
    width: int
    rank: int
    scalar: bool
    dtype: torch.dtype
    device: torch.device | None
    table: tuple[Callable[..., Any], tuple[Any, ...]] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{_name(self.key)} ({self.width} column{'s' if self.width > 1 else ''})"


@dataclass(frozen=True)
class Result:
    """Where the outputs are in what a block returns.

    Attributes:
        dtype: type of the outputs.
        scalar: one output, without a feature dimension of its own.
        kind: "tensor", "tuple", "list" or "dict".
        keys: of the parts of a tuple, list or dict.
        index: key of the part that holds the outputs; None for a tensor.
        cls: class of a dict or a named tuple that is more than one.
    """

    dtype: torch.dtype = torch.float32
    scalar: bool = False
    kind: str = "tensor"
    keys: tuple[Key, ...] = ()
    index: Key | None = None
    cls: type | None = None

    @property
    def running(self) -> np.dtype:
        """NumPy's type of the outputs; where it has none (bfloat16), the one with the same range, float32."""
        known = {torch.float64: np.float64, torch.float16: np.float16}
        return np.dtype(known.get(self.dtype, np.float32))

    def wrap(self, outputs: torch.Tensor) -> Any:
        """Outputs (..., n_outputs) in the structure that the block returns; its other parts are None."""
        tensor = outputs.squeeze(-1) if self.scalar else outputs
        if self.kind == "tensor":
            return tensor
        parts = {key: tensor if key == self.index else None for key in self.keys}
        if self.kind == "dict":
            return parts if self.cls is None else self.cls(**{str(key): part for key, part in parts.items()})
        if self.kind == "list":
            return list(parts.values())
        return tuple(parts.values()) if self.cls is None else self.cls(*parts.values())

    def unwrap(self, value: Any) -> torch.Tensor:
        """The outputs (..., n_outputs) in what the block has returned: what :meth:`wrap` undoes."""
        if self.kind == "tensor":
            part = value
        elif self.kind == "dict" or isinstance(self.index, int):
            part = value[self.index]
        else:
            part = getattr(value, str(self.index))
        tensor = torch.as_tensor(part)
        return tensor.unsqueeze(-1) if self.scalar else tensor


@dataclass(frozen=True)
class Layout:
    """How a block's call makes rows: the columns of X as its arguments, those of Y as its result.

    Attributes:
        arguments: those that fill the columns of X, left to right.
        constants: the other arguments, in so far as they are plain values: used to call the block again.
        complete: whether nothing but ``arguments`` and ``constants`` was passed, the same in every call.
        result: where the outputs are in what the block returns.
    """

    arguments: tuple[Argument, ...]
    constants: Mapping[Key, Any] = field(default_factory=dict)
    complete: bool = True
    result: Result = Result()

    @property
    def n_inputs(self) -> int:
        return sum(argument.width for argument in self.arguments)

    def fits(self, other: Layout) -> bool:
        """Whether columns mean the same in both."""

        def columns(layout: Layout) -> list[Any]:
            return [layout.result.scalar, *((a.key, a.width, a.scalar) for a in layout.arguments)]

        return columns(self) == columns(other)

    def join(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor:
        """The arguments of a call, tensors, as one (..., n_inputs).

        Raises:
            InputError: an argument is missing or does not have the width it was captured with.
        """
        tensors = []
        for a in self.arguments:
            value = kwargs.get(a.key) if isinstance(a.key, str) else args[a.key] if a.key < len(args) else None
            if not isinstance(value, torch.Tensor):
                raise InputError(f"{_name(a.key)} is {describe(value)}; the equations need it, as a tensor.")
            tensor = value.unsqueeze(-1) if a.scalar else value
            if tensor.dim() == 0 or tensor.shape[-1] != a.width:
                raise InputError(
                    f"{_name(a.key)} has shape {tuple(value.shape)}; the equations were found for {a.width} features "
                    f"in its last dimension."
                )
            tensors.append(tensor if tensor.is_floating_point() else tensor.to(self.result.dtype))
        if len(tensors) == 1:
            return tensors[0]
        leading = torch.broadcast_shapes(*(t.shape[:-1] for t in tensors))
        return torch.cat([t.expand(*leading, t.shape[-1]) for t in tensors], dim=-1)

    def wrap(self, outputs: torch.Tensor) -> Any:
        """Outputs (..., n_outputs) in the structure that the block returns."""
        return self.result.wrap(outputs)

    def call(self, block: Any, X: np.ndarray, full_rank: bool = False) -> Any:
        """What the block returns for these rows (n, n_inputs).

        Args:
            full_rank: give each argument the rank that it had when it was captured (leading
                dimensions n, 1, 1, ...) rather than (n, width).
        """
        values = dict(self.constants)
        start = 0
        extra = max(a.rank + a.scalar for a in self.arguments) - 2 if full_rank else 0
        for argument in self.arguments:
            columns = np.ascontiguousarray(X[:, start : start + argument.width])
            start += argument.width
            shape = (len(X), *[1] * extra) + (() if argument.scalar else (argument.width,))
            tensor = torch.from_numpy(columns).reshape(shape).to(argument.dtype)
            array = tensor.numpy() if argument.device is None else tensor.to(argument.device)
            if argument.table is not None and tensor.dim() == 2:
                make, names = argument.table
                array = make(array, columns=list(names))
            values[argument.key] = array
        args = [values[key] for key in sorted(key for key in values if isinstance(key, int))]
        return block(*args, **{key: value for key, value in values.items() if isinstance(key, str)})


@dataclass(frozen=True)
class Call:
    """The arguments of one call, with the leading shape that makes them samples."""

    layout: Layout
    tensors: tuple[torch.Tensor, ...]  # each (*leading, width) once broadcast
    leading: torch.Size

    @property
    def of_ids(self) -> bool:
        """Whether all arguments are integers, as those of an embedding are."""
        return not any(a.dtype.is_floating_point or a.dtype is torch.bool for a in self.layout.arguments)

    @property
    def ambiguous(self) -> bool:
        """Vectors only: the features of one sample, or one number for each of many? The output tells."""
        return not self.leading and all(a.rank <= 1 for a in self.layout.arguments)

    def resolve(self, output: torch.Size) -> Call:
        """Read vectors (n,) with an output (n,) as n samples of one number each."""
        shape = _broadcast([t.shape for t in self.tensors]) if self.ambiguous else torch.Size()
        if len(shape) != 1 or len(output) != 1 or shape != output:
            return self
        given = self.layout.arguments
        arguments = tuple(Argument(a.key, 1, a.rank, True, a.dtype, a.device) for a in given)
        tensors = tuple(t if a.scalar else t.unsqueeze(-1) for a, t in zip(given, self.tensors, strict=True))
        return Call(Layout(arguments, self.layout.constants, self.layout.complete), tensors, shape)

    def rows(self, positions: torch.Tensor | None) -> list[torch.Tensor]:
        """The samples at these positions (k,) of the flattened leading dimensions: a (k, width) copy per argument."""
        return [take(t.expand(*self.leading, t.shape[-1]), positions) for t in self.tensors]


def read_call(args: Sequence[Any], kwargs: Mapping[str, Any], chosen: Sequence[Key] | None = None) -> Call:
    """Sort the arguments of a call into samples and constants.

    The last dimension of a tensor holds features, the leading ones samples; leading dimensions
    broadcast. A tensor of one dimension fewer than the largest, whose shape broadcasts to the
    leading one, holds one number per sample.

    Args:
        chosen: keys of the arguments that count; None for every tensor or array.
    """
    found: dict[Key, torch.Tensor] = {}
    devices: dict[Key, torch.device | None] = {}
    tables: dict[Key, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
    constants: dict[Key, Any] = {}
    complete = True
    given: list[tuple[Key, Any]] = [*enumerate(args), *kwargs.items()]
    for key, value in given:
        if is_data(value) and (chosen is None or key in chosen):
            devices[key] = value.device if isinstance(value, torch.Tensor) else None
            if is_table(value):
                tables[key] = type(value), tuple(value.columns)
            found[key] = as_tensor(value, f"{_name(key)} of the block").detach()
        elif is_simple(value):
            constants[key] = value
        else:
            complete = False
    _check_chosen(chosen, found, args, kwargs)
    rank = max(t.dim() for t in found.values())
    largest = [t.shape[:-1] for t in found.values() if t.dim() == rank]
    try:
        outline = _broadcast(largest)
        scalar = {key: t.dim() == 0 or _is_scalar(t.shape, outline) for key, t in found.items()}
        tensors = {key: t.unsqueeze(-1) if scalar[key] else t for key, t in found.items()}
        leading = _broadcast([t.shape[:-1] for t in tensors.values()])
    except RuntimeError:
        shapes = ", ".join(f"{_name(key)} {tuple(t.shape)}" for key, t in found.items())
        raise InputError(
            f"the block's inputs have leading dimensions that do not go together: {shapes}. "
            f"Say which of them count, as arguments={list(found)[:1]}."
        ) from None
    arguments = tuple(
        Argument(key, tensors[key].shape[-1], t.dim(), scalar[key], t.dtype, devices[key], tables.get(key))
        for key, t in found.items()
    )
    for a in arguments:
        if a.width == 0:
            raise InputError(f"{_name(a.key)} of the block has shape {tuple(found[a.key].shape)}: it has no features.")
    return Call(Layout(arguments, constants, complete), tuple(tensors.values()), leading)


def read_output(output: Any, index: Key | None, leading: torch.Size) -> tuple[torch.Tensor, Result]:
    """The outputs (*leading, n_outputs) in what a block returned, and where they were.

    An output of shape ``leading`` is one output per sample.

    Args:
        index: key of the part that counts, where it is a tuple or a dict.
        leading: leading dimensions of the inputs.

    Raises:
        InputError: there are several parts and no index, or none of that index; values that aren't real
            numbers; leading dimensions that are not those of the inputs.
    """
    tensor, result = find_output(output, index)
    if tensor.shape == leading:
        return tensor.unsqueeze(-1), replace(result, scalar=True)
    if tensor.dim() and tensor.shape[:-1] == leading:
        return tensor, result
    raise InputError(
        f"the block turns inputs with leading dimensions {tuple(leading)} into an output of shape "
        f"{tuple(tensor.shape)}; expected {(*leading, 'n_outputs')}. The last dimension holds the features, "
        f"all others are samples. Wrap a part of the model that keeps them, or name its inputs with arguments=[...]."
    )


def find_output(output: Any, index: Key | None) -> tuple[torch.Tensor, Result]:
    """The tensor that a block returned, or the part of it that ``index`` names, whatever its shape."""
    result = Result()
    if isinstance(output, (tuple, list, Mapping)):
        output, result = _part(output, index)
    elif index is not None:
        raise InputError(f"the block returns one tensor; output_index={index!r} does not apply, leave it out.")
    elif not (isinstance(output, (torch.Tensor, np.generic)) or hasattr(output, "__array__")):
        raise InputError(f"the block returned a {type(output).__name__}; expected a tensor or an array.")
    tensor = as_tensor(output, "the block's output").detach()
    if tensor.is_complex():
        raise InputError(
            f"the block's output is of type {tensor.dtype}; expected real numbers. Split it into real and imaginary "
            f"part."
        )
    if not tensor.is_floating_point():  # counts, classes, decisions: what stands for them gives real numbers
        tensor = tensor.to(torch.float64)
    return tensor, replace(result, dtype=tensor.dtype)


def take(tensor: torch.Tensor, positions: torch.Tensor | None) -> torch.Tensor:
    """Copy samples of a tensor (*leading, width), by their positions in the flattened leading dimensions: (k, width).

    Args:
        positions: (k,), int64; None for all.
    """
    width = tensor.shape[-1]
    if positions is None:
        rows = torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device).copy_(tensor)
        return rows.view(-1, width)
    positions = positions.to(tensor.device, non_blocking=True)
    if tensor.is_contiguous():
        return tensor.view(-1, width).index_select(0, positions)
    # Advanced indexing reads any view, expanded or transposed, without making it contiguous first.
    return (
        tensor[torch.unravel_index(positions, tensor.shape[:-1])] if tensor.dim() > 1 else tensor.reshape(1, -1).clone()
    )


def is_data(value: Any) -> bool:
    """Whether it holds samples: a tensor, an array, or what NumPy reads as one, such as a DataFrame."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return True
    return hasattr(value, "__array__") and not isinstance(value, (np.generic, type))


def is_table(value: Any) -> bool:
    """Whether it is a DataFrame, of whatever library."""
    return hasattr(value, "columns") and hasattr(value, "__array__") and not isinstance(value, type)


def as_tensor(value: Any, what: str) -> torch.Tensor:
    """Tensor of a tensor, or of anything NumPy reads as numbers."""
    if isinstance(value, torch.Tensor):
        return value
    array = np.asarray(value)
    if array.dtype == object and all(isinstance(item, (Real, np.bool_)) for item in array.flat):
        array = array.astype(np.float64)  # a table with columns of several types
    if array.dtype.kind not in "fiubc":
        columns = ""
        if is_table(value) and hasattr(value, "dtypes"):
            kinds = (f"{name}: {kind}" for name, kind in zip(value.columns, value.dtypes, strict=True))
            columns = f" Its columns: {listed(kinds)}."
        labels = " Class names are such; a classifier's probabilities are numbers (predict_proba)."
        hint = labels if array.dtype.kind in "OUS" and "output" in what else columns
        raise InputError(f"{what} holds values of type {array.dtype}; expected numbers.{hint}")
    if array.dtype == np.longdouble and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()  # PyTorch takes neither read-only nor reversed memory
    return (
        torch.from_numpy(array)
        if array.dtype.isnative
        else torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    )


def _broadcast(shapes: Sequence[torch.Size]) -> torch.Size:
    """torch.broadcast_shapes, which takes long even where there is nothing to do."""
    first = shapes[0]
    return first if all(shape == first for shape in shapes) else torch.broadcast_shapes(*shapes)


def _is_scalar(shape: torch.Size, outline: torch.Size) -> bool:
    if len(shape) != len(outline):
        return False
    return all(size in (1, length) for size, length in zip(shape, outline, strict=True))


def is_simple(value: Any) -> bool:
    return isinstance(value, _SIMPLE) or (isinstance(value, tuple) and all(is_simple(v) for v in value))


def _check_chosen(chosen: Sequence[Key] | None, found: Mapping[Key, Any], args: Any, kwargs: Any) -> None:
    missing = [key for key in chosen or () if key not in found]
    if found and not missing:
        return
    given = [
        *(f"{i}: {describe(a)}" for i, a in enumerate(args)),
        *(f"{k!r}: {describe(v)}" for k, v in kwargs.items()),
    ]
    wanted = f"no tensor argument {missing}" if missing else "no tensor argument"
    raise InputError(f"the block was called with {wanted}; it got {', '.join(given) or 'nothing'}.")


def _part(output: Any, index: Key | None) -> tuple[Any, Result]:
    is_map = isinstance(output, Mapping)
    parts = dict(output) if is_map else dict(enumerate(output))
    keys = tuple(parts)

    def what() -> str:
        return ", ".join(f"{key!r}: {describe(value)}" for key, value in parts.items())

    if index is None:
        raise InputError(f"the block returns a {type(output).__name__} ({what()}); say which part with output_index.")
    if isinstance(index, int) and index not in parts and -len(keys) <= index < len(keys):
        index = keys[index]  # from the end; or a position in a ModelOutput of Hugging Face
    if index not in parts:
        raise InputError(f"output_index={index!r} is not in what the block returns: {what()}.")
    if not isinstance(parts[index], (torch.Tensor, np.ndarray)):
        kind = type(parts[index]).__name__
        raise InputError(f"output_index={index!r} is a {kind}, not a tensor; there are {what()}.")
    kind = "dict" if is_map else "list" if isinstance(output, list) else "tuple"
    cls = None if type(output) in (dict, tuple, list) else type(output)
    return parts[index], Result(kind=kind, keys=keys, index=index, cls=cls)


def expected_callable(given: Any) -> str:
    """What to pass in the place of something that can't be called."""
    methods = [name for name in ("predict", "predict_proba") if callable(getattr(given, name, None))]
    if methods:
        return f"pass a method of it, such as {' or '.join(methods)}"
    return "expected an nn.Module or a callable"


def describe(value: Any) -> str:
    """A short text on what an argument is."""
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" {tuple(shape)}" if isinstance(shape, tuple) else "")


def _name(key: Key) -> str:
    return f"argument {key}" if isinstance(key, int) else f"argument {key!r}"
