"""Names: one class name means one thing in the whole product."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def product() -> Iterator[tuple[str, str]]:
    """Every file of the product with its path, without the migrations, which Alembic loads by itself."""
    for folder in ("include", "plugins", "dags"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in file.parts:
                yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")


def test_no_class_name_is_defined_twice():
    defined = defaultdict(list)
    for path, code in product():
        for name in re.findall(r"^class ([A-Za-z]\w*)", code, re.MULTILINE):
            defined[name].append(path)
    assert len(defined) > 100, "the classes were not read"
    assert {name: paths for name, paths in defined.items() if len(paths) > 1} == {}


def test_test_files_have_names_of_their_own():
    """Two of one name are one module to the test runner, which then stops before the first test."""
    names = Counter(file.name for file in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
