"""Templates to pages. Everything is escaped unless it was made here."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from include.config.settings import PROJECT
from include.domain.tables import number
from include.domain.wording import bounds_in_words
from include.workflows.gates.gate import OWN_RUNBOOK
from slipway_airflow.pages import charts

HERE = Path(__file__).parent
RUNBOOK = PROJECT / "docs" / "runbook"
OWN = PurePosixPath(OWN_RUNBOOK).stem
HEADERS = {
    # Nothing from another host, no inline script or style, and no frame but Airflow's own.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
NOTICES = {
    "override": "The override is recorded. Now judge again from that gate; promotion will ask for it once more.",
    "clear": "Airflow has cleared the gate and what follows it. This page shows the new verdicts as they come.",
    "approve": "Your approval was handed to the gate. Its task records it and the journey goes on.",
    "reject": "The candidate is rejected, under your name. The champion stays.",
    "retrain": "The new journey has started; the model's page shows it as soon as its first task has run.",
    "rollback": "The rollback has started. The champion changes when its run is done, in seconds.",
}


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["number"] = lambda value: number(value if isinstance(value, (int, float)) else None)
    found.filters["reach"] = lambda c: bounds_in_words(c["low"], c["high"])
    found.globals["charts"] = charts
    return found


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """One page. ``base`` in it is where the application is mounted; ``notice`` is one of ours by its name."""
    notice = NOTICES.get(request.query_params.get("done", ""))
    shown = {"base": base(request), "notice": notice, **context}
    return HTMLResponse(_environment().get_template(template).render(shown), status)


def message(request: Request, title: str, sentence: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page that says one thing."""
    shown = {"tone": "bad" if status >= 400 else "", "links": (), "prose": None, **context}
    return page(request, "message.html", status, title=title, sentence=sentence, **shown)


def base(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


def airflow_base(request: Request) -> str:
    """Where Airflow itself is: our own place without the last step."""
    return base(request).rpartition("/")[0]


def runbook(name: str) -> Markup | None:
    """A page of the runbook as HTML; None when there is none. Raw HTML in it stays text. A gate without a page of its
    name is a team's own, and has the common page of those."""
    from markdown_it import MarkdownIt

    pages = {f.stem for f in RUNBOOK.glob("*.md")}
    if name not in pages and not name.endswith("_gate"):
        return None
    file = RUNBOOK / f"{name if name in pages else OWN}.md"
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    return Markup(reader.render(file.read_text(encoding="utf-8")).replace('.md"', '"'))


def when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
