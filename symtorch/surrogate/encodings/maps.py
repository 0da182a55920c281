"""The linear maps around equations as a module: what a forward pass multiplies by, and what tuning changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Maps(nn.Module):
    """Named affine maps, in float32 whatever the module is cast to, and applied in the type of what they are given.

    >>> maps = Maps({"double": (2 * np.eye(2), np.ones(2))})
    >>> maps.apply_map("double", torch.tensor([[1.0, 2.0]]))
    tensor([[3., 5.]])

    Args:
        arrays: {name: (weights (n_in, n_out), bias (n_out,))}.
    """

    def __init__(self, arrays: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
        super().__init__()
        self._arrays = dict(arrays)
        for name, (weights, bias) in arrays.items():
            weights = np.ascontiguousarray(weights.T, dtype=np.float32)
            for key, array in ((f"{name}_weight", weights), (f"{name}_bias", bias.astype(np.float32))):
                self.register_parameter(key, nn.Parameter(torch.from_numpy(array.copy()), requires_grad=False))
        self._cast: dict[tuple[str, torch.dtype], tuple[Any, Tensor, Tensor]] = {}

    def apply_map(self, name: str, x: Tensor) -> Tensor:
        """(..., n_in) -> (..., n_out), in x's dtype."""
        # No forward, and no search for attributes: for one row, calling a module is a large part of the work.
        own, own_bias = self._parameters[f"{name}_weight"], self._parameters[f"{name}_bias"]
        assert own is not None
        assert own_bias is not None
        weight: Tensor = own
        bias: Tensor = own_bias
        if weight.dtype != x.dtype:
            weight, bias = self._in(name, x.dtype, weight, bias)
        return torch.addmv(bias, weight, x) if x.ndim == 1 else nn.functional.linear(x, weight, bias)

    def _in(self, name: str, dtype: torch.dtype, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """A map in another precision; what is not being trained is kept in it."""
        if weight.requires_grad or torch.compiler.is_compiling() or torch.jit.is_tracing():
            return weight.to(dtype), bias.to(dtype)
        version = id(weight), weight._version, bias._version, weight.device
        kept = self._cast.get((name, dtype))
        if kept is None or kept[0] != version:
            with torch.inference_mode(False):  # what is kept must serve a backward pass too
                kept = version, weight.detach().to(dtype), bias.detach().to(dtype)
            self._cast[name, dtype] = kept
        return kept[1:]

    @torch.no_grad()
    def sizes(self, x: Tensor) -> list[tuple[nn.Parameter, Tensor]]:
        """The numbers, and by how much they can change before what they make changes by its own size.

        The size of a weight itself says little: a coordinate along which the inputs hardly vary has large weights
        that cancel, and a small share of them is many times the coordinate.

        Args:
            x: (n, n_in) of the first map, rows to measure on.
        """
        found = []
        names = list(self._arrays)
        for name in names:
            weight, bias = self._parameters[f"{name}_weight"], self._parameters[f"{name}_bias"]
            assert weight is not None
            assert bias is not None
            if name == names[0]:
                spread = self.apply_map(name, x).float().std(dim=0)
                around = float(x.float().square().sum(dim=1).mean().sqrt()) or 1.0
                found += [(weight, spread[:, None] / around), (bias, spread)]
            else:
                found += [
                    (weight, weight.square().mean(dim=0, keepdim=True).sqrt()),
                    (bias, bias.square().mean().sqrt()),
                ]
        return found

    def arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]] | None:
        """The maps as they are now, where they differ from those it was made of; None where they do not."""
        if any(p.is_meta for p in self.parameters()):
            return None
        now = {
            name: (
                getattr(self, f"{name}_weight").detach().cpu().numpy().T,
                getattr(self, f"{name}_bias").detach().cpu().numpy(),
            )
            for name in self._arrays
        }
        same = all(
            np.array_equal(new, old.astype(np.float32))
            for name in now
            for new, old in zip(now[name], self._arrays[name], strict=True)
        )
        return None if same else now

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Maps:
        fresh = iter([part for weights, bias in self._arrays.values() for part in (weights.T, bias)])

        def keep_exact(t: Tensor) -> Tensor:
            moved, array = fn(t), next(fresh)
            if t.is_meta and not moved.is_meta:  # to_empty(): the arrays know what belongs there
                return torch.from_numpy(np.array(array, dtype=np.float32)).to(moved.device)
            return moved if moved.dtype == t.dtype else t.to(moved.device)

        self._cast = {}
        return super()._apply(keep_exact, recurse)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cast": {}}
