"""Names of torch-symbolic 1.0 that have better ones now, so that yesterday's notebooks run."""

from __future__ import annotations

import warnings
from typing import Any, Protocol

from symtorch.equations.front import Front


class _NewNames(Protocol):
    """What the old names stand for."""

    @property
    def fronts(self) -> dict[int, Front]: ...

    @property
    def slime_fronts(self) -> dict[int, Front]: ...

    @property
    def n_outputs(self) -> int | None: ...

    def switch_to_symbolic(self, *args: Any, **kwargs: Any) -> None: ...

    def switch_to_block(self) -> None: ...


class LegacyNames:
    """Attributes and methods of SymbolicModel under the names of torch-symbolic 1.0."""

    @property
    def pysr_regressor(self: _NewNames) -> dict[int, Front]:
        """{output: Front}, as ``fronts``."""
        return self.fronts

    @property
    def SLIME_pysr_regressor(self: _NewNames) -> dict[int, Front]:
        """{output: Front}, as ``slime_fronts``."""
        return self.slime_fronts

    @property
    def output_dims(self: _NewNames) -> int | None:
        """Number of outputs, as ``n_outputs``."""
        return self.n_outputs

    def switch_to_equation(self: _NewNames, *args: Any, **kwargs: Any) -> None:
        """Deprecated name of ``switch_to_symbolic``."""
        warn_of_old_name("switch_to_equation", "switch_to_symbolic")
        self.switch_to_symbolic(*args, **kwargs)

    def switch_to_mlp(self: _NewNames) -> None:
        """Deprecated name of ``switch_to_block``."""
        warn_of_old_name("switch_to_mlp", "switch_to_block")
        self.switch_to_block()


def warn_of_old_name(old: str, new: str, stacklevel: int = 3) -> None:
    warnings.warn(f"{old} is an old name and will go; use {new}.", DeprecationWarning, stacklevel=stacklevel)
