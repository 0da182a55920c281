"""Names of torch-symbolic 1.0 that have better ones now, so that yesterday's notebooks run."""

from __future__ import annotations

import warnings
from typing import Any

from symtorch.equations.front import Front


class LegacyNames:
    """Attributes and methods of SymbolicModel under the names of torch-symbolic 1.0."""

    @property
    def pysr_regressor(self) -> dict[int, Front]:
        """{output: Front}, as ``fronts``."""
        return self.fronts  # type: ignore[attr-defined]

    @property
    def SLIME_pysr_regressor(self) -> dict[int, Front]:
        """{output: Front}, as ``slime_fronts``."""
        return self.slime_fronts  # type: ignore[attr-defined]

    @property
    def output_dims(self) -> int | None:
        """Number of outputs, as ``n_outputs``."""
        return self.n_outputs  # type: ignore[attr-defined]

    def switch_to_equation(self, *args: Any, **kwargs: Any) -> None:
        """Deprecated name of ``switch_to_symbolic``."""
        warn_of_old_name("switch_to_equation", "switch_to_symbolic")
        self.switch_to_symbolic(*args, **kwargs)  # type: ignore[attr-defined]

    def switch_to_mlp(self) -> None:
        """Deprecated name of ``switch_to_block``."""
        warn_of_old_name("switch_to_mlp", "switch_to_block")
        self.switch_to_block()  # type: ignore[attr-defined]


def warn_of_old_name(old: str, new: str, stacklevel: int = 3) -> None:
    warnings.warn(f"{old} is an old name and will go; use {new}.", DeprecationWarning, stacklevel=stacklevel)
