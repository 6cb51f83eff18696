"""Whether a built site holds together: every link and anchor leads somewhere, and nothing is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src")}
LOADING_LINKS = {"stylesheet", "preload", "preconnect", "prefetch", "dns-prefetch", "icon"}


class _Page(HTMLParser):
    """What a page links to, loads, and can be linked to at."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = {"", "__top"}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        for kind, name in LOADED:
            loads = tag != "link" or bool(LOADING_LINKS & set(given.get("rel", "").split()))
            if kind == tag and name in given and loads:
                self.loaded.append(given[name])


def problems(site: Path) -> list[str]:
    """One line for each thing that is wrong; empty for a site that holds together."""
    return sorted({problem for page in sorted(site.rglob("*.html")) for problem in _of_page(site, page)})


def _of_page(site: Path, page: Path) -> Iterator[str]:
    where = page.relative_to(site)
    read = _read(page)
    for link in read.loaded:
        if urlsplit(link).netloc:
            yield f"{where} loads {link} from another host."
        elif not link.startswith("data:") and not _target(site, page, link).is_file():
            yield f"{where} loads {link}, which is not in the site."
    for link in read.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = _target(site, page, parts.path) if parts.path else page
        if not target.is_file():
            yield f"{where} links to {link}, which is not in the site."
        elif target.suffix == ".html" and unquote(parts.fragment) not in _read(target).anchors:
            yield f"{where} links to {link}, and that page has no such heading."


def _target(site: Path, page: Path, path: str) -> Path:
    path = unquote(urlsplit(path).path)
    start = site if path.startswith("/") else page.parent
    target = (start / path.lstrip("/")).resolve()
    return target / "index.html" if target.is_dir() else target


@cache
def _read(page: Path) -> _Page:
    found = _Page()
    found.feed(page.read_text(encoding="utf-8"))
    return found
