"""The documentation holds: its links lead somewhere, its example is a valid declaration, every gate has its page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from include.config import read_declarations
from include.config.settings import PROJECT
from include.workflows.gates import GATES

PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
README = (PROJECT / "README.md").read_text(encoding="utf-8")
MODEL_TO_ADD = (PROJECT / "docs/add-a-model.md").read_text(encoding="utf-8")
VARIABLES = (PROJECT / "docs/scale.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_link_inside_the_project_leads_to_a_file(page: Path):
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [t for t in targets if not (page.parent / t).exists()] == []


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_the_page_that_a_red_gate_names_is_there(gate):
    assert f"`{gate.name}`" in (PROJECT / gate.runbook).read_text(encoding="utf-8")
    assert f"]({gate.name}.md)" in (PROJECT / "docs/runbook/README.md").read_text(encoding="utf-8")


def test_every_decision_is_listed():
    index = (PROJECT / "docs/adr/README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (PROJECT / "docs/adr").glob("0*.md")}
    assert set(re.findall(r"\]\((0[^)]+)\)", index)) == pages


def test_the_model_to_add_can_be_declared_as_it_is_written(tmp_path):
    shutil.copytree(PROJECT / "include/features", tmp_path / "features")
    folder = tmp_path / "models" / "very_late"
    folder.mkdir(parents=True)
    for language, file in (("yaml", "model.yaml"), ("sql", "label.sql")):
        block = re.search(rf"^```{language}\n(.*?)^```", MODEL_TO_ADD, re.DOTALL | re.MULTILINE)
        assert block is not None
        (folder / file).write_text(block[1], encoding="utf-8")
    read = read_declarations(tmp_path)
    assert read.broken == {}
    assert set(read.models) == {"very_late"}


def test_every_variable_that_the_scale_page_names_is_read_somewhere():
    named = set(re.findall(r"SLIPWAY_[A-Z_]+[A-Z]", VARIABLES))
    code_folders = (PROJECT / "include", PROJECT / "plugins", PROJECT / "deploy")
    files = [file for folder in code_folders for file in folder.rglob("*.py")]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    assert {name for name in named if name not in code} == set()


def test_what_make_test_leaves_out_make_test_slow_runs_and_a_commit_must_pass_both():
    def told(verb: str) -> str:
        return subprocess.run(
            ["make", "--dry-run", "--old-file=.venv/.installed-test", verb],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert re.search(r'-m pytest .*-m "not slow"', told("test"))
    assert "make test-slow runs them" in told("test")
    assert re.search(r"-m pytest .*-m slow", told("test-slow"))
    ran = (PROJECT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert [line for line in ran if line.startswith("make ")] == [
        "make lint",
        "make docs",
        "make test",
        "make test-slow",
    ]


def test_no_wheel_is_built_and_whoever_tries_is_told_why(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    tried = subprocess.run(build, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert tried.returncode != 0
    page = re.search(r"docs/adr/\S+\.md", tried.stdout + tried.stderr)
    assert page is not None
    assert (PROJECT / page[0]).exists()
    assert list(tmp_path.iterdir()) == []


# --- the changelog ---------------------------------------------------------------------------------------------------

CHANGELOG = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
SECTIONS = ["Breaking", "Behaviour", "Added", "Fixed"]


def versions_of_the_changelog():
    """Version, section, entries."""
    found: dict[str, dict[str, list[str]]] = {}
    for part in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        sections = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
        named = [section.partition("\n") for section in sections]
        assert len({name for name, _, _ in named}) == len(named), f"{heading}: a section is there twice"
        entries = {name: re.split(r"^- ", below, flags=re.MULTILINE)[1:] for name, _, below in named}
        found[re.match(r"\[([^\]]+)\]", heading)[1]] = entries
    return found


def test_the_changelog_says_first_what_a_reader_must_do():
    for version, sections in versions_of_the_changelog().items():
        assert list(sections) == [name for name in SECTIONS if name in sections], (
            f"{version}: the sections are {', '.join(SECTIONS)}, in this order"
        )
        for name in ("Breaking", "Behaviour"):
            without = [entry[:60] for entry in sections.get(name, ()) if len(re.findall(r"\*\*Do:\*\*", entry)) != 1]
            assert without == [], f"{version}, {name}: each entry has one **Do:**"


def test_nothing_is_in_the_changelog_twice():
    """Two branches that both change it are merged by keeping both; what one of them moved must not come back."""
    lines = [line for line in CHANGELOG.splitlines() if line.startswith("- ")]
    assert [line for line in lines if lines.count(line) > 1] == []


def test_the_released_version_is_in_the_changelog():
    version = re.search(r'^version = "(.+)"', (PROJECT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert version[1] in versions_of_the_changelog()
    assert next(iter(versions_of_the_changelog())) == "Unreleased"
