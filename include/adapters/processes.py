"""Child processes that never outlive their parent. Linux and macOS; this file runs by itself, too.

Each child leads a session of its own. A session, unlike a process group, also holds the children of its children that
moved to groups of their own, as Airflow's tasks do. So ending a session ends everything that child ever started.

A parent that is killed with -9 cannot end anything. Therefore a :class:`ProcessGuard`, one tiny process more, holds the
read end of a pipe whose only write end is the parent's: when the parent is gone, for whatever reason, the pipe closes,
and the guard ends its sessions.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_LARGEST_LOG_BYTES = 20_000_000


# --- one at a time ---------------------------------------------------------------------------------------------------


class AlreadyHeld(RuntimeError):
    """Another process holds the lock."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid
        super().__init__(f"The lock is held by process {pid or 'unknown'}.")


class Lock:
    """A file lock that the system releases when its last holder is gone, however that ended."""

    def __init__(self, file: Path) -> None:
        """Take the lock.

        Raises:
            AlreadyHeld: with the holder's process id, None when it is not known.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(self._handle, 20).decode(errors="replace").strip()
            os.close(self._handle)
            raise AlreadyHeld(int(text) if text.isdigit() else None) from None
        os.ftruncate(self._handle, 0)
        os.write(self._handle, f"{os.getpid()}\n".encode())

    def fileno(self) -> int:
        return self._handle

    def release(self) -> None:
        os.close(self._handle)


# --- what belongs to a session ---------------------------------------------------------------------------------------


def _parents() -> dict[int, int]:
    """Process id to parent's id of every process that runs; zombies are left out."""
    found = {}
    if os.path.isdir("/proc/self"):
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stream:
                        # pid (name, which may hold anything) state parent ...
                        state, parent = stream.read().rpartition(")")[2].split()[:2]
                    if state not in "ZX":
                        found[int(entry)] = int(parent)
        return found
    listing = subprocess.run(["ps", "-axo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines():
        pid, parent, state = line.split()[:3]
        if not state.startswith("Z"):
            found[int(pid)] = int(parent)
    return found


def members(sessions: Iterable[int]) -> set[int]:
    """The processes of these sessions and all their descendants, without this process."""
    wanted = set(sessions)
    parents = _parents()
    inside = set()
    for pid in parents:
        with contextlib.suppress(OSError):
            if os.getsid(pid) in wanted:
                inside.add(pid)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in inside} - inside
        inside |= more
        grown = bool(more)
    return inside - {os.getpid()}


def end_sessions(sessions: Iterable[int], grace_s: float, *, hurry: Callable[[], bool] = lambda: False) -> None:
    """End everything in these sessions: the leaders are asked first, then all, then all are killed.

    Leaders have ``grace_s`` seconds to end in order (a scheduler waits for its tasks); then everything left is asked
    and has two seconds more. ``hurry`` is asked all the time and skips the waiting.
    """
    leaders = set(sessions)
    _signal(leaders & members(leaders), signal.SIGTERM)
    _wait_for(lambda: not (leaders & members(leaders)), grace_s, hurry)
    rest = members(leaders)
    # A stopped process takes no signal but this one before it is killed.
    _signal(rest, signal.SIGTERM)
    _signal(rest, signal.SIGCONT)
    _wait_for(lambda: not members(leaders), 2.0 if rest else 0.0, hurry)
    for _ in range(50):
        rest = members(leaders)
        if not rest:
            return
        _signal(rest, signal.SIGKILL)
        time.sleep(0.05)


def descendants() -> set[int]:
    """Every process that this one started, and what these started, as far as it still runs."""
    parents = _parents()
    found: set[int] = set()
    grown = {os.getpid()}
    while grown:
        grown = {pid for pid, parent in parents.items() if parent in grown} - found
        found |= grown
    return found


def end_descendants() -> None:
    """Kill every process that this one started. One that starts others meanwhile is stopped first."""
    for _ in range(50):
        rest = descendants()
        if not rest:
            return
        _signal(rest, signal.SIGSTOP)
        _signal(rest | descendants(), signal.SIGKILL)
        time.sleep(0.05)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _wait_for(done: Callable[[], bool], seconds: float, hurry: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not hurry() and not done():
        time.sleep(0.05)


# --- children --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, where, with which environment, and the file that gets its output."""

    name: str
    argv: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    log: Path
    handles: tuple[int, ...] = ()
    """Open files that it gets under the same numbers, such as a listening socket."""


@contextlib.contextmanager
def _log(command: Command) -> Iterator[IO[bytes] | int]:
    """The log, with a line that says what starts; nowhere when it cannot be opened. A full disk prevents the line, but
    not the start."""
    try:
        command.log.parent.mkdir(parents=True, exist_ok=True)
        if command.log.exists() and command.log.stat().st_size > _LARGEST_LOG_BYTES:
            command.log.replace(command.log.with_suffix(".previous.log"))
        log = command.log.open("ab", buffering=0)
    except OSError:
        yield subprocess.DEVNULL
        return
    with log:
        with contextlib.suppress(OSError):
            log.write(f"--- {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {' '.join(command.argv)}\n".encode())
        yield log


def cpu_s(pid: int) -> float | None:
    """The processor time that the process has used, in seconds; None when it is gone, or the system does not say."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            # After the name, which may hold anything: field 14 and 15 of all, user and system time in ticks.
            fields = stream.read().rpartition(")")[2].split()
        return float(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        pass
    done = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return _clock_s(done.stdout.strip())


def _clock_s(text: str) -> float | None:
    """
    >>> _clock_s("1-02:03:04.50"), _clock_s("3:04"), _clock_s("")
    (93784.5, 184.0, None)
    """
    days, _, clock = text.rpartition("-")
    try:
        parts = [float(part) for part in clock.split(":")]
        return float(days or 0) * 86400 + sum(part * float(60**power) for power, part in enumerate(reversed(parts)))
    except ValueError:
        return None


class Child:
    """One running command, the leader of its own session."""

    def __init__(self, command: Command) -> None:
        """Start it. Its output is appended to the log; a log beyond 20 MB is set aside first.

        Raises:
            OSError: when the program cannot be started.
        """
        self.command = command
        with _log(command) as log:
            self._process = subprocess.Popen(
                command.argv,
                cwd=command.folder,
                env=dict(command.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=command.handles,
            )
        self._started = time.monotonic()

    @property
    def pid(self) -> int:
        """The process id, which is the session's id too."""
        return self._process.pid

    @property
    def age_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end; None when it still runs after ``timeout_s``."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def last_words(self, lines: int = 3) -> str:
        """The last lines of its log that are not empty, in one line."""
        try:
            with self.command.log.open("rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - 4000))
                text = stream.read().decode("utf-8", errors="replace")
        except OSError as error:
            return f"its log cannot be read ({error.strerror})"
        said = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("--- ")]
        return " | ".join(said[-lines:])


class ProcessGuard:
    """Ends the sessions it knows when this process is gone, even by ``kill -9``."""

    def __init__(self, *, keeps_open: Iterable[int] = (), grace_s: float = 3.0) -> None:
        """Start the guard. ``keeps_open`` are handles (a lock) that it holds until everything has ended."""
        # -I -S: nothing but the standard library, in 20 ms and 10 MB.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(grace_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            pass_fds=tuple(keeps_open),
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def watch(self, session: int) -> None:
        """End this session too when we are gone."""
        self._tell(f"+{session}\n")

    def forget(self, session: int) -> None:
        """The session has ended; its number may be given to somebody else."""
        self._tell(f"-{session}\n")

    def close(self) -> None:
        """Let it end what is left, and wait for that."""
        with contextlib.suppress(OSError):
            self._pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(30)

    @property
    def _pipe(self) -> IO[bytes]:
        pipe = self._process.stdin
        if pipe is None:
            raise BrokenPipeError("the guard has no pipe")
        return pipe

    def _tell(self, message: str) -> None:
        with contextlib.suppress(OSError):
            self._pipe.write(message.encode())
            self._pipe.flush()


def _guard(grace_s: float) -> None:
    """The guard's whole life: read session ids until the pipe closes, then end what is left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions: set[int] = set()
    for line in sys.stdin:
        session = int(line[1:])
        if line.startswith("+"):
            sessions.add(session)
        else:
            sessions.discard(session)
    if sessions:
        end_sessions(sessions, grace_s)


if __name__ == "__main__":
    _guard(float(sys.argv[1]))
