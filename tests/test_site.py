"""The site's tables say what the code does, and its pages name what there is."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import tables

import symtorch
import symtorch.engines
import symtorch.equations
import symtorch.plotting
from symtorch import SearchOptions, SymTorchError, errors
from symtorch.engines.native.fitting import losses
from symtorch.equations import parse
from symtorch.equations.expr import evaluate
from symtorch.equations.operators import OPERATORS

DOCS = Path(__file__).parents[1] / "docs"


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    assert tables.table(["a"], [["x | y"]]).splitlines()[-1] == r"| x \| y |"


def test_every_operator_stands_in_one_table_with_its_aliases() -> None:
    lines = [line for arity in (1, 2, 3) for line in tables.operators(arity).splitlines()[2:]]
    assert len(lines) == len(OPERATORS)
    for op, line in zip(sorted(OPERATORS.values(), key=lambda op: op.arity), lines, strict=True):
        assert op.row is not None
        assert re.findall("`([^`]*)`", line)[: 1 + len(op.row.aliases)] == [op.name, *op.row.aliases]


def test_costs_are_those_of_the_default() -> None:
    costs = {op.name: tables.cost(op) for op in OPERATORS.values()}
    assert {name for name, cost in costs.items() if cost == "3"} == {"sin", "exp"}
    assert {cost for name, cost in costs.items() if name not in ("sin", "exp")} == {"1", ""}
    assert {name for name, cost in costs.items() if not cost} == {op.name for op in OPERATORS.values() if op.arity > 2}


@pytest.mark.parametrize("name", [name for name in OPERATORS if name not in ("round",)])
def test_a_meaning_is_what_the_operator_computes(name: str) -> None:
    op = OPERATORS[name]
    X = np.random.default_rng(0).uniform(-2.5, 2.5, (200, op.arity))
    with np.errstate(all="ignore"):
        ours = evaluate(parse(tables.meaning(op), ["x", "y", "z"][: op.arity]), X)
        theirs = op.numpy(*X.T)
    known = np.isfinite(ours) & np.isfinite(theirs)
    assert known.sum() >= 20
    np.testing.assert_allclose(ours[known], theirs[known], rtol=1e-9, atol=1e-12)


def test_a_domain_is_written_without_python() -> None:
    domains = [tables.domain(op) for op in OPERATORS.values()]
    assert sum(map(bool, domains)) > 10
    assert not any(re.search(r"np\.|==|[&|]", domain) for domain in domains)


def test_every_loss_has_its_formula() -> None:
    assert tables.LOSS_FORMULAS.keys() == losses._LOSSES.keys()


@pytest.mark.parametrize("name", list(tables.LOSS_FORMULAS))
def test_a_formula_is_the_loss(name: str) -> None:
    example, formula, _ = tables.LOSS_FORMULAS[name]
    assert example.split("(")[0] == name
    r = np.linspace(-3, 3, 101)
    expected = losses.parse_loss(example).value(r, np.ones_like(r))
    np.testing.assert_allclose(evaluate(parse(formula, ["r"]), r[:, None]), expected, rtol=1e-9, atol=1e-12)


def test_every_option_is_described_with_its_default() -> None:
    text = tables.options()
    for field in fields(SearchOptions):
        assert (f"`{field.name}` = " in text) == (field.name not in ("extra", "given"))
    assert "`niterations` = `400`\n: how long to search" in text
    assert set(tables.options_without_effect().split(", ")).isdisjoint(tables.options_of_pysr().split(", "))


def test_every_error_says_what_to_do() -> None:
    there = {c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, (SymTorchError, Warning))}
    assert tables.ADVICE.keys() == {c.__name__ for c in there}, "add the new ones to ADVICE in docs/tables.py"
    text = tables.class_list(tables.error_classes())
    assert "`symtorch.errors.UndefinedError`, an `ArithmeticError`" in text
    assert "`symtorch.InputError`, a `ValueError`" in text


def test_advice_on_warnings_is_on_warnings_that_there_are() -> None:
    messages = [message for _, message in tables.warnings()]
    assert [start for start in tables.WARNING_ADVICE if not any(m.startswith(start) for m in messages)] == []


def test_the_page_of_names_has_every_public_name() -> None:
    listed = [tables.resolved(name) for names in tables.groups().values() for name in names]
    for module in (symtorch, symtorch.engines, symtorch.equations, symtorch.plotting):
        for name in module.__all__:
            assert name == "__version__" or any(thing is getattr(module, name) for thing in listed), name


def test_tables_are_written_once(tmp_path: Path) -> None:
    tables.write(tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert len(written) == len(tables.PAGES)
    tables.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == written


def test_the_page_of_a_name_that_has_gone_goes(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    for name in ("symtorch.explain", "symtorch.gone"):
        (tmp_path / "api" / f"{name}.rst").touch()
    tables.write(tmp_path)
    assert {path.name for path in (tmp_path / "api").iterdir()} == {"index.rst", "symtorch.explain.rst"}


def test_every_page_is_in_a_tree_and_every_include_is_written() -> None:
    pages = {path.stem for path in DOCS.glob("*.md")}
    texts = [path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")]
    trees = [tree for text in texts for tree in re.findall(r"```\{toctree\}\n:hidden:\n\n(.*?)\n```", text, re.DOTALL)]
    assert {name for tree in trees for name in tree.split()} == pages - {"index"} | {"api/index", "gallery/index"}
    included = {name for text in texts for name in re.findall(r"\{include\} (_generated/\S+)", text)}
    assert included == {name for name in tables.PAGES if name.startswith("_generated/")}


def test_llms_txt_links_to_pages_that_there_are() -> None:
    links = re.findall(r"\]\((\S+?)\)", (DOCS / "llms.txt").read_text(encoding="utf-8"))
    assert len(links) >= 12
    for link in links:
        page = re.fullmatch(r"_sources/([\w-]+)\.md\.txt|([\w/-]+)\.html", link)
        assert page, link
        assert (DOCS / f"{page[1] or page[2]}.md").is_file() or link in ("api/index.html", "gallery/index.html"), link


def test_every_benchmark_is_on_their_page() -> None:
    programs = {path.name for path in (DOCS.parent / "benchmarks").glob("*.py")} - {"problems.py", "record.py"}
    assert set(re.findall(r"^\| `(\w+\.py)` \|", (DOCS / "benchmarks.md").read_text(), re.MULTILINE)) == programs


def test_results_of_benchmarks_are_summed_up_with_what_was_run_where_and_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {"arguments": ["--seeds", "0"], "date": "2026-11-30", "machine": "Some CPU", "threads": 1}
    about |= {"versions": {"torch-symbolic": "2.0", "torch": "2.13"}}
    kinds = [{"kind": k, "found": f, "seconds": s} for k, f, s in (("quotients", True, 1.0), ("quotients", False, 3.0))]
    cells = [
        {"kind": "shared", "outputs": 8, "batch": n, "way": "eager", "cpu": 1e-6 * n, "wall": 1.0} for n in (1, 1024)
    ]
    for program, results in (("kinds.py", kinds), ("forward.py", cells)):
        content = {"program": program, **about, "results": results}
        (tmp_path / f"{program[:-3]}.json").write_text(json.dumps(content))
    monkeypatch.setattr(tables, "MEASURED", tmp_path)
    forward, kinds_ = tables.measured().split("### ")[1:]
    assert "| 8 shared | eager | 0.001 | 1 |" in forward
    assert "| quotients | 1 of 2 | 2 | 3 |" in kinds_
    assert (
        "`python benchmarks/kinds.py --seeds 0`; 2026-11-30, Some CPU, one thread; torch-symbolic 2.0, torch 2.13."
        in kinds_
    )
    assert "(_static/benchmarks/kinds.json)" in kinds_


def test_every_file_of_results_is_of_a_program_that_there_is() -> None:
    files = sorted(tables.MEASURED.glob("*.json"))
    assert files
    for path in files:
        assert path.stat().st_size < 300_000, f"{path.name}: keep what the site shows small"
        program = json.loads(path.read_text())["program"]
        assert (DOCS.parent / "benchmarks" / program).is_file()
        assert program == "forward.py" or program in tables.SUMMARIES
