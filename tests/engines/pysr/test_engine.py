"""PySR as an engine, as far as it goes without Julia: readiness, parameters, results."""

import ast
import hashlib
import json
import math
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symtorch.engines
from symtorch.engines import resolve
from symtorch.engines.options import SearchOptions
from symtorch.engines.pysr import PySREngine, is_ready, readiness
from symtorch.engines.pysr.fronts import Judge
from symtorch.engines.pysr.parameters import custom_operators, merged, requests
from symtorch.engines.pysr.pool import Run
from symtorch.engines.pysr.process import describe_exit
from symtorch.engines.pysr.results import Row, parse_equation, read_hall_of_fame
from symtorch.engines.pysr.signature import PARAMETERS, Signature, installed, read
from symtorch.engines.samples import Samples
from symtorch.equations.definitions import operator
from symtorch.equations.expr import evaluate, to_text
from symtorch.errors import EngineError, InputError, OptionError, ParseError

HERE = Path(__file__).parent
RUN = HERE / "fixtures" / "pysr_run"
VERSIONS = ["1.5.0", "1.5.9", "2.0.0", "2.7.2"]
LAW = {
    "binary_operators": ["+", "*", "-"],
    "unary_operators": ["cos", "square", "inv(x) = 1/x"],
    "extra_sympy_mappings": {"inv": lambda x: 1 / x},
}


def law_samples() -> Samples:
    X = np.random.default_rng(1).normal(size=(100, 5)).astype(np.float32) * 2
    y = 2.5382 * np.cos(X[:, 3]) + X[:, 0] ** 2 - 0.5
    return Samples(X, y.astype(np.float32)[:, None])


# ---- readiness


@pytest.fixture
def resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Julia project as juliapkg leaves it, with this environment's packages in its record."""
    project, depot = tmp_path / "julia_env", tmp_path / "depot"
    (project / "pyjuliapkg" / "install" / "bin").mkdir(parents=True)
    (depot / "packages" / "SymbolicRegression").mkdir(parents=True)
    for name in ("julia", "libjulia.so"):
        (project / "pyjuliapkg" / "install" / "bin" / name).touch()
    (project / "Manifest.toml").write_text('[[deps.SymbolicRegression]]\nversion = "2.7.2"\n')
    monkeypatch.setenv("PYTHON_JULIAPKG_PROJECT", str(project))
    monkeypatch.setenv("JULIA_DEPOT_PATH", str(depot))
    for name in ("PYTHON_JULIAPKG_EXE", "PYTHON_JULIAPKG_OFFLINE", "PYTHON_JULIACALL_EXE", "PYTHON_JULIACALL_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    files = {
        path: {"timestamp": os.path.getmtime(path), "hash_sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}
        for path in readiness._dependency_files()
    }
    meta = {
        "meta_version": readiness._meta_version(readiness.package_folder("juliapkg")),
        "executable": str(project / "pyjuliapkg" / "install" / "bin" / "julia"),
        "libjulia": str(project / "pyjuliapkg" / "install" / "bin" / "libjulia.so"),
        "override_executable": None,
        "offline": False,
        "deps_files": files,
    }
    (project / "pyjuliapkg" / "meta.json").write_text(json.dumps(meta))
    return project


def change_meta(project: Path, **changes: object) -> None:
    path = project / "pyjuliapkg" / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_resolved_project_is_ready_and_julia_is_not_started(resolved: Any) -> None:
    assert readiness.check().reason.startswith("PySR ")
    assert is_ready()
    assert resolve("auto").name == "pysr"
    assert not {"pysr", "juliacall", "juliapkg"} & set(sys.modules)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda p: (p / "pyjuliapkg" / "meta.json").unlink(), "not resolved yet"),
        (lambda p: (p / "pyjuliapkg" / "meta.json").write_text("{"), "can't be read"),
        (lambda p: (p / "pyjuliapkg" / "meta.json").write_text("[]"), "can't be read"),
        (lambda p: (p / "pyjuliapkg" / "install" / "bin" / "julia").unlink(), "julia is not there"),
        (lambda p: (p / "Manifest.toml").unlink(), "does not have SymbolicRegression"),
        (lambda p: change_meta(p, meta_version=1), "not resolved yet"),
        (lambda p: change_meta(p, offline=True), "resolved offline"),
        (lambda p: change_meta(p, override_executable="/other/julia"), "PYTHON_JULIAPKG_EXE has changed"),
        (lambda p: change_meta(p, deps_files={}), "does not have yet"),
        (lambda p: (p.parent / "depot" / "packages" / "SymbolicRegression").rmdir(), "in no depot"),
    ],
)
def test_what_is_missing_is_named(resolved: Any, spoil: Any, reason: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(resolved))
    spoil(resolved)
    found = readiness.check()
    assert not found.ready
    assert found.installed
    assert reason in found.reason
    status = symtorch.engines.status()["pysr"]
    assert (status.available, status.reason) == (False, found.reason)


