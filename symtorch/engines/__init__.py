"""Search engines behind one base class."""

from symtorch.engines.base import Availability, Engine, Progress, ProgressCallback
from symtorch.engines.registry import register, resolve, status

__all__ = ["Availability", "Engine", "Progress", "ProgressCallback", "register", "resolve", "status"]
