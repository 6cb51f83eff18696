"""Which version brought a field of a declaration.

`since.yaml` holds the fields of each released version. What is in none of them is new in the next one. With a release,
`python -m docs.generator.since 1.2.0` writes the new fields below that version.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("since.yaml")
NEXT = "next"


@cache
def released() -> dict[str, dict[str, list[str]]]:
    """Version, file, fields that the version brought."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8")) or {}


def version_of(file: str, path: str) -> str:
    """The version that brought the field, or ``next``."""
    return next((version for version, brought in released().items() if path in brought.get(file, ())), NEXT)


def release(version: str) -> int:
    """Write what is new below a version; how many fields that are."""
    from docs.generator import declarations

    new = {file: [path for path in paths_of(file) if version_of(file, path) == NEXT] for file in declarations.ROOTS}
    whole = {**released(), version: {file: paths for file, paths in new.items() if paths}}
    FILE.write_text(yaml.safe_dump(whole, sort_keys=False, width=120), encoding="utf-8")
    return sum(len(paths) for paths in new.values())


def paths_of(file: str) -> list[str]:
    """Every field of a file by its place in it."""
    from docs.generator import declarations

    return [f"{s.path}.{f.name}" if s.path else f.name for s in declarations.sections(file) for f in s.fields]


if __name__ == "__main__":
    print(f"{release(sys.argv[1])} fields are new in {sys.argv[1]}.")
