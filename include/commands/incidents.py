"""``incidents``: what is out of its band, since when, and what a person does about it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup

if TYPE_CHECKING:
    from include.workflows.pages.incidents import IncidentView

NOT_KNOWN = 2
ACTS = ("ack", "snooze", "accept")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", nargs="?", default="list", choices=("list", "show", *ACTS), help="list, show, ack, snooze or accept"
    )
    parser.add_argument("incident", nargs="?", help="the incident's id; not with list")
    parser.add_argument("--model", metavar="MODEL", help="with list: only this model's")
    parser.add_argument("--all", action="store_true", help="with list: the closed ones too")
    parser.add_argument("--until", metavar="DAY", help="with snooze: the first day of data that reminds again")
    parser.add_argument("--reason", metavar="WHY", help="with ack, snooze and accept: why, in 10 to 500 characters")
    parser.add_argument("--by", metavar="NAME", help="on whose behalf, kept beside the user who is signed in")


def _incidents(args: argparse.Namespace) -> Answer:
    if args.action in ACTS:
        return _act(args)
    from include.commands.airflow import use_running_services
    from include.workflows.pages import incidents, sources

    _refuse_what_is_not_used(args)
    if args.action == "list" and args.model is not None:
        sources.declared_now().model(args.model)
    use_running_services()
    if args.action == "show":
        view = incidents.incident(_named(args))
        return Answer(tuple(_lines(view)), incidents.as_json(view), _code([view]))
    found = incidents.listed(args.model, only_open=not args.all)
    lines = [f"{v.record.incident_id}  {v.record.stage.value:<10}  {incidents.summary(v)}" for v in found]
    nothing = "No incident." if args.all else "No open incident."
    return Answer(tuple(lines or [nothing]), {"incidents": [incidents.as_json(v) for v in found]}, _code(found))


def _code(found: list[IncidentView]) -> int:
    """0 nothing is open, 1 a model is shown to be above its band, 2 open, and not known where the model is now."""
    open_ones = [view for view in found if view.record.is_open]
    if any(view.is_known for view in open_ones):
        return EXIT_FAILED
    return NOT_KNOWN if open_ones else 0


def _lines(view: IncidentView) -> list[str]:
    lines = [view.headline, view.sentence]
    lines += [line for line in (view.cost, f"Next: {view.next_step}" if view.next_step else "") if line]
    if view.record.acknowledged_by:
        until = f", snoozed until {view.record.snoozed_until}" if view.record.snoozed_until else ""
        lines.append(f"Acknowledged by {view.record.acknowledged_by}{until}.")
    lines.append("tried")
    for tried in view.tried:
        race = f"  {tried.race.sentence}" if tried.race else ""
        lines.append(f"  {tried.candidate.candidate_id}  {tried.outcome}{race}")
    lines += [] if view.tried else ["  nothing yet"]
    lines.append("happened")
    return [*lines, *(f"  {e.day}  {e.kind.value:<12}  {e.who}: {e.why}" for e in view.events)]


def _act(args: argparse.Namespace) -> Answer:
    """An act is a decision, so it needs a signed-in user: it goes through Airflow, which knows who that is."""
    from include.commands.airflow import airflow_api, me
    from include.workflows.gates import overrides

    _refuse_what_is_not_used(args)
    key = _named(args)
    body: dict[str, Any] = {"reason": overrides.reason(args.reason, "--reason"), "requested_by": args.by or me()}
    if args.action == "snooze":
        if args.until is None:
            raise Mistake("--until is missing; with snooze, give the first day of data that reminds again.")
        body["until"] = args.until
    with airflow_api() as api:
        made = api.slipway(f"incidents/{quote(key, safe='')}/{args.action}", f"{args.action} {key}", body)
    done = {
        "ack": f"{key} is acknowledged by {made['acknowledged_by']}: no reminder is sent any more.",
        "snooze": f"{key} is snoozed until {made['snoozed_until']} of the data.",
        "accept": f"{key} is closed. {made['state']['note']}",
    }
    return Answer((done[args.action],), made)


def _named(args: argparse.Namespace) -> str:
    if not args.incident:
        raise Mistake(f"which incident? `slipway incidents list` shows their ids; then `incidents {args.action} ID`.")
    return str(args.incident)


def _refuse_what_is_not_used(args: argparse.Namespace) -> None:
    """A flag that would be ignored is refused."""
    used = {"list": {"model", "all"}, "show": {"incident"}}.get(args.action, {"incident", "reason", "by"})
    used |= {"until"} if args.action == "snooze" else set()
    for name in ("incident", "model", "all", "until", "reason", "by"):
        if getattr(args, name) and name not in used:
            shown = repr(args.incident) if name == "incident" else f"--{name}"
            raise Mistake(f"{shown} is not for `incidents {args.action}`. See `slipway incidents --help`.")


VERBS = (
    Verb(
        "incidents",
        "show what is out of its band, and acknowledge, snooze or accept it",
        "slipway incidents                                  what is open\n"
        "  slipway incidents show flight_delay-performance-20130607\n"
        "  slipway incidents snooze flight_delay-performance-20130607 --until 2013-06-20 --reason 'Feed repaired'\n"
        "  slipway incidents accept flight_delay-performance-20130607 --reason 'The new timetable is here to stay'",
        _incidents,
        _arguments,
        exit_codes="with list and show: 0 nothing is open, 1 a model is above its band, 2 open, and where the model is "
        "is not known",
        group=VerbGroup.ASK,
    ),
)
