"""Files that several processes may write and read: each appears whole or not at all, and survives a power cut.

Every file that is shared is written here: under a name of its writer's own, brought to the disk, and then given its
real name in one step. A test forbids any other way.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def whole(path: Path, mode: int | None = None) -> Iterator[Path]:
    """A name to write to; at the end of the block the file is there under ``path``, after an error nothing is.

    Writers of the same file do not meet: each has a name of its own, and the last one to finish is read. Files that a
    killed writer left on this machine are removed first. A writer that still runs is not disturbed.

    Args:
        mode: the file's permissions, for example ``0o600``; None for the usual ones.
    """
    with draft(path.parent, path.name) as (unfinished, keep_as):
        yield unfinished
        if mode is not None:
            unfinished.chmod(mode)
        keep_as(path)


@contextmanager
def draft(folder: Path, name: str) -> Iterator[tuple[Path, Callable[[Path], None]]]:
    """As ``whole``, for a file whose last name is known only when it is written: a name to write to, and a function
    that gives the file its real one. Without that call no file stays. ``name`` is the name under which files of killed
    writers are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f".{name}.*.tmp"):
        host, pid = left.name.split(".")[-4:-2]
        if host == _host() and pid.isdecimal() and not _runs(int(pid)):
            left.unlink(missing_ok=True)
    unfinished = folder / f".{name}.{_host()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"

    def keep_as(path: Path) -> None:
        _to_disk(unfinished)
        os.replace(unfinished, path)
        _to_disk(path.parent)

    try:
        yield unfinished, keep_as
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str, mode: int | None = None) -> None:
    """The file with this text in UTF-8, whole or not at all; ``mode`` as in ``whole``, and from its first byte on."""
    with whole(path, mode) as unfinished:
        if mode is not None:
            unfinished.touch(mode)
        unfinished.write_text(text, encoding="utf-8")


def write_once(path: Path, text: str, mode: int) -> None:
    """The file with this text unless it is there; of two writers the first wins, and no reader sees half of it."""
    with draft(path.parent, path.name) as (unfinished, _):
        unfinished.touch(mode)
        unfinished.write_text(text, encoding="utf-8")
        _to_disk(unfinished)
        try:
            os.link(unfinished, path)
        except FileExistsError:
            path.chmod(mode)
        _to_disk(path.parent)


def write_json(path: Path, data: Any) -> None:
    """Small JSON, with its names in order, whole or not at all."""
    write_text(path, json.dumps(data, indent=1, sort_keys=True))


def _to_disk(path: Path) -> None:
    """Wait until the file's content, or the folder's names, are on the disk. A name that is there after a power cut
    while its content is not would be a whole file of zeros."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _host() -> str:
    return socket.gethostname().replace(".", "-") or "localhost"


def _runs(pid: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