def test_a_package_that_changed_its_julia_needs_is_noticed(
    resolved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = tmp_path / "site" / "another"
    extra.mkdir(parents=True)
    (extra / "juliapkg.json").write_text("{}")
    monkeypatch.syspath_prepend(extra.parent)
    assert "another" in readiness.check().reason
    files = json.loads((resolved / "pyjuliapkg" / "meta.json").read_text())["deps_files"]
    info = {"timestamp": 0.0, "hash_sha256": hashlib.sha256(b"{}").hexdigest()}
    change_meta(resolved, deps_files=files | {str(extra / "juliapkg.json"): info})
    assert is_ready()
    (extra / "juliapkg.json").write_text("{ }")
    assert "has changed" in readiness.check().reason


def test_a_julia_of_the_users_own_is_ready_if_it_has_the_package(
    resolved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_JULIACALL_EXE", str(resolved / "pyjuliapkg" / "install" / "bin" / "julia"))
    monkeypatch.setenv("PYTHON_JULIACALL_PROJECT", str(resolved))
    assert is_ready()
    monkeypatch.setenv("PYTHON_JULIACALL_EXE", str(resolved / "no-julia"))
    assert "no-julia" in readiness.check().reason


def test_without_pysr_auto_is_native_and_pysr_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "package_folder", lambda name: None)
    monkeypatch.setattr("symtorch.engines.pysr.signature.package_folder", lambda name: None)
    assert not readiness.check().installed
    assert "pip install pysr" in symtorch.engines.status()["pysr"].reason
    with pytest.raises(EngineError, match=r"pip install pysr.*engine='native'"):
        PySREngine().check(SearchOptions.from_params())


# ---- parameters


def signature(version: str) -> Signature:
    return Signature(
        **{k: tuple(v) for k, v in json.loads((HERE / f"fixtures/pysr_{version}.json").read_text()).items()}
    )


@pytest.mark.parametrize("version", [*VERSIONS, "installed"])
def test_every_parameter_of_every_supported_version_is_known(version: Any) -> None:
    found = installed() if version == "installed" else signature(version)
    own = {f.name for f in fields(SearchOptions)} - {"extra", "given"}
    assert set(found.init) <= own | PARAMETERS
    assert {"X_units", "y_units", "weights", "variable_names", "complexity_of_variables"} <= set(found.fit)


@pytest.mark.parametrize("version", [*VERSIONS, "installed"])
def test_what_we_set_ourselves_every_supported_version_has(version: Any) -> None:
    found = installed() if version == "installed" else signature(version)
    options = SearchOptions.from_params({"timeout_in_seconds": 5})
    (request,) = requests(merged(options, {}), {"X_units": ["m"]}, 1, ["id"], Path("folder"))
    found.check(request.params, request.fit_params)


def test_a_parameter_that_only_later_versions_have_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match=r"'guesses'.* does not know"):
        signature("1.5.0").check({"guesses": ["x0"]}, {})
    signature("1.5.0").check({"npop": 10, "multithreading": True}, {"category": [1]})


def test_a_package_that_is_no_pysr_is_named(tmp_path: Path) -> None:
    (tmp_path / "sr.py").write_text("class Other: pass")
    with pytest.raises(EngineError, match=r"1\.5 to 2\.7"):
        read(tmp_path)


