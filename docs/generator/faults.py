"""Adds to each line of `docs/faults.md` the files of the tests that carry its number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2] / "tests"
LINE = re.compile(r"^\| (f\d{3}) \|(.*)\|$", re.MULTILINE)


@cache
def files_by_number() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for file in sorted(TESTS.rglob("*.py")):
        for name in re.findall(r"def test_((?:f\d{3}_)+)", file.read_text(encoding="utf-8")):
            for number in re.findall(r"f\d{3}", name):
                found.setdefault(number, set()).add(str(file.relative_to(TESTS)))
    return {number: tuple(sorted(files)) for number, files in found.items()}


def with_tests(markdown: str) -> str:
    """The page with one column more."""
    head = "| number | fault | what must hold |\n|---|---|---|"
    wider = head.replace(" |\n|", " | tests |\n|---|")
    return LINE.sub(_line, markdown.replace(head, wider))


def _line(match: re.Match[str]) -> str:
    files = "<br>".join(f"`{file}`" for file in files_by_number().get(match[1], ()))
    return f"{match[0]} {files} |"
