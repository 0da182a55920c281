"""Classes under names that they had before torch-symbolic 1.0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from symtorch.model import SymbolicModel


class SymbolicMLP(SymbolicModel):
    """A SymbolicModel whose arguments are called ``mlp`` and ``mlp_name``."""

    def __init__(
        self,
        mlp: nn.Module | Callable[..., Any] | None = None,
        mlp_name: str | None = None,
        *,
        block: nn.Module | Callable[..., Any] | None = None,
        block_name: str | None = None,
    ) -> None:
        super().__init__(mlp if block is None else block, mlp_name or block_name)  # type: ignore[arg-type]
