"""Tries changes in forked children: nothing on disk changes.

First those of a function's body in a process that has collected the tests (``in_place``). What is left and was computed
with before the tests began is tried in a child that imports the changed module instead of the file.

Cosmic Ray's own runner writes each change into the working tree and starts an interpreter for it, which takes four
seconds here before the first test. A fork of a process that has the libraries loaded takes half a second.
"""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import CodeType
from typing import Any

from .changes import Change
from .in_place import MEMORY_BYTES, Quick, kill
from .reach import Reach

LIBRARIES = (
    *("numpy", "pandas", "scipy.stats", "scipy.special", "sklearn.linear_model", "sklearn.ensemble", "sklearn.tree"),
    *("sklearn.isotonic", "sklearn.metrics", "pyarrow.compute", "pyarrow.dataset", "pyarrow.parquet", "sqlalchemy"),
    *("pydantic", "yaml", "hypothesis", "hypothesis.strategies", "pytest", "_pytest.doctest", "xdist.scheduler"),
    *("duckdb", "httpx", "matplotlib.figure", "skops.io"),
)
"""What the tests import and no test changes; one that is not installed is left out."""
KILLED, SURVIVED, UNREACHED = "killed", "survived", "no quick test runs it"


def load_libraries() -> None:
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    gc.freeze()  # or each child's garbage collections would look through, and copy, all of it


@dataclass
class Try:
    """One change on its way through its tests."""

    change: Change
    batches: list[list[str]]
    """The tests still to be run; the next batch only when the one before stayed green."""
    pid: int = 0
    until: float = 0.0
    limit_s: float = 0.0


@dataclass
class Trying:
    """Runs changes side by side."""

    root: Path
    reach: Reach
    workers: int
    seconds: float = 60.0
    """How long the tests of one change may take together without the change. The quickest are asked; long simulations
    are not: a rule is held by an example, and what survives would run them all."""
    running: list[Try] = field(default_factory=list)

    def outcomes(self, changes: Sequence[Change]) -> Iterator[tuple[Change, str]]:
        """What became of each change of one module, in the order in which they are done."""
        spans = {module: _spans(self.root / module) for module in {c.module for c in changes}}
        batches = {c.name: self._batches(c, spans[c.module]) for c in changes}
        tests = {name: [test for batch in found for test in batch] for name, found in batches.items()}
        by_name, noticed, survived = {c.name: c for c in changes}, set[str](), {c.name: 0 for c in changes}
        own = {c.name: [test for test in tests[c.name] if _is_of(test, c.module)] for c in changes}
        others = {c.name: [test for test in tests[c.name] if not _is_of(test, c.module)] for c in changes}
        # Most are killed by the module's own tests, and a process that has collected only these is quickly forked.
        for some in (own, others):
            left = [c for c in changes if some[c.name] and c.name not in noticed]
            parts = [part for n in range(self.workers) if (part := left[n :: self.workers])]
            for quick in [Quick(self.root, part, some, self._limit_s) for part in parts]:
                for name, is_noticed in quick.outcomes():
                    if is_noticed:
                        noticed.add(name)
                        yield by_name[name], KILLED
                    else:
                        survived[name] += len(some[name])
        asked_all = {c.name for c in changes if 0 < survived[c.name] == len(tests[c.name])} - noticed
        final = {c.name for c in changes if c.name in asked_all and self._is_final(c, spans[c.module])}
        yield from ((by_name[name], SURVIVED) for name in by_name if name in final)
        waiting = [c for c in reversed(changes) if c.name not in noticed | final]
        try:
            while waiting or self.running:
                while waiting and len(self.running) < self.workers:
                    change = waiting.pop()
                    if not batches[change.name]:
                        yield change, UNREACHED
                        continue
                    self.running.append(self._started(Try(change, batches[change.name])))
                if self.running:
                    yield from self._ended()
        finally:
            for each in self.running:
                kill(each.pid)
                os.waitpid(each.pid, 0)

    def _batches(self, change: Change, spans: dict[int, tuple[int, int]]) -> list[list[str]]:
        """First the tests that run the changed statement, then all of their files that reach the module."""
        lines = self._lines(change, spans)
        first = self.reach.of(change.module, lines)
        if not first and not lines:  # a module that runs only while it is imported: any test may need it
            first = self.reach.quickest_first(self.reach.took_s)
        if not first:
            return []
        more = [test for test in self.reach.of_their_files(first, change.module) if test not in set(first)]
        return [batch for batch in (self._affordable(first), self._affordable(more)) if batch]

    def _affordable(self, tests: Sequence[str]) -> list[str]:
        """Of tests in their order as many as there is time for."""
        until = accumulate(self.reach.took_s.get(test, 0.0) for test in tests)
        return [test for test, took in zip(tests, until, strict=True) if took <= self.seconds]

    def _is_final(self, change: Change, spans: dict[int, tuple[int, int]]) -> bool:
        """Whether the changed statement runs only within tests, so that nothing was computed by it before them."""
        lines = self._lines(change, spans)
        return bool(lines) and not any((change.module, line) in self.reach.outside for line in lines)

    @staticmethod
    def _lines(change: Change, spans: dict[int, tuple[int, int]]) -> list[int]:
        return sorted({n for at in range(change.line, change.end + 1) for n in range(*spans.get(at, (0, 0)))})

    def _limit_s(self, tests: Sequence[str]) -> float:
        return 30 + 6 * sum(self.reach.took_s.get(test, 0.0) for test in tests)

    def _started(self, each: Try) -> Try:
        tests = each.batches.pop(0)
        each.limit_s = self._limit_s(tests)
        each.until = time.monotonic() + each.limit_s
        sys.stdout.flush()
        each.pid = os.fork()
        if each.pid == 0:
            try:
                os.setsid()
                os._exit(_run(self.root, each.change, tests, each.limit_s))
            except BaseException:  # noqa: BLE001 - a child that cannot run its tests says so by its exit code
                os._exit(70)
        return each

    def _ended(self) -> Iterator[tuple[Change, str]]:
        for each in list(self.running):
            pid, status = os.waitpid(each.pid, os.WNOHANG)
            if pid == 0:
                if time.monotonic() < each.until:
                    continue
                kill(each.pid)
                os.waitpid(each.pid, 0)
                status = -1
            self.running.remove(each)
            code = -1 if status == -1 else os.waitstatus_to_exitcode(status)
            if code in (4, 5, 70):
                raise RuntimeError(f"The tests of {each.change.module}:{each.change.line} could not be run ({code}).")
            if code != 0:
                yield each.change, KILLED
            elif each.batches:
                self.running.append(self._started(each))
            else:
                yield each.change, SURVIVED
        time.sleep(0.01)


