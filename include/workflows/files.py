"""Files that appear whole or not at all, and leave nothing behind when their writer was killed."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write to; at the end of the block the file stands under ``path``, after an error nothing does.

    What a killed writer of the same file left on this machine is swept first. A writer that still runs is left alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        host, pid = left.name.split(".")[-4:-2]
        if host == _host() and not _runs(int(pid)):
            left.unlink(missing_ok=True)
    unfinished = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _host() -> str:
    return socket.gethostname().replace(".", "-") or "localhost"


def _runs(pid: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
