"""Which test runs which line of the mutated modules, and how long it takes.

A test file is measured again when it, a ``conftest.py``, a module that its tests ran or this one has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RUN = """
import hashlib, json, sys, time
from pathlib import Path
import coverage, pytest

root, mutated, asked = sys.argv[1:]
kept = json.loads(asked)  # where to write what was measured of each test file
watched = coverage.Coverage(data_file=None, include=[f"{root}/{mutated}/*"], config_file=False)
took, red = {}, set()

class Watch:
    def pytest_runtest_logreport(self, report):
        if report.failed:
            red.add(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        watched.switch_context(item.nodeid)
        began = time.perf_counter()
        result = yield
        took[item.nodeid] = time.perf_counter() - began
        watched.switch_context("")
        return result

watched.start()
code = pytest.main(["-q", "-m", "not slow", "-p", "no:cacheprovider", *kept], plugins=[Watch()])
watched.stop()
if code not in (0, 1, 5):
    sys.exit(1)
data = watched.get_data()
said = {file: {"took": {}, "reached": {}, "outside": {}, "of": {file}} for file in kept}
for test, seconds in took.items():
    if test in red:
        print("RED", test)
        continue
    said[test.partition("::")[0]]["took"][test] = seconds
for file in data.measured_files():
    for line, tests in data.contexts_by_lineno(file).items():
        for test in set(tests) - red - {""}:
            of_file, module = said[test.partition("::")[0]], str(Path(file).relative_to(root))
            of_file["reached"].setdefault(test, {}).setdefault(module, []).append(line)
            of_file["of"].add(module)
for file in data.measured_files():
    module = str(Path(file).relative_to(root))
    lines = [line for line, tests in data.contexts_by_lineno(file).items() if "" in tests]
    for of_file in said.values():
        if module in of_file["of"]:
            of_file["outside"][module] = lines
for file, place in kept.items():
    of = {path: hashlib.sha256(Path(root, path).read_bytes()).hexdigest() for path in said[file]["of"]}
    Path(place).write_text(json.dumps(said[file] | {"of": of}))
"""


@dataclass
class Reach:
    """What was measured of all test files."""

    took_s: dict[str, float] = field(default_factory=dict)
    """By test."""
    by_line: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    """The tests that run a line of a module; those that only import the module are not among them."""
    by_module: dict[str, set[str]] = field(default_factory=dict)
    outside: set[tuple[str, int]] = field(default_factory=set)
    """The lines that run while the tests are collected, or between two of them."""

    def of(self, module: str, lines: Iterable[int]) -> list[str]:
        """The tests that run one of the lines, or without lines all that reach the module; quickest first."""
        wanted = [self.by_line.get((module, line), set()) for line in lines]
        return self.quickest_first(set().union(*wanted) if wanted else self.by_module.get(module, set()))

    def of_their_files(self, tests: Iterable[str], module: str) -> list[str]:
        """Every test that reaches the module in the files of these: one may look at what another's fixture made."""
        files = {test.partition("::")[0] for test in tests}
        return self.quickest_first(t for t in self.by_module.get(module, set()) if t.partition("::")[0] in files)

    def quickest_first(self, tests: Iterable[str]) -> list[str]:
        return sorted(tests, key=lambda test: (self.took_s.get(test, 0.0), test))


def measured(root: Path, kept: Path, mutated: str, places: Sequence[str]) -> Reach:
    """The reach of every test file below ``places`` into the modules below ``mutated``.

    Raises:
        SystemExit: when the tests could not be run.
    """
    kept.mkdir(parents=True, exist_ok=True)
    shared = _digest([Path(__file__), *sorted((root / "tests").rglob("conftest.py"))])[:16]
    reach, stale, now = Reach(), {}, {}
    for file in _files(root, places):
        name = file.replace("/", ".")
        said = kept / f"{name}.{shared}.json"
        now[file] = said
        if not said.exists() or not _still_so(root, json.loads(said.read_text(encoding="utf-8"))["of"]):
            for old in kept.glob(f"{name}.*.json"):
                old.unlink()
            stale[file] = str(said)
    if stale:
        print(f"Which lines do the tests run? Running {len(stale)} files of them once.", flush=True)
        argv = [sys.executable, "-c", RUN, str(root), mutated, json.dumps(stale)]
        done = subprocess.run(argv, cwd=root, env=quiet(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"The tests could not be run.\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        for line in done.stdout.splitlines():
            if line.startswith("RED "):
                print(f"{line[4:]} is red without any change, so it is left out; make it green.", flush=True)
    for said in now.values():
        _add(reach, json.loads(said.read_text(encoding="utf-8")))
    return reach


def quiet() -> dict[str, str]:
    """The environment for a test that runs beside others: one thread of arithmetic."""
    return {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")}


def _add(reach: Reach, said: dict[str, dict[str, dict[str, list[int]]]]) -> None:
    reach.took_s |= said["took"]  # type: ignore[arg-type]  # read from JSON
    reach.outside |= {(module, line) for module, lines in said["outside"].items() for line in lines}  # type: ignore[misc]
    for test, modules in said["reached"].items():
        for module, lines in modules.items():
            reach.by_module.setdefault(module, set()).add(test)
            for line in lines:
                reach.by_line.setdefault((module, line), set()).add(test)


def _files(root: Path, places: Sequence[str]) -> list[str]:
    found: list[Path] = []
    for place in places:
        whole = root / place
        inside = [whole] if whole.is_file() else sorted(whole.rglob("*.py"))
        found += [f for f in inside if f.name.startswith("test_")] if place.startswith("tests") else inside
    return [str(f.relative_to(root)) for f in found]


def _still_so(root: Path, digests: Mapping[str, str]) -> bool:
    """Whether each file is there and what it was."""
    return all((root / path).exists() and _digest([root / path]) == was for path, was in digests.items())


def _digest(files: Iterable[Path]) -> str:
    made = hashlib.sha256()
    for file in files:
        made.update(file.read_bytes())
    return made.hexdigest()
