"""Where the pages read: the ledger, the declarations as they are now, and what tasks kept in a journey's folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from include.adapters.ledger import Ledger
from include.config import Declarations, loader
from include.config.settings import settings
from include.workflows.journey import facts
from include.workflows.journey.facts import F

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


class KeptFacts:
    """What the tasks of one journey left, as a page shows it.

    Attributes:
        unread: a sentence for each file that is there and cannot be read: of another release, or damaged.
    """

    def __init__(self, candidate_id: str) -> None:
        self._folder = settings().artifacts / "journeys" / candidate_id
        self.unread: list[str] = []

    def of(self, kind: type[F]) -> F | None:
        """None when the task has not run, ran where this process cannot read, or left what cannot be read."""
        try:
            return facts.find(self._folder, kind)
        except facts.UnreadableFacts as error:
            self.unread.append(str(error))
            return None


def mlflow_run(run_id: str | None) -> str | None:
    """The address of a run's page; None without a run, or where MLflow is at no web address."""
    base = settings().mlflow_pages_url.rstrip("/")
    return f"{base}/#/runs/{quote(run_id)}" if run_id and base.startswith(("http://", "https://")) else None


def close() -> None:
    """Give every connection back; the next page opens the ledger again."""
    with _lock:
        while _open:
            _open.popitem()[1].close()