def test_what_is_symtorchs_own_is_not_sent_to_pysr() -> None:
    assert "model_selection" not in merged(SearchOptions.from_params({"model_selection": "law"}), {})
    assert merged(SearchOptions.from_params({"model_selection": "score"}), {})["model_selection"] == "score"
    by_arity = {1: ["sin"], 2: ["+"], 3: ["fma"]}
    params = merged(SearchOptions.from_params({"operators": by_arity}), {})
    assert not {"binary_operators", "unary_operators", "complexity_of_operators"} & set(params)


def test_guesses_and_units_go_to_their_outputs() -> None:
    params = {"guesses": [["x0"], ["x1", "x1^2"]]}
    first, second = requests(params, {"y_units": ["m", "s"]}, 2, ["a", "b"], Path("folder"))
    assert (first.params["guesses"], second.params["guesses"]) == (["x0"], ["x1", "x1^2"])
    assert (first.fit_params["y_units"], second.fit_params["y_units"]) == ("m", "s")
    with pytest.raises(OptionError, match="lists for 2 outputs; 3"):
        requests(params, {}, 3, ["a", "b", "c"], Path("folder"))
    with pytest.raises(OptionError, match="2 units; 3"):
        requests({}, {"y_units": ["m", "s"]}, 3, ["a", "b", "c"], Path("folder"))


def test_julia_code_as_an_operator_means_what_its_sympy_mapping_says() -> None:
    sympy = pytest.importorskip("sympy")
    params = {
        "unary_operators": ["ramp(x) = x > 0 ? x : zero(x)", "sin"],
        "extra_sympy_mappings": {"ramp": lambda x: sympy.Piecewise((x, x > 0), (0, True))},
    }
    SearchOptions.from_params(params)
    (ramp,) = custom_operators(params)
    expr = parse_equation("ramp(x0) * 2.0", ["x0"], [ramp])
    np.testing.assert_array_equal(evaluate(expr, np.array([[-1.0], [2.0]])), [0.0, 4.0])
    with pytest.raises(ParseError, match="extra_sympy_mappings"):
        custom_operators(params | {"extra_sympy_mappings": None})


def test_every_operator_that_pysr_can_show_is_known() -> None:
    """Its table of SymPy functions, read from its source."""
    source = ast.parse((readiness.package_folder("pysr") / "export_sympy.py").read_text())
    (table,) = (node.value for node in source.body if getattr(_target(node), "id", "") == "sympy_mappings")
    names = [key.value for key in table.keys]
    assert len(names) > 40
    X = np.random.default_rng(0).uniform(1.1, 2.0, size=(5, 3))
    for name in names:
        op = operator(name)
        (own,) = custom_operators({"operators": {op.arity: [name]}}) or (op,)
        text = f"{name}({', '.join(['x0', 'x1', 'x2'][: op.arity])})"
        assert evaluate(parse_equation(text, ["x0", "x1", "x2"], [own]), X).shape == (5,)


def _target(node: Any) -> Any:
    return node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)


def test_a_regressor_object_is_an_engine() -> None:
    class PySRRegressor:
        def get_params(self, deep: Any) -> Any:
            return {"niterations": 3}

    assert resolve(PySRRegressor()).params == {"niterations": 3}


# ---- results


def test_a_hall_of_fame_becomes_rows(tmp_path: Path) -> None:
    rows = read_hall_of_fame(RUN)
    assert rows[0] == Row(1, 22.644789, "3.5031724")
    assert [row.complexity for row in rows] == [1, 2, 6, 8, 10, 12, 14]
    assert read_hall_of_fame(tmp_path) == []


@pytest.mark.parametrize("cut", [5, 30, 60, 100, 200, 380])
def test_a_half_written_file_loses_at_most_the_line_that_was_cut(tmp_path: Path, cut: Any) -> None:
    whole = (RUN / "hall_of_fame.csv").read_text()
    (tmp_path / "hall_of_fame.csv").write_text(whole[:cut])
    rows = read_hall_of_fame(tmp_path)
    assert rows == read_hall_of_fame(RUN)[: len(rows)]
    assert len(rows) == max(0, whole[:cut].count("\n") - 1)
    (tmp_path / "hall_of_fame.csv.bak").write_text(whole)
    assert read_hall_of_fame(tmp_path) == read_hall_of_fame(RUN)


