"""Where the pages read: the ledger, the declarations as they are now, and what tasks kept in a journey's folder."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from include.adapters.ledger import Ledger
from include.config import Declarations, loader
from include.config.settings import settings

_lock = threading.Lock()
_open: dict[str, Ledger] = {}
_seen: dict[str, tuple[float, int]] = {}


@contextmanager
def open_ledger() -> Iterator[Ledger]:
    """The ledger, opened once per process and address: a page waits for its queries only."""
    url = settings().ledger_url
    with _lock:
        if url not in _open:
            _open[url] = Ledger.open(url)
        ledger = _open[url]
    yield ledger


def declared_now() -> Declarations:
    """The declarations; read again when any file of them was changed, for the API server runs for weeks."""
    root = loader.ROOT
    files = [f for kind in ("models", "features") for f in _files(os.path.join(root, kind))]
    stamp = (max((os.stat(f).st_mtime for f in files), default=0.0), len(files))
    with _lock:
        if _seen.setdefault(str(root), stamp) != stamp:
            _seen[str(root)] = stamp
            loader.declarations.cache_clear()
        return loader.declarations()


def _files(folder: str) -> Iterator[str]:
    """The folders and files two levels down."""
    if not os.path.isdir(folder):
        return
    for entry in os.scandir(folder):
        yield entry.path
        if entry.is_dir():
            yield from (inner.path for inner in os.scandir(entry.path) if inner.is_file())


def kept(candidate_id: str, name: str) -> dict[str, Any] | None:
    """What a task of the journey kept as JSON; None when it has not run, or ran where this process cannot read."""
    file = settings().artifacts / "journeys" / candidate_id / name
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def mlflow_run(run_id: str | None) -> str | None:
    """The address of a run's page; None without a run, or where MLflow is at no web address."""
    base = settings().mlflow_pages_url.rstrip("/")
    return f"{base}/#/runs/{quote(run_id)}" if run_id and base.startswith(("http://", "https://")) else None


def close() -> None:
    """Give every connection back; the next page opens the ledger anew."""
    with _lock:
        while _open:
            _open.popitem()[1].close()
