"""Code that no type checker reads, in scripts, pages and texts of tests, imports what there is.

A name that moves is changed in every module, and stays in a text: a container's first step died of that once.
"""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
IMPORT = re.compile(r"\bfrom (include(?:\.\w+)*) import (\([^)]*\)|[\w, ]+)")
READ_BY_OTHERS = {".py", ".sh", ".md", ".yaml", ".yml", ".toml", ""}


def imports_in(text: str) -> list[tuple[str, str]]:
    """Each (module, name) that a text imports from ``include``."""
    found = []
    for module, names in IMPORT.findall(text.replace("\\n", "\n")):
        for name in names.strip("()").split(","):
            word = name.split("#")[0].split(" as ")[0].strip()
            if word:
                found.append((module, word))
    return found


def is_there(module: str, name: str) -> bool:
    try:
        if hasattr(importlib.import_module(module), name):
            return True
        importlib.import_module(f"{module}.{name}")
    except ImportError:
        return False
    return True


def texts() -> list[str]:
    said = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [name for name in said.splitlines() if Path(name).suffix in READ_BY_OTHERS and name != "CHANGELOG.md"]
    return [name for name in files if (ROOT / name).is_file() and ROOT / name != Path(__file__)]


def test_every_import_in_every_text_names_what_there_is():
    asked = {
        (name, *pair) for name in texts() for pair in imports_in((ROOT / name).read_text("utf-8", errors="replace"))
    }
    assert len(asked) > 1000, "the texts were not read"
    known = {pair: is_there(*pair) for pair in {(module, name) for _, module, name in asked}}
    assert [
        f"{file}: from {module} import {name}" for file, module, name in sorted(asked) if not known[module, name]
    ] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("from include.config import loader", [("include.config", "loader")], id="one"),
        pytest.param(
            '"import x\\nfrom include.a import (b, c as d)"', [("include.a", "b"), ("include.a", "c")], id="text"
        ),
        pytest.param("nothing of ours", [], id="none"),
    ],
)
def test_an_import_is_found_in_code_and_in_text(text, found):
    assert imports_in(text) == found


def test_what_is_gone_is_not_there():
    assert not is_there("include.workflows.journey.step", "open_ledger")
    assert not is_there("include.workflows.common", "open_ledger")
