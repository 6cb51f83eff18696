"""Which test runs which line of the mutated modules, and how long it takes; measured again when either changes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

RUN = """
import json, sys, time
from pathlib import Path
import coverage, pytest

root, kept, mutated, *args = sys.argv[1:]
watched = coverage.Coverage(data_file=None, include=[f"{root}/{mutated}/*"], config_file=False)
took = {}

class Watch:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        watched.switch_context(item.nodeid)
        began = time.perf_counter()
        result = yield
        took[item.nodeid] = time.perf_counter() - began
        watched.switch_context("")
        return result

watched.start()
code = pytest.main(["-q", "-p", "no:cacheprovider", *args], plugins=[Watch()])
watched.stop()
data = watched.get_data()
reached = {}
for file in data.measured_files():
    for line, tests in data.contexts_by_lineno(file).items():
        for test in tests:
            reached.setdefault(test, {}).setdefault(str(Path(file).relative_to(root)), []).append(line)
Path(kept).write_text(json.dumps({"took": took, "reached": reached}))
sys.exit(0 if code in (0, 5) else 1)
"""


@dataclass
class Reach:
    """What was measured of all test files."""

    took_s: dict[str, float] = field(default_factory=dict)
    """By test."""
    by_line: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    """The tests that run a line of a module; those that only import the module are not among them."""
    by_module: dict[str, set[str]] = field(default_factory=dict)

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
        SystemExit: when a test is red without any change.
    """
    kept.mkdir(parents=True, exist_ok=True)
    product = _digest(sorted((root / mutated).rglob("*.py")) + sorted((root / "tests").rglob("conftest.py")))
    reach, stale = Reach(), []
    for file in _files(root, places):
        said = kept / f"{file.replace('/', '.')}.{_digest([root / file], product)[:16]}.json"
        if not said.exists():
            for old in kept.glob(f"{file.replace('/', '.')}.*.json"):
                old.unlink()
            stale.append((file, said))
    for number, (file, said) in enumerate(stale, 1):
        print(f"[{number}/{len(stale)}] which lines {file} runs", flush=True)
        argv = [sys.executable, "-c", RUN, str(root), str(said), mutated, file]
        done = subprocess.run(argv, cwd=root, env=quiet(), capture_output=True, text=True, check=False)
        if done.returncode:
            said.unlink(missing_ok=True)
            raise SystemExit(f"{file} is red without any change; make it green first.\n{done.stdout[-3000:]}")
    for file in _files(root, places):
        (said,) = kept.glob(f"{file.replace('/', '.')}.*.json")
        _add(reach, json.loads(said.read_text(encoding="utf-8")))
    return reach


def quiet() -> dict[str, str]:
    """The environment for a test that runs beside others: one thread of arithmetic, no files of compiled code."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1"), "PYTHONDONTWRITEBYTECODE": "1"}


def _add(reach: Reach, said: dict[str, dict[str, dict[str, list[int]]]]) -> None:
    reach.took_s |= said["took"]  # type: ignore[arg-type]  # read from JSON
    for test, modules in said["reached"].items():
        for module, lines in modules.items():
            if test:
                reach.by_module.setdefault(module, set()).add(test)
                for line in lines:
                    reach.by_line.setdefault((module, line), set()).add(test)


def _files(root: Path, places: Sequence[str]) -> list[str]:
    found: list[Path] = []
    for place in places:
        inside = sorted((root / place).rglob("*.py"))
        found += [f for f in inside if f.name.startswith("test_")] if place.startswith("tests") else inside
    return [str(f.relative_to(root)) for f in found]


def _digest(files: Iterable[Path], *more: str) -> str:
    made = hashlib.sha256("".join(more).encode())
    for file in files:
        made.update(file.read_bytes())
    return made.hexdigest()
