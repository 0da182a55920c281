"""What the installed PySR accepts, read from its source: importing it would start Julia."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from symtorch.engines.pysr.readiness import package_folder, pysr_version
from symtorch.errors import EngineError, OptionError

SUPPORTED = ("1.5", "2.7")
"""First and last PySR version that the tests read the signature of."""


PARAMETERS = frozenset(
    """
    operators expression_spec type_spec populations population_size max_evals warmup_maxsize_by loss_function
    loss_function_expression loss_scale complexity_mapping dimensional_constraint_penalty
    dimensionless_constants_only use_frequency use_frequency_in_tournament adaptive_parsimony_scaling alpha
    annealing ncycles_per_iteration fraction_replaced fraction_replaced_hof
    fraction_replaced_guesses weight_add_node weight_insert_node weight_delete_node weight_do_nothing
    weight_mutate_constant weight_mutate_operator weight_mutate_feature weight_swap_operands weight_rotate_tree
    weight_randomize weight_simplify weight_optimize weight_backsolve mutations default_mutations
    crossover_probability skip_mutation_failures migration hof_migration topn should_simplify
    should_optimize_constants optimizer_algorithm optimizer_nrestarts optimizer_f_calls_limit
    optimize_probability optimizer_iterations perturbation_factor probability_negate_constant
    tournament_selection_n tournament_selection_p parallelism procs multithreading cluster_manager
    heap_size_hint_in_bytes worker_timeout worker_imports fast_cycle turbo bumper
    precision autodiff_backend enable_autodiff deterministic warm_start update_verbosity
    print_precision logger_spec plugins default_plugins input_stream use_tracing tracing_file run_id
    output_directory temp_equation_file tempdir delete_tempfiles update output_jax_format output_torch_format
    extra_torch_mappings extra_jax_mappings denoise
    """.split()
)
"""PySR's parameters that have no field in SearchOptions, of versions 1.5 to 2.7 (the signature of PySRRegressor)."""


@dataclass(frozen=True)
class Signature:
    """Names of the parameters of one PySR version.

    Attributes:
        init: of ``PySRRegressor(...)``.
        fit: of ``PySRRegressor.fit``, without X and y.
        renamed: old names that it still reads.
        version: of the package.
    """

    init: tuple[str, ...]
    fit: tuple[str, ...]
    renamed: tuple[str, ...] = ()
    version: str = "unknown"

    def check(self, params: Mapping[str, Any], fit_params: Mapping[str, Any]) -> None:
        """Raise OptionError for a name that this version of PySR does not have."""
        _check("sr_params", params, (*self.init, *self.renamed, "multithreading"), self.version)
        _check("fit_params", fit_params, self.fit, self.version)


def _check(what: str, given: Mapping[str, Any], known: tuple[str, ...], version: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(known)}."
            raise OptionError(f"{what} has {name!r}, which PySR {version} does not know. {hint}")


def installed() -> Signature:
    """The signature of the installed pysr.

    Raises:
        EngineError: pysr is not installed, or is not a PySR that we can read.
    """
    folder = package_folder("pysr")
    if folder is None:
        raise EngineError("engine 'pysr' needs the package pysr: pip install pysr. Or use engine='native'.")
    return read(folder, pysr_version())


@lru_cache(maxsize=4)
def read(folder: Path, version: str = "unknown") -> Signature:
    """The signature of the PySR whose source lies in ``folder``."""
    try:
        methods = _methods(folder / "sr.py", "PySRRegressor")
        fit = [name for name in _arguments(methods["fit"]) if name not in ("X", "y")]
        return Signature(_arguments(methods["__init__"]), tuple(fit), _renamed(folder / "deprecated.py"), version)
    except (OSError, SyntaxError, KeyError) as error:
        raise EngineError(
            f"the package pysr in {folder} is not a PySR that symtorch can read ({error!r}); "
            f"versions {SUPPORTED[0]} to {SUPPORTED[1]} are supported. Or use engine='native'."
        ) from error


def _methods(path: Path, class_name: str) -> dict[str, ast.FunctionDef]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            return {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    raise KeyError(class_name)


def _arguments(function: ast.FunctionDef) -> tuple[str, ...]:
    return tuple(arg.arg for arg in (*function.args.args, *function.args.kwonlyargs) if arg.arg != "self")


def _renamed(path: Path) -> tuple[str, ...]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "DEPRECATED_KWARGS"
        ):
            return tuple(ast.literal_eval(node.value))
    return ()
