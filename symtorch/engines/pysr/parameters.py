"""From search options to what PySRRegressor is called with, per output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from symtorch.engines.options import DEFAULT_SR_PARAMS, SearchOptions
from symtorch.equations.definitions import DEFINED, operator
from symtorch.equations.operators import Operator
from symtorch.errors import OptionError


@dataclass(frozen=True)
class Lazy:
    """A parameter that is made in PySR's own process; see :func:`lazy`."""

    make: Callable[[Any], Any]


def lazy(make: Callable[[Any], Any]) -> Lazy:
    """A parameter value that needs PySR's classes, made in the process that PySR runs in.

    Importing pysr beside torch can crash; this way nobody has to:
    ``sr_params={"expression_spec": lazy(lambda pysr: pysr.TemplateExpressionSpec(...))}``.

    Args:
        make: takes the module pysr, returns the value.
    """
    return Lazy(make)


@dataclass(frozen=True)
class Request:
    """What one PySR run is asked for.

    Attributes:
        output: column of the samples' Y.
        params: of ``PySRRegressor(...)``; some may be Lazy.
        fit_params: of ``fit``, beside X, y and weights.
        operators: the user's own, to read the equations by.
    """

    output: int
    params: Mapping[str, Any]
    fit_params: Mapping[str, Any]
    operators: tuple[Operator, ...]

    @property
    def run_folder(self) -> Path:
        """Where PySR keeps this run."""
        return Path(self.params["output_directory"]) / self.params["run_id"]

    def within(self, seconds: float | None) -> Request:
        """The same request with this time limit."""
        return self if seconds is None else replace(self, params={**self.params, "timeout_in_seconds": seconds})


def merged(options: SearchOptions, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The user's parameters, those that mean something to PySR."""
    params = {**options.given, **overrides}
    if params.get("model_selection") == "law":
        del params["model_selection"]  # symtorch's own rule
    if params.get("operators") is not None:
        # PySR takes operators by arity or by kind; the defaults must not stand beside the user's.
        for name in ("binary_operators", "unary_operators"):
            if params.get(name) is DEFAULT_SR_PARAMS[name]:
                del params[name]
        if (params.get("complexity_of_operators") or {}) == DEFAULT_SR_PARAMS["complexity_of_operators"]:
            params.pop("complexity_of_operators", None)
    return params


def custom_operators(params: Mapping[str, Any]) -> tuple[Operator, ...]:
    """The operators that the parameters define in Julia, or that we know by a definition.

    Raises:
        ParseError: a definition that we can't read, without a SymPy mapping that says what it means.
    """
    by_arity: dict[int, Sequence[str]] = dict(params.get("operators") or {})
    for arity, name in ((1, "unary_operators"), (2, "binary_operators")):
        by_arity[arity] = [*by_arity.get(arity, ()), *_listed(params.get(name))]
    mappings = params.get("extra_sympy_mappings") or {}
    specs = [(spec, arity) for arity, specs in by_arity.items() for spec in specs if "(" in spec or spec in DEFINED]
    return tuple(operator(spec, int(arity), mappings) for spec, arity in specs)


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def requests(
    params: Mapping[str, Any], fit_params: Mapping[str, Any], n_outputs: int, run_ids: Sequence[str], directory: Path
) -> list[Request]:
    """One request per output; ``directory`` is where PySR keeps its runs, with these run ids."""
    operators = custom_operators(params)
    mappings = dict(params.get("extra_sympy_mappings") or {})
    for op in operators:
        if op.name not in DEFINED:  # those PySR knows itself
            mappings.setdefault(op.name, _sympy_lambda(op))
    # What PySR prints goes to a log here; the bar is symtorch's.
    shared = {**params, "progress": False, "verbosity": max(1, int(params.get("verbosity") or 0))}
    shared |= {"output_directory": str(directory), "temp_equation_file": False}
    if mappings:
        shared["extra_sympy_mappings"] = mappings
    return [
        Request(
            i,
            shared | {"run_id": run_ids[i]} | _own_guesses(params.get("guesses"), i, n_outputs),
            {name: _per_output(name, value, i, n_outputs) for name, value in fit_params.items()},
            operators,
        )
        for i in range(n_outputs)
    ]


def _sympy_lambda(op: Operator) -> Any:
    """The operator's SymPy function as an object that travels to the worker without symtorch."""
    import sympy

    symbols = sympy.symbols(f"argument_:{op.arity}")
    return sympy.Lambda(symbols, op.sympy(*symbols))


def _own_guesses(guesses: Any, output: int, n_outputs: int) -> dict[str, Any]:
    """The guesses for one output, where there is a list of them per output."""
    if not guesses or not all(isinstance(item, (list, tuple)) for item in guesses):
        return {}
    if len(guesses) != n_outputs:
        raise OptionError(f"guesses has lists for {len(guesses)} outputs; {n_outputs} are searched.")
    return {"guesses": list(guesses[output])}


def _per_output(name: str, value: Any, output: int, n_outputs: int) -> Any:
    """One output's share of a fit parameter that may be given per output."""
    if name == "y_units" and isinstance(value, (list, tuple)):
        if len(value) != n_outputs:
            raise OptionError(f"fit_params['y_units'] has {len(value)} units; {n_outputs} outputs are searched.")
        return value[output]
    if name == "weights" and value is not None and np.ndim(value) == 2:
        if np.shape(value)[1] != n_outputs:
            raise OptionError(f"fit_params['weights'] has {np.shape(value)[1]} columns for {n_outputs} outputs.")
        return np.asarray(value)[:, output]
    return value


def check_rows(fit_params: Mapping[str, Any], n_samples: int) -> None:
    """Raise OptionError where a fit parameter that goes by rows does not fit them."""
    for name in ("weights", "category"):
        value = fit_params.get(name)
        if value is not None and len(value) != n_samples:
            raise OptionError(f"fit_params[{name!r}] has {len(value)} rows; the samples have {n_samples}.")
