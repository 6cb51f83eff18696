"""Where the pages read: the ledger, and the declarations as they are now."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
    """The declarations; read again when any file of them was changed, because the API server runs for weeks."""
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


def mlflow_run(run_id: str | None) -> str | None:
    """The address of a run's page; None without a run, or where MLflow is at no web address."""
    base = settings().mlflow_pages_url.rstrip("/")
    return f"{base}/#/runs/{quote(run_id)}" if run_id and base.startswith(("http://", "https://")) else None


def close() -> None:
    """Give every connection back; the next page opens the ledger again."""
    with _lock:
        while _open:
            _open.popitem()[1].close()