def _run(root: Path, change: Change, tests: list[str], limit_s: float) -> int:
    """In the child: pytest's exit code."""
    import pytest

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    cpu_s = int(limit_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    name = change.module.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    sys.meta_path.insert(0, _Finder(_Changed(name, root / change.module, change.source)))
    os.chdir(root)
    return int(pytest.main(["-x", "-q", "--no-header", "--assert=plain", "-p", "no:cacheprovider", *tests]))


class _Changed(importlib.machinery.SourceFileLoader):
    """Reads one module from the changed text."""

    def __init__(self, name: str, file: Path, source: str) -> None:
        super().__init__(name, str(file))
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module, and leaves the others to those who come after."""

    def __init__(self, loader: _Changed) -> None:
        self._loader = loader

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._loader.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._loader.path, loader=self._loader)


def _is_of(test: str, module: str) -> bool:
    """Whether a test is in the test file named like the module, or an example in its docstrings."""
    file = test.partition("::")[0]
    return file == module or Path(file).stem == f"test_{Path(module).stem}"


def _spans(file: Path) -> dict[int, tuple[int, int]]:
    """For each line within a function, ``(first, past the last)`` line of the smallest statement around it, of a
    compound one only its head. Lines that run at import are not in it."""
    found: dict[int, tuple[int, int]] = {}

    def visit(statement: ast.stmt, inside: bool) -> None:
        body = [s for name in ("body", "orelse", "finalbody") for s in getattr(statement, name, [])]
        body += [s for h in getattr(statement, "handlers", []) for s in h.body]
        body += [s for case in getattr(statement, "cases", []) for s in case.body]
        end = (statement.end_lineno or statement.lineno) + 1
        if inside:
            decorators = [d.lineno for d in getattr(statement, "decorator_list", [])]
            first = min([statement.lineno, *decorators])
            found.update(dict.fromkeys(range(first, end), (first, min([end, *(s.lineno for s in body)]))))
        for each in body:
            visit(each, inside or isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef))

    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        visit(statement, False)
    return found
