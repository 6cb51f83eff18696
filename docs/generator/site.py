"""The pages that are made, and how pages of the repository become pages of the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from functools import partial

from docs.generator import commands, declarations, errors, faults, gates, ledger, routes, wings
from include.config.settings import PROJECT

FROM_THE_ROOT = ("CHANGELOG.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md")
"""Pages beside docs/ that the site has too."""


def made() -> dict[str, Callable[[], str]]:
    """Each made page by its place in the site."""
    pages: dict[str, Callable[[], str]] = {
        "reference/command-line.md": commands.page_of,
        "reference/gates.md": gates.page_of,
        "reference/ledger.md": ledger.page_of,
        "reference/wings.md": wings.page_of,
        "reference/rest.md": lambda: routes.page_of(routes.application().openapi()),
        "reference/errors.md": lambda: errors.page_of(status_of),
    }
    for file, (_, name, _) in declarations.ROOTS.items():
        pages[f"reference/{name}.md"] = partial(declarations.page_of, file)
    for name in FROM_THE_ROOT:
        pages[name] = partial((PROJECT / name).read_text, encoding="utf-8")
    return pages


def status_of(kind: type[BaseException]) -> str:
    """The HTTP status that an exception of a class is answered with."""
    routes.application()
    from slipway_airflow.pages.airflow_calls import AirflowSaidNo
    from slipway_airflow.pages.errors import STATUS

    if issubclass(kind, AirflowSaidNo):
        return "Airflow's"
    return str(next((status for each, status in STATUS if issubclass(kind, each)), errors.BROKEN))


def adapted(markdown: str, place: str) -> str:
    """A page's text as the site has it: links between pages of the repository lead to those of the site, and what the
    site has not, such as a file of code, is named instead of linked."""
    markdown = re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", lambda match: _link(match, place), markdown)
    return faults.with_tests(markdown) if place == "faults.md" else markdown


def _link(match: re.Match[str], place: str) -> str:
    target, _, anchor = match[3].partition("#")
    if "://" in target or not target or target.startswith("mailto:"):
        return match[0]
    # Where the link leads in the repository: pages of the site are in docs/, those of FROM_THE_ROOT beside it.
    folder = "" if place in FROM_THE_ROOT else f"docs/{posixpath.dirname(place)}"
    leads_to = posixpath.normpath(posixpath.join(folder, target))
    if leads_to == "README.md":
        leads_to = "docs/index.md"
    if leads_to.startswith("docs/"):
        there = leads_to.removeprefix("docs/")
    elif leads_to in FROM_THE_ROOT:
        there = leads_to
    else:
        return f"{match[2].strip('`')} (`{leads_to}`)"
    shown = posixpath.relpath(there, posixpath.dirname(place) or ".")
    return f"{match[1]}[{match[2]}]({shown}{'#' + anchor if anchor else ''})"
