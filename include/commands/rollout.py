"""``rollout``: a candidate's share of live traffic, what is seen of it, and what a person says to it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from include.commands import EXIT_FAILED, Answer, Mistake, Verb, VerbGroup

if TYPE_CHECKING:
    from include.workflows.pages.rollouts import HostSees, RolloutView

WITHOUT_SHARE = 2
ACTS = ("hold", "resume", "abort")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("status", *ACTS, "pin"), help="status, hold, resume, abort or pin")
    parser.add_argument("model", metavar="MODEL", help="a declared model")
    parser.add_argument("--unit", metavar="X", help="with status: who answers this unit now")
    parser.add_argument(
        "--reason", metavar="WHY", help="with hold, resume, abort and pin: why, in 10 to 500 characters"
    )
    parser.add_argument("--by", metavar="NAME", help="on whose behalf, kept beside the user who is signed in")


def _rollout(args: argparse.Namespace) -> Answer:
    _refuse_what_is_not_used(args)
    if args.action == "status":
        return _status(args)
    return _pin(args) if args.action == "pin" else _act(args)


def _status(args: argparse.Namespace) -> Answer:
    from include.commands.airflow import use_running_services
    from include.workflows.pages import rollouts

    use_running_services()
    view = rollouts.rollout(args.model)
    if view is None:
        sentence = f"No candidate of {args.model} ever had a share of live traffic."
        return Answer((sentence,), {"model": args.model, "stage": None, "sentence": sentence})
    lines, data = _lines(view), rollouts.as_json(view)
    if args.unit is not None:
        who, sentence = _who(view, args.unit)
        lines, data = [*lines, sentence], {**data, "unit": {"unit": args.unit, "answered_by": who}}
    return Answer(tuple(lines), data, _code(view))


def _code(view: RolloutView) -> int:
    """0 it has its share or has passed, 1 it is out, 2 it has no share for now."""
    from include.workflows.pages.rollouts import ENDED

    if view.record.state.stage in ENDED:
        return EXIT_FAILED
    return 0 if view.takes_traffic else WITHOUT_SHARE


def _lines(view: RolloutView) -> list[str]:
    from include.domain.intervals import spoken

    record, state = view.record, view.record.state
    lines = [view.sentence]
    shares = ", ".join(f"{step.share_ppm / 10_000:g} %" for step in record.plan.steps)
    lines.append(f"steps     {shares}; {100 * record.plan.total_alpha:g} % of equal candidates would be rolled back")
    if view.takes_traffic:
        step = record.plan.steps[state.step]
        lines.append(f"time      at least {spoken(step.min_time)}, at most {spoken(step.max_time)}")
    if view.lease_left is not None:
        lines.append(f"lease     {view.lease_left.total_seconds():.0f} s left")
    for host in view.hosts:
        lines += _of_host(host)
    if view.takes_traffic and not view.hosts:
        lines.append("No service has said that it serves this candidate; nothing is known of what it does.")
    lines.append("happened")
    return [
        *lines,
        *(f"  {e.recorded_at:%Y-%m-%d %H:%M:%S}  {e.event.value:<7} {e.actor}: {e.reason}" for e in record.events),
    ]


def _of_host(host: HostSees) -> list[str]:
    stale = "" if host.is_fresh else ", not seen for a minute"
    lines = [f"{host.instance}{stale}"]
    if host.why:
        lines.append(f"  no share here: {host.why}")
    seen = host.seen
    if "rows" not in seen:
        return [*lines, "  its guard has counted nothing yet"]
    observed = seen.get("share_observed")
    shown = "no unit yet" if observed is None else f"{100 * observed:.3g} % observed"
    lines.append(f"  share     {seen['share_ppm'] / 10_000:g} % declared, {shown}")
    left = max(0, seen["rows_needed"] - seen["rows"])
    lines.append(f"  rows      {seen['rows']:,} of {seen['rows_needed']:,} on this host, {left:,} left")
    (failed, units), (theirs, others) = seen["canary"], seen["champion"]
    lines.append(f"  failed    {failed:,} of {units:,} units, the champion's {theirs:,} of {others:,}")
    for name, each in seen["evidence"].items():
        lines.append(f"  {name:<9} evidence {each['measured']:.3g}, ends the share from {each['limit']:,.0f} on")
    if "slow" not in seen["evidence"]:
        lines.append("  slow      not judged: fewer than 1,000 answers of the champion were timed")
    return lines


def _who(view: RolloutView, unit: str) -> tuple[str, str]:
    from include.domain.canary.units import place, unit_text, within

    text = unit_text(unit)
    if text is None:
        raise Mistake("--unit is empty; give the unit as a request names it.")
    at = place(view.record.salt, text)
    share = view.record.state.share_ppm
    in_canary = within(at, share)
    who = "canary" if in_canary else "champion"
    return (
        who,
        f"unit {text}: the {who} answers; its place is {100 * at / 2**64:.2f} %, and the share {share / 10_000:g} %",
    )


def _act(args: argparse.Namespace) -> Answer:
    """An act is a decision, so it needs a signed-in user: it goes through Airflow, which knows who that is."""
    from include.commands.airflow import airflow_api, me
    from include.config import declarations
    from include.workflows.gates import overrides

    model = declarations().model(args.model).name
    body: dict[str, Any] = {"reason": overrides.reason(args.reason, "--reason"), "requested_by": args.by or me()}
    with airflow_api() as api:
        made = api.slipway(f"models/{quote(model, safe='')}/rollout/{args.action}", f"{args.action} {model}", body)
    return Answer((made["sentence"],), made)


def _pin(args: argparse.Namespace) -> Answer:
    """At once and on this host alone, where neither Airflow nor the ledger is asked: the way out when both are away."""
    from include.commands.airflow import me
    from include.config import declarations
    from include.config.settings import settings
    from include.serving.by_hand import pinned
    from include.workflows.gates import overrides

    model = declarations().model(args.model).name
    why = overrides.reason(args.reason, "--reason")
    made = pinned(settings().home, model, args.by or me(), why)
    if made is None:
        raise Mistake(f"No candidate of {model} has a share on this host; `slipway rollout status {model}` says more.")
    sentence = (
        f"{made.candidate} has no share on this host any more: the champion answers. The ledger is told as soon as the "
        f"keeper reaches it; then `slipway rollout resume {model}` gives the share back, and abort ends it."
    )
    return Answer((sentence,), {"model": model, "candidate_id": made.candidate, "number": made.number, "reason": why})


def _refuse_what_is_not_used(args: argparse.Namespace) -> None:
    """A flag that would be ignored is refused."""
    used = {"unit"} if args.action == "status" else {"reason", "by"}
    for name in ("unit", "reason", "by"):
        if getattr(args, name) and name not in used:
            raise Mistake(f"--{name} is not for `rollout {args.action}`. See `slipway rollout --help`.")


VERBS = (
    Verb(
        "rollout",
        "show a candidate's share of live traffic; hold, resume or end it",
        "slipway rollout status flight_delay\n"
        "  slipway rollout status flight_delay --unit 4711        who answers this unit\n"
        "  slipway rollout hold flight_delay --reason 'Support sees odd answers'\n"
        "  slipway rollout pin flight_delay --reason 'Airflow is away'        this host, at once",
        _rollout,
        _arguments,
        exit_codes="of status: 0 it has its share, or there is none under way; 1 it is out; 2 it has no share for now",
        group=VerbGroup.ACT,
    ),
)
