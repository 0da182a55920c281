"""Search engines behind one protocol."""

from symtorch.engines.base import Engine, Progress, ProgressCallback, register, resolve

__all__ = ["Engine", "Progress", "ProgressCallback", "register", "resolve"]
