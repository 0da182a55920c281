"""What `import symtorch` loads and costs, seen in a fresh process."""

import subprocess
import sys

HEAVY = ("pysr", "juliacall", "pandas", "sklearn", "scipy", "matplotlib", "sympy", "dill", "joblib")


def in_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_loads_nothing_heavy_and_prints_nothing():
    # What torch itself loads is not ours.
    code = (
        f"import sys, torch; before = set(sys.modules); import symtorch; symtorch.SymbolicModel; "
        f"print([m for m in {HEAVY} if m in sys.modules and m not in before])"
    )
    assert in_fresh_process(code) == "[]"


def test_import_leaves_warnings_and_logging_alone():
    code = (
        "import warnings, logging, torch; f = list(warnings.filters); h = list(logging.root.handlers); "
        "import symtorch; print(f == warnings.filters and h == logging.root.handlers)"
    )
    assert in_fresh_process(code) == "True"


def test_every_public_name_is_there():
    import symtorch

    for name in symtorch.__all__:
        assert getattr(symtorch, name) is not None
