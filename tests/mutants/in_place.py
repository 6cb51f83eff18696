"""Tries changes of a function's body in a process that has collected the tests: most are killed in a tenth of a second.

A fork of that process gives the function the code of its changed text, whoever holds the function, and runs the tests.
What was computed while the tests were collected is not computed again: where the changed lines ran then, ``trying``
asks again with the changed module imported.
"""

from __future__ import annotations

import gc
import inspect
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from .changes import Change

MEMORY_BYTES = 6 * 2**30
Place = tuple[str, int]
"""A function's qualified name, and the line on which it begins."""


class Quick:
    """One process that has collected the tests of a module, and tries changes of it one after another."""

    def __init__(
        self,
        root: Path,
        changes: Sequence[Change],
        tests: Mapping[str, Sequence[str]],
        limit_s: Callable[[Sequence[str]], float],
    ) -> None:
        """Starts it.

        Args:
            root: the project's folder.
            changes: of one module.
            tests: for each change's name the tests that may notice it, the quickest first.
            limit_s: how long so many tests may take; a change that takes longer is noticed.
        """
        files = sorted({test.partition("::")[0] for change in changes for test in tests[change.name]})
        self._reads, writes = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._reads)
                os.setsid()
                _serve(root, files, _Loop(root, changes, tests, limit_s, writes))
            finally:
                os._exit(0)
        os.close(writes)

    def outcomes(self) -> Iterator[tuple[str, bool]]:
        """In their order the changes that all their tests could be asked about, and whether one of them noticed."""
        try:
            with os.fdopen(self._reads, encoding="utf-8") as said:
                for line in said:
                    name, _, outcome = line.strip().rpartition(" ")
                    yield name, outcome == "noticed"
        finally:
            kill(self.pid)
            os.waitpid(self.pid, 0)


def _serve(root: Path, files: Sequence[str], loop: _Loop) -> None:
    import pytest

    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    os.chdir(root)
    pytest.main(["-q", "--no-header", "--assert=plain", "-p", "no:cacheprovider", *files], plugins=[loop])


class _Loop:
    """Instead of pytest's own loop over the collected tests."""

    def __init__(
        self,
        root: Path,
        changes: Sequence[Change],
        tests: Mapping[str, Sequence[str]],
        limit_s: Callable[[Sequence[str]], float],
        writes: int,
    ) -> None:
        self._root, self._changes, self._tests, self._limit_s, self._writes = root, changes, tests, limit_s, writes
        self._red = False

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._red = self._red or report.failed

    def pytest_runtestloop(self, session: Any) -> bool:
        items = {item.nodeid: item for item in session.items}
        file = self._root / self._changes[0].module
        held = _functions_of(str(file))
        gc.freeze()  # or each child's garbage collections would look through, and copy, all of it
        source = file.read_text(encoding="utf-8")
        for change in self._changes:
            found = _changed(held, *(compile(text, str(file), "exec") for text in (source, change.source)))
            asked = [items[test] for test in self._tests[change.name] if test in items]
            if found is None or not asked:
                continue
            noticed = self._is_noticed(session, found, asked)
            if noticed or len(asked) == len(self._tests[change.name]):
                os.write(self._writes, f"{change.name} {'noticed' if noticed else 'not'}\n".encode())
        return True

    def _is_noticed(self, session: Any, found: list[tuple[FunctionType, CodeType]], asked: list[Any]) -> bool:
        limit_s = self._limit_s([item.nodeid for item in asked])
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setsid()
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
                for function, changed in found:
                    function.__code__ = changed
                code = int(self._any_is_red(session, asked))
            finally:
                os._exit(code)
        until = time.monotonic() + limit_s
        while True:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return status != 0
            if time.monotonic() > until:
                kill(child)
                os.waitpid(child, 0)
                return True
            time.sleep(0.002)

    def _any_is_red(self, session: Any, asked: list[Any]) -> bool:
        for item, after in zip(asked, [*asked[1:], None], strict=True):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if self._red:
                return True
        return False


def _functions_of(file: str) -> dict[Place, list[FunctionType]]:
    """The functions of a loaded module, wherever they are held, by where they begin."""
    found: dict[Place, list[FunctionType]] = {}
    gc.unfreeze()  # what the tests' conftest froze is no longer listed
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename == file:
            found.setdefault(_place(each.__code__), []).append(each)
    return found


def _changed(
    held: Mapping[Place, list[FunctionType]], was: CodeType, becomes: CodeType
) -> list[tuple[FunctionType, CodeType]] | None:
    """The functions with the code that the changed module gives them; None where a change shows elsewhere than in the
    body of a function."""
    found = []
    for old, new in _differing(was, becomes) or []:
        functions = held.get(_place(old), [])
        if not functions or any(len(f.__code__.co_freevars) != len(new.co_freevars) for f in functions):
            return None
        found += [(function, new) for function in functions]
    return found or None


def _place(code: CodeType) -> Place:
    return code.co_qualname, code.co_firstlineno


def _differing(was: CodeType, becomes: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    """The bodies of functions that differ, below a module or a class that does not; None where that differs too."""
    inside, inside_new = ([c for c in code.co_consts if isinstance(c, CodeType)] for code in (was, becomes))
    plain, plain_new = ([c for c in code.co_consts if not isinstance(c, CodeType)] for code in (was, becomes))
    if (was.co_code, was.co_names, plain, len(inside)) != (
        becomes.co_code,
        becomes.co_names,
        plain_new,
        len(inside_new),
    ):
        return None
    found: list[tuple[CodeType, CodeType]] = []
    for old, new in zip(inside, inside_new, strict=True):
        if old == new:
            continue
        if old.co_flags & inspect.CO_NEWLOCALS:  # a function; a class has no locals of its own
            if _place(old) != _place(new):
                return None
            found.append((old, new))
        else:
            deeper = _differing(old, new)
            if deeper is None:
                return None
            found += deeper
    return found


def kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
