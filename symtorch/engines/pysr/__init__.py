"""PySR as an engine. Importing this starts no Julia; PySR runs in worker processes."""

from symtorch.engines.pysr.engine import PySREngine
from symtorch.engines.pysr.parameters import lazy
from symtorch.engines.pysr.readiness import is_ready

__all__ = ["PySREngine", "is_ready", "lazy"]
