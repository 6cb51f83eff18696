"""Shared files are written by one helper: whole or not at all, whoever races. Any other way is found in the code."""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Iterator

import pytest

from include.adapters import files
from include.config.settings import PROJECT

HELPER = PROJECT / "include/adapters/files.py"
CODE = sorted(
    file
    for folder in ("include", "plugins", "dags", "config", "deploy")
    for file in (PROJECT / folder).rglob("*.py")
    if file != HELPER
)
RENAMES = {"replace", "rename", "renames", "move"}
WRITES = {"write_text", "write_bytes", "to_parquet", "copyfile", "copy2", "write_table", "savefig"}
MODULES = {"os", "shutil"}
ALONE = {
    # Where nobody else reads or writes: a folder of the process's own, or a name that a person gave.
    "include/workflows/evidence/baselines.py": {"rename": "a column's name and no file's"},
    "include/adapters/processes.py": {"replace": "a log that its only writer sets aside, whole"},
    "include/workflows/scoring/challenger_process.py": {
        "write_text": "a temporary folder of two processes that wait for each other",
        "to_parquet": "the same folder",
        "open": "the same folder",
    },
    "include/workflows/evidence/smoke_process.py": {
        "write_text": "a temporary folder of two processes that wait for each other",
        "to_parquet": "the same folder",
    },
    "include/workflows/selftest/file_defects.py": {
        "copyfile": "a temporary folder of one process",
        "open": "a temporary folder of one process",
    },
    "include/adapters/onnx_export/asking.py": {
        "write_text": "a temporary folder of two processes that wait for each other"
    },
    "include/adapters/onnx_export/conversion.py": {
        "write_text": "the same folder",
        "write_bytes": "the same folder",
    },
    "include/serving/counters.py": {"open": "a file of this worker's own, which others only read"},
    "include/workflows/simulation/picture.py": {"savefig": "a picture where the caller asked for it"},
    "include/commands/drift.py": {"savefig": "a picture where the caller asked for it"},
    "include/workflows/tables/reading.py": {"rename": "a column, no file"},
    "include/workflows/features/staged_file.py": {"write_table": "writes into the name that files.whole gave"},
}
"""By file: the call, and why it harms nobody."""


def found_in(code: str) -> Iterator[tuple[int, str]]:
    """Line and name of each call that gives a path a new name or writes a file, outside the helper's blocks."""
    if not any(name in code for name in (*RENAMES, *WRITES, "open(")):
        return
    nodes = list(ast.walk(ast.parse(code)))
    strings = _given_by_helper(nodes)
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = getattr(getattr(node.func, "value", None), "id", None)
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if any(isinstance(a, ast.Name) and a.id in strings for a in arguments) or owner in strings:
            continue
        if owner == "files":
            continue
        # path.replace(new) has one argument, str.replace at least two, datetime.replace and dataclasses.replace names.
        one_path = len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Starred)
        renames = name in RENAMES and (owner in MODULES or (isinstance(node.func, ast.Attribute) and one_path))
        if renames or name in WRITES or (name == "open" and _writes(node)):
            yield node.lineno, name


def _given_by_helper(nodes: list[ast.AST]) -> set[str]:
    """Names that ``with files.whole(...) as name`` or ``files.draft`` gave."""
    names = set()
    for node in nodes:
        for item in node.items if isinstance(node, ast.With) else []:
            call = item.context_expr
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("files.whole", "files.draft"):
                names |= {n.id for n in ast.walk(item.optional_vars or ast.Tuple()) if isinstance(n, ast.Name)}
    return names


def _writes(call: ast.Call) -> bool:
    """Whether ``open`` is asked to make a file's content anew; adding a line to a log is not that."""
    modes = [
        a.value
        for a in [*call.args, *(k.value for k in call.keywords if k.arg == "mode")]
        if isinstance(a, ast.Constant)
    ]
    texts = [mode for mode in modes if isinstance(mode, str) and set(mode) <= set("rwxab+t")]
    nowhere = "devnull" in ast.unparse(call)
    return any(set(mode) & set("wx+") for mode in texts) and not nowhere


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("partial.replace(target)", True),
        ("os.replace(a, b)", True),
        ("os.rename(a, b)", True),
        ("shutil.move(a, b)", True),
        ("path.rename(other)", True),
        ("path.write_text('x', encoding='utf-8')", True),
        ("open(path, 'w')", True),
        ("path.open('xb')", True),
        ("text.replace('a', 'b')", False),
        ("moment.replace(tzinfo=None)", False),
        ("frame.rename(columns=names)", False),
        ("replace(record, rows=1)", False),
        ("path.open('a')", False),
        ("path.open('rb')", False),
        ("with files.whole(path) as new:\n    new.write_text('x')", False),
        ("with files.whole(path) as new:\n    frame.to_parquet(new)", False),
        ("with files.draft(folder, 'a') as (new, keep):\n    table.write_table(rows, new)", False),
        ("files.write_text(path, 'x')", False),
    ],
)
def test_the_lint_knows_a_path_from_a_text(line, is_found):
    assert bool(list(found_in(line))) is is_found


def test_no_file_is_written_or_renamed_but_by_the_helper():
    outside, needless = [], []
    for file in CODE:
        name = str(file.relative_to(PROJECT))
        found, allowed = list(found_in(file.read_text(encoding="utf-8"))), ALONE.get(name, {})
        outside += [f"{name}:{line} {what}" for line, what in found if what not in allowed]
        needless += [f"{name} {what}" for what in set(allowed) - {what for _, what in found}]
    assert outside == [], "use include/adapters/files.py"
    assert needless == [], "an exception that is not needed any more"


def test_after_an_error_the_file_is_as_it_was_and_nothing_is_left(tmp_path):
    files.write_text(tmp_path / "a.json", "before")

    def fail() -> None:
        with files.whole(tmp_path / "a.json") as unfinished:
            unfinished.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "a.json").read_text() == "before"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_folder_after(tmp_path, monkeypatch):
    done = []
    real_replace, real_sync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("named"), real_replace(a, b)))

    def sync(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real_sync(handle)

    monkeypatch.setattr(os, "fsync", sync)
    files.write_text(tmp_path / "a.json", "{}")
    assert done == ["file", "named", "folder"]


def test_a_secret_is_never_readable_by_others_and_is_written_once(tmp_path):
    files.write_once(tmp_path / "key", "first", 0o600)
    files.write_once(tmp_path / "key", "second", 0o600)
    assert (tmp_path / "key").read_text() == "first"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    files.write_text(tmp_path / "passwords", "{}", 0o600)
    assert stat.S_IMODE((tmp_path / "passwords").stat().st_mode) == 0o600
