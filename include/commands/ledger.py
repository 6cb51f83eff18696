"""``history``, ``explain`` and ``override``: the ledger's records, and the one thing a person may write there."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from include.commands import Answer, Verb, VerbGroup

if TYPE_CHECKING:
    from include.adapters.ledger import Explanation, ModelHistory
    from include.workflows.journey.facts import RecipeRace

MIN_REASON = 10


# --- history ---------------------------------------------------------------------------------------------------------


def _history_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="the model's name")


def _history(args: argparse.Namespace) -> Answer:
    from include.commands.airflow import use_running_services
    from include.config import declarations
    from include.workflows import stores

    use_running_services()
    with stores.open_ledger() as ledger:
        found = ledger.history(args.model)
    if not found.candidates:
        declarations().model(args.model)
    return Answer(tuple(_history_lines(found)), _plain(found))


def _history_lines(found: ModelHistory) -> list[str]:
    from include.workflows.journey.causes import in_words

    head = found.champion
    champion = f"champion {head.to_candidate} (version {head.model_version})" if head else "no champion yet"
    lines = [f"{found.model}: {champion}"]
    for epoch in found.epochs:
        over = f" over {epoch.from_candidate}" if epoch.from_candidate else ""
        when = f"{epoch.effective_from:%Y-%m-%d}  {epoch.kind.value:<9}"
        lines.append(
            f"  revision {epoch.revision}  {when}  {epoch.to_candidate}{over}  by {epoch.decider}: {epoch.reason}"
        )
    lines.append("journeys")
    for c in found.candidates:
        request = c.request
        asked = f"as of {request.as_of:%Y-%m-%d}  {request.trigger.value:<8}"
        lines.append(f"  {c.candidate_id}  {asked}  {c.state.value:<11}  {c.outcome or 'under way'}")
        others = [cause for cause in found.causes if cause.candidate_id == c.candidate_id and cause.number > 1]
        lines += [f"      also asked for: {in_words(others)}"] if others else []
    return lines


# --- explain ---------------------------------------------------------------------------------------------------------


def _explain_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("candidate", help="the candidate's id, as `slipway history` shows it")


def _explain(args: argparse.Namespace) -> Answer:
    from include.commands.airflow import use_running_services
    from include.workflows import stores
    from include.workflows.journey.facts import RecipeRace
    from include.workflows.journey.kept_facts import KeptFacts

    use_running_services()
    with stores.open_ledger() as ledger:
        found = ledger.explain(args.candidate)
    race = KeptFacts(found.candidate.candidate_id).of(RecipeRace)
    data = _plain(found) | {"race": _plain(race) if race else None}
    return Answer(tuple(_explain_lines(found, race)), data)


def _explain_lines(found: Explanation, race: RecipeRace | None) -> list[str]:
    from include.domain.tables import as_table

    c, request, facts = found.candidate, found.candidate.request, found.candidate.facts
    lines = [
        f"{c.candidate_id} is {c.state.value}. {c.outcome or ''}".rstrip(),
        f"  asked by {request.asked_by} ({request.trigger.value}) as of {request.as_of:%Y-%m-%d}: {request.reason}",
        f"  run {request.run_id}; MLflow run {facts.mlflow_run_id or '-'}, version {facts.model_version or '-'}",
        f"  artifact {facts.artifact_digest or '-'}, training set {facts.training_set_hash or '-'}",
        *([f"  serves by {facts.served_digest}, fitted again on all matured rows"] if facts.served_digest else []),
        *([f"  {race.sentence} It learned from {race.learned_rows:,} rows."] if race else []),
    ]
    for cause in found.causes[1:]:
        asked = cause.request
        lines.append(
            f"  also asked by {asked.asked_by} ({asked.trigger.value}) while it was {cause.state.value}, as of "
            f"{asked.as_of:%Y-%m-%d}, run {asked.run_id}: {asked.reason}"
        )
    for standing in found.gates:
        lines += ["", f"{standing.newest.gate}, attempt {standing.newest.attempt}", as_table(standing.newest.result)]
    for o in found.overrides:
        ended = f", ended {o.ended_at:%Y-%m-%d %H:%M}" if o.ended_at else ""
        lines += ["", f"override of {o.gate} by {o.decider} until {o.expires_at:%Y-%m-%d %H:%M}{ended}: {o.why}"]
    for w in found.windows:
        days = f"{w.opened_from:%Y-%m-%d} to {f'{w.closed_at:%Y-%m-%d}' if w.closed_at else 'now'}"
        lines += ["", f"shadow beside {w.champion_id}, {days}: {w.answered:,} rows on {w.days} days"]
    lines += ["", "its way"]
    for t in found.transitions:
        lines.append(f"  {t.recorded_at:%Y-%m-%d %H:%M:%S}  {t.to_state.value:<11}  {t.actor}: {t.reason}")
    return lines


# --- override --------------------------------------------------------------------------------------------------------


def _override_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("candidate", help="the candidate's id")
    parser.add_argument("gate", help="the gate that did not pass, for example champion_gate")
    parser.add_argument(
        "--reason", required=True, help=f"why this candidate may go on, at least {MIN_REASON} characters"
    )
    parser.add_argument(
        "--expires", required=True, metavar="WHEN", help="until when it holds: 2d, 12h, or a time in ISO 8601"
    )
    parser.add_argument(
        "--by",
        default=None,
        metavar="NAME",
        help="on whose behalf, kept beside the user who is signed in; default: the user of this shell",
    )


def _override(args: argparse.Namespace) -> Answer:
    """An override is a decision, so it needs a signed-in user: it goes through Airflow, which knows who that is."""
    from include.commands.airflow import airflow_api, me
    from include.domain.authority import said
    from include.workflows.gates import overrides

    now = datetime.now(UTC)
    overrides.reason(args.reason, "--reason")
    expires = overrides.expiry(args.expires, now, "--expires")
    body = {
        "gate": args.gate,
        "reason": args.reason.strip(),
        "expires": expires.isoformat(),
        "requested_by": args.by or me(),
    }
    with airflow_api() as api:
        made = api.slipway(f"candidates/{quote(args.candidate, safe='')}/overrides", f"override {args.gate}", body)
    by, until = said(made["who"], made["claimed"]), datetime.fromisoformat(made["expires_at"])
    lines = (
        f"{made['gate']} of {made['candidate_id']} is overridden by {by} until {until:%Y-%m-%d %H:%M} UTC.",
        f"Now clear {made['gate']} and what follows it in Airflow; promotion checks the override again.",
    )
    return Answer(lines, made)


def _plain(value: Any) -> dict[str, Any]:
    """A ledger value as JSON; enums by their value."""
    import json
    from enum import Enum

    def other(item: Any) -> Any:
        return item.value if isinstance(item, Enum) else str(item)

    return dict(json.loads(json.dumps(asdict(value), default=other)))


VERBS = (
    Verb(
        "history",
        "show a model's champions and journeys",
        "slipway history flight_delay",
        _history,
        _history_arguments,
        group=VerbGroup.ASK,
    ),
    Verb(
        "explain",
        "show everything about one candidate",
        "slipway explain flight_delay-20130617-042b4d",
        _explain,
        _explain_arguments,
        group=VerbGroup.ASK,
    ),
    Verb(
        "override",
        "let one candidate past one gate that did not pass, with a reason and an end",
        'slipway override flight_delay-20130617-042b4d champion_gate --reason "Known outage on 13 June" --expires 2d',
        _override,
        _override_arguments,
        group=VerbGroup.ACT,
    ),
)