def test_rubbish_is_no_hall_of_fame(tmp_path: Path) -> None:
    (tmp_path / "hall_of_fame.csv").write_bytes(b'Complexity,Loss,Equation\n\xff\xfe,1,"x"\n3,abc,"x"\n1,NaN,"x0"\n')
    (row,) = read_hall_of_fame(tmp_path)
    assert math.isnan(row.loss)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x0 ^ 2", "x0^2"),
        ("1.5e-3 * x1", "0.0015*x1"),
        ("1.5f-3 * x1", "0.0015*x1"),
        ("2f0 + x0", "2 + x0"),
        ("-(x0)", "neg(x0)"),
        ("-0.25", "-0.25"),
        ("square(sin(x0)) - -1.0", "square(sin(x0)) - (-1)"),
        ("pow(x0, x1)", "x0^x1"),
        ("max(x0, 1.0)", "max(x0, 1)"),
        ("Inf * x0", "inf*x0"),
    ],
)
def test_julias_spelling_is_read(text: str, expected: Any) -> None:
    assert to_text(parse_equation(text, ["x0", "x1"], []), ["x0", "x1"]) == expected


TEMPLATE = {
    "kind": "TemplateExpressionSpec",
    "expressions": ["f", "g"],
    "variable_names": ["a", "b"],
    "parameters": None,
}


@pytest.mark.parametrize(
    ("combine", "text", "expected"),
    [
        ("f(a) * g(b)", "f = #1 ^ 2; g = sin(#1)", "x0^2*sin(x1)"),
        ("f(a) + f(b)", "f = #1 * 2.0", "x0*2 + x1*2"),
        ("sin(f(a, b)) + g(b)^2", "f = #2 - #1; g = 1.5", "sin(x1 - x0) + 1.5^2"),
        ("@. f(a)", "f = #1", None),
        ("f(a, b)", "f = #3", None),
        ("D(f, 1)(a)", "f = #1", None),
        ("f(a); g(b)", "f = #1; g = #1", None),
        ("f(a)", "h = #1", None),
    ],
)
def test_templates_are_put_together_or_refused(combine: Any, text: str, expected: Any) -> None:
    def make() -> str:
        expr = parse_equation(text, ["x0", "x1"], [], TEMPLATE | {"combine": combine})
        return to_text(expr, ["x0", "x1"])

    if expected is None:
        with pytest.raises(ParseError):
            make()
    else:
        assert make() == expected


def test_template_parameters_take_their_values() -> None:
    template = TEMPLATE | {"combine": "p[1] * f(a) + p[2] * q[1]", "parameters": {"p": 2, "q": 1}}
    expr = parse_equation("f = #1; p = [0.5, -2.0]; q = [1.0e-3]", ["x0", "x1"], [], template)
    assert to_text(expr, ["x0", "x1"]) == "0.5*x0 + (-2*0.001)"
    with pytest.raises(ParseError, match=r"p\[3\]"):
        parse_equation("f = #1; p = [0.5]", ["x0"], [], template | {"combine": "p[3] * f(a)", "variable_names": ["a"]})
    with pytest.raises(ParseError, match="ParametricExpressionSpec"):
        parse_equation("x0 * p1", ["x0"], [], {"kind": "ParametricExpressionSpec"})


def test_an_equation_that_cannot_be_read_is_logged_and_the_others_stay(caplog: pytest.LogCaptureFixture) -> None:
    (request,) = requests(LAW, {}, 1, ["run"], Path("folder"))
    run = Run(request, rows=[Row(1, 2.0, "x0"), Row(2, 1.0, "mystery(x0)")], reason="budget")
    (front,) = Judge(law_samples(), SearchOptions.from_params(LAW)).fronts([run], 1.0, keep=False)
    assert [eq.source for eq in front] == ["x0"]
    assert "mystery" in caplog.text


def test_losses_in_the_file_are_those_of_our_trees() -> None:
    data = law_samples()
    for row in read_hall_of_fame(RUN):
        expr = parse_equation(row.text, data.variable_names, [operator("inv(x) = 1/x")])
        loss = np.mean((evaluate(expr, data.X) - data.Y[:, 0]) ** 2)
        assert loss == pytest.approx(row.loss, rel=1e-6)


