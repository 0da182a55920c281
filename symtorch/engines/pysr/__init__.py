"""PySR as an engine. Importing this starts no Julia; PySR runs in worker processes."""

from symtorch.engines.pysr.engine import PySREngine
from symtorch.engines.pysr.parameters import lazy
from symtorch.engines.pysr.pool import Limits
from symtorch.engines.pysr.readiness import is_ready

__all__ = ["Limits", "PySREngine", "is_ready", "lazy"]
