"""The documentation of a Dag in Airflow: why it exists, its owner, and the declaration in readable form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from include.config import FeatureView, ModelDeclaration
from include.config.settings import settings, what_is_wrong_with
from include.config.views import AUDIT_GATE
from include.domain.intervals import spoken
from include.workflows import gates
from slipway_airflow.notify import callbacks


def about(why: str, model: ModelDeclaration, kind: str) -> dict[str, Any]:
    """A model's Dag: its tags, its owner with a link, its documentation."""
    owner = model.owners.model
    return {
        "tags": [kind, model.name],
        "default_args": {"owner": owner, **callbacks()},
        "owner_links": owner_links(owner, f"models/{model.name}"),
        "doc_md": of_model(why, model),
    }


def about_view(why: str, view: FeatureView) -> dict[str, Any]:
    """A feature view's Dag: its tags, its owner with a link, its documentation."""
    return {
        "tags": ["features", view.name],
        "default_args": {"owner": view.owner, **callbacks()},
        "owner_links": owner_links(view.owner, ""),
        "doc_md": of_view(why, view),
    }


def about_all(why: str, tags: list[str]) -> dict[str, Any]:
    """A Dag of the whole project, which belongs to no single model: owned by Slipway, with a link to the page of all
    models."""
    return {
        "tags": tags,
        "default_args": {"owner": "slipway", **callbacks()},
        "owner_links": owner_links("slipway", ""),
        "doc_md": why,
    }


def owner_links(owner: str, page: str) -> dict[str, str]:
    """An address is written to, a web address is opened; a mere name leads to the page that says who else there is.

    >>> owner_links("ana@example.org", ""), owner_links("https://chat.example.org/ml", "")
    ({'ana@example.org': 'mailto:ana@example.org'}, {'https://chat.example.org/ml': 'https://chat.example.org/ml'})
    """
    if "@" in owner and " " not in owner:
        return {owner: f"mailto:{owner}"}
    if owner.startswith(("http://", "https://")):
        return {owner: owner}
    base = settings().url
    return {} if what_is_wrong_with(base) else {owner: f"{base}/slipway/{page}"}


def of_model(why: str, model: ModelDeclaration) -> str:
    """Markdown: the Dag's own reason, the model in a table, the declaration itself.

    >>> from include.config import declared_models
    >>> "| gates | " in of_model("Why.", declared_models()[0])
    True
    """
    declared = (model._folder / "model.yaml").read_text(encoding="utf-8").strip()
    page = f"[The model's page](/slipway/models/{model.name})"
    return _rendered(why, f"**{model.name}**: {_cell(model.description)}", dict(_facts(model)), page, declared)


def of_view(why: str, view: FeatureView) -> str:
    """Markdown: the Dag's own reason, the view in a table, the declaration itself.

    >>> from include.config import declared_views
    >>> "| joined by | " in of_view("Why.", declared_views()[0])
    True
    """
    declared = (view._folder / "view.yaml").read_text(encoding="utf-8").strip()
    return _rendered(why, f"**{view.name}**: {_cell(view.description)}", dict(_view_facts(view)), "", declared)


def _rendered(why: str, what: str, facts: Mapping[str, str], link: str, declared: str) -> str:
    rows = "\n".join(f"| {name} | {_cell(value)} |" for name, value in facts.items())
    parts = [
        why.strip(),
        what,
        f"| | |\n|---|---|\n{rows}",
        link,
        f"The whole declaration:\n\n```yaml\n{declared}\n```",
    ]
    return "\n\n".join(part for part in parts if part)


def _view_facts(view: FeatureView) -> Iterator[tuple[str, str]]:
    quality = view.quality
    yield "owner", view.owner
    yield "joined by", ", ".join(view.keys)
    yield "features", ", ".join(view.features)
    yield "reads", ", ".join(source.table for source in view.source)
    yield "made at", f"{view.calendar.cron} (UTC), from {view.calendar.starts} to {view.calendar.ends or 'open'}"
    yield AUDIT_GATE, f"at least {quality.min_rows:,} rows a day, {len(quality.expectations)} expectations"


def _facts(model: ModelDeclaration) -> Iterator[tuple[str, str]]:
    retrain, training = model.drift.retrain, model.training
    yield "task", f"{model.task}, tier {model.tier}"
    yield "owners", f"model: {model.owners.model}; data: {model.owners.data}; on call: {model.owners.on_call}"
    yield "reads", "; ".join(f"{use.view} ({len(use.features)} features)" for use in model.views)
    yield "learns from", f"{training.window_days} days, judged on the {training.holdout_days} days after them"
    yield "gates", ", ".join(f"{name} ({mode.value})" for name, mode in gates.modes(model).items())
    yield "shadow", f"{model.shadow.min_rows:,} rows and {model.shadow.min_days} days, at most {model.shadow.max_days}"
    yield (
        "retrains",
        f"when {model.drift.performance.metric} is out of band in {retrain.windows[0]} of {retrain.windows[1]} days; "
        f"{retrain.cooldown_days} days of cooldown, {retrain.budget_per_month} a month",
    )
    yield "a person approves", model.promotion.approval
    yield "promises", f"a journey ends within {spoken(model.promise)}; else {model.notify.late} is notified"


def _cell(text: str) -> str:
    """Text for one cell; markup in it is escaped."""
    plain = " ".join(str(text).split())
    for char, shown in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|")):
        plain = plain.replace(char, shown)
    return plain
