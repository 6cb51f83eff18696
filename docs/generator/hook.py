"""What MkDocs calls while it builds the site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from docs.generator import links, site


def on_config(config: Any) -> Any:
    """A folder in the navigation, such as ``adr/``, means its README and all its other pages."""
    config.nav = [_with_folders(entry, Path(config.docs_dir)) for entry in config.nav]
    return config


def _with_folders(entry: Any, docs: Path) -> Any:
    if isinstance(entry, dict):
        return {title: _with_folders(below, docs) for title, below in entry.items()}
    if isinstance(entry, list):
        return [_with_folders(below, docs) for below in entry]
    if not str(entry).endswith("/"):
        return entry
    others = sorted(page.name for page in (docs / entry).glob("*.md") if page.name != "README.md")
    return [f"{entry}{name}" for name in ("README.md", *others)]


def on_files(files: Files, config: Any) -> Files:
    for place, content in site.made().items():
        files.append(File.generated(config, place, content=content()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    return site.adapted(markdown, page.file.src_uri)


def on_post_build(config: Any) -> None:
    found = links.problems(Path(config.site_dir))
    if found:
        raise PluginError("The site does not hold together:\n" + "\n".join(found))
