"""A simulation as a person reads it: tables, JSON, and a picture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from include.domain.simulation.hindsight import DWELL_DAYS
from include.domain.simulation.outcome import PolicyKind, PolicyOutcome
from include.domain.simulation.retraining_worth import RetrainingWorth, retraining_worth
from include.domain.verdicts import Verdict
from include.workflows.simulation.run import Simulation
from include.workflows.tables.reading import finite

WIDTH = 140
MAX_JOURNEYS = 30
"""Journeys of one variant that the table shows; the JSON has all."""


def as_lines(found: Simulation) -> list[str]:
    from rich.console import Console
    from rich.table import Table

    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(width=WIDTH, record=True, file=nowhere)
        interval = found.interval
        days = f"{interval.start:%Y-%m-%d} to {interval.end:%Y-%m-%d}"
        title = f"{found.what}, {days}, price {found.price.amount:.4g} a retrain"
        policies = Table(title=title, title_justify="left")
        policies.add_column("policy", overflow="fold", max_width=44)
        metric = found.policies[0].metric
        for name in (f"{metric} per row", "loss", "retrains", "cost", "alarms", "promoted", "suppressed", "escalated"):
            policies.add_column(name, justify="right")
        cheapest = min((p.cost for p in found.policies if p.kind is not PolicyKind.HINDSIGHT), default=None)
        for policy in found.policies:
            policies.add_row(*_row(policy, policy.cost == cheapest))
        console.print(policies)
        for policy in found.policies:
            if policy.kind is PolicyKind.DECLARED and policy.journeys:
                console.print(_journeys(policy))
        lines = console.export_text().splitlines()
    return [line.rstrip() for line in lines] + list(_sentences(found))


def _row(policy: PolicyOutcome, cheapest: bool) -> list[str]:
    mean = "-" if policy.mean_loss is None else f"{policy.mean_loss:.4f}"
    row = [
        policy.name + (" (cheapest)" if cheapest else ""),
        mean,
        f"{policy.total_loss:,.1f}",
        str(policy.retrains),
        f"{policy.cost:,.1f}",
    ]
    if policy.kind is not PolicyKind.DECLARED:
        return [*row, "", "", "", ""]
    actions = policy.actions
    return [*row, str(policy.alarms), str(policy.promotions), str(actions["suppress"]), str(actions["escalate"])]


def _journeys(policy: PolicyOutcome) -> Any:
    from rich.table import Table

    table = Table("as of", "started by", "verdicts", "outcome", title=f"Journeys: {policy.name}", title_justify="left")
    for j in policy.journeys[:MAX_JOURNEYS]:
        verdicts = ", ".join(f"{gate.removesuffix('_gate')} {verdict}" for gate, verdict in j.verdicts.items())
        started = j.trigger + (f", {j.recipe} won" if j.recipe else "")
        table.add_row(j.as_of, started, verdicts, j.outcome + (f": {j.stopped_by}" if j.stopped_by else ""))
    if len(policy.journeys) > MAX_JOURNEYS:
        table.add_row("...", "", f"{len(policy.journeys) - MAX_JOURNEYS} more; --json has all", "")
    return table


def _sentences(found: Simulation) -> Iterator[str]:
    rows = max(p.rows for p in found.policies)
    yield (
        f"{rows:,} labelled rows on {len(found.interval.days)} days, {found.fits} candidates fitted. Loss is summed "
        "over rows; cost is loss + price x retrains."
    )
    yield f"The price of one retrain is {found.price.amount:.4g} of summed loss: {found.price.source}."
    if any(p.kind is PolicyKind.HINDSIGHT for p in found.policies):
        yield (
            f"Hindsight stays at least {DWELL_DAYS} days with a model; its switches are chosen on every other row, and "
            "its loss is counted on the others."
        )
    yield (
        f"Every policy begins with its own champion as of {found.first_champion}"
        + ("." if not _objections(found) else f", although {_objections(found)}")
    )
    for policy in found.policies:
        yield from (f"{policy.name}: {note}" for note in policy.notes)
        if policy.kind is not PolicyKind.DECLARED:
            continue
        rules = dict[str, int]()
        for decision in policy.decisions:
            rules[decision.rule] = rules.get(decision.rule, 0) + 1
        told = ", ".join(f"{rule.partition(' ')[2]} {n}" for rule, n in sorted(rules.items(), key=lambda i: -i[1]))
        rejected = ", ".join(f"{gate} {n}" for gate, n in policy.rejections.items())
        yield from (f"{policy.name}: {incident.sentence}" for incident in policy.incidents)
        yield f"{policy.name}: {told or 'nothing decided'}." + (f" Rejected by: {rejected}." if rejected else "")
    yield from found.remarks
    worth = _worth(found)
    yield f"What retraining was worth: {worth.sentence if worth else 'nothing, no candidate was promoted.'}"


def _worth(found: Simulation) -> RetrainingWorth | None:
    """Of the first variant, with which "never retrain" shares its first champion."""
    never = next(p for p in found.policies if p.kind is PolicyKind.NEVER)
    return retraining_worth(found.policies[0], never)


def _objections(found: Simulation) -> str:
    """The gates' objections to the first champion, which serves nevertheless, because one model has to."""
    return " ".join(
        f"{g.gate} was {g.verdict.value}: {g.reason}" for g in found.first_gates if g.verdict is not Verdict.PASS
    )


def as_json(found: Simulation) -> dict[str, Any]:
    """Everything, day by day; NaN as null."""
    worth = _worth(found)
    data: dict[str, Any] = finite(
        {
            "what": found.what,
            "from": found.interval.start.date().isoformat(),
            "to": found.interval.end.date().isoformat(),
            "price": found.price.amount,
            "price_source": found.price.source,
            "metric": found.policies[0].metric,
            "fits": found.fits,
            "first_champion": found.first_champion,
            "first_gates": [g.as_json() for g in found.first_gates],
            "policies": [p.as_json() for p in found.policies],
            "remarks": list(found.remarks),
            "retraining_worth": worth.as_json() if worth else None,
        }
    )
    return data
