"""What `import symtorch` loads and costs, seen in a fresh process."""

import subprocess
import sys
from types import ModuleType

import pytest

import symtorch

HEAVY = ("pysr", "juliacall", "pandas", "sklearn", "scipy", "matplotlib", "sympy", "dill", "joblib")


def in_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_loads_nothing_heavy_and_prints_nothing() -> None:
    # What torch itself loads is not ours.
    code = (
        f"import sys, torch; before = set(sys.modules); import symtorch; symtorch.SymbolicModel; "
        f"print([m for m in {HEAVY} if m in sys.modules and m not in before])"
    )
    assert in_fresh_process(code) == "[]"


def test_import_leaves_warnings_and_logging_alone() -> None:
    code = (
        "import warnings, logging, torch; f = list(warnings.filters); h = list(logging.root.handlers); "
        "import symtorch; print(f == warnings.filters and h == logging.root.handlers)"
    )
    assert in_fresh_process(code) == "True"


# What programs of users import. Taking a name away needs a deprecation first, a new one belongs in the changelog.
PUBLIC = {
    "EngineError": symtorch.errors,
    "InputError": symtorch.errors,
    "NotDistilledError": symtorch.errors,
    "OptionError": symtorch.errors,
    "ParseError": symtorch.errors,
    "StateError": symtorch.errors,
    "SymTorchError": symtorch.errors,
    "Equation": symtorch.equations,
    "Front": symtorch.equations,
    "SearchOptions": symtorch.engines.options,
    "Explanation": symtorch.local.explain,
    "explain": symtorch.local.explain,
    "SymbolicModel": symtorch.model,
    "Gated": symtorch.surrogate.encodings,
    "Projection": symtorch.surrogate.encodings,
    "Rank": symtorch.blocks.ranking,
    "Ranking": symtorch.blocks.ranking,
    "Tuning": symtorch.blocks.finetune,
    "finetune": symtorch.blocks.finetune,
    "rank_blocks": symtorch.blocks.ranking,
    "fit_constants": symtorch.surrogate.constants,
    "unwrap": symtorch.wrapping,
    "wrap": symtorch.wrapping,
}


def test_the_public_names_are_these() -> None:
    assert set(symtorch.__all__) == PUBLIC.keys() | {"__version__", "distill"}
    assert symtorch.__version__.split(".")[0] == "2"


@pytest.mark.parametrize("name", [*PUBLIC, "distill"])
def test_a_public_name_is_the_thing_itself_and_says_what_it_is_for(name: str) -> None:
    found = getattr(symtorch, name)
    assert not isinstance(found, ModuleType)  # a folder of that name would hide the function
    if name in PUBLIC:
        assert found is getattr(PUBLIC[name], name)
    # A dataclass without a docstring gets its signature.
    assert found.__doc__
    assert not found.__doc__.startswith(f"{name}(")


@pytest.mark.parametrize("name", ["SymbolicRegressor", "plotting"])
def test_what_takes_long_to_import_is_made_when_it_is_wanted(name: str) -> None:
    code = f"import symtorch; before = {name!r} in vars(symtorch); print(before, symtorch.{name}.__name__)"
    full_name = {"plotting": "symtorch.plotting"}.get(name, name)
    assert in_fresh_process(code) == f"False {full_name}"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'SymbolicModell'"):
        _ = symtorch.SymbolicModell


def test_names_that_come_later_are_listed_and_plotting_is_a_module_of_its_own() -> None:
    code = (
        "import symtorch; names = dir(symtorch); from symtorch import plotting; import symtorch.plotting as again; "
        "print({'plotting', 'SymbolicRegressor', 'explain'} <= set(names), plotting is again is symtorch.plotting)"
    )
    assert in_fresh_process(code) == "True True"
    assert "matplotlib" not in in_fresh_process("import symtorch.plotting, sys; print([*sys.modules])")
    assert callable(symtorch.plotting.plot_parity)


def test_an_import_loads_no_file_twice() -> None:
    code = (
        "import sys, symtorch, symtorch.plotting; "
        "files = [m.__file__ for n, m in sys.modules.items() if n.startswith('symtorch')]; "
        "print(len(files) - len(set(files)))"
    )
    assert in_fresh_process(code) == "0"
