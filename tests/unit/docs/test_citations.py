"""Whatever a comment, a test or a page cites is in the repository: the file, and the heading or rule that is named."""

from __future__ import annotations

import re
import subprocess
from functools import cache

import pytest
from invariants import NAMES

from include.config.settings import PROJECT

READ = {".py", ".md", ".yaml", ".toml", ".sql", ".sh", ".in", ".css", ".html", ".js", ""}
NOT_HERE = re.compile(
    # Names of documents in capitals, and requirements by letter and number, lead a reader of the repository nowhere.
    r"\b(?:DESIGN|STATISTICS|POLICY|FAULTS|LAYOUT|PLATFORM|SERVING|STYLE)(?:\.md)?(?:'s)?(?=[ ,.;)]|$)(?! =)"
    r"|\.\./shared|\bH(?:1[0-5]|[1-9])\b"
)
NAMED_BY = (
    *("DESIGN", "STATISTICS", "POLICY", "FAULTS", "LAYOUT", "PLATFORM", "SERVING", "STYLE"),
    *("../shared", *(f"H{n}" for n in range(1, 10))),
)
"""A text without any of them has no match of ``NOT_HERE``; to look for a word is a hundred times quicker."""
PAGE = re.compile(r"(?<![\w/.-])((?:docs/[\w./-]*|[A-Z][A-Z_]+)\.md)(?:, (rule )?(\d+))?")
DECISION = re.compile(r"(?:docs/adr/|\bADR )(\d{4})\b")
HERE = "tests/unit/docs/test_citations.py"


@cache
def texts():
    """Every text file of the repository by its path, but this one."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    paths = subprocess.run(listed, cwd=PROJECT, check=True, capture_output=True, text=True).stdout.splitlines()
    found = {}
    for path in paths:
        file = PROJECT / path
        if path != HERE and file.is_file() and file.suffix in READ and not path.startswith("requirements"):
            found[path] = file.read_text(encoding="utf-8")
    return found


def places(pattern, *named_by):
    """Each match of a pattern with the file and line it is in. A match contains one of the words ``named_by``."""
    for path, text in texts().items():
        for match in pattern.finditer(text) if any(word in text for word in named_by) else ():
            yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}", match


def is_there(match):
    page = PROJECT / match[1]
    if not page.exists():
        return False
    text, number = page.read_text(encoding="utf-8"), match[3]
    if number is None:
        return True
    return re.search(rf"^{number}\. " if match[2] else rf"^#+ {number}\. ", text, re.MULTILINE) is not None


def test_the_search_reads_what_it_is_about():
    assert {
        "include/domain/verdicts.py",
        "tests/support/invariants.py",
        "docs/design.md",
        "Makefile",
        ".ci/run",
    } <= set(texts())
    assert len([1 for _ in places(PAGE, ".md")]) > 20
    assert len([1 for _ in places(DECISION, "docs/adr/", "ADR ")]) > 5


def test_no_text_cites_a_document_that_is_not_in_the_repository():
    assert [place for place, _ in places(NOT_HERE, *NAMED_BY)] == []


def test_every_page_that_a_text_names_is_there_with_the_heading_or_rule():
    made_up = (
        "docs/runbook/coverage_gate.md"  # of the gate that tests/unit/workflows/gates/test_gate_registry.py makes up
    )
    assert [place for place, match in places(PAGE, ".md") if match[1] != made_up and not is_there(match)] == []


def test_every_decision_that_a_text_names_is_there():
    known = {page.name[:4] for page in (PROJECT / "docs/adr").glob("0*.md")}
    assert [place for place, match in places(DECISION, "docs/adr/", "ADR ") if match[1] not in known] == []


@pytest.mark.parametrize(
    ("cited", "found"),
    [
        ("docs/design.md, rule 1", True),
        ("docs/design.md, rule 99", False),
        ("docs/statistics.md, 4", True),
        ("docs/statistics.md, 99", False),
        ("docs/no-such-page.md", False),
        ("README.md", True),
    ],
)
def test_a_citation_is_resolved_down_to_its_number(cited, found):
    match = PAGE.search(f"see {cited}.")
    assert match is not None
    assert match[0] == cited
    assert is_there(match) is found


# --- paths -----------------------------------------------------------------------------------------------------------

PATH = re.compile(r"`((?:include|plugins|dags|tests|benchmarks|deploy|config|docs)/[^`\s]*)`")
PLACEHOLDER = re.compile(r"<\w+>|NAME|\b[A-Z]+\b|\{\w+\}|…")


def named_paths():
    """Each path that a page names in backticks, with the page; decisions and the changelog tell of the past."""
    for page, text in texts().items():
        if page.endswith(".md") and page != "CHANGELOG.md" and not page.startswith("docs/adr/"):
            yield from ((page, path) for path in PATH.findall(text))


def paths_of_tree(block):
    """Paths of a tree in a fenced block: one name at the start of each line, deeper ones indented by two blanks."""
    folders: list[str] = []
    for line in block.splitlines():
        if name := re.match(r"( *)([\w.]+/?)(?= |$)", line):
            folders[len(name[1]) // 2 :] = [name[2]]
            yield "".join(folders)


def test_every_path_that_a_page_names_is_there():
    assert len(list(named_paths())) > 30
    made_up = "include/models/very_late/"  # the model that the pages let a reader add
    gone = [f"{page}: {path}" for page, path in named_paths() if not is_path(path) and not path.startswith(made_up)]
    assert gone == []


def is_path(path):
    path, _, test = path.partition("::")
    if test and f"def {test}(" not in texts().get(path, ""):
        return False
    return next(PROJECT.glob(PLACEHOLDER.sub("*", path).rstrip("/")), None) is not None


@pytest.mark.parametrize(("page", "section"), [("docs/design.md", "Layers"), ("CONTRIBUTING.md", "Where things go")])
def test_a_tree_of_the_repository_names_what_is_there(page, section):
    block = re.search(rf"^## {section}$.*?^```\n(.*?)^```", texts()[page], re.DOTALL | re.MULTILINE)
    assert block is not None
    paths = list(paths_of_tree(block[1]))
    assert len(paths) > 8
    assert [path for path in paths if not (PROJECT / path).exists()] == []


# --- the numbers of faults -------------------------------------------------------------------------------------------


def numbers_explained():
    return re.findall(r"^\| (f\d{3}) \|", texts()["docs/faults.md"], re.MULTILINE)


def numbers_in_tests():
    tests = [text for path, text in texts().items() if path.startswith("tests/") and path.endswith(".py")]
    names = [name for text in tests for name in re.findall(r"def test_((?:f\d{3}_)+)", text)]
    return {number for name in names for number in re.findall(r"f\d{3}", name)}


def test_every_fault_number_of_a_test_has_its_line_in_docs_faults_and_every_line_has_a_test():
    explained = numbers_explained()
    assert explained == sorted(set(explained)), "one line a number, in order"
    assert numbers_in_tests() == set(explained)


def test_the_invariants_on_the_page_are_those_that_are_checked():
    assert re.findall(r"^\| (I\d+) \|", texts()["docs/faults.md"], re.MULTILINE) == list(NAMES)
