"""What the project's own files say of versions, in one place and another, is the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins(text: str) -> dict[str, str]:
    """{name: version} of what is written as name==version."""
    return dict(re.findall(r"^[^#\n]*?([\w-]+)==([\w.+]+)", text, flags=re.MULTILINE))


def bounds(operator: str, requirements: list[str]) -> dict[str, str]:
    """{name: version} of the requirements that have this operator."""
    found = (re.fullmatch(rf"([\w-]+)(?:\[\w+\])?{operator}([\w.]+)", requirement) for requirement in requirements)
    return {match[1]: match[2] for match in found if match}


def padded(version: str) -> str:
    return ".".join([*version.split("."), "0", "0"][:3])


def test_the_linters_are_pinned_alike_everywhere() -> None:
    linters = bounds("==", EXTRAS["lint"])
    assert linters.keys() == {"ruff", "mypy", "import-linter"}
    assert pins((ROOT / ".pre-commit-config.yaml").read_text()) == linters
    constraints = pins((ROOT / "constraints.txt").read_text())
    assert {name: constraints[name] for name in linters} == linters


def test_every_pre_commit_hook_says_which_version_it_runs() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text().split("- id: ")[1:]
    assert len(hooks) == 4
    for hook in hooks:
        program = re.search(r"entry: (\S+)", hook)
        assert program
        assert pins(hook).keys() == {program[1].replace("lint-imports", "import-linter")}


def test_the_lowest_versions_that_ci_tries_are_those_that_are_allowed() -> None:
    allowed = bounds(">=", PROJECT["dependencies"])
    assert len(allowed) == len(PROJECT["dependencies"])  # each has a lower bound
    for extra in EXTRAS.keys() - {"lint", "docs"}:  # linters and the site have one set of versions
        allowed |= bounds(">=", EXTRAS[extra])
    tried = pins((ROOT / "constraints-lowest.txt").read_text().split("# Of the same years")[0])
    assert tried == {name: padded(version) for name, version in allowed.items()}


@pytest.mark.parametrize("name", sorted(bounds(">=", PROJECT["dependencies"] + EXTRAS["test"] + EXTRAS["docs"])))
def test_what_ci_installs_is_pinned(name: str) -> None:
    assert name in pins((ROOT / "constraints.txt").read_text())


def drawn(block: int) -> list[set[str]]:
    """The floors as docs/contributing.md draws them in its n-th block, the highest first."""
    text = (ROOT / "docs" / "contributing.md").read_text().split("```")[2 * block + 1]
    return [set(re.split(r", ?", re.split(r"  +", line)[0])) for line in text.strip().splitlines()]


@pytest.mark.parametrize(("container", "block"), [("symtorch", 1), ("symtorch.engines.native", 2)])
def test_the_floors_are_drawn_as_they_are_held(container: str, block: int) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c.get("containers") == [container])
    assert drawn(block) == [set(layer.split(" | ")) for layer in layers]


def test_what_the_page_for_contributors_names_is_there() -> None:
    text = (ROOT / "docs" / "contributing.md").read_text().split("## Where is ...")[1].split("## Add")[0]
    paths = re.findall(r"`([\w/]+\.py)`", text)
    assert len(paths) >= 12
    assert [path for path in paths if not any((ROOT / top / path).is_file() for top in ("symtorch", "."))] == []
