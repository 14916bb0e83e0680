"""The project's own files: one version everywhere, forms and workflows that parse, commands that exist."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import release

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def loaded(path: str | Path) -> dict[str, Any]:
    content = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_one_version_everywhere() -> None:
    """Dockerfile and images are in test_deploy."""
    citation = loaded("CITATION.cff")
    headings = re.findall(
        r"^## (\S+) \((\d{4}-\d\d-\d\d)\)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert headings[0] == (PROJECT["version"], str(citation["date-released"]))
    assert citation["version"] == PROJECT["version"]


def test_the_citation_has_what_its_format_requires() -> None:
    citation = loaded("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["license"] == PROJECT["license"]
    assert {"title", "message", "authors"} <= citation.keys()
    for work in citation["references"]:
        assert {"type", "title", "authors"} <= work.keys()
    assert [author["name"] for author in citation["authors"]] == [each["name"] for each in PROJECT["authors"]]


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_can_be_filled_in(form: Path) -> None:
    """After GitHub's syntax for issue forms; one that is not by it is not shown."""
    content = loaded(form)
    if form.stem == "config":
        assert content.keys() <= {"blank_issues_enabled", "contact_links"}
        return
    assert {"name", "description", "body"} <= content.keys()
    fields = [each for each in content["body"] if each["type"] != "markdown"]
    assert fields
    assert len({each["id"] for each in fields}) == len(fields)
    for each in fields:
        assert each["type"] in ("textarea", "input", "dropdown", "checkboxes")
        assert each["attributes"]["label"]
        assert each.keys() <= {"type", "id", "attributes", "validations"}
        if each["type"] in ("dropdown", "checkboxes"):
            assert each["attributes"]["options"]


def test_a_form_links_to_files_that_exist() -> None:
    for form in FORMS:
        for name in re.findall(r"\]\(\.\./blob/main/([^)#]+)", form.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), (form.name, name)


def test_the_workflow_runs_what_is_here_and_may_write_nothing() -> None:
    workflow = loaded(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    [job] = workflow["jobs"].values()
    for step in job["steps"]:
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/x@v1"))
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert ".ci/run" in commands
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert {name for each in commands for name in re.findall(r"^make ([\w-]+)", each)} <= TARGETS
    [setup] = [step for step in job["steps"] if step.get("uses", "").startswith("actions/setup-python")]
    assert PROJECT["requires-python"] == f">={setup['with']['python-version']}"


@pytest.mark.parametrize("name", [".ci/run", ".pre-commit-config.yaml", "CONTRIBUTING.md", "README.md"])
def test_what_make_is_asked_for_it_can_make(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    asked = set(re.findall(r"(?:`|^ *|entry: )make ([a-z][\w-]*)", text, re.MULTILINE))
    assert asked
    assert asked <= TARGETS


def test_what_lies_beside_the_code_is_named_as_the_packages_own() -> None:
    """In a container's build there is no MANIFEST.in, which also brings it."""
    package = ROOT / release.PACKAGE
    beside = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert {
        path for pattern in SETUPTOOLS["package-data"][package.name] for path in package.glob(pattern)
    } == beside


def test_hooks_are_of_this_repository() -> None:
    [repository] = loaded(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        made = hook["language"] == "system" and hook["entry"].startswith("make ")
        assert made or all("==" in each for each in hook["additional_dependencies"]), hook["id"]


def test_a_distribution_that_differs_from_the_repository_is_told(tmp_path: Path) -> None:
    made = tmp_path / "made.whl"
    release.require_same_files(made, {"a", "b"}, {"a", "b"})
    with pytest.raises(SystemExit, match=r"made\.whl lacks a, c;"):
        release.require_same_files(made, {"b"}, {"a", "b", "c"})
    with pytest.raises(SystemExit, match=r"made\.whl must not hold tests/a\.py;"):
        release.require_same_files(made, {"b", "tests/a.py"}, {"b"})


@pytest.mark.process
def test_a_step_of_the_release_that_fails_ends_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ("sh", "-c", "echo no network; exit 3")
    with pytest.raises(SystemExit, match=r"the build.* 3"):
        release.run(*words, what="the build", folder=tmp_path, environment=dict(os.environ))
    assert capfd.readouterr().out == "no network\n\n"
