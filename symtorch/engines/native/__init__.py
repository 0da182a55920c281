"""The native engine."""

from symtorch.engines.native.engine import NativeEngine
from symtorch.engines.native.flat.search import Budget, FlatSearch, search_flat
from symtorch.engines.native.forms.vocabulary import Vocabulary

__all__ = ["Budget", "FlatSearch", "NativeEngine", "Vocabulary", "search_flat"]
