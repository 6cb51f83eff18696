"""Great Expectations' own pages (Data Docs) of audits that found something, kept for those who know how to read them.

An optional artifact: the gate's table says the same, and nothing waits for these.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from include.adapters import files
from include.config.settings import settings
from include.domain.intervals import Interval

KEPT = 20
"""How many of a view's newest are kept."""
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})_(\d{4}-\d{2}-\d{2})_([0-9a-f]{12})\.html")


@dataclass(frozen=True, slots=True)
class Page:
    """One audit's page: of days ``start`` to the one before ``end``."""

    view: str
    name: str
    start: str
    end: str
    run: str
    """As ``run_key`` gives it."""


def keep(view: str, interval: Interval, run_id: str, page: str | None) -> None:
    """Keep the page of an audit; None, when everything was met, takes away what an earlier try had kept."""
    file = _folder(view) / f"{interval.start:%Y-%m-%d}_{interval.end:%Y-%m-%d}_{run_key(run_id)}.html"
    if page is None:
        file.unlink(missing_ok=True)
        return
    files.write_text(file, page)
    # The new page is kept even if a clock that was set back makes it seem the oldest.
    others = [other for other in _folder(view).glob("*.html") if other != file]
    for old in sorted(others, key=lambda f: f.stat().st_mtime, reverse=True)[KEPT - 1 :]:
        old.unlink(missing_ok=True)


def pages(views: Iterable[str]) -> list[Page]:
    """What is kept about the views, the newest days first."""
    found = []
    for view in views:
        folder = _folder(view)
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        found += [Page(view, name, *match.groups()) for name in names if (match := _NAME.fullmatch(name))]
    return sorted(found, key=lambda page: (page.end, page.start, page.view), reverse=True)


def text(view: str, name: str) -> str | None:
    """The page; None when there is none of this name."""
    known = {page.name for page in pages([view])} if re.fullmatch(r"[a-z][a-z0-9_]*", view) else set()
    return (_folder(view) / name).read_text(encoding="utf-8") if name in known else None


def run_key(run_id: str) -> str:
    """A run's id as part of a file's name."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:12]


def _folder(view: str) -> Path:
    return settings().artifacts / "data_docs" / view
