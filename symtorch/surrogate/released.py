"""What is left of a block whose weights were released."""

from __future__ import annotations

from typing import Any

from torch import nn

from symtorch.errors import ReleasedError


class Released(nn.Module):
    """In a block's place once its weights are gone: no parameters, and an error for whoever calls it.

    Args:
        block_name: of the block.
        kind: the class that it was of.
        n_bytes: that its parameters and buffers took.
    """

    def __init__(self, block_name: str, kind: str, n_bytes: int) -> None:
        super().__init__()
        self.block_name = block_name
        self.kind = kind
        self.n_bytes = n_bytes

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise self.error()

    def error(self) -> ReleasedError:
        """What to say to those who want the block."""
        return ReleasedError(
            f"the weights of {self.block_name!r}, a {self.kind}, were released; only its equations are left. Load the "
            f"original model to have the block again."
        )

    def extra_repr(self) -> str:
        return f"{self.kind}, {self.n_bytes:,} bytes"


def bytes_of(block: nn.Module) -> int:
    """Bytes of its parameters and buffers."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*block.parameters(), *block.buffers()))