def with_stubbed_julia(script: str, *args: object) -> str:
    env = os.environ | {"PYTHONPATH": str(HERE / "fake_juliacall"), "FAKE_HALL_OF_FAME": str(RUN / "hall_of_fame.csv")}
    command = [sys.executable, "-c", script, *map(str, args)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


READ_RUN = """
import json, sys
import numpy as np, pysr
folder, with_parameters = sys.argv[1], sys.argv[2] == "True"
known = dict(binary_operators=["+", "*", "-"], unary_operators=["cos", "square", "inv(x) = 1/x"], n_features_in=5)
model = pysr.PySRRegressor.from_file(
    run_directory=folder, extra_sympy_mappings={"inv": lambda x: 1 / x}, **(known if with_parameters else {})
)
X = np.random.default_rng(2).normal(size=(20, 5))
table = model.equations_
print(json.dumps({
    "complexity": table.complexity.tolist(), "loss": table.loss.tolist(), "score": table.score.tolist(),
    "equation": table.equation.tolist(), "values": [np.broadcast_to(f(X), 20).tolist() for f in table.lambda_format],
    "sympy": [str(e) for e in table.sympy_format], "best": int(model.get_best().name),
}))
"""


def test_our_front_says_what_pysrs_own_code_says_of_the_same_file() -> None:
    theirs = json.loads(with_stubbed_julia(READ_RUN, RUN, True))
    options = SearchOptions.from_params(LAW | {"model_selection": "best"})
    (request,) = requests(merged(options, {}), {}, 1, ["run"], Path("folder"))
    run = Run(request, rows=read_hall_of_fame(RUN), reason="budget")
    (front,) = Judge(law_samples(), options).fronts([run], 1.0, keep=False)
    assert front.complexities == theirs["complexity"]
    assert [eq.loss for eq in front] == theirs["loss"]
    assert [eq.source for eq in front] == theirs["equation"]
    np.testing.assert_allclose([eq.score for eq in front], theirs["score"])
    assert front.best_index == theirs["best"]
    X = np.random.default_rng(2).normal(size=(20, 5))
    np.testing.assert_allclose([eq.predict(X) for eq in front], theirs["values"], rtol=1e-12)
    import sympy

    for eq, text in zip(front, theirs["sympy"], strict=True):
        at = dict(zip(front[0].variable_names, X[0], strict=True))
        ours = eq.sympy().subs({sympy.Symbol(name, real=True): value for name, value in at.items()})
        assert float(ours) == pytest.approx(float(sympy.sympify(text).subs(at)), rel=1e-9)


def test_pysrs_own_code_takes_our_parameters_and_reads_our_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way through the installed pysr, in a worker, with only Julia itself replaced."""
    monkeypatch.syspath_prepend(HERE / "fake_juliacall")
    monkeypatch.setenv("FAKE_HALL_OF_FAME", str(RUN / "hall_of_fame.csv"))
    options = SearchOptions.from_params(
        LAW
        | {
            "constraints": {"cos": 5},
            "nested_constraints": {"cos": {"cos": 0}},
            "complexity_of_operators": {"square": 1},
            "timeout_in_seconds": 100,
            "maxsize": 20,
            "select_k_features": 3,
        }
    )
    engine = PySREngine(save_path=tmp_path, fit_params={"X_units": ["m"] * 5, "weights": np.ones(100)})
    (front,) = engine.search(law_samples(), options)
    assert front[-1].source == read_hall_of_fame(RUN)[-1].text
    assert front.stop_reason == "budget"
    again = json.loads(with_stubbed_julia(READ_RUN, front.folder, False))
    assert again["equation"] == [eq.source for eq in front]


def test_exit_codes_are_told_in_words() -> None:
    assert describe_exit(1) == "ended with exit code 1"
    assert describe_exit(-11) == "was killed by SIGSEGV"
    assert "out of memory" in describe_exit(-9)


def test_fit_parameters_of_pysr_are_refused_where_another_engine_runs() -> None:
    from symtorch.distillation.plan import Plan

    with pytest.raises(InputError, match=r"category.*engine='pysr'"):
        Plan.make(fit_params={"category": [0, 1]}, engine="native")


def test_a_loss_in_python_is_for_the_native_engine() -> None:
    options = SearchOptions.from_params({"elementwise_loss": lambda prediction, target: (prediction - target) ** 4})
    with pytest.raises(OptionError, match=r"elementwise_loss.*engine='native'"):
        PySREngine().check(options)
