"""Names of torch-symbolic 1.0 and before that have better ones now, so that yesterday's notebooks run."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch

from symtorch.equations.front import Front
from symtorch.errors import InputError

REMOVED = {
    "_equation_funcs": "get_symbolic_function(output)",
    "_equation_vars": "equation(output).expr, or equation(output).sympy().free_symbols",
    "_using_equation": "use_symbolic",
    "_original_block": "symtorch_block",
    "_variable_names": "equation(output).variable_names",
    "_variable_transforms": "distill(..., variable_transforms=...), which keeps them",
    "_create_sr_params": "symtorch.SearchOptions.from_params(sr_params)",
    "_capture_layer_output": "symtorch.capture.capture(blocks, data, model=...)",
    "_apply_slime_sampling": "symtorch.local.neighbourhood.Neighbourhood",
    "_get_equation": "equation(output, complexity)",
    "_map_variables_to_indices": "equation(output).expr, whose variables are numbered",
    "_extract_variables_for_equation": "get_symbolic_function(output)",
    "_set_pruning_schedule": "symtorch.pruning.schedule(...)",
    "_check_cache_hit": "nothing: captured data is checked before it is used again",
    "_rebuild_equation_funcs": "nothing: a loaded state is ready to run",
    "mlp": "symtorch_block",
    "mlp_name": "block_name",
}
"""What to use in the place of a SymbolicModel's attribute that there is no more."""

REMOVED_FROM_PACKAGE = {
    "PySRRegressor": "engine='pysr', or pysr.PySRRegressor itself",
    "PruningMLP": "SymbolicModel(block), and its setup_pruning(...)",
}
"""The same for names of the package."""


@dataclass(frozen=True, eq=False)
class Given:
    """What a distillation was called with, as ``distill_data`` says; nothing is kept alive by it.

    Attributes:
        inputs, parent_model: functions to them, or to None once nobody else has them.
        slime_params: None where no point was explained.
    """

    inputs: Callable[[], Any]
    parent_model: Callable[[], Any]
    slime_params: dict[str, Any] | None = None

    @classmethod
    def of(cls, inputs: Any, parent_model: Any, slime_params: dict[str, Any] | None) -> Given:
        return cls(_weakly(inputs), _weakly(parent_model), slime_params)


def _weakly(what: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(what)
    except TypeError:  # lists and numbers can't be referred to so
        return lambda: what


class _Model(Protocol):
    """What the old names stand for."""

    _given: dict[str, Given] | None

    _said_n_outputs: int | None

    @property
    def fronts(self) -> dict[int, Front]: ...

    @property
    def slime_fronts(self) -> dict[int, Front]: ...

    @property
    def n_outputs(self) -> int | None: ...

    def searched_data(self, kind: str = "global") -> tuple[np.ndarray, np.ndarray] | None: ...

    def switch_to_symbolic(self, *args: Any, **kwargs: Any) -> None: ...

    def switch_to_block(self) -> None: ...

    def save(self, path: str | Path, data: bool = False) -> None: ...


class LegacyNames:
    """Attributes and methods of SymbolicModel under the names of torch-symbolic 1.0."""

    _said_n_outputs: int | None = None

    @property
    def pysr_regressor(self: _Model) -> dict[int, Front]:
        """{output: Front}, as ``fronts``."""
        return self.fronts

    @property
    def SLIME_pysr_regressor(self: _Model) -> dict[int, Front]:
        """{output: Front}, as ``slime_fronts``."""
        return self.slime_fronts

    @property
    def output_dims(self: _Model) -> int | None:
        """Number of outputs, as ``n_outputs``; before that is known, what was said."""
        return self._said_n_outputs if self.n_outputs is None else self.n_outputs

    @output_dims.setter
    def output_dims(self: _Model, value: int) -> None:
        """Say it before the first distillation; what that has seen is not to be changed."""
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"output_dims is {value!r}; expected a number of outputs, at least 1.")
        if self.n_outputs is not None and value != self.n_outputs:
            raise InputError(f"output_dims is {value!r}; the block has {self.n_outputs} outputs, as it was called.")
        self._said_n_outputs = value

    @property
    def distill_data(self: _Model) -> dict[str, Any] | None:
        """What the last distillation was called with and captured; None before one, and after ``clear_cache()``.

        ``inputs`` and ``parent_model`` (None for ``inputs`` of a parent that nobody has any more), ``sr_inputs``
        (n, n_variables) and ``sr_outputs`` (n, n_outputs).
        """
        return _data_of(self, "global")

    @property
    def distill_data_slime(self: _Model) -> dict[str, Any] | None:
        """The same of the last one with ``SLIME=True``, with its ``slime_params``: the data, not the points drawn."""
        return _data_of(self, "local")

    def switch_to_equation(self: _Model, *args: Any, **kwargs: Any) -> None:
        """Deprecated name of ``switch_to_symbolic``."""
        warn_of_old_name("switch_to_equation", "switch_to_symbolic")
        self.switch_to_symbolic(*args, **kwargs)

    def switch_to_mlp(self: _Model) -> None:
        """Deprecated name of ``switch_to_block``."""
        warn_of_old_name("switch_to_mlp", "switch_to_block")
        self.switch_to_block()

    def save_model(self: _Model, save_path: str | Path, **which: Any) -> None:
        """Deprecated name of ``save``, which writes all there is: what to save can't be chosen."""
        warn_of_old_name("save_model", "save(path), or torch.save of the state_dict")
        self.save(save_path)

    @classmethod
    def load_model(
        cls, save_path: str | Path, mlp_architecture: Any = None, device: Any = None, trusted: bool = False
    ) -> Self:
        """Deprecated name of ``load``, which knows the block's architecture itself."""
        warn_of_old_name("load_model", "load(path, trusted=True), or load_state_dict")
        return cls.load(save_path, trusted=trusted, map_location=device)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)  # type: ignore[misc]
        except AttributeError as error:
            if name not in REMOVED:
                raise
            raise AttributeError(f"{type(self).__name__} has no {name!r} any more; use {REMOVED[name]}.") from error


def _data_of(model: _Model, kind: str) -> dict[str, Any] | None:
    given, data = (model._given or {}).get(kind), model.searched_data(kind)
    if data is None:
        return None
    inputs, parent = (None, None) if given is None else (given.inputs(), given.parent_model())
    if isinstance(inputs, torch.Tensor):
        inputs = inputs.detach().cpu().numpy()
    if inputs is None and parent is None:
        inputs = data[0]
    found = {"inputs": inputs, "sr_inputs": data[0], "sr_outputs": data[1], "parent_model": parent}
    return found if given is None or given.slime_params is None else {**found, "slime_params": given.slime_params}


def warn_of_old_name(old: str, new: str, stacklevel: int = 3) -> None:
    warnings.warn(f"{old} is an old name and will go; use {new}.", DeprecationWarning, stacklevel=stacklevel)
